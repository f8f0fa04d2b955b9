//! Receipts of operators: whose they are, and what becomes of those that belong to nobody yet, or never come.

use smallvec::SmallVec;

use super::apply::MailClose;
use super::correlation::{Found, Key, Sight, Target};
use super::event::{Effect, Note, Received};
use super::index::{Item, Pending, What};
use super::part::{Part, PartState};
use super::receipt_mail::Verdict;
use super::status::StrayReceipt;
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn, UNMATCHED_KEPT, kind, records};
use crate::message::{MessageId, OperatorKey, Timestamp};
use crate::receipt::{Receipt, State};

impl Ledger {
    fn owner(&self, received: &Received) -> Found {
        self.correlation.find(&received.keys, &received.source, &received.destination, |target| self.sight(target))
    }

    fn sight(&self, target: Target) -> Sight {
        match self.index.get(target.message).map(|item| &item.what) {
            Some(What::Message(pending)) => {
                let part = pending.parts.get(usize::from(target.part));
                let waits = part.is_some_and(|part| part.awaited_since().is_some());
                Sight { destination: pending.destination, waits }
            }
            _ => {
                let destination = self.history.get(target.message).map_or(0, |past| past.destination);
                Sight { destination, waits: false }
            }
        }
    }

    pub(super) fn receipt(&mut self, received: &Received, t: &mut Turn<'_, impl Log, impl Rules>) {
        let operator = received.operator;
        if received.keys.is_empty() {
            // Nothing will ever be found by no id.
            return self.unmatched_receipt(received, t);
        }
        match self.owner(received) {
            Found::One(target) => return self.matched(target, operator, &received.receipt, t),
            Found::Ambiguous => t.effects.push(Effect::Note(Note::ReceiptAmbiguous { operator })),
            Found::Nothing => {}
        }
        self.park(received.clone().into(), t);
    }

    fn matched(&mut self, target: Target, operator: OperatorKey, receipt: &Receipt, t: &mut Turn<'_, impl Log, impl Rules>) {
        let (id, part) = (target.message, usize::from(target.part));
        let parts = match self.index.get(id).map(|item| &item.what) {
            Some(What::Message(pending)) => match pending.parts.get(part) {
                Some(Part { state: PartState::Final { .. }, .. }) => Some(&pending.parts),
                // Of a copy that went astray: what counts is what becomes of the other one.
                waiting if waiting.and_then(Part::operator) != Some(operator) => None,
                waiting => {
                    let milliseconds = t.now.0.saturating_sub(self.begun(id, waiting).unwrap_or(t.now).0);
                    return self.first_receipt(target, operator, receipt, milliseconds, t);
                }
            },
            _ => self.history.get(id).map(|past| &past.parts),
        };
        let told = parts.and_then(|parts| parts.get(part)).map(|part| part.state);
        let differs = matches!(told, Some(PartState::Final { state, .. }) if state != receipt.state);
        let contradicts = differs && receipt.state.is_final();
        t.effects.push(Effect::Note(Note::ReceiptRepeated { operator, contradicts }));
    }

    /// A receipt for a part that has no final state yet.
    fn first_receipt(
        &mut self,
        target: Target,
        operator: OperatorKey,
        receipt: &Receipt,
        milliseconds: u64,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        let id = target.message;
        t.effects.push(Effect::Note(Note::ReceiptMatched { operator, state: receipt.state, milliseconds }));
        let error = receipt.error.as_deref().map_or_else(SmallVec::new, SmallVec::from_slice);
        let verdict =
            Verdict { state: receipt.state, error, network_error_code: receipt.network_error_code, done: done_at(receipt) };
        if receipt.state.is_final() {
            return self.part_final(id, target.part, None, verdict, t);
        }
        let Some(pending) = self.index.message_mut(id) else { return };
        if pending.receipt.wants_intermediate() {
            let part = (target.part, pending.parts.len() > 1);
            // One that cannot be told just now is let go: the next, or the end, says more.
            let _ = self.forward(id, part, verdict, MailClose::Nothing, t);
        }
    }

