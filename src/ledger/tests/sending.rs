//! From acceptance to the operator's answer.

use super::*;

#[test]
fn an_accepted_message_is_sent_and_its_receipt_reaches_the_mailbox() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    assert!(matches!(&world.effects[..], [Effect::Queue(Waiting { id: MessageId(1), bound_to: None, done: 0, .. })]));
    world.sent(&job, (0, 1), A, "abc");
    world.receipt(A, "abc", State::Delivered);
    let receipts = world.receipts();
    let [receipt] = &receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((receipt.message, receipt.state, receipt.part, receipt.parts), (MessageId(1), State::Delivered, None, 1));
    assert_eq!((receipt.submitted_at, receipt.done_at, &receipt.error[..]), (job.message.accepted_at, world.now, &b""[..]));
    assert_eq!((world.finished(), world.ledger.pending_messages(), world.ledger.live()), (1, 0, 1));
    let status = world.ledger.status(MessageId(1), &mut world.log).unwrap();
    assert_eq!((status.state, &*status.parts[0].operator_id), (Some(State::Delivered), "abc"));
}

#[test]
fn the_application_takes_its_receipt_and_nothing_is_left() {
    for how in [MailEnd::Delivered, MailEnd::Refused, MailEnd::Expired] {
        let mut world = World::new();
        let job = world.accept(1, 1);
        world.sent(&job, (0, 1), A, "abc");
        world.receipt(A, "abc", State::Delivered);
        let mail = world.mail().remove(0);
        assert_eq!(world.ledger.mail(mail.id, &mut world.log).as_deref(), Some(&*mail));
        world.apply(Event::MailDone(vec![(mail.id, how)]));
        world.apply(Event::MailDone(vec![(mail.id, how)]));
        assert!(world.noted(Note::MailEnded { account: AccountKey(0), how, count: 1 }));
        assert_eq!(world.ledger.live(), 0);
        assert!(beliefs(&world.restarted().ledger).is_empty());
    }
}

#[test]
fn where_no_receipt_is_wanted_a_message_ends_when_all_its_parts_are_sent() {
    let mut world = World::new();
    let job = world.accept(1, 0);
    world.sent(&job, (0, 2), A, "a");
    assert_eq!((world.finished(), world.ledger.pending_messages()), (0, 1));
    world.sent(&job, (1, 2), A, "b");
    assert_eq!((world.finished(), world.ledger.live()), (1, 0));
}

#[test]
fn where_no_receipt_is_wanted_a_refused_part_ends_the_message_too() {
    for policy in [ReceiptPolicy::Message, ReceiptPolicy::Part] {
        for sent_first in [true, false] {
            let mut world = World::with(TestRules { policy, ..TestRules::default() });
            let job = world.accept(1, 0);
            if sent_first {
                world.sent(&job, (0, 2), A, "a");
            }
            world.failed(1, Some((0b10, 2)), State::Rejected, 0x0B);
            world.sent(&job, (0, 2), A, "a");
            assert_eq!((world.finished(), world.ledger.live()), (1, 0), "{policy:?} {sent_first}");
        }
    }
}

#[test]
fn a_receipt_for_failures_only_stays_silent_about_success() {
    let mut world = World::new();
    for (id, operator_id, state) in [(1, "a", State::Delivered), (2, "b", State::Undeliverable)] {
        let job = world.accept(id, 2);
        world.sent(&job, (0, 1), A, operator_id);
        world.receipt(A, operator_id, state);
    }
    assert_eq!(world.states(), [(2, State::Undeliverable)]);
    assert_eq!(world.finished(), 2);
}

#[test]
fn an_application_that_wants_to_hear_of_success_only_hears_nothing_of_failure() {
    let mut world = World::new();
    world.accept(1, 3);
    world.failed(1, None, State::Expired, 0);
    assert_eq!((world.states(), world.finished()), (vec![], 1));
}

#[test]
fn one_receipt_speaks_for_all_parts() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    for (part, id) in [(0, "a"), (1, "b"), (2, "c")] {
        world.sent(&job, (part, 3), A, id);
    }
    world.receipt(A, "b", State::Delivered);
    world.receipt(A, "a", State::Delivered);
    assert_eq!(world.states(), []);
    world.receipt(A, "c", State::Delivered);
    let receipts = world.receipts();
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].state, receipts[0].part, receipts[0].parts), (State::Delivered, None, 3));
}

