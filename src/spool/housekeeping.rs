//! Work between commits, in bounded slices: the survivors of the oldest segment, and the spare file.

use std::io;

use super::disk::Disk;
use super::header::RECORDS_AT;
use super::log::{Spool, records_in};
use super::record::{self, Epoch, MAX_RECORD};
use super::recovery::{Found, Scan};
use super::{Class, Health, Limit, Location, Recovered, Room};

/// How much of a spare file one call of [`Spool::maintain`] fills with zeros: twice what the last commit wrote, so that the file is
/// ready before it is needed, and no more, because commits share the disk with it. Whole pages, up to a bound.
const PAGE: u64 = 4096;
const ZERO_SLICE_MAX: u64 = 1 << 20;
static ZEROS: [u8; ZERO_SLICE_MAX as usize] = [0; ZERO_SLICE_MAX as usize];
/// How much of the first segment is filled before the spool is used.
const ZEROED_AT_OPEN: u64 = 64 << 20;
/// Octets committed after which the free space is looked at again.
const LOOK_EVERY: u64 = 4 << 20;
/// Bounds of what one call of [`Spool::survivors`] scans.
const SURVIVORS_MIN: usize = 256 << 10;
const SURVIVORS_MAX: usize = 16 << 20;
/// Survivors are scanned this many times as fast as new records arrive, so that the log shrinks while it is compacted.
const SURVIVORS_PACE: usize = 4;

/// Part of the oldest segment, read by [`Spool::survivors`]. Reuse it: its buffer is kept.
#[derive(Default)]
pub struct Survivors {
    bytes: Vec<u8>,
    start: Location,
    epoch: Option<Epoch>,
    unreadable: Option<u32>,
}

impl Survivors {
    /// The full records in this slice. One is alive when its location is the one the caller remembers for its id.
    pub fn records(&self) -> impl Iterator<Item = Recovered<'_>> {
        let records = self.epoch.map(|epoch| records_in(&self.bytes, self.start.segment, self.start.offset, epoch));
        records.into_iter().flatten().filter(|record| record.class == Class::Full)
    }

    /// The number of a segment that was scanned to its end and still counts something as alive: a record there can no longer be
    /// read. Whatever the caller still locates in it must be appended again from memory, or given up, and released.
    pub fn unreadable(&self) -> Option<u32> {
        self.unreadable
    }
}

impl<D: Disk> Spool<D> {
    /// Should what still lives in the oldest segment be appended again? To be asked after each commit.
    pub fn needs_compaction(&self) -> bool {
        self.health == Health::Ok && self.accounts.compaction_wanted(self.limits())
    }

    /// Reads the next slice of the oldest segment: a few times the size of the last commit.
    ///
    /// For each of its records that is alive the caller appends a full record and then releases the old location. When the last
    /// one has been released, the next commit frees the segment.
    ///
    /// # Errors
    /// What the disk said; the slice is empty then.
    pub fn survivors(&mut self, slice: &mut Survivors) -> io::Result<()> {
        slice.bytes.clear();
        slice.unreadable = None;
        let Some(oldest) = self.accounts.oldest() else { return Ok(()) };
        let (number, epoch, end) = (oldest.number, oldest.epoch, oldest.durable_end);
        let start = Location { segment: number, offset: RECORDS_AT };
        if self.cursor.segment != number {
            self.cursor = start;
        }
        if self.cursor.offset >= end {
            slice.unreadable = Some(number);
            self.cursor = start;
            return Ok(());
        }
        slice.start = self.cursor;
        slice.epoch = Some(epoch);
        let left = (end - self.cursor.offset) as usize;
        let pace = SURVIVORS_PACE.saturating_mul(self.stats.last_commit_bytes as usize);
        let mut size = pace.clamp(SURVIVORS_MIN, SURVIVORS_MAX);
        loop {
            let result = self.read_range(self.cursor, size.min(left), &mut slice.bytes);
            result.inspect_err(|_| slice.bytes.clear())?;
            let whole = whole_records(&slice.bytes, epoch);
            let passed = if size >= left {
                left
            } else if whole > 0 {
                whole
            } else if size >= 2 * MAX_RECORD {
                // Nothing begins in the first half, however long: pass over it.
                MAX_RECORD
            } else {
                size *= 2;
                continue;
            };
            slice.bytes.truncate(passed);
            self.cursor.offset += passed as u32;
            return Ok(());
        }
    }

