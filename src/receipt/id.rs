//! Matching the id of a receipt with the id of a response, whatever form each is written in.
//!
//! The correlation map keeps ONE [`stored_key`] per sent part, under the operator (not the bind: receipts come on any of them).
//! A receipt is looked up by its [`sought_keys`] in order: the same characters first, then the operator's configured form. When
//! keys lead to different parts, or one key to several, the destination number decides; if it cannot, the receipt is parked and
//! counted, never guessed. Keys depend on the setting, so stored ones outlive a change of it only under `same`.

use std::hash::{Hash, Hasher};

use super::ReceiptId;

/// A comparable id. Ids that are numbers compare by value, so that case and zero padding do not matter.
#[derive(Debug, Clone, Copy)]
pub enum IdKey<'a> {
    Number(u128),
    /// UUIDs and hexadecimal ids beyond 128 bits, which compare without case.
    Hexadecimal(&'a [u8]),
    /// Anything else, character by character: case may carry meaning.
    Text(&'a [u8]),
}

impl PartialEq for IdKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (IdKey::Number(a), IdKey::Number(b)) => a == b,
            (IdKey::Hexadecimal(a), IdKey::Hexadecimal(b)) => a.eq_ignore_ascii_case(b),
            (IdKey::Text(a), IdKey::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for IdKey<'_> {}

impl Hash for IdKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            IdKey::Number(value) => state.write_u128(*value),
            IdKey::Hexadecimal(id) => id.iter().for_each(|octet| state.write_u8(octet.to_ascii_lowercase())),
            IdKey::Text(id) => id.hash(state),
        }
    }
}

/// The key under which a part is remembered by the id of its response; `None` when the response gave none.
pub fn stored_key(form: ReceiptId, response_id: &[u8]) -> Option<IdKey<'_>> {
    key(response_radix(form), response_id)
}

/// The keys to look a receipt's id up by, in order; empty when the receipt gave none.
pub fn sought_keys(form: ReceiptId, receipt_id: &[u8]) -> impl Iterator<Item = IdKey<'_>> {
    let same = key(response_radix(form), receipt_id);
    let configured = match form {
        ReceiptId::Same => None,
        ReceiptId::Hex => number(16, receipt_id.trim_ascii()),
        ReceiptId::Dec => number(10, receipt_id.trim_ascii()),
    };
    same.into_iter().chain(configured.filter(|configured| Some(*configured) != same))
}

/// The radix of the ids in responses. Under `same` it only decides what is equal but for case and padding; sixteen covers both.
fn response_radix(form: ReceiptId) -> u32 {
    match form {
        ReceiptId::Hex => 10,
        ReceiptId::Same | ReceiptId::Dec => 16,
    }
}

fn key(radix: u32, id: &[u8]) -> Option<IdKey<'_>> {
    let id = id.trim_ascii();
    if id.is_empty() {
        return None;
    }
    let hexadecimal = || id.iter().all(|octet| octet.is_ascii_hexdigit() || *octet == b'-');
    Some(match number(radix, id) {
        Some(number) => number,
        None if hexadecimal() => IdKey::Hexadecimal(id),
        None => IdKey::Text(id),
    })
}

/// As many digits of any radix up to sixteen as 64 bits hold.
const SHORT: usize = 16;

/// What an octet says that is no digit.
const NO_DIGIT: u8 = 0xFF;

static DECIMAL: [u8; 256] = digits(10);
static HEXADECIMAL: [u8; 256] = digits(16);

/// What each octet says as a digit.
const fn digits(radix: u32) -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut octet = 0;
    while octet < 256 {
        if let Some(digit) = (octet as u8 as char).to_digit(radix) {
            table[octet] = digit as u8;
        }
        octet += 1;
    }
    table
}

