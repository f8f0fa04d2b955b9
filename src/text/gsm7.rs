//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 section 6.2.1), packed and unpacked.
//!
//! Unpacked means one septet per octet; packed means eight septets in seven octets, least significant bit first.

use bytes::BufMut;

/// The septet that opens a two-septet character of the extension table.
pub const ESCAPE: u8 = 0x1B;

/// Fills seven spare bits at the end of packed text, as USSD does (3GPP TS 23.038 section 6.1.2.3.1).
const CARRIAGE_RETURN: u8 = 0x0D;

/// The default table by septet. 0x09 is the capital Ç: the mapping file of the Unicode consortium says small ç, handsets do not.
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table below U+0100; the euro sign is beside it in [`code`] and [`extended`].
const EXTENSION: [(u8, char); 9] =
    [(0x0A, '\u{0C}'), (0x14, '^'), (0x28, '{'), (0x29, '}'), (0x2F, '\\'), (0x3C, '['), (0x3D, '~'), (0x3E, ']'), (0x40, '|')];

const EURO: u8 = 0x65;
const NONE: u16 = u16::MAX;

/// What encodes a character below U+0100: a septet, `ESCAPE << 8 | septet`, or [`NONE`].
const LATIN: [u16; 256] = {
    let mut table = [NONE; 256];
    let mut septet = 0;
    while septet < 128 {
        let c = DEFAULT[septet] as usize;
        if c < 256 && septet != ESCAPE as usize {
            table[c] = septet as u16;
        }
        septet += 1;
    }
    let mut i = 0;
    while i < EXTENSION.len() {
        table[EXTENSION[i].1 as usize] = (ESCAPE as u16) << 8 | EXTENSION[i].0 as u16;
        i += 1;
    }
    table
};

/// The code of a character: a septet, or an escape in the high octet and a septet in the low one.
fn code(c: char) -> Option<u16> {
    if let Some(&code) = LATIN.get(c as usize) {
        return (code != NONE).then_some(code);
    }
    Some(match c {
        '€' => u16::from(ESCAPE) << 8 | u16::from(EURO),
        'Δ' => 0x10,
        'Φ' => 0x12,
        'Γ' => 0x13,
        'Λ' => 0x14,
        'Ω' => 0x15,
        'Π' => 0x16,
        'Ψ' => 0x17,
        'Σ' => 0x18,
        'Θ' => 0x19,
        'Ξ' => 0x1A,
        _ => return None,
    })
}

/// How many septets the character costs; `None` when the alphabet lacks it.
pub fn septets_of(c: char) -> Option<usize> {
    code(c).map(|code| if code > 0xFF { 2 } else { 1 })
}

/// The text as septets, one per octet; `None` when a character is not in the alphabet.
pub fn encode(text: &str) -> Option<Vec<u8>> {
    encode_chars(text.chars(), text.len())
}

/// As [`encode`], from any source of characters; `expected` is a guess of the length in septets.
pub fn encode_chars(chars: impl Iterator<Item = char>, expected: usize) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(expected);
    for c in chars {
        let [high, low] = code(c)?.to_be_bytes();
        if high != 0 {
            septets.push(high);
        }
        septets.push(low);
    }
    Some(septets)
}

/// Is every octet a septet?
pub fn is_valid(octets: &[u8]) -> bool {
    octets.is_ascii()
}

/// The characters of unpacked septets. An escape that ends the text or is doubled reads as a space, an unknown extension as
/// the default table's character (3GPP TS 23.038 section 6.2.1.1). Bit 7 is not looked at.
pub fn chars(septets: &[u8]) -> impl Iterator<Item = char> + '_ {
    let mut rest = septets.iter();
    std::iter::from_fn(move || {
        let septet = rest.next()? & 0x7F;
        if septet != ESCAPE {
            return Some(DEFAULT[usize::from(septet)]);
        }
        Some(rest.next().map_or(' ', |&second| extended(second & 0x7F)))
    })
}

fn extended(septet: u8) -> char {
    if septet == EURO {
        return '€';
    }
    // The default table has a space at the escape's own place, which is also what a doubled escape reads as.
    EXTENSION.iter().find(|(code, _)| *code == septet).map_or(DEFAULT[usize::from(septet)], |&(_, c)| c)
}

/// The text of unpacked septets; see [`chars`].
pub fn decode(septets: &[u8]) -> String {
    chars(septets).collect()
}

/// How many zero bits follow a header of so many octets (its length octet included), so that text starts on a septet
/// (3GPP TS 23.040 section 9.2.3.24).
pub fn fill_bits(header_octets: usize) -> u32 {
    ((7 - (header_octets * 8) % 7) % 7) as u32
}

