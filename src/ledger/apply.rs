//! The changes: one function per event.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use super::codec::{put_mail, put_message, put_short};
use super::correlation::{Found, Key, Target, suffix};
use super::event::{Effect, Event, Failure, MailEnd, Note, OperatorId, PartSet, Status, Waiting, all_parts};
use super::index::{Item, Parked, PartState, Pending, What};
use super::status::{MessageStatus, UnmatchedReceipt};
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn, UNMATCHED_KEPT, kind};
use crate::message::{AccountKey, Address, Job, Mail, MailKind, Message, MessageId, OperatorKey, Timestamp};
use crate::receipt::{self, Receipt, ReceiptPolicy, State};
use crate::smpp::{TlvTag, Tlvs, tlv};
use crate::text::{Alphabet, Body};

/// Answer to an event that is durable.
const OK: Status = 0;

/// What a final state adds to a receipt.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub state: State,
    /// As the operator's receipt wrote it, or an SMPP status in digits.
    pub error: SmallVec<[u8; 8]>,
    pub network_error_code: Option<[u8; 3]>,
}

impl Verdict {
    /// The error as a number; 0 when it is none.
    fn error_number(&self) -> u16 {
        std::str::from_utf8(&self.error).ok().and_then(|digits| digits.trim().parse().ok()).unwrap_or(0)
    }
}

impl Ledger {
    /// Takes one event in: appends its records to the log, adds what must follow once they are durable to the effects, and returns
    /// the SMPP status for whoever sent it.
    pub fn apply(&mut self, event: Event, t: &mut Turn<'_, impl Log, impl Rules>) -> Status {
        match event {
            Event::Accept(job) => self.accept(job, t),
            Event::Sent { job, operator, part, total, operator_id } => {
                self.sent(&job, operator, (part, total), operator_id, t);
                OK
            }
            Event::Failed { id, operator, parts, failure } => {
                self.failed(id, operator, parts, failure, t);
                OK
            }
            Event::Receipt { operator, receipt, source, destination } => {
                let parked = Parked { operator, receipt, source, destination, since: t.now };
                self.receipt(parked, t);
                OK
            }
            Event::Mo(mo) => self.mo(mo, t),
            Event::MailDone { id, how } => {
                self.mail_done(id, how, t);
                OK
            }
        }
    }

    fn accept(&mut self, job: Arc<Job>, t: &mut Turn<'_, impl Log, impl Rules>) -> Status {
        self.scratch.clear();
        put_message(&mut self.scratch, &job.message);
        let location = t.log.append_full(kind::MESSAGE, job.id, &self.scratch);
        let pending =
            Pending { account: job.account, receipt: job.message.receipt, parts: Box::default(), job: Some(job.clone()) };
        self.index.insert(job.id, Item { location, what: What::Message(pending) });
        t.effects.push(Effect::Queue(Waiting { id: job.id, account: job.account, bound_to: None, done: 0, job }));
        OK
    }

    /// Forgets a submission whose group could not be made durable: it was refused, so it never existed. The spool has taken its
    /// record out of the log.
    pub fn withdraw(&mut self, id: MessageId) {
        self.index.remove(id);
    }

    fn sent(
        &mut self,
        job: &Arc<Job>,
        operator: OperatorKey,
        (part, total): (u8, u8),
        operator_id: OperatorId,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        let Some(pending) = self.index.message_mut(job.id) else { return };
        let Some(slot) = pending.part_mut(part, total) else { return };
        if slot.state != PartState::Waiting {
            return;
        }
        slot.operator = Some(operator);
        slot.operator_id = SmallVec::from_slice(&operator_id);
        slot.state = PartState::Sent;
        let milliseconds = t.now.0.saturating_sub(job.message.accepted_at.0);
        t.effects.push(Effect::Note(Note::PartSent { operator, milliseconds }));
        if !pending.receipt.wants_any() {
            if pending.parts.iter().all(|p| p.state != PartState::Waiting) {
                self.finish(job.id, State::Accepted, t);
            } else {
                self.log_sent(job.id, part, total, operator, &operator_id, t);
            }
            return;
        }
        if pending.done() == 1 << part {
            self.awaiting.push_back((t.now.plus(t.rules.limits().receipt_timeout), job.id));
        }
        self.log_sent(job.id, part, total, operator, &operator_id, t);
        if operator_id.is_empty() {
            t.effects.push(Effect::Note(Note::NoOperatorId { operator }));
            return;
        }
        let target = Target { message: job.id, part, destination: suffix(&job.message.destination.digits) };
        if let Some(key) = self.stored_key(operator, &operator_id, t.rules) {
            self.correlation.insert(key, target);
            self.unpark(key, t);
        }
    }

