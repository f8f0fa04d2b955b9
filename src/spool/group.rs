//! Records on their way to being durable, and those that did not become so.

use super::record::{Epoch, RecordView};
use super::recovery::{Found, Scan};
use super::{Location, Recovered};

/// Records appended and not yet durable.
#[derive(Default)]
pub(super) struct Group {
    pub bytes: Vec<u8>,
    pub chunks: Vec<Chunk>,
    /// The segment that appends go to; none after open and after a failure.
    pub writing: Option<u32>,
}

/// A part of the group that goes to one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub segment: u32,
    pub epoch: Epoch,
    pub offset: u32,
    /// Where it begins in the group's bytes; it ends where the next one begins.
    pub start: usize,
}

impl Chunk {
    /// Is `location` in this chunk of `size` octets?
    pub fn holds(&self, size: usize, location: Location) -> bool {
        location.segment == self.segment && location.offset.checked_sub(self.offset).is_some_and(|at| (at as usize) < size)
    }
}

impl Group {
    /// The chunks with their bytes.
    pub fn parts(&self) -> impl Iterator<Item = (Chunk, &[u8])> {
        let ends = self.chunks.iter().skip(1).map(|next| next.start).chain([self.bytes.len()]);
        self.chunks.iter().zip(ends).map(|(chunk, end)| (*chunk, &self.bytes[chunk.start..end]))
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
    }

    /// Adds the records of the group that came after this one.
    pub fn append(&mut self, later: &Group) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&later.bytes);
        self.chunks.extend(later.chunks.iter().map(|chunk| Chunk { start: start + chunk.start, ..*chunk }));
    }
}

/// The records of a group that could not be made durable, for the caller to append again what must be kept.
pub struct FailedGroup(pub(super) Group);

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
