//! Where a long text is cut (3GPP TS 23.040 section 9.2.3.24.1).
//!
//! An escape pair and a surrogate pair are never cut. An emoji of several characters, or a letter and its accents, stays whole
//! when that costs no extra part.

use std::ops::Range;

use smallvec::SmallVec;

use super::udh::{ReferenceWidth, header_octets};
use super::{Alphabet, Body, Concatenation, LongMessages, TextError, gsm7, ucs2};

/// TP-User-Data of one short message, in octets.
const USER_DATA: usize = 140;
const MOST_PARTS: usize = 255;
/// The longest value a TLV can have.
pub const LONGEST_PAYLOAD: usize = 65_535;

/// The parts of a text, as ranges of its canonical octets. Up to eight parts cost no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Where each part ends; the next one starts there.
    ends: SmallVec<[u32; 8]>,
}

impl Parts {
    fn one(octets: usize) -> Parts {
        Parts { ends: SmallVec::from_slice(&[octets as u32]) }
    }

    /// How many parts, 1 to 255. An empty text is one part.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The octets of the part at `index`, counted from 0; empty past the last.
    pub fn range(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(0) };
        start as usize..self.ends.get(index).map_or(start, |end| *end) as usize
    }

    /// The octets of every part, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.count()).map(|index| self.range(index))
    }
}

/// Octets of the canonical form that fit beside a header of so many octets: septets for GSM 7-bit, whole 16-bit units for UCS-2.
pub fn room(alphabet: Alphabet, header_octets: usize) -> usize {
    let free = USER_DATA.saturating_sub(header_octets);
    match alphabet {
        Alphabet::Gsm7 => free * 8 / 7,
        Alphabet::Ucs2 => free / 2 * 2,
        Alphabet::Octets => free,
    }
}

/// The width of the reference in the headers we write.
///
/// A concatenation the application made keeps eight bits while its reference fits: its parts were cut for the shorter header.
/// With `sar` the centre writes the header; like ours it has room for eight bits.
pub fn reference_width(long_messages: LongMessages, own: Option<Concatenation>) -> ReferenceWidth {
    match (long_messages, own) {
        (LongMessages::Udh16, None) => ReferenceWidth::Sixteen,
        (LongMessages::Udh16, Some(own)) if own.reference > 0xFF => ReferenceWidth::Sixteen,
        _ => ReferenceWidth::Eight,
    }
}

/// Finds the part boundaries.
///
/// `elements` is the length of the user data header elements every part repeats, `own` the concatenation of an application that
/// split the text itself: then the body is one part already and must fit, else [`TextError::PartTooLong`].
pub fn plan(body: &Body, elements: usize, own: Option<Concatenation>, long_messages: LongMessages) -> Result<Parts, TextError> {
    let octets = &body.octets;
    let width = reference_width(long_messages, own);
    let single = room(body.alphabet, header_octets(own.map(|_| width), elements));
    if octets.len() <= single {
        return Ok(Parts::one(octets.len()));
    }
    if own.is_some() {
        return Err(TextError::PartTooLong);
    }
    if long_messages == LongMessages::Payload {
        let fits = octets.len() + header_octets(None, elements) <= LONGEST_PAYLOAD;
        return if fits { Ok(Parts::one(octets.len())) } else { Err(TextError::TooManyParts) };
    }
    let room = room(body.alphabet, header_octets(Some(width), elements));
    // Room for one whole character of two units, so that every part makes progress.
    if room < 4 {
        return Err(TextError::HeaderTooLong);
    }
    match body.alphabet {
        Alphabet::Gsm7 => cut(octets, room, escape_pair_cut),
        Alphabet::Octets => cut(octets, room, |_, _, end| end),
        Alphabet::Ucs2 => {
            let plain = cut(octets, room, surrogate_pair_cut)?;
            let whole = cut(octets, room, cluster_cut);
            Ok(whole.ok().filter(|whole| whole.count() == plain.count()).unwrap_or(plain))
        }
    }
}