    fn log_sent(
        &mut self,
        id: MessageId,
        part: u8,
        total: u8,
        operator: OperatorKey,
        operator_id: &[u8],
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        self.scratch.clear();
        self.scratch.put_slice(&[part, total]);
        put_short(&mut self.scratch, self.operators.name(operator.0).as_bytes());
        put_short(&mut self.scratch, operator_id);
        t.log.append_change(kind::SENT, id, &self.scratch);
    }

    /// The key under which a receipt for the id of a response will come.
    pub(super) fn stored_key(&self, operator: OperatorKey, id: &[u8], rules: &impl Rules) -> Option<Key> {
        receipt::id::stored_key(rules.receipt_id(operator), id).map(|key| self.correlation.key(operator, &key))
    }

    /// Keys to try, in order, for the id of a receipt.
    pub(super) fn sought_keys(&self, operator: OperatorKey, id: &[u8], rules: &impl Rules) -> SmallVec<[Key; 2]> {
        let keys = receipt::id::sought_keys(rules.receipt_id(operator), id);
        keys.iter().map(|key| self.correlation.key(operator, key)).collect()
    }

    fn failed(
        &mut self,
        id: MessageId,
        operator: Option<OperatorKey>,
        parts: Option<(PartSet, u8)>,
        failure: Failure,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        let error = three_digits(u16::try_from(failure.status).unwrap_or(u16::MAX));
        let Some(pending) = self.index.message_mut(id) else { return };
        let (set, total) = parts.unwrap_or_else(|| {
            let total = u8::try_from(pending.parts.len()).unwrap_or(u8::MAX).max(1);
            (all_parts(total) & !pending.done(), total)
        });
        for part in (0..total).filter(|p| set & (1 << p) != 0) {
            let Some(slot) = self.index.message_mut(id).and_then(|pending| pending.part_mut(part, total)) else { return };
            if !matches!(slot.state, PartState::Final { .. }) {
                slot.operator = slot.operator.or(operator);
                t.effects.push(Effect::Note(Note::PartFailed { operator, state: failure.state }));
                self.part_final(id, part, Verdict { state: failure.state, error: error.clone(), network_error_code: None }, t);
            }
        }
    }

    fn receipt(&mut self, received: Parked, t: &mut Turn<'_, impl Log, impl Rules>) {
        let operator = received.operator;
        let keys = self.sought_keys(operator, &received.receipt.id, t.rules);
        for key in &keys {
            match self.correlation.find(*key, &received.source, &received.destination) {
                Found::One(target) => return self.matched(target, operator, &received.receipt, t),
                Found::Ambiguous => {
                    t.effects.push(Effect::Note(Note::ReceiptAmbiguous { operator }));
                    return self.park(received, &keys, t);
                }
                Found::Nothing => {}
            }
        }
        self.park(received, &keys, t);
    }

    fn matched(&mut self, target: Target, operator: OperatorKey, receipt: &Receipt, t: &mut Turn<'_, impl Log, impl Rules>) {
        let id = target.message;
        let known = self.index.message_mut(id).map(|p| (p.receipt, p.parts.get(usize::from(target.part)).map(|s| s.state)));
        let error = receipt.error.clone().unwrap_or_default();
        let verdict = Verdict { state: receipt.state, error, network_error_code: receipt.network_error_code };
        match known {
            None => {
                let contradicts =
                    receipt.state.is_final() && self.history.get(id).is_some_and(|past| past.state != Some(receipt.state));
                t.effects.push(Effect::Note(Note::ReceiptRepeated { operator, contradicts }));
            }
            Some((_, Some(PartState::Final { state, .. }))) => {
                let contradicts = receipt.state.is_final() && state != receipt.state;
                t.effects.push(Effect::Note(Note::ReceiptRepeated { operator, contradicts }));
            }
            Some((request, _)) => {
                let milliseconds = self.age(t.now, id);
                t.effects.push(Effect::Note(Note::ReceiptMatched { operator, state: receipt.state, milliseconds }));
                if receipt.state.is_final() {
                    self.part_final(id, target.part, verdict, t);
                } else if request.wants_intermediate() {
                    self.forward(id, Some(target.part), verdict, MailClose::Nothing, t);
                }
            }
        }
    }

