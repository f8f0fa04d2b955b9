//! The journal on a simulated disk, group by group where the order matters.

use std::sync::Mutex;
use std::time::Instant;

use super::group::Group;
use super::*;
use crate::ledger::tests::{TestRules, job, names};
use crate::ledger::{Ids, KeyMaker, MailEnd, OperatorId, SentPart, kind};
use crate::message::{AccountKey, Address, MailContent, Message, Mo, OperatorKey};
use crate::queue::{Item, Queue, Suspicion};
use crate::spool::sim::{Operation, SimDisk};
use crate::spool::{Settings, Spool, Stats};
use crate::text::{Alphabet, Body};

#[path = "thread_tests.rs"]
mod thread;

const SETTINGS: Settings = Settings { segment_size: 64 << 10, max_size: 64 << 20, disk_reserve: 0 };
const OPERATOR: OperatorKey = OperatorKey(0);

/// Keeps what the journal lets happen, in words.
struct TestHost {
    rules: Arc<TestRules>,
    now: Mutex<Timestamp>,
    told: Mutex<Vec<String>>,
    commits: Mutex<usize>,
    delivered_at: Mutex<usize>,
    failures: Mutex<usize>,
    accepting: Mutex<Option<bool>>,
    opened: Mutex<Option<Stats>>,
}

impl TestHost {
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn later(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus(time);
    }
}

impl Host for TestHost {
    type Rules = TestRules;
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }
    fn rules(&self) -> Arc<TestRules> {
        self.rules.clone()
    }
    fn deliver(&self, effects: &mut Vec<Effect>) {
        let word = |effect| match effect {
            Effect::Queue(waiting) => Some(format!("queue {}", waiting.id.0)),
            Effect::Mail { mail, .. } => match &mail.content {
                MailContent::Mo(mo) => Some(format!("mail {}", String::from_utf8_lossy(&mo.body.octets))),
                MailContent::Receipt(receipt) => Some(format!("receipt {}", receipt.message.0)),
            },
            Effect::Finished { .. } => Some("finished".to_owned()),
            Effect::Restored { .. } | Effect::MoUnroutable { .. } | Effect::Note(_) => None,
        };
        let words: Vec<String> = effects.drain(..).filter_map(word).collect();
        let commits = *self.commits.lock().unwrap();
        let before = std::mem::replace(&mut *self.delivered_at.lock().unwrap(), commits);
        assert!(words.is_empty() || commits > before, "consequences before the disk has it");
        self.told.lock().unwrap().extend(words);
    }
    fn opened(&self, stats: Stats) {
        *self.opened.lock().unwrap() = Some(stats);
    }
    fn committed(&self, _: Commit) {
        *self.commits.lock().unwrap() += 1;
    }
    fn accepting(&self, accepting: bool) {
        *self.accepting.lock().unwrap() = Some(accepting);
    }
    fn disk_failed(&self) {
        *self.failures.lock().unwrap() += 1;
    }
}

struct World {
    disk: SimDisk,
    host: Arc<TestHost>,
    gate: Arc<Gate>,
    group: Group<SimDisk, TestHost>,
    reply: mpsc::Sender<Ack>,
    acks: mpsc::Receiver<Ack>,
}

fn host() -> Arc<TestHost> {
    Arc::new(TestHost {
        rules: Arc::default(),
        now: Mutex::new(Timestamp(1_000_000)),
        told: Mutex::default(),
        commits: Mutex::default(),
        delivered_at: Mutex::default(),
        failures: Mutex::default(),
        accepting: Mutex::default(),
        opened: Mutex::default(),
    })
}

fn opened(disk: &SimDisk) -> (Spool<SimDisk>, Ledger) {
    opened_with(SETTINGS, disk)
}

fn opened_with(settings: Settings, disk: &SimDisk) -> (Spool<SimDisk>, Ledger) {
    let (accounts, operators) = names();
    let mut ledger = Ledger::new(Ids::starting_at(1_000), KeyMaker::default(), accounts, operators, 100, 100);
    let (spool, opened) = open(disk.clone(), settings, &mut ledger).unwrap();
    assert_eq!(opened.unreadable, 0);
    (spool, ledger)
}

