//! The header of a segment. Pure: the layout is described in [the module documentation](super).

use super::record::Epoch;

/// The format this program writes.
pub(super) const FORMAT_VERSION: u32 = 4;
/// The oldest one it reads.
pub(super) const OLDEST_VERSION: u32 = 3;
/// Where records begin: the header stands twice, at the start of two separate 4 KiB pages.
pub(super) const RECORDS_AT: u32 = 8192;
/// Distance between the two copies.
const COPY_AT: usize = 4096;
const HEADER_LEN: usize = 64;
const MAGIC: [u8; 8] = *b"smppgwsp";

/// How a segment refers to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Previous {
    pub number: u32,
    pub epoch: Epoch,
    /// Where its valid records end; what stands after is not part of the log.
    pub end: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Numbers start at 1, only grow, and are never used twice.
    pub number: u32,
    pub epoch: Epoch,
    /// `None` in the first segment of a spool.
    pub previous: Option<Previous>,
    /// The oldest segment that still mattered when this one was created. Those below are free, whatever they contain.
    pub floor: u32,
    /// Size of the file in octets.
    pub capacity: u32,
    /// Larger than every id in the segments before.
    pub next_id: u64,
}

/// What the first octets of a file turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderState {
    /// Never used, or its first use did not get as far as a durable header: there are no records in it.
    Blank,
    Valid(SegmentHeader),
    /// Written by a version of this program whose format is not read.
    Version(u32),
    /// Neither copy can be read.
    Damaged,
}

impl SegmentHeader {
    /// The whole header area, both copies.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = [0u8; HEADER_LEN];
        let (number, end, epoch) = self.previous.map_or((0, 0, 0), |p| (p.number, p.end, p.epoch.value()));
        copy[0..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy[12..16].copy_from_slice(&self.number.to_le_bytes());
        copy[16..24].copy_from_slice(&self.epoch.value().to_le_bytes());
        copy[24..28].copy_from_slice(&number.to_le_bytes());
        copy[28..32].copy_from_slice(&end.to_le_bytes());
        copy[32..40].copy_from_slice(&epoch.to_le_bytes());
        copy[40..44].copy_from_slice(&self.floor.to_le_bytes());
        copy[44..48].copy_from_slice(&self.capacity.to_le_bytes());
        copy[48..56].copy_from_slice(&self.next_id.to_le_bytes());
        let checksum = crc32fast::hash(&copy[..HEADER_LEN - 4]);
        copy[HEADER_LEN - 4..].copy_from_slice(&checksum.to_le_bytes());
        let mut area = vec![0; RECORDS_AT as usize];
        area[..HEADER_LEN].copy_from_slice(&copy);
        area[COPY_AT..COPY_AT + HEADER_LEN].copy_from_slice(&copy);
        area
    }

    /// Judges the first [`RECORDS_AT`] octets of a file.
    ///
    /// When the copies differ, a new life of the file was being written as the power went: the later one is taken if it is
    /// whole. A copy that is blank beside one that is not means the same for a file that was new.
    pub(super) fn read(area: &[u8]) -> HeaderState {
        let copies = [0, COPY_AT].map(|at| area.get(at..at + HEADER_LEN).map_or(HeaderState::Blank, read_copy));
        match copies {
            [HeaderState::Version(version), _] | [_, HeaderState::Version(version)] => HeaderState::Version(version),
            [HeaderState::Valid(a), HeaderState::Valid(b)] => HeaderState::Valid(if a.number >= b.number { a } else { b }),
            [HeaderState::Valid(header), _] | [_, HeaderState::Valid(header)] => HeaderState::Valid(header),
            [HeaderState::Blank, _] | [_, HeaderState::Blank] => HeaderState::Blank,
            [HeaderState::Damaged, HeaderState::Damaged] => HeaderState::Damaged,
        }
    }
}

/// Magic, version and checksum keep their places in every version of the format, so that a version is only believed when the
/// checksum is right.
fn read_copy(copy: &[u8]) -> HeaderState {
    if copy.iter().all(|octet| *octet == 0) {
        return HeaderState::Blank;
    }
    let (fields, checksum) = copy.split_at(HEADER_LEN - 4);
    if fields[..8] != MAGIC || crc32fast::hash(fields) != number_at(checksum, 0, 4) as u32 {
        return HeaderState::Damaged;
    }
    let u32_at = |at| number_at(fields, at, 4) as u32;
    let version = u32_at(8);
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
        return HeaderState::Version(version);
    }
    // There is no number after the last one, and none of a segment is zero: nobody wrote this.
    if matches!(u32_at(12), 0 | u32::MAX) {
        return HeaderState::Damaged;
    }
    let previous = Previous { number: u32_at(24), end: u32_at(28), epoch: Epoch::new(number_at(fields, 32, 8)) };
    HeaderState::Valid(SegmentHeader {
        number: u32_at(12),
        epoch: Epoch::new(number_at(fields, 16, 8)),
        previous: (previous.number != 0).then_some(previous),
        floor: u32_at(40),
        capacity: u32_at(44),
        next_id: number_at(fields, 48, 8),
    })
}

fn number_at(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |number, octet| number << 8 | u64::from(*octet))
}
