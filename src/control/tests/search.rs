//! Which messages are meant.

use super::*;
use crate::message::{Job, Message as Accepted, test_message};

const ACCOUNT: AccountKey = AccountKey(0);

fn job_to(id: u64, number: &str) -> Arc<Job> {
    let message: Accepted = test_message("shop", number, "Moi");
    Arc::new(Job { id: MessageId(id), account: ACCOUNT, message, route: smallvec::smallvec![OperatorKey(0)] })
}

/// Beside message 42, which all tests have, those of the list.
async fn accepted(messages: impl IntoIterator<Item = (u64, &'static str)>) -> Running {
    let running = Running::start().await;
    with_journal(&running).await;
    for (id, number) in messages {
        record(&running.gateway, job_to(id, number).into()).await;
    }
    running
}

async fn sent(running: &Running, job: Arc<Job>, operator_id: &[u8], wants_receipt: bool) {
    let operator = OperatorKey(0);
    let key = running.gateway.keys.of_response(operator, crate::receipt::ReceiptId::Same, operator_id);
    let operator_id = smallvec::SmallVec::from_slice(operator_id);
    let part = SentPart { job, part: 0, total: 1, operator_id, key: key.filter(|_| wants_receipt), strayed: false };
    record(&running.gateway, Event::Sent { operator, parts: vec![part] }).await;
}

fn ids(reply: &Value) -> Vec<&str> {
    let messages = reply["messages"].as_array().unwrap_or_else(|| panic!("{reply}"));
    messages.iter().map(|message| message["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn messages_to_a_number_are_found_newest_first_however_the_number_is_written() {
    let running = accepted([(50, "358501234567"), (51, "358501234567"), (52, "46501234567")]).await;
    let failure = Failure { state: State::Deleted, status: 0 };
    record(&running.gateway, Event::Failed { id: MessageId(50), operator: None, parts: Some((1, 1)), failure }).await;
    for number in ["+358501234567", "358 50 123 4567", "00358501234567"] {
        let reply = running.ask(json!({"command": "messages", "to": number})).await;
        assert_eq!(ids(&reply), ["gw00000033", "gw00000032"], "{number}: another country has the same last digits");
        assert_eq!((&reply["more"], &reply["complete"]), (&json!(false), &json!(true)));
        assert_eq!((&reply["messages"][0]["state"], &reply["messages"][1]["state"]), (&json!("pending"), &json!("DELETED")));
        assert_eq!(reply["messages"][0]["certain"], true);
        let told = reply.to_string();
        assert!(told.contains("35850****567") && !told.contains("501234567") && !told.contains("Moi"), "{told}");
    }
}

#[tokio::test]
async fn a_number_of_many_messages_shows_the_newest_twenty_and_says_that_there_are_more() {
    let running = accepted((100..150).map(|id| (id, "358501234567"))).await;
    let reply = running.ask(json!({"command": "messages", "to": "+358501234567"})).await;
    let newest: Vec<String> = (130..150u64).rev().map(|id| format!("gw{id:08x}")).collect();
    assert_eq!((ids(&reply), &reply["more"]), (newest.iter().map(|id| &**id).collect(), &json!(true)));
}

#[tokio::test]
async fn a_number_nobody_has_written_to_is_refused_with_what_else_to_try_and_without_the_number() {
    let running = accepted([]).await;
    let ask = |to: &'static str| running.ask(json!({"command": "messages", "to": to}));
    let unknown = ask("0509999999").await["error"].to_string();
    assert!(unknown.contains("no message to 05099**999: ") && unknown.contains("last 100000 finished"), "{unknown}");
    assert!(unknown.contains("try it with + and the country"), "{unknown}");
    let whole = ask("+358509999999").await["error"].to_string();
    assert!(whole.contains("no message to +3585*****999: ") && !whole.contains("try it"), "{whole}");
    let nonsense = ask("my phone").await["error"].to_string();
    assert!(nonsense.contains("expected a number as applications write it, such as +358401234567"), "{nonsense}");
}

#[tokio::test]
async fn a_message_is_found_by_its_operators_id_with_receipts_and_without() {
    let running = accepted([]).await;
    let (with, without) = (job_to(50, "358501234567"), {
        let mut message = test_message("shop", "358501234567", "Moi");
        message.receipt = crate::message::ReceiptRequest(0);
        Arc::new(Job { id: MessageId(51), account: ACCOUNT, message, route: smallvec::smallvec![OperatorKey(0)] })
    });
    for (job, id, wants) in
        [(with, b"0a1b"), (without, b"0a1c")].map(|(job, id)| (job.clone(), id, job.message.receipt.wants_any()))
    {
        record(&running.gateway, job.clone().into()).await;
        sent(&running, job, id, wants).await;
    }
    let ask = |id: &'static str, operator: Option<&'static str>| {
        running.ask(json!({"command": "messages", "operator_id": id, "operator": operator}))
    };
    assert_eq!(ids(&ask("0A1B", None).await), ["gw00000032"]);
    assert_eq!(ids(&ask("0a1c", Some("elisa")).await), ["gw00000033"]);
    let unknown = ask("0a1d", Some("elisa")).await["error"].to_string();
    assert!(unknown.contains("no message known to elisa as 0a1d: ") && unknown.contains("try it without"), "{unknown}");
    assert_eq!(ask("0a1b", Some("elise")).await["error"], "no operator \"elise\"; did you mean elisa?");
    assert!(ask(" ", None).await["error"].as_str().unwrap().starts_with("expected the id that an operator gave"));
}

#[tokio::test(start_paused = true)]
async fn one_search_runs_at_a_time_and_who_waited_for_it_long_enough_is_told_to_try_again() {
    let searches = crate::control::search::Searches::default();
    let turn = searches.turn().await.expect("nobody else searches");
    let refused = searches.turn().await.expect_err("it lasts");
    assert_eq!(refused.error, "another search is under way: try again in a moment");
    drop(turn);
    assert!(searches.turn().await.is_ok());
}

#[tokio::test]
async fn either_the_number_or_the_operators_id_is_asked_for() {
    let running = accepted([]).await;
    for more in [json!({}), json!({"to": "1", "operator_id": "2"}), json!({"to": "1", "operator": "elisa"})] {
        let mut request = json!({"command": "messages"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = running.ask(request).await;
        assert!(
            refused["error"].as_str().unwrap().starts_with("messages: expected either to, a number, or operator_id"),
            "{refused}"
        );
    }
}

#[test]
fn the_log_shows_a_number_that_is_asked_for_masked() {
    let request = Request::parse(br#"{"command":"messages","to":"+358401234567"}"#).unwrap();
    let logged = format!("{request:?}");
    assert!(logged.contains("+3584") && !logged.contains("401234567"), "{logged}");
}

#[tokio::test]
async fn a_message_that_waits_to_be_tried_again_shows_its_last_refusal() {
    let running = accepted([]).await;
    let (elisa, now) = (running.gateway.operator(OperatorKey(0)), running.gateway.clock.now());
    let item = elisa.pull(now, 1, |_| 1).items.pop().expect("message 42");
    elisa.push_again((crate::queue::Item { attempts: 1, ..item }, now.plus(std::time::Duration::from_secs(60))), 0x14, now);
    let place = &running.ask(json!({"command": "message", "id": "gw0000002a"})).await["place"];
    assert_eq!((&place["refused"], &place["attempts"]), (&json!("ESME_RMSGQFUL 0x14"), &json!(1)));
    assert!(place["not_before"].as_u64().is_some_and(|at| at > now.0), "{place}");
}
