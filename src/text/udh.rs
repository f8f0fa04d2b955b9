//! The user data header in front of a text (3GPP TS 23.040 section 9.2.3.24).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Concatenation, TextError};

const CONCATENATION_8: u8 = 0x00;
const CONCATENATION_16: u8 = 0x08;

/// A header taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Octets the header took in front of the text, its length octet included.
    pub length: usize,
    /// The last valid concatenation element.
    pub concatenation: Option<Concatenation>,
    /// The other elements in their order, encoded, without length octet.
    pub elements: Bytes,
}

/// The width of a concatenation's reference number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceWidth {
    Eight,
    Sixteen,
}

impl ReferenceWidth {
    /// Octets of the concatenation element.
    pub fn element_octets(self) -> usize {
        match self {
            ReferenceWidth::Eight => 5,
            ReferenceWidth::Sixteen => 6,
        }
    }
}

/// Takes the header off user data whose `esm_class` has the UDH flag (0x40), and returns it with the text behind it.
///
/// [`TextError::HeaderOverrun`] when the header is longer than the data. Copies nothing unless a concatenation element stands
/// between others.
pub fn split(data: &Bytes) -> Result<(Header, Bytes), TextError> {
    let udhl = usize::from(*data.first().ok_or(TextError::HeaderOverrun)?);
    if data.len() < 1 + udhl {
        return Err(TextError::HeaderOverrun);
    }
    let text = data.slice(1 + udhl..);
    let all = data.slice(1..1 + udhl);
    let mut header = Header { length: 1 + udhl, ..Header::default() };
    let Some(concatenations) = scan(&all, &mut header.concatenation) else {
        return Ok((Header { length: 1 + udhl, ..Header::default() }, text));
    };
    header.elements = match concatenations.as_slice() {
        [] => all,
        [first] if first.start == 0 => all.slice(first.end..),
        [only] if only.end == all.len() => all.slice(..only.start),
        several => without(&all, several),
    };
    Ok((header, text))
}

type Ranges = smallvec::SmallVec<[std::ops::Range<usize>; 2]>;

/// Walks the elements: the ranges of those that concern concatenation, or `None` when one runs past the end.
fn scan(all: &[u8], concatenation: &mut Option<Concatenation>) -> Option<Ranges> {
    let mut ranges = Ranges::new();
    let mut at = 0;
    while at < all.len() {
        let length = usize::from(*all.get(at + 1)?);
        let end = at + 2 + length;
        let data = all.get(at + 2..end)?;
        let element = match (all[at], data) {
            (CONCATENATION_8, &[reference, total, sequence]) => Some((u16::from(reference), total, sequence)),
            (CONCATENATION_16, &[high, low, total, sequence]) => Some((u16::from_be_bytes([high, low]), total, sequence)),
            _ => None,
        };
        if let Some((reference, total, sequence)) = element {
            ranges.push(at..end);
            // A zero or a sequence above the total makes a receiver ignore the element (section 9.2.3.24.1).
            if total != 0 && sequence != 0 && sequence <= total {
                *concatenation = Some(Concatenation { reference, total, sequence });
            }
        }
        at = end;
    }
    Some(ranges)
}

fn without(all: &[u8], holes: &[std::ops::Range<usize>]) -> Bytes {
    let mut kept = BytesMut::with_capacity(all.len());
    let mut at = 0;
    for hole in holes {
        kept.put_slice(&all[at..hole.start]);
        at = hole.end;
    }
    kept.put_slice(&all[at..]);
    kept.freeze()
}

/// Octets a header takes in front of the text, its length octet included; 0 when there is nothing to write.
pub fn header_octets(concatenation: Option<ReferenceWidth>, elements: usize) -> usize {
    match concatenation.map_or(0, ReferenceWidth::element_octets) + elements {
        0 => 0,
        udhl => 1 + udhl,
    }
}

