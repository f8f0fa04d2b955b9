//! What must hold between sections: unique names, and names that exist.

use std::collections::HashMap;

use super::super::checked::*;
use super::super::fault::Fault;
use super::super::limits as limit;
use super::super::raw::Context;
use super::super::{nearest, values};

pub fn check(config: &Config, cx: &Context<'_>) {
    unique_names(config, cx);
    numbers_of_sections(config, cx);
    routes(config, cx);
    inbound(config, cx);
    listeners(config, cx);
    certificates(config, cx);
    password_hashes(config, cx);
    for operator in &config.operators {
        if operator.min_validity > config.messages.max_validity {
            let max = values::show_duration(config.messages.max_validity);
            let message = format!("expected at most messages.max_validity, which is {max}");
            cx.add(Fault::error(&cx.file, operator.line.0, "operator.min_validity", message));
        }
    }
}

fn unique_names(config: &Config, cx: &Context<'_>) {
    unique(cx, "listener.name", config.listeners.iter().map(|listener| (listener.name.to_string(), listener.line)));
    unique(cx, "listener.address", config.listeners.iter().map(|listener| (listener.address.to_string(), listener.line)));
    unique(cx, "account.system_id", config.accounts.iter().map(|account| (account.system_id.to_string(), account.line)));
    unique(cx, "operator.name", config.operators.iter().map(|operator| (operator.name.to_string(), operator.line)));
    let inbound = config.inbound.iter().map(|inbound| {
        let keyword = inbound.keyword.as_deref().map_or(String::new(), |keyword| format!(" {keyword}"));
        (format!("{}{keyword}", inbound.number), inbound.line)
    });
    unique(cx, "inbound.number", inbound);
}

/// Reports the second and later of equal names.
fn unique(cx: &Context<'_>, field: &str, names: impl Iterator<Item = (String, Line)>) {
    let mut seen: HashMap<String, Line> = HashMap::new();
    for (name, line) in names.filter(|(name, _)| !name.is_empty()) {
        match seen.get(&name) {
            Some(first) => {
                cx.add(Fault::error(&cx.file, line.0, field, format!("\"{name}\" is already used in line {}", first.0)));
            }
            None => {
                seen.insert(name, line);
            }
        }
    }
}

fn numbers_of_sections(config: &Config, cx: &Context<'_>) {
    let counts = [
        ("listener", config.listeners.len(), limit::LISTENERS),
        ("account", config.accounts.len(), limit::ACCOUNTS),
        ("operator", config.operators.len(), limit::OPERATORS),
    ];
    for (field, count, most) in counts.into_iter().filter(|(_, count, most)| count > most) {
        cx.add(Fault::error(&cx.file, 0, field, format!("expected at most {most}, found {count}")));
    }
}

fn routes(config: &Config, cx: &Context<'_>) {
    for rule in &config.routing.rules {
        let operators = || config.operators.iter().map(|operator| &*operator.name);
        let accounts = || config.accounts.iter().map(|account| &*account.system_id);
        for operator in rule.operators.iter().filter(|name| !operators().any(|known| known == &***name)) {
            unknown(cx, rule.line, "route.operators", "operator", operator, operators());
        }
        for account in rule.accounts.iter().filter(|name| !accounts().any(|known| known == &***name)) {
            unknown(cx, rule.line, "route.account", "account", account, accounts());
        }
    }
    // What a prefix file routes is known only when the table is built from it.
    if config.routing.prefixes.is_some() {
        return;
    }
    let rules = &config.routing.rules;
    for account in &config.accounts {
        if !rules.iter().any(|rule| rule.accounts.is_empty() || rule.accounts.contains(&account.system_id)) {
            let message = format!("no route serves \"{}\": all its messages would be refused", account.system_id);
            cx.add(Fault::warning(&cx.file, account.line.0, "account.system_id", message));
        }
    }
    for operator in &config.operators {
        if config.routing.ported.is_none() && !rules.iter().any(|rule| rule.operators.contains(&operator.name)) {
            let message = format!("no route leads to \"{}\"", operator.name);
            cx.add(Fault::warning(&cx.file, operator.line.0, "operator.name", message));
        }
    }
}

fn inbound(config: &Config, cx: &Context<'_>) {
    let accounts = || config.accounts.iter().map(|account| &*account.system_id);
    for inbound in config.inbound.iter().filter(|inbound| !inbound.account.is_empty()) {
        if !accounts().any(|known| known == &*inbound.account) {
            unknown(cx, inbound.line, "inbound.account", "account", &inbound.account, accounts());
        }
    }
}

fn unknown<'n>(cx: &Context<'_>, line: Line, field: &str, kind: &str, name: &str, known: impl Iterator<Item = &'n str>) {
    let hint = nearest(name, known).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
    cx.add(Fault::error(&cx.file, line.0, field, format!("there is no {kind} \"{name}\"{hint}")));
}

/// A bind that is refused takes the time of one verification: where that is not the same for all, it tells which accounts there are.
fn password_hashes(config: &Config, cx: &Context<'_>) {
    let parameters = |account: &Account| match &account.credential {
        Credential::Argon2id(hash) => Some((account.line, hash.split('$').nth(3)?.to_owned())),
        Credential::Clear(_) => None,
    };
    let mut all = config.accounts.iter().filter_map(parameters);
    let Some((first, usual)) = all.next() else { return };
    for (line, other) in all.filter(|(_, other)| *other != usual) {
        let message = format!(
            "has the parameters {other}, and the account in line {} {usual}: how long a refused bind takes tells that it exists",
            first.0
        );
        cx.add(Fault::warning(&cx.file, line.0, "account.password_hash", message));
    }
}

fn listeners(config: &Config, cx: &Context<'_>) {
    for listener in &config.listeners {
        if config.metrics.listen == Some(listener.address) {
            let message = format!("{} is the address of metrics.listen", listener.address);
            cx.add(Fault::error(&cx.file, listener.line.0, "listener.address", message));
        }
    }
}

/// An account that must show a certificate can bind only where one is asked for.
fn certificates(config: &Config, cx: &Context<'_>) {
    if config.listeners.iter().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())) {
        return;
    }
    for account in config.accounts.iter().filter(|account| account.certificate.is_some()) {
        let message = "expected a listener with client_ca: no other asks for certificates";
        cx.add(Fault::error(&cx.file, account.line.0, "account.certificate", message));
    }
}
