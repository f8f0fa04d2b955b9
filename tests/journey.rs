//! Messages on their way through failing, slow, strict and silent operators, and what their senders hear of it.

mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use smppgw::message::Address;
use smppgw::simulator::Behaviour;
use smppgw::simulator::smsc::Answer;
use smppgw::smpp::{AddressView, BindKind, CommandId, CommandStatus, Frame, MessageView, Tlvs, encode};
use support::Daemon;
use support::client::{Client, message, receipt, view};
use support::operator::{Operator, Scripted, prompt, sent_before_a_fence};
use support::story::Setup;
use tempfile::TempDir;

const NUMBER: &str = "358401234567";

fn always(status: CommandStatus) -> Behaviour {
    Behaviour { answers: vec![(Answer::Status(status), 1.0)], ..prompt() }
}

fn text(submit: &Frame) -> String {
    String::from_utf8_lossy(view(submit).short_message).into_owned()
}

/// The body of an operator's receipt for one of its ids.
fn receipt_body(id: &str) -> Vec<u8> {
    let text = format!("id:{id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:");
    deliver_body(&MessageView { esm_class: 0x04, short_message: text.as_bytes(), ..message("SHOP", b"") })
}

fn deliver_body(message: &MessageView<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::message_body(&mut out, CommandId::DeliverSm, message);
    out.to_vec()
}

#[test]
fn when_the_first_operator_is_down_the_next_one_carries() {
    let (first, second) = (Operator::start(prompt()), Operator::start(prompt()));
    let story = Setup::new(&[("first", first.port()), ("second", second.port())]).operators("window = 10").start();
    let mut client = story.client();
    for (operator, name) in [(&first, "first"), (&second, "second")] {
        operator.wait_until(|counts| counts.bound() == 1);
        story.waits_for("smppgw_bind_up", &[("operator", name)], 1.0);
    }
    assert!(client.submit(&message(NUMBER, b"one")).is_ok());
    first.wait_until(|counts| counts.received == 1);
    client.delivery();
    first.stop();
    story.waits_for("smppgw_bind_up", &[("operator", "first")], 0.0);
    assert!(client.submit(&message(NUMBER, b"two")).is_ok());
    second.wait_until(|counts| counts.received == 1);
    assert_eq!(receipt(&client.delivery()).1, "DELIVRD");
    story.ends_well();
}

#[test]
fn what_waits_for_an_operator_that_went_down_goes_to_the_next_one_too() {
    let second = Operator::start(prompt());
    let first = Scripted::listen();
    let story = Setup::new(&[("first", first.port()), ("second", second.port())]).operators("window = 1").start();
    let mut gateway = first.accept();
    let mut client = story.client();
    for text in [b"one", b"two"] {
        assert!(client.submit(&message(NUMBER, text)).is_ok());
    }
    gateway.expect(CommandId::SubmitSm);
    drop((gateway, first));
    second.wait_until(|counts| counts.received == 2);
    story.ends_well();
}

#[test]
fn a_temporary_error_sends_a_message_to_the_next_operator() {
    let (first, second) = (Operator::start(always(CommandStatus::EsmeRsyserr)), Operator::start(prompt()));
    let story = Setup::new(&[("first", first.port()), ("second", second.port())]).start();
    first.wait_until(|counts| counts.bound() == 2);
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    assert_eq!(receipt(&client.delivery()), (id, "DELIVRD".to_owned()));
    assert_eq!(second.counts().received, 1);
    story.ends_well();
}

#[test]
fn throttled_messages_come_again_in_their_order_and_none_is_lost() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 10").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    let texts: Vec<String> = (0..6).map(|number| format!("number {number}")).collect();
    for text in &texts {
        assert!(client.submit(&message(NUMBER, text.as_bytes())).is_ok());
    }
    let refused: Vec<Frame> = (0..6).map(|_| gateway.expect(CommandId::SubmitSm)).collect();
    refused.iter().for_each(|submit| gateway.answer(submit, 0x58, &[]));
    let mut again = Vec::new();
    while again.len() < 6 {
        let submit = gateway.expect(CommandId::SubmitSm);
        gateway.answer(&submit, 0, format!("id{}\0", again.len()).as_bytes());
        again.push(text(&submit));
    }
    assert_eq!(again, texts);
    story.waits_for("smppgw_submit_outcomes_total", &[("class", "throttle")], 6.0);
    story.ends_well();
}

