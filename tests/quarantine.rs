//! Messages that bring the sessions to their operator down: they are found, put aside and told of, and everybody else's go on.

mod support;

use std::collections::HashSet;

use serde_json::{Value, json};
use smppgw::simulator::Behaviour;
use smppgw::smpp::{CommandId, Frame, MessageView};
use support::Daemon;
use support::client::{message, receipt, view};
use support::operator::{Operator, Scripted, prompt};
use support::story::{Setup, Story};
use tempfile::TempDir;

const NUMBER: &str = "358401234567";

fn sensitive() -> Behaviour {
    Behaviour { poison: Some(b"POISON".to_vec()), ..prompt() }
}

/// An operator that drops the session on one text, and a gateway that soon tries again.
fn setup(operator: &Operator, lines: &str) -> Setup {
    Setup::new(&[("elisa", operator.port())]).operators(&format!("retry = {{ min = \"100ms\", max = \"1s\" }}\n{lines}"))
}

fn without_receipt(text: &[u8]) -> MessageView<'_> {
    MessageView { registered_delivery: 0, ..message(NUMBER, text) }
}

fn ctl(daemon: &Daemon, words: &[&str]) -> Value {
    let socket = daemon.dir.join("control.sock");
    let socket = socket.to_str().expect("a path in UTF-8");
    let reply = daemon.smppgw(&[&["ctl", "--socket", socket, "--json"], words].concat());
    serde_json::from_str(&reply).expect("a reply")
}

fn in_quarantine(story: &Story, count: f64) {
    story.waits_for("smppgw_quarantine_messages", &[("operator", "elisa")], count);
}

/// Different texts of messages without guilt that have arrived.
fn innocents(operator: &Operator) -> usize {
    let texts: HashSet<Vec<u8>> = operator.texts().into_iter().filter(|text| text.starts_with(b"innocent")).collect();
    texts.len()
}

#[test]
fn the_poison_is_quarantined_and_every_other_message_arrives() {
    let operator = Operator::start(sensitive());
    let mut story = setup(&operator, "window = 10").start();
    let mut client = story.client();
    let mut id = String::new();
    for number in 0..60 {
        let text = format!("innocent {number}");
        client.submit(&without_receipt(text.as_bytes())).expect("an id");
        if number == 20 {
            id = client.submit(&message(NUMBER, b"POISON of the text that nobody may see")).expect("an id");
        }
    }
    in_quarantine(&story, 1.0);
    // Some arrive twice: the session died before they were answered.
    let mut arrivals = 60;
    while innocents(&operator) < 60 {
        operator.wait_until(|counts| counts.accepted >= arrivals);
        arrivals += 1;
    }
    let tried = operator.texts().iter().filter(|text| text.starts_with(b"POISON")).count();
    assert!((3..=4).contains(&tried), "{tried} tries");
    let listed = ctl(&story.daemon, &["quarantine"]);
    let listed = &listed["messages"][0];
    let expected = json!({"id": id, "account": "app", "operator": "elisa", "destination": "35840****567", "attempts": tried});
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(listed[field], *value, "{listed}");
    }
    let found = ctl(&story.daemon, &["message", &id]);
    assert_eq!((&found["state"], &found["place"]["at"]), (&json!("pending"), &json!("quarantine")));
    story.daemon.wait_for_log("quarantined");
    let log = story.daemon.log_so_far();
    assert!(log.contains(&id) && log.contains("35840****567"), "{log}");
    assert!(!log.contains("nobody may see") && !log.contains(NUMBER), "{log}");
    story.ends_well();
}

#[test]
fn a_lonely_message_is_quarantined_after_so_many_tries_as_configured() {
    let operator = Operator::start(sensitive());
    let story = setup(&operator, "window = 10").section("[messages]\npoison_attempts = 2").start();
    let mut client = story.client();
    client.submit(&message(NUMBER, b"POISON")).expect("an id");
    in_quarantine(&story, 1.0);
    assert_eq!(operator.texts().len(), 2);
    client.submit(&message(NUMBER, b"next")).expect("an id");
    assert_eq!(receipt(&client.delivery()).1, "DELIVRD");
    story.ends_well();
}

