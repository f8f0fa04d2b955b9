//! Recovery: the records of the spool, in order, make the ledger what it was.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::codec::{self, Reader, Unreadable, put_short, state};
use super::correlation::{Target, suffix};
use super::event::{Effect, Waiting};
use super::index::{Item, Parked, Part, PartState, Pending, What};
use super::{Ledger, Log, Rules, Turn, kind};
use crate::message::{AccountKey, Address, Job, MessageId, Names, OperatorKey, Timestamp};
use crate::receipt::Receipt;
use crate::spool::Location;

/// What recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    pub messages: usize,
    pub mailbox_items: usize,
    pub parked_receipts: usize,
    pub mo_parts: usize,
}

impl Ledger {
    /// Takes one record of the spool in, in the order in which they were appended. Changes to unknown things are passed over: the
    /// thing has been finished, or moved to a later full record that says more.
    pub fn restore(
        &mut self,
        kind: u8,
        id: MessageId,
        location: Location,
        payload: Bytes,
        log: &mut impl Log,
    ) -> Result<(), Unreadable> {
        let mut r = Reader(payload);
        match kind {
            kind::MESSAGE => {
                let message = codec::message(&mut r)?;
                self.restore_message(id, location, &message.account, message.receipt, Box::default(), log);
            }
            kind::CARRIED => {
                let message = codec::message(&mut r)?;
                let parts = parts(&mut r, &self.operators)?;
                self.restore_message(id, location, &message.account, message.receipt, parts, log);
            }
            kind::SENT => self.restore_sent(id, &mut r)?,
            kind::PART_FINAL => self.restore_part_final(id, &mut r)?,
            kind::DONE => self.restore_done(id, log),
            kind::MAIL => {
                for finished in closes(&mut r)? {
                    self.restore_done(finished, log);
                }
                let part_of = MessageId(r.u64()?);
                if part_of.0 != 0 {
                    self.restore_part_final(part_of, &mut r)?;
                }
                let mail = codec::mail(id, &mut r)?;
                let account = AccountKey(self.accounts.intern(&mail.account));
                self.replace(id, Item { location, what: What::Mail { account } }, log);
            }
            kind::PARKED => {
                let parked = parked(&mut r, &self.operators)?;
                self.replace(id, Item { location, what: What::Parked(Box::new(parked)) }, log);
            }
            kind::MO_PART => {
                let mo = codec::mo(&mut r)?;
                self.replace(id, Item { location, what: What::MoPart(Box::new(mo)) }, log);
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    fn restore_message(
        &mut self,
        id: MessageId,
        location: Location,
        account: &str,
        receipt: crate::message::ReceiptRequest,
        parts: Box<[Part]>,
        log: &mut impl Log,
    ) {
        let account = AccountKey(self.accounts.intern(account));
        self.replace(id, Item { location, what: What::Message(Pending { account, receipt, parts, job: None }) }, log);
    }

    fn replace(&mut self, id: MessageId, item: Item, log: &mut impl Log) {
        if let Some(old) = self.index.insert(id, item) {
            log.release(old.location);
        }
    }

    fn restore_done(&mut self, id: MessageId, log: &mut impl Log) {
        if let Some(item) = self.index.remove(id) {
            log.release(item.location);
        }
    }

    fn restore_sent(&mut self, id: MessageId, r: &mut Reader) -> Result<(), Unreadable> {
        let (part, total) = (r.u8()?, r.u8()?);
        let operator = OperatorKey(self.operators.intern(&r.name()?));
        let operator_id = r.short()?;
        if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(part, total)) {
            slot.state = PartState::Sent;
            slot.operator = Some(operator);
            slot.operator_id = SmallVec::from_slice(&operator_id);
        }
        Ok(())
    }

    fn restore_part_final(&mut self, id: MessageId, r: &mut Reader) -> Result<(), Unreadable> {
        let (part, total, state, error) = (r.u8()?, r.u8()?, state(r)?, r.u16()?);
        if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(part, total)) {
            slot.state = PartState::Final { state, error };
        }
        Ok(())
    }

    /// After the last record: everything that waits is handed to the queues and mailboxes, in the order of acceptance, and the maps
    /// that records do not carry are built again.
    pub fn resume<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>, mut deliver: impl FnMut(&mut Vec<Effect>)) -> Restored {
        let mut restored = Restored::default();
        let mut ids: Vec<MessageId> = self.index.iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        for id in ids {
            let Some(item) = self.index.get(id) else { continue };
            match &item.what {
                What::Message(_) => {
                    restored.messages += 1;
                    self.resume_message(id, t);
                }
                What::Mail { account } => {
                    restored.mailbox_items += 1;
                    let account = *account;
                    if let Some(mail) = self.mail(id, t.log) {
                        t.effects.push(Effect::Mail { account, mail });
                    }
                }
                What::Parked(parked) => {
                    restored.parked_receipts += 1;
                    let parked = Parked::clone(parked);
                    self.resume_parked(id, &parked, t);
                }
                What::MoPart(mo) => {
                    restored.mo_parts += 1;
                    let mo = mo.clone();
                    self.restore_mo_part(id, &mo, t.rules.limits().mo_reassembly);
                }
            }
            deliver(t.effects);
        }
        self.awaiting.make_contiguous().sort_unstable();
        self.parked_since.make_contiguous().sort_unstable();
        restored
    }

