//! The fdatasync of one group, beside the collecting of the next.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, never};

use crate::spool::Disk;

/// Syncs one file at a time, and tells when it is done.
pub(super) enum Syncer<D: Disk> {
    Thread {
        /// Taken when it is to end.
        due: Option<Sender<D::File>>,
        done: Receiver<io::Result<()>>,
        thread: Option<JoinHandle<()>>,
    },
    /// Without a thread: when it is waited for.
    Step { disk: D, due: Option<D::File> },
}

impl<D: Disk> Syncer<D> {
    pub fn in_steps(disk: D) -> Self {
        Syncer::Step { disk, due: None }
    }

    pub fn begin(&mut self, file: D::File) {
        match self {
            // The thread ends only after the channel has been closed from here.
            Syncer::Thread { due, .. } => due.as_ref().map_or((), |due| drop(due.send(file))),
            Syncer::Step { due, .. } => *due = Some(file),
        }
    }

    /// Where the result of what was begun comes, if it comes by itself.
    pub fn done(&self) -> Receiver<io::Result<()>> {
        match self {
            Syncer::Thread { done, .. } => done.clone(),
            Syncer::Step { .. } => never(),
        }
    }

    /// Waits for the result of what was begun.
    pub fn wait(&mut self) -> io::Result<()> {
        match self {
            Syncer::Thread { done, .. } => done.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for it has ended"))),
            Syncer::Step { disk, due } => due.take().map_or(Ok(()), |file| disk.fdatasync(&file)),
        }
    }
}

impl<D> Syncer<D>
where
    D: Disk + Send + 'static,
    D::File: Send,
{
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(disk: D) -> io::Result<Self> {
        let (due, inbox) = bounded::<D::File>(1);
        let (outbox, done) = bounded(1);
        let work = move || {
            for file in inbox {
                // The journal waits for it, or has ended.
                let _ = outbox.send(disk.fdatasync(&file));
            }
        };
        let thread = std::thread::Builder::new().name("sync".into()).spawn(work)?;
        Ok(Syncer::Thread { due: Some(due), done, thread: Some(thread) })
    }
}

impl<D: Disk> Drop for Syncer<D> {
    fn drop(&mut self) {
        if let Syncer::Thread { due, thread, .. } = self {
            *due = None;
            if let Some(thread) = thread.take() {
                // A panic there has been reported by the thread itself.
                let _ = thread.join();
            }
        }
    }
}
