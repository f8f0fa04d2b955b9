//! Clients and operators against each other, over loopback.

use std::sync::Arc;
use std::time::Duration;

use super::load::{self, Amount, LoadSettings, Report};
use super::smsc::{Answer, IdForm, MoSource, ReceiptForm};
use super::{Behaviour, LineFile, Mo, ReceiptFields, Smsc, SmscSettings, address};
use crate::link::{self, Link, now};
use crate::receipt::ReceiptId;
use crate::smpp::{
    AddressView, BindKind, CommandId, CommandStatus, Event, Frame, MessageView, Role, Session, Settings, Strictness, encode,
};

/// An operator that reports at once, so that tests do not wait.
fn prompt() -> Behaviour {
    Behaviour { receipt_delay: Duration::ZERO, ..Behaviour::default() }
}

async fn operator(behaviour: Behaviour) -> Smsc {
    let settings = SmscSettings { name: "elisa".to_owned(), behaviour, keep_records: true, ..SmscSettings::default() };
    Smsc::start(settings).await.expect("a free port")
}

fn load_of(messages: u64, smsc: &Smsc) -> LoadSettings {
    LoadSettings {
        host: smsc.address().ip().to_string(),
        port: smsc.address().port(),
        system_id: "demo".to_owned(),
        password: "demo1234".to_owned(),
        binds: 2,
        window: 10,
        amount: Amount::Messages(messages),
        first_tag: 1,
        rate: None,
        text: load::tagged("Moi"),
        source: address("SHOP"),
        prefixes: vec!["35840".to_owned(), "35850".to_owned()],
        receipts: true,
        patience: Duration::from_secs(10),
        response_timeout: Duration::from_secs(10),
        reconnect: false,
        progress: Duration::from_secs(1),
        accepted: None,
    }
}

async fn run(settings: LoadSettings) -> Report {
    load::run(settings, |_| {}).await.expect("binds")
}

#[tokio::test]
async fn every_message_is_accepted_and_its_receipt_matched() {
    let smsc = operator(prompt()).await;
    let report = run(load_of(500, &smsc)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.totals.accepted, report.totals.receipts, report.totals.delivered), (500, 500, 500));
    assert_eq!((report.totals.duplicate_receipts, report.response_ms.count, report.receipt_ms.count), (0, 500, 500));
    let counts = smsc.stop().await;
    assert_eq!((counts.received, counts.accepted, counts.receipts_acknowledged), (500, 500, 500));
    assert_eq!((counts.binds, counts.unbinds, counts.resent), (2, 2, 0));
    assert_eq!(report.totals.disconnects, 0);
}

#[tokio::test]
async fn every_message_arrives_with_its_own_tag() {
    let smsc = operator(prompt()).await;
    run(load_of(100, &smsc)).await;
    let mut tags: Vec<Vec<u8>> = smsc.records().into_iter().map(|record| record.text).collect();
    tags.sort();
    let expected: Vec<Vec<u8>> = (1..=100).map(|tag| format!("{tag:010} Moi").into_bytes()).collect();
    assert_eq!(tags, expected);
}

#[tokio::test]
async fn at_a_fixed_rate_all_messages_leave_and_their_lateness_is_known() {
    let smsc = operator(prompt()).await;
    let report = run(LoadSettings { rate: Some(2000.0), ..load_of(200, &smsc) }).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.lateness_ms.count, 200);
    assert!(report.seconds >= 0.09, "200 messages at 2000/s took {} s", report.seconds);
}

#[tokio::test]
async fn receipts_match_in_every_form_and_with_every_kind_of_id() {
    for ids in [IdForm::Dec, IdForm::Hex, IdForm::Padded, IdForm::Uuid] {
        for receipt_form in [ReceiptForm::Text, ReceiptForm::Tlv, ReceiptForm::Both] {
            let smsc = operator(Behaviour { ids, receipt_form, ..prompt() }).await;
            let report = run(load_of(20, &smsc)).await;
            assert!(report.is_clean(), "{ids:?} {receipt_form:?}: {report}");
            assert_eq!(report.totals.delivered, 20);
        }
    }
}