    fn age(&self, now: Timestamp, id: MessageId) -> u64 {
        match self.index.get(id).map(|item| &item.what) {
            Some(What::Message(Pending { job: Some(job), .. })) => now.0.saturating_sub(job.message.accepted_at.0),
            _ => 0,
        }
    }

    /// A part has its final state: tell the owner what its policy says, and finish the message when nothing is left open.
    fn part_final(&mut self, id: MessageId, part: u8, verdict: Verdict, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let Some(slot) = pending.parts.get_mut(usize::from(part)) else { return };
        slot.state = PartState::Final { state: verdict.state, error: verdict.error_number() };
        let (request, account, total) = (pending.receipt, pending.account, pending.parts.len());
        let delivered = verdict.state == State::Delivered;
        let all_final = pending.parts.iter().all(|p| matches!(p.state, PartState::Final { .. }));
        let account_name = self.accounts.name(account.0);
        match t.rules.receipt_policy(&account_name) {
            ReceiptPolicy::Message if !delivered || all_final => {
                if request.wants_final(delivered) {
                    self.forward(id, None, verdict, MailClose::Message, t);
                } else {
                    self.finish(id, verdict.state, t);
                }
            }
            ReceiptPolicy::Part if request.wants_final(delivered) => {
                let close = if all_final { MailClose::Message } else { MailClose::Part };
                self.forward(id, (total > 1).then_some(part), verdict, close, t);
            }
            ReceiptPolicy::Part if all_final => self.finish(id, verdict.state, t),
            ReceiptPolicy::Message | ReceiptPolicy::Part => {
                self.scratch.clear();
                put_part_final(&mut self.scratch, part, total, &verdict);
                t.log.append_change(kind::PART_FINAL, id, &self.scratch);
            }
        }
    }

    /// Puts a receipt in the mailbox; one record does that and closes what it closes.
    fn forward(
        &mut self,
        id: MessageId,
        part: Option<u8>,
        verdict: Verdict,
        close: MailClose,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        let Some(message) = self.message(id, t.log) else {
            return self.finish(id, verdict.state, t);
        };
        let Some(pending) = self.index.message_mut(id) else { return };
        let (account, total) = (pending.account, pending.parts.len());
        let mail = receipt_mail(self.ids.next(), id, &message, (part, total), &verdict, t);
        self.scratch.clear();
        match close {
            MailClose::Message => {
                self.scratch.put_u16(1);
                self.scratch.put_u64(id.0);
            }
            MailClose::Nothing | MailClose::Part => self.scratch.put_u16(0),
        }
        match part {
            Some(part) if close == MailClose::Part => {
                self.scratch.put_u64(id.0);
                put_part_final(&mut self.scratch, part, total, &verdict);
            }
            _ => self.scratch.put_u64(0),
        }
        self.post(account, mail, t);
        if close == MailClose::Message {
            self.forget(id, verdict.state, t);
        }
    }

    /// Appends the mail record whose head stands in `scratch`, and indexes the item.
    pub(super) fn post(&mut self, account: AccountKey, mail: Mail, t: &mut Turn<'_, impl Log, impl Rules>) {
        put_mail(&mut self.scratch, &mail);
        let id = mail.id;
        let location = t.log.append_full(kind::MAIL, id, &self.scratch);
        self.index.insert(id, Item { location, what: What::Mail { account } });
        t.effects.push(Effect::Mail { account, mail: Arc::new(mail) });
    }

    /// The message is final and nobody is to be told.
    fn finish(&mut self, id: MessageId, state: State, t: &mut Turn<'_, impl Log, impl Rules>) {
        t.log.append_change(kind::DONE, id, &[]);
        self.forget(id, state, t);
    }