#[test]
fn an_operators_rate_is_kept_over_all_its_binds() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).replace("window = 100\nreconnect", "rate = 50\nreconnect").start();
    let mut client = story.client();
    operator.wait_until(|counts| counts.bound() == 2);
    let begun = Instant::now();
    for _ in 0..65 {
        assert!(client.submit(&MessageView { registered_delivery: 0, ..message(NUMBER, b"Moi") }).is_ok());
    }
    operator.wait_until(|counts| counts.received == 65);
    // A tenth of a second's messages may leave at once.
    assert!(begun.elapsed() >= Duration::from_millis(1150), "65 messages at 50/s took {:?}", begun.elapsed());
    story.ends_well();
}

#[test]
fn a_message_is_tried_until_its_validity_ends_and_then_reported_expired() {
    let operator = Operator::start(always(CommandStatus::EsmeRmsgqful));
    let setup = Setup::new(&[("elisa", operator.port())]).operators("retry = { min = \"100ms\", max = \"200ms\" }");
    let story = setup.start();
    let mut client = story.client();
    let id = client.submit(&MessageView { validity_period: b"000000000002000R", ..message(NUMBER, b"Moi") }).expect("an id");
    assert_eq!(receipt(&client.delivery()), (id, "EXPIRED".to_owned()));
    story.waits_for("smppgw_parts_failed_total", &[("operator", "none"), ("state", "EXPIRED")], 1.0);
    assert!(operator.counts().received >= 2, "{:?}", operator.counts());
    story.ends_well();
}

#[test]
fn a_vague_refusal_is_final_only_the_third_time_whatever_went_wrong_before() {
    let operator = Scripted::listen();
    let story =
        Setup::new(&[("elisa", operator.port())]).operators("window = 10\nretry = { min = \"100ms\", max = \"200ms\" }").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    // ESME_RSYSERR, a temporary one, and ESME_RSUBMITFAIL, which may mean anything.
    for status in [0x08, 0x08, 0x45, 0x08, 0x45, 0x45] {
        let submit = gateway.expect(CommandId::SubmitSm);
        gateway.answer(&submit, status, &[]);
    }
    assert_eq!(receipt(&client.delivery()), (id, "REJECTD".to_owned()));
    story.ends_well();
}

#[test]
fn a_permanent_error_is_reported_as_rejected_and_not_tried_again() {
    let operator = Operator::start(always(CommandStatus::EsmeRinvdstadr));
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    assert_eq!(receipt(&client.delivery()), (id, "REJECTD".to_owned()));
    assert_eq!(operator.counts().received, 1);
    story.ends_well();
}

/// A handset calls back the number it was written from. The receipt names it as the application did.
#[test]
fn a_national_sender_goes_out_as_an_international_number() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 10").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    for (ton, sender, sent) in [
        (0, "0401112222", Address::new(1, 1, b"358401112222")),
        (2, "401112222", Address::new(1, 1, b"358401112222")),
        (0, "358401112222", Address::new(1, 1, b"358401112222")),
        (0, "+46701112222", Address::new(1, 1, b"46701112222")),
        (0, "13123", Address::new(3, 0, b"13123")),
        (0, "00", Address::new(3, 0, b"00")),
    ] {
        let source = AddressView { ton, npi: 0, digits: sender.as_bytes() };
        client.submit(&MessageView { source, ..message(NUMBER, b"Moi") }).expect("an id");
        let submit = gateway.expect(CommandId::SubmitSm);
        assert_eq!(view(&submit).source.to_address(), sent, "{ton} {sender}");
        gateway.answer(&submit, 0x0B, &[]);
        let told = view(&client.delivery()).destination.to_address();
        assert_eq!(told.digits, Address::new(0, 0, sender.trim_start_matches('+').as_bytes()).digits);
    }
    story.ends_well();
}

/// user_message_reference means nothing to SMPP 3.3, and a centre may say only in its bind response that it knows no more than that.
#[test]
fn an_operator_of_smpp_3_3_is_sent_no_tlvs_whoever_says_that_it_is() {
    let reference = [0x02, 0x04, 0, 2, 0, 7];
    let told = |version| [&b"scripted\0"[..], &[0x02, 0x10, 0, 1, version]].concat();
    let none = b"scripted\0".to_vec();
    for (settings, answer, passed_on) in [
        ("window = 10", told(0x34), true),
        ("window = 10", none.clone(), true),
        ("window = 10", told(0x33), false),
        ("window = 10\ntlvs = false", told(0x34), false),
    ] {
        let operator = Scripted::listen();
        let story = Setup::new(&[("elisa", operator.port())]).operators(settings).start();
        let mut gateway = operator.accept_with(&answer);
        story.client().submit(&MessageView { tlvs: Tlvs::encoded(&reference), ..message(NUMBER, b"Moi") }).expect("an id");
        let submit = gateway.expect(CommandId::SubmitSm);
        assert_eq!(!view(&submit).tlvs.is_empty(), passed_on, "{settings} {answer:?}");
        gateway.answer(&submit, 0, b"1\0");
        story.ends_well();
    }
}