#[test]
fn each_part_has_its_own_receipt_where_the_account_wants_that() {
    let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
    let job = world.accept(1, 1);
    for (part, id) in [(0, "a"), (1, "b")] {
        world.sent(&job, (part, 2), A, id);
    }
    world.receipt(A, "a", State::Delivered);
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Delivered)], 0));
    world.receipt(A, "b", State::Undeliverable);
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Undeliverable)], 1));
}

#[test]
fn a_refused_part_is_reported_for_the_whole_message_at_once() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 3), A, "a");
    world.failed(1, Some((0b110, 3)), State::Rejected, 0x0B);
    let receipts = world.receipts();
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].state, &receipts[0].error[..]), (State::Rejected, &b"011"[..]));
    assert_eq!((world.finished(), world.ledger.pending_messages()), (1, 0));
    // The first part's receipt belongs to a closed message: no second result, and no contradiction either.
    world.receipt(A, "a", State::Delivered);
    assert_eq!(world.states(), []);
    assert!(world.noted(Note::ReceiptRepeated { operator: A, contradicts: false }));
}

#[test]
fn where_parts_have_receipts_the_others_go_on_after_one_is_refused() {
    let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
    let job = world.accept(1, 1);
    world.failed(1, Some((0b010, 3)), State::Rejected, 0x0B);
    world.sent(&job, (0, 3), A, "a");
    world.sent(&job, (2, 3), A, "c");
    world.receipt(A, "a", State::Delivered);
    assert_eq!(world.states(), [(1, State::Rejected), (1, State::Delivered)]);
    world.tick_after(3_601);
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Expired)], 1));
}

#[test]
fn what_an_operator_has_taken_does_not_fail_afterwards() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "a");
    world.failed(1, Some((0b1, 1)), State::Undeliverable, 0);
    assert_eq!(world.states(), []);
    world.receipt(A, "a", State::Delivered);
    assert_eq!(world.states(), [(1, State::Delivered)]);
}

#[test]
fn a_message_sent_twice_is_known_by_both_ids_and_ends_once() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "second");
    world.sent(&job, (0, 1), A, "first"); // its response was late
    world.receipt(A, "first", State::Delivered);
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Delivered)], 1));
    world.receipt(A, "second", State::Delivered);
    assert!(world.noted(Note::ReceiptRepeated { operator: A, contradicts: false }));
    assert_eq!(world.ledger.parked(), 0);
}

#[test]
fn a_message_that_ends_in_the_batch_of_its_acceptance_leaves_no_trace() {
    for hot in [0, 4] {
        let mut world = World::new();
        world.ledger.index = Index::new(hot);
        world.accept(1, 1);
        world.failed(1, None, State::Rejected, 0x0B);
        assert_eq!((world.states(), world.ledger.live()), (vec![(1, State::Rejected)], 1));
        let mut again = world.restarted();
        assert_eq!((again.ledger.pending_messages(), again.states()), (0, vec![(1, State::Rejected)]));
    }
}

#[test]
fn more_parts_than_can_be_counted_do_no_harm() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (70, 200), A, "a");
    world.failed(1, Some((PartSet::MAX, 255)), State::Rejected, 1);
    assert_eq!(world.ledger.pending_messages(), 1);
    world.failed(1, None, State::Expired, 0);
    assert_eq!(world.states(), [(1, State::Expired)]);
}

#[test]
fn a_damaged_record_is_given_up_and_what_is_in_memory_is_written_again() {
    let mut world = World::new();
    let jobs: Vec<_> = (1..=6).map(|id| world.accept(id, 1)).collect();
    for job in &jobs {
        world.sent(job, (0, 1), A, &format!("id{}", job.id.0));
    }
    world.apply(Event::Mo(Box::new(mo("358501", "half", Some((1, 2, 1))))));
    world.receipt(A, "nobody", State::Delivered);
    assert_eq!(world.turn(|ledger, t| ledger.give_up(1, t)), 2, "two of six are not in memory");
    assert_eq!((world.finished(), world.ledger.pending_messages(), world.ledger.live()), (2, 4, 6));
    world.log.first = 0;
    assert_eq!(beliefs(&world.restarted().ledger), beliefs(&world.ledger));
}

