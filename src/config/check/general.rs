//! The sections about the gateway itself, and its listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::checked::*;
use super::super::limits::{self as limit, default};
use super::super::raw::Section;
use super::super::values;
use super::{existing, private};

pub fn node(section: Section<'_>) -> Node {
    let plain = |text: &str| (1..=16).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric());
    let name = section.parsed("name", "1..=16 letters and digits", |text| plain(text).then(|| Arc::from(text)));
    let data_dir = section.path("data_dir").map_or_else(|| default::DATA_DIR.into(), |path| path.value);
    section.unknown_keys();
    Node { name: name.unwrap_or_else(|| Arc::from("gw")), data_dir }
}

pub fn spool(section: Section<'_>) -> Spool {
    let spool = Spool {
        segment_size: section.size("segment_size", default::SEGMENT_SIZE, limit::SEGMENT_SIZE),
        max_size: section.size("max_size", default::SPOOL_SIZE, limit::SPOOL_SIZE),
        disk_reserve: section.size("disk_reserve", default::DISK_RESERVE, limit::DISK_RESERVE),
    };
    let least = limit::SEGMENTS_MIN * spool.segment_size;
    if spool.max_size < least {
        let (least, found) = (values::show_size(least), values::show_size(spool.max_size));
        section.error("max_size", format!("expected at least {least} for these segments, found {found}"));
    }
    section.unknown_keys();
    spool
}

pub fn control(section: Section<'_>) -> Control {
    let socket = section.path("socket").map_or_else(|| default::CONTROL_SOCKET.into(), |path| path.value);
    if socket.as_os_str().len() > limit::SOCKET_PATH {
        section
            .error("socket", format!("expected a path of at most {} octets: unix sockets allow no longer", limit::SOCKET_PATH));
    }
    let mode = section.parsed("mode", "file mode bits such as \"0660\"", values::mode).unwrap_or(default::CONTROL_MODE);
    if mode & 0o002 != 0 {
        section.warning("mode", "lets every user of this machine look into the gateway");
    }
    section.unknown_keys();
    Control { socket, mode }
}

pub fn metrics(section: Section<'_>) -> Metrics {
    let parse = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let listen = section.parsed("listen", "an address and port such as \"127.0.0.1:9464\", or \"\" to turn it off", parse);
    section.unknown_keys();
    Metrics { listen: listen.unwrap_or_else(|| default::METRICS.parse().ok()) }
}

pub fn limits(section: Section<'_>) -> Limits {
    let connections = section.integer("connections", default::CONNECTIONS, limit::CONNECTIONS);
    let per_address = default::CONNECTIONS_PER_ADDRESS.min(connections);
    let limits = Limits {
        connections: connections as usize,
        connections_per_address: section.count("connections_per_address", per_address, 1..=connections),
        pdu_size: section.size("pdu_size", default::PDU_SIZE, limit::PDU_SIZE) as usize,
        queue_per_account: section.integer("queue_per_account", default::QUEUE, limit::QUEUE),
        pending: section.integer("pending", default::PENDING, limit::QUEUE),
        hot_messages: section.count("hot_messages", default::HOT_MESSAGES, limit::HOT_MESSAGES),
    };
    section.unknown_keys();
    limits
}

pub fn timers(section: Section<'_>) -> Timers {
    let defaults = Timers {
        session_init: default::SESSION_INIT,
        enquire_link: Some(default::ENQUIRE_LINK),
        inactivity: None,
        response: default::RESPONSE,
    };
    let timers = Timers {
        session_init: section.duration("session_init", defaults.session_init, limit::SESSION_INIT),
        ..session_timers(&section, &defaults)
    };
    section.unknown_keys();
    timers
}

/// The timers an account or operator may have of its own.
pub fn session_timers(section: &Section<'_>, defaults: &Timers) -> Timers {
    Timers {
        session_init: defaults.session_init,
        enquire_link: section.timer("enquire_link", limit::ENQUIRE_LINK).unwrap_or(defaults.enquire_link),
        inactivity: section.timer("inactivity", limit::INACTIVITY).unwrap_or(defaults.inactivity),
        response: section.duration("response", defaults.response, limit::RESPONSE),
    }
}

