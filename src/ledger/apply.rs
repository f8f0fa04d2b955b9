//! The changes: one function per event.

use std::sync::Arc;

use smallvec::SmallVec;

use super::codec::put_mail;
use super::event::{Effect, Event, Failure, MAX_PARTS, MailEnd, Note, PartSet, Status, Submissions, Waiting, all_parts};
use super::index::{Item, Pending, What};
use super::part::{PartState, Parts};
use super::put_off::Owed;
use super::receipt_mail::{Receipted, Verdict, receipt_mail, three_digits};
use super::status::Finished;
use super::{Ledger, Log, Rules, Turn, held, kind, records};
use crate::message::{AccountKey, Mail, MessageId, OperatorKey};
use crate::receipt::{ReceiptPolicy, State};
use crate::spool::Location;

/// Answer to an event that is durable.
const OK: Status = 0;

/// Mailbox items that one record ends at most.
const DONE_AT_ONCE: usize = 1_000;

impl Ledger {
    /// Takes one event in: appends its records to the log, adds what must follow once they are durable to the effects, and returns
    /// the SMPP status for whoever sent it.
    pub fn apply(&mut self, event: Event, t: &mut Turn<'_, impl Log, impl Rules>) -> Status {
        self.look_ahead(&event);
        match event {
            Event::Accept(submissions) => {
                self.accept(*submissions, t);
                OK
            }
            Event::Sent { operator, parts } => {
                self.sent(operator, &parts, t);
                OK
            }
            Event::Failed { id, operator, parts, failure } => {
                self.failed(id, operator, parts, failure, t);
                OK
            }
            Event::Receipts(receipts) => {
                receipts.iter().for_each(|received| self.receipt(received, t));
                OK
            }
            Event::Mo(mo) => self.mo(*mo, t),
            Event::MailDone(items) => {
                self.mail_done(&items, t);
                OK
            }
            Event::Quarantine { job, case } => {
                self.quarantine(&job, case, t);
                OK
            }
            Event::Release { id, how } => self.release(id, how, t),
        }
    }

    fn accept(&mut self, Submissions { jobs, records }: Submissions, t: &mut Turn<'_, impl Log, impl Rules>) {
        let mut start = 0;
        for (job, end) in jobs {
            let location = t.log.append_full(kind::MESSAGE, job.id, &records[start..end]);
            start = end;
            let pending = Pending::new(job.account, &job.message, Parts::None);
            self.index.insert(job.id, Item { location, what: What::Message(pending) });
            self.index.keep_hot(job.clone());
            t.effects.push(Effect::Queue(Waiting { id: job.id, account: job.account, bound_to: None, done: 0, job }));
        }
    }

    /// Forgets a submission whose group could not be made durable: it was refused, so it never existed. Where its record stood: the
    /// spool has taken it out of the log, or is to be told.
    pub fn withdraw(&mut self, id: MessageId) -> Option<Location> {
        self.index.remove(id).map(|item| item.location)
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
        for part in (0..total).take(MAX_PARTS).filter(|p| set & (1 << p) != 0) {
            let Some(slot) = self.index.message_mut(id).and_then(|pending| pending.part_mut(part, total)) else { return };
            // What an operator has taken after all is its receipt's business.
            if slot.state == PartState::Waiting {
                t.effects.push(Effect::Note(Note::PartFailed { operator, state: failure.state }));
                let verdict = Verdict { error: error.clone(), ..Verdict::ours(failure.state) };
                self.part_final(id, part, operator, verdict, t);
            }
        }
    }

    /// A part has its final state: tell the owner what its policy says, and finish the message when nothing is left open. `refused_by`:
    /// the operator that would not take it, when none has.
    pub(super) fn part_final(
        &mut self,
        id: MessageId,
        part: u8,
        refused_by: Option<OperatorKey>,
        verdict: Verdict,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let Some(slot) = pending.parts.get_mut(usize::from(part)) else { return };
        let (operator, before) = (slot.operator().or(refused_by), slot.state);
        slot.state = PartState::Final { operator, state: verdict.state, error: verdict.error_number() };
        let (request, total) = (pending.receipt, pending.parts.len());
        let all_final = pending.is_settled();
        let policy = t.rules.receipt_policy(pending.account);
        // Before a reload there may have been a receipt for each part, and the bad news is told; the whole is no better for that.
        let verdict = match pending.outcome(verdict.state) {
            (state, error) if policy == ReceiptPolicy::Message && all_final && state != verdict.state => {
                Verdict { error: three_digits(error), ..Verdict::ours(state) }
            }
            _ => verdict,
        };
        let delivered = verdict.state == State::Delivered;
        let forwarded = match policy {
            ReceiptPolicy::Message if (!delivered || all_final) && request.wants_final(delivered) => {
                self.forward(id, (part, false), verdict, MailClose::Message, t)
            }
            ReceiptPolicy::Message if !delivered || all_final => return self.finish(id, Some(part), verdict.state, t),
            ReceiptPolicy::Part if request.wants_final(delivered) => {
                let close = if all_final { MailClose::Message } else { MailClose::Part };
                self.forward(id, (part, total > 1), verdict, close, t)
            }
            ReceiptPolicy::Part if all_final => return self.finish(id, Some(part), verdict.state, t),
            ReceiptPolicy::Message | ReceiptPolicy::Part => {
                let Some(pending) = self.index.message_mut(id) else { return };
                self.scratch.clear();
                records::put_part_final(&mut self.scratch, part, &pending.parts, &mut self.operators);
                return t.log.append_change(kind::PART_FINAL, id, &self.scratch);
            }
        };
        if let Err(verdict) = forwarded {
            // Nothing of it counts until it can be told.
            if let Some(slot) = self.index.message_mut(id).and_then(|pending| pending.parts.get_mut(usize::from(part))) {
                slot.state = before;
            }
            self.put_off(Owed { id, part, refused_by, verdict }, t);
        }
    }

