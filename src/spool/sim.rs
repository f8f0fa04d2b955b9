//! A simulated disk, for tests: it knows what is durable, fails on request, and leaves behind every image that a power cut may.
//!
//! A write is on the disk for certain once fdatasync has returned for its file. Until then each of its 512-octet sectors may or
//! may not be there, in any combination, and one may be torn. Names are durable after `sync_dir`. After a failed fdatasync the
//! writes it was to cover stay uncertain: as with Linux, a later fdatasync covers them only when their page was written again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::Disk;

const SECTOR: usize = 512;
const PAGE: usize = 4096;
/// As many uncertain sectors are combined in every way; of more, prefixes and suffixes.
const ALL_SUBSETS: usize = 8;

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Write,
    Sync,
    Read,
}

/// What becomes of a sector that was not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    No,
    Yes,
    /// Only so many of its octets.
    Torn(usize),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Piece>,
    /// Writes whose fdatasync failed.
    uncertain: Vec<Piece>,
}

/// A write within one sector.
#[derive(Debug, Clone)]
struct Piece {
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    locked: bool,
    capacity: Option<u64>,
    operations: u64,
    power_cut_at: Option<u64>,
    /// Fails after the first so many, as often as the second says.
    faults: Vec<(Operation, u64, u64)>,
    drawn: u64,
}

/// A disk in memory. Clones are handles to the same disk; the one that took the lock holds it until dropped.
#[derive(Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    holds_lock: bool,
}

impl Clone for SimDisk {
    fn clone(&self) -> Self {
        SimDisk { state: Arc::clone(&self.state), holds_lock: false }
    }
}

impl Drop for SimDisk {
    fn drop(&mut self) {
        if self.holds_lock {
            self.state().locked = false;
        }
    }
}

impl SimDisk {
    /// An empty disk without a limit to its size.
    pub fn new() -> Self {
        SimDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits all files together to so many octets; ENOSPC beyond.
    pub fn set_capacity(&self, octets: u64) {
        self.state().capacity = Some(octets);
    }

    /// After `skip` more of these operations have succeeded, the next `times` fail with EIO.
    pub fn fail(&self, operation: Operation, skip: u64, times: u64) {
        self.state().faults.push((operation, skip, times));
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// How many operations have changed the disk or asked it to be durable.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power goes before the operation with this number, counted from 0: it and all later ones fail.
    pub fn cut_power_at(&self, operation: u64) {
        self.state().power_cut_at = Some(operation);
    }

    /// Names of all files, those in folders included.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// A file as its reader sees it.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.names.get(name).map(|inode| state.inodes[*inode].current.clone()).unwrap_or_default()
    }

    /// Changes a file behind the spool's back, durably.
    pub fn alter(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Some(inode) = state.names.get(name).copied() {
            change(&mut state.inodes[inode].current);
            change(&mut state.inodes[inode].durable);
        }
    }

    /// How many sectors may or may not be on the disk.
    pub fn uncertain_sectors(&self) -> usize {
        self.state().inodes.iter().map(|inode| inode.pieces().count()).sum()
    }

    /// The disk after a power cut: `landed` decides about each uncertain sector, `names` whether the directory was written.
    pub fn crash(&self, names: bool, landed: &mut dyn FnMut(usize) -> Landed) -> SimDisk {
        let state = self.state();
        let mut index = 0;
        let mut inodes = Vec::new();
        for inode in &state.inodes {
            let mut image = inode.durable.clone();
            for piece in inode.pieces() {
                let count = match landed(index) {
                    Landed::No => 0,
                    Landed::Yes => piece.bytes.len(),
                    Landed::Torn(count) => count.min(piece.bytes.len()),
                };
                write_into(&mut image, piece.offset, &piece.bytes[..count]);
                index += 1;
            }
            inodes.push(Inode { current: image.clone(), durable: image, ..Inode::default() });
        }
        let names = if names { &state.names } else { &state.durable_names };
        let (names, durable_names) = (names.clone(), names.clone());
        let after =
            State { inodes, names, durable_names, capacity: state.capacity, drawn: state.drawn + 1000, ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(after)), holds_lock: false }
    }

    /// Shows every image a power cut may leave now; with many uncertain sectors, every prefix and suffix of them, and each torn.
    pub fn every_crash(&self, visit: &mut dyn FnMut(SimDisk)) {
        let count = self.uncertain_sectors();
        let mut images: Vec<Vec<Landed>> = Vec::new();
        if count <= ALL_SUBSETS {
            for subset in 0..1u32 << count {
                images.push((0..count).map(|at| if subset >> at & 1 == 1 { Landed::Yes } else { Landed::No }).collect());
            }
        }
        for cut in 0..count {
            let split = |before, at_cut, after| {
                let choose = |at: usize| match at.cmp(&cut) {
                    std::cmp::Ordering::Less => before,
                    std::cmp::Ordering::Equal => at_cut,
                    std::cmp::Ordering::Greater => after,
                };
                (0..count).map(choose).collect::<Vec<Landed>>()
            };
            images.push(split(Landed::Yes, Landed::Torn(SECTOR / 3), Landed::No));
            images.push(split(Landed::Yes, Landed::Torn(5), Landed::Yes));
            images.push(split(Landed::No, Landed::Yes, Landed::Yes));
            images.push(split(Landed::Yes, Landed::No, Landed::No));
        }
        images.push(vec![Landed::Yes; count]);
        for names in [true, false] {
            for image in &images {
                visit(self.crash(names, &mut |at| image[at]));
            }
        }
    }