/// How many short messages a handset receives, whichever operator carries the text: what `max_parts` is compared with.
pub fn count_parts(body: &Body, elements: usize, own: Option<Concatenation>) -> Result<usize, TextError> {
    plan(body, elements, own, LongMessages::Udh8).map(|parts| parts.count())
}

/// Fills part after part; `adjust(octets, start, end)` moves an end that falls inside a character back to where it begins.
fn cut(octets: &[u8], room: usize, adjust: impl Fn(&[u8], usize, usize) -> usize) -> Result<Parts, TextError> {
    let mut ends = SmallVec::new();
    let mut start = 0;
    while start < octets.len() {
        if ends.len() == MOST_PARTS {
            return Err(TextError::TooManyParts);
        }
        let full = start + room;
        start = if full < octets.len() { adjust(octets, start, full) } else { octets.len() };
        ends.push(start as u32);
    }
    Ok(Parts { ends })
}

/// An odd run of escapes before the cut means that the last one opens a pair.
fn escape_pair_cut(octets: &[u8], start: usize, end: usize) -> usize {
    let escapes = octets[start..end].iter().rev().take_while(|octet| **octet == gsm7::ESCAPE).count();
    end - escapes % 2
}

fn surrogate_pair_cut(octets: &[u8], _start: usize, end: usize) -> usize {
    let cuts_pair = ucs2::is_high_surrogate(ucs2::unit_at(octets, end - 2)) && ucs2::is_low_surrogate(ucs2::unit_at(octets, end));
    if cuts_pair { end - 2 } else { end }
}

/// Goes back to the start of a cluster; a cluster longer than a part is cut like plain characters.
fn cluster_cut(octets: &[u8], start: usize, end: usize) -> usize {
    let plain = surrogate_pair_cut(octets, start, end);
    let mut at = plain;
    while at > start {
        let before = char_before(octets, at);
        if !joined(octets, start, at, before) {
            return at;
        }
        at -= before.len_utf16() * 2;
    }
    plain
}

fn char_at(octets: &[u8], at: usize) -> char {
    let pair = octets.get(at..).map_or(&[][..], |rest| &rest[..rest.len().min(4)]);
    ucs2::chars(pair).next().unwrap_or(' ')
}

fn char_before(octets: &[u8], at: usize) -> char {
    let low = ucs2::is_low_surrogate(ucs2::unit_at(octets, at - 2));
    if low && at >= 4 && ucs2::is_high_surrogate(ucs2::unit_at(octets, at - 4)) {
        return char_at(octets, at - 4);
    }
    char_at(octets, at - 2)
}

const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Do the characters on both sides of `at` show as one? A short form of the cluster rules of Unicode annex 29: accents,
/// variation selectors, skin tones, tags, joined emoji, flags, and CR LF.
fn joined(octets: &[u8], start: usize, at: usize, before: char) -> bool {
    let after = char_at(octets, at);
    match after {
        '\n' => before == '\r',
        ZERO_WIDTH_JOINER
        | '\u{0300}'..='\u{036F}'
        | '\u{1AB0}'..='\u{1AFF}'
        | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FE20}'..='\u{FE2F}'
        | '\u{1F3FB}'..='\u{1F3FF}'
        | '\u{E0020}'..='\u{E007F}' => true,
        _ if is_flag_letter(after) => flag_letters_before(octets, start, at) % 2 == 1,
        _ => before == ZERO_WIDTH_JOINER,
    }
}

fn is_flag_letter(c: char) -> bool {
    ('\u{1F1E6}'..='\u{1F1FF}').contains(&c)
}

fn flag_letters_before(octets: &[u8], start: usize, at: usize) -> usize {
    (start + 4..=at).rev().step_by(4).take_while(|end| is_flag_letter(char_at(octets, end - 4))).count()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
