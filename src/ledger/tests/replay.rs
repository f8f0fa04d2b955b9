//! Whatever happens, the records alone make the same ledger again, and it goes on the same way.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Something that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Accept {
        receipt: u8,
    },
    Sent {
        message: usize,
        part: u8,
        second: bool,
    },
    Failed {
        message: usize,
        parts: Option<u8>,
    },
    Receipt {
        message: usize,
        part: u8,
        second: bool,
        state: u8,
    },
    Mo {
        sender: u8,
        reference: u16,
        sequence: u8,
        text: u8,
    },
    MailDone {
        item: usize,
    },
    Time {
        seconds: u64,
    },
    Compact,
    /// A reload: messages are cut in another way from now on, or receipts told by another policy.
    Recut,
    Policy {
        part: bool,
    },
    Strayed {
        message: usize,
        part: u8,
    },
    Quarantine {
        message: usize,
    },
    Release {
        message: usize,
        queue: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (message, part) = (0usize..8, 0u8..5);
    prop_oneof![
        3 => prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(0x11)].prop_map(|receipt| Step::Accept { receipt }),
        6 => (message.clone(), part.clone(), prop::bool::weighted(0.1))
            .prop_map(|(message, part, second)| Step::Sent { message, part, second }),
        1 => (message.clone(), prop::option::of(0u8..8)).prop_map(|(message, parts)| Step::Failed { message, parts }),
        5 => (message, part, prop::bool::weighted(0.1), 0u8..10)
            .prop_map(|(message, part, second, state)| Step::Receipt { message, part, second, state }),
        3 => (0u8..2, 0u16..2, 0u8..4, 0u8..3)
            .prop_map(|(sender, reference, sequence, text)| Step::Mo { sender, reference, sequence, text }),
        2 => (0usize..10).prop_map(|item| Step::MailDone { item }),
        2 => prop_oneof![Just(1u64), Just(40), Just(200), Just(3_000)].prop_map(|seconds| Step::Time { seconds }),
        1 => Just(Step::Compact),
        1 => Just(Step::Recut),
        1 => any::<bool>().prop_map(|part| Step::Policy { part }),
        1 => (0usize..8, 0u8..5).prop_map(|(message, part)| Step::Strayed { message, part }),
        1 => (0usize..8).prop_map(|message| Step::Quarantine { message }),
        1 => (0usize..8, any::<bool>()).prop_map(|(message, queue)| Step::Release { message, queue }),
    ]
}

/// Messages with an odd number have three parts.
fn total(job: &Job, recut: bool) -> u8 {
    match (job.id.0 % 2, recut) {
        (1, false) => 3,
        (1, true) => 5,
        _ => 1,
    }
}

fn operator_id(job: &Job, part: u8, second: bool) -> String {
    format!("m{}p{part}{}", job.id.0, if second { "again" } else { "" })
}

struct Story {
    world: World,
    jobs: Vec<Arc<Job>>,
    /// Ids of responses whose parts a restart need not know any more.
    given: Vec<(usize, u8, bool)>,
    forgotten: BTreeSet<String>,
    recut: bool,
}

impl Story {
    fn new(policy: ReceiptPolicy) -> Self {
        let world = World::with(TestRules { policy, ..TestRules::default() });
        Story { world, jobs: Vec::new(), given: Vec::new(), forgotten: BTreeSet::new(), recut: false }
    }

