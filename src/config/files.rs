//! What a configuration refers to on disk, behind a trait so that checking needs no disk.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Reads what the configuration names.
pub trait Files {
    /// The content of a file of at most `limit` octets; a longer one is an error.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The permission bits of a file that exists and can be opened.
    fn mode(&self, path: &Path) -> io::Result<u32>;

    /// Where the service manager put the credential of this name (systemd.exec `LoadCredential=`); `None` when there are none.
    fn credential(&self, name: &str) -> Option<PathBuf>;
}

/// The file system, and the credentials directory of the service.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub credentials: Option<PathBuf>,
}

impl Disk {
    /// With the `$CREDENTIALS_DIRECTORY` that systemd sets.
    pub fn from_environment() -> Self {
        Disk { credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from) }
    }
}

impl Files for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut content)?;
        if content.len() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} octets")));
        }
        Ok(content)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        let metadata = std::fs::File::open(path)?.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(metadata.permissions().mode())
    }

    fn credential(&self, name: &str) -> Option<PathBuf> {
        self.credentials.as_ref().map(|directory| directory.join(name))
    }
}
