//! Stories of the spool on a simulated disk, told by a small journal that keeps one value per id.

mod crash;
mod damage;
mod faults;
mod format;
mod space;

use std::collections::BTreeMap;

use super::sim::SimDisk;
use super::*;

pub const SEGMENT: u64 = 64 << 10;
pub const SETTINGS: Settings = Settings { segment_size: SEGMENT, max_size: 64 * SEGMENT, disk_reserve: 0 };
const VALUE: u8 = 1;
const DONE: u8 = 2;

/// The values that a spool holds, by id.
pub type Values = BTreeMap<u64, u32>;

/// The smallest caller a spool can have: ids have values until they are done.
pub struct Journal {
    pub spool: Spool<SimDisk>,
    pub recovery: Recovery,
    pub live: BTreeMap<u64, (u32, Location)>,
    /// What a crash must not lose.
    pub committed: Values,
    /// What the group being collected changes: it may or may not survive a crash.
    pub pending: Vec<(u64, Option<u32>)>,
    slice: Survivors,
}

/// A payload from which the value can be told, of a length that depends on it.
pub fn payload(value: u32) -> Vec<u8> {
    let mut octets = vec![value as u8; 4 + (value as usize * 37) % 3000];
    octets[..4].copy_from_slice(&value.to_le_bytes());
    octets
}

pub fn value(payload_found: &[u8]) -> u32 {
    let value = u32::from_le_bytes(*payload_found.first_chunk().expect("four octets"));
    assert_eq!(payload_found, payload(value), "a payload that nobody wrote");
    value
}

impl Journal {
    pub fn open(disk: &SimDisk) -> Journal {
        Journal::try_open(disk, SETTINGS).expect("the spool opens")
    }

    pub fn try_open(disk: &SimDisk, settings: Settings) -> Result<Journal, OpenError> {
        let mut live = BTreeMap::new();
        let (mut spool, recovery) = Spool::open(disk.clone(), settings, &mut |record| match record.kind {
            VALUE => {
                live.insert(record.id, (value(record.payload), record.location));
            }
            _ => {
                live.remove(&record.id);
            }
        })?;
        live.values().for_each(|(_, location)| spool.mark_live(*location));
        spool.all_marked();
        let committed = live.iter().map(|(id, (value, _))| (*id, *value)).collect();
        Ok(Journal { spool, recovery, live, committed, pending: Vec::new(), slice: Survivors::default() })
    }

    /// Gives `id` a value.
    pub fn put(&mut self, id: u64, value: u32) {
        let Ok(location) = self.spool.append_full(VALUE, id, &payload(value)) else { return };
        self.pending.push((id, Some(value)));
        if let Some((_, old)) = self.live.insert(id, (value, location)) {
            self.spool.release(old);
        }
    }

    pub fn done(&mut self, id: u64) {
        if self.live.contains_key(&id) && self.spool.append_delta(DONE, id, &[]).is_ok() {
            self.pending.push((id, None));
            self.live.remove(&id).into_iter().for_each(|(_, old)| self.spool.release(old));
        }
    }

    pub fn commit(&mut self) -> bool {
        let done = self.spool.commit().is_ok();
        if done {
            self.pending.clear();
            self.committed = self.live.iter().map(|(id, (value, _))| (*id, *value)).collect();
        }
        done
    }

    /// One commit with the housekeeping that belongs to it.
    pub fn turn(&mut self) -> bool {
        self.carry();
        let done = self.commit();
        let _ = self.spool.maintain();
        done
    }

    /// Appends again what lives in one slice of the oldest segment.
    pub fn carry(&mut self) {
        if !self.spool.needs_compaction() || self.spool.survivors(&mut self.slice).is_err() {
            return;
        }
        for record in self.slice.records() {
            if let Some((_, location)) = self.live.get_mut(&record.id).filter(|(_, location)| *location == record.location) {
                let Ok(moved) = self.spool.append_full(VALUE, record.id, record.payload) else { return };
                self.spool.release(*location);
                *location = moved;
            }
        }
    }

    /// Goes on after a failed commit, with everything the failed group held.
    pub fn recover(&mut self) -> bool {
        let Ok(group) = self.spool.try_recover() else { return false };
        for record in group.records() {
            match record.class {
                Class::Full => {
                    let moved = self.spool.append_full(record.kind, record.id, record.payload).expect("healthy again");
                    match self.live.get_mut(&record.id).filter(|(_, location)| *location == record.location) {
                        Some((_, location)) => *location = moved,
                        None => self.spool.release(moved),
                    }
                }
                Class::Delta => {
                    self.spool.append_delta(record.kind, record.id, record.payload).expect("healthy again");
                }
            }
        }
        true
    }

    /// Checks an image of the disk: all that was committed is there, and nothing that was not written.
    pub fn check(&self, image: &SimDisk) {
        let after = Journal::open(image);
        assert_eq!(after.recovery.missing_segments, 0);
        let mut allowed: BTreeMap<u64, Vec<Option<u32>>> = BTreeMap::new();
        self.pending.iter().for_each(|(id, value)| allowed.entry(*id).or_default().push(*value));
        let ids = self.committed.keys().chain(after.committed.keys()).chain(allowed.keys());
        for id in ids {
            let (found, wanted) = (after.committed.get(id).copied(), self.committed.get(id).copied());
            let uncertain = allowed.get(id).is_some_and(|values| values.contains(&found));
            assert!(found == wanted || uncertain, "id {id}: found {found:?} instead of {wanted:?}, pending {:?}", self.pending);
        }
        let highest = self.committed.keys().max().copied().unwrap_or(0);
        assert!(after.recovery.next_id > highest, "an id could be used twice");
    }
}
