//! The session timers as values: moments go in, deadlines and verdicts come out (SMPP 5.0 section 2.7).

use std::time::{Duration, Instant};

/// Durations of the timers; zero turns one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// From the connection to a completed bind. On expiry the session closes.
    pub session_init: Duration,
    /// Silence of the peer after which `enquire_link` is sent.
    pub enquire_link: Duration,
    /// Time without messages or their responses after which the session unbinds.
    pub inactivity: Duration,
    /// From a request to its response. On expiry its outcome is unknown.
    pub response: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            session_init: Duration::from_secs(5),
            enquire_link: Duration::from_secs(30),
            inactivity: Duration::ZERO,
            response: Duration::from_secs(30),
        }
    }
}

/// `since` plus `duration`; never when the timer is off.
pub(super) fn after(since: Instant, duration: Duration) -> Option<Instant> {
    if duration.is_zero() { None } else { since.checked_add(duration) }
}

/// The earlier of two deadlines, either of which may be "never".
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// What the watch over a bound peer found due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Enquire,
    Dead,
    Inactive,
}

/// Watches whether the peer is alive and the session used.
#[derive(Debug)]
pub(super) struct Watch {
    timers: Timers,
    heard: Instant,
    active: Instant,
    /// When the `enquire_link` was sent that nothing has been heard since.
    enquired: Option<Instant>,
}

impl Watch {
    pub fn new(timers: Timers, now: Instant) -> Self {
        Watch { timers, heard: now, active: now, enquired: None }
    }

    /// Any PDU is a sign of life: an overloaded peer may send traffic long before it gets to our `enquire_link`.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.enquired = None;
    }

    /// A message or its response passed, in either direction.
    pub fn active(&mut self, now: Instant) {
        self.active = now;
    }

    pub fn enquired(&mut self, now: Instant) {
        self.enquired = Some(now);
    }

    fn silence_deadline(&self) -> Option<Instant> {
        match self.enquired {
            None => after(self.heard, self.timers.enquire_link),
            // Without a response timer the peer gets as long as it got before being asked.
            Some(asked) => after(asked, self.timers.response).or_else(|| after(asked, self.timers.enquire_link)),
        }
    }

    fn inactivity_deadline(&self) -> Option<Instant> {
        after(self.active, self.timers.inactivity)
    }

    /// `listening` is false while reading is paused: silence then says nothing about the peer.
    pub fn deadline(&self, listening: bool) -> Option<Instant> {
        let silence = if listening { self.silence_deadline() } else { None };
        earlier(silence, self.inactivity_deadline())
    }

    pub fn verdict(&self, now: Instant, listening: bool) -> Option<Verdict> {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if listening && due(self.silence_deadline()) {
            return Some(if self.enquired.is_some() { Verdict::Dead } else { Verdict::Enquire });
        }
        due(self.inactivity_deadline()).then_some(Verdict::Inactive)
    }
}
