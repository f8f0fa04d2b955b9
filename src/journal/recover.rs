//! Opening the spool at start: its records make the ledger what it was.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::SpoolLog;
use crate::ledger::{Effect, Ledger, Log, Restored, Rules, Turn};
use crate::message::{MessageId, Timestamp};
use crate::spool::{Disk, OpenError, Recovery, Settings, Spool};

/// What the start found.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub recovery: Recovery,
    /// Records that are whole but that this version cannot read.
    pub unreadable: u64,
}

/// Opens the spool on `disk` and replays it into `ledger`. The ids given from now on are larger than all that were ever given.
///
/// # Errors
/// Another owner, another format version, or the disk.
pub fn open<D: Disk>(disk: D, settings: Settings, ledger: &mut Ledger) -> Result<(Spool<D>, Opened), OpenError> {
    let mut unreadable = 0;
    let (mut spool, recovery) = Spool::open(disk, settings, &mut |record| {
        let payload = Bytes::copy_from_slice(record.payload);
        if ledger.restore(record.kind, MessageId(record.id), record.location, payload).is_err() {
            tracing::error!(id = record.id, kind = record.kind, "a spool record cannot be read by this version");
            unreadable += 1;
        }
    })?;
    for location in ledger.locations() {
        spool.mark_live(location);
    }
    spool.all_marked();
    ledger.ids_from(recovery.next_id);
    Ok((spool, Opened { recovery, unreadable }))
}

/// Hands everything that waits to `deliver`, in the order of acceptance. To be called once, after [`open`].
///
/// # Errors
/// When something could not be read for the moment: it would be forgotten until the next start, which therefore is to come soon.
pub fn resume<D: Disk, R: Rules>(
    spool: &mut Spool<D>,
    ledger: &mut Ledger,
    rules: &R,
    now: Timestamp,
    deliver: impl FnMut(&mut Vec<Effect>),
) -> io::Result<Restored> {
    let mut unwritten = VecDeque::new(); // stays empty: resuming writes nothing
    let mut log = SpoolLog::new(spool, &mut unwritten);
    let mut effects = Vec::new();
    let restored = ledger.resume(&mut Turn { now, log: &mut log, rules, effects: &mut effects }, deliver);
    if log.read_failed() {
        return Err(io::Error::other("a record of the spool could not be read just now"));
    }
    Ok(restored)
}