#[test]
fn a_message_whose_outcome_is_unknown_is_sent_again_and_counted() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 10").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    gateway.expect(CommandId::SubmitSm);
    drop(gateway);
    let mut gateway = operator.accept();
    let submit = gateway.expect(CommandId::SubmitSm);
    gateway.answer(&submit, 0, b"again\0");
    assert_eq!(gateway.ask(CommandId::DeliverSm, &receipt_body("again")).status(), CommandStatus::EsmeRok);
    assert_eq!(receipt(&client.delivery()), (id, "DELIVRD".to_owned()));
    story.waits_for("smppgw_possible_duplicates_total", &[("operator", "elisa")], 1.0);
    story.ends_well();
}

#[test]
fn a_silent_operator_is_asked_again_and_its_late_answer_still_counts() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 1\nresponse = \"3s\"").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    let first = gateway.expect(CommandId::SubmitSm);
    let second = gateway.expect(CommandId::SubmitSm);
    assert_eq!(text(&first), text(&second));
    gateway.answer(&second, 0, b"second\0");
    gateway.answer(&first, 0, b"first\0");
    assert_eq!(gateway.ask(CommandId::DeliverSm, &receipt_body("second")).status(), CommandStatus::EsmeRok);
    assert_eq!(receipt(&client.delivery()), (id, "DELIVRD".to_owned()));
    story.waits_for("smppgw_late_responses_total", &[("operator", "elisa")], 1.0);
    story.waits_for("smppgw_submit_outcomes_total", &[("class", "unknown")], 1.0);
    story.ends_well();
}

#[test]
fn a_late_answer_counts_although_another_bind_sends_the_message_again_and_is_refused() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())])
        .operators("window = 1\nresponse = \"3s\"")
        .replace("count = 1", "count = 2")
        .start();
    let mut binds = [operator.accept(), operator.accept()];
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    // Both windows are full when the answer is overdue, and then the urgent one goes before it: the other bind has to send it again.
    client.submit(&message(NUMBER, b"busy")).expect("an id");
    client.submit(&MessageView { priority_flag: 3, ..message(NUMBER, b"urgent") }).expect("an id");
    let first = binds.each_mut().map(|bind| bind.expect(CommandId::SubmitSm));
    let there = usize::from(text(&first[1]) == "Moi");
    let here = 1 - there;
    assert_eq!(text(&binds[there].expect(CommandId::SubmitSm)), "urgent");
    binds[here].answer(&first[here], 0, b"busy\0");
    let copy = loop {
        let submit = binds[here].expect(CommandId::SubmitSm);
        if text(&submit) == "Moi" {
            break submit;
        }
        binds[here].answer(&submit, 0, b"busy\0");
    };
    binds[there].answer(&first[there], 0, b"first\0");
    story.waits_for("smppgw_late_responses_total", &[("operator", "elisa")], 1.0);
    binds[here].answer(&copy, CommandStatus::EsmeRinvdstadr.into(), &[]);
    assert_eq!(binds[there].ask(CommandId::DeliverSm, &receipt_body("first")).status(), CommandStatus::EsmeRok);
    assert_eq!(receipt(&client.delivery()), (id, "DELIVRD".to_owned()));
}

#[test]
fn receipts_that_come_early_or_twice_reach_the_sender_once() {
    let behaviour = Behaviour { early_receipt: true, duplicate_receipts: true, ..prompt() };
    let operator = Operator::start(behaviour);
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    for _ in 0..20 {
        client.send_submit(&message(NUMBER, b"Moi"));
    }
    let (mut accepted, mut reported) = (HashSet::new(), Vec::new());
    while accepted.len() < 20 || reported.len() < 20 {
        let frame = client.receive();
        if frame.command_id() == CommandId::DeliverSm {
            client.answer(&frame, 0, &[0]);
            reported.push(receipt(&frame).0);
        } else {
            accepted.insert(support::client::string(frame.body()));
        }
    }
    operator.wait_until(|counts| counts.receipts == 40 && counts.undelivered() == 0);
    story.waits_for("smppgw_receipts_repeated_total", &[("operator", "elisa")], 20.0);
    story.waits_for("smppgw_mailbox_ended_total", &[("how", "delivered")], 20.0);
    assert_eq!(reported.into_iter().collect::<HashSet<_>>(), accepted);
    story.ends_well();
}

