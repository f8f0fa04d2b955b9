//! Reading receipts: a lenient parser of the text, and the recogniser that tells a receipt from an MO message.
//!
//! The text format is the typical one of SMPP 3.4 appendix B, `id:.. sub:.. dlvrd:.. submit date:.. done date:.. stat:.. err:..
//! text:..`, of which every centre has its own version. TLVs win over it (SMPP 5.0 section 4.3.5.1).

use std::borrow::Cow;

use smallvec::SmallVec;
use time::{Date, Month, Time};

use super::State;
use crate::smpp::MESSAGE_ID_LIMIT;

/// A receipt as an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The operator's message id; empty when the receipt named none, so that it cannot be matched.
    pub id: SmallVec<[u8; 24]>,
    pub state: State,
    /// The text's `err`, 3 digits by the book, in practice anything: its first 32 octets.
    pub error: Option<SmallVec<[u8; 8]>>,
    /// When the message reached its state; `None` when the receipt did not say so in a way that can be read.
    pub done: Option<ReceiptDate>,
    /// Network type and code (SMPP 5.0 section 4.8.4.42); type 0 when the TLV held the code alone.
    pub network_error_code: Option<[u8; 3]>,
    /// More receipts follow: the state is not final. Decided by the state, because centres set the flags at will.
    pub intermediate: bool,
}

/// A date of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptDate {
    /// Seconds since 1970 read from the centre's clock face.
    pub seconds: i64,
    /// The date carried its offset, so that the seconds are UTC; else they are the operator's local time.
    pub is_utc: bool,
}

/// How much of an `err` is kept, in octets: no code is longer, and what a peer writes must not grow our records and texts.
const ERROR_LIMIT: usize = 32;

/// What tells a receipt from an MO message in a `deliver_sm` or `data_sm`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delivery<'a> {
    pub esm_class: u8,
    pub data_coding: u8,
    /// `short_message`, or `message_payload` when that is where the text is.
    pub text: &'a [u8],
    pub receipted_message_id: Option<&'a [u8]>,
    pub message_state: Option<u8>,
    pub network_error_code: Option<&'a [u8]>,
}

/// The receipt in a delivery, or `None` when it is an MO message.
///
/// A receipt is flagged in `esm_class`, or carries `receipted_message_id`, or, unflagged, starts like one and has its fields.
pub fn from_parts(delivery: Delivery<'_>) -> Option<Receipt> {
    let id_tlv = delivery.receipted_message_id.map(trimmed).filter(|id| !id.is_empty());
    let text = receipt_text(&delivery);
    let fields = Fields::read(&text);
    if !is_flagged(delivery.esm_class) && id_tlv.is_none() && !fields.unmistakable() {
        return None;
    }
    let id = id_tlv.or(fields.get(Field::Id).map(first_word)).unwrap_or_default();
    let state = match delivery.message_state.and_then(State::from_number) {
        Some(state) => state,
        None => fields.get(Field::Stat).map_or(State::Unknown, |word| State::from_word(first_word(word))),
    };
    Some(Receipt {
        id: SmallVec::from_slice(&id[..id.len().min(MESSAGE_ID_LIMIT)]),
        state,
        error: fields.get(Field::Err).and_then(error),
        done: fields.get(Field::DoneDate).and_then(ReceiptDate::read),
        network_error_code: delivery.network_error_code.and_then(network_error),
        intermediate: !state.is_final(),
    })
}

/// Bits 5-2 of `esm_class`: delivery receipt, delivery acknowledgement, intermediate notification, or the first and last both.
fn is_flagged(esm_class: u8) -> bool {
    matches!(esm_class & 0x3C, 0x04 | 0x08 | 0x20 | 0x24)
}

fn error(value: &[u8]) -> Option<SmallVec<[u8; 8]>> {
    let word = first_word(value);
    (!word.is_empty()).then(|| SmallVec::from_slice(&word[..word.len().min(ERROR_LIMIT)]))
}

fn network_error(value: &[u8]) -> Option<[u8; 3]> {
    match *value {
        [network, high, low] => Some([network, high, low]),
        [high, low] => Some([0, high, low]),
        _ => None,
    }
}

/// The text without user data header, and in single octets when it came as UCS-2, which some centres do without saying so.
fn receipt_text<'a>(delivery: &Delivery<'a>) -> Cow<'a, [u8]> {
    let mut text = delivery.text;
    if delivery.esm_class & crate::text::build::ESM_UDH != 0 {
        let header = 1 + usize::from(text.first().copied().unwrap_or(0));
        text = text.get(header..).unwrap_or_default();
    }
    let said =
        matches!(delivery.data_coding, 0x08 | 0x18..=0x1B | 0xE0..=0xEF) && !text.first().is_some_and(u8::is_ascii_alphabetic);
    let evident = matches!(text, [0, b'i' | b'I', 0, b'd' | b'D', ..]);
    if !said && !evident {
        return Cow::Borrowed(text);
    }
    let narrow = |unit: &[u8]| match unit {
        [0, octet] => *octet,
        [0xFE, 0xFF] => b' ',
        _ => b'?',
    };
    Cow::Owned(text.chunks_exact(2).map(narrow).collect())
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

