//! Receipts for messages that cannot be read for the moment: their payload is not in memory, and the disk fails to give it.
//!
//! They are tried again. Until then only memory knows them: a gateway that dies meanwhile sends the message again, or awaits its receipt
//! until that is over.

use std::collections::VecDeque;
use std::time::Duration;

use super::apply::MailClose;
use super::receipt_mail::Verdict;
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn};
use crate::message::{MessageId, Timestamp};

/// How long a disk that could not be read is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A receipt to be made: of the message, or of one of its parts.
#[derive(Debug)]
pub(super) struct Owed {
    pub id: MessageId,
    pub part: Option<u8>,
    pub verdict: Verdict,
    pub close: MailClose,
}

/// What is owed, in the order in which it became so. At most a few for each pending message.
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

    /// Tries again; the first that still cannot be read ends it.
    pub(super) fn make_up(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        for _ in 0..self.put_off.owed.len().min(EXPIRIES_PER_TICK) {
            if t.now < self.put_off.until {
                return;
            }
            let Some(Owed { id, part, verdict, close }) = self.put_off.owed.pop_front() else { return };
            self.forward(id, part, verdict, close, t);
        }
    }
}
