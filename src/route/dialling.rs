//! How the countries of the world write telephone numbers, from libphonenumber's metadata.

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;

use super::digits::Digits;
use super::prefix_table::PrefixTable;

/// A set of number lengths: bit n stands for n digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lengths(u32);

impl Lengths {
    pub(super) fn contains(self, length: usize) -> bool {
        length < 32 && self.0 & 1 << length != 0
    }

    fn add(&mut self, lengths: &[u16]) {
        for length in lengths.iter().filter(|length| **length < 32) {
            self.0 |= 1 << length;
        }
    }
}

/// One country code, possibly shared by several countries (1, 7, 39, 44, 47, 358 ...).
#[derive(Debug, Clone, Copy)]
struct CountryCode {
    /// Lengths of the national significant numbers of its subscribers.
    lengths: Lengths,
    /// Its national trunk prefix is 0, which therefore never follows the country code.
    trunk_zero: bool,
}

/// The assigned country codes.
#[derive(Debug, Clone)]
pub(super) struct World(PrefixTable<CountryCode>);

/// The longest country codes.
const LONGEST_CODE: usize = 3;

impl World {
    /// Reads the metadata of every country code.
    pub(super) fn load() -> World {
        let facts = |code: u16| {
            let (countries, digits) = (DATABASE.by_code(&code)?, Digits::parse(code.to_string().as_bytes())?);
            let mut lengths = Lengths::default();
            for country in &countries {
                lengths.add(&subscriber_lengths(country));
            }
            // Of several countries the main one comes first.
            let trunk_zero = countries.first().is_some_and(|country| country.national_prefix() == Some("0"));
            Some((digits, CountryCode { lengths, trunk_zero }))
        };
        World((1..=999).filter_map(facts).collect())
    }

    /// Could these digits be a whole international number: an assigned country code and a length it uses?
    pub(super) fn is_number(&self, digits: &[u8]) -> bool {
        self.split(digits).is_some_and(|(code, country)| country.lengths.contains(digits.len() - code))
    }

    /// The place of a trunk zero left in after the country code, as in 358 0 40 1234567.
    pub(super) fn trunk_zero(&self, digits: &[u8]) -> Option<usize> {
        self.split(digits).filter(|(code, country)| country.trunk_zero && digits.get(*code) == Some(&b'0')).map(|(code, _)| code)
    }

    /// Length of the country code, and its facts.
    fn split(&self, digits: &[u8]) -> Option<(usize, CountryCode)> {
        let start = Digits::parse(&digits[..digits.len().min(LONGEST_CODE)])?;
        self.0.of(start).next().map(|(code, country)| (code.len(), *country))
    }
}

/// Service numbers are left out: Japan has some of seventeen digits, and few are reachable from abroad.
fn subscriber_lengths(country: &Metadata) -> Vec<u16> {
    let known = country.descriptors();
    let kinds = [known.fixed_line(), known.mobile(), known.personal_number(), known.voip(), known.pager()];
    kinds.into_iter().flatten().flat_map(|kind| kind.possible_length()).copied().collect()
}

/// How numbers are dialled within one country.
#[derive(Debug, Clone)]
pub(super) struct Dialling {
    pub(super) country_code: String,
    /// What precedes a national number and is not part of it (0 in most of Europe, 8 in Russia, none in Norway).
    pub(super) trunk: Option<String>,
    /// Lengths of its mobile numbers without the trunk prefix.
    pub(super) mobile: Lengths,
    /// What precedes a country code; several where the caller chooses the operator.
    international: PrefixTable<()>,
}

impl Dialling {
    /// By ISO 3166 two-letter code, in capitals.
    pub(super) fn of_country(iso: &str) -> Option<Dialling> {
        let country = DATABASE.by_id(iso)?;
        let mut mobile = Lengths::default();
        mobile.add(country.descriptors().mobile().map(|kind| kind.possible_length()).unwrap_or_default());
        let patterns = [country.international_prefix().map(|pattern| pattern.as_str()), country.preferred_international_prefix()];
        let international = patterns
            .into_iter()
            .flatten()
            .filter_map(expand)
            .flatten()
            .filter_map(|prefix| Some((Digits::parse(prefix.as_bytes())?, ())))
            .collect();
        Some(Dialling {
            country_code: country.country_code().to_string(),
            trunk: country.national_prefix().map(str::to_owned),
            mobile,
            international,
        })
    }
}

impl Dialling {
    /// Lengths of the international prefixes these digits begin with, longest first.
    pub(super) fn prefixes(&self, digits: &[u8]) -> impl Iterator<Item = usize> {
        let start = Digits::parse(&digits[..digits.len().min(Digits::MAX)]);
        start.into_iter().flat_map(|start| self.international.of(start)).map(|(prefix, ())| prefix.len())
    }
}

