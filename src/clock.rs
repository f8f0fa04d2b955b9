//! The gateway's clock: anchored to wall time at start, then advanced by the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
        Clock { started: Instant::now(), anchor: Timestamp(0).plus(since_epoch) }
    }

    /// The wall time at which it was started.
    pub fn started_at(&self) -> Timestamp {
        self.anchor
    }

    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// What it shows at a monotonic moment.
    pub fn at(&self, moment: Instant) -> Timestamp {
        self.anchor.plus(moment.saturating_duration_since(self.started))
    }

    /// The monotonic moment at which this clock will show `at`; now when it is past.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let now = Instant::now();
        now.checked_add(at.since(self.now())).unwrap_or(now)
    }
}
