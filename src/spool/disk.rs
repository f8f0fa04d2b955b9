//! What the spool needs of a disk, and the real one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A directory with files, as the spool uses it. Names are relative to that directory.
pub trait Disk {
    type File;

    /// Takes the directory for this process until the disk is dropped; false when another owner holds it.
    fn lock(&mut self) -> io::Result<bool>;
    /// Names of the files directly in `directory` (`""` is the spool itself), in no particular order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Creates a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Reserves blocks for the file's first `size` octets, which read as zeros.
    fn preallocate(&self, file: &Self::File, size: u64) -> io::Result<()>;
    fn size(&self, file: &Self::File) -> io::Result<u64>;
    /// Fills `buffer` from `offset` and says how much of it there was before the end of the file.
    fn pread(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn pwrite(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn fdatasync(&self, file: &Self::File) -> io::Result<()>;
    /// Lets the disk begin to write what stands in the file's range, without waiting for it; it may take this for advice only.
    fn write_back(&self, file: &Self::File, offset: u64, size: u64);
    /// Lets the disk begin to read the file's range, without waiting for it; it may take this for advice only.
    fn read_ahead(&self, file: &Self::File, offset: u64, size: u64);
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in `directory` durable.
    fn sync_dir(&self, directory: &str) -> io::Result<()>;
    /// Octets this process may still allocate on the file system.
    fn free_space(&self) -> io::Result<u64>;
    /// A number nobody can guess.
    fn random(&self) -> io::Result<u64>;
}

const LOCK: &str = "LOCK";
/// The spool holds message texts and numbers: nobody but its owner reads it.
const FILE_MODE: u32 = 0o600;

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    lock: Option<OwnedFd>,
}

impl RealDisk {
    /// Uses `directory`, which is created when missing.
    pub fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory.join(super::QUARANTINE))?;
        Ok(RealDisk { directory: directory.to_owned(), lock: None })
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }
}

impl Disk for RealDisk {
    type File = File;

    fn lock(&mut self) -> io::Result<bool> {
        let file = RealDisk::options().create(true).truncate(false).open(self.directory.join(LOCK))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock = Some(file.into());
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.directory.join(directory))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        RealDisk::options().open(self.directory.join(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        RealDisk::options().create_new(true).open(self.directory.join(name))
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
            // Some file systems cannot reserve; the zeros written afterwards allocate the blocks there.
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(size),
            result => Ok(result?),
        }
    }

    fn size(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn pread(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn pwrite(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn fdatasync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn write_back(&self, file: &File, offset: u64, size: u64) {
        // "Not needed in memory any more" is how Linux is told to begin; whether it does is its own affair.
        let _ = rustix::fs::fadvise(file, offset, std::num::NonZero::new(size), rustix::fs::Advice::DontNeed);
    }

    fn read_ahead(&self, file: &File, offset: u64, size: u64) {
        let _ = rustix::fs::fadvise(file, offset, std::num::NonZero::new(size), rustix::fs::Advice::WillNeed);
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        File::open(self.directory.join(directory))?.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }
}
