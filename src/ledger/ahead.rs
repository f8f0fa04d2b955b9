//! Asking for memory before it is needed.
//!
//! What a list of events is about lies anywhere in tens of megabytes: messages that came a while ago, tables that are spread at random.
//! Going through the events one by one the processor waits for each; touching everything first, in short loops whose steps do not
//! depend on each other, it waits for many at a time.

use std::hint::black_box;

use smallvec::SmallVec;

use super::event::{Event, Received, SentPart};
use super::{Job, Ledger};
use crate::message::MessageId;

impl Ledger {
    /// Touches what applying the event will touch. Changes nothing and decides nothing.
    pub(super) fn look_ahead(&self, event: &Event) {
        match event {
            Event::Accept(submissions) => touch(submissions.jobs.iter().map(|(job, _)| look(job))),
            Event::Sent { parts, .. } => self.look_at_parts(parts),
            Event::Receipts(receipts) => {
                self.look_at_messages(receipts);
                touch(self.history.look_at_oldest(receipts.len()));
            }
            Event::MailDone(items) => touch(items.iter().map(|(id, _)| self.index.look(*id))),
            Event::Failed { .. } | Event::Mo(_) | Event::Quarantine { .. } | Event::Release { .. } => {}
        }
    }

    fn look_at_parts(&self, parts: &[SentPart]) {
        touch(parts.iter().map(|part| look(&part.job)));
        touch(parts.iter().map(|part| self.index.look(part.job.id)));
        touch(parts.iter().filter_map(|part| self.correlation.look(part.key?)).map(|id| id.0));
    }

    fn look_at_messages(&self, receipts: &[Received]) {
        let keys = receipts.iter().flat_map(|received| &received.keys);
        let ids: SmallVec<[MessageId; 64]> = keys.filter_map(|key| self.correlation.look(*key)).collect();
        touch(ids.iter().map(|id| self.index.look(*id)));
        touch(ids.iter().filter_map(|id| self.index.hot(*id)).map(|job| look(job)));
    }
}

fn look(job: &Job) -> u64 {
    job.message.accepted_at.0 ^ u64::from(job.message.receipt.0) ^ job.message.destination.digits.len() as u64
}

/// Has every value computed, which takes reading it.
fn touch(values: impl Iterator<Item = u64>) {
    black_box(values.fold(0, |all, value| all ^ value));
}