    fn resume_message<L: Log, R: Rules>(&mut self, id: MessageId, t: &mut Turn<'_, L, R>) {
        let Some(message) = self.message(id, t.log) else { return };
        let Some(Item { what: What::Message(pending), .. }) = self.index.get(id) else { return };
        t.effects.push(Effect::Restored { account: pending.account });
        let (account, done, bound_to) = (pending.account, pending.done(), pending.bound_to());
        let parts = pending.parts.clone();
        let destination = suffix(&message.destination.digits);
        for (part, slot) in (0u8..).zip(parts.iter()).filter(|(_, p)| p.state == PartState::Sent) {
            let Some(operator) = slot.operator.filter(|_| !slot.operator_id.is_empty()) else { continue };
            if let Some(key) = self.stored_key(operator, &slot.operator_id, t.rules) {
                self.correlation.insert(key, Target { message: id, part, destination });
            }
        }
        if done != 0 && message.receipt.wants_any() {
            self.awaiting.push_back((message.accepted_at.plus(t.rules.limits().receipt_timeout), id));
        }
        if parts.is_empty() || parts.iter().any(|p| p.state == PartState::Waiting) {
            let route = t.rules.route(&message);
            let job = Arc::new(Job { id, account, message, route });
            t.effects.push(Effect::Queue(Waiting { id, account, bound_to, done, job }));
        }
    }