impl World {
    fn new() -> Self {
        World::start(SETTINGS, &SimDisk::new())
    }

    /// A journal on what the disk holds.
    fn start(settings: Settings, disk: &SimDisk) -> Self {
        let (disk, host) = (disk.clone(), host());
        let (spool, ledger) = opened_with(settings, &disk);
        let gate = Arc::new(Gate::new(Instant::now()));
        let (reply, acks) = mpsc::channel(16);
        let group = Group::new(spool, ledger, host.clone(), gate.clone());
        World { disk, host, gate, group, reply, acks }
    }

    fn take(&mut self, ticket: u64, events: Vec<Event>) {
        self.group.take(Batch { events, reply: Some((self.reply.clone(), ticket)) });
    }

    /// The next journal on the same disk.
    fn restarted(self, settings: Settings) -> Self {
        let World { disk, group, .. } = self;
        drop(group);
        World::start(settings, &disk)
    }

    /// Are submissions taken? What sessions see at the gate, and what whoever watches was told.
    fn accepts(&self) -> bool {
        let open = !self.gate.is_full() && !self.gate.has_failed();
        assert_eq!(*self.host.accepting.lock().unwrap(), Some(open));
        open
    }

    /// Takes a batch in and commits it.
    fn durable(&mut self, ticket: u64, events: Vec<Event>) {
        self.take(ticket, events);
        self.group.commit();
    }

    fn acks(&mut self) -> Vec<(u64, Vec<Status>)> {
        std::iter::from_fn(|| self.acks.try_recv().ok()).map(|ack| (ack.ticket, ack.statuses)).collect()
    }

    /// The next commit tries the disk without waiting.
    fn retry(&mut self) {
        if let Some(failure) = &mut self.group.failure {
            failure.try_now();
        }
        self.group.commit();
    }

    /// The messages and mailbox items that a start after a power cut finds.
    fn after_power_cut(&self) -> (usize, usize) {
        let disk = self.disk.crash(true, &mut |_| crate::spool::sim::Landed::No);
        let (mut spool, mut ledger) = opened(&disk);
        let restored =
            resume(&mut spool, &mut ledger, &TestRules::default(), Timestamp(1_000_000), |effects| effects.clear()).unwrap();
        (restored.messages, restored.mailbox_items)
    }
}

/// A message that waits to be sent.
fn item(job: Arc<Job>) -> Item<Job> {
    let (suspicion, expires_at) = (Suspicion::default(), Timestamp::NEVER);
    let (id, account, queued_at) = (job.id, job.account, Timestamp(0));
    Item {
        id,
        account,
        priority: 0,
        attempts: 0,
        vague_refusals: 0,
        suspicion,
        done: 0,
        queued_at,
        expires_at,
        payload: Some(job),
    }
}

fn accept(id: u64) -> Event {
    job(id, 1, "358401234567").into()
}

fn sent(id: u64) -> Event {
    let operator_id = OperatorId::from_slice(format!("op{id}").as_bytes());
    let part = SentPart { job: job(id, 1, "358401234567"), part: 0, total: 1, operator_id, key: None, strayed: false };
    Event::Sent { operator: OPERATOR, parts: vec![part] }
}

fn inbound(text: &str) -> Event {
    Event::Mo(Box::new(Mo {
        operator: "alpha".into(),
        source: Address::new(1, 1, b"358401234567"),
        destination: Address::new(3, 0, b"17171"),
        protocol_id: 0,
        dcs_class: 0,
        received_at: Timestamp(1_000_000),
        concatenation: None,
        udh: Bytes::new(),
        body: Body { alphabet: Alphabet::Gsm7, octets: Bytes::copy_from_slice(text.as_bytes()) },
        tlvs: Bytes::new(),
    }))
}

#[test]
fn nothing_is_answered_and_nothing_follows_before_the_commit() {
    let mut world = World::new();
    world.take(7, vec![accept(1), accept(2)]);
    world.take(8, vec![inbound("hi"), inbound("X")]);
    assert_eq!((world.acks(), world.host.told()), (vec![], vec![]));
    world.group.commit();
    assert_eq!(world.host.told(), ["queue 1", "queue 2", "mail hi"]);
    assert_eq!(world.acks(), [(7, vec![]), (8, vec![0, 0x66])]);
    assert_eq!((world.after_power_cut(), *world.host.commits.lock().unwrap()), ((2, 1), 1));
}

