//! Building a table from its sources, all or nothing.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::digits::Digits;
use super::fault::{Fault, Faults};
use super::ported::{Ported, Refused};
use super::rows::read_rows;
use super::table::{Condition, Operators, Rule, Table, without_plus};
use crate::message::{AccountKey, OperatorKey};

/// A `[[route]]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteRule {
    /// Where it stands, for faults and explanations.
    pub line: u32,
    /// Prefixes in digits; the empty one is everything else.
    pub prefixes: Vec<String>,
    /// Only for these accounts; empty for all.
    pub accounts: Vec<String>,
    /// Only for these senders, exactly; empty for all.
    pub senders: Vec<String>,
    /// In order of preference.
    pub operators: Vec<String>,
    /// For display.
    pub country: Option<String>,
}

/// Collects the sources of a [`Table`].
pub struct TableBuilder<'i> {
    operator: &'i mut dyn FnMut(&str) -> Option<OperatorKey>,
    account: &'i mut dyn FnMut(&str) -> Option<AccountKey>,
    table: Table,
    rules: HashMap<Digits, Vec<Rule>>,
    /// Lists of operators by their text, so that each is parsed and kept once.
    lists: HashMap<Box<str>, u32>,
    faults: Faults,
}

impl<'i> TableBuilder<'i> {
    /// The functions know the operators and accounts of the configuration by name; `None` is a fault.
    pub fn new(
        operator: &'i mut dyn FnMut(&str) -> Option<OperatorKey>,
        account: &'i mut dyn FnMut(&str) -> Option<AccountKey>,
    ) -> Self {
        let (table, rules, lists, faults) = Default::default();
        TableBuilder { operator, account, table, rules, lists, faults }
    }

    /// Adds a CSV table: `prefix,operators,country`, the operators separated by `|` in order of preference, other columns
    /// ignored, lines beginning with `#` too. The first row may name the columns, which then may stand in any order.
    pub fn prefixes(&mut self, source: &str, input: impl Read) {
        let name: Arc<str> = Arc::from(source);
        let mut faults = std::mem::take(&mut self.faults);
        read_rows(source, input, ["prefix", "operators", "country"], &mut faults, |line, [prefix, list, country], faults| {
            if prefix.is_empty() {
                let message = "empty; for everything else write a [[route]] with prefix = [\"\"]";
                return faults.add(source, line, "prefix", message);
            }
            let prefix = prefix_of(prefix, source, line, faults);
            let list = self.list(list, source, line, faults);
            if let (Some(prefix), Some(operators)) = (prefix, list) {
                let country = (!country.is_empty()).then(|| String::from_utf8_lossy(country).into());
                let rule = Rule { operators, condition: None, country, source: Arc::clone(&name), line };
                self.rules.entry(prefix).or_default().push(rule);
            }
        });
        self.faults = faults;
    }

    /// Adds a CSV table of single numbers: `msisdn,operator`, the operator possibly followed by others after `|`.
    pub fn ported(&mut self, source: &str, input: impl Read) {
        let mut faults = std::mem::take(&mut self.faults);
        read_rows(source, input, ["msisdn", "operator"], &mut faults, |line, [number, list], faults| {
            let Some(list) = self.list(list, source, line, faults) else { return };
            let text = || String::from_utf8_lossy(number);
            match self.table.ported.insert(number, list) {
                Ok(()) => {}
                Err(Refused::NotE164) => {
                    let message = format!("\"{}\": expected an international number in digits, without + or spaces", text());
                    faults.add(source, line, "msisdn", message);
                }
                Err(Refused::Twice) => faults.add(source, line, "msisdn", format!("{} is listed twice", text())),
                Err(Refused::TooManyLists) => {
                    let message = format!("more than {} different operators", Ported::LISTS);
                    faults.add(source, line, "operator", message);
                }
            }
        });
        self.faults = faults;
    }

    /// Adds the rules of the configuration.
    pub fn rules(&mut self, source: &str, rules: &[RouteRule]) {
        let name: Arc<str> = Arc::from(source);
        let mut faults = std::mem::take(&mut self.faults);
        for rule in rules {
            self.rule(&name, rule, &mut faults);
        }
        self.faults = faults;
    }

    fn rule(&mut self, source: &Arc<str>, rule: &RouteRule, faults: &mut Faults) {
        if rule.prefixes.is_empty() {
            faults.add(source, rule.line, "prefix", "none; expected at least one, [\"\"] for everything else");
        }
        for account in &rule.accounts {
            if (self.account)(account).is_none() {
                faults.add(source, rule.line, "account", format!("unknown account \"{account}\""));
            }
        }
        for sender in rule.senders.iter().filter(|sender| without_plus(sender.as_bytes()).is_empty()) {
            faults.add(source, rule.line, "sender", format!("\"{sender}\": expected a name or a number"));
        }
        let list = self.list(rule.operators.join("|").as_bytes(), source, rule.line, faults);
        for prefix in &rule.prefixes {
            let prefix = prefix_of(prefix.as_bytes(), source, rule.line, faults);
            let (Some(prefix), Some(operators)) = (prefix, list) else { continue };
            let country = rule.country.as_deref().map(Box::from);
            let rule = Rule { operators, condition: condition_of(rule), country, source: Arc::clone(source), line: rule.line };
            self.rules.entry(prefix).or_default().push(rule);
        }
    }

