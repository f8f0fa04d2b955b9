//! `[[operator]]` and `[[operator.bind]]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::checked::*;
use super::super::limits::{self as limit, default};
use super::super::raw::Section;
use super::super::values;
use super::account::{ALPHABETS, system_id};
use super::general::session_timers;
use super::{check_password, existing, private, secret_file};
use crate::receipt::ReceiptId;
use crate::smpp::status::Class;
use crate::text::{DefaultAlphabet, LongMessages};

const LONG_MESSAGES: [(&str, LongMessages); 4] = [
    ("udh8", LongMessages::Udh8),
    ("udh16", LongMessages::Udh16),
    ("sar", LongMessages::Sar),
    ("payload", LongMessages::Payload),
];
const RECEIPT_IDS: [(&str, ReceiptId); 3] = [("same", ReceiptId::Same), ("hex", ReceiptId::Hex), ("dec", ReceiptId::Dec)];
const UNKNOWN_OUTCOMES: [(&str, UnknownOutcome); 3] =
    [("resend", UnknownOutcome::Resend), ("fail", UnknownOutcome::Fail), ("next", UnknownOutcome::Next)];
const VERSIONS: [(&str, InterfaceVersion); 3] =
    [("3.3", InterfaceVersion::V33), ("3.4", InterfaceVersion::V34), ("5.0", InterfaceVersion::V50)];
const BIND_TYPES: [(&str, BindType); 3] =
    [("transceiver", BindType::Transceiver), ("transmitter", BindType::Transmitter), ("receiver", BindType::Receiver)];

pub fn operator(section: Section<'_>, timers: &Timers) -> Operator {
    let interface_version = section.choice("interface_version", InterfaceVersion::default(), &VERSIONS);
    let tlvs = section.flag("tlvs", true);
    let operator = Operator {
        name: name(&section),
        window: section.count("window", default::OPERATOR_WINDOW, limit::WINDOW),
        rate: section.optional_integer("rate", limit::RATE).map(|rate| rate as u32),
        alphabet: section.choice("alphabet", DefaultAlphabet::default(), &ALPHABETS),
        long_messages: section.choice("long_messages", LongMessages::default(), &LONG_MESSAGES),
        receipt_id: section.choice("receipt_id", ReceiptId::default(), &RECEIPT_IDS),
        timers: session_timers(&section, timers),
        reconnect: backoff(section.table("reconnect"), default::RECONNECT, limit::RECONNECT),
        retry: backoff(section.table("retry"), default::RETRY, limit::RETRY),
        unknown_outcome: section.choice("unknown_outcome", UnknownOutcome::default(), &UNKNOWN_OUTCOMES),
        status: status(section.table("status")),
        addresses: addresses(section.table("addresses")),
        min_validity: section.duration("min_validity", Duration::ZERO, limit::MIN_VALIDITY),
        send_validity: section.flag("send_validity", true),
        tlvs: tlvs && interface_version != InterfaceVersion::V33,
        strict: section.flag("strict", false),
        receipt_time_zone: section
            .parsed("receipt_time_zone", "an offset such as \"+02:00\"", values::utc_offset)
            .unwrap_or(time::UtcOffset::UTC),
        interface_version,
        binds: section.tables("bind").into_iter().filter_map(bind).collect(),
        line: section.line(),
    };
    check_binds(&section, &operator);
    check_tlvs(&section, &operator, tlvs);
    section.unknown_keys();
    operator
}

fn name(section: &Section<'_>) -> Arc<str> {
    let Some(name) = section.required_text("name") else { return Arc::from("") };
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if !(1..=32).contains(&name.value.len()) || !name.value.bytes().all(plain) {
        section.error("name", format!("expected 1..=32 letters, digits, - and _, found \"{}\"", name.value));
    }
    Arc::from(name.value)
}

fn check_binds(section: &Section<'_>, operator: &Operator) {
    if !section.has("bind") {
        section.error("bind", "expected at least one [[operator.bind]], found none");
    }
    if operator.binds.is_empty() {
        return;
    }
    if !operator.binds.iter().any(|bind| bind.kind.can_send()) {
        section.error("bind", "expected at least one transceiver or transmitter");
    }
    if !operator.binds.iter().any(|bind| bind.kind.can_receive()) {
        section.warning("bind", "no transceiver or receiver: receipts and MO messages of this operator cannot come in");
    }
}

