//! The segmented append log: records, segments, group commit, recovery, compaction, quarantine.
//!
//! The log knows records (a kind, an id, a payload), not messages. One thread owns a [`Spool`] and calls it synchronously:
//!
//! ```text
//! open        every record is shown to the caller; mark_live() for each one that is current, then all_marked()
//! append_*    into the group buffer, no I/O
//! commit      a few large writes, one fdatasync; only now may responses leave
//! release     for each full record that an appended one has replaced
//! maintain    a bounded slice of housekeeping, after the responses have left
//! survivors   while needs_compaction(): what still lives in the oldest segment is appended again
//! try_recover after a failed commit: a fresh segment; what the failed group held is appended again
//! ```
//!
//! Whatever is alive has exactly one current *full* record, whose [`Location`] the caller remembers; *delta* records after it
//! refine it. A segment is free when it is the oldest and no full record in it is current. It is recycled, not unlinked:
//! unlinking 64 MiB stalls the next commit.
//!
//! # Format, version 4
//!
//! Version 1 did not mark where groups begin; in version 2 each part sent and each mailbox item done had a record of its own. Neither
//! was ever released; they are refused. In version 3, which is read, records do not tell in which state a message finished.
//!
//! All numbers are little endian. A segment is a file `NNNNNN.segment` of fixed size. Its header stands twice, at octet 0 and
//! at octet 4096, and is durable before the first record is written, at octet 8192:
//!
//! ```text
//!  0  8  magic "smppgwsp"
//!  8  4  format version
//! 12  4  number of the segment: counts up from 1 over the life of the spool, whichever file it is in
//! 16  8  epoch: random, new in every life of a file
//! 24  4  number of the previous segment, 0 when none
//! 28  4  where the previous segment's records end
//! 32  8  epoch of the previous segment
//! 40  4  floor: segments with lower numbers are free
//! 44  4  size of the file
//! 48  8  next id: larger than every id used before
//! 56  4  zero
//! 60  4  CRC-32 of octets 0 to 59
//! ```
//!
//! A record begins at a multiple of four and is padded with zeros to one:
//!
//! ```text
//!  0  4  CRC-32 of octets 4 to the end of the payload, seeded with the CRC-32 of the epoch
//!  4  4  length of the payload, at most 1 MiB
//!  8  8  id
//! 16  1  kind
//! 17  1  class: 1 full, 2 delta; and 128 in the first record of a group
//! 18  2  upper 16 bits of the epoch
//! 20  n  payload
//! ```
//!
//! # Why recovery is right
//!
//! - The newest header names the segment before it and where that one ends, and so on down to the floor. That chain is the log.
//!   A group that failed is cut off by the first header written afterwards: it can come back only if the power goes before that
//!   header is durable, and then it stands before everything appended later.
//! - A segment leaves the log only after a commit that followed its last release, and its file is written only together with a
//!   header whose floor says so. What replaced its records is thus durable before they go.
//! - After open, writing begins in a fresh segment, so that what a crash left behind the end of the old one never continues it.
//! - Octets without a valid record at the end of the newest segment are a torn tail: they were never acknowledged and are cut. So is
//!   everything behind a hole in its last group: a crash may leave later sectors of a group without earlier ones, and what comes
//!   back of a group is always a beginning of it. A hole that another group follows, or in an older segment, is damage: copied to `quarantine/`, counted, and passed over to the next valid record.

mod accounting;
mod disk;
mod header;
mod housekeeping;
mod log;
mod open;
mod record;
mod recovery;
pub mod sim;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

pub use disk::{Disk, RealDisk};
pub use housekeeping::Survivors;
pub use log::{FailedGroup, Spool};

/// The largest payload of a record, in octets.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Folder for damaged octets, inside the spool's own.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Location {
    /// Number of the segment.
    pub segment: u32,
    /// Octets from the start of the segment's file.
    pub offset: u32,
}

/// What a record says about its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Everything; earlier records of the id no longer matter.
    Full = 1,
    /// Something more.
    Delta = 2,
}

impl Class {
    fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Class::Full),
            2 => Some(Class::Delta),
            _ => None,
        }
    }
}

