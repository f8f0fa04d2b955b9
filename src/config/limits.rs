//! Every built-in limit of the configuration in one place, with the relations that must hold between them.

use std::ops::RangeInclusive;
use std::time::Duration;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const TIB: u64 = 1 << 40;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
const DAY: u64 = 86_400;

/// A configuration file longer than this is not one.
pub const CONFIG_FILE_SIZE: usize = 16 << 20;
/// A secret file longer than this is not one.
pub const SECRET_FILE_SIZE: usize = 4096;

/// Accounts are numbered in 16 bits ([`crate::message::AccountKey`]); names outlive reloads, so some room is left.
pub const ACCOUNTS: usize = 60_000;
pub const OPERATORS: usize = 1_000;
pub const LISTENERS: usize = 64;

/// Characters of system_id by SMPP (5.0 section 4.1.1.1), without terminator.
pub const SYSTEM_ID: usize = 15;
/// Characters of password by SMPP, without terminator. Peers with longer ones exist.
pub const SMPP_PASSWORD: usize = 8;
pub const PASSWORD: usize = 64;
pub const SYSTEM_TYPE: usize = 12;
pub const ADDRESS_RANGE: usize = 40;
/// `sun_path` of a unix socket, without terminator.
pub const SOCKET_PATH: usize = 107;
/// Digits of an E.164 number.
pub const E164_DIGITS: usize = 15;
/// Characters of a source address by SMPP, without terminator.
pub const ADDRESS: usize = 20;
/// Septets of an alphanumeric sender (3GPP TS 23.040 section 9.1.2.5).
pub const ALPHANUMERIC: usize = 11;

pub const SEGMENT_SIZE: RangeInclusive<u64> = MIB..=GIB;
pub const SPOOL_SIZE: RangeInclusive<u64> = 8 * MIB..=64 * TIB;
pub const DISK_RESERVE: RangeInclusive<u64> = 0..=TIB;
/// Fewer segments than this leave no room to free one.
pub const SEGMENTS_MIN: u64 = 4;

pub const CONNECTIONS: RangeInclusive<u64> = 1..=100_000;
/// The least is a submit_sm with everything in it; the most bounds what a peer can make us keep.
pub const PDU_SIZE: RangeInclusive<u64> = KIB..=MIB / 2;
pub const QUEUE: RangeInclusive<u64> = 1..=100_000_000;
/// Tries at a message that brings sessions down; counted in an octet.
pub const POISON_ATTEMPTS: RangeInclusive<u64> = 1..=100;
pub const HOT_MESSAGES: RangeInclusive<u64> = 1_000..=10_000_000;
pub const HISTORY: RangeInclusive<u64> = 0..=10_000_000;
pub const MAILBOX: RangeInclusive<u64> = 1..=100_000_000;
pub const WORKERS: RangeInclusive<u64> = 1..=256;

pub const BINDS: RangeInclusive<u64> = 1..=1_000;
pub const WINDOW: RangeInclusive<u64> = 1..=10_000;
pub const RATE: RangeInclusive<u64> = 1..=1_000_000;
/// Parts of a concatenated message: 3GPP TS 23.040 section 9.2.3.24.1 allows 255, the ledger keeps track of fewer.
pub const PARTS: RangeInclusive<u64> = 1..=crate::ledger::MAX_PARTS as u64;
pub const PRIORITY: RangeInclusive<u64> = 0..=3;
pub const BIND_COUNT: RangeInclusive<u64> = 1..=100;

pub const SESSION_INIT: RangeInclusive<Duration> = seconds(1)..=seconds(300);
pub const ENQUIRE_LINK: RangeInclusive<Duration> = seconds(1)..=seconds(3600);
pub const INACTIVITY: RangeInclusive<Duration> = seconds(1)..=seconds(DAY);
pub const RESPONSE: RangeInclusive<Duration> = seconds(1)..=seconds(600);
pub const RECONNECT: RangeInclusive<Duration> = Duration::from_millis(100)..=seconds(3600);
pub const RETRY: RangeInclusive<Duration> = Duration::from_millis(100)..=seconds(DAY);
pub const VALIDITY: RangeInclusive<Duration> = seconds(1)..=seconds(63 * 7 * DAY);
pub const MIN_VALIDITY: RangeInclusive<Duration> = Duration::ZERO..=seconds(7 * DAY);
pub const RECEIPT_TIMEOUT: RangeInclusive<Duration> = seconds(60)..=seconds(30 * DAY);
pub const EARLY_RECEIPT: RangeInclusive<Duration> = seconds(1)..=seconds(DAY);
pub const MO_REASSEMBLY: RangeInclusive<Duration> = seconds(1)..=seconds(7 * DAY);
pub const TIME_TO_LIVE: RangeInclusive<Duration> = seconds(60)..=seconds(90 * DAY);
pub const DRAIN: RangeInclusive<Duration> = seconds(1)..=seconds(600);

