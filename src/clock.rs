//! The gateway's clock: anchored to wall time at start, then advanced by the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::link;
use crate::message::Timestamp;

/// Tells [`Timestamp`]s that never jump.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    anchor: Timestamp,
}

impl Clock {
    /// A clock that shows the wall time now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Clock::showing(Timestamp(0).plus(since_epoch))
    }

    /// A clock that shows this time now.
    pub fn showing(time: Timestamp) -> Self {
        Clock { started: link::now(), anchor: time }
    }

    /// The wall time at which it was started.
    pub fn started_at(&self) -> Timestamp {
        self.anchor
    }

    pub fn now(&self) -> Timestamp {
        self.at(link::now())
    }

    /// What it shows at a monotonic moment.
    pub fn at(&self, moment: Instant) -> Timestamp {
        self.anchor.plus(moment.saturating_duration_since(self.started))
    }

    /// The monotonic moment at which this clock will show `at`; now when it is past.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let now = link::now();
        now.checked_add(at.since(self.at(now))).unwrap_or(now)
    }
}
