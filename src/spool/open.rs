//! Opening a spool: the files there are, the log they form, the records in it.

use std::collections::BTreeMap;
use std::io;

use super::accounting::Accounts;
use super::disk::Disk;
use super::header::{FORMAT_VERSION, HeaderState, RECORDS_AT, SegmentHeader};
use super::log::{Group, SUFFIX, SegmentFile, Spool, Window, records_in, recovered};
use super::record::{self, Epoch, HEADER_LEN};
use super::recovery::{self, Extent, Found, Scan};
use super::{Health, Location, OpenError, QUARANTINE, Recovered, Recovery, Room, Settings, Stats};

/// So many free files are kept at open; more of them are removed while nobody waits for a commit.
const FREE_FILES: usize = 8;
const SEGMENT_SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;
const MIN_SEGMENTS: u64 = 8;
/// A torn tail may hold the newest ids, unreadable: so many are passed over.
const TAIL_IDS: u64 = 1024;

/// A file and what its header says.
struct Candidate<F> {
    file: SegmentFile<F>,
    header: HeaderState,
}

impl Settings {
    fn checked(self) -> Settings {
        let segment_size = self.segment_size.clamp(*SEGMENT_SIZES.start(), *SEGMENT_SIZES.end()) & !4095;
        Settings { segment_size, max_size: self.max_size.max(MIN_SEGMENTS * segment_size), ..self }
    }
}

