//! Rate limits: a number of operations per second, with time as an argument.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// The time a limiter is asked with.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// At most so many operations per second, shared by whoever holds it; without a limit everything is allowed.
#[derive(Debug)]
pub struct Rate {
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Nanos>>>,
    told: Told,
    started: Instant,
    per_second: Option<u32>,
    /// The last refusal, as `told`; zero when there was none.
    refused: AtomicU64,
}

impl Rate {
    /// `burst`: operations that may come at once after a pause.
    pub fn new(per_second: Option<u32>, burst: u32, now: Instant) -> Self {
        let told = Told::default();
        let limiter = per_second.and_then(NonZeroU32::new).map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
            RateLimiter::direct_with_clock(quota, told.clone())
        });
        Rate { limiter, told, started: now, per_second, refused: AtomicU64::new(0) }
    }

    /// May one more operation happen now? Otherwise how long to wait for the next.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let nanos = u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        // Several threads tell the time; it must not go back.
        let before = self.told.0.fetch_max(nanos, Ordering::Relaxed);
        let now = Nanos::new(nanos.max(before));
        limiter.check().map_err(|not_until| {
            self.refused.store(now.as_u64().max(1), Ordering::Relaxed);
            not_until.earliest_possible().duration_since(now).into()
        })
    }

    /// The limit; `None` when there is none.
    pub fn per_second(&self) -> Option<u32> {
        self.per_second
    }

    /// Was an operation refused within the last second?
    pub fn is_limiting(&self, now: Instant) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        let since = now.saturating_duration_since(self.started + Duration::from_nanos(refused));
        refused != 0 && since < Duration::from_secs(1)
    }

    /// How many of `wanted` operations may happen now, and if not all, how long to wait for the next.
    pub fn take_up_to(&self, wanted: u32, now: Instant) -> (u32, Option<Duration>) {
        if self.limiter.is_none() {
            return (wanted, None);
        }
        for taken in 0..wanted {
            if let Err(wait) = self.take(now) {
                return (taken, Some(wait));
            }
        }
        (wanted, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_everything_is_allowed() {
        let now = Instant::now();
        assert_eq!(Rate::new(None, 1, now).take_up_to(1_000_000, now), (1_000_000, None));
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let rate = Rate::new(Some(100), 10, start);
        let (taken, wait) = rate.take_up_to(50, start);
        assert_eq!(taken, 10);
        assert_eq!(wait, Some(Duration::from_millis(10)));
        let second = start + Duration::from_secs(1);
        let mut total = 0;
        for step in 1..=100 {
            total += rate.take_up_to(50, start + Duration::from_millis(step * 10)).0;
        }
        assert_eq!(total, 100);
        assert!(rate.take(second).is_err());
    }

    #[test]
    fn a_limit_is_at_work_for_a_second_after_it_refused() {
        let start = Instant::now();
        let rate = Rate::new(Some(1), 1, start);
        assert_eq!((rate.take(start), rate.is_limiting(start)), (Ok(()), false));
        assert!(rate.take(start).is_err());
        assert!(rate.is_limiting(start + Duration::from_millis(999)));
        assert!(!rate.is_limiting(start + Duration::from_millis(1_001)));
    }
}
