//! Recovery: the records of the spool, in order, make the ledger what it was.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::codec::{self, Reader, Unreadable, put_short, state};
use super::correlation::Keys;
use super::event::{Effect, Event, Failure, MAX_PARTS, MailEnd, Received, Waiting};
use super::index::{Item, Pending, What};
use super::known::KnownNames;
use super::part::{Part, PartState, Parts};
use super::quarantine::{Case, put_whole};
use super::sent::FINISHES;
use super::{Ledger, Log, Rules, Turn, kind};
use crate::message::{AccountKey, Address, MailContent, Message, MessageId, Mo, Timestamp};
use crate::receipt::text::ReceiptDate;
use crate::receipt::{Receipt, State};
use crate::spool::Location;

/// What recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    pub messages: usize,
    pub mailbox_items: usize,
    pub parked_receipts: usize,
    pub mo_parts: usize,
}

/// Effects handed to the queues and mailboxes together: each is locked once, and what has been read back is held no longer.
const DELIVERED_AT_ONCE: usize = 1_024;

impl Ledger {
    /// Takes one record of the spool in, in the order in which they were appended. Changes to unknown things are passed over: the
    /// thing has been finished, or moved to a later full record that says more.
    pub fn restore(&mut self, kind: u8, id: MessageId, location: Location, payload: Bytes) -> Result<(), Unreadable> {
        let mut r = Reader(payload);
        match kind {
            kind::MESSAGE => {
                let message = codec::message(&mut r)?;
                self.restore_message(id, location, &message, Parts::None, None);
            }
            kind::CARRIED => {
                let message = codec::message(&mut r)?;
                let parts = parts(&mut r, &self.operators)?;
                self.restore_message(id, location, &message, parts, None);
            }
            kind::QUARANTINED => {
                let message = codec::message(&mut r)?;
                let parts = parts(&mut r, &self.operators)?;
                let case = Case::read(&mut r, &self.operators)?;
                self.restore_message(id, location, &message, parts, Some(case));
            }
            kind::SENT => self.restore_sent(&mut r)?,
            kind::PART_FINAL => self.restore_part_final(id, &PartFinal::read(&mut r)?),
            kind::DONE => self.restore_ends(id, &mut r)?,
            kind::FINISHED => {
                let (at, state) = (Timestamp(r.u64()?), state(&mut r)?);
                let part = if r.0.is_empty() { None } else { Some(PartFinal::read(&mut r)?) };
                if let Some(change) = part {
                    self.restore_part_final(id, &change);
                }
                self.restore_finished(id, state, at);
            }
            kind::MAIL => self.restore_mail(id, location, &mut r)?,
            kind::PARKED => {
                let parked = parked(&mut r, &self.operators)?;
                self.index.insert(id, Item { location, what: What::Parked(Box::new(parked)) });
            }
            kind::MO_PART => {
                let mo = codec::mo(&mut r)?;
                self.newest = self.newest.max(mo.received_at);
                self.index.insert(id, Item { location, what: What::MoPart(Box::new(mo)) });
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    fn restore_message(&mut self, id: MessageId, location: Location, message: &Message, parts: Parts, case: Option<Case>) {
        let account = AccountKey(self.accounts.intern(&message.account));
        self.newest = self.newest.max(message.accepted_at);
        self.history.note(id, message.accepted_at, &message.destination.digits);
        self.index.insert(id, Item { location, what: What::Message(Pending::new(account, message, parts)) });
        // The newest record says whether it is in quarantine.
        match case {
            Some(case) => self.quarantine.insert(id, account, message, case),
            None => drop(self.quarantine.remove(id)),
        }
    }

    fn restore_end(&mut self, id: MessageId) -> Option<Item> {
        self.quarantine.remove(id);
        self.index.remove(id)
    }

    fn restore_finished(&mut self, id: MessageId, state: State, at: Timestamp) {
        if let Some(Item { what: What::Message(pending), .. }) = self.restore_end(id) {
            self.history.push_restored(at, id, state, pending);
        }
    }

    /// All of it is read before any of it counts: a record that cannot be read closes nothing.
    fn restore_mail(&mut self, id: MessageId, location: Location, r: &mut Reader) -> Result<(), Unreadable> {
        let closed = closes(r)?;
        let part_closed = part_closed(r)?;
        let mail = codec::mail(id, r)?;
        self.newest = self.newest.max(mail.created_at);
        let Ledger { index, forwarded, .. } = self;
        let parts = closed.iter().filter_map(|id| match &index.get(*id)?.what {
            What::MoPart(mo) => Some(&**mo),
            _ => None,
        });
        forwarded.restore(&parts.collect::<SmallVec<[&Mo; 4]>>(), &mail);
        if let Some((message, change)) = part_closed {
            self.restore_part_final(message, &change);
        }
        for finished in closed {
            match &mail.content {
                MailContent::Receipt(receipt) => self.restore_finished(finished, receipt.state, mail.created_at),
                MailContent::Mo(_) => drop(self.restore_end(finished)),
            }
        }
        let account = AccountKey(self.accounts.intern(&mail.account));
        self.index.insert(id, Item { location, what: What::Mail { account } });
        Ok(())
    }

    /// All of it is read before any of it counts, as everywhere here.
    fn restore_ends(&mut self, first: MessageId, r: &mut Reader) -> Result<(), Unreadable> {
        let ids = std::iter::from_fn(|| (!r.0.is_empty()).then(|| r.u64().map(MessageId)));
        let others: Vec<MessageId> = ids.collect::<Result<_, _>>()?;
        std::iter::once(first).chain(others).for_each(|id| drop(self.restore_end(id)));
        Ok(())
    }

    fn restore_sent(&mut self, r: &mut Reader) -> Result<(), Unreadable> {
        let (at, operator) = (r.u32()?, r.name()?);
        if operator.is_empty() {
            return Err(Unreadable);
        }
        let mut parts = Vec::new();
        while !r.0.is_empty() {
            parts.push((MessageId(r.u64()?), r.u8()?, r.u8()?, r.short()?));
        }
        let operator = self.operators.intern(&operator);
        for (id, part, total, operator_id) in parts {
            if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(part & !FINISHES, total)) {
                *slot = Part { state: PartState::Sent { operator, at }, operator_id: operator_id[..].into() };
            }
            if part & FINISHES != 0 {
                self.restore_finished(id, State::Accepted, Timestamp(u64::from(at) * 1_000));
            }
        }
        Ok(())
    }

    fn restore_part_final(&mut self, id: MessageId, change: &PartFinal) {
        // The receipt that tells it may have been moved behind what followed.
        let part = self.index.message_mut(id).and_then(|p| p.parts.get(usize::from(change.part)));
        if part.is_some_and(|part| matches!(part.state, PartState::Final { .. })) {
            return;
        }
        let operator = (!change.operator.is_empty()).then(|| self.operators.intern(&change.operator));
        if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(change.part, change.total)) {
            let operator = operator.or(slot.operator());
            slot.state = PartState::Final { operator, state: change.state, error: change.error };
        }
    }

    /// After the last record: everything that waits is handed to the queues and mailboxes in the order of acceptance, and the maps
    /// that records do not carry are built again.
    pub fn resume<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>, mut deliver: impl FnMut(&mut Vec<Effect>)) -> Restored {
        self.history.forget_notes();
        let mut restored = Restored::default();
        self.resumed_at = t.now;
        for page in self.index.pages() {
            for id in self.index.ids_of(page) {
                self.resume_one(id, &mut restored, t);
                if t.effects.len() >= DELIVERED_AT_ONCE {
                    deliver(t.effects);
                }
            }
        }
        deliver(t.effects);
        restored
    }

