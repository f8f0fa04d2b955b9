//! What operators have taken.

use super::correlation::Target;
use super::event::{Note, SentPart};
use super::part::{Part, PartState};
use super::{Effect, Ledger, Log, Rules, Turn, kind, records};
use crate::message::{MessageId, OperatorKey};
use crate::receipt::State;

/// Octets after which a list of parts goes on in another record.
const RECORD: usize = 64 << 10;

/// What an operator's answer was for its message.
enum Taken {
    /// The part is sent now; others are not, or their receipts are awaited.
    Sent,
    /// It was the last one, and no receipt is wanted.
    Settled,
    /// It had been sent before, or the message is finished, or somebody else's.
    Again,
}

impl Ledger {
    /// An operator took parts: one record says which, and which messages are finished by that.
    pub(super) fn sent(&mut self, operator: OperatorKey, parts: &[SentPart], t: &mut Turn<'_, impl Log, impl Rules>) {
        let at = u32::try_from(t.now.0 / 1000).unwrap_or(u32::MAX);
        let mut settled: Vec<MessageId> = Vec::new();
        let mut first = None;
        self.list.clear();
        for part in parts {
            let finishes = match self.taken(part, operator, at, t) {
                Taken::Sent => false,
                Taken::Settled => {
                    settled.push(part.job.id);
                    true
                }
                Taken::Again => continue,
            };
            if self.list.len() > RECORD {
                self.log_sent(first.take(), t.log);
            }
            if first.is_none() {
                records::put_sent_head(&mut self.list, at, self.operators.name(Some(operator)));
                first = Some(part.job.id);
            }
            records::put_sent(&mut self.list, part, finishes);
        }
        self.log_sent(first, t.log);
        settled.into_iter().for_each(|id| self.forget(id, State::Accepted, t));
        // Receipts that have come already are written after the parts they are for.
        for part in parts.iter().filter(|part| part.job.message.receipt.wants_any()) {
            self.correlate(part, operator, t);
        }
    }

    fn taken(&mut self, sent: &SentPart, operator: OperatorKey, at: u32, t: &mut Turn<'_, impl Log, impl Rules>) -> Taken {
        let id = sent.job.id;
        if sent.strayed && self.quarantine.case(id).is_none() {
            return Taken::Again;
        }
        let Some(pending) = self.index.message_mut(id) else { return Taken::Again };
        let awaited_already = pending.parts.iter().any(|part| part.awaited_since().is_some());
        let slot = pending.part_mut(sent.part, sent.total).filter(|slot| slot.state == PartState::Waiting);
        let Some(slot) = slot else { return Taken::Again };
        *slot = Part { state: PartState::Sent { operator, at }, operator_id: sent.operator_id[..].into() };
        let (settled, to_be_sent) = (pending.is_settled(), pending.is_to_be_sent());
        if !to_be_sent {
            // In quarantine it was answered late.
            self.leave_quarantine(id, t);
        }
        if settled {
            return Taken::Settled;
        }
        if sent.job.message.receipt.wants_any() && !awaited_already {
            self.awaiting.push(at, id);
        }
        Taken::Sent
    }

    fn log_sent(&mut self, first: Option<MessageId>, log: &mut impl Log) {
        if let Some(first) = first {
            log.append_change(kind::SENT, first, &self.list);
            self.list.clear();
        }
    }

    /// From now on the part is found by the operator's id. Also when it was sent twice, or its message is closed: a receipt for this id
    /// still is one of ours.
    fn correlate(&mut self, sent: &SentPart, operator: OperatorKey, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(key) = sent.key else {
            t.effects.push(Effect::Note(Note::NoOperatorId { operator }));
            return;
        };
        self.correlation.insert(key, Target { message: sent.job.id, part: sent.part });
        self.unpark(key, t);
    }
}