#[test]
fn a_failed_commit_refuses_submissions_and_keeps_the_rest_until_the_disk_is_well() {
    let mut world = World::new();
    world.durable(1, vec![accept(1)]);
    world.acks();
    world.host.told();
    world.disk.fail(Operation::Sync, 0, u64::MAX);
    world.take(2, vec![accept(2), accept(3)]);
    world.take(3, vec![sent(1), inbound("hi")]);
    assert!(world.accepts());
    world.group.commit();
    assert_eq!(world.acks(), [(2, vec![0x08, 0x08])], "only what is refused is answered");
    assert!(world.gate.has_failed() && !world.accepts());
    assert_eq!(world.host.told(), Vec::<String>::new());
    // While it lasts: refused at once, or kept.
    world.take(4, vec![accept(4)]);
    world.take(5, vec![inbound("later")]);
    world.retry();
    assert_eq!(world.acks(), [(4, vec![0x08])]);
    world.disk.heal();
    world.retry();
    assert!(world.accepts());
    assert_eq!((world.acks(), world.host.told()), (vec![(3, vec![])], vec!["mail hi".to_owned()]));
    world.group.commit();
    assert_eq!((world.acks(), world.host.told()), (vec![(5, vec![])], vec!["mail later".to_owned()]));
    assert_eq!(world.after_power_cut(), (1, 2), "what was refused does not come back");
    assert_eq!(world.group.ledger.pending_messages(), 1);
    assert_eq!(*world.host.failures.lock().unwrap(), 1);
}

#[test]
fn a_disk_that_fails_again_while_the_group_is_written_again_loses_nothing() {
    for skip in 0..6 {
        for operation in [Operation::Sync, Operation::Write, Operation::Create] {
            let mut world = World::new();
            world.durable(1, vec![accept(1), accept(2)]);
            world.acks();
            world.disk.fail(Operation::Sync, 0, 1);
            world.durable(2, vec![sent(1), sent(2), inbound("hi")]);
            world.take(3, vec![accept(3)]);
            world.disk.fail(operation, skip, 1);
            for _ in 0..3 {
                world.retry();
            }
            world.group.commit();
            assert_eq!(world.acks(), [(3, vec![0x08]), (2, vec![])], "{operation:?} {skip}");
            assert_eq!(world.after_power_cut(), (2, 1));
            assert!(world.group.ledger.status(MessageId(1), &mut NoLog).is_some_and(|s| s.parts[0].operator_id == "op1"));
        }
    }
}

/// For questions that memory answers.
struct NoLog;

impl Log for NoLog {
    fn append_full(&mut self, _: u8, _: MessageId, _: &[u8]) -> Location {
        Location::default()
    }
    fn append_change(&mut self, _: u8, _: MessageId, _: &[u8]) {}
    fn release(&mut self, _: Location) {}
    fn read(&mut self, _: Location) -> Option<(u8, Bytes)> {
        None
    }
}

#[test]
fn a_batch_of_both_kinds_is_answered_place_by_place() {
    let mut world = World::new();
    world.disk.fail(Operation::Sync, 0, 1);
    world.durable(1, vec![inbound("hi"), accept(1), inbound("X")]);
    assert_eq!(world.acks(), [], "part of it is kept");
    world.retry();
    assert_eq!(world.acks(), [(1, vec![0, 0x08, 0x66])]);
    assert_eq!(world.after_power_cut(), (0, 1));
}

#[test]
fn a_submission_without_anyone_to_refuse_it_to_is_kept() {
    let mut world = World::new();
    world.disk.fail(Operation::Sync, 0, 1);
    world.group.take(Batch { events: vec![accept(1)], reply: None });
    world.durable(2, vec![inbound("hi")]);
    world.retry();
    assert_eq!((world.acks(), world.after_power_cut()), (vec![(2, vec![])], (1, 1)));
}

