//! The table of routes, and the one walk over it that both the choice and its explanation take.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::LONGEST_SHORT_CODE;
use super::digits::Digits;
use super::explain::Verdict;
use super::ported::Ported;
use super::prefix_table::PrefixTable;
use crate::message::OperatorKey;

/// Operators in order of preference.
pub(super) type Operators = SmallVec<[OperatorKey; 4]>;

/// Routes of one moment: immutable, shared, replaced whole.
///
/// Ported numbers are asked first. Then come the prefixes the number begins with, longest first, and within a prefix its rules,
/// those with more conditions first; the first rule whose conditions hold wins.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) ported: Ported,
    /// Indexes of each prefix's rules, in the order they are tried.
    pub(super) prefixes: PrefixTable<Range<u32>>,
    pub(super) rules: Vec<Rule>,
    /// Each distinct list once: tables have few lists and many prefixes.
    pub(super) operators: Vec<Operators>,
}

/// What a prefix means, for whom.
#[derive(Debug)]
pub(super) struct Rule {
    /// Index of the list of operators.
    pub(super) operators: u32,
    pub(super) condition: Option<Box<Condition>>,
    pub(super) country: Option<Box<str>>,
    pub(super) source: Arc<str>,
    pub(super) line: u32,
}

/// For whom a rule holds; an empty list is no condition.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) accounts: Vec<Box<str>>,
    /// Without a leading `+`.
    pub(super) senders: Vec<Box<str>>,
}

impl Condition {
    /// How many conditions, for the order of rules of one prefix.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.accounts.is_empty()) + usize::from(!self.senders.is_empty())
    }
}

/// The message's side of a choice.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// Normalised digits, without `+`.
    pub destination: &'q [u8],
    /// The owner's system_id.
    pub account: &'q str,
    /// Source address characters; a leading `+` makes no difference.
    pub sender: &'q [u8],
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'t> {
    /// In order of preference; never empty.
    pub operators: &'t [OperatorKey],
    /// The prefix that decided; `None` for a ported number.
    pub prefix: Option<Digits>,
    /// As the table's source has it, for display.
    pub country: Option<&'t str>,
}

/// Listens to the walk. The unit type hears nothing and costs nothing.
pub(super) trait Trace {
    fn ported(&mut self, _operators: Option<&[OperatorKey]>) {}
    fn rule(&mut self, _prefix: Digits, _rule: &Rule, _operators: &[OperatorKey], _verdict: Verdict) {}
}

impl Trace for () {}

impl Table {
    /// Who carries the message; `None` when no rule holds for it, or the destination is not a number of at most
    /// [`Digits::MAX`] digits.
    pub fn choose(&self, query: &Query<'_>) -> Option<Choice<'_>> {
        self.walk(query, &mut ())
    }

    /// How many prefixes.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// How many ported numbers.
    pub fn ported(&self) -> usize {
        self.ported.len()
    }

    pub(super) fn walk(&self, query: &Query<'_>, trace: &mut impl Trace) -> Option<Choice<'_>> {
        let number = Digits::parse(query.destination).filter(|number| !number.is_empty())?;
        let ported = self.ported.get(query.destination).map(|list| self.list(list));
        trace.ported(ported);
        if let Some(operators) = ported {
            return Some(Choice { operators, prefix: None, country: None });
        }
        // Prefixes begin with a country code, which a short code only seems to have: 16400 is in no country 1.
        let is_short = number.len() <= LONGEST_SHORT_CODE;
        let prefixes = self.prefixes.of(number).filter(|(prefix, _)| !is_short || prefix.is_empty() || *prefix == number);
        for (prefix, rules) in prefixes {
            for rule in &self.rules[rules.start as usize..rules.end as usize] {
                let operators = self.list(rule.operators);
                let verdict = rule.judge(query);
                trace.rule(prefix, rule, operators, verdict);
                if verdict == Verdict::Chosen {
                    return Some(Choice { operators, prefix: Some(prefix), country: rule.country.as_deref() });
                }
            }
        }
        None
    }

    fn list(&self, index: u32) -> &[OperatorKey] {
        &self.operators[index as usize]
    }
}

impl Rule {
    fn judge(&self, query: &Query<'_>) -> Verdict {
        let Some(condition) = &self.condition else { return Verdict::Chosen };
        if !condition.accounts.is_empty() && !condition.accounts.iter().any(|name| **name == *query.account) {
            return Verdict::OtherAccount;
        }
        let sender = without_plus(query.sender);
        if !condition.senders.is_empty() && !condition.senders.iter().any(|name| name.as_bytes() == sender) {
            return Verdict::OtherSender;
        }
        Verdict::Chosen
    }
}

/// Senders are compared exactly, but TON 1 sources are written with and without `+`.
pub(super) fn without_plus(sender: &[u8]) -> &[u8] {
    sender.strip_prefix(b"+").unwrap_or(sender)
}