/// Sizes, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Size of a segment file. Held between 64 KiB and 1 GiB.
    pub segment_size: u64,
    /// The log's size from which [`Spool::room`] says [`Room::Full`]. At least eight segments.
    pub max_size: u64,
    /// The free space on the file system below which [`Spool::room`] says [`Room::Full`].
    pub disk_reserve: u64,
}

/// A record as recovery and the scans show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered<'a> {
    pub kind: u8,
    pub class: Class,
    pub id: u64,
    pub location: Location,
    pub payload: &'a [u8],
}

/// A record read back by its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub class: Class,
    pub id: u64,
    pub payload: Vec<u8>,
}

/// Can new messages be admitted?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Ok,
    /// No new messages, please. Records about those already accepted are still taken.
    Full(Limit),
}

/// What a full spool has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    MaxSize,
    DiskReserve,
}

impl Limit {
    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Limit::MaxSize => "max_size",
            Limit::DiskReserve => "disk_reserve",
        }
    }
}

/// Does the disk do what it is asked?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// A commit failed. Nothing can be appended until [`Spool::try_recover`] succeeds.
    Failed,
}

/// What [`Spool::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Larger than every id ever appended and acknowledged.
    pub next_id: u64,
    pub segments: usize,
    pub records: u64,
    /// Damaged ranges found, and how many octets they cover; they were copied to the quarantine.
    pub damaged: u64,
    pub damaged_bytes: u64,
    /// Segments that should exist and cannot be found or read.
    pub missing_segments: u64,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Octets of the log, dead records included.
    pub used_bytes: u64,
    /// Octets of the full records that are current, estimated from each segment's average.
    pub live_bytes: u64,
    pub live_records: u64,
    pub segments_used: usize,
    /// Files ready to be recycled.
    pub segments_free: usize,
    /// Files in the quarantine.
    pub quarantined: u64,
    /// Size of the last group committed.
    pub last_commit_bytes: u64,
    /// Free space on the file system at the last look.
    pub free_space: u64,
    /// Octets the log may still grow by: what its own limit and the disk's reserve leave, whichever is less.
    pub available: u64,
}

/// Why the spool cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns it.
    Locked,
    /// A file was written by another version of this program.
    Version {
        file: String,
        found: u32,
        supported: u32,
    },
    Io(io::Error),
}

/// Why a record cannot be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendError {
    /// The payload exceeds [`MAX_PAYLOAD`] or what a segment can hold.
    TooLarge,
    /// The spool's health is [`Health::Failed`].
    Failed,
    /// The operating system gave no random number for the next segment; nothing was appended.
    NoEpoch,
    /// All segment numbers have been given, which takes four thousand million segments. The spool delivers what it holds.
    NoNumber,
}

/// A group could not be made durable. The spool's health is [`Health::Failed`] now.
#[derive(Debug)]
pub struct CommitError {
    /// What the disk said.
    pub source: io::Error,
}

/// Why a record cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// No such place in the log.
    NoSuchLocation,
    /// What stands there is not a valid record. It was copied to the quarantine; the caller should release the location.
    Damaged,
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked => write!(f, "the spool is in use by another process"),
            OpenError::Version { file, found, supported } => {
                write!(
                    f,
                    "{file} has spool format {found}, this program reads formats {} to {supported}: let the version that wrote it deliver \
                     what it holds, then move the spool's folder away",
                    header::OLDEST_VERSION
                )
            }
            OpenError::Io(error) => write!(f, "the spool cannot be opened: {error}"),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AppendError::TooLarge => "the record is too large",
            AppendError::Failed => "the spool has failed",
            AppendError::NoEpoch => "no random number for a new segment",
            AppendError::NoNumber => "no segment numbers are left: when all is delivered, move the spool's folder away",
        })
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the spool could not be written: {}", self.source)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::NoSuchLocation => write!(f, "no such place in the spool"),
            ReadError::Damaged => write!(f, "the record is damaged"),
            ReadError::Io(error) => write!(f, "the spool could not be read: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
impl std::error::Error for AppendError {}
impl std::error::Error for CommitError {}
impl std::error::Error for ReadError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Io(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}