#[test]
fn a_receipt_may_come_over_another_bind_than_its_message_went() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut binds = [operator.accept(), operator.accept()];
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    let mut sent: Vec<Vec<Frame>> = Vec::new();
    while sent.iter().all(Vec::is_empty) {
        sent = binds.iter_mut().map(sent_before_a_fence).collect();
    }
    let at = sent.iter().position(|frames| !frames.is_empty()).expect("one of them");
    binds[at].answer(&sent[at][0], 0, b"4711\0");
    assert_eq!(binds[1 - at].ask(CommandId::DeliverSm, &receipt_body("4711")).status(), CommandStatus::EsmeRok);
    assert_eq!(receipt(&client.delivery()), (id, "DELIVRD".to_owned()));
    story.ends_well();
}

#[test]
fn receipts_wait_for_a_receiver_and_outlive_the_daemon() {
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port())]);
    let folder = TempDir::new().expect("a folder");
    let daemon = Daemon::start_in(folder.path(), &setup.text, None);
    let mut sender = Client::bound_as(setup.port, BindKind::Transmitter, "app", "secret");
    let ids: HashSet<String> = (0..10).map(|_| sender.submit(&message(NUMBER, b"Moi")).expect("an id")).collect();
    operator.wait_until(|counts| counts.receipts_acknowledged == 10);
    daemon.kill();
    let _daemon = Daemon::start_in(folder.path(), &setup.text, None);
    let mut receiver = Client::bound_as(setup.port, BindKind::Receiver, "app", "secret");
    let reported: HashSet<String> = (0..10).map(|_| receipt(&receiver.delivery()).0).collect();
    assert_eq!(reported, ids);
}

#[test]
fn a_receipt_that_was_not_acknowledged_goes_to_the_next_receiver() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    let sequence = client.send_submit(&message(NUMBER, b"Moi"));
    assert_eq!(client.receive().sequence(), sequence);
    let first = client.expect(CommandId::DeliverSm);
    drop(client);
    let again = story.client().delivery();
    assert_eq!(receipt(&again), receipt(&first));
    story.ends_well();
}

#[test]
fn a_receipt_acknowledged_late_is_not_delivered_again() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).account("window = 1").section("[timers]\nresponse = \"1s\"").start();
    let mut sender = Client::bound_as(story.port, BindKind::Transmitter, "app", "secret");
    let ids: HashSet<String> = (0..2).map(|_| sender.submit(&message(NUMBER, b"Moi")).expect("an id")).collect();
    let mut receiver = Client::bound_as(story.port, BindKind::Receiver, "app", "secret");
    let first = receiver.expect(CommandId::DeliverSm);
    // The window is free again: the gateway does not wait for the first any more.
    let second = receiver.expect(CommandId::DeliverSm);
    receiver.answer(&first, 0, &[0]);
    receiver.answer(&second, 0, &[0]);
    story.waits_for("smppgw_mailbox_ended_total", &[("how", "delivered")], 2.0);
    story.waits_for("smppgw_mailbox_items", &[("account", "app")], 0.0);
    assert_eq!([&first, &second].map(|delivery| receipt(delivery).0).into_iter().collect::<HashSet<_>>(), ids);
    story.ends_well();
}

#[test]
fn the_parts_of_a_mobile_originated_text_arrive_as_one() {
    let operator = Scripted::listen();
    let inbound = "[[inbound]]\nnumber = \"13123\"\naccount = \"app\"";
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 10").section(inbound).start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    for part in [&b"\x05\x00\x03\x2A\x02\x02world"[..], b"\x05\x00\x03\x2A\x02\x01Hello "] {
        let source = AddressView { ton: 1, npi: 1, digits: NUMBER.as_bytes() };
        let destination = AddressView { ton: 3, npi: 0, digits: b"13123" };
        let body = MessageView { source, destination, esm_class: 0x40, registered_delivery: 0, ..message("", part) };
        assert_eq!(gateway.ask(CommandId::DeliverSm, &deliver_body(&body)).status(), CommandStatus::EsmeRok);
    }
    let delivery = client.delivery();
    assert_eq!((text(&delivery).as_str(), view(&delivery).esm_class), ("Hello world", 0));
    assert_eq!(view(&delivery).source.to_address(), Address::new(1, 1, NUMBER.as_bytes()));
    story.ends_well();
}

