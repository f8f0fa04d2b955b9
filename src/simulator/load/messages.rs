//! The messages of a load run: one encoded template per destination prefix, in which only digits change.

use bytes::BytesMut;

use crate::message::Address;
use crate::simulator::stamp::{self, STAMPED, TAG_DIGITS};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::decode::data_coding;
use crate::text::{Alphabet, Body};

/// Digits of the counter that completes a destination prefix.
const SUFFIX_DIGITS: usize = 7;

/// Octets that fit in `short_message` (SMPP 3.4 section 5.2.21).
const SHORT_MESSAGE: usize = 254;

/// Writes `submit_sm` bodies for tags.
#[derive(Debug, Clone)]
pub struct Messages {
    templates: Vec<Template>,
    digits: Digits,
}

#[derive(Debug, Clone)]
struct Template {
    body: BytesMut,
    /// Where the changing digits of the destination begin.
    suffix_at: usize,
    /// Where the text begins, to the last octet of its first character.
    text_at: usize,
    /// Octets of a character.
    step: usize,
    has_tag: bool,
    has_stamp: bool,
}

impl Messages {
    /// Messages to numbers that begin with the prefixes, in turn. `text` begins with a place for the tag, see [`tagged`].
    pub fn new(source: &Address, prefixes: &[String], text: &str, receipts: bool) -> Messages {
        let body = Body::from_text(text);
        let octets_per_character = if body.alphabet == Alphabet::Ucs2 { 2 } else { 1 };
        let has_stamp = text.starts_with(&stamp::place());
        let has_tag = has_stamp || text.starts_with(&"0".repeat(TAG_DIGITS));
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
            let text_at = encoded.len() - body.octets.len() + octets_per_character - 1;
            Template { body: encoded, suffix_at, text_at, step: octets_per_character, has_tag, has_stamp }
        };
        Messages { templates: prefixes.iter().map(template).collect(), digits: Digits::default() }
    }

    /// Appends the body of the message with this tag, submitted at `micros` of the machine's clock.
    #[inline]
    pub fn write(&mut self, tag: u64, micros: u64, out: &mut Vec<u8>) {
        let count = self.templates.len() as u64;
        let template = &self.templates[(tag % count) as usize];
        let start = out.len();
        out.extend_from_slice(&template.body);
        let body = &mut out[start..];
        let digits = self.digits.of(tag);
        body[template.suffix_at..][..SUFFIX_DIGITS].copy_from_slice(&digits[TAG_DIGITS - SUFFIX_DIGITS..]);
        let text = &mut body[template.text_at..];
        match (template.has_tag, template.step) {
            (false, _) => {}
            (true, 1) => text[..TAG_DIGITS].copy_from_slice(&digits),
            (true, step) => text.iter_mut().step_by(step).zip(digits).for_each(|(place, digit)| *place = digit),
        }
        if template.has_stamp {
            stamp::write(text, template.step, micros);
        }
    }
}

/// The last ten decimal digits of tags, of which the first eight stay the same for a hundred tags.
#[derive(Debug, Clone, Default)]
struct Digits {
    hundreds: u64,
    /// `None` before the first tag.
    first: Option<[u8; TAG_DIGITS - 2]>,
}

impl Digits {
    #[inline]
    fn of(&mut self, tag: u64) -> [u8; TAG_DIGITS] {
        let hundreds = tag / 100;
        let first = match self.first {
            Some(first) if hundreds == self.hundreds => first,
            _ => {
                let (mut first, mut rest) = ([0; TAG_DIGITS - 2], hundreds);
                for digit in first.iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
                self.hundreds = hundreds;
                *self.first.insert(first)
            }
        };
        let last = (tag % 100) as u8;
        let mut digits = [0; TAG_DIGITS];
        digits[..TAG_DIGITS - 2].copy_from_slice(&first);
        digits[TAG_DIGITS - 2..].copy_from_slice(&[b'0' + last / 10, b'0' + last % 10]);
        digits
    }
}

/// `text` behind the place for a tag.
pub fn tagged(text: &str) -> String {
    format!("{:0TAG_DIGITS$} {text}", 0)
}

/// `text` behind the place for a tag and the moment of its submission, which `smppgw simulate` looks for.
pub fn stamped(text: &str) -> String {
    format!("{} {text}", stamp::place())
}

/// A text of so many characters; it has a tag if there is room for one, and a stamp if it is to have one and there is room.
pub fn of_length(length: usize, stamp: bool) -> String {
    let words = "Hyvaa paivaa, tilauksesi on noudettavissa. ";
    let text = match length {
        0..TAG_DIGITS => String::new(),
        STAMPED.. if stamp => stamped(""),
        _ => tagged(""),
    };
    text.chars().chain(words.chars().cycle()).take(length).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smpp::{Frame, Strictness};

    fn read<R>(messages: &mut Messages, tag: u64, look: impl FnOnce(MessageView<'_>) -> R) -> R {
        let mut pdu = BytesMut::new();
        let mut body = Vec::new();
        messages.write(tag, 0xABC, &mut body);
        encode::request(&mut pdu, CommandId::SubmitSm, 1, |out| out.extend_from_slice(&body));
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
        read(&mut messages(&of_length(600, false)), 9, |message| {
            assert!(message.short_message.is_empty());
            let payload = message.tlvs.message_payload().expect("a payload");
            assert_eq!((payload.len(), &payload[..11]), (600, b"0000000009 ".as_slice()));
        });
    }

    #[test]
    fn a_text_too_short_for_a_tag_has_none() {
        assert_eq!(of_length(3, false), "Hyv");
        read(&mut messages(&of_length(3, false)), 9, |message| assert_eq!(message.short_message, b"Hyv"));
    }

    #[test]
    fn twenty_characters_have_room_for_tag_and_stamp() {
        let text = of_length(20, true);
        assert_eq!(text.len(), 20);
        read(&mut messages(&text), 9, |message| {
            assert_eq!(message.short_message, b"0000000009T00000abc ");
            assert_eq!(stamp::age(message.short_message, 0xABD), Some(1));
        });
        read(&mut messages(&stamped("Привет")), 9, |message| assert_eq!(stamp::age(message.short_message, 0xABD), Some(1)));
    }

    proptest! {
        #[test]
        fn tags_are_written_in_any_order(tags in prop::collection::vec(prop_oneof![0u64..3, 95u64..105, 999_999_995u64..20_000_000_000], 1..50)) {
            let mut digits = Digits::default();
            for number in tags.into_iter().flat_map(|number| [number, number + 1, number + 2]) {
                let expected = format!("{:010}", number % 10_000_000_000);
                prop_assert_eq!(digits.of(number).to_vec(), expected.into_bytes());
            }
        }
    }
}
