//! Final states of messages that cannot be read for the moment: their payload is not in memory, and the disk fails to give it, so that
//! nobody can be told.
//!
//! They are tried again, and until then count as not heard: a gateway that dies meanwhile sends the message again, or awaits its
//! receipt until that is over.

use std::collections::VecDeque;
use std::time::Duration;

use super::part::PartState;
use super::receipt_mail::Verdict;
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn};
use crate::message::{MessageId, OperatorKey, Timestamp};

/// How long a disk that could not be read is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What has become of a part.
#[derive(Debug)]
pub(super) struct Owed {
    pub id: MessageId,
    pub part: u8,
    /// See [`Ledger::part_final`].
    pub refused_by: Option<OperatorKey>,
    pub verdict: Verdict,
}

/// What is owed, in the order in which it became so.
#[derive(Debug, Default)]
pub(super) struct PutOff {
    owed: VecDeque<Owed>,
    /// Not to be tried before.
    until: Timestamp,
}

impl Ledger {
    pub(super) fn put_off(&mut self, owed: Owed, t: &Turn<'_, impl Log, impl Rules>) {
        self.put_off.until = t.now.plus(PAUSE);
        self.put_off.owed.push_back(owed);
    }

    /// Tries again; the first that still cannot be told ends it.
    pub(super) fn make_up(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        for _ in 0..self.put_off.owed.len().min(EXPIRIES_PER_TICK) {
            if t.now < self.put_off.until {
                return;
            }
            let Some(Owed { id, part, refused_by, verdict }) = self.put_off.owed.pop_front() else { return };
            let slot = self.index.message_mut(id).and_then(|pending| pending.parts.get(usize::from(part)));
            // It may have been told of meanwhile.
            if slot.is_some_and(|slot| !matches!(slot.state, PartState::Final { .. })) {
                self.part_final(id, part, refused_by, verdict, t);
            }
        }
    }
}
