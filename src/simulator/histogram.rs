//! Durations counted in buckets of constant relative width.

use std::fmt;
use std::time::Duration;

/// Buckets per doubling: a quantile is off by at most one part in 64.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Below `2 * STEPS` every microsecond has its own bucket; above, every doubling has `STEPS` of them, up to 2^40 us (12 days).
const BUCKETS: usize = (STEPS as usize) * 36;

/// Counts durations in microseconds, with one per cent precision and constant memory.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a duration of so many microseconds.
    #[inline]
    pub fn record(&mut self, micros: u64) {
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// The duration that this fraction (0 to 1) of all does not exceed; zero when nothing was counted.
    pub fn quantile(&self, fraction: f64) -> Duration {
        // Counts stay far below 2^52, so the rank is exact enough.
        let rank = ((self.count as f64 * fraction).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(highest_in(index).min(self.max));
            }
        }
        Duration::ZERO
    }
}

/// What is told of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Quantiles {
    pub fn of(histogram: &Histogram) -> Quantiles {
        // Whole microseconds divided once: a program reads 91.135, not 91.13499999.
        let milliseconds = |duration: Duration| duration.as_micros() as f64 / 1000.0;
        Quantiles {
            count: histogram.count(),
            p50: milliseconds(histogram.quantile(0.5)),
            p99: milliseconds(histogram.quantile(0.99)),
            p999: milliseconds(histogram.quantile(0.999)),
            max: milliseconds(histogram.max()),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms  max {:.2} ms", self.p50, self.p99, self.p999, self.max)
    }
}

fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let index = u64::from(shift) * STEPS + (micros >> shift);
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The largest number of microseconds that falls into a bucket.
fn highest_in(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    ((index - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_a_thousand_even_steps_are_those_steps() {
        let mut histogram = Histogram::default();
        for milliseconds in 1..=1000 {
            histogram.record(milliseconds * 1000);
        }
        for (fraction, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(fraction).as_secs_f64() * 1000.0;
            assert!((found - expected).abs() / expected < 1.0 / 64.0, "{fraction}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
    }

    #[test]
    fn nothing_counted_is_zero() {
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn every_duration_falls_into_a_bucket_that_reaches_just_above_it(micros in 0u64..(1 << 40)) {
            let highest = highest_in(bucket(micros));
            prop_assert!(highest >= micros && highest - micros <= micros / STEPS);
        }
    }
}
