//! A ledger with a log in memory and simple rules, for the stories.

mod codecs;
mod inbound;
mod quarantine;
mod receipts;
mod replay;
mod search;
mod sending;

use super::index::What;
use super::part::{Part, PartState};
use super::*;
use crate::message::{AccountKey, Job, MailContent, MailedMo, MailedReceipt, Mo, test_message};
use crate::message::{Mail, ReceiptRequest};
use crate::receipt::{Receipt, State};
use crate::text::{Alphabet, Body, Concatenation};

pub(super) const A: OperatorKey = OperatorKey(0);
pub(super) const B: OperatorKey = OperatorKey(1);
pub(super) const RECIPIENT: &str = "358401234567";

/// Records in the order written, and which full ones are current. A location's offset is the place in the list.
#[derive(Default)]
pub(super) struct MemoryLog {
    pub records: Vec<Entry>,
    /// Records before this one are gone, as after compaction.
    pub first: usize,
    /// Nothing can be read just now.
    pub is_unreadable: bool,
    /// What has become unreadable for good.
    pub damaged: Vec<MessageId>,
}

pub(super) struct Entry {
    pub kind: u8,
    pub id: MessageId,
    pub payload: Bytes,
    pub live: bool,
}

impl MemoryLog {
    fn append(&mut self, kind: u8, id: MessageId, payload: &[u8], live: bool) -> Location {
        self.records.push(Entry { kind, id, payload: Bytes::copy_from_slice(payload), live });
        Location { segment: 1, offset: self.records.len() as u32 - 1 }
    }

    pub fn kinds(&self) -> Vec<u8> {
        self.records.iter().map(|record| record.kind).collect()
    }
}

impl Log for MemoryLog {
    fn append_full(&mut self, kind: u8, id: MessageId, payload: &[u8]) -> Location {
        self.append(kind, id, payload, true)
    }
    fn append_change(&mut self, kind: u8, id: MessageId, payload: &[u8]) {
        self.append(kind, id, payload, false);
    }
    fn release(&mut self, location: Location) {
        let record = &mut self.records[location.offset as usize];
        assert!(std::mem::take(&mut record.live), "released twice: {:?}", record.id);
    }
    fn read(&mut self, location: Location) -> Option<(u8, Bytes)> {
        let at = location.offset as usize;
        self.records
            .get(at)
            .filter(|record| at >= self.first && !self.is_unreadable && !self.damaged.contains(&record.id))
            .map(|record| (record.kind, record.payload.clone()))
    }
    fn read_failed(&mut self) -> bool {
        self.is_unreadable
    }
}

/// One inbound account, `shop`, that takes everything but texts beginning with X, and `quiz` for those beginning with Q.
#[derive(Debug, Clone)]
pub(crate) struct TestRules {
    pub policy: ReceiptPolicy,
    pub receipt_id: ReceiptId,
    pub limits: Limits,
}

impl Default for TestRules {
    fn default() -> Self {
        TestRules {
            policy: ReceiptPolicy::Message,
            receipt_id: ReceiptId::Same,
            limits: Limits {
                mail_time_to_live: Duration::from_secs(86_400),
                receipt_timeout: Duration::from_secs(3_600),
                early_receipt: Duration::from_secs(60),
                mo_reassembly: Duration::from_secs(300),
            },
        }
    }
}