/// `wanted`: the section says so, or nothing.
fn check_tlvs(section: &Section<'_>, operator: &Operator, wanted: bool) {
    let version = operator.interface_version;
    if wanted && section.has("tlvs") && version == InterfaceVersion::V33 {
        section.warning("tlvs", "SMPP 3.3 has no TLVs: none are sent");
    }
    if !operator.tlvs && matches!(operator.long_messages, LongMessages::Sar | LongMessages::Payload) {
        section.error("long_messages", "expected udh8 | udh16 for an operator without TLVs");
    }
    let transceiver = operator.binds.iter().any(|bind| bind.kind == BindType::Transceiver);
    if version == InterfaceVersion::V33 && transceiver {
        section.error("interface_version", "expected 3.4 or 5.0: SMPP 3.3 has no transceiver binds");
    }
}

fn backoff(section: Section<'_>, default: (Duration, Duration), range: std::ops::RangeInclusive<Duration>) -> Backoff {
    let min = section.duration("min", default.0, range.clone());
    let max = section.duration("max", default.1.max(min), range);
    if max < min {
        section.error("max", format!("expected at least min, which is {}", values::show_duration(min)));
    }
    section.unknown_keys();
    Backoff { min, max }
}

fn status(section: Section<'_>) -> BTreeMap<u32, Class> {
    let mut classes = BTreeMap::new();
    for (key, word) in section.entries() {
        let field = section.field(key.value);
        let code = values::status_code(key.value).filter(|code| *code != 0);
        if code.is_none() {
            section.cx.error(key.at, &field, "expected a command_status other than 0, such as \"0x0400\" or \"1024\"");
        }
        let class = Class::ALL.into_iter().find(|class| class.word() == word.value);
        if class.is_none() {
            let expected = Class::ALL.map(Class::word).join(" | ");
            section.cx.error(word.at, &field, format!("expected {expected}, found \"{}\"", word.value));
        }
        if let (Some(code), Some(class)) = (code, class)
            && classes.insert(code, class).is_some()
        {
            section.cx.error(key.at, &field, format!("0x{code:02X} is given twice"));
        }
    }
    classes
}

fn addresses(section: Section<'_>) -> SourceAddresses {
    let read = |key, ton, npi| {
        section.parsed(key, "type of number / numbering plan, such as \"5/0\"", values::ton_npi).unwrap_or(TonNpi { ton, npi })
    };
    let addresses = SourceAddresses {
        alphanumeric: read("alphanumeric", 5, 0),
        short_code: read("short_code", 3, 0),
        international: read("international", 1, 1),
    };
    section.unknown_keys();
    addresses
}

fn bind(section: Section<'_>) -> Option<Bind> {
    if !section.has("address") {
        section.error("address", "expected a host and port such as \"smsc.example.fi:2775\", found none");
    }
    let address = section.parsed("address", "a host and port such as \"smsc.example.fi:2775\"", values::host_port);
    let tls = section.switch("tls").map(client_tls);
    let field = |key, length| {
        let expected = format!("at most {length} printable ASCII characters");
        let text = section.parsed(key, &expected, |text| values::printable(text, length));
        Arc::from(text.unwrap_or_default())
    };
    let (system_type, address_range) = (field("system_type", limit::SYSTEM_TYPE), field("address_range", limit::ADDRESS_RANGE));
    let kind = section.choice("type", BindType::default(), &BIND_TYPES);
    let system_id = system_id(&section);
    let password = password(&section);
    let count = section.count("count", 1, limit::BIND_COUNT);
    section.unknown_keys();
    Some(Bind { address: address?, tls, kind, system_id, password, system_type, address_range, count, line: section.line() })
}

/// `password` or `password_file`; neither is an empty password, which some operators that go by address want.
fn password(section: &Section<'_>) -> Secret {
    if section.has("password") && section.has("password_file") {
        section.error("password", "expected only one of password and password_file");
    }
    let file = secret_file(section, "password_file");
    let clear = section.secret("password").and_then(|password| {
        section.warning("password", "is in the clear; put it in a file of its own and name that as password_file");
        check_password(section, "password", password.as_bytes())
    });
    let key = if file.is_some() { "password_file" } else { "password" };
    let password = file.or(clear).unwrap_or_default();
    if password.expose().len() > limit::SMPP_PASSWORD {
        section
            .warning(key, format!("is longer than the {} characters of SMPP: not every operator takes it", limit::SMPP_PASSWORD));
    }
    password
}

fn client_tls(section: Section<'_>) -> ClientTls {
    let name = section.parsed("name", "a host name or an address", |text| {
        rustls_pki_types::ServerName::try_from(text).is_ok().then(|| Arc::from(text))
    });
    for (key, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(key) && !section.has(other) {
            section.error(key, format!("expected {other} with it"));
        }
    }
    let (certificate, key) = (existing(&section, "certificate"), private(&section, "key"));
    let identity = certificate.zip(key).map(|(certificate, key)| ClientIdentity { certificate, key });
    let tls = ClientTls { ca: existing(&section, "ca"), name, identity };
    section.unknown_keys();
    tls
}
