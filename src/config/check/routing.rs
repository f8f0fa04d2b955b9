//! `[routing]`, `[[route]]` and `[[inbound]]`.

use std::sync::Arc;

use super::super::checked::*;
use super::super::limits as limit;
use super::super::raw::Section;
use super::super::values;
use super::existing;

pub fn routing(root: &Section<'_>) -> Routing {
    let section = root.table("routing");
    let (prefixes, ported) = (existing(&section, "prefixes"), existing(&section, "ported"));
    section.unknown_keys();
    Routing { prefixes, ported, rules: root.tables("route").into_iter().map(rule).collect() }
}

fn rule(section: Section<'_>) -> RouteRule {
    let is_prefix = |text: &str| text.len() <= limit::E164_DIGITS && text.bytes().all(|c| c.is_ascii_digit());
    let rule = RouteRule {
        prefixes: names(&section, "prefix", "digits without +, or \"\" for all", is_prefix),
        accounts: names(&section, "account", "a system_id", |text| !text.is_empty()),
        senders: names(&section, "sender", "digits, +digits or at most 11 printable characters", values::is_sender),
        operators: names(&section, "operators", "the name of an operator", |text| !text.is_empty()),
        line: section.line(),
    };
    for key in ["prefix", "operators"] {
        if !section.has(key) {
            section.error(key, "expected a list of strings, found none");
        }
    }
    for (key, list) in [("prefix", &rule.prefixes), ("operators", &rule.operators)] {
        let empty = section.has(key) && list.is_empty() && section.is_empty_list(key);
        if empty {
            section.error(key, "expected at least one");
        }
    }
    for (i, operator) in rule.operators.iter().enumerate() {
        if rule.operators[..i].contains(operator) {
            section.error("operators", format!("\"{operator}\" is listed twice"));
        }
    }
    section.unknown_keys();
    rule
}

fn names(section: &Section<'_>, key: &'static str, expected: &str, valid: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for text in section.texts(key).unwrap_or_default() {
        if valid(text.value) {
            names.push(Arc::from(text.value));
        } else {
            section.cx.error(text.at, &section.field(key), format!("expected {expected}, found \"{}\"", text.value));
        }
    }
    names
}

pub fn inbound(section: Section<'_>) -> Inbound {
    let number = section.required_text("number").map_or("", |text| text.value);
    let digits = number.strip_prefix('+').unwrap_or(number);
    if !number.is_empty() && (values::digits(digits).is_none() || digits.len() > limit::ADDRESS) {
        section.error("number", format!("expected at most {} digits, found \"{number}\"", limit::ADDRESS));
    }
    if digits.starts_with('0') {
        section.warning(
            "number",
            format!(
                "expected a short code or an international number (+358...), found \"{number}\": a long number does not match so"
            ),
        );
    }
    let word = |text: &str| (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| Arc::from(text.to_uppercase()));
    let inbound = Inbound {
        number: Arc::from(digits),
        keyword: section.parsed("keyword", "one word", word),
        account: Arc::from(section.required_text("account").map_or("", |text| text.value)),
        line: section.line(),
    };
    section.unknown_keys();
    inbound
}