    /// The table of all sources.
    ///
    /// # Errors
    ///
    /// Every fault found, in the order of the sources; duplicates last.
    pub fn build(mut self) -> Result<Table, Vec<Fault>> {
        let mut prefixes: Vec<_> = self.rules.into_iter().collect();
        // Faults are told in this order.
        prefixes.sort_unstable_by_key(|(prefix, _)| (prefix.len(), *prefix));
        let table = &mut self.table;
        let rules_of = prefixes.into_iter().map(|(prefix, mut rules)| {
            find_duplicates(prefix, &rules, &mut self.faults);
            // Stable: of rules with as many conditions the one written first is tried first.
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.condition.as_ref().map_or(0, |condition| condition.count())));
            let start = table.rules.len() as u32;
            table.rules.append(&mut rules);
            (prefix, start..table.rules.len() as u32)
        });
        table.prefixes = rules_of.collect();
        self.faults.refuse_or(self.table)
    }

    /// Index of a list of operators written `elisa|telia`.
    fn list(&mut self, text: &[u8], source: &str, line: u32, faults: &mut Faults) -> Option<u32> {
        let Ok(text) = std::str::from_utf8(text) else {
            faults.add(source, line, "operators", "not UTF-8");
            return None;
        };
        if let Some(index) = self.lists.get(text) {
            return Some(*index);
        }
        let mut keys = Operators::new();
        let mut wrong = Vec::new();
        for name in text.split('|').map(str::trim) {
            match (self.operator)(name) {
                _ if name.is_empty() => wrong.push(format!("\"{text}\": expected operators separated by |")),
                None => wrong.push(format!("unknown operator \"{name}\"")),
                Some(key) if keys.contains(&key) => wrong.push(format!("operator \"{name}\" is listed twice")),
                Some(key) => keys.push(key),
            }
        }
        if !wrong.is_empty() {
            wrong.into_iter().for_each(|message| faults.add(source, line, "operators", message));
            return None;
        }
        let index = self.table.operators.len() as u32;
        self.table.operators.push(keys);
        self.lists.insert(text.into(), index);
        Some(index)
    }
}

fn prefix_of(text: &[u8], source: &str, line: u32, faults: &mut Faults) -> Option<Digits> {
    let prefix = Digits::parse(text);
    if prefix.is_none() {
        let message =
            format!("\"{}\": expected at most {} digits, without + or spaces", String::from_utf8_lossy(text), Digits::MAX);
        faults.add(source, line, "prefix", message);
    }
    prefix
}

fn condition_of(rule: &RouteRule) -> Option<Box<Condition>> {
    if rule.accounts.is_empty() && rule.senders.is_empty() {
        return None;
    }
    let bare = |sender: &String| sender.strip_prefix('+').unwrap_or(sender).into();
    Some(Box::new(Condition {
        accounts: rule.accounts.iter().map(|name| name.as_str().into()).collect(),
        senders: rule.senders.iter().map(bare).collect(),
    }))
}

/// Two rules for the same prefix, account and sender contradict each other: which holds must not depend on their order.
fn find_duplicates(prefix: Digits, rules: &[Rule], faults: &mut Faults) {
    if rules.len() < 2 {
        return;
    }
    let mut seen: HashMap<(Option<&str>, Option<&str>), &Rule> = HashMap::new();
    for rule in rules {
        let (accounts, senders) = match &rule.condition {
            Some(condition) => (each(&condition.accounts), each(&condition.senders)),
            None => (vec![None], vec![None]),
        };
        let pairs = accounts.iter().flat_map(|account| senders.iter().map(|sender| (*account, *sender)));
        for (account, sender) in pairs {
            let Some(first) = seen.insert((account, sender), rule) else { continue };
            let mut message = format!("\"{prefix}\"");
            account.iter().for_each(|account| message += &format!(" with account \"{account}\""));
            sender.iter().for_each(|sender| message += &format!(" with sender \"{sender}\""));
            message += &format!(" already has a rule at {}:{}", first.source, first.line);
            faults.add(&rule.source, rule.line, "prefix", message);
        }
    }
}

/// The names of a condition, or `None` for any.
fn each(names: &[Box<str>]) -> Vec<Option<&str>> {
    if names.is_empty() { vec![None] } else { names.iter().map(|name| Some(&**name)).collect() }
}
