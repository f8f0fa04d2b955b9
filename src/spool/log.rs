//! The log itself: a group being collected, its commit, and what follows when that fails.

use std::collections::BTreeMap;
use std::io;

use super::accounting::{Accounts, Limits};
use super::disk::Disk;
use super::header::{RECORDS_AT, SegmentHeader};
use super::record::{self, Epoch, HEADER_LEN, MAX_RECORD, RecordView};
use super::recovery::{Found, Scan};
use super::{
    AppendError, Class, CommitError, Health, Location, MAX_PAYLOAD, QUARANTINE, ReadError, Record, Recovered, Room, Settings,
    Stats,
};

/// Names of segment files end so.
pub(super) const SUFFIX: &str = ".segment";
/// A cold record is read with one call when it is no larger than this.
const READ_AHEAD: usize = 1024;
/// As much is read at once when records are read one after the other, as at start.
const READ_IN_ORDER: usize = 256 << 10;

/// The segmented append log. See [the module documentation](super) for how to use it.
pub struct Spool<D: Disk> {
    pub(super) disk: D,
    pub(super) settings: Settings,
    pub(super) accounts: Accounts,
    /// The files of the segments in `accounts`.
    pub(super) files: BTreeMap<u32, SegmentFile<D::File>>,
    pub(super) free: Vec<SegmentFile<D::File>>,
    /// A new file that [`Spool::maintain`] fills with zeros, and how far it has come.
    pub(super) spare: Option<(SegmentFile<D::File>, u64)>,
    /// Files to be removed when the next header is durable: until then the newest header may still lead to them.
    pub(super) retired: Vec<SegmentFile<D::File>>,
    pub(super) group: Group,
    /// The group whose commit failed, until [`Spool::try_recover`] hands it back.
    pub(super) failed: Group,
    pub(super) health: Health,
    pub(super) next_segment: u32,
    pub(super) next_id: u64,
    /// For the name of the next new file.
    pub(super) next_file: u64,
    /// What was read last.
    pub(super) window: Window,
    /// Where the scan for survivors stands in the oldest segment.
    pub(super) cursor: Location,
    pub(super) stats: Stats,
    pub(super) room: Room,
    /// Octets committed or taken from the disk since its free space was looked at, and how many of them [`Spool::maintain`] has seen.
    pub(super) since_look: u64,
    pub(super) maintained: u64,
}

/// An open segment file.
pub(super) struct SegmentFile<F> {
    pub name: String,
    pub file: F,
}

/// Records appended and not yet committed.
#[derive(Default)]
pub(super) struct Group {
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
    /// The segment that appends go to; none after open and after a failure.
    writing: Option<u32>,
}

/// A part of the group that goes to one segment.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    segment: u32,
    epoch: Epoch,
    offset: u32,
    /// Where it begins in the group's bytes; it ends where the next one begins.
    start: usize,
}

impl Chunk {
    /// Is `location` in this chunk of `size` octets?
    fn holds(&self, size: usize, location: Location) -> bool {
        location.segment == self.segment && location.offset.checked_sub(self.offset).is_some_and(|at| (at as usize) < size)
    }
}

impl Group {
    /// The chunks with their bytes.
    fn parts(&self) -> impl Iterator<Item = (Chunk, &[u8])> {
        let ends = self.chunks.iter().skip(1).map(|next| next.start).chain([self.bytes.len()]);
        self.chunks.iter().zip(ends).map(|(chunk, end)| (*chunk, &self.bytes[chunk.start..end]))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
    }
}

/// The records of a group that could not be made durable, for the caller to append again what must be kept.
pub struct FailedGroup(Group);

impl FailedGroup {
    /// The records in the order they were appended. Their locations are void.
    pub fn records(&self) -> impl Iterator<Item = Recovered<'_>> {
        self.0.parts().flat_map(|(chunk, bytes)| records_in(bytes, chunk.segment, chunk.offset, chunk.epoch))
    }
}

pub(super) fn records_in(bytes: &[u8], segment: u32, offset: u32, epoch: Epoch) -> impl Iterator<Item = Recovered<'_>> {
    Scan::new(bytes, epoch).filter_map(move |found| match found {
        Found::Record { at, record } => Some(recovered(record, Location { segment, offset: offset + at as u32 })),
        Found::Damage(_) | Found::Tail(_) => None,
    })
}

