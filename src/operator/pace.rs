//! How fast a bind sends once its operator has said "too fast": additive increase, multiplicative decrease. Pure.

use std::time::{Duration, Instant};

/// A refusal takes this share of the speed away.
const DECREASE: f64 = 0.25;

/// Each quiet second gives this share of the speed back, and at least one message a second.
const INCREASE: f64 = 0.02;

/// How long nothing is sent after a refusal.
const PAUSE: Duration = Duration::from_millis(250);

/// A quiet time after which the limit is forgotten.
const FORGET: Duration = Duration::from_secs(120);

/// Slowest speed, in messages a second.
const SLOWEST: f64 = 1.0;

/// The speed of one bind; without a limit until the operator asks for one.
#[derive(Debug)]
pub struct Pace {
    limit: Option<Limit>,
    /// What was sent since `counted_since`: the speed at which a refusal found us.
    counted: u32,
    counted_since: Instant,
    speed: f64,
}

#[derive(Debug)]
struct Limit {
    per_second: f64,
    tokens: f64,
    /// Up to when tokens have been given; in the future while paused.
    filled: Instant,
    refused: Instant,
    raised: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Pace { limit: None, counted: 0, counted_since: now, speed: 0.0 }
    }

    /// The speed in force, in messages a second; `None` when there is no limit.
    pub fn per_second(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| limit.per_second)
    }

    /// The operator refused a message as too fast. Refusals of messages sent before the first one took effect count once.
    pub fn throttled(&mut self, now: Instant) {
        let speed = self.measure(now);
        let per_second = match &self.limit {
            Some(limit) if now < limit.refused + PAUSE => return,
            Some(limit) => limit.per_second,
            None => speed.max(SLOWEST),
        };
        let per_second = (per_second * (1.0 - DECREASE)).max(SLOWEST);
        let filled = now + PAUSE;
        self.limit = Some(Limit { per_second, tokens: 0.0, filled, refused: now, raised: now });
    }

    fn measure(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.counted_since).as_secs_f64();
        if elapsed >= 1.0 || self.speed == 0.0 {
            self.speed = f64::from(self.counted) / elapsed.max(0.05);
        }
        if elapsed >= 1.0 {
            self.counted = 0;
            self.counted_since = now;
        }
        self.speed
    }

    /// How many messages may be sent now, at most `wanted`, and when the next one may be if that is fewer.
    pub fn allowance(&mut self, now: Instant, wanted: u32) -> (u32, Option<Instant>) {
        let Some(limit) = &mut self.limit else { return (wanted, None) };
        if now > limit.refused + FORGET {
            self.limit = None;
            return (wanted, None);
        }
        while now >= limit.raised + Duration::from_secs(1) {
            limit.raised += Duration::from_secs(1);
            limit.per_second += (limit.per_second * INCREASE).max(1.0);
        }
        if now > limit.filled {
            let earned = now.duration_since(limit.filled).as_secs_f64() * limit.per_second;
            // A tenth of a second's messages may gather.
            limit.tokens = (limit.tokens + earned).min((limit.per_second / 10.0).max(1.0));
            limit.filled = now;
        }
        let allowed = wanted.min(limit.tokens as u32);
        let missing = (1.0 - limit.tokens).max(0.0) / limit.per_second;
        let next =
            (allowed < wanted).then(|| limit.filled.max(now) + Duration::from_secs_f64(missing) + Duration::from_millis(1));
        (allowed, next)
    }

    /// So many messages have been sent.
    pub fn sent(&mut self, now: Instant, count: u32) {
        if count == 0 {
            return;
        }
        self.measure(now);
        self.counted += count;
        if let Some(limit) = &mut self.limit {
            limit.tokens -= f64::from(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_refusal_there_is_no_limit() {
        let now = Instant::now();
        assert_eq!(Pace::new(now).allowance(now, 1_000), (1_000, None));
    }

    /// An operator that takes `limit` messages each second and refuses the rest.
    fn accepted_of_allowed(limit: u32, seconds: u32) -> f64 {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut accepted = 0;
        let mut bucket = f64::from(limit);
        let settle = 20;
        for step in 0..(seconds + settle) * 100 {
            let now = start + Duration::from_millis(u64::from(step) * 10);
            bucket = (bucket + f64::from(limit) / 100.0).min(f64::from(limit) / 4.0);
            let (allowed, _) = pace.allowance(now, 50);
            pace.sent(now, allowed);
            for _ in 0..allowed {
                if bucket >= 1.0 {
                    bucket -= 1.0;
                    accepted += u32::from(step >= settle * 100);
                } else {
                    pace.throttled(now);
                }
            }
        }
        f64::from(accepted) / f64::from(limit * seconds)
    }

    #[test]
    fn the_speed_settles_near_what_the_operator_allows() {
        for limit in [20, 100, 500] {
            let share = accepted_of_allowed(limit, 100);
            assert!(share >= 0.85, "{limit}/s: {share:.2}");
        }
    }

    #[test]
    fn after_a_refusal_nothing_is_sent_for_a_moment() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.sent(now, 100);
        pace.throttled(now + Duration::from_millis(100));
        let (allowed, next) = pace.allowance(now + Duration::from_millis(200), 10);
        assert_eq!(allowed, 0);
        assert!(next.is_some_and(|at| at >= now + Duration::from_millis(350)));
    }
}
