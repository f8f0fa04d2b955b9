//! The ledger's way of one message, accepted, sent and reported, while so many others wait for their receipts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smallvec::{SmallVec, smallvec};
use smppgw::ledger::{Effect, Event, Ids, KeyMaker, Ledger, Limits, Log, OperatorId, Received, Rules, SentPart, Turn};
use smppgw::message::{AccountKey, Address, Job, Message, MessageId, Names, OperatorKey, ReceiptRequest, Timestamp};
use smppgw::receipt::{Receipt, ReceiptId, ReceiptPolicy, State};
use smppgw::spool::Location;
use smppgw::text::Body;

const OPERATOR: OperatorKey = OperatorKey(0);
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
/// The configuration's defaults.
const HOT: usize = 200_000;
const HISTORY: usize = 100_000;

/// A log that forgets: only what was appended last can be read.
#[derive(Default)]
struct RecentLog {
    records: VecDeque<(u8, Bytes)>,
    first: u32,
}

impl RecentLog {
    const KEPT: usize = 64;
}

impl Log for RecentLog {
    fn append_full(&mut self, kind: u8, _: MessageId, payload: &[u8]) -> Location {
        if self.records.len() == Self::KEPT {
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back((kind, Bytes::copy_from_slice(payload)));
        Location { segment: 1, offset: self.first + self.records.len() as u32 - 1 }
    }
    fn append_change(&mut self, _: u8, _: MessageId, _: &[u8]) {}
    fn release(&mut self, _: Location) {}
    fn read(&mut self, location: Location) -> Option<(u8, Bytes)> {
        self.records.get(location.offset.checked_sub(self.first)? as usize).cloned()
    }
}

/// One operator, and receipts per message.
struct OneOperator(Limits);

impl Rules for OneOperator {
    fn route(&self, _: &Message) -> SmallVec<[OperatorKey; 4]> {
        smallvec![OPERATOR]
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

struct World {
    ledger: Ledger,
    ids: Ids,
    keys: KeyMaker,
    log: RecentLog,
    rules: OneOperator,
    effects: Vec<Effect>,
    account: Arc<str>,
}

impl World {
    fn with_awaited(count: u64) -> World {
        let (accounts, operators) = (Arc::<Names>::default(), Arc::<Names>::default());
        accounts.intern("shop");
        operators.intern("elisa");
        let (ids, keys) = (Ids::starting_at(1), KeyMaker::default());
        let limits = Limits { mail_time_to_live: DAY, receipt_timeout: DAY, early_receipt: DAY, mo_reassembly: DAY };
        let mut world = World {
            ledger: Ledger::new(ids.clone(), keys.clone(), accounts, operators, HOT, HISTORY),
            ids,
            keys,
            log: RecentLog::default(),
            rules: OneOperator(limits),
            effects: Vec::new(),
            account: "shop".into(),
        };
        for _ in 0..count {
            world.send();
        }
        world
    }

    fn apply(&mut self, event: Event) {
        let World { ledger, log, rules, effects, .. } = self;
        assert_eq!(ledger.apply(event, &mut Turn { now: NOW, log, rules, effects }), 0);
    }

    /// Accepts a message and has the operator take it.
    fn send(&mut self) -> MessageId {
        let id = self.ids.next();
        let message = message(&self.account, id);
        let job = Arc::new(Job { id, account: AccountKey(0), message, route: smallvec![OPERATOR] });
        self.apply(job.clone().into());
        let operator_id = operator_id(id);
        let key = self.keys.of_response(OPERATOR, ReceiptId::Same, &operator_id);
        let part = SentPart { job, part: 0, total: 1, operator_id, key, strayed: false };
        self.apply(Event::Sent { operator: OPERATOR, parts: vec![part] });
        self.effects.clear();
        id
    }

    fn report(&mut self, id: MessageId) {
        let receipt = Receipt {
            id: operator_id(id),
            state: State::Delivered,
            error: None,
            done: None,
            network_error_code: None,
            intermediate: false,
        };
        let (source, destination) = (recipient(id), Address::default());
        let keys = self.keys.of_receipt(OPERATOR, ReceiptId::Same, &receipt.id);
        let received = Received { operator: OPERATOR, receipt, keys, source, destination, received_at: Timestamp(0) };
        self.apply(Event::Receipts(vec![received]));
    }

    /// The application takes the receipt, so that nothing piles up.
    fn take_mail(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        let mail = effects.iter().find_map(|effect| if let Effect::Mail { mail, .. } = effect { Some(mail.id) } else { None });
        let id = mail.expect("a receipt for its owner");
        self.apply(Event::MailDone(vec![(id, smppgw::ledger::MailEnd::Delivered)]));
        self.effects = effects;
        self.effects.clear();
    }
}

fn operator_id(id: MessageId) -> OperatorId {
    format!("{:016x}", id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)).bytes().collect()
}

fn recipient(id: MessageId) -> Address {
    Address::new(1, 1, format!("35840{:07}", id.0 % 10_000_000).as_bytes())
}

fn message(account: &Arc<str>, id: MessageId) -> Message {
    Message {
        account: account.clone(),
        source: Address::new(5, 0, b"SHOP"),
        destination: recipient(id),
        submitted_destination: None,
        service_type: SmallVec::new(),
        protocol_id: 0,
        priority: 0,
        esm_class: 0,
        receipt: ReceiptRequest(1),
        accepted_at: NOW,
        not_before: Timestamp(0),
        expires_at: NOW.plus(DAY),
        validity_given: false,
        body: Body::from_text("Your code is 123456."),
        dcs_class: 0,
        concatenation: None,
        udh: Bytes::new(),
        reference: 7,
        tlvs: Bytes::new(),
        short_id: false,
    }
}

fn cycle(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1));
    for awaited in [1_000u64, 1_000_000, 10_000_000] {
        let mut world = World::with_awaited(awaited);
        group.bench_function(BenchmarkId::new("accept, send, report with others awaited", awaited), |b| {
            b.iter(|| {
                let id = world.send();
                world.report(id);
                world.take_mail();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cycle);
criterion_main!(benches);
