//! UTF-16 big endian, which is what `data_coding` 8 carries in practice under the name UCS-2.

use super::TextError;

/// The text in UTF-16 big endian.
pub fn encode(text: &str) -> Vec<u8> {
    encode_chars(text.chars(), text.len())
}

/// As [`encode`], from any source of characters; `expected` is a guess of the number of characters.
pub fn encode_chars(chars: impl Iterator<Item = char>, expected: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(expected * 2);
    let mut units = [0u16; 2];
    for c in chars {
        for unit in c.encode_utf16(&mut units) {
            octets.extend_from_slice(&unit.to_be_bytes());
        }
    }
    octets
}

/// The characters; half a surrogate pair reads as U+FFFD, and an odd last octet is not read.
pub fn chars(octets: &[u8]) -> impl Iterator<Item = char> + '_ {
    let units = octets.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// The text; see [`chars`].
pub fn decode(octets: &[u8]) -> String {
    chars(octets).collect()
}

/// The code unit at an octet offset; zero past the end, where no surrogate is.
pub fn unit_at(octets: &[u8], offset: usize) -> u16 {
    match octets.get(offset..offset + 2) {
        Some(unit) => u16::from_be_bytes([unit[0], unit[1]]),
        None => 0,
    }
}

pub fn is_high_surrogate(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

pub fn is_low_surrogate(unit: u16) -> bool {
    (0xDC00..0xE000).contains(&unit)
}

/// Refuses an odd length, and half a surrogate pair inside the text.
///
/// A low half at the very start and a high half at the very end pass: an application that splits long texts itself by length
/// makes such parts, and the handset that joins them shows the character whole.
pub fn check(octets: &[u8]) -> Result<(), TextError> {
    if !octets.len().is_multiple_of(2) {
        return Err(TextError::OddLength);
    }
    let mut offset = 0;
    while offset < octets.len() {
        let unit = unit_at(octets, offset);
        let last = offset + 2 == octets.len();
        if is_high_surrogate(unit) && !last {
            if !is_low_surrogate(unit_at(octets, offset + 2)) {
                return Err(TextError::NotInCoding { offset });
            }
            offset += 2;
        } else if is_low_surrogate(unit) && offset != 0 {
            return Err(TextError::NotInCoding { offset });
        }
        offset += 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_odd_length_is_refused() {
        assert_eq!(check(&[0x00, 0x41, 0x00]), Err(TextError::OddLength));
    }

    #[test]
    fn half_a_pair_is_refused_inside_the_text_and_passes_at_its_edges() {
        assert!(check(&[0x00, 0x41, 0xD8, 0x3D, 0x00, 0x41]).is_err());
        assert!(check(&[0x00, 0x41, 0xDE, 0x00]).is_err());
        assert!(check(&[0x00, 0x41, 0xD8, 0x3D]).is_ok());
        assert!(check(&[0xDE, 0x00, 0x00, 0x41]).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_round_trips_and_is_well_formed(text in any::<String>()) {
            let octets = encode(&text);
            prop_assert!(check(&octets).is_ok());
            prop_assert_eq!(decode(&octets), text);
        }

        #[test]
        fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&octets);
            decode(&octets);
        }
    }
}
