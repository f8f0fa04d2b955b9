//! A string of decimal digits small enough to be a key.

use std::fmt;

use prefix_trie::Prefix;

const BITS_PER_DIGIT: u8 = 4;

/// Up to sixteen decimal digits: a prefix or a whole number (E.164 allows fifteen).
///
/// The digits are nibbles from the most significant end, so that "begins with" is what a binary prefix trie calls
/// "contains". The length tells `4` from `40`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits {
    nibbles: u64,
    bits: u8,
}

impl Digits {
    /// The most digits one value holds.
    pub const MAX: usize = (u64::BITS / BITS_PER_DIGIT as u32) as usize;

    /// Nothing: the prefix of every number.
    pub const NONE: Digits = Digits { nibbles: 0, bits: 0 };

    /// Reads ASCII digits; `None` when another character is among them or there are more than [`Digits::MAX`].
    pub fn parse(text: &[u8]) -> Option<Digits> {
        if text.len() > Self::MAX {
            return None;
        }
        let mut digits = Digits::NONE;
        for byte in text {
            if !byte.is_ascii_digit() {
                return None;
            }
            let shift = u64::BITS - u32::from(digits.bits) - u32::from(BITS_PER_DIGIT);
            digits.nibbles |= u64::from(byte - b'0') << shift;
            digits.bits += BITS_PER_DIGIT;
        }
        Some(digits)
    }

    /// How many digits.
    pub fn len(self) -> usize {
        usize::from(self.bits / BITS_PER_DIGIT)
    }

    /// Is this [`Digits::NONE`]?
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl Prefix for Digits {
    type R = u64;

    fn repr(&self) -> u64 {
        self.nibbles
    }

    fn prefix_len(&self) -> u8 {
        self.bits
    }

    fn from_repr_len(nibbles: u64, bits: u8) -> Self {
        Digits { nibbles, bits }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in 1..=self.len() as u32 {
            write!(f, "{}", (self.nibbles >> (u64::BITS - place * u32::from(BITS_PER_DIGIT))) & 0xf)?;
        }
        Ok(())
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
    fn other_characters_and_seventeen_digits_are_refused() {
        for text in [&b"+358"[..], b"35 8", b"12345678901234567", b"\xff"] {
            assert_eq!(Digits::parse(text), None);
        }
    }
}