/// Packs septets, after `fill` zero bits (below 7).
///
/// SMPP counts octets, so seven spare bits at the end would read as one more septet: `@` if they were zero. They become a
/// carriage return, which is not visible.
pub fn pack(septets: &[u8], fill: u32, out: &mut impl BufMut) {
    if septets.is_empty() {
        return;
    }
    let mut bits = 0u32;
    let mut held = fill;
    for &septet in septets {
        bits |= u32::from(septet & 0x7F) << held;
        held += 7;
        if held >= 8 {
            out.put_u8(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held == 1 {
        bits |= u32::from(CARRIAGE_RETURN) << 1;
    }
    if held > 0 {
        out.put_u8(bits as u8);
    }
}

/// Unpacks all septets the octets have room for, after `fill` bits (below 7).
///
/// A last septet that fills the octets exactly and is `@` or a carriage return is taken for padding and dropped: a text of that
/// very length that ends in `@` is rarer than one with seven spare bits.
pub fn unpack(octets: &[u8], fill: u32) -> Vec<u8> {
    let available = (octets.len() * 8).saturating_sub(fill as usize);
    let count = available / 7;
    let mut septets = Vec::with_capacity(count);
    let mut bits = 0u32;
    let mut held = 0u32;
    let mut skip = fill;
    for &octet in octets {
        bits |= u32::from(octet) << held;
        held += 8;
        if skip > 0 {
            bits >>= skip;
            held -= skip;
            skip = 0;
        }
        while held >= 7 && septets.len() < count {
            septets.push((bits & 0x7F) as u8);
            bits >>= 7;
            held -= 7;
        }
    }
    if available.is_multiple_of(7) && matches!(septets.last(), Some(0 | &CARRIAGE_RETURN)) {
        septets.pop();
    }
    septets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        pack(&encode(text).unwrap(), 0, &mut out);
        out
    }

    #[test]
    fn nordic_letters_cost_one_septet_and_extension_characters_two() {
        assert_eq!(encode("åäöÅÄÖ").unwrap(), [0x0F, 0x7B, 0x7C, 0x0E, 0x5B, 0x5C]);
        assert_eq!(encode("€[]{}~^\\|\u{0C}").unwrap().len(), 20);
        assert_eq!(encode("€").unwrap(), [0x1B, 0x65]);
        assert_eq!(septets_of('@'), Some(1));
        assert_eq!(septets_of('€'), Some(2));
    }

    #[test]
    fn capital_c_cedilla_is_0x09_and_the_small_one_is_absent() {
        assert_eq!(encode("Ç").unwrap(), [0x09]);
        assert_eq!(encode("ç"), None);
    }

    #[test]
    fn what_the_alphabet_lacks_is_not_replaced() {
        for text in ["`", "\t", "š", "ž", "’", "–", "…", "\u{A0}", "😀", "\u{1B}", "\u{7F}"] {
            assert_eq!(encode(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_septet_but_the_escape_round_trips() {
        for septet in (0..128u8).filter(|s| *s != ESCAPE) {
            assert_eq!(encode(&decode(&[septet])).unwrap(), [septet]);
        }
    }

    #[test]
    fn lone_and_doubled_escapes_read_as_a_space_and_unknown_extensions_as_the_default_character() {
        assert_eq!(decode(&[b'a', ESCAPE]), "a ");
        assert_eq!(decode(&[b'a', ESCAPE, ESCAPE, b'b']), "a b");
        assert_eq!(decode(&[ESCAPE, b'a']), "a");
        assert_eq!(decode(&[ESCAPE, 0x65]), "€");
    }

    #[test]
    fn packing_follows_the_well_known_example() {
        assert_eq!(packed("hellohello"), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
    }

    #[test]
    fn seven_spare_bits_do_not_read_as_a_trailing_at_sign() {
        assert_eq!(decode(&unpack(&packed("1234567"), 0)), "1234567");
        let zero_padded = [0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x00];
        assert_eq!(decode(&unpack(&zero_padded, 0)), "1234567");
        assert_eq!(decode(&unpack(&packed("12345678"), 0)), "12345678");
    }

    #[test]
    fn a_header_of_six_octets_needs_one_fill_bit_and_one_of_seven_none() {
        assert_eq!((fill_bits(0), fill_bits(6), fill_bits(7), fill_bits(4)), (0, 1, 0, 3));
    }

    proptest! {
        #[test]
        fn text_in_the_alphabet_round_trips(septets in proptest::collection::vec(0u8..128, 0..400)) {
            let text = decode(&septets);
            prop_assert_eq!(decode(&encode(&text).unwrap()), text);
        }

        #[test]
        fn packing_round_trips_with_any_fill(septets in proptest::collection::vec(1u8..128, 1..400), fill in 0u32..7) {
            let septets: Vec<u8> = septets.into_iter().map(|s| if s == CARRIAGE_RETURN { b'a' } else { s }).collect();
            let mut out = Vec::new();
            pack(&septets, fill, &mut out);
            prop_assert_eq!(out.len(), (septets.len() * 7 + fill as usize).div_ceil(8));
            prop_assert_eq!(unpack(&out, fill), septets);
        }

        #[test]
        fn any_octets_decode_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), fill in 0u32..7) {
            decode(&octets);
            unpack(&octets, fill);
        }
    }
}