    /// When a message was accepted; of one no longer in memory, when the operator took the part, to the second.
    fn begun(&self, id: MessageId, part: Option<&Part>) -> Option<Timestamp> {
        match self.index.hot(id) {
            Some(job) => Some(job.message.accepted_at),
            None => part.and_then(Part::awaited_since).map(|at| Timestamp(u64::from(at) * 1000)),
        }
    }

    fn park(&mut self, parked: Box<Received>, t: &mut Turn<'_, impl Log, impl Rules>) {
        let id = self.ids.next();
        let operator = parked.operator;
        self.scratch.clear();
        records::put_parked(&mut self.scratch, &parked, &mut self.operators);
        let location = t.log.append_full(kind::PARKED, id, &self.scratch);
        t.effects.push(Effect::Note(Note::ReceiptParked { operator }));
        let keys = parked.keys.clone();
        self.parking.add(operator, parked.received_at, id, &keys);
        self.index.insert(id, Item { location, what: What::Parked(parked) });
        if let Some(oldest) = self.parking.excess(operator, &keys) {
            self.parked_expired(oldest, t);
        }
    }

    /// A part has just got the id of `key`: receipts that came earlier for it find their owner.
    pub(super) fn unpark(&mut self, key: Key, t: &mut Turn<'_, impl Log, impl Rules>) {
        for id in self.parking.waiting_for(key) {
            self.match_parked(id, t);
        }
    }

    /// Gives a parked receipt to its owner, if it has one now. What it changes is written before the receipt is let go: a torn
    /// write leaves it parked.
    fn match_parked(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) -> bool {
        let Some(parked) = self.parked_receipt(id).cloned() else { return false };
        let Found::One(target) = self.owner(&parked) else { return false };
        t.effects.push(Effect::Note(Note::ReceiptUnparked { operator: parked.operator }));
        self.matched(target, parked.operator, &parked.receipt, t);
        self.drop_parked(id, t);
        true
    }

    pub(super) fn parked_receipt(&self, id: MessageId) -> Option<&Received> {
        match self.index.get(id).map(|item| &item.what) {
            Some(What::Parked(parked)) => Some(parked),
            _ => None,
        }
    }

    fn drop_parked(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) -> Option<Box<Received>> {
        let What::Parked(parked) = self.close(id, t)? else { return None };
        self.parking.remove(parked.operator, parked.received_at, id);
        Some(parked)
    }

    /// Parked receipts whose time is over, and receipts that never came.
    pub(super) fn expire_receipts(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        for id in std::mem::take(&mut self.recheck) {
            self.match_parked(id, t);
        }
        let limits = t.rules.limits();
        let (early, timeout) = (limits.early_receipt, limits.receipt_timeout);
        if let Some(moment) = self.waited_since(t.now, early) {
            for id in self.parking.since(moment, EXPIRIES_PER_TICK) {
                self.parked_expired(id, t);
            }
        }
        let Some(moment) = self.waited_since(t.now, timeout) else { return };
        let overdue = u32::try_from(moment.0 / 1000).unwrap_or(u32::MAX);
        for _ in 0..EXPIRIES_PER_TICK {
            let Some((sent_at, id)) = self.awaiting.pop_due(overdue) else { break };
            self.receipt_missing(id, (sent_at, overdue), t);
        }
        if self.awaiting.len() > 2 * self.index.messages() + EXPIRIES_PER_TICK {
            self.awaiting.sweep(|id| self.index.contains(id));
        }
    }

    /// Forgets ids of operators whose messages are neither pending nor remembered. The newest are kept without asking.
    pub(super) fn forget_ids(&mut self) {
        let Ledger { correlation, index, history, ids, .. } = self;
        let newest = ids.peek().0.saturating_sub(history.limit() as u64);
        correlation.sweep(|id| id.0 >= newest || index.contains(id) || history.contains(id));
    }