/// The values of the fields, each the first of its name: what stands inside the message's own text cannot override them.
#[derive(Debug, Default)]
struct Fields<'a> {
    /// With the separators around them.
    values: [Option<&'a [u8]>; 8],
    /// What stands before the first `id:`.
    before_id: Option<&'a [u8]>,
}

/// The fields of a receipt as the standard writes it, each with what stands before its value.
const BY_THE_BOOK: [(&[u8], Field); 8] = [
    (b"id:", Field::Id),
    (b" sub:", Field::Sub),
    (b" dlvrd:", Field::Dlvrd),
    (b" submit date:", Field::SubmitDate),
    (b" done date:", Field::DoneDate),
    (b" stat:", Field::Stat),
    (b" err:", Field::Err),
    (b" text:", Field::Text),
];

impl<'a> Fields<'a> {
    fn read(text: &'a [u8]) -> Fields<'a> {
        Fields::by_the_book(text).unwrap_or_else(|| Fields::scan(text))
    }

    /// Most receipts are written by the book, and read in half the time when that is tried first. `None` as soon as something is not.
    fn by_the_book(text: &'a [u8]) -> Option<Fields<'a>> {
        let mut fields = Fields { before_id: Some(&text[..0]), ..Fields::default() };
        let mut rest = text;
        for (name, field) in BY_THE_BOOK {
            rest = rest.strip_prefix(name)?;
            let end = match field {
                Field::Text => rest.len(),
                // A colon in a value may be the end of another name.
                _ => rest.iter().position(|octet| is_separator(*octet) || *octet == b':')?,
            };
            let (value, after) = rest.split_at(end);
            fields.values[field as usize] = Some(value);
            rest = after;
        }
        Some(fields)
    }

    /// Looks back from every colon: texts have few of them, and MO messages mostly none.
    fn scan(text: &'a [u8]) -> Fields<'a> {
        let mut fields = Fields::default();
        let mut open: Option<(Field, usize)> = None;
        for colon in memchr::memchr_iter(b':', text) {
            if fields.are_told_before(open) {
                break;
            }
            let from = open.map_or(0, |(_, start)| start);
            let Some((field, start)) = name_before(text, from, colon) else { continue };
            if fields.get(field).is_none() {
                fields.close(open, text, start);
                if matches!(field, Field::Id) {
                    fields.before_id.get_or_insert(&text[..start]);
                }
                open = Some((field, colon + 1));
            }
        }
        fields.close(open, text, text.len());
        fields
    }

    /// After `text:` comes the message's own text, in which names count only while a receipt's essentials are missing.
    fn are_told_before(&self, open: Option<(Field, usize)>) -> bool {
        let in_text = self.get(Field::Text).is_some() || matches!(open, Some((Field::Text, _)));
        in_text && self.get(Field::Id).is_some() && self.get(Field::Stat).is_some()
    }

    fn close(&mut self, open: Option<(Field, usize)>, text: &'a [u8], end: usize) {
        if let Some((field, start)) = open {
            self.values[field as usize].get_or_insert(&text[start..end]);
        }
    }

    fn get(&self, field: Field) -> Option<&'a [u8]> {
        self.values[field as usize]
    }

    /// Nobody writes this by hand: an id first, a state, and a date or a count.
    fn unmistakable(&self) -> bool {
        let some = |field| self.get(field).is_some();
        self.before_id.is_some_and(|before| trimmed_start(before).is_empty())
            && self.get(Field::Id).is_some_and(|id| !first_word(id).is_empty())
            && some(Field::Stat)
            && (some(Field::SubmitDate) || some(Field::DoneDate) || some(Field::Dlvrd) || some(Field::Sub))
    }
}

/// Which octets stand between words.
static SEPARATORS: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < 256 {
        let separates = (octet as u8).is_ascii_whitespace() || matches!(octet as u8, 0 | b';' | b',' | b'|');
        table[octet] = separates;
        octet += 1;
    }
    table
};

fn is_separator(octet: u8) -> bool {
    SEPARATORS[usize::from(octet)]
}

fn trimmed_start(mut octets: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = octets
        && is_separator(*first)
    {
        octets = rest;
    }
    octets
}

fn trimmed(octets: &[u8]) -> &[u8] {
    let mut octets = trimmed_start(octets);
    while let [rest @ .., last] = octets
        && is_separator(*last)
    {
        octets = rest;
    }
    octets
}

fn first_word(value: &[u8]) -> &[u8] {
    let word = trimmed_start(value);
    let end = word.iter().position(|octet| is_separator(*octet)).unwrap_or(word.len());
    &word[..end]
}

/// The field whose name ends at `colon`, and where that name starts: at a word, not before `from`.
fn name_before(text: &[u8], from: usize, colon: usize) -> Option<(Field, usize)> {
    let text = &text[from..colon];
    let (field, before) = named(text)?;
    let at_word = before.last().is_none_or(|octet| is_separator(*octet));
    at_word.then_some((field, from + before.len()))
}

/// The field whose name the text ends with, and what stands before the name; gaps after it do not matter. The last letter decides
/// which names are tried at all.
fn named(text: &[u8]) -> Option<(Field, &[u8])> {
    let name = |field, before: Option<_>| before.map(|before| (field, before));
    match text.last()?.to_ascii_lowercase() {
        b'd' => name(Field::Id, without(text, b"id")).or_else(|| name(Field::Dlvrd, without(text, b"dlvrd"))),
        b'b' => name(Field::Sub, without(text, b"sub")),
        b'e' => {
            let first = without_gap(without(text, b"date")?);
            name(Field::SubmitDate, without(first, b"submit")).or_else(|| name(Field::DoneDate, without(first, b"done")))
        }
        b't' => name(Field::Stat, without(text, b"stat")).or_else(|| name(Field::Text, without(text, b"text"))),
        b's' => name(Field::Stat, without(text, b"status")),
        b'r' => name(Field::Err, without(text, b"err")).or_else(|| name(Field::Err, without(text, b"error"))),
        b' ' | b'_' | b'\t' => named(without_gap(text)),
        _ => None,
    }
}

/// What stands before this ending, which is given in lower case and found in any.
fn without<'a, const N: usize>(text: &'a [u8], ending: &[u8; N]) -> Option<&'a [u8]> {
    const LOWER_CASE: u8 = b'a' ^ b'A';
    let (before, last) = text.split_last_chunk()?;
    // The bit makes a lower-case letter of a capital and of nothing else.
    (last.map(|octet| octet | LOWER_CASE) == *ending).then_some(before)
}