    /// Drops a finished message from memory, keeping a line of history.
    fn forget(&mut self, id: MessageId, state: State, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(item) = self.index.remove(id) else { return };
        t.log.release(item.location);
        let What::Message(pending) = item.what else { return };
        t.effects.push(Effect::Finished { account: pending.account });
        for (part, sent) in (0u8..).zip(pending.parts.iter()) {
            let Some(operator) = sent.operator.filter(|_| !sent.operator_id.is_empty()) else { continue };
            if let Some(key) = self.stored_key(operator, &sent.operator_id, t.rules) {
                self.correlation.finish(key, id, part);
            }
        }
        self.history.push(MessageStatus::finished(t.now, id, state, pending, &self.accounts, &self.operators));
    }

    fn park(&mut self, parked: Parked, keys: &[Key], t: &mut Turn<'_, impl Log, impl Rules>) {
        let id = self.ids.next();
        let until = parked.since.plus(t.rules.limits().early_receipt);
        self.scratch.clear();
        super::restore::put_parked(&mut self.scratch, &parked, &self.operators);
        let location = t.log.append_full(kind::PARKED, id, &self.scratch);
        t.effects.push(Effect::Note(Note::ReceiptParked { operator: parked.operator }));
        self.index.insert(id, Item { location, what: What::Parked(Box::new(parked)) });
        for key in keys {
            self.parked.entry(*key).or_default().push(id);
        }
        self.parked_since.push_back((until, id));
    }

    /// A part has just got the id of `key`: receipts that came earlier for it find their owner.
    fn unpark(&mut self, key: Key, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(waiting) = self.parked.get(&key).cloned() else { return };
        for id in waiting {
            let Some(Item { what: What::Parked(parked), .. }) = self.index.get(id) else { continue };
            let parked = Parked::clone(parked);
            if let Found::One(target) = self.correlation.find(key, &parked.source, &parked.destination) {
                self.drop_parked(id, t);
                t.effects.push(Effect::Note(Note::ReceiptUnparked { operator: parked.operator }));
                self.matched(target, parked.operator, &parked.receipt, t);
            }
        }
    }

