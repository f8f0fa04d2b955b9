//! From what applications write to E.164 digits.

use std::fmt;

use smallvec::SmallVec;

use super::dialling::{Dialling, World};
use crate::message::Address;

/// Type of number (SMPP 3.4 section 5.2.5).
const TON_UNKNOWN: u8 = 0;
const TON_INTERNATIONAL: u8 = 1;
const TON_NATIONAL: u8 = 2;
const TON_ALPHANUMERIC: u8 = 5;
/// Numbering plan E.164 (SMPP 3.4 section 5.2.6).
const NPI_E164: u8 = 1;

/// E.164 section 6.2.1: fifteen digits at most.
const LONGEST: usize = 15;
/// Up to six digits is a short code; the shortest international numbers (Niue, Saint Helena) have seven.
pub const LONGEST_SHORT_CODE: usize = 6;

type Buffer = SmallVec<[u8; 22]>;

/// Why a destination cannot be a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidNumber {
    Empty,
    NotDigits,
    TooShort,
    TooLong,
    NotInternational,
}

impl fmt::Display for InvalidNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidNumber::Empty => "no digits",
            InvalidNumber::NotDigits => "other characters than digits, space and - ( ) .",
            InvalidNumber::TooShort => "too short for an international number",
            InvalidNumber::TooLong => "more than 15 digits",
            InvalidNumber::NotInternational => "international by its mark, but begins with 0",
        })
    }
}

impl std::error::Error for InvalidNumber {}

/// How an account's numbers are completed: built once from the metadata of its country, then used for each message without
/// regular expressions or locks, and without allocation for numbers of usual length.
///
/// What makes a number international: `+`; an international prefix (00, in Finland also 990, 991, 994, 996, 999 and 995xx); TON 1;
/// or, with TON 0, an assigned country code and a length that country uses. What makes it national: the country's trunk prefix;
/// TON 2; or, in countries without trunk prefix, the length of a mobile number. Marks win over the TON, which many applications
/// set always to the same. A prefix that is also a country code (994: Azerbaijan) is taken for a prefix only with TON 0, when the
/// number makes no sense as a whole and does without it: a message to a wrong country is worse than one refused.
///
/// A trunk zero left in after the country code (`+358 0 40 ...`) is dropped where the country's trunk prefix is 0; Italy, where a
/// zero belongs to the number, has none. Short codes, other TONs, and what fits no form stay as they are, but for separators.
/// Length is checked against the E.164 limit only: Finnish mobile numbers of six digits are in use.
#[derive(Debug, Clone)]
pub struct NumberRules {
    world: World,
    home: Option<Dialling>,
}

impl NumberRules {
    /// Rules of a country by its ISO 3166 two-letter code; `None` for an unknown one.
    pub fn for_country(iso: &str) -> Option<NumberRules> {
        Some(NumberRules { world: World::load(), home: Some(Dialling::of_country(&iso.to_ascii_uppercase())?) })
    }

    /// Rules without a country: only `+`, `00`, TON 1, and whole international numbers are completed.
    pub fn international() -> NumberRules {
        NumberRules { world: World::load(), home: None }
    }

    /// The address as it is routed and sent: for international numbers E.164 digits without `+`, TON 1, NPI 1.
    ///
    /// # Errors
    ///
    /// [`InvalidNumber`] when it cannot be a number; the submission is answered with ESME_RINVDSTADR (SMPP 3.4 section 5.1.3).
    pub fn normalise(&self, given: &Address) -> Result<Address, InvalidNumber> {
        let mut room = Buffer::new();
        let (plus, digits) = strip(&given.digits, &mut room)?;
        if plus {
            return self.complete(digits);
        }
        let completed = match given.ton {
            TON_INTERNATIONAL => self.marked_international(digits)?,
            TON_NATIONAL => self.marked_national(digits)?,
            TON_UNKNOWN | TON_ALPHANUMERIC => self.unmarked(digits)?,
            _ => None,
        };
        match completed {
            Some(address) => Ok(address),
            None if digits.len() > LONGEST => Err(InvalidNumber::TooLong),
            None => Ok(Address::new(given.ton, given.npi, digits)),
        }
    }

    /// The numbers that somebody may mean who writes one down: what an application would reach with it that says nothing of its type, or
    /// calls it national.
    ///
    /// # Errors
    ///
    /// When it is neither, [`InvalidNumber`] as for the former.
    pub fn readings(&self, text: &[u8]) -> Result<SmallVec<[Address; 2]>, InvalidNumber> {
        let unmarked = self.normalise(&Address::new(TON_UNKNOWN, 0, text));
        let national = self.normalise(&Address::new(TON_NATIONAL, 0, text));
        match (unmarked, national) {
            (Err(error), Err(_)) => Err(error),
            (unmarked, national) => Ok(unmarked.into_iter().chain(national).collect()),
        }
    }

    fn marked_international(&self, digits: &[u8]) -> Result<Option<Address>, InvalidNumber> {
        if let Some(number) = self.after_zeros(digits) {
            return self.complete(number).map(Some);
        }
        if digits.len() <= LONGEST_SHORT_CODE {
            return Ok(None);
        }
        match self.after_trunk(digits) {
            Some((home, number)) if digits[0] == b'0' => self.complete_national(home, number).map(Some),
            _ => self.complete(digits).map(Some),
        }
    }