#[test]
fn a_message_whose_record_is_damaged_ends_without_a_word_but_gives_its_share_of_the_queue_back() {
    let mut world = World::new();
    world.ledger.index = Index::new(0);
    let job = world.accept(1, 0x11);
    world.sent(&job, (0, 1), A, "a");
    world.log.records[0].payload = Bytes::new();
    world.receipt(A, "a", State::Accepted);
    assert_eq!((world.finished(), world.ledger.pending_messages()), (0, 1), "an intermediate state ends nothing");
    world.receipt(A, "a", State::Delivered);
    assert_eq!(world.finished(), 1);
}

/// What support is asked about is often older than the last restart.
#[test]
fn finished_messages_are_remembered_over_a_restart_as_far_as_their_records_are_in_the_log() {
    let mut world = World::new();
    let (told, taken) = (world.accept(1, 1), world.accept(2, 0));
    world.sent(&told, (0, 1), A, "a");
    world.sent(&taken, (0, 1), B, "b");
    world.accept(3, 0);
    world.failed(3, None, State::Rejected, 0x0B);
    world.receipt(A, "a", State::Delivered);
    let statuses = |world: &World| [1, 2, 3].map(|id| world.ledger.standing(MessageId(id)).expect("remembered"));
    let (before, after) = (statuses(&world), statuses(&world.restarted()));
    for (before, mut after) in before.into_iter().zip(after) {
        let second = |at: Option<u64>| at.map(|at| at / 1_000);
        assert_eq!(second(after.finished_at), second(before.finished_at));
        after.finished_at = before.finished_at;
        assert_eq!(after, before);
        assert!(after.accepted_at.is_some() && after.destination.is_some(), "{after:?}");
    }
}

#[test]
fn parts_taken_together_are_one_record_which_ends_messages_too() {
    let mut world = World::new();
    let (awaited, whole, half) = (world.accept(1, 1), world.accept(2, 0), world.accept(3, 0));
    let before = world.log.records.len();
    let parts = vec![
        world.part(&awaited, (0, 1), A, "a"),
        world.part(&whole, (0, 2), A, "b"),
        world.part(&whole, (1, 2), A, "c"),
        world.part(&half, (0, 2), A, "d"),
        world.part(&awaited, (0, 1), A, "again"),
    ];
    world.apply(Event::Sent { operator: A, parts });
    assert_eq!(world.log.kinds()[before..], [kind::SENT]);
    assert_eq!((world.finished(), world.ledger.pending_messages()), (1, 2));
    assert_eq!(beliefs(&world.restarted().ledger), beliefs(&world.ledger));
    // The second id of a part that was sent twice leads to it as well.
    world.receipt(A, "again", State::Delivered);
    assert_eq!(world.states(), [(1, State::Delivered)]);
}

#[test]
fn a_receipt_that_waits_already_finds_its_part_however_many_are_taken_with_it() {
    let mut world = World::new();
    let jobs: Vec<_> = (1..=3).map(|id| world.accept(id, 1)).collect();
    world.receipt(A, "early2", State::Delivered);
    assert_eq!(world.ledger.parked(), 1);
    let parts = jobs.iter().map(|job| world.part(job, (0, 1), A, &format!("early{}", job.id.0))).collect();
    world.apply(Event::Sent { operator: A, parts });
    assert_eq!((world.states(), world.ledger.parked()), (vec![(2, State::Delivered)], 0));
    assert_eq!(beliefs(&world.restarted().ledger), beliefs(&world.ledger));
}

#[test]
fn a_list_too_long_for_one_record_is_written_as_several() {
    let mut world = World::new();
    let jobs: Vec<_> = (1..=600).map(|id| world.accept(id, 1)).collect();
    let before = world.log.records.len();
    let parts = jobs.iter().map(|job| world.part(job, (0, 1), A, &format!("{:0200}", job.id.0))).collect();
    world.apply(Event::Sent { operator: A, parts });
    let written = &world.log.records[before..];
    assert!(written.len() == 2 && written.iter().all(|record| record.payload.len() < 128 << 10));
    assert_eq!(beliefs(&world.restarted().ledger), beliefs(&world.ledger));
}