    /// Puts a receipt for a part in the mailbox, or for the whole message when it does not say which part (`tells`); one record does that
    /// and closes what it closes.
    ///
    /// # Errors
    /// Gives the verdict back when the message cannot be read just now.
    pub(super) fn forward(
        &mut self,
        id: MessageId,
        (part, tells): (u8, bool),
        verdict: Verdict,
        close: MailClose,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) -> Result<(), Verdict> {
        let Some(Item { what: What::Message(pending), location }) = self.index.get(id) else { return Ok(()) };
        let Some(message) = held(self.index.hot(id), *location, t.log) else {
            if t.log.read_failed() {
                return Err(verdict);
            }
            // Its record is damaged: nobody knows any more who is to be told.
            if close == MailClose::Message {
                self.finish(id, Some(part), verdict.state, t);
            }
            return Ok(());
        };
        let (account, total) = (pending.account, pending.parts.len());
        let state = verdict.state;
        self.scratch.clear();
        let closed: &[MessageId] = if close == MailClose::Message { &[id] } else { &[] };
        let final_part = (close != MailClose::Nothing).then_some((id, part, &pending.parts[..]));
        records::put_closes(&mut self.scratch, closed, final_part, &mut self.operators);
        let receipted = Receipted { id, message: &message, part: tells.then_some(part), parts: total };
        let mail = receipt_mail(self.ids.next(), &receipted, verdict, t);
        self.post(account, mail, t);
        if close == MailClose::Message {
            self.forget(id, state, t);
        }
        Ok(())
    }

    /// Appends the mail record whose head stands in `scratch`, and indexes the item.
    pub(super) fn post(&mut self, account: AccountKey, mail: Mail, t: &mut Turn<'_, impl Log, impl Rules>) {
        put_mail(&mut self.scratch, &mail);
        let id = mail.id;
        let location = t.log.append_full(kind::MAIL, id, &self.scratch);
        self.index.insert(id, Item { location, what: What::Mail { account } });
        t.effects.push(Effect::Mail { account, mail: Arc::new(mail) });
    }

    /// The message is final, by its last part unless it is given up as a whole, and nobody is to be told.
    pub(super) fn finish(&mut self, id: MessageId, part: Option<u8>, state: State, t: &mut Turn<'_, impl Log, impl Rules>) {
        self.scratch.clear();
        records::put_finished(&mut self.scratch, t.now, state);
        if let Some(part) = part
            && let Some(pending) = self.index.message_mut(id)
        {
            records::put_part_final(&mut self.scratch, part, &pending.parts, &mut self.operators);
        }
        t.log.append_change(kind::FINISHED, id, &self.scratch);
        self.forget(id, state, t);
    }

    /// Drops a finished message from memory, keeping a line of history.
    pub(super) fn forget(&mut self, id: MessageId, state: State, t: &mut Turn<'_, impl Log, impl Rules>) {
        let job = self.index.take_hot(id);
        let Some(item) = self.index.remove(id) else { return };
        t.log.release(item.location);
        self.leave_quarantine(id, t);
        let What::Message(pending) = item.what else { return };
        let (state, _) = pending.outcome(state);
        t.effects.push(Effect::Finished { account: pending.account });
        self.history.push(Finished::new(t.now, id, state, pending, job));
    }

    /// Writes that a thing other than a message is finished, and forgets it.
    pub(super) fn close(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) -> Option<What> {
        let item = self.index.remove(id)?;
        self.log_done([id], t.log);
        t.log.release(item.location);
        Some(item.what)
    }

    fn mail_done(&mut self, items: &[(MessageId, MailEnd)], t: &mut Turn<'_, impl Log, impl Rules>) {
        for items in items.chunks(DONE_AT_ONCE) {
            let mut ended: SmallVec<[(MessageId, Location); 64]> = SmallVec::new();
            for (id, how) in items {
                let Some(&Item { what: What::Mail { account }, location }) = self.index.get(*id) else { continue };
                self.index.remove(*id);
                ended.push((*id, location));
                match t.effects.last_mut() {
                    Some(Effect::Note(Note::MailEnded { account: a, how: h, count })) if (*a, *h) == (account, *how) => {
                        *count += 1
                    }
                    _ => t.effects.push(Effect::Note(Note::MailEnded { account, how: *how, count: 1 })),
                }
            }
            self.log_done(ended.iter().map(|(id, _)| *id), t.log);
            ended.iter().for_each(|(_, location)| t.log.release(*location));
        }
    }

    /// One record says that all of these are finished.
    pub(super) fn log_done(&mut self, ids: impl IntoIterator<Item = MessageId>, log: &mut impl Log) {
        let mut ids = ids.into_iter();
        let Some(first) = ids.next() else { return };
        self.scratch.clear();
        records::put_ids(&mut self.scratch, ids);
        log.append_change(kind::DONE, first, &self.scratch);
    }

    /// What time alone brings: what the start could not read, parked receipts that found nothing, receipts that never came, MO parts that
    /// never came, receipts put off.
    pub fn tick(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        self.end_unreadable(t);
        self.expire_receipts(t);
        self.forget_ids();
        self.expire_quarantine(t);
        self.expire_mo(t);
        self.make_up(t);
    }
}

/// What a receipt in the mailbox finishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailClose {
    Nothing,
    Part,
    Message,
}
