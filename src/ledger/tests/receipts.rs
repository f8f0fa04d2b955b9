//! Whose a receipt is.

use super::*;

fn delivered(world: &mut World, ids: &[u64]) {
    assert_eq!(world.states(), ids.iter().map(|id| (*id, State::Delivered)).collect::<Vec<_>>());
}

#[test]
fn the_first_final_state_stands_and_a_later_one_is_counted() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "a");
    world.receipt(A, "a", State::Delivered);
    world.receipt(A, "a", State::Delivered);
    assert!(world.noted(Note::ReceiptRepeated { operator: A, contradicts: false }));
    world.receipt(A, "a", State::Undeliverable);
    assert!(world.noted(Note::ReceiptRepeated { operator: A, contradicts: true }));
    delivered(&mut world, &[1]);
}

#[test]
fn a_receipt_that_comes_before_the_response_waits_for_it() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.receipt(A, "a", State::Accepted);
    world.receipt(A, "a", State::Delivered);
    assert_eq!((world.ledger.parked(), world.states()), (2, vec![]));
    world.sent(&job, (0, 1), A, "a");
    delivered(&mut world, &[1]);
    assert_eq!((world.ledger.parked(), world.ledger.live(), world.finished()), (0, 1, 1));
}

#[test]
fn an_early_receipt_survives_a_restart_between_it_and_the_response() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.receipt(A, "a", State::Delivered);
    let mut world = world.restarted();
    world.sent(&job, (0, 1), A, "a");
    delivered(&mut world, &[1]);
}

#[test]
fn a_torn_write_between_a_response_and_its_early_receipt_loses_neither() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.receipt(A, "a", State::Delivered);
    world.sent(&job, (0, 1), A, "a");
    let sent = world.log.kinds().iter().position(|kind| *kind == kind::SENT).unwrap();
    for kept in sent + 1..=world.log.records.len() {
        let mut torn = World::new();
        torn.log.records = world.log.records[..kept].iter().map(|r| Entry { payload: r.payload.clone(), ..*r }).collect();
        let mut again = torn.restarted();
        again.tick_after(0);
        assert_eq!(again.states(), [(1, State::Delivered)], "{kept} records");
        again.tick_after(61);
        assert_eq!((again.states(), again.ledger.live()), (vec![], 1));
    }
}

#[test]
fn a_receipt_that_belongs_to_nothing_is_listed_when_its_time_is_over() {
    let mut world = World::new();
    world.receipt(A, "stranger", State::Delivered);
    assert!(world.noted(Note::ReceiptParked { operator: A }));
    world.tick_after(59);
    assert_eq!(world.ledger.parked(), 1);
    world.tick_after(1);
    assert!(world.noted(Note::ReceiptUnmatched { operator: A }));
    assert_eq!((world.ledger.parked(), world.ledger.live()), (0, 0));
    let listed: Vec<_> = world.ledger.unmatched().collect();
    assert_eq!((&*listed[0].operator_id, &*listed[0].state, &*listed[0].operator), ("stranger", "DELIVRD", "alpha"));
}

#[test]
fn parked_receipts_are_listed_newest_first_whosever_they_are() {
    let mut world = World::new();
    for (operator, id) in [(A, "first"), (B, "second"), (A, "third")] {
        world.receipt(operator, id, State::Delivered);
        world.tick_after(1);
    }
    let listed: Vec<_> = world.ledger.newest_parked().map(|receipt| receipt.operator_id).collect();
    assert_eq!(listed, ["third", "second", "first"]);
}

#[test]
fn a_receipt_without_an_id_is_listed_at_once_and_costs_no_record() {
    let mut world = World::new();
    world.receipt(A, "", State::Delivered);
    assert!(world.noted(Note::ReceiptUnmatched { operator: A }));
    assert!(world.log.records.is_empty());
}

#[test]
fn the_number_decides_between_two_messages_with_one_id() {
    let mut world = World::new();
    let first = world.accept(1, 1);
    let second = job(2, 1, "358507654321");
    world.apply(second.clone().into());
    world.sent(&first, (0, 1), A, "7");
    world.sent(&second, (0, 1), A, "7");
    world.receipt_about(A, "7", State::Delivered, "+358 50 7654321");
    delivered(&mut world, &[2]);
    world.receipt_about(A, "7", State::Delivered, "0401234567");
    delivered(&mut world, &[1]);
}

#[test]
fn what_the_number_cannot_decide_is_parked_and_never_guessed() {
    let mut world = World::new();
    for id in [1, 2] {
        let job = world.accept(id, 1);
        world.sent(&job, (0, 1), A, "7");
    }
    world.receipt(A, "7", State::Delivered);
    assert!(world.noted(Note::ReceiptAmbiguous { operator: A }));
    assert_eq!((world.states(), world.ledger.parked()), (vec![], 1));
    world.tick_after(60);
    assert!(world.noted(Note::ReceiptUnmatched { operator: A }));
    assert_eq!(world.ledger.pending_messages(), 2);
}