/// The id as a number in base ten or sixteen, when it is one of at most 128 bits.
fn number(radix: u32, id: &[u8]) -> Option<IdKey<'static>> {
    let table = if radix == 10 { &DECIMAL } else { &HEXADECIMAL };
    let (short, rest) = id.split_at(id.len().min(SHORT));
    // Most ids are short, and numbers: whether all digits were some is asked once, at the end.
    let (mut value, mut seen) = (0u64, 0);
    for octet in short {
        let digit = table[usize::from(*octet)];
        value = value.wrapping_mul(radix.into()).wrapping_add(digit.into());
        seen |= digit;
    }
    if seen == NO_DIGIT || id.is_empty() {
        return None;
    }
    let mut value = u128::from(value);
    for octet in rest {
        let digit = Some(table[usize::from(*octet)]).filter(|digit| *digit != NO_DIGIT)?;
        value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
    }
    Some(IdKey::Number(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReceiptId::*;
    use proptest::prelude::*;

    /// At which place among the sought keys the response's key is found.
    fn found(form: ReceiptId, response: &str, receipt: &str) -> Option<usize> {
        let stored = stored_key(form, response.as_bytes())?;
        sought_keys(form, receipt.as_bytes()).position(|key| key == stored)
    }

    #[test]
    fn the_same_characters_match_at_once_under_every_setting() {
        for form in [Same, Hex, Dec] {
            for id in ["1234567890", "812FC7470000001B", "0000000042", "aZ_+/=", "550e8400-e29b-41d4-a716-446655440000"] {
                assert_eq!(found(form, id, id), Some(0), "{form:?} {id}");
            }
        }
    }

    #[test]
    fn case_and_zero_padding_do_not_matter() {
        assert_eq!(found(Same, "812FC7470000001B", "812fc7470000001b"), Some(0));
        assert_eq!(found(Same, "123", "0000000123"), Some(0));
        assert_eq!(found(Same, "550E8400-E29B-41D4", "550e8400-e29b-41d4"), Some(0));
    }

    #[test]
    fn case_matters_in_ids_that_are_not_hexadecimal() {
        assert_eq!(found(Same, "aBcZ", "AbCz"), None);
    }

    #[test]
    fn a_decimal_response_and_a_hexadecimal_receipt_match() {
        assert_eq!(found(Hex, "1234567890", "499602D2"), Some(1));
        assert_eq!(found(Hex, "1234567890", "00000000499602d2"), Some(1));
    }

    #[test]
    fn a_hexadecimal_response_and_a_decimal_receipt_match() {
        assert_eq!(found(Dec, "499602D2", "1234567890"), Some(1));
        assert_eq!(found(Dec, "812FC7470000001B", "9308878062554710043"), Some(1));
    }

    #[test]
    fn ids_longer_than_128_bits_match_only_as_they_are() {
        let long = "F".repeat(40);
        assert_eq!(found(Dec, &long, &long), Some(0));
        assert_eq!(found(Dec, &long, "123"), None);
    }

    #[test]
    fn an_empty_id_has_no_key() {
        assert_eq!(stored_key(Same, b" "), None);
        assert_eq!(sought_keys(Hex, b"").count(), 0);
    }

    proptest! {
        #[test]
        fn keys_that_are_equal_have_equal_hashes(a in "[0-9a-fA-F-]{0,40}", b in "[0-9a-fA-F-]{0,40}") {
            let hash = |id: &str| {
                let mut hasher = std::hash::DefaultHasher::new();
                stored_key(Same, id.as_bytes()).hash(&mut hasher);
                hasher.finish()
            };
            let equal = |a: &str, b: &str| stored_key(Same, a.as_bytes()) == stored_key(Same, b.as_bytes());
            prop_assert_eq!(equal(&a, &b), hash(&a) == hash(&b));
            prop_assert!(equal(&a, &a.to_uppercase()) && hash(&a) == hash(&a.to_uppercase()));
        }

        #[test]
        fn any_number_matches_across_forms(value: u128) {
            let (decimal, hexadecimal, padded) = (value.to_string(), format!("{value:X}"), format!("{value:032x}"));
            prop_assert!(found(Hex, &decimal, &hexadecimal).is_some());
            prop_assert!(found(Dec, &padded, &decimal).is_some());
        }

        #[test]
        fn numbers_are_what_the_standard_library_reads(id in "[0-9]{0,45}|[0-9a-fA-F]{0,40}|[0-9a-gA-G+_é-]{0,20}") {
            for radix in [10, 16] {
                let digits = id.bytes().all(|octet| octet.is_ascii_alphanumeric());
                let expected = u128::from_str_radix(&id, radix).ok().filter(|_| digits).map(IdKey::Number);
                prop_assert_eq!(number(radix, id.as_bytes()), expected);
            }
        }

        #[test]
        fn any_octets_match_themselves(id in proptest::collection::vec(any::<u8>(), 0..70)) {
            for form in [Same, Hex, Dec] {
                prop_assert_eq!(stored_key(form, &id), sought_keys(form, &id).next());
            }
        }
    }
}