    fn resume_one<L: Log, R: Rules>(&mut self, id: MessageId, restored: &mut Restored, t: &mut Turn<'_, L, R>) {
        let Some(item) = self.index.get(id) else { return };
        match &item.what {
            What::Message(_) => {
                restored.messages += 1;
                self.resume_message(id, t);
            }
            What::Mail { account } => {
                restored.mailbox_items += 1;
                let account = *account;
                match self.mail(id, t.log) {
                    Some(mail) => t.effects.push(Effect::Mail { account, mail }),
                    None => self.unreadable.push(id),
                }
            }
            What::Parked(_) => {
                restored.parked_receipts += 1;
                self.resume_parked(id, t);
            }
            What::MoPart(_) => {
                restored.mo_parts += 1;
                self.resume_mo_part(id, t);
            }
        }
    }

    fn resume_message<L: Log, R: Rules>(&mut self, id: MessageId, t: &mut Turn<'_, L, R>) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let (account, done, bound_to) = (pending.account, pending.done(), pending.bound_to());
        let waiting = pending.is_to_be_sent();
        // Before its record is read: a damaged one counts as pending like any other.
        t.effects.push(Effect::Restored { account });
        self.resume_parts(id, t);
        if self.resume_quarantined(id, t) {
            return;
        }
        if !waiting {
            return;
        }
        match self.job(id, t.log, t.rules) {
            Some(job) => t.effects.push(Effect::Queue(Waiting { id, account, bound_to, done, job })),
            None => self.unreadable.push(id),
        }
    }

