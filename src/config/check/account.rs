//! `[[account]]`.

use std::sync::Arc;

use super::super::checked::*;
use super::super::limits::{self as limit, default};
use super::super::raw::Section;
use super::super::values;
use super::general::session_timers;
use super::{check_password, secret_file};
use crate::receipt::ReceiptPolicy;
use crate::text::DefaultAlphabet;

/// The words of `alphabet`, for accounts and operators alike.
pub const ALPHABETS: [(&str, DefaultAlphabet); 4] = [
    ("gsm7", DefaultAlphabet::Gsm7),
    ("gsm7-packed", DefaultAlphabet::Gsm7Packed),
    ("latin1", DefaultAlphabet::Latin1),
    ("utf8", DefaultAlphabet::Utf8),
];

pub fn account(section: Section<'_>, limits: &Limits, timers: &Timers, messages: &Messages) -> Account {
    let max_validity = section.duration("max_validity", messages.max_validity, limit::VALIDITY);
    if max_validity > messages.max_validity {
        let max = values::show_duration(messages.max_validity);
        section.error("max_validity", format!("expected at most messages.max_validity, which is {max}"));
    }
    let receipts = [("message", ReceiptPolicy::Message), ("part", ReceiptPolicy::Part)];
    let own_timers = section.table("timers");
    let account = Account {
        system_id: system_id(&section),
        credential: credential(&section),
        allow_from: allow_from(&section),
        certificate: section.parsed("certificate", "the name in a client certificate, such as \"shop.example.fi\"", |text| {
            rustls_pki_types::ServerName::try_from(text.to_owned()).ok()
        }),
        binds: section.count("binds", default::ACCOUNT_BINDS, limit::BINDS),
        window: section.count("window", default::ACCOUNT_WINDOW, limit::WINDOW),
        rate: section.optional_integer("rate", limit::RATE).map(|rate| rate as u32),
        alphabet: section.choice("alphabet", DefaultAlphabet::default(), &ALPHABETS),
        country: section.parsed("country", "a country code such as \"FI\"", |text| text.parse().ok()),
        senders: senders(&section),
        max_parts: section.integer("max_parts", default::PARTS, limit::PARTS) as u8,
        receipts: section.choice("receipts", ReceiptPolicy::default(), &receipts),
        receipt_utc_offset: section
            .parsed("receipt_utc_offset", "an offset such as \"+02:00\"", values::utc_offset)
            .unwrap_or(time::UtcOffset::UTC),
        default_validity: messages.default_validity.min(max_validity),
        max_validity,
        priority_max: section.integer("priority_max", default::PRIORITY, limit::PRIORITY) as u8,
        strict: section.flag("strict", false),
        transliterate: section.flag("transliterate", false),
        queue: section.integer("queue", limits.queue_per_account, limit::QUEUE),
        timers: session_timers(&own_timers, timers),
        line: section.line(),
    };
    own_timers.unknown_keys();
    section.unknown_keys();
    account
}

/// The system_id of an account or of a bind.
pub fn system_id(section: &Section<'_>) -> Arc<str> {
    let Some(text) = section.required_text("system_id") else { return Arc::from("") };
    if text.value.is_empty() || values::printable(text.value, limit::SYSTEM_ID).is_none() {
        section.error(
            "system_id",
            format!("expected 1..={} printable ASCII characters, found \"{}\"", limit::SYSTEM_ID, text.value),
        );
    }
    Arc::from(text.value)
}

/// Exactly one of `password_hash`, `password_file` and `password`.
fn credential(section: &Section<'_>) -> Credential {
    const KEYS: [&str; 3] = ["password_hash", "password_file", "password"];
    let given: Vec<&str> = KEYS.into_iter().filter(|key| section.has(key)).collect();
    match given[..] {
        [] => section.error("password_hash", "expected one of password_hash, password_file and password, found none"),
        [_] => {}
        [_, second, ..] => section.error(second, format!("expected only one of {}", given.join(" and "))),
    }
    let hash = section.secret("password_hash").map(|hash| {
        if let Some(fault) = values::argon2id_fault(hash) {
            section.error("password_hash", fault);
        }
        Credential::Argon2id(Arc::from(hash))
    });
    let file = secret_file(section, "password_file").map(Credential::Clear);
    let clear = section.secret("password").and_then(|password| {
        section.warning("password", "is in the clear; smppgw hash-password makes a password_hash of it");
        check_password(section, "password", password.as_bytes()).map(Credential::Clear)
    });
    hash.or(file).or(clear).unwrap_or(Credential::Clear(Secret::default()))
}

fn allow_from(section: &Section<'_>) -> Vec<ipnet::IpNet> {
    let mut networks = Vec::new();
    let texts = section.texts("allow_from");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        section.error("allow_from", "expected at least one network; leave it out to allow all");
    }
    for text in texts.unwrap_or_default() {
        match values::network(text.value) {
            Some(network) => networks.push(network.trunc()),
            None => {
                let message = format!("expected a network such as \"10.0.0.0/8\" or an address, found \"{}\"", text.value);
                section.cx.error(text.at, &section.field("allow_from"), message);
            }
        }
    }
    networks
}

fn senders(section: &Section<'_>) -> Option<Vec<Arc<str>>> {
    let texts = section.texts("senders")?;
    if texts.is_empty() {
        section.error("senders", "expected at least one sender; leave it out to allow all");
    }
    for text in texts.iter().filter(|text| !values::is_sender(text.value)) {
        let message = format!("expected digits, +digits or at most 11 printable characters, found \"{}\"", text.value);
        section.cx.error(text.at, &section.field("senders"), message);
    }
    Some(texts.into_iter().map(|text| Arc::from(text.value)).collect())
}
