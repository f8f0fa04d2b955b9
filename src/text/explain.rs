//! How a text will travel, for people: what `smppgw split` shows.

use serde::Serialize;

use super::udh::{ReferenceWidth, header_octets};
use super::{Alphabet, Body, LongMessages, TextError, gsm7, plan, ucs2};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `GSM-7` or `UCS-2`.
    pub encoding: &'static str,
    /// What is counted: `septets` or `code units` of 16 bits.
    pub unit: &'static str,
    /// Units of the whole text.
    pub units: usize,
    /// Units that one message holds, and each part of several.
    pub single_limit: usize,
    pub part_limit: usize,
    /// The first character that GSM 7-bit lacks.
    pub forced_by: Option<Forcing>,
    pub parts: Vec<ExplainedPart>,
}

/// The character that made the text UCS-2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forcing {
    pub character: char,
    /// As `U+2019`.
    pub code_point: String,
    /// Its place in the text, in characters from 1.
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPart {
    pub text: String,
    pub units: usize,
}

/// Explains how an operator with this setting gets the text.
pub fn explain(text: &str, long_messages: LongMessages) -> Result<Explanation, TextError> {
    let body = Body::from_text(text);
    let parts = plan::plan(&body, 0, None, long_messages)?;
    let (encoding, unit, octets_per_unit) = match body.alphabet {
        Alphabet::Gsm7 => ("GSM-7", "septets", 1),
        Alphabet::Ucs2 | Alphabet::Octets => ("UCS-2", "code units", 2),
    };
    let forced_by = text.chars().enumerate().find(|(_, c)| gsm7::septets_of(*c).is_none()).map(|(index, character)| Forcing {
        character,
        code_point: format!("U+{:04X}", u32::from(character)),
        position: index + 1,
    });
    let wide = long_messages == LongMessages::Udh16;
    let width = if wide { ReferenceWidth::Sixteen } else { ReferenceWidth::Eight };
    let explained = |octets: &[u8]| ExplainedPart {
        text: if body.alphabet == Alphabet::Gsm7 { gsm7::decode(octets) } else { ucs2::decode(octets) },
        units: octets.len() / octets_per_unit,
    };
    Ok(Explanation {
        encoding,
        unit,
        units: body.octets.len() / octets_per_unit,
        single_limit: plan::room(body.alphabet, 0) / octets_per_unit,
        part_limit: plan::room(body.alphabet, header_octets(Some(width), 0)) / octets_per_unit,
        forced_by,
        parts: parts.ranges().map(|range| explained(&body.octets[range])).collect(),
    })
}
