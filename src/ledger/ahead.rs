//! Asking for memory before it is needed.
//!
//! What a batch of events is about lies anywhere in tens of megabytes: messages that came a while ago, tables that are spread at random.
//! Going through the events one by one the processor waits for each; touching everything first, in short loops whose steps do not
//! depend on each other, it waits for many at a time.

use std::hint::black_box;

use smallvec::SmallVec;

use super::correlation::Key;
use super::event::Event;
use super::{Job, Ledger};
use crate::message::MessageId;

/// Events are many, or there is nothing to gain.
const FEW: usize = 4;

impl Ledger {
    /// Touches what applying these events will touch. Changes nothing and decides nothing.
    pub fn look_ahead(&self, events: &[Event]) {
        let mut keys: SmallVec<[Key; 64]> = SmallVec::new();
        let mut ids: SmallVec<[MessageId; 64]> = SmallVec::new();
        for event in events {
            match event {
                Event::Accept(submissions) => touch(submissions.jobs.iter().map(|(job, _)| look(job))),
                Event::Sent { parts, .. } => {
                    touch(parts.iter().map(|part| look(&part.job)));
                    touch(parts.iter().map(|part| self.index.look(part.job.id)));
                    touch(parts.iter().filter_map(|part| part.key).map(|key| self.correlation.look(key).map_or(0, |id| id.0)));
                }
                Event::Receipt(received) => keys.extend_from_slice(&received.keys),
                Event::MailDone(items) => touch(items.iter().map(|(id, _)| self.index.look(*id))),
                Event::Failed { .. } | Event::Mo(_) | Event::Quarantine { .. } | Event::Release { .. } => {}
            }
        }
        if keys.len() < FEW {
            return;
        }
        ids.extend(keys.iter().filter_map(|key| self.correlation.look(*key)));
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
