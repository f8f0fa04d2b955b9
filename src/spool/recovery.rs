//! Reading back what a crash has left: which segments form the log, and which records stand in one. Pure.

use std::ops::Range;

use super::header::SegmentHeader;
use super::record::{self, ALIGN, Epoch, HEADER_LEN, RecordView};

/// A segment that belongs to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub number: u32,
    pub epoch: Epoch,
    /// Where its records end, as the next segment's header says; unknown for the newest.
    pub end: Option<u32>,
}

/// Finds the segments that form the log, oldest first.
///
/// The newest header names the segment before it, and so on down to the floor. Segments that no header names hold a group that
/// failed, or are free. When a link is missing (its file is gone or its header unreadable), the walk goes on with the next
/// lower number there is.
pub(super) fn chain(headers: &[SegmentHeader]) -> Vec<Extent> {
    let mut extents = Vec::new();
    let Some(newest) = headers.iter().max_by_key(|header| header.number) else { return extents };
    let mut next = Some(Extent { number: newest.number, epoch: newest.epoch, end: None });
    while let Some(extent) = next {
        extents.push(extent);
        let header = headers.iter().find(|header| header.number == extent.number && header.epoch == extent.epoch);
        next = match header {
            Some(header) => {
                header.previous.map(|previous| Extent { number: previous.number, epoch: previous.epoch, end: Some(previous.end) })
            }
            None => headers
                .iter()
                .filter(|header| header.number < extent.number)
                .max_by_key(|header| header.number)
                .map(|header| Extent { number: header.number, epoch: header.epoch, end: None }),
        }
        .filter(|previous| previous.number >= newest.floor && previous.number < extent.number);
    }
    extents.reverse();
    extents
}

/// What a scan comes upon. Offsets count from the start of the scanned bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record {
        at: usize,
        record: RecordView<'a>,
    },
    /// Octets that are no record, with a record after them.
    Damage(Range<usize>),
    /// Octets that are no record, up to the end.
    Tail(Range<usize>),
}

/// Walks through the records of one epoch, resynchronising after damage.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    epoch: Epoch,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], epoch: Epoch) -> Self {
        Scan { bytes, epoch, at: 0 }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        if let Some(record) = record::decode(&self.bytes[start..], self.epoch) {
            self.at += record::encoded_len(record.payload.len());
            return Some(Found::Record { at: start, record });
        }
        let last = self.bytes.len().saturating_sub(HEADER_LEN);
        let resumed = (start + ALIGN..=last).step_by(ALIGN).find(|at| record::decode(&self.bytes[*at..], self.epoch).is_some());
        self.at = resumed.unwrap_or(self.bytes.len());
        Some(if resumed.is_some() { Found::Damage(start..self.at) } else { Found::Tail(start..self.at) })
    }
}

/// Where the records of the newest segment were torn by a crash: at the first hole that no beginning of a group follows.
///
/// A group is written with one fdatasync, so that after a power cut any of its sectors may be missing. What stands behind the hole may
/// rely on what was in it, and nothing of the group was acknowledged. A hole that a later group follows is damage instead: that
/// group was begun when everything before it was durable.
pub(super) fn torn_at(bytes: &[u8], epoch: Epoch) -> Option<usize> {
    let mut hole = None;
    for found in Scan::new(bytes, epoch) {
        match found {
            Found::Record { record, .. } if record.starts_group => hole = None,
            Found::Damage(range) => hole = hole.or(Some(range.start)),
            Found::Record { .. } | Found::Tail(_) => {}
        }
    }
    hole
}