fn without_gap(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'_' | b'\t'] = text {
        text = rest;
    }
    text
}

impl ReceiptDate {
    /// The same date told in UTC, for a centre whose clock is so many seconds ahead of UTC.
    pub fn in_utc(self, clock_offset: i32) -> ReceiptDate {
        let ahead = if self.is_utc { 0 } else { i64::from(clock_offset) };
        ReceiptDate { seconds: self.seconds - ahead, is_utc: true }
    }

    /// Reads `YYMMDDhhmm[ss]`, `YYYYMMDDhhmm[ss]`, and the 15 digits and sign of SMPP's own times (SMPP 5.0 section 4.7.23.4),
    /// with anything between the digits. `None` when it is not a date.
    fn read(raw: &[u8]) -> Option<ReceiptDate> {
        let (mut digits, mut count) = ([0; 16], 0);
        for octet in raw.iter().filter(|octet| octet.is_ascii_digit()).take(digits.len()) {
            digits[count] = octet - b'0';
            count += 1;
        }
        Some(ReceiptDate { seconds: seconds(&digits[..count], trimmed(raw).last())?, is_utc: count == 15 })
    }
}

fn seconds(digits: &[u8], sign: Option<&u8>) -> Option<i64> {
    let local = |year_digits: usize| clock_face(digits, year_digits);
    match digits.len() {
        10 => local(2),
        // Two-digit years first; what then is no date, as month 24, began with a century.
        12 => local(2).or_else(|| local(4)),
        14 => local(4),
        15 => {
            let quarters = i64::from(digits[13]) * 10 + i64::from(digits[14]);
            let offset = match sign {
                Some(b'+') => quarters * 900,
                Some(b'-') => -quarters * 900,
                _ => 0,
            };
            local(2).map(|seconds| seconds - offset)
        }
        _ => None,
    }
}

fn clock_face(digits: &[u8], year_digits: usize) -> Option<i64> {
    let (year, rest) = digits.split_at_checked(year_digits)?;
    let year = year.iter().fold(0, |year, digit| year * 10 + i32::from(*digit));
    let year = if year_digits == 2 { 2000 + year } else { year };
    let two = |index: usize| Some(rest.get(index * 2)? * 10 + rest.get(index * 2 + 1)?);
    let month = Month::try_from(two(0)?).ok()?;
    let date = Date::from_calendar_date(year, month, two(1)?).ok()?;
    let time = Time::from_hms(two(2)?, two(3)?, two(4).unwrap_or(0)).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
