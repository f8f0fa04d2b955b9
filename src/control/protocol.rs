//! Requests and replies of the control socket: one JSON object per line each way.
//!
//! ```text
//! {"command":"message","id":"gw10000002a"}
//! {"now":1700000000000,"command":"message","id":"gw10000002a","account":"shop",...}
//! {"error":"unknown command \"stat\": expected one of stats, accounts, ..."}
//! ```
//!
//! Moments are unix milliseconds of the gateway's own clock, which every reply shows as `now`; sizes are octets. Numbers of
//! subscribers are masked, and no text of a message is ever told. Fields may be added; those that are here stay.

mod message;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use message::{FoundMessage, Message, Messages, Number, Place};

use crate::config::{Fault, nearest};
use crate::ledger::StrayReceipt;
use crate::message::Timestamp;

/// The longest request, in octets, its newline included.
pub const MAX_REQUEST: usize = 4 * 1024;

/// The names of all commands.
pub const COMMANDS: [&str; 13] = [
    "stats",
    "accounts",
    "binds",
    "queues",
    "operators",
    "routes",
    "receipts",
    "quarantine",
    "message",
    "messages",
    "reload",
    "drain",
    "version",
];

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    Stats,
    Accounts,
    Binds,
    Queues,
    Operators,
    Routes,
    Receipts,
    /// Messages that bring sessions down, or what is to become of them.
    Quarantine {
        #[serde(default)]
        action: QuarantineAction,
        /// The message to be released or dropped, or `all`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// Where is this message? The id as the application knows it.
    Message {
        id: String,
    },
    /// Which messages are these? Either those to a number, or those an operator knows by this id.
    Messages {
        /// As an application or a caller writes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Number>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator_id: Option<String>,
        /// Whose id it is; without it, whoever's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<String>,
    },
    Reload,
    Drain,
    Version,
}

/// What to do with messages in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuarantineAction {
    #[default]
    List,
    /// Queue again, as if they had never been tried.
    Release,
    /// End as undeliverable; the owner gets the receipt it asked for.
    Drop,
}

impl Request {
    /// The name of its command, as in [`COMMANDS`].
    pub fn name(&self) -> &'static str {
        match self {
            Request::Stats => "stats",
            Request::Accounts => "accounts",
            Request::Binds => "binds",
            Request::Queues => "queues",
            Request::Operators => "operators",
            Request::Routes => "routes",
            Request::Receipts => "receipts",
            Request::Quarantine { .. } => "quarantine",
            Request::Message { .. } => "message",
            Request::Messages { .. } => "messages",
            Request::Reload => "reload",
            Request::Drain => "drain",
            Request::Version => "version",
        }
    }

    /// Does it change anything?
    pub fn acts(&self) -> bool {
        match self {
            Request::Reload | Request::Drain => true,
            Request::Quarantine { action, .. } => *action != QuarantineAction::List,
            _ => false,
        }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// What to tell whoever sent it.
    pub fn parse(line: &[u8]) -> Result<Request, String> {
        #[derive(Deserialize)]
        struct Head {
            command: String,
        }
        let head: Head = serde_json::from_slice(line)
            .map_err(|error| format!("expected one JSON object such as {{\"command\":\"stats\"}}: {}", brief(error)))?;
        if !COMMANDS.contains(&&*head.command) {
            let meant = nearest(&head.command, COMMANDS).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let name: String = head.command.chars().take(40).collect();
            return Err(format!("unknown command {name:?}: expected one of {}{meant}", COMMANDS.join(", ")));
        }
        serde_json::from_slice(line).map_err(|error| format!("{}: {}", head.command, brief(error)))
    }
}

/// What is wrong with a line, without all of the line: the complaint may quote it.
fn brief(error: serde_json::Error) -> String {
    const LONGEST: usize = 200;
    error.to_string().chars().take(LONGEST).collect()
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub now: u64,
    #[serde(flatten)]
    pub reply: Reply,
}

/// A request that was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
    /// Of a configuration that was not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Refusal {
    pub fn new(error: impl Into<String>) -> Self {
        Refusal { error: error.into(), faults: Vec::new() }
    }
}

/// What is answered; each has the name of its command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Reply {
    Stats(Box<Stats>),
    Accounts {
        accounts: Vec<Account>,
    },
    Binds {
        binds: Vec<Bind>,
    },
    Queues {
        queues: Vec<Queue>,
        mailboxes: Vec<Mailbox>,
        unrouted: usize,
    },
    Operators {
        operators: Vec<Operator>,
    },
    Routes(Routes),
    /// Receipts without a message: those whose time is over, and how many are parked until theirs is; of both the newest first.
    Receipts {
        unmatched: Vec<StrayReceipt>,
        parked: usize,
        #[serde(default)]
        newest_parked: Vec<StrayReceipt>,
    },
    Quarantine(Quarantine),
    Message(Box<Message>),
    Messages(Messages),
    Reload(ReloadReport),
    Drain(Drained),
    Version(Version),
}

/// The gateway at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub node: Arc<str>,
    pub version: String,
    pub started_at: u64,
    /// Are submits taken at all?
    pub accepting: bool,
    /// Everything that holds messages back now, most general first; empty when nothing does.
    pub limiters: Vec<Limiter>,
    /// Sessions of applications.
    pub sessions: usize,
    pub binds_up: usize,
    pub binds: usize,
    /// Messages accepted and not final.
    pub pending: u64,
    /// Messages in the operators' queues.
    pub queued: usize,
    /// Messages that no operator of the configuration may carry.
    pub unrouted: usize,
    /// Receipts and MO messages that wait for their accounts.
    pub mailbox: usize,
    /// Absent while the gateway is starting.
    pub journal: Option<Journal>,
    /// Absent until the first commit.
    pub spool: Option<Spool>,
}

