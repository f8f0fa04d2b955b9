//! Outcomes, and what the operator delivers, on their way to the journal; and what is to be done once they are durable.

use std::sync::Arc;
use std::time::Duration;

use super::{Context, OPEN_BATCHES, Traffic, Waiting};
use crate::journal::{Ack, Batch};
use crate::ledger::{self, OperatorId, SentPart};
use crate::link;
use crate::message::{Job, Timestamp};
use crate::smpp::CommandStatus;

/// As many parts as one read of a busy connection brings answers for.
const PARTS: usize = 32;

impl Traffic<'_> {
    pub(super) fn record(&mut self, event: ledger::Event, waiting: Waiting) {
        self.events.push(event);
        self.waiting.push(waiting);
    }

    pub(super) fn record_outcome(&mut self, event: ledger::Event) {
        self.unrecorded += 1;
        self.record(event, Waiting::Outcomes(1));
    }

    /// A part that was taken joins those of the same batch, which go first: a receipt that came with the answer finds its message.
    pub(super) fn record_sent(&mut self, job: Arc<Job>, part: u8, total: u8, operator_id: OperatorId, time: Timestamp) {
        let Context { gateway, state, settings, .. } = &self.context;
        let (operator, form) = (state.key, settings.config.receipt_id);
        let took = Duration::from_millis(time.0.saturating_sub(job.message.accepted_at.0));
        state.metrics.sent_seconds.record(took.as_secs_f64());
        self.sent += 1;
        self.unrecorded += 1;
        let wanted = job.message.receipt.wants_any();
        let key = wanted.then(|| gateway.keys.of_response(operator, form, &operator_id)).flatten();
        let sent = SentPart { job, part, total, operator_id, key };
        match (self.events.first_mut(), self.waiting.first_mut()) {
            (Some(ledger::Event::Sent { parts, .. }), Some(Waiting::Outcomes(count))) => {
                parts.push(sent);
                *count += 1;
            }
            _ => {
                let mut parts = Vec::with_capacity(PARTS);
                parts.push(sent);
                self.events.insert(0, ledger::Event::Sent { operator, parts });
                self.waiting.insert(0, Waiting::Outcomes(1));
            }
        }
    }

    /// Hands what has gathered to the journal, as one batch.
    pub(super) fn submit_batch(&mut self) {
        if self.events.is_empty() || self.open_batches.len() >= OPEN_BATCHES {
            return;
        }
        let Some(journal) = self.context.gateway.journal() else { return };
        let events = std::mem::replace(&mut self.events, std::mem::take(&mut self.spare_list));
        let ticket = self.next_ticket;
        match journal.submit(Batch { events, reply: Some((self.reply.clone(), ticket)) }) {
            Ok(()) => {
                self.next_ticket += 1;
                let waiting = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.spare_waiting));
                self.open_batches.push_back((ticket, waiting));
            }
            // Tried again at the next turn; the windows bound what gathers meanwhile.
            Err(batch) => self.events = batch.events,
        }
    }

    /// Is anything to be done once the journal answers? That outcomes are durable only makes room in our window: as long as there is enough of
    /// it, the news can wait until something else wakes us, which is one wake-up less for each batch.
    pub(super) fn wants_acks(&self) -> bool {
        let hurry = self.to_answer > 0 || self.closed.is_some() || !self.events.is_empty();
        hurry || self.room() == 0 || self.open_batches.len() >= OPEN_BATCHES / 2
    }

    pub(super) fn acknowledged(&mut self, ack: Ack) {
        let Some((ticket, mut places)) = self.open_batches.pop_front() else { return };
        debug_assert_eq!(ticket, ack.ticket, "the journal answers in order");
        self.spare_list = ack.list;
        let now = link::now();
        let mut at = 0;
        for waiting in places.drain(..) {
            match waiting {
                Waiting::Outcomes(count) => {
                    self.unrecorded -= count;
                    at += count;
                }
                Waiting::Deliver(request) => {
                    let status = ack.statuses.get(at).copied().unwrap_or(0);
                    at += 1;
                    self.to_answer -= 1;
                    self.link.session.respond(now, request, CommandStatus::from(status));
                }
            }
        }
        self.spare_waiting = places;
        // Answers made room in the peer's window: what the buffer holds can be handled now.
        self.link.handle_input();
    }
}
