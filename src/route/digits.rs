//! A string of decimal digits small enough to be a key.

use std::fmt;

const BITS_PER_DIGIT: usize = 4;

/// Up to sixteen decimal digits: a prefix or a whole number (E.164 allows fifteen).
///
/// The digits are nibbles from the most significant end, each one more than the digit, zero behind the last one. So the order of
/// values is that of strings (`4`, `40`, `41`, `5`), and the length tells `4` from `40`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits(u64);

impl Digits {
    /// The most digits one value holds.
    pub const MAX: usize = u64::BITS as usize / BITS_PER_DIGIT;

    /// Reads ASCII digits; `None` when another character is among them or there are more than [`Digits::MAX`].
    pub fn parse(text: &[u8]) -> Option<Digits> {
        if text.len() > Self::MAX {
            return None;
        }
        let mut nibbles = 0;
        for byte in text {
            if !byte.is_ascii_digit() {
                return None;
            }
            nibbles = nibbles << BITS_PER_DIGIT | u64::from(byte - b'0' + 1);
        }
        let unused = Self::MAX - text.len();
        Some(Digits(nibbles.unbounded_shl((unused * BITS_PER_DIGIT) as u32)))
    }

    /// How many digits.
    pub fn len(self) -> usize {
        Self::MAX - self.0.trailing_zeros() as usize / BITS_PER_DIGIT
    }

    /// No digits: the prefix of every number.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Do these digits begin with those?
    pub(super) fn begins_with(self, prefix: Digits) -> bool {
        (self.0 ^ prefix.0) & !prefix.rest() == 0
    }

    /// The place right behind everything that begins with these digits; `None` when that is everything.
    pub(super) fn behind(self) -> Option<Digits> {
        (self.0 | self.rest()).checked_add(1).map(Digits)
    }

    /// The bits behind the last digit.
    fn rest(self) -> u64 {
        u64::MAX.unbounded_shr((self.len() * BITS_PER_DIGIT) as u32)
    }

    fn digit(self, place: usize) -> u64 {
        (self.0 >> (u64::BITS as usize - (place + 1) * BITS_PER_DIGIT) & 0xF) - 1
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len()).try_for_each(|place| write!(f, "{}", self.digit(place)))
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back_as_they_went_in() {
        for text in ["", "0", "00", "358", "0123456789012345"] {
            assert_eq!(Digits::parse(text.as_bytes()).map(|d| d.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn length_tells_numbers_apart_that_differ_only_in_zeros() {
        assert_ne!(Digits::parse(b"4"), Digits::parse(b"40"));
        assert_ne!(Digits::parse(b""), Digits::parse(b"0"));
    }

    #[test]
    fn the_order_is_that_of_strings() {
        let texts = ["", "0", "00", "01", "3", "358", "3580", "3589999999999999", "359", "4", "9999999999999999"];
        let digits = texts.map(|text| Digits::parse(text.as_bytes()).expect("digits"));
        assert!(digits.is_sorted());
        for (text, number) in texts.iter().zip(digits) {
            for (prefix, start) in texts.iter().zip(digits) {
                assert_eq!(number.begins_with(start), text.starts_with(prefix), "{text} {prefix}");
                let before_the_end = start.behind().is_none_or(|end| number < end);
                assert_eq!(start <= number && before_the_end, text.starts_with(prefix), "{text} {prefix}");
            }
        }
    }

    #[test]
    fn other_characters_and_seventeen_digits_are_refused() {
        for text in [&b"+358"[..], b"35 8", b"12345678901234567", b"\xff"] {
            assert_eq!(Digits::parse(text), None);
        }
    }
}