#[test]
fn mailbox_items_done_together_are_one_record_and_each_is_counted_by_how_it_ended() {
    let mut world = World::new();
    for id in 1..=4 {
        let job = world.accept(id, 1);
        world.sent(&job, (0, 1), A, &format!("x{id}"));
        world.receipt(A, &format!("x{id}"), State::Delivered);
    }
    let mail: Vec<MessageId> = world.mail().iter().map(|mail| mail.id).collect();
    let before = world.log.records.len();
    let ended = |at: usize, how| (mail[at], how);
    let unknown = (MessageId(77), MailEnd::Delivered);
    world.apply(Event::MailDone(vec![
        ended(0, MailEnd::Delivered),
        ended(1, MailEnd::Delivered),
        unknown,
        ended(0, MailEnd::Delivered),
        ended(2, MailEnd::Refused),
    ]));
    assert_eq!(world.log.kinds()[before..], [kind::DONE]);
    let account = AccountKey(0);
    assert!(world.noted(Note::MailEnded { account, how: MailEnd::Delivered, count: 2 }));
    assert!(world.noted(Note::MailEnded { account, how: MailEnd::Refused, count: 1 }));
    assert_eq!(world.ledger.live(), 1);
    assert_eq!(beliefs(&world.restarted().ledger), beliefs(&world.ledger));
}

#[test]
fn a_late_answer_changes_nothing_for_a_message_that_went_elsewhere_and_was_cut_in_another_way() {
    for late_first in [true, false] {
        let mut world = World::new();
        let job = world.accept(1, 1);
        if late_first {
            world.strayed(&job, (0, 2), A, "a");
            world.receipt(A, "a", State::Delivered);
        }
        world.sent(&job, (0, 1), B, "b");
        if !late_first {
            world.strayed(&job, (0, 2), A, "a");
            world.receipt(A, "a", State::Delivered);
        }
        let mut later = world.restarted();
        assert_eq!(later.queued(), []);
        for world in [&mut world, &mut later] {
            assert_eq!(world.states(), [], "half of a copy is no delivery");
            world.receipt(B, "b", State::Undeliverable);
            assert_eq!((world.states(), world.ledger.pending_messages()), (vec![(1, State::Undeliverable)], 0));
        }
    }
}

#[test]
fn a_late_answer_is_no_reason_to_keep_a_message_that_ends_elsewhere() {
    // Nobody wants a receipt; or the other operator refuses it for good.
    let mut world = World::new();
    let job = world.accept(1, 0);
    world.strayed(&job, (0, 2), A, "a");
    world.sent(&job, (0, 1), B, "b");
    assert_eq!((world.finished(), world.ledger.live()), (1, 0));
    let job = world.accept(2, 1);
    world.strayed(&job, (0, 2), A, "c");
    world.failed(2, Some((0b1, 1)), State::Rejected, 0x0B);
    assert_eq!((world.states(), world.ledger.pending_messages()), (vec![(2, State::Rejected)], 0));
}

#[test]
fn the_rest_of_a_message_may_be_cut_into_more_or_fewer_parts_than_its_beginning() {
    for total in [2, 4] {
        let mut world = World::new();
        let job = world.accept(1, 1);
        world.sent(&job, (0, 3), A, "0");
        (1..total).for_each(|part| world.sent(&job, (part, total), A, &part.to_string()));
        let mut later = world.restarted();
        assert_eq!(later.queued(), []);
        for world in [&mut world, &mut later] {
            (0..total).for_each(|part| world.receipt(A, &part.to_string(), State::Delivered));
            assert_eq!((world.states(), world.ledger.pending_messages()), (vec![(1, State::Delivered)], 0), "{total}");
        }
    }
}

#[test]
fn who_wants_to_hear_of_the_way_only_hears_that_and_the_end_closes_the_message() {
    let mut world = World::new();
    let job = world.accept(1, 0x10);
    world.sent(&job, (0, 1), A, "a");
    world.receipt(A, "a", State::Enroute);
    assert_eq!((world.states(), world.ledger.pending_messages()), (vec![(1, State::Enroute)], 1));
    world.receipt(A, "a", State::Delivered);
    assert_eq!((world.states(), world.ledger.pending_messages()), (vec![], 0));
}
