//! MO routing: which account gets a message to one of our numbers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::digits::Digits;
use super::fault::{Fault, Faults};
use super::number::NumberRules;
use crate::message::{AccountKey, Address};

/// An `[[inbound]]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboundRule {
    /// Where it stands, for faults.
    pub line: u32,
    /// Short code or MSISDN.
    pub number: String,
    /// First word of the text; `None` for every message to the number that no keyword takes.
    pub keyword: Option<String>,
    /// system_id.
    pub account: String,
}

/// Numbers and keywords of one moment: immutable, shared, replaced whole.
#[derive(Debug, Default)]
pub struct Inbound {
    numbers: HashMap<Digits, Keywords>,
}

/// Who shares a number.
#[derive(Debug, Default)]
struct Keywords {
    /// Folded keywords: a number has few of them.
    accounts: Vec<(Box<str>, AccountKey)>,
    everything_else: Option<AccountKey>,
}

impl Inbound {
    /// Builds the table; `rules` complete the numbers as they will complete the destinations of messages.
    ///
    /// # Errors
    ///
    /// Every fault found.
    pub fn build(
        source: &str,
        entries: &[InboundRule],
        rules: &NumberRules,
        account: &mut dyn FnMut(&str) -> Option<AccountKey>,
    ) -> Result<Inbound, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut numbers = HashMap::new();
        let mut lines = HashMap::new();
        for entry in entries {
            let key = account(&entry.account);
            if key.is_none() {
                faults.add(source, entry.line, "account", format!("unknown account \"{}\"", entry.account));
            }
            let number = number_of(source, entry, rules, &mut faults);
            let keyword = keyword_of(source, entry, &mut faults);
            let (Some(key), Some(number), Some(keyword)) = (key, number, keyword) else { continue };
            match lines.entry((number, keyword.clone())) {
                Entry::Occupied(first) => {
                    let what = keyword.map_or("everything else".to_owned(), |keyword| format!("keyword \"{keyword}\""));
                    let message = format!("{what} for {number} already has an account at line {}", first.get());
                    faults.add(source, entry.line, "number", message);
                }
                Entry::Vacant(free) => {
                    free.insert(entry.line);
                    let keywords: &mut Keywords = numbers.entry(number).or_default();
                    match keyword {
                        Some(keyword) => keywords.accounts.push((keyword.into(), key)),
                        None => keywords.everything_else = Some(key),
                    }
                }
            }
        }
        faults.refuse_or(Inbound { numbers })
    }

    /// The account of a message to `number` (normalised digits, or a short code; a leading `+` makes no difference) whose text is
    /// `text`: the one with its first word as keyword, else the one with everything else. `None` when its beginning is not known: then it
    /// is the latter, or the only account that the number has.
    pub fn choose(&self, number: &[u8], text: Option<&str>) -> Option<AccountKey> {
        let number = Digits::parse(number.strip_prefix(b"+").unwrap_or(number))?;
        let keywords = self.numbers.get(&number)?;
        let Some(text) = text else { return keywords.without_word() };
        let word = first_word(text);
        // `E-LASKU` may be a keyword; in `KYLLÄ,kiitos` it ends before the comma.
        let shorter = word.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let account = keywords.account(word).or_else(|| keywords.account(shorter));
        account.or(keywords.everything_else)
    }
}

impl Keywords {
    fn without_word(&self) -> Option<AccountKey> {
        let only = self.accounts.first().map(|(_, first)| *first);
        let only = only.filter(|only| self.accounts.iter().all(|(_, account)| account == only));
        self.everything_else.or(only)
    }

    fn account(&self, word: &str) -> Option<AccountKey> {
        let found = self.accounts.iter().find(|(keyword, _)| keyword.chars().eq(folded(word)));
        found.map(|(_, account)| *account)
    }
}

/// The first word of a text, without punctuation around it.
pub fn first_word(text: &str) -> &str {
    let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = start.split(char::is_whitespace).next().unwrap_or_default();
    word.trim_end_matches(|c: char| !c.is_alphanumeric())
}

