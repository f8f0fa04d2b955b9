//! Outcomes, and what the operator delivers, on their way to the journal; and what is to be done once they are durable.

use super::{OPEN_BATCHES, Traffic, Waiting};
use crate::journal::{Ack, Batch};
use crate::ledger;
use crate::link;
use crate::smpp::CommandStatus;

impl Traffic<'_> {
    pub(super) fn record(&mut self, event: ledger::Event, waiting: Waiting) {
        self.events.push(event);
        self.waiting.push(waiting);
    }

    pub(super) fn record_outcome(&mut self, event: ledger::Event) {
        self.unrecorded += 1;
        self.record(event, Waiting::Outcome);
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
        for (at, waiting) in places.drain(..).enumerate() {
            let status = ack.statuses.get(at).copied().unwrap_or(0);
            match waiting {
                Waiting::Outcome => self.unrecorded -= 1,
                Waiting::Deliver(request) => {
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
