//! One group: what is taken in, committed, and released together.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::failed::Failure;
use super::{Ack, Batch, Commit, Gate, Host, Lookup, Question, SpoolLog, Unwritten};
use crate::ledger::{Among, Look, Recipient, Sought};
use crate::ledger::{Effect, Event, Ledger, MessageStatus, Quarantined, Status, StrayReceipt, Turn};
use crate::link;
use crate::message::{Job, Mail, MessageId, OperatorKey};
use crate::spool::{Disk, Room, Spool, Survivors};

/// ESME_RSYSERR: not now, for no fault of the message (SMPP 3.4 section 5.1.3).
pub(super) const SYSTEM_ERROR: Status = 0x08;

/// The state between commits.
pub(super) struct Group<D: Disk, H: Host> {
    pub(super) spool: Spool<D>,
    pub(super) ledger: Ledger,
    pub(super) host: Arc<H>,
    gate: Arc<Gate>,
    /// What must follow once the group is durable.
    pub(super) effects: Vec<Effect>,
    pub(super) answers: Vec<Answer>,
    /// Submissions of this group: they are refused if the group fails.
    pub(super) accepted: Vec<Accepted>,
    /// Records that should be in this group but could not be appended: it must not be committed without them.
    pub(super) unwritten: VecDeque<Unwritten>,
    pub(super) failure: Option<Failure>,
    pub(super) events: usize,
    survivors: Survivors,
}

/// What a batch's sender will be told.
pub(super) struct Answer {
    pub reply: mpsc::Sender<Ack>,
    pub ack: Ack,
    /// Events in the batch.
    pub events: usize,
}

/// A submission, and its place in the answer to its batch.
pub(super) struct Accepted {
    pub id: MessageId,
    pub answer: usize,
    pub at: usize,
}

impl<D: Disk, H: Host> Group<D, H> {
    pub fn new(spool: Spool<D>, ledger: Ledger, host: Arc<H>, gate: Arc<Gate>) -> Self {
        gate.keeps(ledger.live());
        host.opened(spool.stats());
        let group = Group {
            spool,
            ledger,
            host,
            gate,
            effects: Vec::new(),
            answers: Vec::new(),
            accepted: Vec::new(),
            unwritten: VecDeque::new(),
            failure: None,
            events: 0,
            survivors: Survivors::default(),
        };
        // A spool may be full from the start: the first session already is judged by it.
        group.judge_gate();
        group
    }

