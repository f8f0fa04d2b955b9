//! Text without I/O: GSM 7-bit, UCS-2, user data headers, transliteration, and the planning of parts.
//!
//! A submitted text passes through the files in this order: [`udh::split`] takes the header off, [`decode::decode`] brings what
//! is left into a canonical [`Body`], [`plan`] finds the part boundaries, and [`build::Outgoing`] writes each part the way one
//! operator wants it.
//!
//! The national language shift tables (3GPP TS 23.038 Annex A) are left out on purpose: a handset that lacks one shows garbage,
//! and Finnish, Swedish and English need none. A text outside the default alphabet travels as UCS-2, which every handset shows.

pub mod build;
pub mod decode;
pub mod error;
pub mod explain;
pub mod gsm7;
pub mod plan;
pub mod translit;
pub mod ucs2;
pub mod udh;

pub use error::TextError;

use bytes::Bytes;

/// What octets under `data_coding` 0 mean on one connection (the `alphabet` setting of an account or an operator).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultAlphabet {
    /// GSM 7-bit default alphabet, one septet per octet.
    #[default]
    Gsm7,
    /// GSM 7-bit default alphabet, eight septets packed in seven octets.
    Gsm7Packed,
    /// ISO 8859-1.
    Latin1,
    /// UTF-8.
    Utf8,
}

/// How a text of several parts travels to an operator (the `long_messages` setting).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongMessages {
    /// UDH with an 8-bit reference.
    #[default]
    Udh8,
    /// UDH with a 16-bit reference.
    Udh16,
    /// `sar_*` TLVs.
    Sar,
    /// One submit_sm with `message_payload`.
    Payload,
}

/// The form in which the gateway keeps a text or binary content, whatever coding it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// One septet per octet, escape sequences included.
    Gsm7,
    /// UTF-16 big endian.
    Ucs2,
    /// 8-bit data, passed as it is.
    Octets,
}

/// The content of a message in its canonical form, without user data header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub alphabet: Alphabet,
    pub octets: Bytes,
}

/// A concatenation the sender made itself: this message is part `sequence` of `total` (3GPP TS 23.040 section 9.2.3.24.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concatenation {
    pub reference: u16,
    pub total: u8,
    pub sequence: u8,
}

impl Body {
    /// The parts of one message as one body. Parts differ in alphabet only when a sender breaks the rules; then all become UCS-2.
    pub fn join(parts: &[Body]) -> Body {
        let alphabet = parts.first().map_or(Alphabet::Gsm7, |first| first.alphabet);
        let alike = parts.iter().all(|part| part.alphabet == alphabet);
        let mut octets = bytes::BytesMut::with_capacity(parts.iter().map(|part| part.octets.len()).sum());
        for part in parts {
            match part.alphabet {
                Alphabet::Gsm7 if !alike => octets.extend_from_slice(&ucs2::encode(&gsm7::decode(&part.octets))),
                Alphabet::Gsm7 | Alphabet::Ucs2 | Alphabet::Octets => octets.extend_from_slice(&part.octets),
            }
        }
        Body { alphabet: if alike { alphabet } else { Alphabet::Ucs2 }, octets: octets.freeze() }
    }
}