#[test]
fn a_receipt_about_another_number_belongs_to_somebody_else() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "7");
    world.receipt_about(A, "7", State::Delivered, "358509999999");
    assert_eq!((world.states(), world.ledger.parked()), (vec![], 1));
}

#[test]
fn a_receipt_without_a_source_belongs_to_the_only_message_with_its_id() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "7");
    let (source, destination) = (Address::default(), Address::new(1, 1, b"358451112223"));
    world.receipt_from_to(A, receipt("7", State::Delivered), source, destination);
    delivered(&mut world, &[1]);
}

#[test]
fn an_id_used_again_means_the_message_that_still_waits() {
    let mut world = World::new();
    for id in [1, 2] {
        let job = world.accept(id, 1);
        world.sent(&job, (0, 1), A, "7");
        world.receipt(A, "7", State::Delivered);
    }
    delivered(&mut world, &[1, 2]);
    world.receipt(A, "7", State::Delivered);
    assert!(world.noted(Note::ReceiptRepeated { operator: A, contradicts: false }));
}

#[test]
fn hexadecimal_and_decimal_forms_meet_by_the_operators_setting() {
    for (receipt_id, response, receipt) in
        [(ReceiptId::Hex, "1234567890", "499602D2"), (ReceiptId::Dec, "499602d2", "1234567890"), (ReceiptId::Same, "00ff", "FF")]
    {
        let mut world = World::with(TestRules { receipt_id, ..TestRules::default() });
        let job = world.accept(1, 1);
        world.sent(&job, (0, 1), A, response);
        world.receipt(A, receipt, State::Delivered);
        delivered(&mut world, &[1]);
    }
}

#[test]
fn an_id_that_means_one_message_as_written_and_another_converted_is_parked() {
    let mut world = World::with(TestRules { receipt_id: ReceiptId::Hex, ..TestRules::default() });
    for (id, operator_id) in [(1, "10"), (2, "16")] {
        let job = world.accept(id, 1);
        world.sent(&job, (0, 1), A, operator_id);
    }
    world.receipt(A, "10", State::Delivered);
    assert!(world.noted(Note::ReceiptAmbiguous { operator: A }));
    // When one of them has ended the other way, it can only be the other.
    world.receipt(A, "F", State::Delivered);
    world.failed(1, None, State::Expired, 0);
    world.tick_after(3_600);
    assert_eq!(world.ledger.pending_messages(), 0);
}

#[test]
fn the_id_belongs_to_the_operator_and_not_to_another_one() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "7");
    world.receipt(B, "7", State::Delivered);
    assert_eq!((world.states(), world.ledger.parked()), (vec![], 1));
    world.receipt(A, "7", State::Delivered); // on whichever bind of A
    delivered(&mut world, &[1]);
}

#[test]
fn when_no_receipt_comes_the_owner_is_told_so() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.tick_after(3_000);
    world.sent(&job, (0, 1), A, "7");
    let mut world = world.restarted();
    world.effects.clear();
    world.tick_after(3_599);
    assert_eq!(world.states(), [], "counted from when it was sent");
    world.tick_after(1);
    assert!(world.noted(Note::ReceiptMissing { operator: Some(A) }));
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Expired)], 1));
}

#[test]
fn each_part_has_the_whole_time_for_its_receipt() {
    let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
    let job = world.accept(1, 1);
    world.sent(&job, (0, 2), A, "a");
    world.tick_after(3_000);
    world.sent(&job, (1, 2), A, "b");
    world.tick_after(600);
    assert_eq!(world.states(), [(1, State::Expired)]);
    world.tick_after(2_999);
    assert_eq!(world.states(), []);
    world.tick_after(1);
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Expired)], 1));
}

#[test]
fn intermediate_states_are_forwarded_only_where_asked_for() {
    let mut world = World::new();
    for (id, request) in [(1, 0x01), (2, 0x11)] {
        let job = world.accept(id, request);
        world.sent(&job, (0, 1), A, &id.to_string());
        world.receipt(A, &id.to_string(), State::Enroute);
    }
    let receipts = world.receipts();
    let [receipt] = &receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((receipt.message, receipt.state), (MessageId(2), State::Enroute));
    assert_eq!(receipt.part, None, "a message of one part has no part numbers");
    assert_eq!(world.ledger.pending_messages(), 2);
}