    /// Gives up what the start has found whole and then could not read: nothing else would ever ask for it. (A disk that only failed
    /// just then lets no gateway start.)
    pub(super) fn end_unreadable<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>) {
        for id in std::mem::take(&mut self.unreadable) {
            let event = match self.index.get(id).map(|item| &item.what) {
                Some(What::Mail { .. }) => Event::MailDone(vec![(id, MailEnd::Damaged)]),
                _ => {
                    Event::Failed { id, operator: None, parts: None, failure: Failure { state: State::Undeliverable, status: 0 } }
                }
            };
            self.apply(event, t);
        }
    }

    /// Writes the live thing at `location` again at the head of the log, so that its segment becomes free. Nothing happens when the
    /// record there is no longer the newest of its thing.
    pub fn carry(&mut self, id: MessageId, location: Location, kind: u8, payload: &[u8], log: &mut impl Log) {
        let Some(item) = self.index.get(id) else { return };
        if item.location != location {
            return;
        }
        self.scratch.clear();
        let kind = match &item.what {
            What::Message(pending) => {
                let Ok(message) = codec::message(&mut Reader(Bytes::copy_from_slice(payload))) else { return };
                let case = self.quarantine.case(id);
                put_whole(&mut self.scratch, &message, &pending.parts, case, &mut self.operators)
            }
            What::Mail { .. } | What::Parked(_) | What::MoPart(_) => {
                self.scratch.put_slice(payload);
                kind
            }
        };
        let moved = log.append_full(kind, id, &self.scratch);
        log.release(location);
        self.relocate(id, location, moved);
    }

    /// The newest full record of `id` stands at `to` now, if it stood at `from` before; false when it did not, and the record at `to`
    /// is of no use.
    pub fn relocate(&mut self, id: MessageId, from: Location, to: Location) -> bool {
        match self.index.get_mut(id).filter(|item| item.location == from) {
            Some(item) => {
                item.location = to;
                true
            }
            None => false,
        }
    }

    /// Some records of `segment` cannot be read any more (the spool has quarantined them): what is still in memory is written
    /// again, the rest is given up. Returns how many things were given up.
    pub fn give_up<L: Log, R: Rules>(&mut self, segment: u32, t: &mut Turn<'_, L, R>) -> usize {
        let concerned = self.index.iter().filter(|(_, item)| item.location.segment == segment);
        let mut concerned: Vec<(MessageId, Location)> = concerned.map(|(id, item)| (id, item.location)).collect();
        concerned.sort_unstable_by_key(|(id, _)| *id);
        let mut lost = 0;
        for (id, location) in concerned {
            self.scratch.clear();
            if let Some(kind) = self.put_from_memory(id) {
                let moved = t.log.append_full(kind, id, &self.scratch);
                t.log.release(location);
                self.relocate(id, location, moved);
                continue;
            }
            lost += 1;
            if self.index.message_mut(id).is_some() {
                self.finish(id, None, State::Unknown, t);
            } else {
                self.close(id, t);
            }
        }
        lost
    }

    /// Puts the full record of a live thing into `scratch`; `None` when only the spool has it.
    fn put_from_memory(&mut self, id: MessageId) -> Option<u8> {
        match &self.index.get(id)?.what {
            What::Message(Pending { parts, .. }) => {
                let message = &self.index.hot(id)?.message;
                Some(put_whole(&mut self.scratch, message, parts, self.quarantine.case(id), &mut self.operators))
            }
            What::Parked(parked) => {
                put_parked(&mut self.scratch, parked, self.operators.name(Some(parked.operator)));
                Some(kind::PARKED)
            }
            What::MoPart(mo) => {
                codec::put_mo(&mut self.scratch, mo);
                Some(kind::MO_PART)
            }
            What::Mail { .. } => None,
        }
    }
}

/// The change of one part to its final state.
struct PartFinal {
    part: u8,
    total: u8,
    state: State,
    error: u16,
    /// Empty when it is known already, or none had it.
    operator: Arc<str>,
}

impl PartFinal {
    fn read(r: &mut Reader) -> Result<Self, Unreadable> {
        Ok(PartFinal { part: r.u8()?, total: r.u8()?, state: state(r)?, error: r.u16()?, operator: r.name()? })
    }
}

