//! Text without I/O: GSM 7-bit, UCS-2, user data headers, transliteration, and the planning of parts.

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
