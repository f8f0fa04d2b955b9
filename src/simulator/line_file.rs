//! A text file that many tasks append lines to, a batch at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Octets gathered before a writer writes them itself instead of leaving it to the next [`LineFile::flush`].
const BUFFER: usize = 1024 * 1024;

/// Lines on their way to a file. Whoever owns it calls [`LineFile::flush`] now and then, and at the end.
#[derive(Debug)]
pub struct LineFile {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    buffer: Vec<u8>,
    /// The first error; lines after it are dropped, and `flush` reports it.
    error: Option<io::Error>,
}

impl LineFile {
    /// Opens the file for appending, so that a restarted process goes on where the last one ended.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append_to(path: &Path) -> io::Result<LineFile> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(LineFile { inner: Mutex::new(Inner { file, buffer: Vec::with_capacity(BUFFER), error: None }) })
    }

    /// Adds whole lines and empties `lines`.
    pub fn write(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.buffer.extend_from_slice(lines);
        lines.clear();
        if inner.buffer.len() >= BUFFER {
            inner.write_out();
        }
    }

    /// Writes everything gathered to the file.
    ///
    /// # Errors
    /// The first error since the last call; the lines gathered at that time are lost.
    pub fn flush(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.write_out();
        inner.error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write_out(&mut self) {
        if let Err(error) = self.file.write_all(&self.buffer) {
            self.error.get_or_insert(error);
        }
        self.buffer.clear();
    }
}
