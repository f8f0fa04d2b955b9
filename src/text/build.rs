//! From a message to what each of its parts puts into a `submit_sm` (or `deliver_sm`) for one peer.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use super::plan::{self, Parts};
use super::udh;
use super::{Alphabet, Body, Concatenation, DefaultAlphabet, LongMessages, TextError, decode, gsm7, ucs2};
use crate::message::Message;

/// `esm_class` bit 6: the text starts with a user data header (SMPP 5.0 section 4.7.12).
pub const ESM_UDH: u8 = 0x40;

/// What `short_message` holds at most in SMPP 3.4; more travels in `message_payload`.
pub const LONGEST_SHORT_MESSAGE: usize = 254;

/// How a peer takes texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carrier {
    pub alphabet: DefaultAlphabet,
    pub long_messages: LongMessages,
}

/// What a message says, whoever carries it.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    pub body: &'a Body,
    /// User data header elements other than concatenation, without length octet.
    pub elements: &'a [u8],
    /// Set when the application split the text itself.
    pub own: Option<Concatenation>,
    /// The reference for our own concatenation; with an 8-bit header its low octet is used.
    pub reference: u16,
    /// As kept by [`decode::decode`].
    pub dcs_class: u8,
}

impl<'a> Content<'a> {
    pub fn of(message: &'a Message) -> Content<'a> {
        Content {
            body: &message.body,
            elements: &message.udh,
            own: message.concatenation,
            reference: message.reference,
            dcs_class: message.dcs_class,
        }
    }
}

/// The fields that go with the octets of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartFields {
    /// [`ESM_UDH`] or 0, to be set in `esm_class`.
    pub esm_class: u8,
    pub data_coding: u8,
    /// The values of the three `sar_` TLVs.
    pub sar: Option<Concatenation>,
    /// The octets go into `message_payload`, and `short_message` stays empty.
    pub payload: bool,
}

/// A message cut and coded for one peer.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    content: Content<'a>,
    body: Cow<'a, Body>,
    carrier: Carrier,
    parts: Parts,
}

impl<'a> Outgoing<'a> {
    /// Plans the parts. The same content and carrier always give the same parts, so that they need not be stored.
    pub fn new(content: Content<'a>, mut carrier: Carrier) -> Result<Outgoing<'a>, TextError> {
        // SAR TLVs may not accompany a user data header (SMPP 5.0 section 4.7.12), so the header carries it all.
        if carrier.long_messages == LongMessages::Sar && !content.elements.is_empty() {
            carrier.long_messages = LongMessages::Udh8;
        }
        let body = carriable(content.body, carrier.alphabet);
        let parts = plan::plan(&body, content.elements.len(), content.own, carrier.long_messages)?;
        let outgoing = Outgoing { content, body, carrier, parts };
        if outgoing.outgrows_a_tlv() { Err(TextError::TooManyParts) } else { Ok(outgoing) }
    }

    /// UTF-8 takes up to two octets for what is one septet: does a text that goes whole not fit into its TLV any more?
    fn outgrows_a_tlv(&self) -> bool {
        let whole = self.carrier.long_messages == LongMessages::Payload;
        let grows = self.body.alphabet == Alphabet::Gsm7 && self.carrier.alphabet == DefaultAlphabet::Utf8;
        let (septets, room) = (&self.body.octets, plan::LONGEST_PAYLOAD - udh::header_octets(None, self.content.elements.len()));
        whole && grows && 2 * septets.len() > room && gsm7::chars(septets).map(char::len_utf8).sum::<usize>() > room
    }

    /// How many submissions it takes.
    pub fn count(&self) -> usize {
        self.parts.count()
    }

    /// Appends header and text of the part at `index` (from 0) and returns the fields that go with them.
    pub fn write(&self, index: usize, out: &mut BytesMut) -> PartFields {
        let before = out.len();
        let concatenation = self.concatenation(index);
        let by_sar = self.carrier.long_messages == LongMessages::Sar;
        let in_header = concatenation
            .filter(|_| !by_sar)
            .map(|concatenation| (concatenation, plan::reference_width(self.carrier.long_messages, self.content.own)));
        udh::write(in_header, self.content.elements, out);
        let header = out.len() - before;
        let range = self.parts.range(index);
        let whole_text = range.len() > plan::room(self.body.alphabet, header);
        self.write_text(&self.body.octets[range], header, out);
        PartFields {
            esm_class: if header > 0 { ESM_UDH } else { 0 },
            data_coding: decode::data_coding(self.body.alphabet, self.content.dcs_class),
            sar: concatenation.filter(|_| by_sar),
            payload: whole_text || out.len() - before > LONGEST_SHORT_MESSAGE,
        }
    }

    fn concatenation(&self, index: usize) -> Option<Concatenation> {
        let ours =
            || Concatenation { reference: self.content.reference, total: self.parts.count() as u8, sequence: (index + 1) as u8 };
        self.content.own.or_else(|| (self.parts.count() > 1).then(ours))
    }

    fn write_text(&self, octets: &[u8], header: usize, out: &mut BytesMut) {
        match (self.body.alphabet, self.carrier.alphabet) {
            (Alphabet::Gsm7, DefaultAlphabet::Gsm7Packed) => gsm7::pack(octets, gsm7::fill_bits(header), out),
            (Alphabet::Gsm7, DefaultAlphabet::Latin1) => out.extend(gsm7::chars(octets).map(|c| c as u8)),
            (Alphabet::Gsm7, DefaultAlphabet::Utf8) => {
                let mut utf8 = [0; 4];
                for c in gsm7::chars(octets) {
                    out.put_slice(c.encode_utf8(&mut utf8).as_bytes());
                }
            }
            _ => out.put_slice(octets),
        }
    }
}

/// The body in an alphabet the peer has: a GSM 7-bit text with a euro sign or Greek capitals becomes UCS-2 where `data_coding` 0
/// means Latin-1.
fn carriable(body: &Body, alphabet: DefaultAlphabet) -> Cow<'_, Body> {
    let lost =
        body.alphabet == Alphabet::Gsm7 && alphabet == DefaultAlphabet::Latin1 && gsm7::chars(&body.octets).any(|c| c > '\u{FF}');
    if !lost {
        return Cow::Borrowed(body);
    }
    let octets = ucs2::encode_chars(gsm7::chars(&body.octets), body.octets.len());
    Cow::Owned(Body { alphabet: Alphabet::Ucs2, octets: octets.into() })
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