    /// Events taken since the last commit.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Takes a batch into the group. While the disk is failing its submissions are refused and the rest waits.
    pub fn take(&mut self, mut batch: Batch) {
        if let Some(failure) = &mut self.failure {
            failure.hold(batch);
            return;
        }
        let rules = self.host.rules();
        let now = self.host.now();
        let answer = self.answers.len();
        let count = batch.count();
        let mut at = 0;
        let mut statuses = Vec::new();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.unwritten);
        let mut turn = Turn { now, log: &mut log, rules: &*rules, effects: &mut self.effects };
        for event in batch.events.drain(..) {
            if let (Event::Accept(submissions), Some(_)) = (&event, &batch.reply) {
                self.accepted.extend(submissions.ids().zip(at..).map(|(id, at)| Accepted { id, answer, at }));
            }
            let places = at..at + event.count();
            at = places.end;
            let status = self.ledger.apply(event, &mut turn);
            if status != 0 {
                statuses.resize(count, 0);
                statuses[places].fill(status);
            }
        }
        self.events += count;
        if let Some((reply, ticket)) = batch.reply {
            self.answers.push(Answer { reply, ack: Ack { ticket, statuses, list: batch.events }, events: count });
        }
    }

    /// What time brings, and a slice of compaction.
    pub fn maintain(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let rules = self.host.rules();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.unwritten);
        let mut turn = Turn { now: self.host.now(), log: &mut log, rules: &*rules, effects: &mut self.effects };
        self.ledger.tick(&mut turn);
        if self.spool.needs_compaction() {
            self.compact();
        }
    }

    /// Moves survivors of the oldest segment to the head of the log, so that the segment becomes free.
    fn compact(&mut self) {
        let mut slice = std::mem::take(&mut self.survivors);
        if let Err(error) = self.spool.survivors(&mut slice) {
            tracing::warn!(%error, "the oldest spool segment cannot be read; trying again later");
        }
        let rules = self.host.rules();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.unwritten);
        for record in slice.records() {
            self.ledger.carry(MessageId(record.id), record.location, record.kind, record.payload, &mut log);
        }
        if let Some(segment) = slice.unreadable() {
            let mut turn = Turn { now: self.host.now(), log: &mut log, rules: &*rules, effects: &mut self.effects };
            let lost = self.ledger.give_up(segment, &mut turn);
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
        match self.commit_spool() {
            Ok(()) => {
                self.release();
                self.housekeeping();
            }
            Err(error) => self.fail(&error),
        }
    }

    /// The last commit. A disk that fails is tried once more at once: there is no later.
    pub fn finish(&mut self) {
        self.commit();
        if let Some(failure) = &mut self.failure {
            failure.try_now();
            self.commit(); // what failed
            self.commit(); // what was held back
        }
        if self.failure.is_some() {
            tracing::error!("the spool could not be written before the end: outcomes and receipts not answered will come again");
        }
    }

    /// Makes what is in the group durable, and tells its figures.
    pub(super) fn commit_spool(&mut self) -> Result<(), String> {
        if !self.unwritten.is_empty() {
            return Err("a record could not be appended".to_owned());
        }
        let started = link::now();
        self.gate.commit_began(started);
        let committed = self.spool.commit();
        self.gate.commit_ended();
        let bytes = committed.map_err(|error| error.to_string())?;
        self.gate.keeps(self.ledger.live());
        if bytes > 0 {
            let (stats, pending) = (self.spool.stats(), self.ledger.pending_messages());
            self.host.committed(Commit { took: link::now().duration_since(started), bytes, events: self.events, stats, pending });
        }
        Ok(())
    }

    /// The group is durable: answers first, so that peers send more while we look after the consequences.
    pub(super) fn release(&mut self) {
        self.accepted.clear();
        self.events = 0;
        for answer in self.answers.drain(..) {
            // The session may have gone; its client will not hear, and will send again.
            let _ = answer.reply.try_send(answer.ack);
        }
        if !self.effects.is_empty() {
            self.host.deliver(&mut self.effects);
            self.effects.clear();
        }
    }

    fn housekeeping(&mut self) {
        if let Err(error) = self.spool.maintain() {
            tracing::warn!(%error, "no spare spool segment could be prepared");
        }
        self.judge_gate();
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.gate.set_failed(failed);
        self.judge_gate();
    }

    /// Lets the sessions know whether there is room for submissions, and whoever watches whether they are taken: in this order, so that
    /// who has seen that they are taken finds it true.
    fn judge_gate(&self) {
        let full = match self.spool.room() {
            Room::Full(limit) => Some(limit),
            Room::Ok => None,
        };
        let before = self.gate.set_full(full);
        match full {
            Some(limit) if before.is_none() => {
                tracing::error!(limit = limit.name(), "the spool is full: submissions are refused until there is room");
            }
            None if before.is_some() => tracing::info!("the spool has room again: submissions are taken"),
            _ => {}
        }
        self.host.accepting(full.is_none() && !self.gate.has_failed());
    }

    /// While the disk is failing records of the failed group cannot be read, and what cannot be read counts as lost: questions wait.
    pub fn answer(&mut self, question: Question) {
        if let Some(failure) = &mut self.failure {
            failure.hold_question(question);
            return;
        }
        let rules = self.host.rules();
        let mut log = SpoolLog::new(&mut self.spool, &mut self.unwritten);
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
    fn standing(&self, id: MessageId) -> Option<MessageStatus> {
        self.ledger.standing(id)
    }
    fn job(&mut self, id: MessageId) -> Option<Arc<Job>> {
        self.ledger.job(id, self.log, self.rules)
    }
    fn mail(&mut self, id: MessageId) -> Option<Arc<Mail>> {
        self.ledger.mail(id, self.log)
    }
    fn unmatched(&self) -> Vec<StrayReceipt> {
        self.ledger.unmatched().cloned().collect()
    }
    fn parked(&self) -> usize {
        self.ledger.parked()
    }
    fn newest_parked(&self) -> Vec<StrayReceipt> {
        self.ledger.newest_parked().collect()
    }
    fn quarantined(&self) -> Vec<Quarantined> {
        self.ledger.quarantined().collect()
    }
    fn search(&self, sought: &Sought, among: Among, below: MessageId) -> Look {
        self.ledger.search(sought, among, below, self.rules)
    }
    fn correlated(&self, operator: Option<OperatorKey>, id: &[u8]) -> Vec<MessageId> {
        self.ledger.correlated(operator, id, self.rules)
    }
    fn recipient(&mut self, id: MessageId) -> Option<Recipient> {
        self.ledger.recipient(id, self.log)
    }
    fn read_failed(&mut self) -> bool {
        self.log.read_failed()
    }
}
