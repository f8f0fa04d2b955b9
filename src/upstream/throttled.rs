//! Submissions that are answered with ESME_RTHROTTLED, a little later: until then they take up room in the peer's window, so that a
//! peer that floods slows down instead of being refused a hundred thousand times a second at everybody's expense.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::smpp::{CommandStatus, Session, Ticket};

/// How long the answer waits. A window of 100 then brings at most 1,000 refusals a second.
const HELD: Duration = Duration::from_millis(100);

/// The requests whose answer waits: at most as many as the peer's window, which they fill.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    waiting: VecDeque<(Instant, Ticket)>,
}

impl Throttled {
    pub fn hold(&mut self, request: Ticket, now: Instant) {
        self.waiting.push_back((now + HELD, request));
    }

    /// When the next answer is due.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Answers what is due; false when there was nothing.
    pub fn answer<T>(&mut self, session: &mut Session<T>, now: Instant) -> bool {
        let before = self.waiting.len();
        while let Some((_, request)) = self.waiting.pop_front_if(|(due, _)| *due <= now) {
            session.respond(now, request, CommandStatus::EsmeRthrottled);
        }
        self.waiting.len() < before
    }
}