impl<D: Disk> Spool<D> {
    /// Opens the spool on `disk`, which may be empty, and shows every record of the log to `visitor` in the order they were
    /// appended. Later records of an id overrule earlier ones. Call [`Spool::mark_live`] for each full record that turns out to
    /// be current, before the first commit.
    ///
    /// # Errors
    /// Another owner, another format version, or the disk. The log is not changed then.
    pub fn open(mut disk: D, settings: Settings, visitor: &mut dyn FnMut(Recovered<'_>)) -> Result<(Self, Recovery), OpenError> {
        if !disk.lock()? {
            return Err(OpenError::Locked);
        }
        let mut candidates = inventory(&disk)?;
        let headers: Vec<SegmentHeader> = candidates.iter().filter_map(Candidate::valid).collect();
        let mut spool = Spool::empty(disk, settings.checked());
        spool.stats.quarantined = spool.disk.list(QUARANTINE)?.len() as u64;
        spool.next_id = headers.iter().map(|header| header.next_id).max().unwrap_or(1).max(1);
        spool.next_file =
            candidates.iter().filter_map(|candidate| file_number(&candidate.file.name)).max().map_or(1, |n| n.saturating_add(1));
        let log = recovery::chain(&headers);
        let newest = headers.iter().map(|header| header.number).max().unwrap_or(0);
        spool.next_segment = newest + 1;

        let mut recovery = Recovery::default();
        let mut bytes = Vec::new();
        for (at, extent) in log.iter().copied().enumerate() {
            let taken = take_segment(&spool.disk, &mut candidates, extent, &mut bytes)?;
            // The disk fetches the next segment while the records of this one are taken in.
            log.get(at + 1).into_iter().for_each(|next| read_ahead(&spool.disk, &candidates, *next));
            match taken {
                Some(file) => {
                    spool.recover_segment(extent, file, &bytes, visitor, &mut recovery)?;
                    if extent.number == newest {
                        spool.make_durable(extent.number, &bytes)?;
                    }
                }
                None => recovery.missing_segments += 1,
            }
        }
        spool.sort_out(candidates)?;
        let lost_octets = recovery.damaged_bytes + recovery.missing_segments * spool.settings.segment_size;
        spool.next_id = spool.next_id.saturating_add(lost_octets.div_ceil(HEADER_LEN as u64));
        recovery.next_id = spool.next_id;
        spool.prepare_first();
        spool.refresh();
        Ok((spool, recovery))
    }

    /// Notes that every current record has been marked. Segments without any are free at once: there may be nothing left to commit that
    /// would free them, and a log full of what is over would be full for good.
    pub fn all_marked(&mut self) {
        self.free_oldest();
        self.judge_room();
    }

    fn empty(disk: D, settings: Settings) -> Self {
        Spool {
            disk,
            settings,
            accounts: Accounts::default(),
            files: BTreeMap::new(),
            free: Vec::new(),
            spare: None,
            retired: Vec::new(),
            group: Group::default(),
            failed: Group::default(),
            health: Health::Ok,
            next_segment: 1,
            next_id: 1,
            next_file: 1,
            window: Window::default(),
            cursor: Location::default(),
            stats: Stats::default(),
            room: Room::Ok,
            since_look: 0,
            maintained: 0,
        }
    }

    /// Shows the records of one segment; `bytes` are those after its header.
    fn recover_segment(
        &mut self,
        extent: Extent,
        file: SegmentFile<D::File>,
        bytes: &[u8],
        visitor: &mut dyn FnMut(Recovered<'_>),
        recovery: &mut Recovery,
    ) -> io::Result<()> {
        let Extent { number, epoch, end } = extent;
        self.accounts.push(number, epoch);
        self.files.insert(number, file);
        recovery.segments += 1;
        let is_newest = number + 1 == self.next_segment;
        let torn = if is_newest { recovery::torn_at(bytes, epoch) } else { None };
        let (bytes, torn) = bytes.split_at(torn.unwrap_or(bytes.len()));
        self.pass_over_ids(torn, epoch);
        let mut valid_end = RECORDS_AT;
        for found in Scan::new(bytes, epoch) {
            match found {
                Found::Record { at, record } => {
                    let size = record::encoded_len(record.payload.len()) as u32;
                    let location = Location { segment: number, offset: RECORDS_AT + at as u32 };
                    valid_end = location.offset + size;
                    self.accounts.recovered(number, record.class, size);
                    self.next_id = self.next_id.max(record.id.saturating_add(1));
                    recovery.records += 1;
                    visitor(recovered(record, location));
                }
                Found::Tail(range) if end.is_none() => self.pass_over_ids(&bytes[range], epoch),
                Found::Damage(range) | Found::Tail(range) => {
                    recovery.damaged += 1;
                    recovery.damaged_bytes += range.len() as u64;
                    self.quarantine(Location { segment: number, offset: RECORDS_AT + range.start as u32 }, &bytes[range])?;
                }
            }
        }
        let missing = end.map_or(0, |end| u64::from(end).saturating_sub(u64::from(RECORDS_AT) + bytes.len() as u64));
        recovery.damaged += u64::from(missing > 0);
        recovery.damaged_bytes += missing;
        self.accounts.set_durable_end(number, end.unwrap_or(valid_end));
        Ok(())
    }

    /// The ids in a torn tail were given, although nobody was told: they are not given again.
    fn pass_over_ids(&mut self, tail: &[u8], epoch: Epoch) {
        if tail.iter().any(|octet| *octet != 0) {
            let records = records_in(tail, 0, 0, epoch);
            let last = records.map(|record| record.id.saturating_add(1)).max().unwrap_or(0);
            self.next_id = self.next_id.max(last).saturating_add(TAIL_IDS);
        }
    }

    /// Writes the newest segment once more as it was read. What the last owner wrote and could not sync may be in the kernel's
    /// memory only, and count there as clean: without this it would be built upon, and be gone after the next power cut.
    fn make_durable(&mut self, number: u32, bytes: &[u8]) -> io::Result<()> {
        let valid = self.accounts.get(number).map_or(0, |segment| segment.end.saturating_sub(RECORDS_AT)) as usize;
        let file = self.file(number)?;
        let mut header = vec![0; RECORDS_AT as usize];
        self.disk.pread(file, 0, &mut header)?;
        self.disk.pwrite(file, 0, &header)?;
        self.disk.pwrite(file, u64::from(RECORDS_AT), &bytes[..valid.min(bytes.len())])?;
        self.disk.fdatasync(file)
    }

    /// Decides about the files that are not part of the log: kept for use, removed, or quarantined.
    fn sort_out(&mut self, candidates: Vec<Candidate<D::File>>) -> io::Result<()> {
        for Candidate { file, header } in candidates {
            if header == HeaderState::Damaged {
                self.disk.rename(&file.name, &format!("{QUARANTINE}/{}", file.name))?;
                self.disk.sync_dir(QUARANTINE)?;
                self.stats.quarantined += 1;
            } else if self.free.len() < FREE_FILES && self.disk.size(&file.file)? == self.settings.segment_size {
                self.free.push(file);
            } else {
                self.disk.remove(&file.name)?;
            }
        }
        self.disk.sync_dir("")
    }
}

impl<F> Candidate<F> {
    fn valid(&self) -> Option<SegmentHeader> {
        match self.header {
            HeaderState::Valid(header) => Some(header),
            _ => None,
        }
    }
}

/// Opens all segment files and reads their headers.
fn inventory<D: Disk>(disk: &D) -> Result<Vec<Candidate<D::File>>, OpenError> {
    let mut names = disk.list("")?;
    names.retain(|name| name.ends_with(SUFFIX));
    names.sort();
    let mut candidates = Vec::with_capacity(names.len());
    let mut area = vec![0; RECORDS_AT as usize];
    for name in names {
        let file = disk.open(&name)?;
        let count = disk.pread(&file, 0, &mut area)?;
        let header = SegmentHeader::read(&area[..count]);
        if let HeaderState::Version(found) = header {
            return Err(OpenError::Version { file: name, found, supported: FORMAT_VERSION });
        }
        candidates.push(Candidate { file: SegmentFile { name, file }, header });
    }
    Ok(candidates)
}

fn read_ahead<D: Disk>(disk: &D, candidates: &[Candidate<D::File>], extent: Extent) {
    let is_its = |header: SegmentHeader| header.number == extent.number && header.epoch == extent.epoch;
    let Some(candidate) = candidates.iter().find(|candidate| candidate.valid().is_some_and(is_its)) else { return };
    let size = extent.end.map(u64::from).or_else(|| disk.size(&candidate.file.file).ok()).unwrap_or(0);
    disk.read_ahead(&candidate.file.file, RECORDS_AT.into(), size.saturating_sub(RECORDS_AT.into()));
}

/// Takes the file of a segment out of `candidates` and reads its records' octets. A file without a readable header is the one
/// when there are records of the segment's epoch in it.
fn take_segment<D: Disk>(
    disk: &D,
    candidates: &mut Vec<Candidate<D::File>>,
    extent: Extent,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<SegmentFile<D::File>>> {
    for at in 0..candidates.len() {
        let candidate = &candidates[at];
        let matches = match candidate.header {
            HeaderState::Valid(header) => header.number == extent.number && header.epoch == extent.epoch,
            HeaderState::Damaged => true,
            HeaderState::Blank | HeaderState::Version(_) => false,
        };
        if !matches {
            continue;
        }
        let size = disk.size(&candidate.file.file)?;
        let end = extent.end.map_or(size, |end| size.min(end.into()));
        bytes.resize(end.saturating_sub(u64::from(RECORDS_AT)) as usize, 0);
        let count = disk.pread(&candidate.file.file, u64::from(RECORDS_AT), bytes)?;
        bytes.truncate(count);
        let recognised = || Scan::new(bytes, extent.epoch).any(|found| matches!(found, Found::Record { .. }));
        if candidate.valid().is_some() || recognised() {
            return Ok(Some(candidates.remove(at).file));
        }
    }
    Ok(None)
}

fn file_number(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}