pub(super) fn recovered(record: RecordView<'_>, location: Location) -> Recovered<'_> {
    Recovered { kind: record.kind, class: record.class, id: record.id, location, payload: record.payload }
}

/// Octets of a segment read ahead of those who read its records in order.
#[derive(Default)]
pub(super) struct Window {
    start: Location,
    /// Where the record last served from it stands.
    served: u32,
    bytes: Vec<u8>,
}

impl Window {
    /// What of it follows a location behind the record last served; who reads a record again has it read from the disk.
    fn ahead(&self, location: Location) -> &[u8] {
        let is_ahead = location.segment == self.start.segment && location.offset > self.served;
        let at = location.offset.checked_sub(self.start.offset).filter(|_| is_ahead);
        at.and_then(|at| self.bytes.get(at as usize..)).unwrap_or_default()
    }

    /// How much should be read at a location: much, when that is a little behind what was read last.
    fn next_size(&self, location: Location) -> usize {
        let behind = location.offset.checked_sub(self.start.offset).filter(|_| location.segment == self.start.segment);
        if behind.is_some_and(|behind| behind as usize <= self.bytes.len() + READ_IN_ORDER) { READ_IN_ORDER } else { READ_AHEAD }
    }
}

impl<D: Disk> Spool<D> {
    /// Appends a record that says everything about `id`. It counts as alive until its location is released.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was appended then.
    pub fn append_full(&mut self, kind: u8, id: u64, payload: &[u8]) -> Result<Location, AppendError> {
        self.append(kind, Class::Full, id, payload)
    }

    /// Appends a record that adds to the current full record of `id`.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was appended then.
    pub fn append_delta(&mut self, kind: u8, id: u64, payload: &[u8]) -> Result<Location, AppendError> {
        self.append(kind, Class::Delta, id, payload)
    }

    fn append(&mut self, kind: u8, class: Class, id: u64, payload: &[u8]) -> Result<Location, AppendError> {
        if self.health == Health::Failed {
            return Err(AppendError::Failed);
        }
        let size = record::encoded_len(payload.len());
        let capacity = self.settings.segment_size;
        if payload.len() > MAX_PAYLOAD || u64::from(RECORDS_AT) + size as u64 > capacity {
            return Err(AppendError::TooLarge);
        }
        let current = self.group.writing.and_then(|number| self.accounts.get(number));
        let (segment, epoch, offset) = match current {
            Some(segment) if u64::from(segment.end) + size as u64 <= capacity => (segment.number, segment.epoch, segment.end),
            _ => self.begin_segment()?,
        };
        if self.group.chunks.last().is_none_or(|chunk| chunk.segment != segment) {
            self.group.chunks.push(Chunk { segment, epoch, offset, start: self.group.bytes.len() });
        }
        let starts_group = self.group.bytes.is_empty();
        record::encode(&mut self.group.bytes, epoch, RecordView { kind, class, starts_group, id, payload });
        self.accounts.appended(class, size as u32);
        self.next_id = self.next_id.max(id.saturating_add(1));
        Ok(Location { segment, offset })
    }

    /// Adds a segment to the log in memory; its file follows when the group is written.
    fn begin_segment(&mut self) -> Result<(u32, Epoch, u32), AppendError> {
        let epoch = Epoch::new(self.disk.random().map_err(|_| AppendError::NoEpoch)?);
        let number = self.take_number().ok_or(AppendError::NoNumber)?;
        self.accounts.push(number, epoch);
        self.group.writing = Some(number);
        Ok((number, epoch, RECORDS_AT))
    }

    /// The number of the next segment; none when the last one has been given.
    fn take_number(&mut self) -> Option<u32> {
        let number = self.next_segment;
        self.next_segment = number.checked_add(1)?;
        Some(number)
    }

    /// Notes that the full record at `location` is no longer current.
    ///
    /// Append first what replaces it, then release: the next commit that succeeds makes both final. After a commit that failed
    /// the replacement must be appended again before that commit.
    pub fn release(&mut self, location: Location) {
        self.accounts.release(location);
    }

    /// Notes that a full record shown by recovery is current. To be called after open, before the first commit.
    pub fn mark_live(&mut self, location: Location) {
        self.accounts.mark_live(location);
    }

    /// Makes everything appended since the last commit durable, and returns its size in octets.
    ///
    /// # Errors
    /// Nothing of the group may be acknowledged, and fdatasync is not tried again: the kernel may have dropped the pages. The
    /// segment is abandoned; go on with [`Spool::try_recover`].
    pub fn commit(&mut self) -> Result<u64, CommitError> {
        if self.health == Health::Failed {
            return Err(CommitError { source: io::Error::other("the last commit failed") });
        }
        let bytes = self.group.bytes.len() as u64;
        if bytes == 0 {
            return Ok(0);
        }
        if let Err(source) = self.write_group() {
            self.fail();
            return Err(CommitError { source });
        }
        self.accounts.committed();
        self.group.clear();
        self.free_oldest();
        self.stats.last_commit_bytes = bytes;
        self.since_look += bytes;
        self.judge_room();
        Ok(bytes)
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut written = None;
        for at in 0..self.group.chunks.len() {
            let chunk = self.group.chunks[at];
            if !self.files.contains_key(&chunk.segment) {
                // The next header states the end of this segment: it has to be true by then.
                written.map_or(Ok(()), |number| self.sync(number))?;
                self.activate(chunk.segment, chunk.epoch)?;
            }
            let end = self.group.chunks.get(at + 1).map_or(self.group.bytes.len(), |next| next.start);
            let file = self.file(chunk.segment)?;
            self.disk.pwrite(file, u64::from(chunk.offset), &self.group.bytes[chunk.start..end])?;
            written = Some(chunk.segment);
        }
        written.map_or(Ok(()), |number| self.sync(number))
    }

    pub(super) fn file(&self, number: u32) -> io::Result<&D::File> {
        let segment = self.files.get(&number).ok_or_else(|| io::Error::other("a segment has no file"))?;
        Ok(&segment.file)
    }

    fn sync(&self, number: u32) -> io::Result<()> {
        self.disk.fdatasync(self.file(number)?)
    }

    /// Gives a segment its file, with a durable header.
    fn activate(&mut self, number: u32, epoch: Epoch) -> io::Result<()> {
        let file = self.take_file()?;
        let header = SegmentHeader {
            number,
            epoch,
            previous: self.accounts.before(number),
            floor: self.accounts.oldest().map_or(number, |oldest| oldest.number),
            capacity: self.settings.segment_size as u32,
            next_id: self.next_id,
        };
        // In the map from here on, so that a failure retires the file together with the segment.
        self.files.insert(number, file);
        self.disk.pwrite(self.file(number)?, 0, &header.encode())?;
        self.sync(number)?;
        for file in std::mem::take(&mut self.retired) {
            self.discard(file);
        }
        Ok(())
    }

    /// Nothing of the group is durable: its segments leave the log, their files are not trusted again.
    fn fail(&mut self) {
        let group = std::mem::take(&mut self.group);
        let first = group.chunks.first().and_then(|chunk| self.accounts.get(chunk.segment));
        let touched = first.is_some_and(|segment| segment.durable_end != 0);
        let files = self.withdraw(touched);
        self.retired.extend(files.into_values());
        self.failed = group;
        self.health = Health::Failed;
    }

    /// Takes what is not durable out of the log, and returns the files that are no part of it any more.
    fn withdraw(&mut self, touched: bool) -> BTreeMap<u32, SegmentFile<D::File>> {
        self.accounts.failed(touched);
        let last = self.accounts.newest().map_or(0, |segment| segment.number);
        self.files.split_off(&(last + 1))
    }

    /// Removes a file that is not trusted. If the disk refuses, the next open finds it to be no part of the log.
    pub(super) fn discard(&mut self, file: SegmentFile<D::File>) {
        drop(file.file);
        let _ = self.disk.remove(&file.name);
    }

    /// Tries to go on after a failed commit: opens a fresh segment and makes its header durable, which also takes whatever of the
    /// failed group did reach the disk out of the log. Returns that group's records: those to be kept must be appended again.
    ///
    /// # Errors
    /// The disk is still not healthy; try again later.
    pub fn try_recover(&mut self) -> Result<FailedGroup, CommitError> {
        if self.health == Health::Failed {
            self.open_fresh_segment().map_err(|source| CommitError { source })?;
            self.health = Health::Ok;
            self.refresh();
        }
        Ok(FailedGroup(std::mem::take(&mut self.failed)))
    }

    fn open_fresh_segment(&mut self) -> io::Result<()> {
        let epoch = Epoch::new(self.disk.random()?);
        let number = self.take_number().ok_or_else(|| io::Error::other(AppendError::NoNumber))?;
        self.accounts.push(number, epoch);
        let recycled = !self.free.is_empty();
        if let Err(error) = self.activate(number, epoch) {
            let files = self.withdraw(false).into_values();
            // The newest durable header may still count a recycled file in: it goes when a header says otherwise.
            if recycled {
                self.retired.extend(files);
            } else {
                files.for_each(|file| self.discard(file));
            }
            return Err(error);
        }
        self.accounts.set_durable_end(number, RECORDS_AT);
        self.group.writing = Some(number);
        Ok(())
    }

    /// Reads a record back, from the disk or from the group being collected.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, location: Location) -> Result<Record, ReadError> {
        if let Some((chunk, bytes)) = self.group.parts().find(|(chunk, bytes)| chunk.holds(bytes.len(), location)) {
            let at = (location.offset - chunk.offset) as usize;
            return record::decode(&bytes[at..], chunk.epoch).map(to_owned).ok_or(ReadError::NoSuchLocation);
        }
        let segment = self.accounts.get(location.segment).ok_or(ReadError::NoSuchLocation)?;
        let (epoch, end) = (segment.epoch, segment.durable_end);
        if location.offset < RECORDS_AT || location.offset as usize + HEADER_LEN > end as usize {
            return Err(ReadError::NoSuchLocation);
        }
        if let Some(record) = record::decode(self.window.ahead(location), epoch).map(to_owned) {
            self.window.served = location.offset;
            return Ok(record);
        }
        let left = (end - location.offset) as usize;
        let mut size = self.window.next_size(location).min(left);
        loop {
            let mut bytes = std::mem::take(&mut self.window.bytes);
            let result = self.read_range(location, size, &mut bytes);
            if result.is_err() {
                bytes.clear();
            }
            self.window = Window { start: location, served: location.offset, bytes };
            result?;
            let wanted = record::declared_payload(&self.window.bytes, epoch).map_or(0, record::encoded_len);
            if wanted <= size || wanted > left {
                break;
            }
            size = wanted;
        }
        if let Some(record) = record::decode(&self.window.bytes, epoch) {
            return Ok(to_owned(record));
        }
        self.quarantine_from(location, epoch, end)?;
        Err(ReadError::Damaged)
    }

    /// Copies what stands at `location` to the quarantine, as far as the next valid record.
    fn quarantine_from(&mut self, location: Location, epoch: Epoch, end: u32) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.read_range(location, (2 * MAX_RECORD).min((end - location.offset) as usize), &mut bytes)?;
        if let Some(Found::Damage(range) | Found::Tail(range)) = Scan::new(&bytes, epoch).next() {
            self.quarantine(location, &bytes[range])?;
        }
        Ok(())
    }

    /// Keeps damaged octets in a file of their own; once, however often they are come upon.
    pub(super) fn quarantine(&mut self, location: Location, bytes: &[u8]) -> io::Result<()> {
        let name = format!("{QUARANTINE}/{:010}-{:010}-{}", location.segment, location.offset, bytes.len());
        let file = match self.disk.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            created => created?,
        };
        self.disk.pwrite(&file, 0, bytes)?;
        self.disk.fdatasync(&file)?;
        self.disk.sync_dir(QUARANTINE)?;
        self.stats.quarantined += 1;
        Ok(())
    }

    /// Reads up to `size` octets from `location` on into `bytes`.
    pub(super) fn read_range(&self, location: Location, size: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(size, 0);
        let count = self.disk.pread(self.file(location.segment)?, u64::from(location.offset), bytes)?;
        bytes.truncate(count);
        Ok(())
    }

    /// A file for the next segment: a recycled one, the spare as far as it is, or a new one.
    fn take_file(&mut self) -> io::Result<SegmentFile<D::File>> {
        match self.free.pop().or_else(|| self.spare.take().map(|(file, _)| file)) {
            Some(file) => Ok(file),
            None => self.create_file(),
        }
    }

    pub(super) fn create_file(&mut self) -> io::Result<SegmentFile<D::File>> {
        let name = format!("{:06}{SUFFIX}", self.next_file);
        self.next_file += 1;
        self.since_look += self.settings.segment_size;
        let file = SegmentFile { file: self.disk.create(&name)?, name };
        let ready = self.disk.preallocate(&file.file, self.settings.segment_size).and_then(|()| self.disk.sync_dir(""));
        match ready {
            Ok(()) => Ok(file),
            Err(error) => {
                self.discard(file);
                Err(error)
            }
        }
    }

    /// Recycles segments in which nothing is alive, oldest first.
    pub(super) fn free_oldest(&mut self) {
        while let Some(segment) = self.accounts.pop_free() {
            match self.files.remove(&segment.number) {
                Some(file) if segment.abandoned => self.retired.push(file),
                Some(file) => self.free.push(file),
                None => {}
            }
        }
    }

    /// Looks at the free space again.
    pub(super) fn refresh(&mut self) {
        if let Ok(free_space) = self.disk.free_space() {
            self.stats.free_space = free_space;
        }
        (self.since_look, self.maintained) = (0, 0);
        self.judge_room();
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { segment_size: self.settings.segment_size, max_size: self.settings.max_size }
    }

    /// Can new messages be admitted? As of the last commit or call of [`Spool::maintain`].
    pub fn room(&self) -> Room {
        self.room
    }

    /// Does the disk do what it is asked?
    pub fn health(&self) -> Health {
        self.health
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let used_bytes = self.accounts.used_bytes(self.limits());
        let of_limit = self.settings.max_size.saturating_sub(used_bytes);
        Stats {
            used_bytes,
            available: of_limit.min(self.free_space().saturating_sub(self.settings.disk_reserve)),
            live_bytes: self.accounts.live_bytes(),
            live_records: self.accounts.live_records(),
            segments_used: self.accounts.len(),
            segments_free: self.free.len(),
            ..self.stats
        }
    }
}

fn to_owned(record: RecordView<'_>) -> Record {
    Record { kind: record.kind, class: record.class, id: record.id, payload: record.payload.to_vec() }
}
