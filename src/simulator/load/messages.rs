//! The messages of a load run: one encoded template per destination prefix, in which only digits change.

use bytes::BytesMut;

use crate::message::Address;
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::decode::data_coding;
use crate::text::{Alphabet, Body};

/// Digits of the tag every text begins with.
pub const TAG_DIGITS: usize = 10;

/// Digits of the counter that completes a destination prefix.
const SUFFIX_DIGITS: usize = 7;

/// Octets that fit in `short_message` (SMPP 3.4 section 5.2.21).
const SHORT_MESSAGE: usize = 254;

/// Writes `submit_sm` bodies for tags.
#[derive(Debug, Clone)]
pub struct Messages {
    templates: Vec<Template>,
}

#[derive(Debug, Clone)]
struct Template {
    body: BytesMut,
    /// Where the changing digits of the destination begin.
    suffix_at: usize,
    /// Where the tag begins in the text, and how many octets a character has; `None` for texts shorter than a tag.
    tag: Option<(usize, usize)>,
}

impl Messages {
    /// Messages to numbers that begin with the prefixes, in turn. `text` begins with a place for the tag, see [`tagged`].
    pub fn new(source: &Address, prefixes: &[String], text: &str, receipts: bool) -> Messages {
        let body = Body::from_text(text);
        let octets_per_character = if body.alphabet == Alphabet::Ucs2 { 2 } else { 1 };
        let has_tag = text.starts_with(&"0".repeat(TAG_DIGITS));
        let mut payload = BytesMut::new();
        if body.octets.len() > SHORT_MESSAGE {
            tlv::put(&mut payload, TlvTag::MessagePayload, &body.octets);
        }
        let template = |prefix: &String| {
            let destination = Address::new(1, 1, format!("{prefix}{:0SUFFIX_DIGITS$}", 0).as_bytes());
            let view = MessageView {
                source: AddressView::from(source),
                destination: AddressView::from(&destination),
                registered_delivery: u8::from(receipts),
                data_coding: data_coding(body.alphabet, 0),
                short_message: if payload.is_empty() { &body.octets } else { &[] },
                tlvs: Tlvs::encoded(&payload),
                ..MessageView::default()
            };
            let mut encoded = BytesMut::new();
            encode::message_body(&mut encoded, CommandId::SubmitSm, &view);
            // service_type, the source with its three other octets, TON and NPI of the destination, its prefix.
            let suffix_at = 1 + (source.digits.len() + 3) + 2 + prefix.len();
            // Short or long, the text is the last thing in the body; its digits end with the characters' last octets.
            let text_at = encoded.len() - body.octets.len();
            let tag = has_tag.then_some((text_at + octets_per_character - 1, octets_per_character));
            Template { body: encoded, suffix_at, tag }
        };
        Messages { templates: prefixes.iter().map(template).collect() }
    }

    /// The body of the message with this tag.
    pub fn body(&mut self, tag: u64) -> &[u8] {
        let count = self.templates.len() as u64;
        let template = &mut self.templates[(tag % count) as usize];
        put_digits(&mut template.body[template.suffix_at..], tag, SUFFIX_DIGITS, 1);
        if let Some((at, step)) = template.tag {
            put_digits(&mut template.body[at..], tag, TAG_DIGITS, step);
        }
        &template.body
    }
}

/// Writes the last `digits` decimal digits of `number`, `step` octets apart.
fn put_digits(place: &mut [u8], mut number: u64, digits: usize, step: usize) {
    for position in (0..digits).rev() {
        place[position * step] = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `text` behind the place for a tag.
pub fn tagged(text: &str) -> String {
    format!("{:0TAG_DIGITS$} {text}", 0)
}

/// A text of so many characters; it has a tag if there is room for one.
pub fn of_length(length: usize) -> String {
    let words = "Hyvaa paivaa, tilauksesi on noudettavissa. ";
    let text = if length < TAG_DIGITS { String::new() } else { tagged("") };
    text.chars().chain(words.chars().cycle()).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::{Frame, Strictness};

    fn read<R>(messages: &mut Messages, tag: u64, look: impl FnOnce(MessageView<'_>) -> R) -> R {
        let mut pdu = BytesMut::new();
        encode::request(&mut pdu, CommandId::SubmitSm, 1, |out| out.extend_from_slice(messages.body(tag)));
        let frame = Frame::new(pdu.freeze()).expect("a whole PDU");
        look(MessageView::parse(&frame, Strictness::Strict).expect("a valid submit_sm"))
    }

    fn messages(text: &str) -> Messages {
        let prefixes = ["35840".to_owned(), "35850".to_owned()];
        Messages::new(&Address::new(5, 0, b"SHOP"), &prefixes, text, true)
    }

    #[test]
    fn every_message_has_its_own_destination_and_tag() {
        let mut messages = messages(&tagged("Moi"));
        for (tag, destination, text) in [(4, "358400000004", "0000000004 Moi"), (12_345_679, "358502345679", "0012345679 Moi")] {
            read(&mut messages, tag, |message| {
                assert_eq!(message.destination.digits, destination.as_bytes());
                assert_eq!(message.short_message, text.as_bytes());
                assert_eq!(message.registered_delivery, 1);
            });
        }
    }

    #[test]
    fn a_text_outside_the_gsm_alphabet_carries_its_tag_in_two_octets_a_digit() {
        read(&mut messages(&tagged("Привет")), 77, |message| {
            assert_eq!(message.data_coding, 8);
            assert!(message.short_message.starts_with(b"\x000\x000\x000\x000\x000\x000\x000\x000\x007\x007\x00 "));
        });
    }

    #[test]
    fn a_long_text_travels_whole_as_payload() {
        read(&mut messages(&of_length(600)), 9, |message| {
            assert!(message.short_message.is_empty());
            let payload = message.tlvs.message_payload().expect("a payload");
            assert_eq!((payload.len(), &payload[..11]), (600, b"0000000009 ".as_slice()));
        });
    }

    #[test]
    fn a_text_too_short_for_a_tag_has_none() {
        assert_eq!(of_length(3), "Hyv");
        read(&mut messages(&of_length(3)), 9, |message| assert_eq!(message.short_message, b"Hyv"));
    }
}
