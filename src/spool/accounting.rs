//! Which segments there are, what is alive in them, when the oldest is free and when its survivors should move. Pure.

use std::collections::VecDeque;

use super::header::{Previous, RECORDS_AT};
use super::record::Epoch;
use super::{Class, Location};

/// Counts of full records.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    live: u64,
    written: u64,
    written_bytes: u64,
}

/// One segment of the log.
#[derive(Debug)]
pub(super) struct SegmentAccount {
    pub number: u32,
    pub epoch: Epoch,
    /// End of what is durable; zero while the segment exists only in the group being collected.
    pub durable_end: u32,
    /// End of what was appended, durable or not.
    pub end: u32,
    /// A write or fdatasync failed in it: the file is not trusted again.
    pub abandoned: bool,
    durable: Tally,
    /// What the group being collected adds.
    group: Tally,
}

impl SegmentAccount {
    fn live(&self) -> u64 {
        self.durable.live + self.group.live
    }

    /// Octets of live full records, taking those alive to be as large as the average.
    fn live_bytes(&self) -> u64 {
        let written = self.durable.written + self.group.written;
        (self.durable.written_bytes + self.group.written_bytes) * self.live() / written.max(1)
    }
}

/// Sizes that the compaction policy looks at, in octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub segment_size: u64,
    pub max_size: u64,
}

/// The log's segments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    segments: VecDeque<SegmentAccount>,
}

impl Accounts {
    /// Adds an empty segment after all others.
    pub(super) fn push(&mut self, number: u32, epoch: Epoch) {
        self.segments.push_back(SegmentAccount {
            number,
            epoch,
            durable_end: 0,
            end: RECORDS_AT,
            abandoned: false,
            durable: Tally::default(),
            group: Tally::default(),
        });
    }

    pub(super) fn set_durable_end(&mut self, number: u32, end: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.durable_end = end;
            segment.end = end;
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&SegmentAccount> {
        self.segments.get(self.place(number)).filter(|segment| segment.number == number)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut SegmentAccount> {
        let at = self.place(number);
        self.segments.get_mut(at).filter(|segment| segment.number == number)
    }

    /// Where segment `number` stands, if there is one: most often it is the last.
    fn place(&self, number: u32) -> usize {
        match self.segments.back() {
            Some(last) if last.number == number => self.segments.len() - 1,
            _ => self.segments.partition_point(|segment| segment.number < number),
        }
    }

    pub(super) fn oldest(&self) -> Option<&SegmentAccount> {
        self.segments.front()
    }

    pub(super) fn newest(&self) -> Option<&SegmentAccount> {
        self.segments.back()
    }

    /// What the header of segment `number` says about the one before it.
    pub(super) fn before(&self, number: u32) -> Option<Previous> {
        let at = self.segments.partition_point(|segment| segment.number < number).checked_sub(1)?;
        let segment = self.segments.get(at)?;
        Some(Previous { number: segment.number, epoch: segment.epoch, end: segment.end })
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Notes a record found by recovery: the space it takes, not whether it is alive.
    pub(super) fn recovered(&mut self, number: u32, class: Class, bytes: u32) {
        if let (Class::Full, Some(segment)) = (class, self.get_mut(number)) {
            segment.durable.written += 1;
            segment.durable.written_bytes += u64::from(bytes);
        }
    }

    /// Notes that a recovered full record is the current one of something alive.
    pub(super) fn mark_live(&mut self, location: Location) {
        if let Some(segment) = self.get_mut(location.segment) {
            segment.durable.live += 1;
        }
    }

    /// Notes a record appended to the newest segment.
    pub(super) fn appended(&mut self, class: Class, bytes: u32) {
        if let Some(segment) = self.segments.back_mut() {
            segment.end += bytes;
            if class == Class::Full {
                segment.group.live += 1;
                segment.group.written += 1;
                segment.group.written_bytes += u64::from(bytes);
            }
        }
    }

    /// Notes that a full record is no longer current. A location that is not part of the log any more is ignored: the group it
    /// stood in has failed and was taken out of the counts as a whole.
    pub(super) fn release(&mut self, location: Location) {
        if let Some(segment) = self.get_mut(location.segment).filter(|segment| location.offset < segment.end) {
            let tally = if location.offset < segment.durable_end { &mut segment.durable.live } else { &mut segment.group.live };
            debug_assert!(*tally > 0, "released twice: {location:?}");
            *tally = tally.saturating_sub(1);
        }
    }

    /// Everything appended is durable.
    pub(super) fn committed(&mut self) {
        for segment in self.segments.iter_mut().rev() {
            if segment.durable_end == segment.end {
                break;
            }
            segment.durable_end = segment.end;
            let group = std::mem::take(&mut segment.group);
            segment.durable.live += group.live;
            segment.durable.written += group.written;
            segment.durable.written_bytes += group.written_bytes;
        }
    }

    /// Nothing of the group is durable: its records leave the counts, the segments that held nothing else leave the log. The
    /// segment it began in keeps its durable part and is abandoned when the group had `touched` it.
    pub(super) fn failed(&mut self, touched: bool) {
        while self.segments.back().is_some_and(|segment| segment.durable_end == 0) {
            self.segments.pop_back();
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.end = segment.durable_end;
            segment.group = Tally::default();
            segment.abandoned |= touched;
        }
    }

    /// Takes out the oldest segment when nothing in it is alive and it is not the one being written.
    pub(super) fn pop_free(&mut self) -> Option<SegmentAccount> {
        if self.segments.len() > 1 && self.segments.front().is_some_and(|segment| segment.live() == 0) {
            return self.segments.pop_front();
        }
        None
    }

    /// Octets of the log: all of the segments that are closed, the written part of the last.
    pub(super) fn used_bytes(&self, limits: Limits) -> u64 {
        let closed = self.segments.len().saturating_sub(1) as u64;
        closed * limits.segment_size + self.segments.back().map_or(0, |segment| u64::from(segment.end))
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.segments.iter().map(SegmentAccount::live_bytes).sum()
    }

    pub(super) fn live_records(&self) -> u64 {
        self.segments.iter().map(SegmentAccount::live).sum()
    }

    /// Should the oldest segment's survivors be appended again?
    ///
    /// Yes when more than half of the log, and at least two segments, is dead: a whole turn through the log then writes no more
    /// than it frees, so each octet is written about twice at most, and a backlog that is all alive stays where it is. Close to
    /// the maximum a fifth of dead space is reason enough, because otherwise submits would be refused.
    pub(super) fn compaction_wanted(&self, limits: Limits) -> bool {
        let oldest_has_survivors = self.segments.len() > 2 && self.segments.front().is_some_and(|segment| segment.live() > 0);
        if !oldest_has_survivors {
            return false;
        }
        let (used, live) = (self.used_bytes(limits), self.live_bytes());
        let dead = used.saturating_sub(live);
        let mostly_dead = dead > live + 2 * limits.segment_size;
        let crowded = used + 4 * limits.segment_size > limits.max_size && dead > used / 5 + 2 * limits.segment_size;
        mostly_dead || crowded
    }
}
