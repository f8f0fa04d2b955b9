use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const OWN: Concatenation = Concatenation { reference: 0x0107, total: 3, sequence: 2 };

fn content(body: &Body) -> Content<'_> {
    Content { body, elements: b"", own: None, reference: 0x1234, dcs_class: 0 }
}

fn carrier(alphabet: DefaultAlphabet, long_messages: LongMessages) -> Carrier {
    Carrier { alphabet, long_messages }
}

fn written(content: Content<'_>, carrier: Carrier) -> Vec<(PartFields, Bytes)> {
    let outgoing = Outgoing::new(content, carrier).unwrap();
    let part = |index| {
        let mut out = BytesMut::new();
        let fields = outgoing.write(index, &mut out);
        (fields, out.freeze())
    };
    (0..outgoing.count()).map(part).collect()
}

#[test]
fn a_single_part_has_no_header_and_no_concatenation() {
    for long in [LongMessages::Udh8, LongMessages::Udh16, LongMessages::Sar, LongMessages::Payload] {
        let body = Body::from_text("Hei €");
        let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7, long));
        let fields = PartFields { esm_class: 0, data_coding: 0, sar: None, payload: false };
        assert_eq!(parts, [(fields, Bytes::from_static(b"Hei \x1B\x65"))]);
    }
}

#[test]
fn parts_carry_a_header_of_the_configured_width() {
    let body = Body::from_text(&"a".repeat(200));
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7, LongMessages::Udh8));
    assert_eq!((parts[0].0.esm_class, &parts[0].1[..6], parts[0].1.len()), (ESM_UDH, &b"\x05\x00\x03\x34\x02\x01"[..], 159));
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7, LongMessages::Udh16));
    assert_eq!((&parts[1].1[..7], parts[1].1.len()), (&b"\x06\x08\x04\x12\x34\x02\x02"[..], 7 + 48));
}

#[test]
fn sar_values_stand_instead_of_a_header() {
    let body = Body::from_text(&"a".repeat(200));
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7, LongMessages::Sar));
    assert_eq!((parts[1].0.esm_class, parts[1].1.len()), (0, 47));
    assert_eq!(parts[1].0.sar, Some(Concatenation { reference: 0x1234, total: 2, sequence: 2 }));
}

#[test]
fn sar_gives_way_to_a_header_when_there_are_other_elements() {
    let body = Body::from_text(&"a".repeat(200));
    let ports = Content { elements: b"\x05\x04\x0B\x84\x23\xF0", ..content(&body) };
    let parts = written(ports, carrier(DefaultAlphabet::Gsm7, LongMessages::Sar));
    assert_eq!((parts[0].0.sar, parts[0].0.esm_class), (None, ESM_UDH));
    assert_eq!(&parts[0].1[..12], b"\x0B\x00\x03\x34\x02\x01\x05\x04\x0B\x84\x23\xF0");
}

#[test]
fn a_whole_text_goes_into_the_payload_only_when_it_is_long() {
    let body = Body::from_text(&"š".repeat(71));
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7, LongMessages::Payload));
    assert_eq!(parts.len(), 1);
    assert!(parts[0].0.payload && parts[0].1.len() == 142 && parts[0].0.data_coding == 8);
}

#[test]
fn packed_parts_fill_140_octets_with_a_fill_bit_after_the_header() {
    let text = "a".repeat(200);
    let body = Body::from_text(&text);
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7Packed, LongMessages::Udh8));
    assert_eq!(parts[0].1.len(), 140);
    let septets: Vec<u8> = parts.iter().flat_map(|(_, octets)| gsm7::unpack(&octets[6..], gsm7::fill_bits(6))).collect();
    assert_eq!(gsm7::decode(&septets), text);
}