/// Writes a header: its length, the concatenation, then the other elements. Nothing when there is neither.
///
/// Of a reference above 255 in an element of eight bits the low octet is written.
pub fn write(concatenation: Option<(Concatenation, ReferenceWidth)>, elements: &[u8], out: &mut BytesMut) {
    let octets = header_octets(concatenation.map(|(_, width)| width), elements.len());
    if octets == 0 {
        return;
    }
    out.put_u8((octets - 1) as u8);
    if let Some((Concatenation { reference, total, sequence }, width)) = concatenation {
        match width {
            ReferenceWidth::Eight => out.put_slice(&[CONCATENATION_8, 3, reference as u8]),
            ReferenceWidth::Sixteen => {
                out.put_slice(&[CONCATENATION_16, 4]);
                out.put_u16(reference);
            }
        }
        out.put_slice(&[total, sequence]);
    }
    out.put_slice(elements);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(data: &[u8]) -> (Header, Bytes) {
        split(&Bytes::copy_from_slice(data)).unwrap()
    }

    #[test]
    fn concatenation_of_both_widths_is_read() {
        let (header, text) = parsed(b"\x05\x00\x03\x2A\x03\x02hello");
        assert_eq!(header.concatenation, Some(Concatenation { reference: 0x2A, total: 3, sequence: 2 }));
        assert_eq!((header.length, &text[..]), (6, &b"hello"[..]));
        assert!(header.elements.is_empty());
        let (header, _) = parsed(b"\x06\x08\x04\x01\x02\x03\x01");
        assert_eq!(header.concatenation, Some(Concatenation { reference: 0x0102, total: 3, sequence: 1 }));
    }

    #[test]
    fn other_elements_keep_their_order_around_the_concatenation() {
        let (header, _) = parsed(b"\x10\x05\x04\x0B\x84\x23\xF0\x00\x03\x01\x02\x01\x24\x01\x01\x99\x00");
        assert_eq!(&header.elements[..], b"\x05\x04\x0B\x84\x23\xF0\x24\x01\x01\x99\x00");
        assert!(header.concatenation.is_some());
    }

    #[test]
    fn the_last_valid_concatenation_counts() {
        let (header, _) = parsed(b"\x0B\x00\x03\x01\x02\x01\x08\x04\x00\x09\x04\x03");
        assert_eq!(header.concatenation, Some(Concatenation { reference: 9, total: 4, sequence: 3 }));
        assert!(header.elements.is_empty());
    }

    #[test]
    fn zero_totals_and_sequences_above_the_total_are_ignored() {
        for element in [b"\x05\x00\x03\x01\x00\x01", b"\x05\x00\x03\x01\x02\x00", b"\x05\x00\x03\x01\x02\x03"] {
            let (header, _) = parsed(element);
            assert_eq!((header.concatenation, header.elements.len()), (None, 0));
        }
    }

    #[test]
    fn a_header_longer_than_the_text_is_an_invalid_esm_class() {
        let error = split(&Bytes::from_static(b"\x05\x00\x03")).unwrap_err();
        assert_eq!(error.command_status(), 0x43);
        assert!(split(&Bytes::new()).is_err());
    }

    #[test]
    fn an_element_past_the_end_of_the_header_makes_the_header_ignored() {
        let (header, text) = parsed(b"\x03\x00\x09\x01text");
        assert!(header.concatenation.is_none() && header.elements.is_empty());
        assert_eq!(&text[..], b"text");
    }

    proptest! {
        #[test]
        fn any_octets_are_taken_apart_without_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((header, text)) = split(&Bytes::from(data.clone())) {
                prop_assert_eq!(header.length + text.len(), data.len());
            }
        }

        #[test]
        fn what_is_written_is_read_back(reference: u16, total in 1u8.., wide: bool, data in proptest::collection::vec(any::<u8>(), 0..20)) {
            let reference = if wide { reference } else { reference & 0xFF };
            let concatenation = Concatenation { reference, total, sequence: total };
            let width = if wide { ReferenceWidth::Sixteen } else { ReferenceWidth::Eight };
            let mut elements = vec![0x70, data.len() as u8];
            elements.extend_from_slice(&data);
            let mut out = BytesMut::new();
            write(Some((concatenation, width)), &elements, &mut out);
            prop_assert_eq!(out.len(), header_octets(Some(width), elements.len()));
            out.put_slice(b"text");
            let (header, text) = split(&out.freeze()).unwrap();
            prop_assert_eq!(header.concatenation, Some(concatenation));
            prop_assert_eq!(&header.elements[..], &elements[..]);
            prop_assert_eq!(&text[..], b"text");
        }
    }
}
