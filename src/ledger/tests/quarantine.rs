//! Messages that bring sessions down.

use super::*;

fn case() -> Case {
    Case { operator: B, sessions: 4, status: 0, since: Timestamp(1_000_000) }
}

impl World {
    fn quarantine(&mut self, job: &Arc<Job>) {
        self.apply(Event::Quarantine { job: job.clone(), case: case() });
        assert!(self.noted(Note::Quarantined { operator: B }));
    }

    fn release(&mut self, id: u64, how: Release) -> Status {
        self.apply(Event::Release { id: MessageId(id), how })
    }

    fn quarantined(&self) -> Vec<u64> {
        self.ledger.quarantined().map(|message| message.id.0).collect()
    }

    fn left(&mut self) -> bool {
        self.noted(Note::LeftQuarantine { operator: B })
    }
}

/// A world in which message 1 is in quarantine, nothing else is, and no effect is left.
fn quarantined() -> (World, Arc<Job>) {
    let mut world = World::new();
    let job = world.accept(1, 1);
    assert_eq!(world.queued().len(), 1);
    world.quarantine(&job);
    assert!(world.effects.is_empty(), "its owner hears nothing: {:?}", world.effects);
    (world, job)
}

#[test]
fn a_quarantined_message_is_listed_with_its_case_and_a_masked_number() {
    let (world, _) = quarantined();
    let listed = world.ledger.quarantined().next().unwrap();
    assert_eq!((&*listed.account, &*listed.operator, &*listed.destination), ("shop", "beta", "35840****567"));
    assert_eq!((listed.case, world.ledger.pending_messages()), (case(), 1));
}

#[test]
fn it_stays_there_over_a_restart_and_over_compaction() {
    let (mut world, _) = quarantined();
    world.compact();
    for mut world in [world.restarted(), quarantined().0.restarted()] {
        assert_eq!((world.quarantined(), world.queued()), (vec![1], vec![]));
        assert!(world.noted(Note::InQuarantine { operator: B }));
        assert_eq!(world.ledger.quarantined().next().unwrap().case, case());
        assert_eq!(world.ledger.status(MessageId(1), &mut world.log).unwrap().quarantine, Some(case()));
    }
}

#[test]
fn a_released_message_is_queued_again_and_a_restart_does_not_forget_it() {
    let (mut world, job) = quarantined();
    assert_eq!(world.release(1, Release::Queue), 0);
    assert!(world.left());
    assert_eq!((world.quarantined(), world.queued()), (vec![], vec![(1, None, 0)]));
    let mut later = world.restarted();
    assert_eq!((later.quarantined(), later.queued()), (vec![], vec![(1, None, 0)]));
    world.sent(&job, (0, 1), A, "abc");
    world.receipt(A, "abc", State::Delivered);
    assert_eq!(world.states(), [(1, State::Delivered)]);
}

#[test]
fn a_dropped_message_is_reported_as_undeliverable() {
    let (mut world, _) = quarantined();
    assert_eq!(world.release(1, Release::Drop), 0);
    assert!(world.left());
    assert_eq!((world.states(), world.finished()), (vec![(1, State::Undeliverable)], 1));
    assert!(world.quarantined().is_empty() && world.restarted().quarantined().is_empty());
}

#[test]
fn what_is_not_in_quarantine_cannot_be_released() {
    let (mut world, _) = quarantined();
    world.accept(2, 1);
    for how in [Release::Queue, Release::Drop] {
        assert_eq!([2, 3].map(|id| world.release(id, how)), [0x0C, 0x0C]);
    }
    assert_eq!(world.ledger.pending_messages(), 2);
    assert_eq!((world.release(1, Release::Queue), world.release(1, Release::Drop)), (0, 0x0C), "only once");
}

#[test]
fn in_quarantine_too_a_message_expires() {
    let (mut world, job) = quarantined();
    world.tick_after(1);
    assert_eq!(world.states(), []);
    world.now = job.message.expires_at;
    world.tick_after(0);
    assert!(world.left());
    assert_eq!((world.states(), world.quarantined()), (vec![(1, State::Expired)], vec![]));
}

#[test]
fn a_released_message_of_which_a_part_is_sent_goes_on_where_it_stopped() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 2), A, "a");
    world.quarantine(&job);
    let mut world = world.restarted();
    assert_eq!((world.quarantined(), world.queued()), (vec![1], vec![]));
    assert_eq!(world.release(1, Release::Queue), 0);
    assert_eq!(world.queued(), [(1, Some(A), 0b01)]);
}

#[test]
fn an_answer_that_comes_after_all_ends_the_quarantine() {
    let (mut world, job) = quarantined();
    world.sent(&job, (0, 1), A, "late");
    assert!(world.left());
    let mut later = world.restarted();
    assert_eq!((later.quarantined(), later.queued()), (vec![], vec![]));
    world.receipt(A, "late", State::Delivered);
    assert_eq!(world.states(), [(1, State::Delivered)]);
}

#[test]
fn a_message_finished_meanwhile_is_not_quarantined() {
    let mut world = World::new();
    let job = world.accept(1, 0);
    world.sent(&job, (0, 1), A, "a");
    world.apply(Event::Quarantine { job, case: case() });
    assert!(world.quarantined().is_empty() && !world.noted(Note::Quarantined { operator: B }));
}

#[test]
fn a_quarantined_message_whose_record_is_damaged_is_reported_when_it_is_to_be_released() {
    let (mut world, _) = quarantined();
    (10..20).for_each(|id| drop(world.accept(id, 0))); // its payload is not in memory any more
    world.log.first = world.log.records.len() - 10;
    world.log.records[..2].iter_mut().for_each(|record| record.live = false);
    let location = world.ledger.index.get(MessageId(1)).unwrap().location;
    world.log.records[location.offset as usize].live = true;
    let mut turn = Turn { now: world.now, log: &mut world.log, rules: &world.rules, effects: &mut world.effects };
    assert_eq!(world.ledger.apply(Event::Release { id: MessageId(1), how: Release::Queue }, &mut turn), 0);
    assert_eq!((world.finished(), world.quarantined()), (1, vec![]));
}