#[tokio::test]
async fn an_id_written_otherwise_in_the_receipt_is_not_matched_by_its_characters() {
    let smsc = operator(Behaviour { receipt_id: ReceiptId::Hex, ..prompt() }).await;
    let report = run(LoadSettings { patience: Duration::from_millis(200), ..load_of(20, &smsc) }).await;
    assert_eq!((report.missing_receipts, report.totals.unknown_receipts, report.totals.receipts), (20, 20, 0));
}

#[tokio::test]
async fn an_undelivered_message_is_reported_as_such() {
    let smsc = operator(Behaviour { undelivered: 1.0, ..prompt() }).await;
    let report = run(load_of(20, &smsc)).await;
    assert_eq!((report.totals.receipts, report.totals.delivered), (20, 0));
}

#[tokio::test]
async fn second_receipts_are_counted_as_duplicates() {
    let smsc = operator(Behaviour { duplicate_receipts: true, ..prompt() }).await;
    let report = run(load_of(50, &smsc)).await;
    assert_eq!(report.totals.receipts, 50);
    // The run may end with the last first receipt, before the last duplicates.
    assert!(report.totals.duplicate_receipts > 0);
}

#[tokio::test]
async fn a_receipt_before_its_response_is_matched_by_the_response() {
    let smsc = operator(Behaviour { early_receipt: true, ..Behaviour::default() }).await;
    let report = run(LoadSettings { window: 1, ..load_of(50, &smsc) }).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.totals.early_receipts, report.totals.unknown_receipts), (50, 50));
}

#[tokio::test]
async fn refusals_are_told_apart_by_status_in_the_fractions_set() {
    let answers =
        vec![(Answer::Status(CommandStatus::EsmeRinvdstadr), 0.25), (Answer::Status(CommandStatus::EsmeRthrottled), 0.25)];
    let smsc = operator(Behaviour { answers, ..prompt() }).await;
    let report = run(load_of(1000, &smsc)).await;
    let refused = |code: &str| report.refusals.get(code).copied().unwrap_or_default();
    assert_eq!(report.totals.accepted + refused("0x0B") + refused("0x58"), 1000);
    for count in [refused("0x0B"), refused("0x58")] {
        assert!((150..350).contains(&count), "{:?}", report.refusals);
    }
    assert!(!report.is_clean());
}

#[tokio::test]
async fn a_silent_operator_leaves_the_outcome_unknown() {
    let smsc = operator(Behaviour { answers: vec![(Answer::Silence, 1.0)], ..prompt() }).await;
    let report = run(LoadSettings { response_timeout: Duration::from_millis(50), ..load_of(15, &smsc) }).await;
    assert_eq!((report.totals.lost, report.totals.accepted), (15, 0));
    assert_eq!(smsc.counts().silent, 15);
}

#[tokio::test]
async fn responses_wait_for_the_response_delay() {
    let smsc = operator(Behaviour { response_delay: Duration::from_millis(30), ..prompt() }).await;
    let report = run(load_of(40, &smsc)).await;
    assert!(report.is_clean() && report.response_ms.p50 >= 29.0, "{report}");
}

#[tokio::test]
async fn unanswered_messages_are_sent_again_after_a_lost_connection_and_receipts_are_kept() {
    let slow = Behaviour { receipt_delay: Duration::from_millis(20), ..Behaviour::default() };
    let smsc = operator(slow).await;
    let settings = LoadSettings { reconnect: true, rate: Some(2000.0), ..load_of(600, &smsc) };
    let load = tokio::spawn(run(settings));
    for accepted in [100, 250, 400] {
        smsc.wait_until(|counts| counts.accepted >= accepted).await;
        smsc.disconnect();
    }
    let report = load.await.expect("no panic");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.totals.accepted, report.totals.receipts), (600, 600));
    let counts = smsc.wait_until(|counts| counts.undelivered() == 0).await;
    assert!(counts.binds > 2 && counts.accepted >= 600);
    assert!(report.totals.disconnects >= 3, "{report}");
}

#[tokio::test]
async fn a_lost_connection_ends_a_run_that_does_not_reconnect() {
    let smsc = operator(Behaviour { response_delay: Duration::from_secs(60), ..prompt() }).await;
    let load = tokio::spawn(run(load_of(100, &smsc)));
    smsc.wait_until(|counts| counts.received == 20).await;
    smsc.disconnect();
    let report = load.await.expect("no panic");
    assert_eq!((report.totals.sent, report.totals.lost), (20, 20));
    assert!(report.to_string().ends_with("binds      2, 2 of them lost before the end"), "{report}");
}