/// Reads the ids a mail record finishes.
fn closes(r: &mut Reader) -> Result<Vec<MessageId>, Unreadable> {
    let count = r.u16()?;
    (0..count).map(|_| r.u64().map(MessageId)).collect()
}

/// Reads the part a mail record finishes, of a message that goes on.
fn part_closed(r: &mut Reader) -> Result<Option<(MessageId, PartFinal)>, Unreadable> {
    match r.u64()? {
        0 => Ok(None),
        id => PartFinal::read(r).map(|change| Some((MessageId(id), change))),
    }
}

/// Passes over what stands before the mailbox item in a mail record.
pub(super) fn skip_mail_header(r: &mut Reader) -> Result<(), Unreadable> {
    closes(r)?;
    part_closed(r)?;
    Ok(())
}

pub(super) fn put_parts(out: &mut Vec<u8>, parts: &[Part], operators: &mut KnownNames) {
    out.put_u8(u8::try_from(parts.len()).unwrap_or(u8::MAX));
    for part in parts {
        match part.state {
            PartState::Waiting => out.put_u8(0),
            PartState::Sent { .. } => out.put_u8(1),
            PartState::Final { state, error, .. } => {
                out.put_slice(&[2, state.number()]);
                out.put_u16(error);
            }
        }
        out.put_u32(part.awaited_since().unwrap_or(0));
        put_short(out, operators.name(part.operator()).as_bytes());
        put_short(out, &part.operator_id.octets());
    }
}

fn parts(r: &mut Reader, operators: &KnownNames) -> Result<Parts, Unreadable> {
    let count = r.u8()?;
    if usize::from(count) > MAX_PARTS {
        return Err(Unreadable);
    }
    let mut parts = Vec::with_capacity(count.into());
    for _ in 0..count {
        let (kind, state, error) = match r.u8()? {
            2 => (2, state(r)?, r.u16()?),
            kind => (kind, State::Unknown, 0),
        };
        let at = r.u32()?;
        let operator = r.name()?;
        let operator = (!operator.is_empty()).then(|| operators.intern(&operator));
        let state = match (kind, operator) {
            (0, _) => PartState::Waiting,
            (1, Some(operator)) => PartState::Sent { operator, at },
            (2, operator) => PartState::Final { operator, state, error },
            _ => return Err(Unreadable),
        };
        parts.push(Part { state, operator_id: r.short()?[..].into() });
    }
    Ok(parts.into())
}

pub(super) fn put_parked(out: &mut Vec<u8>, parked: &Received, operator: &str) {
    put_short(out, operator.as_bytes());
    out.put_u64(parked.received_at.0);
    for address in [&parked.source, &parked.destination] {
        out.put_slice(&[address.ton, address.npi]);
        put_short(out, &address.digits);
    }
    let receipt = &parked.receipt;
    put_short(out, &receipt.id);
    out.put_slice(&[receipt.state.number(), u8::from(receipt.intermediate)]);
    put_short(out, receipt.error.as_deref().unwrap_or_default());
    put_short(out, receipt.network_error_code.as_ref().map_or(&[], |code| &code[..]));
    let done = receipt.done.and_then(|date| u64::try_from(date.seconds).ok());
    out.put_u64(done.unwrap_or(0));
}

fn parked(r: &mut Reader, operators: &KnownNames) -> Result<Received, Unreadable> {
    let operator = operators.intern(&r.name()?);
    let since = Timestamp(r.u64()?);
    let mut address = || Ok::<_, Unreadable>(Address { ton: r.u8()?, npi: r.u8()?, digits: SmallVec::from_slice(&r.short()?) });
    let (source, destination) = (address()?, address()?);
    let id = r.short()?;
    let (state, intermediate, error) = (state(r)?, r.u8()? != 0, r.short()?);
    let network_error_code = <[u8; 3]>::try_from(&r.short()?[..]).ok();
    let done = i64::try_from(r.u64()?).ok().filter(|seconds| *seconds != 0);
    let receipt = Receipt {
        id: SmallVec::from_slice(&id),
        state,
        error: (!error.is_empty()).then(|| SmallVec::from_slice(&error)),
        done: done.map(|seconds| ReceiptDate { seconds, is_utc: true }),
        network_error_code,
        intermediate,
    };
    // Its keys follow with the rules, see `resume_parked`.
    Ok(Received { operator, receipt, keys: Keys::new(), source, destination, received_at: since })
}