impl Rules for TestRules {
    fn route(&self, _: &Message) -> SmallVec<[OperatorKey; 4]> {
        SmallVec::from_slice(&[A, B])
    }
    fn receipt_policy(&self, _: AccountKey) -> ReceiptPolicy {
        self.policy
    }
    fn receipt_id(&self, _: OperatorKey) -> ReceiptId {
        self.receipt_id
    }
    fn inbound(&self, _: &Address, text: Option<&str>) -> Option<Arc<str>> {
        match text.and_then(|text| text.chars().next()) {
            Some('X') => None,
            Some('Q') => Some("quiz".into()),
            _ => Some("shop".into()),
        }
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The two operators and the account that the stories know.
pub(crate) fn names() -> (Arc<Names>, Arc<Names>) {
    let (accounts, operators) = (Arc::<Names>::default(), Arc::<Names>::default());
    accounts.intern("shop");
    operators.intern("alpha");
    operators.intern("beta");
    (accounts, operators)
}

pub(crate) fn job(id: u64, receipt: u8, destination: &str) -> Arc<Job> {
    let message = Message { receipt: ReceiptRequest(receipt), ..test_message("shop", destination, "Moi") };
    Arc::new(Job { id: MessageId(id), account: AccountKey(0), message, route: SmallVec::from_slice(&[A, B]) })
}

pub(super) struct World {
    pub ledger: Ledger,
    pub log: MemoryLog,
    pub rules: TestRules,
    pub now: Timestamp,
    pub effects: Vec<Effect>,
}

impl World {
    pub fn new() -> Self {
        World::with(TestRules::default())
    }

    pub fn with(rules: TestRules) -> Self {
        let (accounts, operators) = names();
        let ledger = Ledger::new(Ids::starting_at(1_000), KeyMaker::default(), accounts, operators, 4, 100);
        World { ledger, log: MemoryLog::default(), rules, now: Timestamp(1_000_000), effects: Vec::new() }
    }

    fn turn<T>(&mut self, act: impl FnOnce(&mut Ledger, &mut Turn<'_, MemoryLog, TestRules>) -> T) -> T {
        let World { ledger, log, rules, now, effects } = self;
        let result = act(ledger, &mut Turn { now: *now, log, rules, effects });
        self.check_log();
        result
    }

    /// Whatever happened: the log keeps exactly what the ledger still needs.
    fn check_log(&self) {
        let mut needed: Vec<usize> = self.ledger.locations().map(|location| location.offset as usize).collect();
        needed.sort_unstable();
        let kept = self.log.records.iter().enumerate().skip(self.log.first).filter(|(_, record)| record.live).map(|(at, _)| at);
        assert_eq!(kept.collect::<Vec<_>>(), needed);
    }

    pub fn apply(&mut self, event: Event) -> Status {
        self.turn(|ledger, t| ledger.apply(event, t))
    }

    pub fn tick_after(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.turn(|ledger, t| ledger.tick(t));
    }

    /// Everything written so far is lost but the records themselves: a ledger made of them.
    pub fn restarted(&self) -> World {
        let (accounts, operators) = (self.ledger.accounts.clone(), self.ledger.operators.table().clone());
        let ids = Ids::starting_at(self.ledger.ids.0.load(Ordering::Relaxed));
        ids.raise(self.log.records.iter().map(|record| record.id.0 + 1).max().unwrap_or(0));
        let mut ledger = Ledger::new(ids, self.ledger.keys.clone(), accounts, operators, 4, 100);
        let mut log = MemoryLog { first: self.log.first, damaged: self.log.damaged.clone(), ..MemoryLog::default() };
        for (at, record) in self.log.records.iter().enumerate() {
            if at >= self.log.first {
                let location = Location { segment: 1, offset: at as u32 };
                ledger.restore(record.kind, record.id, location, record.payload.clone()).unwrap();
            }
            let Entry { kind, id, payload, .. } = record;
            log.records.push(Entry { kind: *kind, id: *id, payload: payload.clone(), live: false });
        }
        for location in ledger.locations() {
            log.records[location.offset as usize].live = true;
        }
        let mut world = World { ledger, log, rules: self.rules.clone(), now: self.now, effects: Vec::new() };
        let mut effects = Vec::new();
        world.turn(|ledger, t| ledger.resume(t, |some| effects.append(some)));
        world.effects = effects;
        world
    }

    /// Moves every live record to the head of the log and drops those before.
    pub fn compact(&mut self) {
        let end = self.log.records.len();
        for at in self.log.first..end {
            let Entry { kind, id, ref payload, .. } = self.log.records[at];
            let payload = payload.clone();
            self.turn(|ledger, t| ledger.carry(id, Location { segment: 1, offset: at as u32 }, kind, &payload, t.log));
        }
        assert!(self.log.records[..end].iter().all(|record| !record.live));
        self.log.first = end;
    }

    pub fn accept(&mut self, id: u64, receipt: u8) -> Arc<Job> {
        let job = job(id, receipt, RECIPIENT);
        assert_eq!(self.apply(job.clone().into()), 0);
        job
    }

    /// What an operator's answer for a part makes of it.
    pub fn part(&self, job: &Arc<Job>, (part, total): (u8, u8), operator: OperatorKey, operator_id: &str) -> SentPart {
        let operator_id = OperatorId::from_slice(operator_id.as_bytes());
        let key = self.ledger.keys.of_response(operator, self.rules.receipt_id, &operator_id);
        SentPart { job: job.clone(), part, total, operator_id, key, strayed: false }
    }

    pub fn sent(&mut self, job: &Arc<Job>, (part, total): (u8, u8), operator: OperatorKey, operator_id: &str) {
        let parts = vec![self.part(job, (part, total), operator, operator_id)];
        self.apply(Event::Sent { operator, parts });
    }

    /// What has been queued since this was last asked: id, whose it is, and the parts done.
    pub fn queued(&mut self) -> Vec<(u64, Option<OperatorKey>, PartSet)> {
        let queued = self.effects.extract_if(.., |effect| matches!(effect, Effect::Queue(_)));
        let told = |effect| if let Effect::Queue(w) = effect { (w.id.0, w.bound_to, w.done) } else { unreachable!() };
        queued.map(told).collect()
    }

    /// The operator's answer came when the message had gone elsewhere.
    pub fn strayed(&mut self, job: &Arc<Job>, part: (u8, u8), operator: OperatorKey, operator_id: &str) {
        let part = SentPart { strayed: true, ..self.part(job, part, operator, operator_id) };
        self.apply(Event::Sent { operator, parts: vec![part] });
    }

    pub fn receipt(&mut self, operator: OperatorKey, operator_id: &str, state: State) {
        self.receipt_about(operator, operator_id, state, RECIPIENT);
    }

    pub fn receipt_about(&mut self, operator: OperatorKey, operator_id: &str, state: State, recipient: &str) {
        let source = Address::new(1, 1, recipient.as_bytes());
        self.receipt_from_to(operator, receipt(operator_id, state), source, Address::default());
    }

    pub fn receipt_from_to(&mut self, operator: OperatorKey, receipt: Receipt, source: Address, destination: Address) {
        let keys = self.ledger.keys.of_receipt(operator, self.rules.receipt_id, &receipt.id);
        self.apply(received(operator, receipt, keys, source, destination, self.now));
    }

    pub fn failed(&mut self, id: u64, parts: Option<(PartSet, u8)>, state: State, status: u32) {
        let failure = Failure { state, status };
        self.apply(Event::Failed { id: MessageId(id), operator: Some(A), parts, failure });
    }

    /// The receipts put into mailboxes since this was last asked.
    pub fn receipts(&mut self) -> Vec<MailedReceipt> {
        let said = |mail: Arc<Mail>| match &mail.content {
            MailContent::Receipt(receipt) => Some(receipt.clone()),
            MailContent::Mo(_) => None,
        };
        self.mail().into_iter().filter_map(said).collect()
    }

    pub fn states(&mut self) -> Vec<(u64, State)> {
        self.receipts().into_iter().map(|receipt| (receipt.message.0, receipt.state)).collect()
    }

    pub fn mail(&mut self) -> Vec<Arc<Mail>> {
        let mail = self.effects.extract_if(.., |effect| matches!(effect, Effect::Mail { .. }));
        mail.map(|effect| if let Effect::Mail { mail, .. } = effect { mail } else { unreachable!() }).collect()
    }

    pub fn noted(&mut self, note: Note) -> bool {
        let found = self.effects.iter().any(|effect| matches!(effect, Effect::Note(other) if *other == note));
        self.effects.retain(|effect| !matches!(effect, Effect::Note(other) if *other == note));
        found
    }

    pub fn finished(&mut self) -> usize {
        self.effects.extract_if(.., |effect| matches!(effect, Effect::Finished { .. })).count()
    }
}

pub(super) fn receipt(operator_id: &str, state: State) -> Receipt {
    Receipt {
        id: SmallVec::from_slice(operator_id.as_bytes()),
        state,
        error: None,
        done: None,
        network_error_code: None,
        intermediate: !state.is_final(),
    }
}

pub(super) fn mo(sender: &str, text: &str, concatenation: Option<(u16, u8, u8)>) -> Mo {
    Mo {
        operator: "alpha".into(),
        source: Address::new(1, 1, sender.as_bytes()),
        destination: Address::new(3, 0, b"17171"),
        protocol_id: 0,
        dcs_class: 0,
        received_at: Timestamp(1_000_000),
        concatenation: concatenation.map(|(reference, total, sequence)| Concatenation { reference, total, sequence }),
        udh: Bytes::new(),
        body: Body { alphabet: Alphabet::Gsm7, octets: Bytes::copy_from_slice(text.as_bytes()) },
        tlvs: Bytes::new(),
    }
}

/// What the ledger believes, by id, without what a restart may forget: payloads in memory and the dates of parked receipts.
pub(super) fn beliefs(ledger: &Ledger) -> std::collections::BTreeMap<MessageId, String> {
    let told = ledger.index.iter().map(|(id, item)| {
        let belief = match &item.what {
            What::Message(p) => {
                // How many more parts will be sent is known when they are.
                let kept = p.parts.iter().rposition(|part| part.state != PartState::Waiting).map_or(0, |last| last + 1);
                format!("{:?} {:?} {:?}, to be sent: {}", p.account, p.receipt, &p.parts[..kept], p.is_to_be_sent())
            }
            What::Mail { account } => format!("mail for {account:?}"),
            What::Parked(parked) => format!("{parked:?}"),
            What::MoPart(mo) => format!("{mo:?}"),
        };
        (id, belief)
    });
    told.collect()
}

#[test]
fn a_pending_message_takes_little_memory() {
    assert!(size_of::<Option<index::Item>>() <= 48, "{}", size_of::<Option<index::Item>>());
    assert!(size_of::<Part>() <= 32, "{}", size_of::<Part>());
    assert_eq!(size_of::<PartState>(), 8);
}

/// The event of a receipt.
pub fn received(
    operator: OperatorKey,
    receipt: Receipt,
    keys: Keys,
    source: Address,
    destination: Address,
    now: Timestamp,
) -> Event {
    Event::Receipts(vec![Received { operator, receipt, keys, source, destination, received_at: now }])
}

/// The event of a delivery receipt of the first operator, which nobody will find an owner for.
pub(crate) fn receipt_event(operator_id: &str) -> Event {
    let receipt = receipt(operator_id, State::Delivered);
    received(A, receipt, Keys::new(), Address::default(), Address::default(), Timestamp(1_000_000))
}