#[test]
fn a_released_message_is_sent_again_and_a_dropped_one_reported() {
    let operator = Operator::start(sensitive());
    let story = setup(&operator, "window = 10").section("[messages]\npoison_attempts = 1").start();
    let mut client = story.client();
    let mut poison = |text: &[u8], count| {
        let id = client.submit(&message(NUMBER, text)).expect("an id");
        in_quarantine(&story, count);
        // Its operator answers: the next death is not taken for the operator's fault.
        client.submit(&message(NUMBER, b"well")).expect("an id");
        assert_eq!(receipt(&client.delivery()).1, "DELIVRD");
        id
    };
    let (first, second) = (poison(b"POISON 1", 1.0), poison(b"POISON 2", 2.0));
    assert_eq!(ctl(&story.daemon, &["quarantine", "drop", &first])["messages"][0]["id"], json!(first));
    assert_eq!(receipt(&client.delivery()), (first, "UNDELIV".to_owned()));
    in_quarantine(&story, 1.0);
    operator.set_behaviour(prompt());
    assert_eq!(ctl(&story.daemon, &["quarantine", "release", "all"])["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(receipt(&client.delivery()), (second, "DELIVRD".to_owned()));
    in_quarantine(&story, 0.0);
    story.ends_well();
}

#[test]
fn the_quarantine_survives_a_kill_and_a_message_in_it_expires_in_time() {
    let operator = Operator::start(sensitive());
    let setup = setup(&operator, "window = 10").section("[messages]\npoison_attempts = 1");
    let dir = TempDir::new().expect("a folder");
    let daemon = Daemon::start_in(dir.path(), &setup.text, None);
    let story = Story { daemon, port: setup.port, metrics: setup.metrics };
    let mut client = story.client();
    let kept = client.submit(&message(NUMBER, b"POISON")).expect("an id");
    in_quarantine(&story, 1.0);
    client.submit(&without_receipt(b"well")).expect("an id");
    operator.wait_until(|counts| counts.accepted == 1);
    let brief = MessageView { validity_period: b"000000000008000R", ..message(NUMBER, b"POISON, but brief") };
    let brief = client.submit(&brief).expect("an id");
    in_quarantine(&story, 2.0);
    story.daemon.kill();
    let tries = operator.texts().len();
    let daemon = Daemon::start_in(dir.path(), &setup.text, None);
    let story = Story { daemon, port: setup.port, metrics: setup.metrics };
    let mut client = story.client();
    assert_eq!(receipt(&client.delivery()), (brief, "EXPIRED".to_owned()));
    in_quarantine(&story, 1.0);
    assert_eq!(ctl(&story.daemon, &["quarantine"])["messages"][0]["id"], json!(kept));
    assert_eq!(operator.texts().len(), tries, "neither was sent again");
    story.ends_well();
}

fn submits(gateway: &mut support::client::Client) -> Frame {
    gateway.expect(CommandId::SubmitSm)
}

#[test]
fn an_operator_that_ends_every_session_is_not_the_messages_fault() {
    let operator = Scripted::listen();
    let story =
        Setup::new(&[("elisa", operator.port())]).operators("window = 1\nretry = { min = \"100ms\", max = \"200ms\" }").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    for text in [&b"one"[..], b"two", b"three"] {
        client.submit(&without_receipt(text)).expect("an id");
    }
    for _ in 0..12 {
        submits(&mut gateway);
        drop(gateway);
        gateway = operator.accept();
    }
    // It is well again: everything arrives.
    let mut texts: Vec<Vec<u8>> = (0..3)
        .map(|number| {
            let submit = submits(&mut gateway);
            gateway.answer(&submit, 0, format!("id{number}\0").as_bytes());
            view(&submit).short_message.to_vec()
        })
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, [&b"one"[..], b"three", b"two"]);
    in_quarantine(&story, 0.0);
    story.ends_well();
}

#[test]
fn a_message_whose_answer_is_that_the_session_is_not_bound_is_quarantined_too() {
    let operator = Scripted::listen();
    let story =
        Setup::new(&[("elisa", operator.port())]).operators("window = 10\nretry = { min = \"100ms\", max = \"200ms\" }").start();
    let mut client = story.client();
    client.submit(&without_receipt(b"poison")).expect("an id");
    for _ in 0..3 {
        let mut gateway = operator.accept();
        let submit = submits(&mut gateway);
        gateway.answer(&submit, 0x04, b"");
        gateway.is_closed();
    }
    in_quarantine(&story, 1.0);
    let reason = &ctl(&story.daemon, &["quarantine"])["messages"][0]["reason"];
    assert!(reason.as_str().is_some_and(|reason| reason.contains("ESME_RINVBNDSTS")), "{reason}");
    drop(operator);
    story.ends_well();
}
