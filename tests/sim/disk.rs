//! The spool's simulated disk with weather of its own: errors, no space, slowness, and the lie about fdatasync.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smppgw::spool::Disk;
use smppgw::spool::sim::{Landed, Operation, SimDisk};

use crate::world::{World, lock};

/// What the disk is like at present.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Of a hundred writes, and of a hundred fdatasyncs, so many fail with EIO.
    pub write_errors: u32,
    pub sync_errors: u32,
    /// Longest time an fdatasync takes, in milliseconds.
    pub slow: u64,
    /// fdatasync says it is done and does nothing: what must be noticed.
    pub lies: bool,
}

/// A disk through all lives of a gateway.
pub struct Drive {
    world: Arc<World>,
    state: Mutex<(SimDisk, Weather)>,
}

impl Drive {
    pub fn new(world: Arc<World>) -> Arc<Drive> {
        Arc::new(Drive { world, state: Mutex::new((SimDisk::new(), Weather::default())) })
    }

    pub fn weather(&self) -> Weather {
        lock(&self.state).1
    }

    pub fn set_weather(&self, weather: Weather) {
        self.world.event(format_args!("disk: {weather:?}"));
        lock(&self.state).1 = weather;
    }

    /// No file can grow any more, until told otherwise.
    pub fn fill(&self, full: bool) {
        self.world.event(format_args!("disk: full {full}"));
        let disk = self.image();
        let used: usize = disk.names().iter().map(|name| disk.content(name).len()).sum();
        disk.set_capacity(if full { used as u64 } else { u64::MAX });
    }

    /// How long the next fdatasync takes.
    pub fn delay(&self) -> Duration {
        match self.weather().slow {
            0 => Duration::ZERO,
            slow => self.world.millis(0, slow),
        }
    }

    fn image(&self) -> SimDisk {
        lock(&self.state).0.clone()
    }

    /// A handle for a spool.
    pub fn disk(self: &Arc<Self>) -> WeatheredDisk {
        WeatheredDisk { inner: self.image(), drive: self.clone() }
    }

    /// The power goes in the middle of what comes next.
    pub fn cut_power_soon(&self) {
        let disk = self.image();
        disk.cut_power_at(disk.operations() + self.world.number(0, 3));
    }

    /// What a power cut leaves: of the sectors that were not synced the first ones, one of them perhaps torn; with `holes` each may be
    /// there or not, whichever others are.
    pub fn power_cut(&self, holes: bool) {
        let (world, disk) = (&self.world, self.image());
        let names = world.percent(50);
        let uncertain = disk.uncertain_sectors();
        let cut = match world.number(0, 3) {
            0 => 0,
            1 => uncertain,
            _ => world.number(0, uncertain as u64) as usize,
        };
        let mut landed = |at: usize| match (holes, world.number(0, 3)) {
            (true, 0) => Landed::No,
            (true, 1) => Landed::Torn(world.number(1, 511) as usize),
            (true, _) => Landed::Yes,
            (false, _) if at < cut => Landed::Yes,
            (false, draw) if at == cut && draw > 0 => Landed::Torn(world.number(1, 511) as usize),
            (false, _) => Landed::No,
        };
        let after = disk.crash(names, &mut landed);
        world.event(format_args!("disk: power cut, {uncertain} uncertain sectors"));
        lock(&self.state).0 = after;
    }

    /// What a killed process leaves: everything it has written.
    pub fn kill(&self) {
        let after = self.image().crash(true, &mut |_| Landed::Yes);
        lock(&self.state).0 = after;
    }

    /// Turns one bit of one file.
    pub fn flip_bit(&self) {
        let disk = self.image();
        let names = disk.names();
        if names.is_empty() {
            return;
        }
        let name = &names[self.world.index(names.len())];
        // The end of a segment is zeros that nothing depends on.
        let used = disk.content(name).iter().rposition(|octet| *octet != 0).unwrap_or(0);
        let (at, bit) = (self.world.index(used + 1), self.world.number(0, 7));
        self.world.event(format_args!("disk: bit {bit} of octet {at} of {name} turns"));
        disk.alter(name, |content| {
            if let Some(octet) = content.get_mut(at) {
                *octet ^= 1 << bit;
            }
        });
    }
}

/// The disk as the spool has it.
pub struct WeatheredDisk {
    inner: SimDisk,
    drive: Arc<Drive>,
}

impl WeatheredDisk {
    fn strike(&self, operation: Operation, share: u32) {
        if share > 0 && self.drive.world.percent(share) {
            self.drive.world.event(format_args!("disk: {operation:?} fails"));
            self.inner.fail(operation, 0, 1);
        }
    }
}

impl Disk for WeatheredDisk {
    type File = usize;

    fn lock(&mut self) -> io::Result<bool> {
        self.inner.lock()
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.inner.list(directory)
    }
    fn open(&self, name: &str) -> io::Result<usize> {
        self.inner.open(name)
    }
    fn create(&self, name: &str) -> io::Result<usize> {
        self.strike(Operation::Create, self.drive.weather().write_errors);
        self.inner.create(name)
    }
    fn preallocate(&self, file: &usize, size: u64) -> io::Result<()> {
        self.inner.preallocate(file, size)
    }
    fn size(&self, file: &usize) -> io::Result<u64> {
        self.inner.size(file)
    }
    fn pread(&self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.pread(file, offset, buffer)
    }
    fn pwrite(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.strike(Operation::Write, self.drive.weather().write_errors);
        self.inner.pwrite(file, offset, bytes)
    }
    fn fdatasync(&self, file: &usize) -> io::Result<()> {
        if self.drive.weather().lies {
            return Ok(());
        }
        self.strike(Operation::Sync, self.drive.weather().sync_errors);
        self.inner.fdatasync(file)
    }
    fn write_back(&self, file: &usize, offset: u64, size: u64) {
        self.inner.write_back(file, offset, size);
    }
    fn read_ahead(&self, file: &usize, offset: u64, size: u64) {
        self.inner.read_ahead(file, offset, size);
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.inner.sync_dir(directory)
    }
    fn free_space(&self) -> io::Result<u64> {
        self.inner.free_space()
    }
    fn random(&self) -> io::Result<u64> {
        self.inner.random()
    }
}