async fn bound(smsc: &Smsc, kind: BindKind) -> Link<()> {
    let address = smsc.address();
    let stream = link::connect(&address.ip().to_string(), address.port(), None).await.expect("a connection");
    let mut link = Link::new(stream, Session::new(Settings::new(Role::Esme), now()));
    load::bind(&mut link, kind, b"demo", b"demo1234").await.expect("a bind");
    link
}

/// Submits one message that asks for a receipt, and waits for the response.
async fn submit(link: &mut Link<()>) {
    let destination = AddressView { ton: 1, npi: 1, digits: b"358401234567" };
    let view = MessageView { destination, registered_delivery: 1, short_message: b"Moi", ..MessageView::default() };
    let body = |out: &mut bytes::BytesMut| encode::message_body(out, CommandId::SubmitSm, &view);
    link.session.send(now(), CommandId::SubmitSm, (), body).expect("room in the window");
    loop {
        match link.session.poll_event() {
            Some(Event::Response { status, .. }) => return assert_eq!(status, CommandStatus::EsmeRok),
            Some(_) => {}
            None => link.progress().await,
        }
    }
}

async fn next_delivery(link: &mut Link<()>) -> Frame {
    loop {
        match link.session.poll_event() {
            Some(Event::Request(frame)) => return frame,
            Some(_) => {}
            None => link.progress().await,
        }
    }
}

#[tokio::test]
async fn the_receipts_of_a_transmitter_come_to_a_receiver_of_the_same_client() {
    let smsc = operator(prompt()).await;
    let mut transmitter = bound(&smsc, BindKind::Transmitter).await;
    submit(&mut transmitter).await;
    let mut receiver = bound(&smsc, BindKind::Receiver).await;
    let frame = next_delivery(&mut receiver).await;
    let message = MessageView::parse(&frame, Strictness::Strict).expect("a deliver_sm");
    let id = smsc.records()[0].id.to_string();
    assert!(ReceiptFields::of(&message).is_some_and(|receipt| receipt.message_id == id.as_bytes()));
}

#[tokio::test]
async fn a_receipt_is_sent_until_it_is_acknowledged() {
    let smsc = operator(prompt()).await;
    let mut first = bound(&smsc, BindKind::Transceiver).await;
    submit(&mut first).await;
    let once = next_delivery(&mut first).await;
    drop(first);
    let mut second = bound(&smsc, BindKind::Transceiver).await;
    let again = next_delivery(&mut second).await;
    assert_eq!(once.body(), again.body());
    second.session.respond(now(), again.ticket(), CommandStatus::EsmeRok);
    let acknowledged = smsc.wait_until(|counts| counts.receipts_acknowledged == 1);
    tokio::select! {
        counts = acknowledged => assert_eq!((counts.resent, counts.undelivered()), (1, 0)),
        _ = async { loop { second.progress().await } } => {}
    }
}

#[tokio::test]
async fn a_poisonous_message_costs_the_connection() {
    let smsc = operator(Behaviour { poison: Some(b"0000000001".to_vec()), ..prompt() }).await;
    let report = run(LoadSettings { binds: 1, window: 1, ..load_of(10, &smsc) }).await;
    assert_eq!((report.totals.sent, report.totals.lost), (1, 1));
}

#[tokio::test]
async fn a_behaviour_can_change_between_two_runs() {
    let smsc = operator(prompt()).await;
    assert!(run(load_of(10, &smsc)).await.is_clean());
    smsc.set_behaviour(Behaviour { refuse_binds: Some(CommandStatus::EsmeRbindfail), ..prompt() });
    let refused = load::run(load_of(10, &smsc), |_| {}).await;
    assert!(matches!(refused, Err(load::ClientError::BindRefused(CommandStatus::EsmeRbindfail))));
}

