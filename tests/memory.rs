//! What a pending message costs in memory: ten million of them are to fit into a gibibyte, with room for everything else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use smppgw::ledger::{Effect, Event, Ids, KeyMaker, Ledger, Limits, Log, OperatorId, Rules, SentPart, Turn};
use smppgw::message::{AccountKey, Address, Job, Message, MessageId, Names, OperatorKey, ReceiptRequest, Timestamp};
use smppgw::queue::{Item, Queue, Suspicion};
use smppgw::receipt::{ReceiptId, ReceiptPolicy};
use smppgw::spool::Location;
use smppgw::text::{Alphabet, Body};

/// A thirty-second of ten million: tables that double are then as full as they are at ten million.
const MESSAGES: u64 = 312_500;

/// Octets that a message may take: the heap's own overhead and tables not quite full included.
const BUDGET: u64 = 90;

const OPERATOR: OperatorKey = OperatorKey(0);
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A spool that forgets: only memory is looked at.
struct Nowhere;

impl Log for Nowhere {
    fn append_full(&mut self, _: u8, id: MessageId, _: &[u8]) -> Location {
        Location { segment: 1, offset: id.0 as u32 }
    }
    fn append_change(&mut self, _: u8, _: MessageId, _: &[u8]) {}
    fn release(&mut self, _: Location) {}
    fn read(&mut self, _: Location) -> Option<(u8, Bytes)> {
        None
    }
}

struct Plain(Limits);

impl Rules for Plain {
    fn route(&self, _: &Message) -> SmallVec<[OperatorKey; 4]> {
        SmallVec::from_slice(&[OPERATOR])
    }
    fn receipt_policy(&self, _: AccountKey) -> ReceiptPolicy {
        ReceiptPolicy::Message
    }
    fn receipt_id(&self, _: OperatorKey) -> ReceiptId {
        ReceiptId::Same
    }
    fn inbound(&self, _: &Address, _: Option<&str>) -> Option<Arc<str>> {
        None
    }
    fn limits(&self) -> &Limits {
        &self.0
    }
}

fn job(id: u64) -> Arc<Job> {
    let message = Message {
        account: "shop".into(),
        source: Address::new(5, 0, b"SHOP"),
        destination: Address::new(1, 1, format!("35840{:07}", id % 10_000_000).as_bytes()),
        submitted_destination: None,
        service_type: SmallVec::new(),
        protocol_id: 0,
        priority: 0,
        esm_class: 0,
        receipt: ReceiptRequest(1),
        accepted_at: NOW,
        not_before: Timestamp(0),
        expires_at: NOW.plus(Duration::from_secs(86_400)),
        validity_given: false,
        body: Body { alphabet: Alphabet::Gsm7, octets: Bytes::from_static(b"Hei") },
        dcs_class: 0,
        concatenation: None,
        udh: Bytes::new(),
        reference: 7,
        tlvs: Bytes::new(),
        short_id: false,
    };
    Arc::new(Job { id: MessageId(id), account: AccountKey(0), message, route: SmallVec::from_slice(&[OPERATOR]) })
}

fn item(job: Arc<Job>) -> Item<Job> {
    Item {
        id: job.id,
        account: job.account,
        priority: 0,
        attempts: 0,
        vague_refusals: 0,
        suspicion: Suspicion::default(),
        done: 0,
        queued_at: NOW,
        expires_at: job.message.expires_at,
        payload: Some(job),
    }
}

/// The process's memory that is not on disk, in octets.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

struct World {
    ledger: Ledger,
    keys: KeyMaker,
    rules: Plain,
    effects: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        let (accounts, operators) = (Arc::<Names>::default(), Arc::<Names>::default());
        accounts.intern("shop");
        operators.intern("alpha");
        let hour = Duration::from_secs(3_600);
        let limits = Limits { mail_time_to_live: hour, receipt_timeout: hour, early_receipt: hour, mo_reassembly: hour };
        let keys = KeyMaker::default();
        let ledger = Ledger::new(Ids::default(), keys.clone(), accounts, operators, 100, 100);
        World { ledger, keys, rules: Plain(limits), effects: Vec::new() }
    }

    /// What happens 5,000 times a second.
    fn apply(&mut self, event: Event, at: u64) {
        let now = Timestamp(NOW.0 + at / 5);
        let mut turn = Turn { now, log: &mut Nowhere, rules: &self.rules, effects: &mut self.effects };
        assert_eq!(self.ledger.apply(event, &mut turn), 0);
    }
}

/// Messages that wait in an operator's queue.
fn waiting(count: u64) -> (Ledger, Queue<Job>) {
    let mut world = World::new();
    let mut queue = Queue::new(100);
    for id in 1..=count {
        world.apply(job(id).into(), id);
        for effect in world.effects.drain(..) {
            if let Effect::Queue(waiting) = effect {
                queue.push(item(waiting.job));
            }
        }
    }
    assert_eq!((world.ledger.pending_messages() as u64, queue.len() as u64), (count, count));
    (world.ledger, queue)
}

/// Messages that an operator has taken and given an id.
fn sent(count: u64, operator_id: impl Fn(u64) -> String) -> Ledger {
    let mut world = World::new();
    for id in 1..=count {
        let job = job(id);
        world.apply(job.clone().into(), id);
        let operator_id = OperatorId::from_slice(operator_id(id).as_bytes());
        let key = world.keys.of_response(OPERATOR, ReceiptId::Same, &operator_id);
        let parts = vec![SentPart { job, part: 0, total: 1, operator_id, key, strayed: false }];
        world.apply(Event::Sent { operator: OPERATOR, parts }, id);
        world.effects.clear();
    }
    assert_eq!(world.ledger.pending_messages() as u64, count);
    world.ledger
}

/// What each of them takes, and all that was made: dropped too early, what it leaves to the allocator would be missing in the next figure.
fn octets_each<T>(count: u64, make: impl FnOnce(u64) -> T) -> (u64, T) {
    let before = resident();
    let made = make(count);
    ((resident() - before) / count, made)
}

#[test]
fn a_pending_message_takes_ninety_octets_of_memory() {
    let number = |id: u64| format!("{:010}", 3_000_000_000 + id);
    let uuid = |id: u64| format!("550e8400-e29b-41d4-a716-{id:012x}");
    let (waiting, _waiting) = octets_each(MESSAGES, waiting);
    let (sent_short, _sent_short) = octets_each(MESSAGES, |count| sent(count, number));
    let (sent_long, _sent_long) = octets_each(MESSAGES, |count| sent(count, uuid));
    let each = [waiting, sent_short, sent_long];
    assert!(each.iter().all(|octets| (40..=BUDGET).contains(octets)), "waiting, sent, sent with long ids: {each:?}");
}