    /// A bounded slice of housekeeping: prepares a spare file, so that the next segment does not have to wait for one. To be
    /// called after each commit, when its responses have left, and now and then when idle.
    ///
    /// The spare is filled with zeros: fdatasync after a write into blocks that are only reserved took 300 us, into written ones
    /// 140 us (ext4, virtio disk), because the former has to record that they are in use. The zeros go to the disk by and by, and
    /// are waited for once, when all are written: waiting for each slice would double the time of every commit meanwhile.
    ///
    /// # Errors
    /// What the disk said. The log itself is not concerned.
    pub fn maintain(&mut self) -> io::Result<()> {
        let idle = self.since_look == self.maintained;
        self.maintained = self.since_look;
        if idle || self.since_look >= LOOK_EVERY {
            self.refresh();
        }
        if self.health == Health::Failed || !self.free.is_empty() {
            return Ok(());
        }
        let slice = self.stats.last_commit_bytes.saturating_mul(2).next_multiple_of(PAGE).clamp(PAGE, ZERO_SLICE_MAX);
        self.prepare_spare(slice)
    }

    pub(super) fn judge_room(&mut self) {
        let crowded = self.accounts.used_bytes(self.limits()) + 2 * self.settings.segment_size > self.settings.max_size;
        let disk_full = self.free_space() < self.settings.disk_reserve;
        self.room = match (disk_full, crowded) {
            (true, _) => Room::Full(Limit::DiskReserve),
            (false, true) => Room::Full(Limit::MaxSize),
            (false, false) => Room::Ok,
        };
    }

    /// Free space on the file system, with that of the files which are there to be recycled.
    pub(super) fn free_space(&self) -> u64 {
        self.stats.free_space.saturating_add(self.free.len() as u64 * self.settings.segment_size)
    }

    /// Prepares the first segment, or the beginning of a large one, before there is anybody to wait for it. If the disk will not
    /// have it, the first commit hears of that.
    pub(super) fn prepare_first(&mut self) {
        let mut left = ZEROED_AT_OPEN;
        while left > 0 && self.free.is_empty() && self.prepare_spare(ZERO_SLICE_MAX).is_ok() {
            left = left.saturating_sub(ZERO_SLICE_MAX);
        }
    }

    /// Fills some more of the spare file with zeros.
    fn prepare_spare(&mut self, slice: u64) -> io::Result<()> {
        let (file, zeroed) = match self.spare.take() {
            Some(spare) => spare,
            None => (self.create_file()?, 0),
        };
        let size = self.settings.segment_size.saturating_sub(zeroed).min(slice);
        let (whole, zeros) = (zeroed + size == self.settings.segment_size, &ZEROS[..size as usize]);
        let written = self.disk.pwrite(&file.file, zeroed, zeros).and_then(|()| {
            self.disk.write_back(&file.file, zeroed, size);
            if whole { self.disk.fdatasync(&file.file) } else { Ok(()) }
        });
        match written {
            Ok(()) if whole => self.free.push(file),
            Ok(()) => self.spare = Some((file, zeroed + size)),
            Err(error) => {
                self.discard(file);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Where the last whole record in `bytes` ends.
fn whole_records(bytes: &[u8], epoch: Epoch) -> usize {
    let ends = Scan::new(bytes, epoch).filter_map(|found| match found {
        Found::Record { at, record } => Some(at + record::encoded_len(record.payload.len())),
        Found::Damage(_) | Found::Tail(_) => None,
    });
    ends.last().unwrap_or(0).min(bytes.len())
}
