//! Payloads read back for a queue that has kept only their ids.

use std::sync::Arc;

use super::Lookup;
use crate::message::{MessageId, Payload};
use crate::queue::{LOAD_OCTETS, Queue};

/// How much is read in one question: large payloads would fill the memory, and keep the journal from its work.
#[derive(Debug, Default)]
pub struct Allowance {
    octets: usize,
}

impl Allowance {
    /// Are more than [`LOAD_OCTETS`] read?
    pub fn is_used_up(&self) -> bool {
        self.octets > LOAD_OCTETS
    }

    /// This has been read.
    pub fn count(&mut self, payload: Option<&impl Payload>) {
        self.octets += payload.map_or(0, Payload::octets);
    }
}

/// What a queue asked for, as far as it could be read.
#[derive(Debug)]
pub struct ReadBack<P> {
    payloads: Vec<(MessageId, Option<Arc<P>>)>,
    /// Damaged: there is nothing to be read any more.
    lost: Vec<MessageId>,
    /// Some must be asked for again: the disk could not be read just now, or what has been read is enough for the moment.
    is_rest: bool,
}

impl<P: Payload> ReadBack<P> {
    /// Reads them in order, as far as the [`Allowance`] goes.
    pub fn of(
        ids: Vec<MessageId>,
        lookup: &mut dyn Lookup,
        read: impl Fn(&mut dyn Lookup, MessageId) -> Option<Arc<P>>,
    ) -> ReadBack<P> {
        let mut back = ReadBack { payloads: Vec::with_capacity(ids.len()), lost: Vec::new(), is_rest: false };
        let mut allowance = Allowance::default();
        for id in ids {
            if allowance.is_used_up() {
                back.is_rest = true;
                break;
            }
            match read(lookup, id) {
                None if lookup.read_failed() => back.is_rest = true,
                payload => {
                    allowance.count(payload.as_deref());
                    back.lost.extend(payload.is_none().then_some(id));
                    back.payloads.push((id, payload));
                }
            }
        }
        back
    }

    /// Gives the queue what has been read; returns what is lost, which the queue has no more.
    pub fn fill(self, queue: &mut Queue<P>) -> Vec<MessageId> {
        queue.fill(self.payloads);
        if self.is_rest {
            queue.ask_again();
        }
        self.lost
    }
}
