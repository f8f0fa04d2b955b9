//! A log in memory and the simplest rules, for a ledger.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use smppgw::ledger::{Ids, KeyMaker, Ledger, Limits, Log, Rules};
use smppgw::message::{AccountKey, Address, Message, MessageId, OperatorKey};
use smppgw::receipt::{ReceiptId, ReceiptPolicy};
use smppgw::spool::Location;

/// An empty ledger that keeps no payload in memory.
pub fn ledger() -> Ledger {
    Ledger::new(Ids::starting_at(1), KeyMaker::default(), Arc::default(), Arc::default(), 0, 10)
}

/// Records in the order written; a location's offset is the place in the list.
#[derive(Default)]
pub struct MemoryLog(pub Vec<(u8, MessageId, Bytes)>);

impl Log for MemoryLog {
    fn append_full(&mut self, kind: u8, id: MessageId, payload: &[u8]) -> Location {
        self.0.push((kind, id, Bytes::copy_from_slice(payload)));
        Location { segment: 1, offset: self.0.len() as u32 - 1 }
    }

    fn append_change(&mut self, kind: u8, id: MessageId, payload: &[u8]) {
        self.append_full(kind, id, payload);
    }

    fn release(&mut self, _: Location) {}

    fn read(&mut self, location: Location) -> Option<(u8, Bytes)> {
        let (kind, _, payload) = self.0.get(location.offset as usize)?;
        Some((*kind, payload.clone()))
    }
}

/// One operator, one account, receipts by message.
pub struct PlainRules(Limits);

impl Default for PlainRules {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        PlainRules(Limits { mail_time_to_live: hour, receipt_timeout: hour, early_receipt: hour, mo_reassembly: hour })
    }
}

impl Rules for PlainRules {
    fn route(&self, _: &Message) -> SmallVec<[OperatorKey; 4]> {
        SmallVec::from_slice(&[OperatorKey(0)])
    }

    fn receipt_policy(&self, _: AccountKey) -> ReceiptPolicy {
        ReceiptPolicy::Message
    }

    fn receipt_id(&self, _: OperatorKey) -> ReceiptId {
        ReceiptId::Same
    }

    fn inbound(&self, _: &Address, _: Option<&str>) -> Option<Arc<str>> {
        Some("shop".into())
    }

    fn limits(&self) -> &Limits {
        &self.0
    }
}