    fn drop_parked(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) -> Option<Box<Parked>> {
        let item = self.index.remove(id)?;
        t.log.release(item.location);
        t.log.append_change(kind::DONE, id, &[]);
        let What::Parked(parked) = item.what else { return None };
        for key in self.sought_keys(parked.operator, &parked.receipt.id, t.rules) {
            if let Some(ids) = self.parked.get_mut(&key) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.parked.remove(&key);
                }
            }
        }
        Some(parked)
    }

    fn mail_done(&mut self, id: MessageId, how: MailEnd, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::Mail { account }, .. }) = self.index.get(id) else { return };
        let account = *account;
        if let Some(item) = self.index.remove(id) {
            t.log.release(item.location);
        }
        t.log.append_change(kind::DONE, id, &[]);
        t.effects.push(Effect::Note(Note::MailEnded { account, how }));
    }

    /// What time alone brings: parked receipts that found nothing, receipts that never came, MO parts that never came.
    pub fn tick(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        for _ in 0..EXPIRIES_PER_TICK {
            let Some((_, id)) = self.parked_since.pop_front_if(|(until, _)| *until <= t.now) else { break };
            self.parked_expired(id, t);
        }
        for _ in 0..EXPIRIES_PER_TICK {
            let Some((_, id)) = self.awaiting.pop_front_if(|(until, _)| *until <= t.now) else { break };
            self.receipt_missing(id, t);
        }
        if self.awaiting.len() > 2 * self.index.messages() + EXPIRIES_PER_TICK {
            self.awaiting.retain(|(_, id)| self.index.contains(*id));
        }
        self.expire_mo(t);
    }

    fn parked_expired(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(parked) = self.drop_parked(id, t) else { return };
        t.effects.push(Effect::Note(Note::ReceiptUnmatched { operator: parked.operator }));
        if self.unmatched.len() >= UNMATCHED_KEPT {
            self.unmatched.pop_front();
        }
        self.unmatched.push_back(UnmatchedReceipt::new(&parked, &self.operators));
    }

    /// No receipt came in time: the owner is told that the result is not known.
    fn receipt_missing(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let open: SmallVec<[u8; 4]> =
            (0u8..).zip(pending.parts.iter()).filter(|(_, p)| p.state == PartState::Sent).map(|(i, _)| i).collect();
        for part in open {
            let Some(pending) = self.index.message_mut(id) else { return };
            let operator = pending.parts.get(usize::from(part)).and_then(|p| p.operator);
            t.effects.push(Effect::Note(Note::ReceiptMissing { operator }));
            let verdict = Verdict { state: State::Expired, error: SmallVec::new(), network_error_code: None };
            self.part_final(id, part, verdict, t);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MailClose {
    Nothing,
    Part,
    Message,
}

pub(super) fn put_part_final(out: &mut Vec<u8>, part: u8, total: usize, verdict: &Verdict) {
    out.put_slice(&[part, u8::try_from(total).unwrap_or(u8::MAX), verdict.state.number()]);
    out.put_u16(verdict.error_number());
}

/// The receipt an application gets: the addresses of its message swapped, the classic text, and the TLVs (SMPP 3.4 appendix B).
fn receipt_mail(
    id: MessageId,
    message_id: MessageId,
    message: &Message,
    (part, parts): (Option<u8>, usize),
    verdict: &Verdict,
    t: &Turn<'_, impl Log, impl Rules>,
) -> Mail {
    let text_id = t.rules.message_id_text(message_id, message.short_id);
    let delivered = u16::from(verdict.state == State::Delivered);
    let parts = u16::try_from(part.map_or(parts, |_| 1)).unwrap_or(u16::MAX);
    let mut text = BytesMut::with_capacity(128);
    let said = receipt::write::ReceiptText {
        id: text_id.as_bytes(),
        submitted_parts: parts,
        delivered_parts: parts * delivered,
        submitted: message.accepted_at,
        done: t.now,
        utc_offset: t.rules.receipt_utc_offset(&message.account),
        state: verdict.state,
        error: &verdict.error,
        text: &[],
    };
    receipt::write::write(&said, &mut text);
    let tlvs = receipt_tlvs(&text_id, message, part, verdict);
    let source: Address = message.submitted_destination.as_ref().unwrap_or(&message.destination).clone();
    Mail {
        id,
        kind: MailKind::Receipt { message: message_id, state: verdict.state },
        account: message.account.clone(),
        source,
        destination: message.source.clone(),
        esm_class: if verdict.state.is_final() { 0x04 } else { 0x20 },
        protocol_id: 0,
        dcs_class: 0,
        created_at: t.now,
        expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
        concatenation: None,
        udh: bytes::Bytes::new(),
        body: Body { alphabet: Alphabet::Gsm7, octets: text.freeze() },
        tlvs,
    }
}

/// `err` as receipts write it: at least three digits (SMPP 3.4 appendix B).
fn three_digits(error: u16) -> SmallVec<[u8; 8]> {
    let mut digits = SmallVec::new();
    let divisors = [10_000, 1_000, 100, 10, 1];
    for (place, divisor) in divisors.iter().enumerate() {
        if place >= 2 || error >= *divisor {
            digits.push(b'0' + u8::try_from(error / divisor % 10).unwrap_or(0));
        }
    }
    digits
}

/// The standard form of the receipt (SMPP 5.0 section 4.3.5.1), and the application's own reference given back.
fn receipt_tlvs(id: &str, message: &Message, part: Option<u8>, verdict: &Verdict) -> bytes::Bytes {
    let mut out = BytesMut::with_capacity(id.len() + 24);
    tlv::put_string(&mut out, TlvTag::ReceiptedMessageId, id.as_bytes());
    tlv::put(&mut out, TlvTag::MessageState, &[verdict.state.number()]);
    if let Some(code) = verdict.network_error_code {
        tlv::put(&mut out, TlvTag::NetworkErrorCode, &code);
    }
    if let Some(reference) = Tlvs::encoded(&message.tlvs).user_message_reference() {
        tlv::put(&mut out, TlvTag::UserMessageReference, &reference.to_be_bytes());
    }
    if let Some(part) = part {
        tlv::put(&mut out, TlvTag::SarSegmentSeqnum, &[part.saturating_add(1)]);
    }
    out.freeze()
}
