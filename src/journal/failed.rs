//! When the disk fails: refuse submissions, keep everything else, and go on by itself when the disk is well again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashSet;

use super::group::{Group, SYSTEM_ERROR};
use super::{Ack, Batch, Host};
use crate::ledger::{Effect, Event};
use crate::message::MessageId;
use crate::spool::{Class, Disk, FailedGroup};

/// How often the disk is tried.
const RETRY: Duration = Duration::from_secs(1);

/// The group that failed, and what has come since.
pub(super) struct Failure {
    tried: Instant,
    held: VecDeque<Batch>,
    /// Submissions that were refused: not to be written again.
    refused: HashSet<MessageId>,
}

impl Failure {
    /// Refuses a batch's submissions at once; everything else waits. Binds and mailboxes have windows, so little can come.
    pub fn hold(&mut self, batch: Batch) {
        let submissions = batch.events.iter().any(|event| matches!(event, Event::Accept(_)));
        match batch.reply {
            Some((reply, ticket)) if submissions => {
                let statuses = vec![SYSTEM_ERROR; batch.events.len()];
                // The session may have gone.
                let _ = reply.try_send(Ack { ticket, statuses });
            }
            reply => self.held.push_back(Batch { reply, ..batch }),
        }
    }
}

impl<D: Disk, H: Host> Group<D, H> {
    /// The group could not be made durable. fdatasync is never tried again on it: the kernel may have dropped the pages.
    pub(super) fn fail(&mut self, error: &str) {
        tracing::error!(error, "the spool cannot be written: submissions are refused until it can");
        self.set_failed(true);
        self.host.disk_failed();
        let mut refused = HashSet::new();
        for (id, answer) in self.accepted.drain(..) {
            refused.insert(id);
            if let Some((_, ack)) = self.answers.get_mut(answer) {
                ack.statuses.push(SYSTEM_ERROR);
            }
        }
        // Answers to submissions leave now; the others wait with their records.
        for (reply, ack) in std::mem::take(&mut self.answers) {
            if ack.statuses.last() == Some(&SYSTEM_ERROR) {
                let _ = reply.try_send(ack);
            } else {
                self.answers.push((reply, ack));
            }
        }
        self.effects.retain(|effect| !matches!(effect, Effect::Queue(waiting) if refused.contains(&waiting.id)));
        self.failure = Some(Failure { tried: Instant::now(), held: VecDeque::new(), refused });
    }

    /// Tries the disk now and then; on success writes the failed group again, without what was refused, and goes on.
    pub(super) fn recover(&mut self) {
        let Some(failure) = &mut self.failure else { return };
        if failure.tried.elapsed() < RETRY {
            return;
        }
        failure.tried = Instant::now();
        let group = match self.spool.try_recover() {
            Ok(group) => group,
            Err(error) => {
                tracing::warn!(%error, "the spool still cannot be written");
                return;
            }
        };
        self.broken = false;
        let refused = std::mem::take(&mut failure.refused);
        self.append_again(&group, &refused);
        if self.broken || self.spool.commit().is_err() {
            if let Some(failure) = &mut self.failure {
                failure.refused = refused;
            }
            return;
        }
        tracing::info!("the spool can be written again");
        let held = self.failure.take().map(|failure| failure.held).unwrap_or_default();
        self.set_failed(false);
        self.release();
        for batch in held {
            self.take(batch);
        }
    }

    fn append_again(&mut self, group: &FailedGroup, refused: &HashSet<MessageId>) {
        for id in refused {
            self.ledger.withdraw(*id);
        }
        for record in group.records() {
            let id = MessageId(record.id);
            if refused.contains(&id) {
                continue;
            }
            let appended = match record.class {
                Class::Full => self.spool.append_full(record.kind, record.id, record.payload),
                Class::Delta => self.spool.append_delta(record.kind, record.id, record.payload),
            };
            match appended {
                Ok(location) if record.class == Class::Full => self.ledger.relocate(id, record.location, location),
                Ok(_) => {}
                Err(_) => self.broken = true,
            }
        }
    }
}
