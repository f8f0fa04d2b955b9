//! From what a peer sent, in whatever `data_coding`, to the canonical [`Body`].

use bytes::Bytes;

use super::{Alphabet, Body, DefaultAlphabet, TextError, gsm7, ucs2};

impl Body {
    /// The text in the cheapest alphabet that holds it: GSM 7-bit, otherwise UCS-2.
    pub fn from_text(text: &str) -> Body {
        from_chars(text.chars(), text.len())
    }

    /// What a reader would see; `None` for 8-bit data.
    pub fn to_text(&self) -> Option<String> {
        match self.alphabet {
            Alphabet::Gsm7 => Some(gsm7::decode(&self.octets)),
            Alphabet::Ucs2 => Some(ucs2::decode(&self.octets)),
            Alphabet::Octets => None,
        }
    }

    fn new(alphabet: Alphabet, octets: impl Into<Bytes>) -> Body {
        Body { alphabet, octets: octets.into() }
    }
}

fn from_chars(chars: impl Iterator<Item = char> + Clone, expected: usize) -> Body {
    match gsm7::encode_chars(chars.clone(), expected) {
        Some(septets) => Body::new(Alphabet::Gsm7, septets),
        None => Body::new(Alphabet::Ucs2, ucs2::encode_chars(chars, expected)),
    }
}

/// Brings a text into canonical form; `octets` is what stands behind the user data header, `header_octets` the length of that
/// header with its length octet (0 when there is none), which only packed text needs.
///
/// Returns the body and the class to keep in `Message::dcs_class`, from which [`data_coding`] is rebuilt towards an operator.
/// Values the coding does not have are refused, never masked or replaced (3GPP TS 23.038 section 4, SMPP 5.0 section 4.7.7).
/// GSM 7-bit text of a `gsm7` account, 8-bit data and UCS-2 are scanned, not copied.
pub fn decode(alphabet: DefaultAlphabet, data_coding: u8, octets: Bytes, header_octets: usize) -> Result<(Body, u8), TextError> {
    let class = data_coding & 0x03;
    let default = |octets| default_text(alphabet, octets, header_octets);
    match data_coding {
        0x00 => Ok((default(octets)?, 0)),
        0x01 => Ok((single_octets(&octets, ascii)?, 0)),
        0x02 | 0x04 => Ok((binary(octets), 0)),
        0x03 => Ok((single_octets(&octets, latin1)?, 0)),
        0x06 => Ok((single_octets(&octets, cyrillic)?, 0)),
        0x07 => Ok((single_octets(&octets, hebrew)?, 0)),
        0x08 => Ok((utf16(octets)?, 0)),
        0x10..=0x13 => Ok((default(octets)?, 0x10 | class)),
        0x14..=0x17 => Ok((binary(octets), 0x10 | class)),
        0x18..=0x1B => Ok((utf16(octets)?, 0x10 | class)),
        0xC0..=0xDF => Ok((default(octets)?, data_coding)),
        0xE0..=0xEF => Ok((utf16(octets)?, data_coding)),
        // Bit 2 tells 8-bit data from text; bit 3 is reserved and not looked at.
        0xF0.. if data_coding & 0x04 != 0 => Ok((binary(octets), 0xF0 | class)),
        0xF0.. => Ok((default(octets)?, 0xF0 | class)),
        _ => Err(TextError::UnknownCoding(data_coding)),
    }
}

/// The `data_coding` for a body with the class that [`decode`] kept: the coding group the application used, adapted to the
/// alphabet (3GPP TS 23.038 section 4).
pub fn data_coding(alphabet: Alphabet, dcs_class: u8) -> u8 {
    let class = dcs_class & 0x03;
    match (dcs_class >> 4, alphabet) {
        (0x1, Alphabet::Gsm7) => 0x10 | class,
        (0x1, Alphabet::Octets) => 0x14 | class,
        (0xF, Alphabet::Gsm7) => 0xF0 | class,
        (0xF, Alphabet::Octets) => 0xF4 | class,
        // Group 1111 has no UCS-2; the general group says the same.
        (0x1 | 0xF, Alphabet::Ucs2) => 0x18 | class,
        (0xC | 0xD, Alphabet::Gsm7) => dcs_class,
        // Store the message, in either alphabet.
        (0xE, Alphabet::Gsm7) => 0xD0 | dcs_class & 0x0F,
        // Message waiting in UCS-2 exists only as "store".
        (0xC..=0xE, Alphabet::Ucs2) => 0xE0 | dcs_class & 0x0F,
        (_, Alphabet::Gsm7) => 0x00,
        (_, Alphabet::Ucs2) => 0x08,
        (_, Alphabet::Octets) => 0x04,
    }
}

