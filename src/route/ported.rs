//! Ported numbers: which operators serve a number its prefix does not tell (ten million of them in about 150 MB).

use hashbrown::HashTable;

/// Bits of an entry that hold the list of operators; the number, below 10^15 < 2^50, takes the rest.
const LIST_BITS: u32 = 14;

/// Number -> index of a list of operators, eight bytes and a control byte per slot.
#[derive(Debug, Default)]
pub(super) struct Ported {
    entries: HashTable<u64>,
}

/// Why a number could not be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    NotE164,
    Twice,
    TooManyLists,
}

impl Ported {
    /// How many different lists of operators ported numbers may name.
    pub(super) const LISTS: usize = 1 << LIST_BITS;

    pub(super) fn insert(&mut self, number: &[u8], list: u32) -> Result<(), Refused> {
        let number = value(number).ok_or(Refused::NotE164)?;
        if list as usize >= Self::LISTS {
            return Err(Refused::TooManyLists);
        }
        let hash = hash(number);
        if self.entries.find(hash, |entry| entry >> LIST_BITS == number).is_some() {
            return Err(Refused::Twice);
        }
        self.entries.insert_unique(hash, number << LIST_BITS | u64::from(list), |entry| self::hash(entry >> LIST_BITS));
        Ok(())
    }

    /// The list of operators of `number`, when it is ported.
    pub(super) fn get(&self, number: &[u8]) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let number = value(number)?;
        let entry = self.entries.find(hash(number), |entry| entry >> LIST_BITS == number)?;
        Some((entry & (Self::LISTS as u64 - 1)) as u32)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The number's value. E.164 numbers do not begin with zero, so the value tells them apart.
fn value(number: &[u8]) -> Option<u64> {
    if number.len() > 15 || number.first().is_none_or(|first| *first == b'0') {
        return None;
    }
    number.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

/// The table takes slot and tag from opposite ends of the hash, and numbers of one range differ in few bits: a folded wide
/// multiplication spreads them over all. The file is the operator's own, so no defence against chosen keys is needed.
fn hash(number: u64) -> u64 {
    let wide = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (wide >> 64) as u64 ^ wide as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_exactly_and_never_by_its_beginning() {
        let mut ported = Ported::default();
        assert_eq!(ported.insert(b"358401234567", 3), Ok(()));
        assert_eq!(ported.insert(b"999999999999999", 16_383), Ok(()));
        assert_eq!(ported.get(b"358401234567"), Some(3));
        assert_eq!(ported.get(b"999999999999999"), Some(16_383));
        assert_eq!(ported.get(b"35840123456"), None);
        assert_eq!(ported.get(b"0358401234567"), None);
    }

    #[test]
    fn what_cannot_be_a_ported_number_is_refused() {
        let mut ported = Ported::default();
        for number in [&b""[..], b"0401234567", b"+358401234567", b"1234567890123456", b"12a"] {
            assert_eq!(ported.insert(number, 0), Err(Refused::NotE164));
        }
        assert_eq!(ported.insert(b"358401234567", Ported::LISTS as u32), Err(Refused::TooManyLists));
        assert_eq!(ported.insert(b"358401234567", 0), Ok(()));
        assert_eq!(ported.insert(b"358401234567", 1), Err(Refused::Twice));
    }

    #[test]
    fn every_number_of_a_dense_range_is_found_again() {
        let mut ported = Ported::default();
        for n in 0..50_000u32 {
            assert_eq!(ported.insert(format!("358{}", 400_000_000 + n).as_bytes(), n % 7), Ok(()));
        }
        assert_eq!(ported.len(), 50_000);
        for n in 0..50_000u32 {
            assert_eq!(ported.get(format!("358{}", 400_000_000 + n).as_bytes()), Some(n % 7));
        }
    }
}
