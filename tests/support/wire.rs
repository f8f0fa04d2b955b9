//! What an operator was sent, read without the gateway's own code: 3GPP TS 23.038 and 23.040 once more, as a test sees them.

use std::collections::BTreeMap;

use serde_json::Value;
use smppgw::simulator::Record;

/// The GSM 7-bit default alphabet (3GPP TS 23.038 section 6.2.1).
const DEFAULT_ALPHABET: &str = concat!(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1B}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
);

/// Its extension table (section 6.2.1.1).
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

const ESCAPE: u8 = 0x1B;
const UCS2: u8 = 0x08;
const UDH_INDICATOR: u8 = 0x40;
const SAR_MSG_REF_NUM: u16 = 0x020C;
const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
const MESSAGE_PAYLOAD: u16 = 0x0424;

/// A submit_sm that came to an operator.
#[derive(Debug, Clone)]
pub struct Part {
    pub source: (u8, u8, String),
    pub to: String,
    pub esm_class: u8,
    pub registered_delivery: u8,
    pub data_coding: u8,
    /// `short_message` or `message_payload`.
    pub octets: Vec<u8>,
    pub in_payload: bool,
    /// Reference, total, sequence of the `sar_*` TLVs.
    pub sar: Option<Concatenation>,
    /// TLVs of any kind.
    pub tlvs: usize,
}

/// Which part of which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concatenation {
    pub reference: u16,
    pub total: u8,
    pub sequence: u8,
}

/// All parts of the message to one destination, in order, and what a handset would show.
#[derive(Debug)]
pub struct Message {
    pub parts: Vec<Part>,
    pub text: String,
}

impl Part {
    /// From the line that node/server.js writes for a submit_sm.
    pub fn of_node(event: &Value) -> Part {
        let number =
            |name: &str| u8::try_from(event[name].as_u64().unwrap_or_else(|| panic!("{name} in {event}"))).expect("an octet");
        let tlvs = event["tlvs"].as_object().expect("TLVs");
        let payload = tlvs.get("message_payload").map(|value| hex(value.as_str().expect("hex")));
        let sar = |name: &str| tlvs.get(name).and_then(Value::as_u64);
        Part {
            source: (number("source_ton"), number("source_npi"), event["source"].as_str().expect("a source").to_owned()),
            to: event["dest"].as_str().expect("a destination").to_owned(),
            esm_class: number("esm_class"),
            registered_delivery: number("registered_delivery"),
            data_coding: number("data_coding"),
            in_payload: payload.is_some(),
            octets: payload.unwrap_or_else(|| hex(event["short_message"].as_str().expect("hex"))),
            sar: sar("sar_msg_ref_num").map(|reference| Concatenation {
                reference: u16::try_from(reference).expect("16 bits"),
                total: sar("sar_total_segments").and_then(|total| u8::try_from(total).ok()).expect("sar_total_segments"),
                sequence: sar("sar_segment_seqnum").and_then(|at| u8::try_from(at).ok()).expect("sar_segment_seqnum"),
            }),
            tlvs: tlvs.len(),
        }
    }

    /// From what the gateway's own simulator kept.
    pub fn of_record(record: &Record) -> Part {
        let mut part = Part {
            source: (record.source.ton, record.source.npi, String::from_utf8_lossy(&record.source.digits).into_owned()),
            to: String::from_utf8_lossy(&record.destination.digits).into_owned(),
            esm_class: record.esm_class,
            registered_delivery: record.registered_delivery,
            data_coding: record.data_coding,
            octets: record.text.clone(),
            in_payload: false,
            sar: None,
            tlvs: 0,
        };
        let mut sar = BTreeMap::new();
        let mut rest = record.tlvs.as_slice();
        while let [t1, t2, l1, l2, more @ ..] = rest {
            let (value, after) = more.split_at(usize::from(u16::from_be_bytes([*l1, *l2])));
            let tag = u16::from_be_bytes([*t1, *t2]);
            part.in_payload |= tag == MESSAGE_PAYLOAD;
            sar.insert(tag, value.iter().fold(0, |number, octet| number << 8 | u16::from(*octet)));
            part.tlvs += 1;
            rest = after;
        }
        part.sar = sar.get(&SAR_MSG_REF_NUM).map(|reference| Concatenation {
            reference: *reference,
            total: u8::try_from(sar[&SAR_TOTAL_SEGMENTS]).expect("an octet"),
            sequence: u8::try_from(sar[&SAR_SEGMENT_SEQNUM]).expect("an octet"),
        });
        part
    }