fn default_text(alphabet: DefaultAlphabet, octets: Bytes, header_octets: usize) -> Result<Body, TextError> {
    match alphabet {
        DefaultAlphabet::Gsm7 if gsm7::is_valid(&octets) => Ok(Body::new(Alphabet::Gsm7, octets)),
        DefaultAlphabet::Gsm7 => {
            let offset = octets.iter().position(|octet| *octet > 0x7F).unwrap_or(0);
            Err(TextError::NotInCoding { offset })
        }
        DefaultAlphabet::Gsm7Packed => Ok(Body::new(Alphabet::Gsm7, gsm7::unpack(&octets, gsm7::fill_bits(header_octets)))),
        DefaultAlphabet::Latin1 => single_octets(&octets, latin1),
        DefaultAlphabet::Utf8 => std::str::from_utf8(&octets)
            .map(Body::from_text)
            .map_err(|error| TextError::NotInCoding { offset: error.valid_up_to() }),
    }
}

fn binary(octets: Bytes) -> Body {
    Body::new(Alphabet::Octets, octets)
}

fn utf16(octets: Bytes) -> Result<Body, TextError> {
    ucs2::check(&octets)?;
    Ok(Body::new(Alphabet::Ucs2, octets))
}

fn single_octets(octets: &[u8], table: fn(u8) -> Option<char>) -> Result<Body, TextError> {
    if let Some(offset) = octets.iter().position(|octet| table(*octet).is_none()) {
        return Err(TextError::NotInCoding { offset });
    }
    Ok(from_chars(octets.iter().filter_map(|octet| table(*octet)), octets.len()))
}

fn ascii(octet: u8) -> Option<char> {
    octet.is_ascii().then_some(char::from(octet))
}

/// Where Latin-1 has control characters nobody means, Windows-1252 has what its senders mean: the euro sign, curly quotes.
const WINDOWS_1252: [Option<char>; 32] = [
    Some('€'),
    None,
    Some('‚'),
    Some('ƒ'),
    Some('„'),
    Some('…'),
    Some('†'),
    Some('‡'), //
    Some('ˆ'),
    Some('‰'),
    Some('Š'),
    Some('‹'),
    Some('Œ'),
    None,
    Some('Ž'),
    None, //
    None,
    Some('‘'),
    Some('’'),
    Some('“'),
    Some('”'),
    Some('•'),
    Some('–'),
    Some('—'), //
    Some('˜'),
    Some('™'),
    Some('š'),
    Some('›'),
    Some('œ'),
    None,
    Some('ž'),
    Some('Ÿ'),
];

fn latin1(octet: u8) -> Option<char> {
    match octet {
        0x80..=0x9F => WINDOWS_1252[usize::from(octet - 0x80)],
        _ => Some(char::from(octet)),
    }
}

/// ISO 8859-5.
fn cyrillic(octet: u8) -> Option<char> {
    match octet {
        0x80..=0x9F => None,
        0xF0 => Some('№'),
        0xFD => Some('§'),
        0xA1..=0xAC | 0xAE.. => char::from_u32(u32::from(octet) + 0x360),
        _ => Some(char::from(octet)),
    }
}

