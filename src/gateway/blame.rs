//! Who is to blame when the session to an operator dies while a single message is in flight: that message, or the operator.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::message::MessageId;
use crate::queue::Blame;

/// The message that stands accused at an operator: one per operator, until the operator answers anything. A second message that is
/// accused meanwhile speaks for both, so that an operator out of order does not have its messages quarantined one by one.
#[derive(Debug)]
pub(super) struct Accused(AtomicU64);

/// Nobody is accused. Ids of messages never come so far.
const NOBODY: u64 = u64::MAX;
/// Several messages were: the operator is to blame.
const SEVERAL: u64 = u64::MAX - 1;

impl Accused {
    pub fn nobody() -> Self {
        Accused(AtomicU64::new(NOBODY))
    }

    /// A session has died with nothing but this message in flight.
    pub fn accuse(&self, id: MessageId) -> Blame {
        let after = |before| Some(if before == NOBODY || before == id.0 { id.0 } else { SEVERAL });
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after) {
            Ok(before) if before == NOBODY || before == id.0 => Blame::Message,
            _ => Blame::Operator,
        }
    }

    /// Does any message stand accused?
    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NOBODY
    }

    /// The operator has answered a message: it works.
    pub fn acquit(&self) {
        if self.is_any() {
            self.0.store(NOBODY, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_alone_again_and_again_is_to_blame() {
        let accused = Accused::nobody();
        assert_eq!([(); 3].map(|()| accused.accuse(MessageId(1))), [Blame::Message; 3]);
    }

    #[test]
    fn when_every_message_brings_the_session_down_the_operator_is_to_blame_until_it_answers() {
        let accused = Accused::nobody();
        assert_eq!([1, 2, 2, 1, 3].map(|id| accused.accuse(MessageId(id))), {
            [Blame::Message, Blame::Operator, Blame::Operator, Blame::Operator, Blame::Operator]
        });
        accused.acquit();
        assert_eq!(accused.accuse(MessageId(2)), Blame::Message);
    }
}
