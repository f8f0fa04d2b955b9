//! Why a text was refused.

use std::fmt;

/// Why a text cannot be taken or cannot be carried. Nothing is ever guessed or shortened instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// This `data_coding` is reserved or not carried here.
    UnknownCoding(u8),
    /// The octet at this offset does not exist in the coding the sender named.
    NotInCoding { offset: usize },
    /// UTF-16 with an odd number of octets.
    OddLength,
    /// The user data header is longer than the text it stands in.
    HeaderOverrun,
    /// The user data header leaves no room for text.
    HeaderTooLong,
    /// A part the sender made itself does not fit in one short message together with its header.
    PartTooLong,
    /// More than 255 parts, or more than 65,535 octets for an operator that takes whole texts.
    TooManyParts,
    /// Parts have been sent, and since a reload it is cut into so few that none of those is left.
    CutAnew,
}

impl TextError {
    /// The `command_status` to answer with (SMPP 5.0 section 4.7.6).
    pub fn command_status(self) -> u32 {
        match self {
            TextError::UnknownCoding(_) | TextError::NotInCoding { .. } => 0x104,
            TextError::HeaderOverrun | TextError::HeaderTooLong => 0x43,
            TextError::OddLength | TextError::PartTooLong | TextError::TooManyParts | TextError::CutAnew => 0x01,
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::UnknownCoding(coding) => write!(f, "data_coding {coding:#04x} is not supported"),
            TextError::NotInCoding { offset } => write!(f, "octet {offset} of the text does not exist in its coding"),
            TextError::OddLength => f.write_str("UCS-2 text with an odd number of octets"),
            TextError::HeaderOverrun => f.write_str("user data header longer than the text"),
            TextError::HeaderTooLong => f.write_str("user data header leaves no room for text"),
            TextError::PartTooLong => f.write_str("part does not fit in one short message with its header"),
            TextError::CutAnew => {
                f.write_str("parts of the text were sent before a reload, and none of those it has now is left")
            }
            TextError::TooManyParts => f.write_str("text needs more than 255 parts, or does not fit in one message_payload"),
        }
    }
}

impl std::error::Error for TextError {}