/// The characters without regard to case.
fn folded(text: &str) -> impl Iterator<Item = char> {
    // By way of capitals, so that forms that share one (final sigma, sharp s) are equal.
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

fn number_of(source: &str, entry: &InboundRule, rules: &NumberRules, faults: &mut Faults) -> Option<Digits> {
    let number = rules.normalise(&Address::new(0, 0, entry.number.as_bytes())).map_err(|invalid| invalid.to_string());
    match number {
        Ok(number) => Digits::parse(&number.digits),
        Err(reason) => {
            let message = format!("\"{}\": expected a short code or a number: {reason}", entry.number);
            faults.add(source, entry.line, "number", message);
            None
        }
    }
}

/// The folded keyword, if the entry has one; the outer `None` is a fault.
fn keyword_of(source: &str, entry: &InboundRule, faults: &mut Faults) -> Option<Option<String>> {
    let Some(keyword) = &entry.keyword else { return Some(None) };
    if keyword.is_empty() || first_word(keyword) != keyword {
        let message = format!("\"{keyword}\": expected one word without punctuation around it");
        faults.add(source, entry.line, "keyword", message);
        return None;
    }
    Some(Some(folded(keyword).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(line: u32, number: &str, keyword: Option<&str>, account: &str) -> InboundRule {
        InboundRule { line, number: number.into(), keyword: keyword.map(str::to_owned), account: account.into() }
    }

    fn build(rules: &[InboundRule]) -> Result<Inbound, Vec<Fault>> {
        let names = ["shop", "bank", "rest"];
        let mut account = |name: &str| names.iter().position(|known| *known == name).map(|at| AccountKey(at as u16));
        let finland = NumberRules::for_country("FI").expect("Finland is a country");
        Inbound::build("smppgw.toml", rules, &finland, &mut account)
    }

    const SHOP: Option<AccountKey> = Some(AccountKey(0));
    const BANK: Option<AccountKey> = Some(AccountKey(1));
    const REST: Option<AccountKey> = Some(AccountKey(2));

    #[test]
    fn a_keyword_finds_its_account_and_everything_else_goes_to_the_account_without_keyword() {
        let inbound = build(&[
            rule(1, "13123", Some("VASTAA"), "shop"),
            rule(2, "13123", Some("Tilisi"), "bank"),
            rule(3, "13123", None, "rest"),
        ])
        .expect("no faults");
        assert_eq!(inbound.choose(b"13123", Some("vastaa joo")), SHOP);
        assert_eq!(inbound.choose(b"13123", Some("TILISI")), BANK);
        assert_eq!(inbound.choose(b"13123", Some("vastaan joo")), REST);
        assert_eq!(inbound.choose(b"13123", Some("")), REST);
        assert_eq!(inbound.choose(b"13124", Some("vastaa")), None);
    }

    #[test]
    fn without_an_account_for_everything_else_an_unknown_keyword_has_no_owner() {
        let inbound = build(&[rule(1, "13123", Some("VASTAA"), "shop")]).expect("no faults");
        assert_eq!(inbound.choose(b"13123", Some("hei")), None);
    }

    #[test]
    fn what_lacks_its_beginning_goes_to_everything_else_or_to_the_only_account_of_the_number() {
        let two = [rule(1, "13123", Some("VASTAA"), "shop"), rule(2, "13123", Some("TILISI"), "bank")];
        let whose = |rules: &[InboundRule]| build(rules).expect("no faults").choose(b"13123", None);
        assert_eq!([whose(&two[..1]), whose(&two)], [SHOP, None]);
        assert_eq!(whose(&[&two[..], &[rule(3, "13123", None, "rest")]].concat()), REST);
        assert_eq!(whose(&[rule(3, "13123", None, "rest")]), REST);
    }

    #[test]
    fn punctuation_and_case_in_any_alphabet_make_no_difference() {
        let inbound =
            build(&[rule(1, "13123", Some("Kyllä"), "shop"), rule(2, "13123", Some("E-LASKU"), "bank")]).expect("no faults");
        for text in ["KYLLÄ", " kyllä!", "\"Kyllä\" sanoi", "kyllä,kiitos", "...kyllä.", "kyllä\r\nrivi"] {
            assert_eq!(inbound.choose(b"13123", Some(text)), SHOP, "{text}");
        }
        assert_eq!(inbound.choose(b"13123", Some("e-lasku.")), BANK);
        assert_eq!(inbound.choose(b"13123", Some("kylla")), None);
    }

    #[test]
    fn a_long_number_is_found_however_the_configuration_writes_it() {
        for written in ["+358 45 7000 1122", "0457 000 1122", "3584570001122", "003584570001122"] {
            let inbound = build(&[rule(1, written, None, "shop")]).expect("no faults");
            assert_eq!(inbound.choose(b"3584570001122", Some("hei")), SHOP, "{written}");
            assert_eq!(inbound.choose(b"+3584570001122", Some("hei")), SHOP, "{written}");
        }
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let faults = build(&[
            rule(3, "13123", Some("OK"), "shop"),
            rule(8, "13123", Some("ok"), "bank"),
            rule(12, "13x", Some("two words"), "nobody"),
            rule(16, "+358457000", None, "shop"),
            rule(20, "0457000", None, "shop"),
        ])
        .expect_err("faults");
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "smppgw.toml:8: number: keyword \"ok\" for 13123 already has an account at line 3",
                "smppgw.toml:12: account: unknown account \"nobody\"",
                "smppgw.toml:12: number: \"13x\": expected a short code or a number: other characters than digits, space and - ( ) .",
                "smppgw.toml:12: keyword: \"two words\": expected one word without punctuation around it",
                "smppgw.toml:20: number: everything else for 358457000 already has an account at line 16",
            ]
        );
    }
}