    /// A last look for its owner: others that it could have meant may be final by now.
    fn parked_expired(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) {
        if self.match_parked(id, t) {
            return;
        }
        if let Some(parked) = self.drop_parked(id, t) {
            self.unmatched_receipt(&parked, t);
        }
    }

    fn unmatched_receipt(&mut self, received: &Received, t: &mut Turn<'_, impl Log, impl Rules>) {
        t.effects.push(Effect::Note(Note::ReceiptUnmatched { operator: received.operator }));
        if self.unmatched.len() >= UNMATCHED_KEPT {
            self.unmatched.pop_front();
        }
        self.unmatched.push_back(StrayReceipt::new(received, self.operators.table()));
    }

    /// No receipt came in time for parts sent at `overdue` or before: the owner is told that the result is not known.
    fn receipt_missing(&mut self, id: MessageId, (sent_at, overdue): (u32, u32), t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let waiting = (0u8..).zip(pending.parts.iter());
        let waiting = waiting.filter_map(|(at, part)| Some((at, part.awaited_since()?, part.operator())));
        let waiting: SmallVec<[_; 4]> = waiting.collect();
        let first = waiting.iter().map(|(_, sent_at, _)| *sent_at).min();
        if let Some(first) = first.filter(|first| *first > sent_at) {
            // The part that stood here has had its receipt: the next one takes its own place in the line.
            return self.awaiting.push(first, id);
        }
        for (part, _, operator) in waiting.iter().filter(|(_, sent_at, _)| *sent_at <= overdue) {
            if self.index.message_mut(id).is_none() {
                return;
            }
            t.effects.push(Effect::Note(Note::ReceiptMissing { operator: *operator }));
            let verdict = Verdict::ours(State::Expired);
            self.part_final(id, *part, None, verdict, t);
        }
        let next = waiting.iter().map(|(_, sent_at, _)| *sent_at).filter(|sent_at| *sent_at > overdue).min();
        if let Some(next) = next.filter(|_| self.index.contains(id)) {
            self.awaiting.push(next, id);
        }
    }

    /// Parts read back at start that an operator has taken are known by their ids again.
    pub(super) fn resume_parts(&mut self, id: MessageId, t: &Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::Message(Pending { parts, receipt, .. }), .. }) = self.index.get_mut(id) else { return };
        if !receipt.wants_any() {
            return;
        }
        // What was sent in the future was while the clock was wrong: its receipt is not awaited until then.
        let now = u32::try_from(t.now.0 / 1000).unwrap_or(u32::MAX);
        parts.iter_mut().for_each(|part| part.awaited_from_now(now));
        if let Some(first) = parts.iter().filter_map(Part::awaited_since).min() {
            self.awaiting.push(first, id);
        }
        for (part, slot) in (0u8..).zip(parts.iter()) {
            let Some(operator) = slot.operator() else { continue };
            if let Some(key) = self.keys.of_response(operator, t.rules.receipt_id(operator), &slot.operator_id.octets()) {
                self.correlation.insert(key, Target { message: id, part });
            }
        }
    }

    pub(super) fn resume_parked(&mut self, id: MessageId, t: &Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::Parked(parked), .. }) = self.index.get_mut(id) else { return };
        let operator = parked.operator;
        parked.received_at = parked.received_at.min(t.now);
        parked.keys = self.keys.of_receipt(operator, t.rules.receipt_id(operator), &parked.receipt.id);
        self.parking.add(operator, parked.received_at, id, &parked.keys);
        self.recheck.push(id);
    }
}

/// The moment a receipt names, when it names one.
fn done_at(receipt: &Receipt) -> Option<Timestamp> {
    let seconds = receipt.done?.seconds;
    Some(Timestamp(u64::try_from(seconds).ok()?.checked_mul(1000)?))
}