#[test]
fn an_operator_cannot_park_receipts_without_end() {
    let mut world = World::new();
    for id in 0..20_003 {
        // The check of the whole log after every event would take its time here.
        let World { ledger, log, rules, now, effects } = &mut world;
        let receipt = receipt(&format!("{id}"), State::Delivered);
        let keys = ledger.keys.of_receipt(A, rules.receipt_id, &receipt.id);
        let event = received(A, receipt, keys, Address::default(), Address::default(), *now);
        ledger.apply(event, &mut Turn { now: *now, log, rules, effects });
    }
    world.receipt(B, "1", State::Delivered);
    assert_eq!((world.ledger.parked(), world.ledger.live()), (20_001, 20_001));
    assert!(world.noted(Note::ReceiptUnmatched { operator: A }));
}

#[test]
fn a_failure_that_cannot_be_told_just_now_is_told_whatever_becomes_of_the_other_part_meanwhile() {
    for meanwhile in [State::Delivered, State::Undeliverable] {
        let mut world = World::new();
        let job = world.accept(1, 1);
        world.sent(&job, (0, 2), A, "a");
        world.sent(&job, (1, 2), A, "b");
        // After a start no text is in memory.
        let mut world = world.restarted();
        world.log.is_unreadable = true;
        world.receipt(A, "a", State::Undeliverable);
        assert_eq!((world.states(), world.ledger.pending_messages()), (vec![], 1));
        world.receipt(A, "b", meanwhile);
        assert_eq!((world.states(), world.ledger.pending_messages()), (vec![], 1));
        world.log.is_unreadable = false;
        world.tick_after(1);
        assert_eq!((world.states(), world.ledger.pending_messages()), (vec![(1, State::Undeliverable)], 0));
        world.tick_after(4_000);
        assert_eq!(world.states(), [], "and told once");
    }
}

/// An account that has a receipt for each part, and is taken out of the configuration or changed before the last one has come.
#[test]
fn a_message_is_not_reported_delivered_when_a_part_of_it_was_not() {
    let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
    let job = world.accept(1, 1);
    world.sent(&job, (0, 2), A, "a");
    world.sent(&job, (1, 2), A, "b");
    world.receipt(A, "a", State::Undeliverable);
    assert_eq!(world.states(), [(1, State::Undeliverable)]);
    world.rules.policy = ReceiptPolicy::Message;
    world.receipt(A, "b", State::Delivered);
    assert_eq!(world.states(), [(1, State::Undeliverable)]);
}

#[test]
fn what_is_told_of_a_finished_message_is_the_worst_of_its_parts() {
    for receipt in [0, 1, 2] {
        let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
        let job = world.accept(1, receipt);
        if receipt == 0 {
            world.failed(1, Some((1, 2)), State::Rejected, 0x0B);
            world.sent(&job, (1, 2), A, "b");
        } else {
            world.sent(&job, (0, 2), A, "a");
            world.sent(&job, (1, 2), A, "b");
            world.receipt(A, "a", State::Rejected);
            world.receipt(A, "b", State::Delivered);
        }
        let status = world.ledger.standing(MessageId(1)).expect("finished");
        assert_eq!(status.state, Some(State::Rejected), "registered_delivery {receipt}");
    }
}

/// While the gateway was down no receipt could come: operators have kept them, and bring them now.
#[test]
fn after_a_long_stop_receipts_are_awaited_before_a_message_is_given_up() {
    let mut world = World::new();
    for id in [1, 2] {
        let job = world.accept(id, 1);
        world.sent(&job, (0, 1), A, &format!("m{id}"));
    }
    world.now = world.now.plus(Duration::from_secs(1_000_000));
    let mut world = world.restarted();
    world.tick_after(0);
    world.tick_after(3_500);
    assert_eq!(world.states(), []);
    world.receipt(A, "m1", State::Delivered);
    delivered(&mut world, &[1]);
    world.tick_after(100);
    assert_eq!(world.states(), [(2, State::Expired)]);
}

#[test]
fn after_a_long_stop_an_early_receipt_still_waits_for_its_response() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.receipt(A, "a", State::Delivered);
    world.now = world.now.plus(Duration::from_secs(1_000_000));
    let mut world = world.restarted();
    world.tick_after(0);
    world.sent(&job, (0, 1), A, "a");
    delivered(&mut world, &[1]);
}

/// The clock was ten years ahead when the message was sent, and is right now.
#[test]
fn the_receipt_of_what_was_sent_in_the_future_is_not_awaited_until_then() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    let today = world.now;
    world.now = today.plus(Duration::from_secs(315_360_000));
    world.sent(&job, (0, 1), A, "a");
    world.receipt(A, "nobody's", State::Delivered);
    world.now = today;
    let mut world = world.restarted();
    world.tick_after(3_600);
    assert_eq!((world.states(), world.ledger.parked()), (vec![(1, State::Expired)], 0));
}