#[test]
fn latin1_operators_get_latin1_and_ucs2_when_a_character_is_missing_there() {
    let latin1 = carrier(DefaultAlphabet::Latin1, LongMessages::Udh8);
    let body = Body::from_text("åäö [x]");
    let parts = written(content(&body), latin1);
    assert_eq!((&parts[0].1[..], parts[0].0.data_coding), (&b"\xE5\xE4\xF6 [x]"[..], 0));
    let body = Body::from_text(&"5 € ".repeat(20));
    let parts = written(content(&body), latin1);
    assert_eq!((parts.len(), parts[0].0.data_coding, parts[0].1.len()), (2, 8, 140));
}

#[test]
fn septets_are_counted_even_when_the_operator_takes_utf8() {
    let body = Body::from_text(&"ä".repeat(161));
    let parts = written(content(&body), carrier(DefaultAlphabet::Utf8, LongMessages::Udh8));
    assert_eq!((parts.len(), parts[0].1.len()), (2, 6 + 153 * 2));
    assert!(parts[0].0.payload && !parts[1].0.payload, "312 octets do not fit in short_message");
}

#[test]
fn a_concatenation_of_the_application_goes_through_in_the_operators_way() {
    let body = Body::from_text("part");
    let own = Content { own: Some(OWN), ..content(&body) };
    let parts = |long| written(own, carrier(DefaultAlphabet::Gsm7, long)).remove(0);
    assert_eq!(&parts(LongMessages::Udh8).1[..], b"\x05\x00\x03\x07\x03\x02part");
    assert_eq!(&parts(LongMessages::Udh16).1[..], b"\x06\x08\x04\x01\x07\x03\x02part");
    assert_eq!(parts(LongMessages::Sar).0.sar, Some(OWN));
    assert!(!parts(LongMessages::Payload).0.payload);
}

#[test]
fn flash_and_binary_keep_their_data_coding() {
    let body = Body::from_text("flash");
    let flash = Content { dcs_class: 0xF0, ..content(&body) };
    assert_eq!(written(flash, Carrier::default())[0].0.data_coding, 0xF0);
    let body = Body { alphabet: Alphabet::Octets, octets: Bytes::from_static(b"\xFF\x00") };
    let parts = written(content(&body), carrier(DefaultAlphabet::Gsm7Packed, LongMessages::Udh8));
    assert_eq!((parts[0].0.data_coding, &parts[0].1[..]), (4, &b"\xFF\x00"[..]));
}

proptest! {
    #[test]
    fn what_is_written_for_any_peer_reads_back_as_the_same_text(
        text in "[a-zåäö@€\\[\\]😀š]{0,400}|[a-zåäö€\\[\\]ΔΩ]{0,600}[a-z]",
        alphabet in prop_oneof![
            Just(DefaultAlphabet::Gsm7), Just(DefaultAlphabet::Gsm7Packed), Just(DefaultAlphabet::Latin1), Just(DefaultAlphabet::Utf8)
        ],
        long in prop_oneof![
            Just(LongMessages::Udh8), Just(LongMessages::Udh16), Just(LongMessages::Sar), Just(LongMessages::Payload)
        ],
    ) {
        // A packed part whose last septet is '@' may be taken for padding by any reader; see gsm7::unpack.
        let text = if alphabet == DefaultAlphabet::Gsm7Packed { text.replace('@', "a") } else { text };
        let body = Body::from_text(&text);
        let parts = written(content(&body), carrier(alphabet, long));
        let total = parts.len();
        let mut joined = String::new();
        for (index, (fields, octets)) in parts.into_iter().enumerate() {
            prop_assert!(fields.payload || octets.len() <= LONGEST_SHORT_MESSAGE);
            let (header, octets) = if fields.esm_class == ESM_UDH {
                udh::split(&octets).unwrap()
            } else {
                (udh::Header::default(), octets)
            };
            let concatenation = header.concatenation.or(fields.sar).map(|c| (usize::from(c.total), usize::from(c.sequence)));
            prop_assert_eq!(concatenation, (total > 1).then_some((total, index + 1)));
            let (read, class) = decode::decode(alphabet, fields.data_coding, octets, header.length).unwrap();
            prop_assert_eq!(class, 0);
            joined += &read.to_text().unwrap();
        }
        prop_assert_eq!(joined, text);
    }
}