    fn inode<T>(&self, inode: usize, act: impl FnOnce(&mut Inode) -> T) -> T {
        act(&mut self.state().inodes[inode])
    }
}

impl Inode {
    /// The uncertain sectors; not those that would change nothing.
    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        let durable = |piece: &&Piece| self.durable.get(piece.offset..piece.offset + piece.bytes.len()) != Some(&piece.bytes[..]);
        self.uncertain.iter().chain(&self.unsynced).filter(durable)
    }
}

impl State {
    /// Counts an operation, and fails it when that was asked for.
    fn operate(&mut self, operation: Operation) -> io::Result<()> {
        if operation != Operation::Read {
            let number = self.operations;
            self.operations += 1;
            if self.power_cut_at.is_some_and(|at| number >= at) {
                return Err(io::Error::other("the power is off"));
            }
        }
        for (which, skip, times) in &mut self.faults {
            if *which != operation || *times == 0 {
                continue;
            }
            if *skip > 0 {
                *skip -= 1;
            } else {
                *times -= 1;
                return Err(rustix::io::Errno::IO.into());
            }
        }
        Ok(())
    }

    fn free(&self) -> u64 {
        let used: usize = self.names.values().map(|inode| self.inodes[*inode].current.len()).sum();
        self.capacity.unwrap_or(u64::MAX).saturating_sub(used as u64)
    }

    fn write(&mut self, inode: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.operate(Operation::Write)?;
        let growth = (offset + bytes.len()).saturating_sub(self.inodes[inode].current.len());
        if growth as u64 > self.free() {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        let inode = &mut self.inodes[inode];
        write_into(&mut inode.current, offset, bytes);
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
            inode.unsynced.push(Piece { offset: offset + at, bytes: bytes[at..end].to_vec() });
            at = end;
        }
        Ok(())
    }
}

fn write_into(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end && !bytes.is_empty() {
        image.resize(end, 0);
    }
    if !bytes.is_empty() {
        image[offset..end].copy_from_slice(bytes);
    }
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for SimDisk {
    type File = usize;

    fn lock(&mut self) -> io::Result<bool> {
        let free = !std::mem::replace(&mut self.state().locked, true);
        self.holds_lock |= free;
        Ok(free)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter(|name| folder(name) == directory);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn open(&self, name: &str) -> io::Result<usize> {
        self.state().names.get(name).copied().ok_or_else(not_found)
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut state = self.state();
        state.operate(Operation::Create)?;
        if state.names.contains_key(name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(name.to_owned(), inode);
        Ok(inode)
    }

    fn preallocate(&self, file: &usize, size: u64) -> io::Result<()> {
        self.state().write(*file, 0, &vec![0; size as usize])
    }

    fn size(&self, file: &usize) -> io::Result<u64> {
        Ok(self.inode(*file, |inode| inode.current.len() as u64))
    }

    fn pread(&self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.state().operate(Operation::Read)?;
        self.inode(*file, |inode| {
            let there = inode.current.get(offset as usize..).unwrap_or_default();
            let count = there.len().min(buffer.len());
            buffer[..count].copy_from_slice(&there[..count]);
            Ok(count)
        })
    }

    fn pwrite(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().write(*file, offset as usize, bytes)
    }

    /// Advice, which this disk does not follow: what is not synced may be lost.
    fn write_back(&self, _file: &usize, _offset: u64, _size: u64) {}
    fn read_ahead(&self, _file: &usize, _offset: u64, _size: u64) {}

    fn fdatasync(&self, file: &usize) -> io::Result<()> {
        let mut state = self.state();
        let result = state.operate(Operation::Sync);
        let inode = &mut state.inodes[*file];
        let pieces = std::mem::take(&mut inode.unsynced);
        if result.is_err() {
            inode.uncertain.extend(pieces);
            return result;
        }
        for piece in pieces {
            // The kernel writes whole pages, with everything in them.
            let page = piece.offset / PAGE * PAGE;
            let end = inode.current.len().min(page + PAGE);
            write_into(&mut inode.durable, page, &inode.current[page..end]);
            inode.uncertain.retain(|other| other.offset / PAGE * PAGE != page);
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate(Operation::Create)?;
        let inode = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate(Operation::Create)?;
        state.names.remove(name).map(|_| ()).ok_or_else(not_found)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate(Operation::Sync)?;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|name, _| folder(name) != directory);
        durable_names.extend(names.iter().filter(|(name, _)| folder(name) == directory).map(|(n, i)| (n.clone(), *i)));
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(self.state().free())
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.state();
        state.drawn += 1;
        // SplitMix64: a different number every time, the same in every run.
        let mut mixed = state.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        Ok(mixed ^ mixed >> 31)
    }
}
