//! The configuration as the daemon uses it: every value in range, every name resolved, every path absolute or relative to the
//! file that named it, every secret read. Whatever holds a [`Config`] need not check it again.
//!
//! Two of them compare equal when they mean the same, so that a reload touches only what changed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use phonenumber::country;
use rustls_pki_types::ServerName;
use subtle::ConstantTimeEq;
use time::UtcOffset;

use super::fault::Fault;
use crate::receipt::{ReceiptId, ReceiptPolicy};
use crate::smpp::status::Class;
use crate::text::{DefaultAlphabet, LongMessages};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from, as it was named.
    pub file: Arc<str>,
    pub node: Node,
    pub spool: Spool,
    pub control: Control,
    pub metrics: Metrics,
    pub limits: Limits,
    pub timers: Timers,
    pub messages: Messages,
    pub mailbox: Mailbox,
    pub log: Log,
    pub daemon: Daemon,
    /// At least one.
    pub listeners: Vec<Listener>,
    pub accounts: Vec<Account>,
    pub operators: Vec<Operator>,
    pub routing: Routing,
    pub inbound: Vec<Inbound>,
    /// What is allowed but unwise.
    pub warnings: Vec<Fault>,
}

/// The line in the configuration file, from 1. No part of the meaning: an account that moved in the file is the same account,
/// so all lines compare equal.
#[derive(Debug, Clone, Copy, Default, Eq)]
pub struct Line(pub u32);

impl PartialEq for Line {
    fn eq(&self, _: &Line) -> bool {
        true
    }
}

/// A password in the clear. It never shows in logs, and compares in constant time.
#[derive(Clone, Default, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Secret(secret.into().into_boxed_slice())
    }

    /// The octets themselves, for the bind PDU or the comparison.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[node]`: who this gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// In metrics, ids and logs; `[A-Za-z0-9]{1,16}`.
    pub name: Arc<str>,
    pub data_dir: PathBuf,
}

/// `[spool]`: sizes in octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    pub segment_size: u64,
    /// Submits are answered with ESME_RMSGQFUL (0x14) beyond it.
    pub max_size: u64,
    /// ... or when less than this is free on the file system.
    pub disk_reserve: u64,
}

/// `[control]`: the unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub socket: PathBuf,
    /// File mode bits.
    pub mode: u32,
}

/// `[metrics]`: the scrape endpoint; `None` turns it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    pub listen: Option<SocketAddr>,
}

/// `[limits]`: what protects the process from its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_address: usize,
    /// Largest PDU accepted, in octets.
    pub pdu_size: usize,
    /// Pending messages an account may have; ESME_RMSGQFUL (0x14) beyond. Each account may have its own.
    pub queue_per_account: u64,
    /// Messages, receipts and MO messages that may be kept at once, over all accounts; ESME_RMSGQFUL (0x14) beyond. About 90 octets
    /// of memory each, and the payload of the hot ones.
    pub pending: u64,
    /// Messages kept in memory with their payload.
    pub hot_messages: usize,
}

/// `[timers]` of a session (SMPP 5.0 section 2.7). Accounts and operators may override them; theirs are already resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// From connection to bind.
    pub session_init: Duration,
    /// Silence after which an enquire_link is sent; `None` = never.
    pub enquire_link: Option<Duration>,
    /// Time without an operation after which the session is ended; `None` = never.
    pub inactivity: Option<Duration>,
    /// How long a response is awaited.
    pub response: Duration,
}

/// `[messages]`: times in the life of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// Validity of a message that names none.
    pub default_validity: Duration,
    /// Longer validities are cut to this one.
    pub max_validity: Duration,
    /// How long an operator's receipt is awaited.
    pub receipt_timeout: Duration,
    /// Finished messages kept for look-up.
    pub history: usize,
    /// How long a receipt that matches no message is kept, in case it overtook its submit_sm_resp.
    pub early_receipt: Duration,
    /// How long the missing parts of an MO message are awaited.
    pub mo_reassembly: Duration,
    /// Sessions in a row that may die while a message is in flight, before it is put in quarantine.
    pub poison_attempts: u8,
}

/// `[mailbox]`: receipts and MO messages that wait for their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub time_to_live: Duration,
    pub max_per_account: u64,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// `[daemon]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Limit for an orderly stop.
    pub drain: Duration,
    /// Threads of the runtime; `None` = one per core.
    pub workers: Option<usize>,
}

/// `[[listener]]`: where applications connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Unique; matches FileDescriptorName of a systemd socket unit.
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub tls: Option<ServerTls>,
    pub line: Line,
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Certificate chain, PEM, own certificate first.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Set for mutual TLS: clients must show a certificate of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// TLS of a bind to an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities to trust; `None` = those of the system.
    pub ca: Option<PathBuf>,
    /// The name the certificate must have; `None` = the host of the address.
    pub name: Option<Arc<str>>,
    /// Own certificate and key for mutual TLS.
    pub identity: Option<ClientIdentity>,
}

