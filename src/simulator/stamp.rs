//! When a message was to be submitted, written into its text, so that whoever receives it knows how long it was on its way.
//!
//! The time is that of the machine's monotonic clock, which all its processes share: both ends run on one machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Digits of the tag that every text begins with.
pub const TAG_DIGITS: usize = 10;

/// Stands between the tag and the stamp: no digit, and the same octet in every alphabet.
const MARK: u8 = b'T';

/// Hexadecimal digits of a stamp, the last of the microseconds: they start over every 71 minutes.
const DIGITS: usize = 8;

/// Characters of tag and stamp.
pub const STAMPED: usize = TAG_DIGITS + 1 + DIGITS;

/// Looks at the clock of which the quickest counts.
const LOOKS: usize = 8;

/// The place for tag and stamp at the beginning of a text.
pub fn place() -> String {
    format!("{:0TAG_DIGITS$}{}{:0DIGITS$}", 0, char::from(MARK), 0)
}

/// Writes the stamp into a text that begins with the place for it; characters are `step` octets apart.
pub fn write(text: &mut [u8], step: usize, micros: u64) {
    for digit in 0..DIGITS {
        let value = (micros >> (4 * (DIGITS - 1 - digit)) & 0xF) as u8;
        text[(TAG_DIGITS + 1 + digit) * step] = if value < 10 { b'0' + value } else { b'a' - 10 + value };
    }
}

/// How many microseconds before `micros` a text was stamped; `None` when it has no stamp.
#[inline]
pub fn age(text: &[u8], micros: u64) -> Option<u64> {
    let wide = text.first() == Some(&0);
    let octet = |character: usize| text.get(if wide { character * 2 + 1 } else { character }).copied();
    if octet(TAG_DIGITS) != Some(MARK) || !(0..TAG_DIGITS).all(|at| octet(at).is_some_and(|octet| octet.is_ascii_digit())) {
        return None;
    }
    let mut stamp = 0u32;
    for at in 0..DIGITS {
        let digit = match octet(TAG_DIGITS + 1 + at)? {
            digit @ b'0'..=b'9' => digit - b'0',
            letter @ b'a'..=b'f' => letter - b'a' + 10,
            _ => return None,
        };
        stamp = stamp << 4 | u32::from(digit);
    }
    Some(u64::from((micros as u32).wrapping_sub(stamp)))
}

/// Tells what the machine's monotonic clock shows at a moment, without asking it again.
#[derive(Debug, Clone, Copy)]
pub struct MachineClock {
    started: Instant,
    micros: u64,
}

impl MachineClock {
    /// `now` tells the moment. Between that and the look at the clock the program may have had to wait for a processor, and everything
    /// it tells afterwards would be wrong by as much: of a few looks the quickest counts.
    pub fn new(now: impl Fn() -> Instant) -> MachineClock {
        let look = || {
            let started = now();
            let shown = clock_gettime(ClockId::Monotonic);
            (now().saturating_duration_since(started), started, shown)
        };
        let first = look();
        let (_, started, shown) = (1..LOOKS).map(|_| look()).fold(first, |best, next| if next.0 < best.0 { next } else { best });
        // A monotonic clock counts from the start of the machine.
        let since = Duration::new(u64::try_from(shown.tv_sec).unwrap_or(0), u32::try_from(shown.tv_nsec).unwrap_or(0));
        MachineClock { started, micros: micros(since) }
    }

    /// The microseconds the clock shows at a moment after its making.
    pub fn micros(&self, at: Instant) -> u64 {
        self.micros + micros(at.saturating_duration_since(self.started))
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_a_stamp_has_no_age() {
        for text in
            ["", "0000000123 Moi", "0000000123T12345", "0000000123T1234567x", "000000012xT12345678", "Hyvaa paivaa, tilaus"]
        {
            assert_eq!(age(text.as_bytes(), 7), None, "{text}");
        }
    }

    #[test]
    fn two_clocks_of_one_machine_agree() {
        let first = MachineClock::new(Instant::now);
        let second = MachineClock::new(Instant::now);
        let now = Instant::now();
        assert!(first.micros(now).abs_diff(second.micros(now)) < 100_000);
    }

    proptest! {
        #[test]
        fn a_text_tells_how_long_ago_it_was_stamped(sent: u64, age_then in 0u64..1 << 32, wide: bool) {
            let text: Vec<u8> = place().bytes().flat_map(|octet| if wide { vec![0, octet] } else { vec![octet] }).collect();
            let mut text = text;
            let (from, step) = if wide { (1, 2) } else { (0, 1) };
            write(&mut text[from..], step, sent);
            prop_assert_eq!(age(&text, sent.wrapping_add(age_then)), Some(age_then));
        }
    }
}
