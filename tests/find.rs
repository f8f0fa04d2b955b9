//! "Where is my message?" by somebody who has no more than a phone number, or the operator's id: the real daemon, asked with `smppgw ctl`.

mod support;

use std::time::Instant;

use serde_json::{Value, json};
use smppgw::simulator::Behaviour;
use smppgw::simulator::smsc::Answer;
use smppgw::smpp::CommandStatus;
use support::client::{message, receipt};
use support::operator::{Operator, prompt};
use support::story::{Setup, Story};
use support::{Daemon, PATIENCE, free_port};
use tempfile::TempDir;

const NUMBER: &str = "358401234567";

fn ctl(words: &[&str], story: &Story) -> String {
    let socket = story.daemon.dir.join("control.sock");
    story.daemon.smppgw(&[&["ctl", "--socket", socket.to_str().expect("a path in UTF-8")], words].concat())
}

fn json(words: &[&str], story: &Story) -> Value {
    serde_json::from_str(&ctl(&[words, &["--json"]].concat(), story)).expect("a reply")
}

fn ids(reply: &Value) -> Vec<&str> {
    reply["messages"].as_array().expect("messages").iter().filter_map(|message| message["id"].as_str()).collect()
}

#[test]
fn delivered_messages_are_found_by_the_number_and_one_of_them_by_the_operators_id() {
    let operator = Operator::start(prompt());
    let mut story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    let mut sent = Vec::new();
    for number in [NUMBER, "0401234567", "358501234567"] {
        sent.push(client.submit(&message(number, b"not to be seen by anybody")).expect("an id"));
        assert_eq!(receipt(&client.delivery()).1, "DELIVRD");
    }
    let found = ctl(&["message", "--to", "040 123 4567"], &story);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("MESSAGE ") && lines[1].starts_with(&sent[1]) && lines[2].starts_with(&sent[0]), "{found}");
    assert!(lines[1].contains("35840****567") && lines[1].contains("elisa") && lines[1].contains("DELIVRD"), "{found}");
    assert!(!found.contains(&sent[2]) && !found.contains("1234567") && !found.contains("not to be seen"), "{found}");

    let known_as = json(&["message", &sent[0]], &story)["parts"][0]["operator_id"].clone();
    let known_as = known_as.as_str().expect("the operator's id");
    for words in [&["--operator-id", known_as][..], &["--operator-id", known_as, "--operator", "elisa"]] {
        let shown = ctl(&[&["message"], words].concat(), &story);
        assert!(shown.starts_with(&format!("message     {}\n", sent[0])), "one that is found is shown whole: {shown}");
    }
    assert_eq!(ids(&json(&["message", "--to", "+358501234567"], &story)), [&sent[2]]);
    let log = story.daemon.log_so_far();
    assert!(!log.contains("1234567"), "{log}");
    story.ends_well();
}

#[test]
fn what_was_delivered_before_a_crash_is_found_after_it() {
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port())]);
    let folder = TempDir::new().expect("a folder");
    let start = || Story { daemon: Daemon::start_in(folder.path(), &setup.text, None), port: setup.port, metrics: setup.metrics };
    let story = start();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    assert_eq!(receipt(&client.delivery()).1, "DELIVRD");
    story.waits_for("smppgw_mailbox_ended_total", &[("how", "delivered")], 1.0);
    let before = json(&["message", &id], &story);
    drop(client);
    story.daemon.kill();
    let story = start();
    let after = json(&["message", &id], &story);
    for field in ["state", "destination", "accepted_at", "parts"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!((&after["state"], ids(&json(&["message", "--to", NUMBER], &story))), (&json!("DELIVRD"), vec![&*id]));
    story.ends_well();
}

#[test]
fn a_message_that_was_refused_for_now_shows_with_what_and_when_it_is_tried_again() {
    let full = Behaviour { answers: vec![(Answer::Status(CommandStatus::EsmeRmsgqful), 1.0)], ..prompt() };
    let operator = Operator::start(full);
    let story = Setup::new(&[("elisa", operator.port())]).operators("retry = { min = \"10m\", max = \"10m\" }").start();
    story.client().submit(&message(NUMBER, b"Moi")).expect("an id");
    operator.wait_until(|counts| counts.received == 1);
    // The operator has answered; the gateway may not have read it yet.
    let asked = Instant::now();
    let found = loop {
        let found = json(&["message", "--to", NUMBER], &story);
        if found["messages"][0]["place"]["at"] == json!("queue") || asked.elapsed() > PATIENCE {
            break found;
        }
    };
    assert_eq!(found["messages"][0]["place"]["refused"], "ESME_RMSGQFUL 0x14", "{found}");
    let shown = ctl(&["message", "--to", NUMBER], &story);
    assert!(shown.contains(", 1 failed attempt, the last with ESME_RMSGQFUL 0x14, due in "), "{shown}");
    story.ends_well();
}

#[test]
fn a_number_is_found_among_many_whose_texts_are_on_the_disk_only_also_after_a_restart() {
    // Nobody listens there: everything waits.
    let setup = Setup::new(&[("elisa", free_port())]).section("[limits]\nhot_messages = 1000");
    let folder = TempDir::new().expect("a folder");
    let start = || Story { daemon: Daemon::start_in(folder.path(), &setup.text, None), port: setup.port, metrics: setup.metrics };
    let story = start();
    let mut client = story.client();
    let first = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    client.submit(&message("46401234567", b"its last digits are the same")).expect("an id");
    for _ in 0..30 {
        let asked: Vec<u32> = (0..50).map(|_| client.send_submit(&message("358509876543", b"Moi"))).collect();
        asked.into_iter().for_each(|sequence| drop(client.answer_to(sequence)));
    }
    let finds = |story: &Story| {
        let one = json(&["message", "--to", NUMBER], story);
        assert_eq!((ids(&one), &one["messages"][0]["certain"]), (vec![&*first], &json!(true)));
        let many = json(&["message", "--to", "+358509876543"], story);
        assert_eq!((ids(&many).len(), &many["more"], &many["complete"]), (20, &json!(true), &json!(true)));
        let shown = ctl(&["message", "--to", "+358509876543"], story);
        assert!(shown.contains("there are older ones: these are the newest\n"), "{shown}");
    };
    finds(&story);
    let socket = folder.path().join("control.sock");
    let ask = ["ctl", "--socket", socket.to_str().expect("a path in UTF-8"), "message", "--to", "358509999999"];
    let unknown = story.daemon.smppgw_fails(&ask);
    assert!(unknown.contains("no message to 35850****999: ") && unknown.contains("try it with + and the country"), "{unknown}");
    drop(client);
    story.daemon.kill();
    let story = start();
    finds(&story);
    story.ends_well();
}