/// An operator may write the numbers of its own country as they are written there.
#[test]
fn a_mobile_originated_message_finds_its_number_however_the_operator_writes_it() {
    let operator = Scripted::listen();
    let inbound = "[[inbound]]\nnumber = \"+3584570001122\"\naccount = \"app\"";
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 10").section(inbound).start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    for (ton, number) in
        [(1, "3584570001122"), (0, "+3584570001122"), (0, "04570001122"), (2, "4570001122"), (0, "003584570001122")]
    {
        let destination = AddressView { ton, npi: 1, digits: number.as_bytes() };
        let body = MessageView { destination, registered_delivery: 0, ..message("", b"hei") };
        assert_eq!(gateway.ask(CommandId::DeliverSm, &deliver_body(&body)).status(), CommandStatus::EsmeRok, "{number}");
        assert_eq!(view(&client.delivery()).destination.digits, number.as_bytes());
    }
    let stranger = AddressView { ton: 0, npi: 1, digits: b"04570001123" };
    let body = MessageView { destination: stranger, registered_delivery: 0, ..message("", b"hei") };
    assert_eq!(u32::from(gateway.ask(CommandId::DeliverSm, &deliver_body(&body)).status()), 0x66);
    story.ends_well();
}

#[test]
fn a_campaign_of_one_account_does_not_delay_another_ones_message() {
    let operator = Scripted::listen();
    let other = "[[account]]\nsystem_id = \"other\"\npassword = \"secret\"";
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 1").section(other).start();
    let mut gateway = operator.accept();
    let mut campaign = story.client();
    for _ in 0..100 {
        assert!(campaign.submit(&message(NUMBER, b"Buy!")).is_ok());
    }
    let mut other = Client::bound_as(story.port, BindKind::Transceiver, "other", "secret");
    assert!(other.submit(&message(NUMBER, b"Code 1234")).is_ok());
    let mut before = 0;
    loop {
        let submit = gateway.expect(CommandId::SubmitSm);
        gateway.answer(&submit, 0, format!("{before}\0").as_bytes());
        if text(&submit) == "Code 1234" {
            break;
        }
        before += 1;
    }
    assert!(before <= 20, "{before} of the campaign went first");
    story.ends_well();
}

#[test]
fn a_scheduled_message_leaves_when_its_time_has_come() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = story.client();
    let begun = Instant::now();
    let later = MessageView { schedule_delivery_time: b"000000000004000R", ..message(NUMBER, b"later") };
    assert!(client.submit(&later).is_ok() && client.submit(&message(NUMBER, b"now")).is_ok());
    operator.wait_until(|counts| counts.received == 2);
    assert!(begun.elapsed() >= Duration::from_millis(3900), "{:?}", begun.elapsed());
    assert_eq!(operator.texts(), [b"now".to_vec(), b"later".to_vec()]);
    story.ends_well();
}

#[test]
fn a_long_message_has_one_receipt_or_one_per_part_as_the_account_wants() {
    let long = [b'a'; 250];
    for (policy, receipts) in [("message", 1), ("part", 2)] {
        let operator = Operator::start(prompt());
        let story = Setup::new(&[("elisa", operator.port())]).account(&format!("receipts = \"{policy}\"")).start();
        let mut client = story.client();
        let id = client.submit(&message(NUMBER, &long)).expect("an id");
        for _ in 0..receipts {
            assert_eq!(receipt(&client.delivery()), (id.clone(), "DELIVRD".to_owned()));
        }
        let parts: HashSet<_> = operator.records().iter().filter_map(|record| record.concatenation.map(|c| c.sequence)).collect();
        assert_eq!(parts, HashSet::from([1, 2]));
        story.waits_for("smppgw_mailbox_ended_total", &[("how", "delivered")], receipts.into());
        story.ends_well();
    }
}

#[test]
fn no_more_than_the_window_is_ever_unanswered() {
    let operator = Scripted::listen();
    let story = Setup::new(&[("elisa", operator.port())]).operators("window = 3").start();
    let mut gateway = operator.accept();
    let mut client = story.client();
    for _ in 0..20 {
        assert!(client.submit(&message(NUMBER, b"Moi")).is_ok());
    }
    let mut open: Vec<Frame> = (0..3).map(|_| gateway.expect(CommandId::SubmitSm)).collect();
    for answered in 0..20 {
        assert!(sent_before_a_fence(&mut gateway).is_empty(), "the window is full");
        let submit = open.remove(0);
        gateway.answer(&submit, 0, format!("{answered}\0").as_bytes());
        if answered < 17 {
            open.push(gateway.expect(CommandId::SubmitSm));
        }
    }
    assert!(open.is_empty());
    story.ends_well();
}
