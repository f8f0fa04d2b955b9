//! Deliveries that no bind holds: those of transmitters, of connections that ended, and new MO messages.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::delivery::Delivery;

/// A delivery and when it may leave.
pub(super) type Scheduled = (Instant, Delivery);

/// What any receiving bind of one `system_id` may take. A delivery is in exactly one place: here, or with one bind, which puts
/// it back when it ends before the client has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Mutex<VecDeque<Scheduled>>,
    /// Length of `waiting`, readable without its lock.
    length: AtomicUsize,
    /// Binds that receive, so that generated MO messages go where somebody listens.
    receivers: AtomicUsize,
    /// Wakes one receiving bind.
    pub arrived: Notify,
}

impl Pool {
    pub fn put(&self, deliveries: impl IntoIterator<Item = Scheduled>) {
        let mut waiting = self.lock();
        waiting.extend(deliveries);
        self.length.store(waiting.len(), Ordering::Release);
        let any = !waiting.is_empty();
        drop(waiting);
        if any {
            self.arrived.notify_one();
        }
    }

    /// Moves at most `room` deliveries to the end of `bind`; wakes the next bind when some are left.
    pub fn take(&self, room: usize, bind: &mut VecDeque<Scheduled>) {
        if room == 0 || self.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        let count = room.min(waiting.len());
        bind.extend(waiting.drain(..count));
        self.length.store(waiting.len(), Ordering::Release);
        let rest = !waiting.is_empty();
        drop(waiting);
        if rest {
            self.arrived.notify_one();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::Acquire) == 0
    }

    pub fn join(&self) {
        self.receivers.fetch_add(1, Ordering::AcqRel);
    }

    pub fn leave(&self) {
        self.receivers.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn has_receivers(&self) -> bool {
        self.receivers.load(Ordering::Acquire) > 0
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Scheduled>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