#[test]
fn what_was_finished_in_the_failed_group_leaves_nothing_alive_in_the_spool() {
    let mut world = World::new();
    world.durable(1, vec![accept(1), sent(1), inbound("hi")]);
    world.disk.fail(Operation::Sync, 0, 1);
    let mail = MessageId(1_000);
    world.durable(2, vec![Event::MailDone(vec![(mail, MailEnd::Delivered)]), inbound("ho")]);
    world.take(3, vec![Event::MailDone(vec![(MessageId(1_001), MailEnd::Delivered)])]);
    world.retry();
    world.group.commit();
    assert_eq!(world.group.spool.stats().live_records, 1);
    assert_eq!(world.after_power_cut(), (1, 0));
    // The same within one group.
    world.disk.fail(Operation::Sync, 0, 1);
    world.durable(4, vec![inbound("one"), Event::MailDone(vec![(MessageId(1_002), MailEnd::Delivered)])]);
    world.retry();
    assert_eq!((world.group.spool.stats().live_records, world.group.ledger.live()), (1, 1));
}

#[test]
fn a_record_that_cannot_be_appended_fails_the_group_and_is_not_forgotten() {
    let mut world = World::new();
    let unwritten =
        |id: u64| Unwritten { class: Class::Delta, kind: kind::DONE, id, location: Location::default(), payload: vec![] };
    world.take(1, vec![accept(1)]);
    world.take(2, vec![inbound("hi")]);
    world.group.unwritten.push_back(unwritten(77));
    world.group.commit();
    assert_eq!(world.acks(), [(1, vec![0x08])]);
    world.retry();
    assert_eq!(world.acks(), [(2, vec![])]);
    assert_eq!(world.after_power_cut(), (0, 1), "the spool still had the refused submission; it is finished there");
    assert_eq!(world.group.spool.stats().live_records, 1);
}

#[test]
fn questions_wait_while_records_of_the_failed_group_cannot_be_read() {
    let mut world = World::new();
    world.durable(1, vec![accept(1)]);
    world.disk.fail(Operation::Sync, 0, 1);
    world.durable(2, vec![inbound("hi")]);
    let (answer, answered) = crossbeam_channel::bounded(1);
    world.group.answer(Box::new(move |lookup| answer.send(lookup.mail(MessageId(1_000)).is_some()).unwrap()));
    assert!(answered.try_recv().is_err());
    world.retry();
    assert_eq!(answered.try_recv(), Ok(true));
}

#[test]
fn of_large_messages_about_2_mib_are_read_back_at_a_time() {
    let mut world = World::start(Settings { segment_size: 1 << 20, ..SETTINGS }, &SimDisk::new());
    let mut queue: Queue<Job> = Queue::new(100);
    for id in 1..=40 {
        let message = Message { tlvs: vec![0; 60_000].into(), ..job(id, 1, "358401234567").message.clone() };
        let large = Arc::new(Job { id: MessageId(id), account: AccountKey(0), message, route: Default::default() });
        world.durable(id, vec![large.clone().into()]);
        queue.push(item(large));
    }
    let asked = queue.pull(Timestamp(0), 40, |_| 1).load;
    assert_eq!(asked.len(), 40);
    let (answer, answered) = crossbeam_channel::bounded(1);
    world.group.answer(Box::new(move |lookup| answer.send(ReadBack::of(asked, lookup, |lookup, id| lookup.job(id))).unwrap()));
    assert_eq!(answered.try_recv().unwrap().fill(&mut queue), []);
    let pulled = queue.pull(Timestamp(0), 40, |_| 1);
    assert_eq!((pulled.items.len(), pulled.load.len()), (35, 5), "the rest is asked for again");
}

#[test]
fn the_end_commits_what_waits_for_a_disk_that_is_well_again() {
    let mut world = World::new();
    world.disk.fail(Operation::Sync, 0, 1);
    world.durable(1, vec![inbound("hi")]);
    world.take(2, vec![inbound("later")]);
    world.group.finish();
    assert_eq!(world.acks(), [(1, vec![]), (2, vec![])]);
    assert_eq!(world.after_power_cut(), (0, 2));
}