    /// The user data header with its length octet (3GPP TS 23.040 section 9.2.3.24), empty when there is none, and the text.
    pub fn split(&self) -> (&[u8], &[u8]) {
        if self.esm_class & UDH_INDICATOR == 0 {
            return (&[], &self.octets);
        }
        self.octets.split_at(1 + usize::from(self.octets[0]))
    }

    pub fn concatenation(&self) -> Option<Concatenation> {
        match *self.split().0 {
            [] => self.sar,
            [5, 0x00, 3, reference, total, sequence] => Some(Concatenation { reference: reference.into(), total, sequence }),
            [6, 0x08, 4, high, low, total, sequence] => {
                Some(Concatenation { reference: u16::from_be_bytes([high, low]), total, sequence })
            }
            ref other => panic!("the user data header {other:02x?} is no concatenation"),
        }
    }

    /// What this part alone shows: it never ends in the middle of a character.
    pub fn text(&self) -> String {
        let text = self.split().1;
        match self.data_coding {
            0 => gsm7(text),
            UCS2 => utf16(text),
            other => panic!("data_coding {other:#04x}"),
        }
    }

    /// Fails unless this fits into one short message of 140 octets; a part without header leaves room for the one its operator adds.
    pub fn assert_fits(&self) {
        let (header, text) = self.split();
        let header = if self.sar.is_some() { 6 } else { header.len() };
        match self.data_coding {
            UCS2 => assert!(header + text.len() <= 140, "{header} + {} octets", text.len()),
            _ => assert!((header * 8).div_ceil(7) + text.len() <= 160, "{header} octets + {} septets", text.len()),
        }
    }
}

/// The messages by destination; each test sends one text per destination.
pub fn messages(parts: &[Part]) -> BTreeMap<String, Message> {
    let mut by_destination: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for part in parts {
        by_destination.entry(part.to.clone()).or_default().push(part.clone());
    }
    by_destination.into_iter().map(|(to, parts)| (to, message(parts))).collect()
}

fn message(mut parts: Vec<Part>) -> Message {
    parts.sort_by_key(|part| part.concatenation().map(|concatenation| concatenation.sequence));
    let numbers: Vec<_> = parts.iter().map(Part::concatenation).collect();
    match numbers[..] {
        [None] => {}
        [Some(first), ..] => {
            let total = u8::try_from(parts.len()).expect("few parts");
            let wanted: Vec<_> =
                (1..=total).map(|sequence| Some(Concatenation { reference: first.reference, total, sequence })).collect();
            assert_eq!(numbers, wanted, "parts of one message to {}", parts[0].to);
        }
        _ => panic!("several submit_sm that are no parts of one message to {}: {numbers:?}", parts[0].to),
    }
    let text = parts.iter().map(Part::text).collect();
    Message { parts, text }
}

fn gsm7(octets: &[u8]) -> String {
    let mut text = String::new();
    let mut octets = octets.iter();
    while let Some(&octet) = octets.next() {
        text.push(if octet == ESCAPE {
            let code = octets.next().expect("an escape is followed by its character");
            EXTENSION.iter().find(|(known, _)| known == code).map(|(_, char)| *char).expect("a character of the extension table")
        } else {
            DEFAULT_ALPHABET.chars().nth(octet.into()).expect("a septet")
        });
    }
    text
}

fn utf16(octets: &[u8]) -> String {
    assert!(octets.len().is_multiple_of(2), "half a character at the end");
    let units: Vec<u16> = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).expect("whole surrogate pairs")
}

pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "hex: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}