/// Something that holds messages back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limiter {
    /// `spool`, `operator elisa`, `account shop`.
    pub who: String,
    /// Which limit, with its value, and what it does.
    pub what: String,
}

/// The thread that makes messages durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Batches that wait for it, and how many may.
    pub backlog: usize,
    pub capacity: usize,
    pub disk_failing: bool,
    pub full: bool,
}

/// The spool at its newest commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spool {
    pub used: u64,
    pub max: u64,
    pub live: u64,
    pub live_records: u64,
    pub segments: usize,
    pub spare_segments: usize,
    pub disk_free: u64,
    pub disk_reserve: u64,
    /// Damaged pieces that were put aside.
    pub quarantined: u64,
    pub commit_microseconds: u64,
    pub commit_bytes: u64,
    pub commit_events: usize,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub account: Arc<str>,
    /// False when a reload took it out of the configuration and something of it is still here.
    pub configured: bool,
    pub sessions: usize,
    pub sessions_max: usize,
    pub pending: u64,
    pub pending_max: u64,
    /// Submits per second; absent = unlimited.
    pub rate: Option<u32>,
    /// Submits were refused for the rate within the last second.
    pub throttled: bool,
    pub mailbox: usize,
    pub mailbox_oldest_at: Option<u64>,
}

/// A connection to an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub operator: Arc<str>,
    pub number: usize,
    pub address: String,
    /// `transceiver`, `transmitter` or `receiver`.
    pub kind: String,
    pub up: bool,
    /// Milliseconds it has been up, or down.
    pub since_milliseconds: u64,
    /// Requests without a response, and how many there may be.
    pub window_used: usize,
    pub window: usize,
    /// Messages per second it holds itself to, because the operator said "too fast".
    pub slowed_to: Option<u32>,
    /// Why it is down; empty while it is up.
    pub reason: String,
}

/// What waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub operator: Arc<str>,
    pub length: usize,
    pub oldest_at: Option<u64>,
    /// When the next message whose time has not come is due.
    pub next_due_at: Option<u64>,
    /// Binds that can send.
    pub senders: usize,
    /// What holds it back now, if anything does.
    pub limiter: Option<String>,
}

/// What waits for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    pub account: Arc<str>,
    pub length: usize,
    pub oldest_at: Option<u64>,
    pub sessions: usize,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    pub operator: Arc<str>,
    /// False when a reload took it out of the configuration and messages still wait for it.
    pub configured: bool,
    pub up: bool,
    pub binds_up: usize,
    pub binds: usize,
    pub queue: usize,
    pub window_used: usize,
    pub window: usize,
    /// Submits per second over all binds; absent = unlimited.
    pub rate: Option<u32>,
    pub limiter: Option<String>,
}

/// The route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    pub prefixes: usize,
    pub ported: usize,
    pub prefixes_file: Option<PathBuf>,
    pub ported_file: Option<PathBuf>,
    /// The rules of the configuration file itself.
    pub rules: Vec<Route>,
    pub inbound: Vec<Inbound>,
}

/// A `[[route]]`; empty lists are no condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub line: u32,
    pub prefixes: Vec<Arc<str>>,
    pub accounts: Vec<Arc<str>>,
    pub senders: Vec<Arc<str>>,
    pub operators: Vec<Arc<str>>,
}

/// An `[[inbound]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    pub number: Arc<str>,
    pub keyword: Option<Arc<str>>,
    pub account: Arc<str>,
}

/// Messages in quarantine, or those that were until this request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// What was done with them.
    pub action: QuarantineAction,
    /// In the order of acceptance.
    pub messages: Vec<QuarantinedMessage>,
}

/// A message in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedMessage {
    pub id: String,
    pub account: Arc<str>,
    /// The operator whose session died last.
    pub operator: Arc<str>,
    /// Masked.
    pub destination: String,
    /// Sessions that died in a row while it was in flight.
    pub attempts: u8,
    pub since: u64,
    /// When its owner is told that it has expired.
    pub expires_at: Option<u64>,
    pub reason: String,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReloadReport {
    pub file: Arc<str>,
    pub accounts: Changes,
    pub operators: Changes,
    /// Prefixes and ported numbers of the table now in force.
    pub prefixes: usize,
    pub ported: usize,
    /// Sections that differ and take effect only after a restart.
    pub needs_restart: Vec<String>,
    pub warnings: Vec<Fault>,
}

/// Names that came, went or mean something else now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    pub added: Vec<Arc<str>>,
    pub removed: Vec<Arc<str>>,
    pub changed: Vec<Arc<str>>,
}

/// The gateway has stopped in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Those that did not end in time and were cut.
    pub sessions: usize,
    /// Messages that stay in the spool for the next start.
    pub pending: u64,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub version: String,
    pub node: Arc<str>,
    pub process: u32,
    pub started_at: u64,
    pub config: Arc<str>,
}

/// A moment as the replies have it.
pub(super) fn moment(at: Option<Timestamp>) -> Option<u64> {
    at.filter(|at| *at != Timestamp::NEVER).map(|at| at.0)
}