/// ISO 8859-8.
fn hebrew(octet: u8) -> Option<char> {
    match octet {
        0x80..=0x9F | 0xA1 | 0xBF..=0xDE | 0xFB | 0xFC | 0xFF => None,
        0xAA => Some('×'),
        0xBA => Some('÷'),
        0xDF => Some('‗'),
        0xE0..=0xFA => char::from_u32(u32::from(octet) - 0xE0 + 0x05D0),
        0xFD => Some('\u{200E}'),
        0xFE => Some('\u{200F}'),
        _ => Some(char::from(octet)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DefaultAlphabet::*;
    use proptest::prelude::*;

    fn decoded(alphabet: DefaultAlphabet, coding: u8, octets: &[u8]) -> Result<(Alphabet, String, u8), TextError> {
        let (body, class) = decode(alphabet, coding, Bytes::copy_from_slice(octets), 0)?;
        Ok((body.alphabet, body.to_text().unwrap_or_default(), class))
    }

    #[test]
    fn gsm7_text_is_the_same_memory_not_a_copy() {
        let octets = Bytes::from(gsm7::encode("Hyvää päivää €").unwrap());
        let (body, class) = decode(Gsm7, 0, octets.clone(), 0).unwrap();
        assert_eq!(body.octets.as_ptr(), octets.as_ptr());
        assert_eq!((body.to_text().unwrap().as_str(), class), ("Hyvää päivää €", 0));
    }

    #[test]
    fn octets_above_a_septet_are_refused_not_masked() {
        let error = decoded(Gsm7, 0, b"ab\xE4").unwrap_err();
        assert_eq!((error, error.command_status()), (TextError::NotInCoding { offset: 2 }, 0x104));
    }

    #[test]
    fn latin1_and_utf8_become_gsm7_when_every_character_exists_there() {
        assert_eq!(decoded(Latin1, 0, b"\xE5\xE4\xF6 @").unwrap(), (Alphabet::Gsm7, "åäö @".into(), 0));
        assert_eq!(decoded(Gsm7, 3, b"caf\xE9").unwrap(), (Alphabet::Gsm7, "café".into(), 0));
        assert_eq!(decoded(Utf8, 0, "5 € ~".as_bytes()).unwrap(), (Alphabet::Gsm7, "5 € ~".into(), 0));
    }

    #[test]
    fn what_gsm7_lacks_becomes_ucs2_whole() {
        assert_eq!(decoded(Latin1, 0, b"fa\xE7ade").unwrap(), (Alphabet::Ucs2, "façade".into(), 0));
        assert_eq!(decoded(Utf8, 0, "šakki 😀".as_bytes()).unwrap(), (Alphabet::Ucs2, "šakki 😀".into(), 0));
        assert_eq!(decoded(Gsm7, 1, b"a`b").unwrap(), (Alphabet::Ucs2, "a`b".into(), 0));
        assert_eq!(decoded(Gsm7, 3, b"\x80\x94").unwrap(), (Alphabet::Ucs2, "€”".into(), 0));
    }

    #[test]
    fn cyrillic_and_hebrew_become_ucs2() {
        assert_eq!(decoded(Gsm7, 6, b"\xBF\xE0\xD8\xD2\xD5\xE2").unwrap().1, "Привет");
        assert_eq!(decoded(Gsm7, 7, b"\xF9\xEC\xE5\xED").unwrap().1, "שלום");
    }

    #[test]
    fn broken_utf8_odd_ucs2_and_eight_bit_ascii_are_refused() {
        assert_eq!(decoded(Utf8, 0, b"ab\xFF").unwrap_err(), TextError::NotInCoding { offset: 2 });
        assert_eq!(decoded(Gsm7, 8, b"\x00A\x00").unwrap_err().command_status(), 0x01);
        assert!(decoded(Gsm7, 1, b"\xE4").is_err());
    }

    #[test]
    fn codings_nobody_can_carry_are_invalid_dcs() {
        for coding in [0x05, 0x09, 0x0A, 0x0D, 0x0E, 0x0F, 0x1C, 0x20, 0x40, 0x80, 0xBF] {
            assert_eq!(decoded(Gsm7, coding, b"x").unwrap_err().command_status(), 0x104, "{coding:#x}");
        }
    }

    #[test]
    fn packed_text_after_a_header_skips_the_fill_bits() {
        let mut packed = Vec::new();
        gsm7::pack(&gsm7::encode("Moi kaikille").unwrap(), gsm7::fill_bits(6), &mut packed);
        let (body, _) = decode(Gsm7Packed, 0, packed.into(), 6).unwrap();
        assert_eq!(body.to_text().unwrap(), "Moi kaikille");
    }

    #[test]
    fn class_and_waiting_bits_survive_the_way_through() {
        for coding in (0..=0x08).filter(|c| ![1, 2, 3, 5, 6, 7].contains(c)).chain(0x10..=0x1B).chain(0xC0..=0xF7) {
            let (body, class) = decode(Gsm7, coding, Bytes::from_static(b"\x00A"), 0).unwrap();
            assert_eq!(data_coding(body.alphabet, class), coding, "{coding:#x}");
        }
    }

    #[test]
    fn message_waiting_in_ucs2_that_became_gsm7_is_still_waiting() {
        for (coding, expected) in [(0xE8, 0xD8), (0xE0, 0xD0), (0xEB, 0xDB)] {
            let (_, class) = decode(Gsm7, coding, Bytes::from_static(b"\x00A"), 0).unwrap();
            assert_eq!(data_coding(Alphabet::Gsm7, class), expected);
        }
    }

    #[test]
    fn a_flash_text_that_became_ucs2_is_still_flash() {
        let (_, text, class) = decoded(Utf8, 0xF0, "😀".as_bytes()).unwrap();
        assert_eq!((text.as_str(), data_coding(Alphabet::Ucs2, class)), ("😀", 0x18));
    }

    proptest! {
        #[test]
        fn any_octets_in_any_coding_are_decoded_or_refused(coding: u8, octets in proptest::collection::vec(any::<u8>(), 0..300), header in 0usize..20) {
            for alphabet in [Gsm7, Gsm7Packed, Latin1, Utf8] {
                let _ = decode(alphabet, coding, Bytes::from(octets.clone()), header);
            }
        }

        #[test]
        fn any_text_survives_its_canonical_form(text in any::<String>()) {
            prop_assert_eq!(Body::from_text(&text).to_text(), Some(text));
        }
    }
}