    fn resume_parked<L: Log, R: Rules>(&mut self, id: MessageId, parked: &Parked, t: &mut Turn<'_, L, R>) {
        for key in self.sought_keys(parked.operator, &parked.receipt.id, t.rules) {
            self.parked.entry(key).or_default().push(id);
        }
        self.parked_since.push_back((parked.since.plus(t.rules.limits().early_receipt), id));
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
                codec::put_message(&mut self.scratch, &message);
                put_parts(&mut self.scratch, &pending.parts, &self.operators);
                kind::CARRIED
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

    /// The newest full record of `id` stands at `to` now, if it stood at `from` before.
    pub fn relocate(&mut self, id: MessageId, from: Location, to: Location) {
        if let Some(item) = self.index.get_mut(id)
            && item.location == from
        {
            item.location = to;
        }
    }

    /// Some records of `segment` cannot be read any more (the spool has quarantined them): what is still in memory is written
    /// again, the rest is given up. Returns how many things were given up.
    pub fn give_up(&mut self, segment: u32, log: &mut impl Log, effects: &mut Vec<Effect>) -> usize {
        let concerned: Vec<MessageId> =
            self.index.iter().filter(|(_, item)| item.location.segment == segment).map(|(id, _)| id).collect();
        let mut lost = 0;
        for id in concerned {
            let Some(Item { location, what }) = self.index.get(id) else { continue };
            let location = *location;
            self.scratch.clear();
            let kind = match what {
                What::Message(Pending { job: Some(job), parts, .. }) => {
                    codec::put_message(&mut self.scratch, &job.message);
                    put_parts(&mut self.scratch, parts, &self.operators);
                    kind::CARRIED
                }
                What::Parked(parked) => {
                    put_parked(&mut self.scratch, parked, &self.operators);
                    kind::PARKED
                }
                What::MoPart(mo) => {
                    codec::put_mo(&mut self.scratch, mo);
                    kind::MO_PART
                }
                What::Message(Pending { account, .. }) => {
                    effects.push(Effect::Finished { account: *account });
                    self.index.remove(id);
                    log.release(location);
                    lost += 1;
                    continue;
                }
                What::Mail { .. } => {
                    self.index.remove(id);
                    log.release(location);
                    lost += 1;
                    continue;
                }
            };
            let moved = log.append_full(kind, id, &self.scratch);
            log.release(location);
            self.relocate(id, location, moved);
        }
        lost
    }
}

/// Reads the ids a mail record finishes.
fn closes(r: &mut Reader) -> Result<Vec<MessageId>, Unreadable> {
    let count = r.u16()?;
    (0..count).map(|_| r.u64().map(MessageId)).collect()
}

/// Passes over what stands before the mailbox item in a mail record.
pub(super) fn skip_mail_header(r: &mut Reader) -> Result<(), Unreadable> {
    closes(r)?;
    if r.u64()? != 0 {
        r.u8()?;
        r.u8()?;
        r.u8()?;
        r.u16()?;
    }
    Ok(())
}

fn put_parts(out: &mut Vec<u8>, parts: &[Part], operators: &Names) {
    out.put_u8(u8::try_from(parts.len()).unwrap_or(u8::MAX));
    for part in parts {
        match part.state {
            PartState::Waiting => out.put_u8(0),
            PartState::Sent => out.put_u8(1),
            PartState::Final { state, error } => {
                out.put_slice(&[2, state.number()]);
                out.put_u16(error);
            }
        }
        let operator = part.operator.map(|key| operators.name(key.0)).unwrap_or_default();
        put_short(out, operator.as_bytes());
        put_short(out, &part.operator_id);
    }
}

fn parts(r: &mut Reader, operators: &Names) -> Result<Box<[Part]>, Unreadable> {
    let count = r.u8()?;
    let mut parts = Vec::with_capacity(count.into());
    for _ in 0..count {
        let state = match r.u8()? {
            0 => PartState::Waiting,
            1 => PartState::Sent,
            2 => PartState::Final { state: state(r)?, error: r.u16()? },
            _ => return Err(Unreadable),
        };
        let operator = r.name()?;
        let operator = (!operator.is_empty()).then(|| OperatorKey(operators.intern(&operator)));
        parts.push(Part { state, operator, operator_id: SmallVec::from_slice(&r.short()?) });
    }
    Ok(parts.into_boxed_slice())
}

pub(super) fn put_parked(out: &mut Vec<u8>, parked: &Parked, operators: &Names) {
    put_short(out, operators.name(parked.operator.0).as_bytes());
    out.put_u64(parked.since.0);
    for address in [&parked.source, &parked.destination] {
        out.put_slice(&[address.ton, address.npi]);
        put_short(out, &address.digits);
    }
    let receipt = &parked.receipt;
    put_short(out, &receipt.id);
    out.put_slice(&[receipt.state.number(), u8::from(receipt.intermediate)]);
    put_short(out, receipt.error.as_deref().unwrap_or_default());
    put_short(out, receipt.network_error_code.as_ref().map_or(&[], |code| &code[..]));
}

fn parked(r: &mut Reader, operators: &Names) -> Result<Parked, Unreadable> {
    let operator = OperatorKey(operators.intern(&r.name()?));
    let since = Timestamp(r.u64()?);
    let mut address = || Ok::<_, Unreadable>(Address { ton: r.u8()?, npi: r.u8()?, digits: SmallVec::from_slice(&r.short()?) });
    let (source, destination) = (address()?, address()?);
    let id = r.short()?;
    let (state, intermediate, error) = (state(r)?, r.u8()? != 0, r.short()?);
    let network_error_code = <[u8; 3]>::try_from(&r.short()?[..]).ok();
    let receipt = Receipt {
        id: SmallVec::from_slice(&id),
        state,
        error: (!error.is_empty()).then(|| SmallVec::from_slice(&error)),
        submitted: None,
        done: None,
        network_error_code,
        intermediate,
    };
    Ok(Parked { operator, receipt, source, destination, since })
}