/// Memory cost of an argon2id hash in KiB: one verification may take this much.
pub const ARGON2_MEMORY: u32 = 256 * 1024;
/// Passes of an argon2id hash.
pub const ARGON2_PASSES: u32 = 16;

/// What serves when the file says nothing.
pub mod default {
    use std::time::Duration;

    use super::{DAY, GIB, KIB, MIB, seconds};

    pub const DATA_DIR: &str = "/var/lib/smppgw";
    pub const CONTROL_SOCKET: &str = "/run/smppgw/control.sock";
    pub const CONTROL_MODE: u32 = 0o660;
    pub const LISTENER: &str = "127.0.0.1:2775";
    pub const METRICS: &str = "127.0.0.1:9464";
    pub const SEGMENT_SIZE: u64 = 64 * MIB;
    pub const SPOOL_SIZE: u64 = 20 * GIB;
    pub const DISK_RESERVE: u64 = GIB;
    pub const CONNECTIONS: u64 = 4096;
    pub const CONNECTIONS_PER_ADDRESS: u64 = 256;
    pub const PDU_SIZE: u64 = 64 * KIB;
    pub const QUEUE: u64 = 1_000_000;
    /// About a gibibyte of memory.
    pub const PENDING: u64 = 12_000_000;
    pub const POISON_ATTEMPTS: u64 = 3;
    pub const HOT_MESSAGES: u64 = 200_000;
    pub const HISTORY: u64 = 100_000;
    pub const MAILBOX: u64 = 1_000_000;
    pub const ACCOUNT_BINDS: u64 = 10;
    pub const ACCOUNT_WINDOW: u64 = 100;
    pub const OPERATOR_WINDOW: u64 = 10;
    pub const PARTS: u64 = 10;
    pub const PRIORITY: u64 = 3;
    pub const SESSION_INIT: Duration = seconds(5);
    pub const ENQUIRE_LINK: Duration = seconds(30);
    pub const RESPONSE: Duration = seconds(30);
    pub const RECONNECT: (Duration, Duration) = (seconds(1), seconds(60));
    pub const RETRY: (Duration, Duration) = (seconds(5), seconds(900));
    pub const VALIDITY: Duration = seconds(2 * DAY);
    pub const MAX_VALIDITY: Duration = seconds(7 * DAY);
    pub const RECEIPT_TIMEOUT: Duration = seconds(3 * DAY);
    pub const EARLY_RECEIPT: Duration = seconds(300);
    pub const MO_REASSEMBLY: Duration = seconds(600);
    pub const TIME_TO_LIVE: Duration = seconds(7 * DAY);
    pub const DRAIN: Duration = seconds(30);
}

// A limit that contradicts another does not compile.
const _: () = {
    assert!(ACCOUNTS < u16::MAX as usize);
    assert!(OPERATORS < u16::MAX as usize);
    assert!(default::SPOOL_SIZE >= SEGMENTS_MIN * default::SEGMENT_SIZE);
    assert!(*SPOOL_SIZE.start() >= SEGMENTS_MIN * *SEGMENT_SIZE.start());
    assert!(*SEGMENT_SIZE.end() <= u32::MAX as u64);
    // A record (a PDU and its envelope) must fit in the smallest segment, and a segment in 32-bit offsets.
    assert!(2 * *PDU_SIZE.end() <= *SEGMENT_SIZE.start());
    assert!(default::CONNECTIONS_PER_ADDRESS <= default::CONNECTIONS);
    assert!(default::HOT_MESSAGES <= default::QUEUE);
    assert!(default::QUEUE <= default::PENDING);
    assert!(*POISON_ATTEMPTS.end() < u8::MAX as u64);
    assert!(default::VALIDITY.as_secs() <= default::MAX_VALIDITY.as_secs());
    assert!(default::MAX_VALIDITY.as_secs() <= VALIDITY.end().as_secs());
    assert!(MIN_VALIDITY.end().as_secs() <= VALIDITY.end().as_secs());
    assert!(default::RECONNECT.0.as_millis() <= default::RECONNECT.1.as_millis());
    assert!(default::RETRY.0.as_millis() <= default::RETRY.1.as_millis());
    assert!(*PARTS.end() <= 255);
    assert!(SMPP_PASSWORD <= PASSWORD);
    assert!(PASSWORD <= SECRET_FILE_SIZE);
};
