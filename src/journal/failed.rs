//! When the disk fails: refuse submissions, keep everything else, and go on by itself when the disk is well again.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::group::{Group, SYSTEM_ERROR};
use super::{Ack, Batch, Host, Question, SpoolLog, Unwritten};
use crate::ledger::{Effect, Event, Log, kind};
use crate::link;
use crate::message::MessageId;
use crate::spool::{AppendError, Class, Disk, Health, Location};

/// How often the disk is tried.
const RETRY: Duration = Duration::from_secs(1);

/// What has come since a group failed. The group's own records are in the spool's hands, or among those unwritten.
pub(super) struct Failure {
    /// `None`: to be tried at once.
    tried: Option<Instant>,
    /// Bounded by the windows of binds and mailboxes, which only our answers free.
    held: VecDeque<Batch>,
    /// Bounded likewise: a queue asks for payloads once, a session for as many messages as its window.
    questions: Vec<Question>,
    /// Submissions that were refused: not to be written again.
    refused: BTreeSet<MessageId>,
}

impl Failure {
    /// Refuses a batch of submissions at once; everything else waits.
    pub fn hold(&mut self, batch: Batch) {
        let count = batch.count();
        let submissions = batch.events.iter().any(|event| matches!(event, Event::Accept(_)));
        match batch.reply {
            Some((reply, ticket)) if submissions => {
                let statuses = vec![SYSTEM_ERROR; count];
                // The session may have gone.
                let _ = reply.try_send(Ack { ticket, statuses, list: Vec::new() });
            }
            reply => self.held.push_back(Batch { reply, ..batch }),
        }
    }

    pub fn hold_question(&mut self, question: Question) {
        self.questions.push(question);
    }

    /// The next attempt need not wait.
    pub fn try_now(&mut self) {
        self.tried = None;
    }
}

impl<D: Disk, H: Host> Group<D, H> {
    /// The group could not be made durable. fdatasync is never tried again on it: the kernel may have dropped the pages.
    pub(super) fn fail(&mut self, error: &str) {
        tracing::error!(error, "the spool cannot be written: submissions are refused until it can");
        self.set_failed(true);
        self.host.disk_failed();
        let refused = self.refuse();
        // What comes from now on is refused or held, and that must not end at the size of a group.
        self.events = 0;
        self.effects.retain(|effect| !matches!(effect, Effect::Queue(waiting) if refused.contains(&waiting.id)));
        self.failure = Some(Failure { tried: Some(link::now()), held: VecDeque::new(), questions: Vec::new(), refused });
    }

    /// Refuses the group's submissions. Answers that say nothing else leave now; the others wait with their records.
    fn refuse(&mut self) -> BTreeSet<MessageId> {
        let mut refused = BTreeSet::new();
        for accepted in self.accepted.drain(..) {
            refused.insert(accepted.id);
            if let Some(answer) = self.answers.get_mut(accepted.answer) {
                answer.ack.statuses.resize(answer.events, 0);
                answer.ack.statuses[accepted.at] = SYSTEM_ERROR;
            }
        }
        for answer in std::mem::take(&mut self.answers) {
            let statuses = &answer.ack.statuses;
            if !statuses.is_empty() && statuses.iter().all(|status| *status == SYSTEM_ERROR) {
                let _ = answer.reply.try_send(answer.ack);
            } else {
                self.answers.push(answer);
            }
        }
        self.unwritten.retain(|record| !refused.contains(&MessageId(record.id)));
        for id in &refused {
            let Some(location) = self.ledger.withdraw(*id) else { continue };
            // A spool that has failed has dropped the record. One that is well, because only an append was refused, still has it.
            if self.spool.health() == Health::Ok && location != Location::default() {
                let mut log = SpoolLog::new(&mut self.spool, &mut self.unwritten);
                log.append_change(kind::DONE, *id, &[]);
                log.release(location);
            }
        }
        refused
    }

    /// Tries the disk now and then; on success writes the failed group again, without what was refused, and goes on.
    pub(super) fn recover(&mut self) {
        let Some(failure) = &mut self.failure else { return };
        if failure.tried.is_some_and(|tried| link::now().duration_since(tried) < RETRY) {
            return;
        }
        failure.tried = Some(link::now());
        let result = self.append_again().and_then(|()| self.commit_spool());
        if let Err(error) = result {
            tracing::warn!(%error, "the spool still cannot be written");
            return;
        }
        tracing::info!("the spool can be written again");
        self.set_failed(false);
        self.release();
        let Some(failure) = self.failure.take() else { return };
        for question in failure.questions {
            self.answer(question);
        }
        for batch in failure.held {
            self.take(batch);
        }
    }

    /// Appends what the failed group held and what could not even be appended to it, in that order. What succeeds is taken off the
    /// list, so that a second attempt goes on where the first one stopped.
    fn append_again(&mut self) -> Result<(), String> {
        let group = self.spool.try_recover().map_err(|error| error.to_string())?;
        let refused = self.failure.as_ref().map(|failure| &failure.refused);
        let kept = group.records().filter(|record| refused.is_none_or(|refused| !refused.contains(&MessageId(record.id))));
        let mut records: VecDeque<Unwritten> = kept
            .map(|r| Unwritten { class: r.class, kind: r.kind, id: r.id, location: r.location, payload: r.payload.to_vec() })
            .collect();
        records.append(&mut self.unwritten);
        self.unwritten = records;
        while let Some(record) = self.unwritten.front() {
            let appended = match record.class {
                Class::Full => self.spool.append_full(record.kind, record.id, &record.payload),
                Class::Delta => self.spool.append_delta(record.kind, record.id, &record.payload),
            };
            match appended {
                Ok(location) if record.class == Class::Full => {
                    if !self.ledger.relocate(MessageId(record.id), record.location, location) {
                        self.spool.release(location); // finished in the same group
                    }
                }
                Ok(_) => {}
                Err(AppendError::TooLarge) => {
                    tracing::error!(id = record.id, kind = record.kind, "a record is larger than the spool can hold: left out");
                }
                Err(error) => return Err(error.to_string()),
            }
            self.unwritten.pop_front();
        }
        Ok(())
    }
}