pub fn messages(section: Section<'_>) -> Messages {
    let max_validity = section.duration("max_validity", default::MAX_VALIDITY, limit::VALIDITY);
    let messages = Messages {
        default_validity: section.duration("default_validity", default::VALIDITY.min(max_validity), limit::VALIDITY),
        max_validity,
        receipt_timeout: section.duration("receipt_timeout", default::RECEIPT_TIMEOUT, limit::RECEIPT_TIMEOUT),
        history: section.count("history", default::HISTORY, limit::HISTORY),
        early_receipt: section.duration("early_receipt", default::EARLY_RECEIPT, limit::EARLY_RECEIPT),
        mo_reassembly: section.duration("mo_reassembly", default::MO_REASSEMBLY, limit::MO_REASSEMBLY),
        poison_attempts: section.integer("poison_attempts", default::POISON_ATTEMPTS, limit::POISON_ATTEMPTS) as u8,
    };
    if messages.default_validity > messages.max_validity {
        let max = values::show_duration(messages.max_validity);
        section.error("default_validity", format!("expected at most max_validity, which is {max}"));
    }
    section.unknown_keys();
    messages
}

pub fn mailbox(section: Section<'_>) -> Mailbox {
    let mailbox = Mailbox {
        time_to_live: section.duration("time_to_live", default::TIME_TO_LIVE, limit::TIME_TO_LIVE),
        max_per_account: section.integer("max_per_account", default::MAILBOX, limit::MAILBOX),
    };
    section.unknown_keys();
    mailbox
}

pub fn log(section: Section<'_>) -> Log {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = Log {
        level: section.choice("level", LogLevel::Info, &levels),
        format: section.choice("format", LogFormat::Auto, &formats),
    };
    section.unknown_keys();
    log
}

pub fn daemon(section: Section<'_>) -> Daemon {
    let workers = section.optional_integer("workers", limit::WORKERS).map(|workers| workers as usize);
    let daemon = Daemon { drain: section.duration("drain", default::DRAIN, limit::DRAIN), workers };
    section.unknown_keys();
    daemon
}

/// All `[[listener]]`; with none, one without TLS that only this machine can reach.
pub fn listeners(root: &Section<'_>) -> Vec<Listener> {
    let sections = root.tables("listener");
    if sections.is_empty() {
        let address = default::LISTENER.parse::<SocketAddr>();
        return address.into_iter().map(|address| listener_of("plain", address, None, Line(0))).collect();
    }
    sections.into_iter().filter_map(listener).collect()
}

fn listener_of(name: &str, address: SocketAddr, tls: Option<ServerTls>, line: Line) -> Listener {
    Listener { name: Arc::from(name), address, tls, line }
}

fn listener(section: Section<'_>) -> Option<Listener> {
    let name = section.required_text("name");
    let short =
        |name: &str| !name.is_empty() && name.len() <= 64 && !name.contains(':') && name.bytes().all(|c| c.is_ascii_graphic());
    if name.is_some_and(|name| !short(name.value)) {
        section.error("name", "expected 1..=64 printable characters without space and colon");
    }
    if !section.has("address") {
        section.error("address", "expected an address and port such as \"0.0.0.0:2775\", found none");
    }
    let address = section.parsed("address", "an address and port such as \"0.0.0.0:2775\"", |text| text.parse().ok());
    let tls = section.has("tls").then(|| server_tls(section.table("tls")));
    section.unknown_keys();
    Some(listener_of(name?.value, address?, tls.flatten(), section.line()))
}

fn server_tls(section: Section<'_>) -> Option<ServerTls> {
    for key in ["certificate", "key"] {
        if !section.has(key) {
            section.error(key, "expected the path of a PEM file, found none");
        }
    }
    let (certificate, key) = (existing(&section, "certificate"), private(&section, "key"));
    let client_ca = existing(&section, "client_ca");
    section.unknown_keys();
    Some(ServerTls { certificate: certificate?, key: key?, client_ca })
}
