//! Outcomes, and what the operator delivers, on their way to the journal; and what is to be done once they are durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Context, OPEN_BATCHES, Traffic};
use crate::journal::{Ack, Batch};
use crate::ledger::{self, OperatorId, SentPart};
use crate::link;
use crate::message::{Job, Timestamp};
use crate::smpp::CommandStatus;

/// An operator gives up on an answer after some seconds. A disk that is behind by this much may let it wait so long.
const BEHIND: Duration = Duration::from_secs(2);

/// What an answer says was taken.
pub(super) struct Taken {
    pub job: Arc<Job>,
    pub part: u8,
    pub total: u8,
    /// See [`SentPart::strayed`].
    pub strayed: bool,
}

impl Traffic<'_> {
    pub(super) fn record_outcome(&mut self, event: ledger::Event) {
        self.unrecorded += 1;
        self.gathered.other(event, None);
    }

    /// The operator took a part.
    pub(super) fn record_sent(&mut self, taken: Taken, operator_id: OperatorId, time: Timestamp) {
        let Taken { job, part, total, strayed } = taken;
        let Context { gateway, state, settings, .. } = &self.context;
        let (operator, form) = (state.key, settings.config.receipt_id);
        let took = Duration::from_millis(time.0.saturating_sub(job.message.accepted_at.0));
        state.metrics.sent_seconds.record(took.as_secs_f64());
        self.sent += 1;
        self.unrecorded += 1;
        let wanted = job.message.receipt.wants_any();
        let key = wanted.then(|| gateway.keys.of_response(operator, form, &operator_id)).flatten();
        self.gathered.sent(SentPart { job, part, total, operator_id, key, strayed });
    }

    /// Hands what has gathered to the journal, as one batch.
    pub(super) fn submit_batch(&mut self) {
        if self.gathered.is_empty() || self.open_batches.len() >= OPEN_BATCHES {
            return;
        }
        let Some(journal) = self.context.gateway.journal() else { return };
        let (events, open) = self.gathered.take(self.context.state.key, std::mem::take(&mut self.spare_list));
        let ticket = self.next_ticket;
        match journal.submit(Batch { events, reply: Some((self.reply.clone(), ticket)) }) {
            Ok(()) => {
                self.next_ticket += 1;
                self.open_batches.push_back((ticket, link::now(), open));
            }
            // Tried again at the next turn; the windows bound what gathers meanwhile.
            Err(batch) => self.gathered.put_back(batch.events, open),
        }
    }

    /// Is anything to be done once the journal answers? That outcomes are durable only makes room in our window: as long as there is enough of
    /// it, the news can wait until something else wakes us, which is one wake-up less for each batch.
    pub(super) fn wants_acks(&self) -> bool {
        let hurry = self.to_answer > 0 || self.closed.is_some() || !self.gathered.is_empty();
        hurry || self.room() == 0 || self.open_batches.len() >= OPEN_BATCHES / 2
    }

    /// Would what the operator delivers now have to wait long for the disk? When the last one had to, one at a time shows whether it still
    /// does.
    pub(super) fn would_wait(&self, now: Instant) -> bool {
        let is_behind = |since: &Instant| now.saturating_duration_since(*since) > BEHIND;
        let gate = self.context.gateway.journal().map(|journal| journal.gate());
        gate.is_some_and(|gate| gate.has_failed() || gate.commit_age(now) > BEHIND)
            || self.open_batches.front().is_some_and(|(_, since, _)| is_behind(since))
            || (self.answered_after > BEHIND && self.to_answer > 0)
    }

    pub(super) fn acknowledged(&mut self, ack: Ack) {
        let Some((ticket, since, open)) = self.open_batches.pop_front() else { return };
        debug_assert_eq!(ticket, ack.ticket, "the journal answers in order");
        self.spare_list = ack.list;
        self.unrecorded -= open.outcomes();
        let now = link::now();
        if open.has_requests() {
            self.answered_after = now.saturating_duration_since(since);
        }
        for (request, status) in open.answers(&ack.statuses) {
            self.to_answer -= 1;
            self.link.session.respond(now, request, CommandStatus::from(status));
        }
        // Answers made room in the peer's window: what the buffer holds can be handled now.
        self.link.handle_input();
    }
}