#[test]
fn compaction_keeps_what_is_pending_through_failures_and_restarts() {
    let mut world = World::new();
    world.durable(1, vec![accept(1), sent(1)]);
    let text = "a".repeat(4_000);
    for (mail, round) in (1_000..).zip(0..400u64) {
        if round % 37 == 0 {
            world.disk.fail(Operation::Sync, round % 3, 1);
        }
        world.take(round, vec![inbound(&text), Event::MailDone(vec![(MessageId(mail), MailEnd::Delivered)])]);
        world.group.maintain();
        world.group.commit();
        world.disk.heal();
        while world.group.failure.is_some() {
            world.retry();
        }
        world.acks();
        world.host.told();
    }
    world.group.commit();
    let stats = world.group.spool.stats();
    assert!(stats.segments_used < 10, "{stats:?}");
    assert_eq!((stats.live_records, world.group.ledger.live()), (1, 1));
    assert_eq!(world.after_power_cut(), (1, 0));
    let status = world.group.ledger.status(MessageId(1), &mut NoLog).unwrap();
    assert_eq!(status.parts[0].operator_id, "op1");
}

/// The thread, and what it takes its batches for.
#[test]
fn the_gate_tells_how_much_is_kept() {
    let mut world = World::new();
    world.take(1, vec![accept(1), accept(2), accept(3)]);
    assert_eq!(world.gate.live(), 0, "nothing is kept before the disk has it");
    world.group.commit();
    assert_eq!(world.gate.live(), 3);
}

#[test]
fn a_spool_that_is_full_refuses_from_the_first_moment_on_and_one_full_of_what_is_over_does_not() {
    let small = Settings { max_size: 8 * SETTINGS.segment_size, ..SETTINGS };
    let mut world = World::start(small, &SimDisk::new());
    let mut mail = 1_000;
    while world.accepts() {
        world.durable(mail, vec![inbound(&"a".repeat(10_000))]);
        mail += 1;
    }
    let mut world = world.restarted(small);
    assert!(!world.accepts(), "nothing has been committed yet");
    let found = world.host.opened.lock().unwrap().unwrap();
    assert_eq!(found.live_records, mail - 1_000);
    assert!(found.available < 2 * small.segment_size, "{found:?}");
    world.durable(1, (1_000..mail).map(|id| Event::MailDone(vec![(MessageId(id), MailEnd::Delivered)])).collect());
    assert!(world.accepts());
    // Nothing lives, and nothing will be committed that could free a segment.
    let world = world.restarted(small);
    assert!(world.accepts());
    let found = world.host.opened.lock().unwrap().unwrap();
    assert_eq!((found.live_records, found.segments_used), (0, 1));
}

#[test]
fn a_receipt_whose_message_cannot_be_read_just_now_is_made_when_it_can() {
    let mut world = World::new();
    world.durable(1, vec![accept(1), accept(2)]);
    // After a start no text is in memory.
    let mut world = world.restarted(SETTINGS);
    world.disk.fail(Operation::Read, 0, 1);
    let failure = crate::ledger::Failure { state: crate::receipt::State::Expired, status: 0 };
    let failed = |id| Event::Failed { id: MessageId(id), operator: None, parts: None, failure };
    world.durable(2, vec![failed(1), failed(2)]);
    assert_eq!(
        (world.host.told(), world.group.ledger.pending_messages()),
        (vec!["receipt 2".to_owned(), "finished".to_owned()], 1)
    );
    world.host.later(Duration::from_millis(900));
    world.group.maintain();
    assert_eq!(world.group.ledger.pending_messages(), 1, "the disk is left alone for a second");
    world.host.later(Duration::from_millis(200));
    world.group.maintain();
    world.group.commit();
    assert_eq!(
        (world.host.told(), world.group.ledger.pending_messages()),
        (vec!["receipt 1".to_owned(), "finished".to_owned()], 0)
    );
    assert_eq!(world.after_power_cut(), (0, 2));
}

#[test]
fn a_start_that_cannot_read_something_just_now_is_none() {
    let mut world = World::new();
    world.durable(1, vec![accept(1)]);
    let disk = world.disk.crash(true, &mut |_| crate::spool::sim::Landed::No);
    let (mut spool, mut ledger) = opened(&disk);
    disk.fail(Operation::Read, 0, 1);
    let mut begin = || resume(&mut spool, &mut ledger, &TestRules::default(), Timestamp(1_000_000), |effects| effects.clear());
    assert!(begin().is_err());
    assert_eq!(begin().unwrap().messages, 1);
}