/// Every string a pattern such as `00|99(?:[01469]|5(?:[14]1|88))` matches; `None` when it uses more than literals,
/// alternatives, groups, classes, `\d` and `?`, or matches more strings than makes sense.
///
/// Prefixes as strings are looked up without a regular expression, whose cache is behind a lock.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let pattern: Vec<u8> = pattern.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut rest = &pattern[..];
    let strings = alternatives(&mut rest)?;
    rest.is_empty().then_some(strings)
}

fn alternatives(rest: &mut &[u8]) -> Option<Vec<String>> {
    let mut all = sequence(rest)?;
    while let [b'|', tail @ ..] = *rest {
        *rest = tail;
        all.append(&mut sequence(rest)?);
    }
    Some(all)
}

fn sequence(rest: &mut &[u8]) -> Option<Vec<String>> {
    const SENSIBLE: usize = 10_000;
    let mut strings = vec![String::new()];
    while !matches!(rest, [] | [b'|' | b')', ..]) {
        let mut next = atom(rest)?;
        if let [b'?', tail @ ..] = *rest {
            *rest = tail;
            next.push(String::new());
        }
        if strings.len() * next.len() > SENSIBLE {
            return None;
        }
        strings = strings.iter().flat_map(|start| next.iter().map(move |end| format!("{start}{end}"))).collect();
    }
    Some(strings)
}

fn atom(rest: &mut &[u8]) -> Option<Vec<String>> {
    match *rest {
        [b'(', b'?', b':', tail @ ..] => {
            *rest = tail;
            let inner = alternatives(rest)?;
            *rest = rest.strip_prefix(b")")?;
            Some(inner)
        }
        [b'[', tail @ ..] => {
            let end = tail.iter().position(|byte| *byte == b']')?;
            *rest = &tail[end + 1..];
            class(&tail[..end])
        }
        [b'\\', b'd', tail @ ..] => {
            *rest = tail;
            class(b"0-9")
        }
        [digit @ b'0'..=b'9', tail @ ..] => {
            *rest = tail;
            class(&[*digit])
        }
        _ => None,
    }
}

/// The digits of a class, from the text between its brackets.
fn class(mut text: &[u8]) -> Option<Vec<String>> {
    let mut digits = Vec::new();
    while let [first, tail @ ..] = text {
        let last = match tail {
            [b'-', last, tail @ ..] => {
                text = tail;
                last
            }
            _ => {
                text = tail;
                first
            }
        };
        if !first.is_ascii_digit() || !last.is_ascii_digit() {
            return None;
        }
        digits.extend((*first..=*last).map(|digit| char::from(digit).to_string()));
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_the_strings_it_matches() {
        assert_eq!(
            expand("00|99(?:[0-2]|5(?:[14]1|88)?)").as_deref(),
            Some(&["00", "990", "991", "992", "99511", "99541", "99588", "995"].map(String::from)[..])
        );
        assert_eq!(expand("0+"), None);
        assert_eq!(expand("00(?:1"), None);
    }

    #[test]
    fn the_international_prefixes_of_every_country_are_understood() {
        for country in DATABASE.iter() {
            let Some(pattern) = country.international_prefix() else { continue };
            let strings = expand(pattern.as_str()).unwrap_or_default();
            assert!(!strings.is_empty(), "{}: {}", country.id(), pattern.as_str());
            for string in strings {
                let found = pattern.find(&string).map(|found| found.start());
                assert_eq!(found, Some(0), "{}: {} in {string}", country.id(), pattern.as_str());
            }
        }
    }

    #[test]
    fn finland_has_its_operator_chosen_prefixes() {
        let finland = Dialling::of_country("FI").expect("Finland is a country");
        let known = |text: &[u8]| finland.prefixes(text).any(|length| length == text.len());
        for prefix in [&b"00"[..], b"990", b"991", b"994", b"996", b"999", b"99511", b"99588"] {
            assert!(known(prefix), "{}", String::from_utf8_lossy(prefix));
        }
        assert!(!known(b"992"));
        assert_eq!((finland.country_code.as_str(), finland.trunk.as_deref()), ("358", Some("0")));
    }

    #[test]
    fn the_world_knows_whole_numbers_by_country_code_and_length() {
        let world = World::load();
        for number in [&b"358401234567"[..], b"35840123", b"994501234567", b"46701234567", b"12125550123", b"870773111632"] {
            assert!(world.is_number(number), "{}", String::from_utf8_lossy(number));
        }
        for number in [&b"401234567"[..], b"994358401234567", b"13123", b"0401234567", b""] {
            assert!(!world.is_number(number), "{}", String::from_utf8_lossy(number));
        }
    }
}