    fn take(&mut self, step: &Step) -> Status {
        let pick = |message: usize, jobs: &[Arc<Job>]| (!jobs.is_empty()).then(|| message % jobs.len());
        match *step {
            Step::Accept { receipt } => {
                let job = job(self.jobs.len() as u64 + 1, receipt, RECIPIENT);
                self.jobs.push(job.clone());
                return self.world.apply(job.into());
            }
            Step::Sent { message, part, second } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                let job = self.jobs[at].clone();
                let part = part % total(&job, self.recut);
                self.given.push((at, part, second));
                self.world.sent(&job, (part, total(&job, self.recut)), A, &operator_id(&job, part, second));
            }
            Step::Failed { message, parts } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                if self.world.ledger.quarantine.case(self.jobs[at].id).is_some() {
                    return 0; // it is in no queue
                }
                let total = total(&self.jobs[at], self.recut);
                let parts = parts.map(|set| (PartSet::from(set) & all_parts(total), total));
                self.world.failed(self.jobs[at].id.0, parts, State::Undeliverable, 0x45);
            }
            Step::Receipt { message, part, second, state } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                let job = self.jobs[at].clone();
                let id = operator_id(&job, part % total(&job, self.recut), second);
                if !self.forgotten.contains(&id) {
                    self.world.receipt(A, &id, State::from_number(state).unwrap());
                }
            }
            Step::Mo { sender, reference, sequence, text } => {
                let text = ["hello", "Quiz", "X"][usize::from(text)];
                let concatenation = (sequence > 0).then_some((reference, 3, sequence));
                let received_at = self.world.now;
                return self.world.apply(Event::Mo(Box::new(Mo { received_at, ..mo(&sender.to_string(), text, concatenation) })));
            }
            Step::MailDone { item } => {
                let items = self.world.ledger.index.iter().filter(|(_, item)| matches!(item.what, What::Mail { .. }));
                let ids: BTreeSet<MessageId> = items.map(|(id, _)| id).collect();
                if let Some(id) = ids.iter().nth(item % ids.len().max(1)) {
                    self.world.apply(Event::MailDone(vec![(*id, MailEnd::Delivered)]));
                }
            }
            Step::Time { seconds } => self.world.tick_after(seconds),
            Step::Compact => self.world.compact(),
            Step::Recut => self.recut = !self.recut,
            Step::Policy { part } => self.world.rules.policy = if part { ReceiptPolicy::Part } else { ReceiptPolicy::Message },
            Step::Strayed { message, part } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                let job = self.jobs[at].clone();
                let part = part % total(&job, self.recut);
                self.given.push((at, part, true));
                self.world.strayed(&job, (part, total(&job, self.recut)), A, &operator_id(&job, part, true));
            }
            Step::Quarantine { message } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                let case = Case { operator: B, sessions: 4, status: 0, since: Timestamp(1_000_000) };
                return self.world.apply(Event::Quarantine { job: self.jobs[at].clone(), case });
            }
            Step::Release { message, queue } => {
                let Some(at) = pick(message, &self.jobs) else { return 0 };
                let how = if queue { Release::Queue } else { Release::Drop };
                return self.world.apply(Event::Release { id: self.jobs[at].id, how });
            }
        }
        0
    }

    /// Ids that only memory remembered: of finished messages, and second ids of one part.
    fn forget(&mut self) {
        for (at, part, second) in self.given.drain(..) {
            let id = operator_id(&self.jobs[at], part, second);
            let slot = self.world.ledger.index.message_mut(self.jobs[at].id).and_then(|p| p.parts.get(usize::from(part)));
            if slot.is_none_or(|slot| slot.operator_id.octets()[..] != *id.as_bytes()) {
                self.forgotten.insert(id);
            }
        }
    }

    fn restarted(&self) -> Story {
        let (jobs, forgotten) = (self.jobs.clone(), self.forgotten.clone());
        Story { world: self.world.restarted(), jobs, given: Vec::new(), forgotten, recut: self.recut }
    }

    /// As far as a start makes a difference: what waits does so for a while again, and of parts forwarded only those are known whose records
    /// are still there.
    fn started_like(&mut self, again: &Story) {
        let (ledger, other) = (&mut self.world.ledger, &again.world.ledger);
        ledger.resumed_at = other.resumed_at;
        (ledger.forwarded, ledger.reassembly) = (other.forwarded.clone(), other.reassembly.clone());
    }

    /// What followed, without durations: after a restart they are only known to the second.
    fn followed(&mut self) -> Vec<String> {
        let plain = |effect| match effect {
            Effect::Note(Note::ReceiptMatched { operator, state, .. }) => {
                Effect::Note(Note::ReceiptMatched { operator, state, milliseconds: 0 })
            }
            // What a finished message's parts said is remembered by memory alone.
            Effect::Note(Note::ReceiptRepeated { operator, .. }) => {
                Effect::Note(Note::ReceiptRepeated { operator, contradicts: false })
            }
            other => other,
        };
        self.world.effects.drain(..).map(|effect| format!("{:?}", plain(effect))).collect()
    }
}

