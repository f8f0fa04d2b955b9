//! One group: what is taken in, committed, and released together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use super::failed::Failure;
use super::{Ack, Batch, Commit, Gate, Host, Lookup, Question, SpoolLog};
use crate::ledger::{Effect, Event, Ledger, MessageStatus, Status, Turn, UnmatchedReceipt};
use crate::message::{Job, Mail, MessageId};
use crate::spool::{Disk, Room, Spool, Survivors};

/// ESME_RSYSERR: not now, for no fault of the message (SMPP 3.4 section 5.1.3).
pub(super) const SYSTEM_ERROR: Status = 0x08;

/// Records read per slice of compaction are bounded by the spool; this bounds slices per commit.
const SLICES_PER_COMMIT: usize = 1;

/// The state between commits.
pub(super) struct Group<D: Disk, H: Host> {
    pub(super) spool: Spool<D>,
    pub(super) ledger: Ledger,
    pub(super) host: Arc<H>,
    gate: Arc<Gate>,
    /// What must follow once the group is durable.
    pub(super) effects: Vec<Effect>,
    pub(super) answers: Vec<(mpsc::Sender<Ack>, Ack)>,
    /// Submissions of this group, with the answer each belongs to: they are refused if the group fails.
    pub(super) accepted: Vec<(MessageId, usize)>,
    /// An append failed: the group must not be committed.
    pub(super) broken: bool,
    pub(super) failure: Option<Failure>,
    events: usize,
    survivors: Survivors,
}

impl<D: Disk, H: Host> Group<D, H> {
    pub fn new(spool: Spool<D>, ledger: Ledger, host: Arc<H>, gate: Arc<Gate>) -> Self {
        Group {
            spool,
            ledger,
            host,
            gate,
            effects: Vec::new(),
            answers: Vec::new(),
            accepted: Vec::new(),
            broken: false,
            failure: None,
            events: 0,
            survivors: Survivors::default(),
        }
    }

    /// Events taken since the last commit.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Takes a batch into the group. While the disk is failing its submissions are refused and the rest waits.
    pub fn take(&mut self, batch: Batch) {
        if let Some(failure) = &mut self.failure {
            failure.hold(batch);
            return;
        }
        let rules = self.host.rules();
        let now = self.host.now();
        let answer = self.answers.len();
        let count = batch.events.len();
        let mut statuses = Vec::new();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.broken);
        let mut turn = Turn { now, log: &mut log, rules: &*rules, effects: &mut self.effects };
        for (at, event) in batch.events.into_iter().enumerate() {
            if let Event::Accept(job) = &event {
                self.accepted.push((job.id, answer));
            }
            let status = self.ledger.apply(event, &mut turn);
            if status != 0 {
                statuses.resize(count, 0);
                statuses[at] = status;
            }
        }
        self.events += count;
        if let Some((reply, ticket)) = batch.reply {
            self.answers.push((reply, Ack { ticket, statuses }));
        }
    }

    /// What time brings, and a slice of compaction.
    pub fn maintain(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let rules = self.host.rules();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.broken);
        let mut turn = Turn { now: self.host.now(), log: &mut log, rules: &*rules, effects: &mut self.effects };
        self.ledger.tick(&mut turn);
        for _ in 0..SLICES_PER_COMMIT {
            if !self.spool.needs_compaction() {
                return;
            }
            self.compact();
        }
    }

    /// Moves survivors of the oldest segment to the head of the log, so that the segment becomes free.
    fn compact(&mut self) {
        let mut slice = std::mem::take(&mut self.survivors);
        if let Err(error) = self.spool.survivors(&mut slice) {
            tracing::warn!(%error, "the oldest spool segment cannot be read; trying again later");
        }
        let mut log = SpoolLog::new(&mut self.spool, &mut self.broken);
        for record in slice.records() {
            self.ledger.carry(MessageId(record.id), record.location, record.kind, record.payload, &mut log);
        }
        if let Some(segment) = slice.unreadable() {
            let lost = self.ledger.give_up(segment, &mut log, &mut self.effects);
            tracing::error!(segment, lost, "records of a damaged spool segment are quarantined");
        }
        self.survivors = slice;
    }

    /// Makes the group durable and lets its consequences happen; or keeps it for when the disk is well again.
    pub fn commit(&mut self) {
        if self.failure.is_some() {
            self.recover();
            return;
        }
        let started = Instant::now();
        let result = if self.broken { Err("a record could not be appended".to_owned()) } else { self.commit_spool() };
        match result {
            Ok(bytes) => {
                if bytes > 0 {
                    let (stats, pending) = (self.spool.stats(), self.ledger.pending_messages());
                    self.host.committed(Commit { took: started.elapsed(), bytes, events: self.events, stats, pending });
                }
                self.release();
                self.housekeeping();
            }
            Err(error) => self.fail(&error),
        }
    }

    fn commit_spool(&mut self) -> Result<u64, String> {
        self.spool.commit().map_err(|error| error.to_string())
    }

    /// The group is durable: consequences first, so that an answered message is already on its way.
    pub(super) fn release(&mut self) {
        self.accepted.clear();
        self.events = 0;
        if !self.effects.is_empty() {
            self.host.deliver(&mut self.effects);
            self.effects.clear();
        }
        for (reply, ack) in self.answers.drain(..) {
            // The session may have gone; its client will not hear, and will send again.
            let _ = reply.try_send(ack);
        }
    }

    fn housekeeping(&mut self) {
        if let Err(error) = self.spool.maintain() {
            tracing::warn!(%error, "no spare spool segment could be prepared");
        }
        self.gate.full.store(self.spool.room() == Room::Full, Ordering::Relaxed);
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.gate.failed.store(failed, Ordering::Relaxed);
    }

    pub fn answer(&mut self, question: Question) {
        let rules = self.host.rules();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.broken);
        question(&mut Answering { ledger: &self.ledger, log: &mut log, rules: &*rules });
    }
}

struct Answering<'a, L, R> {
    ledger: &'a Ledger,
    log: &'a mut L,
    rules: &'a R,
}

impl<L: crate::ledger::Log, R: crate::ledger::Rules> Lookup for Answering<'_, L, R> {
    fn status(&mut self, id: MessageId) -> Option<MessageStatus> {
        self.ledger.status(id, self.log)
    }
    fn job(&mut self, id: MessageId) -> Option<Arc<Job>> {
        self.ledger.job(id, self.log, self.rules)
    }
    fn mail(&mut self, id: MessageId) -> Option<Arc<Mail>> {
        self.ledger.mail(id, self.log)
    }
    fn unmatched(&self) -> Vec<UnmatchedReceipt> {
        self.ledger.unmatched().cloned().collect()
    }
    fn parked(&self) -> usize {
        self.ledger.parked()
    }
}