    fn marked_national(&self, digits: &[u8]) -> Result<Option<Address>, InvalidNumber> {
        let Some(home) = &self.home else { return Ok(None) };
        if let Some(number) = self.after_zeros(digits) {
            return self.complete(number).map(Some);
        }
        if let Some((home, number)) = self.after_trunk(digits) {
            return self.complete_national(home, number).map(Some);
        }
        if digits.len() <= LONGEST_SHORT_CODE && !home.mobile.contains(digits.len()) {
            return Ok(None);
        }
        let number = self.complete_national(home, digits)?;
        // Some applications mark every number so, also one that has its country code already.
        if !self.world.is_number(&number.digits) && self.world.is_number(digits) {
            return self.complete(digits).map(Some);
        }
        Ok(Some(number))
    }

    fn unmarked(&self, digits: &[u8]) -> Result<Option<Address>, InvalidNumber> {
        if let Some(number) = self.after_zeros(digits).or_else(|| self.after_chosen_operator(digits)) {
            return self.complete(number).map(Some);
        }
        if digits.len() <= LONGEST_SHORT_CODE {
            return Ok(None);
        }
        if let Some((home, number)) = self.after_trunk(digits).or_else(|| self.without_trunk(digits)) {
            return self.complete_national(home, number).map(Some);
        }
        if self.world.is_number(digits) {
            return self.complete(digits).map(Some);
        }
        Ok(None)
    }

    /// What follows an international prefix that begins with zero, so that it cannot be a country code. Of several such prefixes
    /// (Hong Kong: 00 and 001) the longest that leaves a sensible number, else the shortest.
    fn after_zeros<'d>(&self, digits: &'d [u8]) -> Option<&'d [u8]> {
        if digits.first() != Some(&b'0') || digits.len() <= LONGEST_SHORT_CODE {
            return None;
        }
        let Some(home) = &self.home else { return digits.strip_prefix(b"00") };
        let numbers = || home.prefixes(digits).map(|prefix| &digits[prefix..]);
        numbers().find(|number| self.world.is_number(number)).or_else(|| numbers().last())
    }

    /// What follows an international prefix that does not begin with zero (99x in Finland, 810 in Russia).
    fn after_chosen_operator<'d>(&self, digits: &'d [u8]) -> Option<&'d [u8]> {
        let home = self.home.as_ref()?;
        if digits.first() == Some(&b'0') || self.world.is_number(digits) {
            return None;
        }
        home.prefixes(digits).map(|prefix| &digits[prefix..]).find(|number| self.world.is_number(number))
    }

    /// What follows the trunk prefix. One that does not begin with zero (1, 8) also begins international numbers and short codes:
    /// there the length must be that of a mobile number.
    fn after_trunk<'d>(&self, digits: &'d [u8]) -> Option<(&Dialling, &'d [u8])> {
        let home = self.home.as_ref()?;
        let trunk = home.trunk.as_deref()?;
        let number = digits.strip_prefix(trunk.as_bytes())?;
        let sure = trunk.starts_with('0') && digits.len() > LONGEST_SHORT_CODE;
        (sure || home.mobile.contains(number.len())).then_some((home, number))
    }

    /// The whole, as a national number of a country whose numbers are written without trunk prefix: those that have none, and
    /// those of code 1, where it is the country code again.
    fn without_trunk<'d>(&self, digits: &'d [u8]) -> Option<(&Dialling, &'d [u8])> {
        let home = self.home.as_ref()?;
        let bare = home.trunk.as_ref().is_none_or(|trunk| *trunk == home.country_code);
        (bare && home.mobile.contains(digits.len())).then_some((home, digits))
    }

    fn complete_national(&self, home: &Dialling, number: &[u8]) -> Result<Address, InvalidNumber> {
        let mut digits = Buffer::from_slice(home.country_code.as_bytes());
        digits.extend_from_slice(number);
        self.complete(&digits)
    }

    /// An international number, from its country code on.
    fn complete(&self, digits: &[u8]) -> Result<Address, InvalidNumber> {
        if digits.first() == Some(&b'0') {
            return Err(InvalidNumber::NotInternational);
        }
        let mut number = Buffer::from_slice(digits);
        while let Some(place) = self.world.trunk_zero(&number) {
            number.remove(place);
        }
        match number.len() {
            0 => Err(InvalidNumber::Empty),
            1..=LONGEST_SHORT_CODE => Err(InvalidNumber::TooShort),
            length if length > LONGEST => Err(InvalidNumber::TooLong),
            _ => Ok(Address { ton: TON_INTERNATIONAL, npi: NPI_E164, digits: number }),
        }
    }
}

/// Takes separators and a leading `+` off. A number without any, as most are, is not copied.
fn strip<'d>(text: &'d [u8], room: &'d mut Buffer) -> Result<(bool, &'d [u8]), InvalidNumber> {
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        return Ok((false, text));
    }
    let mut plus = false;
    for byte in text {
        match byte {
            b'0'..=b'9' => room.push(*byte),
            b' ' | b'-' | b'(' | b')' | b'.' => {}
            b'+' if room.is_empty() && !plus => plus = true,
            _ => return Err(InvalidNumber::NotDigits),
        }
    }
    if room.is_empty() { Err(InvalidNumber::Empty) } else { Ok((plus, room)) }
}