/// Mail waiting and messages to be sent, as a restart must hand them out.
fn handed_out(world: &mut World) -> (BTreeSet<MessageId>, BTreeSet<(MessageId, PartSet)>, usize) {
    let (mut mail, mut waiting, mut pending) = (BTreeSet::new(), BTreeSet::new(), 0);
    for effect in world.effects.drain(..) {
        match effect {
            Effect::Mail { mail: item, .. } => drop(mail.insert(item.id)),
            Effect::Queue(Waiting { id, done, .. }) => drop(waiting.insert((id, done))),
            Effect::Restored { .. } => pending += 1,
            Effect::Note(Note::InQuarantine { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    (mail, waiting, pending)
}

fn expected(ledger: &Ledger) -> (BTreeSet<MessageId>, BTreeSet<(MessageId, PartSet)>, usize) {
    let (mut mail, mut waiting, mut pending) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (id, item) in ledger.index.iter() {
        match &item.what {
            What::Mail { .. } => drop(mail.insert(id)),
            What::Message(p) => {
                pending += 1;
                if p.is_to_be_sent() && ledger.quarantine.case(id).is_none() {
                    waiting.insert((id, p.done()));
                }
            }
            What::Parked(_) | What::MoPart(_) => {}
        }
    }
    (mail, waiting, pending)
}

/// What is remembered of finished messages.
fn past(ledger: &Ledger) -> BTreeMap<MessageId, String> {
    let told = |id| {
        let status = ledger.standing(id).expect("remembered");
        (id, format!("{:?} {:?}", status.state, status.parts))
    };
    ledger.history.ids().map(told).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restart_changes_nothing(
        before in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..40),
        policy in prop_oneof![Just(ReceiptPolicy::Message), Just(ReceiptPolicy::Part)],
    ) {
        let mut story = Story::new(policy);
        for step in &before {
            story.take(step);
        }
        story.world.effects.clear();
        story.forget();
        let mut again = story.restarted();
        story.started_like(&again);
        prop_assert_eq!(beliefs(&again.world.ledger), beliefs(&story.world.ledger));
        prop_assert_eq!(handed_out(&mut again.world), expected(&story.world.ledger));
        for (id, past) in past(&again.world.ledger) {
            prop_assert_eq!(Some(past), self::past(&story.world.ledger).remove(&id), "{:?}", id);
        }
        for step in &after {
            prop_assert_eq!(again.take(step), story.take(step));
            prop_assert_eq!(again.followed(), story.followed(), "{:?}", step);
        }
        prop_assert_eq!(beliefs(&again.world.ledger), beliefs(&story.world.ledger));
        // In the end nothing waits for ever.
        for story in [story, again] {
            let mut world = story.world;
            for job in &story.jobs {
                if world.ledger.quarantine.case(job.id).is_none() {
                    world.failed(job.id.0, None, State::Expired, 0);
                }
            }
            world.now = Timestamp(2_000_000_000);
            world.tick_after(10_000);
            world.tick_after(10_000);
            prop_assert_eq!(world.ledger.pending_messages(), 0);
            let only_mail = world.ledger.index.iter().all(|(_, item)| matches!(item.what, What::Mail { .. }));
            prop_assert!(only_mail);
        }
    }

    /// The power goes in the middle of a write: every record before stands, none after.
    #[test]
    fn a_torn_write_brings_nothing_final_back_and_loses_nothing(
        steps in prop::collection::vec(step().prop_filter("one log", |step| !matches!(step, Step::Compact)), 0..60),
        policy in prop_oneof![Just(ReceiptPolicy::Message), Just(ReceiptPolicy::Part)],
        cut in any::<prop::sample::Index>(),
    ) {
        let mut story = Story::new(policy);
        // How many records there were before each step, and what was final then.
        let mut finals: Vec<(usize, Vec<MessageId>)> = Vec::new();
        for step in &steps {
            let over = story.jobs.iter().map(|job| job.id).filter(|id| !story.world.ledger.index.contains(*id)).collect();
            finals.push((story.world.log.records.len(), over));
            story.take(step);
        }
        let kept = cut.index(story.world.log.records.len() + 1);
        story.world.log.records.truncate(kept);
        let mut again = story.world.restarted();
        for id in finals.iter().rev().find(|(records, _)| *records <= kept).into_iter().flat_map(|(_, over)| over) {
            prop_assert!(!again.ledger.index.contains(*id), "{id:?} came back");
        }
        for record in &story.world.log.records {
            let known = || again.ledger.index.contains(record.id) || again.ledger.history.contains(record.id);
            prop_assert!(record.kind != kind::MESSAGE || known(), "{:?} is lost", record.id);
        }
        // In the end nothing waits for ever.
        again.effects.clear();
        let waiting: Vec<u64> = story.jobs.iter().map(|job| job.id.0).collect();
        for id in waiting {
            again.failed(id, None, State::Expired, 0);
        }
        again.tick_after(10_000);
        again.tick_after(10_000);
        prop_assert_eq!(again.ledger.pending_messages(), 0);
        let only_mail = again.ledger.index.iter().all(|(_, item)| matches!(item.what, What::Mail { .. }));
        prop_assert!(only_mail);
    }
}

/// The receipt of a part waits in the mailbox, the message is cut in another way after a reload, everything is moved, and the gateway
/// starts again: what the receipt closed must not undo what was known later.
#[test]
fn a_receipt_that_was_moved_does_not_take_parts_away_from_its_message() {
    let mut world = World::with(TestRules { policy: ReceiptPolicy::Part, ..TestRules::default() });
    let job = world.accept(1, 1);
    world.sent(&job, (0, 3), A, "a");
    world.receipt(A, "a", State::Delivered);
    for (part, id) in [(1, "b"), (2, "c"), (3, "d")] {
        world.sent(&job, (part, 5), A, id);
    }
    let before = beliefs(&world.ledger);
    world.compact();
    let mut again = world.restarted();
    assert_eq!(beliefs(&again.ledger), before);
    assert_eq!(again.queued(), [(1, Some(A), 0b1111)], "the fifth part has still to be sent");
}

/// Between the start, which has seen it whole, and the moment it is to be read.
#[test]
fn what_becomes_unreadable_while_the_gateway_starts_does_not_stay_for_ever() {
    let mut world = World::new();
    let job = world.accept(1, 1);
    world.sent(&job, (0, 1), A, "a");
    world.receipt(A, "a", State::Delivered);
    let mail = world.mail()[0].id;
    world.accept(2, 1);
    world.log.damaged = vec![mail, MessageId(2)];
    let mut again = world.restarted();
    assert_eq!((again.queued(), again.mail()), (vec![], vec![]));
    again.tick_after(1);
    assert!(again.noted(Note::MailEnded { account: AccountKey(0), how: MailEnd::Damaged, count: 1 }));
    assert_eq!((again.ledger.live(), again.finished()), (0, 1));
}
