//! More than the gateway can take: who presses is slowed down, then throttled, then refused; nobody else notices.

mod support;

use std::time::Instant;

use bytes::{BufMut, BytesMut};
use smppgw::smpp::{BindKind, CommandId, Frame, MessageView, Tlvs};
use support::client::{Client, THROTTLED, message, message_body, pdu, receipt};
use support::operator::{Operator, Scripted, prompt};
use support::scrape::{scrape, value};
use support::story::{Setup, Story};
use support::{PATIENCE, free_port};

const NUMBER: &str = "358401234567";
const QUEUE_FULL: u32 = 0x14;

/// A daemon without any operator that answers.
fn lonely() -> Setup {
    Setup::new(&[("elisa", 1)])
}

/// What so many submissions, one after the other, are answered.
fn statuses(client: &mut Client, count: usize) -> Vec<u32> {
    (0..count).map(|_| client.submit_once(&message(NUMBER, b"Moi")).err().unwrap_or(0)).collect()
}

/// All accepted, then fewer and fewer, then none: so many in all.
fn is_graded(statuses: &[u32], limit: usize) {
    let accepted = statuses.iter().filter(|status| **status == 0).count();
    let full = statuses.iter().position(|status| *status == QUEUE_FULL).expect("the limit is met");
    assert_eq!(accepted, limit);
    assert!(statuses[..limit * 9 / 10].iter().all(|status| *status == 0), "nothing is refused far from the limit: {statuses:?}");
    assert!(statuses[limit * 9 / 10..full].contains(&THROTTLED), "first it is throttled: {statuses:?}");
    assert!(statuses[full..].iter().all(|status| *status == QUEUE_FULL), "then it is refused: {statuses:?}");
}

#[test]
fn an_account_near_its_limit_is_throttled_and_at_its_limit_refused() {
    let other = "[[account]]\nsystem_id = \"other\"\npassword = \"secret\"";
    let story = lonely().account("queue = 100").section(other).start();
    let mut client = story.client();
    is_graded(&statuses(&mut client, 400), 100);
    client.is_alive();
    let mut other = Client::bound_as(story.port, BindKind::Transceiver, "other", "secret");
    assert!(other.submit(&message("+358401234567", b"Moi")).is_ok(), "its limit is its own");
    story.ends_well();
}

#[test]
fn all_accounts_together_have_a_limit_too_and_draining_makes_room() {
    let port = free_port();
    let setup = Setup::new(&[("elisa", port)]).section("[limits]\npending = 200");
    let story = setup.start();
    let mut first = story.client();
    let mut second = Client::bound_as(story.port, BindKind::Transmitter, "app", "secret");
    let mut all = Vec::new();
    for _ in 0..400 {
        all.extend(statuses(&mut first, 1));
        all.extend(statuses(&mut second, 1));
    }
    is_graded(&all, 200);
    let operator = Operator::start_at(port, prompt());
    (0..200).for_each(|_| drop(first.delivery()));
    operator.wait_until(|counts| counts.receipts_acknowledged == 200);
    // What the receipts took is free once the disk knows that they are delivered.
    story.waits_for("smppgw_mailbox_ended_total", &[("account", "app"), ("how", "delivered")], 200.0);
    (0..50).for_each(|_| assert!(second.submit(&message(NUMBER, b"Moi")).is_ok()));
    story.ends_well();
}

/// Writes as much as the sockets take, and reads nothing.
fn floods(client: &mut Client, count: u32) {
    let body = message_body(&message(NUMBER, b"Moi"));
    let mut octets = BytesMut::new();
    (0..count).for_each(|at| octets.put_slice(&pdu(CommandId::SubmitSm, 0, 1_000 + at, &body)));
    client.write(&octets);
}

/// Was a submission throttled, because a commit took long, rather than accepted?
fn is_throttled(answer: &Frame) -> bool {
    let status = answer.status().into();
    assert!([0, THROTTLED].contains(&status), "{answer:?}");
    status == THROTTLED
}

fn is_served(story: &Story) {
    let mut other = Client::bound_as(story.port, BindKind::Transceiver, "other", "secret");
    let without_receipt = MessageView { registered_delivery: 0, ..message("+358401234567", b"Moi") };
    (0..50).for_each(|_| assert!(other.submit(&without_receipt).is_ok()));
    other.is_alive();
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_and_its_receipts_are_kept() {
    let operator = Operator::start(prompt());
    let other = "[[account]]\nsystem_id = \"other\"\npassword = \"secret\"";
    let story = Setup::new(&[("elisa", operator.port())]).section(other).start();
    let mut deaf = story.client();
    floods(&mut deaf, 3_000);
    is_served(&story);
    let count = |name: &str| value(&scrape(story.metrics), name, &[("account", "app")]) as usize;
    let answered = || (count("smppgw_messages_accepted_total"), count("smppgw_messages_rejected_total"));
    let until = Instant::now() + PATIENCE;
    let accepted = loop {
        // A few may have been throttled, because a commit took long.
        let (accepted, rejected) = answered();
        if accepted + rejected == 3_000 {
            break accepted;
        }
        assert!(Instant::now() < until, "{accepted} accepted, {rejected} rejected");
    };
    assert!(accepted > 0);
    is_served(&story);
    drop(deaf);
    let mut hearing = story.client();
    let mut heard: Vec<String> = Vec::new();
    while heard.len() < accepted {
        let (id, state) = receipt(&hearing.delivery());
        assert_eq!(state, "DELIVRD");
        heard.push(id);
    }
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), accepted, "each message has its receipt");
    story.ends_well();
}

#[test]
fn what_waits_on_disk_for_an_operator_that_is_down_goes_to_the_next_one() {
    let second = Operator::start(prompt());
    let first = Scripted::listen();
    let limits = "[limits]\nhot_messages = 1000";
    let story =
        Setup::new(&[("first", first.port()), ("second", second.port())]).operators("window = 20").section(limits).start();
    let gateway = first.accept();
    story.waits_for("smppgw_bind_up", &[("operator", "second")], 1.0);
    let mut client = story.client();
    let body = message_body(&MessageView { registered_delivery: 0, ..message(NUMBER, b"Moi") });
    for sequence in 10..2_010 {
        client.write(&pdu(CommandId::SubmitSm, 0, sequence, &body));
    }
    let refused = (0..2_000).filter(|_| is_throttled(&client.receive())).count() as u64;
    drop((gateway, first));
    second.wait_until(|counts| counts.accepted == 2_000 - refused);
    story.ends_well();
}

/// They are read back 2 MiB at a time: what was not read goes with the next slice.
#[test]
fn large_messages_that_wait_for_an_operator_that_is_down_all_go_to_the_next_one() {
    const MESSAGES: usize = 100;
    let second = Operator::start(prompt());
    let first = Scripted::listen();
    let story = Setup::new(&[("first", first.port()), ("second", second.port())]).operators("window = 20").start();
    let gateway = first.accept();
    story.waits_for("smppgw_bind_up", &[("operator", "second")], 1.0);
    let mut client = story.client();
    let vendors = [&[0x14, 0x01, (60_000u16 >> 8) as u8, 60_000u16 as u8][..], &[0; 60_000]].concat();
    let large = MessageView { registered_delivery: 0, tlvs: Tlvs::encoded(&vendors), ..message(NUMBER, b"Moi") };
    for _ in 0..MESSAGES {
        client.submit(&large).expect("an id");
    }
    drop((gateway, first));
    second.wait_until(|counts| counts.accepted == MESSAGES as u64);
    story.ends_well();
}