/// What we show to an operator that asks for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How an account proves itself. Neither kind shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Clear(Secret),
    /// PHC string of argon2id, checked to be well-formed.
    Argon2id(Arc<str>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[[account]]`: an application that may bind.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Unique.
    pub system_id: Arc<str>,
    pub credential: Credential,
    /// Empty = anywhere.
    pub allow_from: Vec<IpNet>,
    /// The name that the client certificate of its connections must be for; `None` = they need none.
    pub certificate: Option<ServerName<'static>>,
    /// Sessions at once.
    pub binds: usize,
    /// Requests a bind may have unanswered, each way.
    pub window: usize,
    /// Submits per second over all binds; `None` = unlimited.
    pub rate: Option<u32>,
    pub alphabet: DefaultAlphabet,
    /// Completes national numbers; `None` = numbers are taken as they are.
    pub country: Option<country::Id>,
    /// Allowed senders as written; `None` = any well-formed one.
    pub senders: Option<Vec<Arc<str>>>,
    pub max_parts: u8,
    pub receipts: ReceiptPolicy,
    /// Offset from UTC of the dates in the receipts we write.
    pub receipt_utc_offset: UtcOffset,
    pub default_validity: Duration,
    pub max_validity: Duration,
    /// Highest priority_flag that is respected; higher ones are lowered to it.
    pub priority_max: u8,
    /// Refuse PDUs with over-long or unterminated fields that others get away with.
    pub strict: bool,
    /// Replace characters outside GSM 7-bit by similar ones rather than sending UCS-2.
    pub transliterate: bool,
    /// Pending messages it may have.
    pub queue: u64,
    pub timers: Timers,
    pub line: Line,
}

/// `[[operator]]`: an SMSC we bind to.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Unique.
    pub name: Arc<str>,
    /// Requests a bind may have unanswered.
    pub window: usize,
    /// Submits per second over all binds; `None` = unlimited.
    pub rate: Option<u32>,
    pub alphabet: DefaultAlphabet,
    pub long_messages: LongMessages,
    pub receipt_id: ReceiptId,
    pub timers: Timers,
    pub reconnect: Backoff,
    pub retry: Backoff,
    pub unknown_outcome: UnknownOutcome,
    /// Classes of command_status values that differ from the built-in ones.
    pub status: BTreeMap<u32, Class>,
    pub addresses: SourceAddresses,
    /// Shorter validities are lengthened to this one; zero = never.
    pub min_validity: Duration,
    /// Whether validity_period is sent at all.
    pub send_validity: bool,
    /// Whether it understands TLVs at all.
    pub tlvs: bool,
    pub strict: bool,
    /// Offset from UTC of the dates in its receipts.
    pub receipt_time_zone: UtcOffset,
    pub interface_version: InterfaceVersion,
    /// At least one.
    pub binds: Vec<Bind>,
    pub line: Line,
}

/// A delay that grows from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub min: Duration,
    pub max: Duration,
}

/// What happens to a message whose session died with the request open, or whose response never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownOutcome {
    /// Send it again to the same operator; counted as a possible duplicate.
    #[default]
    Resend,
    /// Report it as failed.
    Fail,
    /// Send it to the next operator; counted as a possible duplicate.
    Next,
}

/// `interface_version` of the bind (SMPP 5.0 section 4.7.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterfaceVersion {
    V33,
    #[default]
    V34,
    V50,
}

impl InterfaceVersion {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            InterfaceVersion::V33 => 0x33,
            InterfaceVersion::V34 => 0x34,
            InterfaceVersion::V50 => 0x50,
        }
    }
}

/// Type of number and numbering plan (SMPP 5.0 section 4.7.1-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TonNpi {
    pub ton: u8,
    pub npi: u8,
}

/// TON and NPI an operator wants for each kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddresses {
    pub alphanumeric: TonNpi,
    pub short_code: TonNpi,
    /// Of E.164 numbers; destinations use it as well.
    pub international: TonNpi,
}

/// `[[operator.bind]]`: connections to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub address: HostPort,
    pub tls: Option<ClientTls>,
    pub kind: BindType,
    pub system_id: Arc<str>,
    pub password: Secret,
    pub system_type: Arc<str>,
    /// Empty = not given.
    pub address_range: Arc<str>,
    /// This many connections.
    pub count: usize,
    pub line: Line,
}

/// A host, by name or address, and a port. Names are resolved at each connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// IPv6 addresses are without brackets.
    pub host: Arc<str>,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BindType {
    #[default]
    Transceiver,
    Transmitter,
    Receiver,
}

impl BindType {
    /// Can messages be submitted on it?
    pub fn can_send(self) -> bool {
        self != BindType::Receiver
    }

    /// Do receipts and MO messages come in on it?
    pub fn can_receive(self) -> bool {
        self != BindType::Transmitter
    }
}

/// `[routing]` and all `[[route]]`: what the route table is built from. Operators and accounts of the rules exist; the content
/// of the CSV files is checked by the table itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routing {
    pub prefixes: Option<PathBuf>,
    pub ported: Option<PathBuf>,
    pub rules: Vec<RouteRule>,
}

/// `[[route]]`: the longest prefix wins, and of equal ones the rule with more conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    /// Digits of E.164 numbers, or "" for all.
    pub prefixes: Vec<Arc<str>>,
    /// Empty = all accounts.
    pub accounts: Vec<Arc<str>>,
    /// Empty = all senders.
    pub senders: Vec<Arc<str>>,
    /// In order of preference; at least one.
    pub operators: Vec<Arc<str>>,
    pub line: Line,
}

/// `[[inbound]]`: who gets MO messages to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Digits without `+`.
    pub number: Arc<str>,
    /// First word of the text, in upper case; `None` = everything else for the number.
    pub keyword: Option<Arc<str>>,
    pub account: Arc<str>,
    pub line: Line,
}