#[tokio::test]
async fn only_the_right_password_binds() {
    let credentials = Some(("demo".to_owned(), "secret".to_owned()));
    let smsc = Smsc::start(SmscSettings { credentials, ..SmscSettings::default() }).await.expect("a free port");
    let wrong = load::run(load_of(1, &smsc), |_| {}).await;
    assert!(matches!(wrong, Err(load::ClientError::BindRefused(CommandStatus::EsmeRinvpaswd))));
    let right = LoadSettings { password: "secret".to_owned(), ..load_of(1, &smsc) };
    assert!(run(right).await.is_clean());
}

#[tokio::test]
async fn handsets_answer_a_keyword_and_send_by_themselves() {
    let source = Mo { from: address("+358401234567"), to: address("13123"), data_coding: 0, text: b"Moi".to_vec() };
    let settings = SmscSettings { mo: vec![MoSource { mo: source, per_second: 200.0 }], ..SmscSettings::default() };
    let smsc = Smsc::start(settings).await.expect("a free port");
    let echoed = LoadSettings { text: "mo takaisin".to_owned(), rate: Some(200.0), ..load_of(20, &smsc) };
    let report = run(echoed).await;
    assert!(report.totals.mo > 20, "{report}");
}

#[tokio::test]
async fn the_log_and_the_list_of_accepted_messages_name_the_same_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log_path, list_path) = (folder.path().join("log"), folder.path().join("accepted"));
    let log = Arc::new(LineFile::append_to(&log_path).expect("a log"));
    let list = Arc::new(LineFile::append_to(&list_path).expect("a list"));
    let settings = SmscSettings { log: Some(Arc::clone(&log)), behaviour: prompt(), ..SmscSettings::default() };
    let smsc = Smsc::start(settings).await.expect("a free port");
    run(LoadSettings { accepted: Some(Arc::clone(&list)), ..load_of(100, &smsc) }).await;
    log.flush().and_then(|()| list.flush()).expect("files");
    // operator,id,status,source,destination,part,tag,checksum against tag,id
    let lines = |path| std::fs::read_to_string(path).expect("a file");
    let mut logged: Vec<(u64, String)> = lines(&log_path)
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|fields| (fields[6].parse().expect("a tag"), fields[1].to_owned()))
        .collect();
    let mut accepted: Vec<(u64, String)> = lines(&list_path)
        .lines()
        .filter_map(|line| line.split_once(','))
        .map(|(tag, id)| (tag.parse().expect("a tag"), id.to_owned()))
        .collect();
    logged.sort();
    accepted.sort();
    assert_eq!(logged.len(), 100);
    assert_eq!(logged, accepted);
}

#[tokio::test]
async fn stamped_messages_tell_how_long_they_were_on_their_way() {
    let smsc = operator(prompt()).await;
    let settings = LoadSettings { text: load::of_length(20, true), rate: Some(2000.0), ..load_of(100, &smsc) };
    let report = run(settings).await;
    let transit = smsc.transit();
    assert_eq!((transit.count, report.response_ms.count), (100, 100));
    // A message arrives before it is answered; the two clocks agree to a few microseconds.
    assert!(transit.max <= report.response_ms.max && transit.p50 <= report.response_ms.p50 * 1.02 + 0.01, "{transit} {report}");
    run(load_of(100, &smsc)).await;
    assert_eq!(smsc.transit().count, 100);
}

#[tokio::test]
async fn what_comes_faster_than_the_rate_is_throttled() {
    let smsc = operator(Behaviour { rate: Some(100), ..prompt() }).await;
    let report = run(load_of(500, &smsc)).await;
    // A tenth of a second's at once, and what has become free since.
    let allowed = 10 + (report.seconds * 100.0).ceil() as u64;
    assert!((10..=allowed).contains(&report.totals.accepted), "{report}");
    let counts = smsc.counts();
    assert_eq!(report.refusals.get("0x58").copied(), Some(500 - report.totals.accepted));
    assert_eq!((counts.throttled, counts.refused), (report.totals.refused, report.totals.refused));
}

#[tokio::test]
async fn within_the_rate_nothing_is_throttled() {
    let smsc = operator(Behaviour { rate: Some(2000), ..prompt() }).await;
    let report = run(LoadSettings { rate: Some(1000.0), ..load_of(200, &smsc) }).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(smsc.counts().throttled, 0);
}
