//! A bound application: submissions on their way to the journal, mailbox items on their way to it.
//!
//! It owns its [`Link`]; nothing of the protocol is shared. What one read brought goes to the journal as one batch, and its answers
//! come back as one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use bytes::BytesMut;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connection::{Bound, Connection};
use super::deliver::{Delivery, Form, Scratch};
use super::login::{Peer, still_admitted};
use super::throttled::Throttled;
use crate::accept;
use crate::accept::admission::{Admission, Level, Pressure};
use crate::gateway::{
    AccountSettings, AccountState, Gateway, MAIL_PRIORITY, ReloadsSeen, Settings as GatewaySettings, message_id_octets,
};
use crate::journal::{Ack, Batch};
use crate::ledger::{Event as LedgerEvent, MailEnd, Rules, Submissions};
use crate::link::{self, Link};
use crate::message::{Job, Mail, MailContent, MessageId, Timestamp};
use crate::metrics::Counts;
use crate::queue::Item;
use crate::rate::Rate;
use crate::smpp::status::{Class, class_of, name};
use crate::smpp::{CommandId, CommandStatus, Event, Frame, LATE_KEPT, Ticket, Version};

/// Batches that may wait for the journal at once.
const OPEN_BATCHES: usize = 64;

/// An account with no more messages than this at the journal goes before all that wait there.
const FEW: u64 = 16;

/// A batch's list begins with room for as many as the one before it had, but no more than this.
const LIST: usize = 64;

/// A mailbox item refused for now is offered again after this long, doubling up to the longest.
const RETRY: crate::config::Backoff = crate::config::Backoff { min: Duration::from_secs(5), max: Duration::from_secs(600) };

/// A submission that waits for the journal.
struct Submitted {
    request: Ticket,
    id: MessageId,
    short_id: bool,
    since: Instant,
}

/// What is looked up once for all that one read has brought.
struct Turn {
    now: Instant,
    time: Timestamp,
    /// `None` while the gateway is starting.
    pressure: Option<Pressure>,
    rate: Guard<Arc<Rate>>,
}

/// A bound session.
pub(super) struct Serving<'a> {
    gateway: &'a Arc<Gateway>,
    peer: &'a Peer,
    link: &'a mut Link<Item<Mail>>,
    settings: Arc<GatewaySettings>,
    account: Arc<AccountSettings>,
    state: Arc<AccountState>,
    bound: Bound,
    admission: Admission,
    throttled: Throttled,
    accepted: Box<Submissions>,
    /// Becomes the list of the next batch's events.
    spare_list: Vec<LedgerEvent>,
    submitted: Vec<Submitted>,
    /// Becomes `submitted` when that is handed over.
    spare_submitted: Vec<Submitted>,
    /// Parts of the messages in `submitted`.
    parts: u64,
    open_batches: VecDeque<(u64, Vec<Submitted>)>,
    next_ticket: u64,
    done_mail: Vec<(MessageId, MailEnd)>,
    scratch: Scratch,
    /// Items that were not acknowledged in time, by the sequence number of their deliver_sm: an answer may still come.
    overdue: VecDeque<(u32, MessageId)>,
    /// Receipts taken by the application, by state, and submissions refused, by status.
    forwarded: Counts,
    rejected: Counts,
    acks: mpsc::Receiver<Ack>,
    reply: mpsc::Sender<Ack>,
    answers: mpsc::Receiver<super::query::Answer>,
    ask: mpsc::Sender<super::query::Answer>,
    /// Mailbox items may be delivered here; ends with unbind or close.
    receiving: bool,
    closed: bool,
    reloads: ReloadsSeen,
}

impl<'a> Serving<'a> {
    pub fn new(connection: &'a Connection, link: &'a mut Link<Item<Mail>>, account: Arc<AccountSettings>, bound: Bound) -> Self {
        let (reply, acks) = mpsc::channel(OPEN_BATCHES + 1);
        let (ask, answers) = mpsc::channel(account.config.window.max(1));
        Serving {
            gateway: &connection.shared.gateway,
            peer: &connection.peer,
            link,
            settings: connection.shared.gateway.settings(),
            state: connection.shared.gateway.account(account.key),
            account,
            receiving: bound.kind.receives(),
            bound,
            admission: Admission::default(),
            throttled: Throttled::default(),
            accepted: Box::default(),
            spare_list: Vec::new(),
            submitted: Vec::new(),
            spare_submitted: Vec::new(),
            parts: 0,
            open_batches: VecDeque::new(),
            next_ticket: 0,
            done_mail: Vec::new(),
            scratch: Scratch::default(),
            overdue: VecDeque::new(),
            forwarded: Counts::default(),
            rejected: Counts::default(),
            acks,
            reply,
            answers,
            ask,
            closed: false,
            // One may have come while the password was verified.
            reloads: connection.shared.gateway.reloads(),
        }
    }

    pub async fn run(mut self, stop: &mut watch::Receiver<bool>) {
        loop {
            self.handle_events();
            self.submit_batches();
            // Batches are waited for although nobody can be answered: what is refused no longer counts as pending.
            if self.closed && self.done_mail.is_empty() && self.accepted.is_empty() && self.open_batches.is_empty() {
                break;
            }
            if *stop.borrow() {
                self.receiving = false;
                self.link.session.unbind(link::now());
            } else if self.receiving {
                self.deliver();
            }
            self.wait(stop).await;
        }
        self.state.wake();
        tracing::info!(account = %self.account.config.system_id, "session ended");
    }

    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) {
        let can_deliver = self.receiving && self.link.session.free_window() > 0;
        let stopping = *stop.borrow();
        let held_back = !self.accepted.is_empty() || !self.done_mail.is_empty();
        let due = self.state.mailbox(|mailbox| mailbox.next_due()).filter(|_| can_deliver);
        let due = due.map(|at| self.gateway.clock.instant(at));
        let throttled = self.throttled.due();
        // Answers to queries are few; everything after them is looked after at every turn, whichever woke us.
        tokio::select! {
            biased;
            answer = self.answers.recv() => if let Some(answer) = answer { answer.send(&mut self.link.session); },
            () = self.link.progress(), if !self.closed => {}
            ack = self.acks.recv() => if let Some(ack) = ack { self.acknowledged(ack); },
            () = self.state.mail_waiting(), if can_deliver => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(link::now).into()), if due.is_some() => {}
            () = tokio::time::sleep_until(throttled.unwrap_or_else(link::now).into()), if throttled.is_some() => {}
            // The journal had no room for a batch.
            () = sleep(Duration::from_millis(5)), if held_back => {}
            _ = stop.changed(), if !stopping => {}
            () = self.reloads.wait() => {}
        }
        while let Ok(ack) = self.acks.try_recv() {
            self.acknowledged(ack);
        }
        if self.throttled.answer(&mut self.link.session, link::now()) {
            self.link.handle_input();
        }
    }

    /// The configuration has changed: the account's new rules hold from now on; a session that could not bind any more is unbound.
    fn reloaded(&mut self) {
        self.settings = self.gateway.settings();
        match still_admitted(&self.settings, &self.account, self.peer) {
            Some(account) => self.account = account,
            None => {
                self.receiving = false;
                self.link.session.unbind(link::now());
            }
        }
    }

    fn handle_events(&mut self) {
        // What arrives after a reload is judged by the new rules, whichever of the two woke us first.
        if self.reloads.notice() {
            self.reloaded();
        }
        let turn = self.turn();
        while let Some(event) = self.link.session.poll_event() {
            match event {
                Event::Request(frame) => self.request(&frame, &turn),
                Event::Response { token, status, .. } => self.mail_answered(token, status),
                Event::NoResponse { token, sequence } => self.mail_overdue(token, sequence),
                Event::LateResponse(frame) => self.mail_answered_late(&frame),
                Event::Fault(fault) => self.gateway.upstream_faults.faults.increment(fault.word(), 1),
                Event::Unbinding => self.receiving = false,
                Event::Closed { reason, unanswered } => {
                    tracing::debug!(account = %self.account.config.system_id, ?reason, "closed");
                    self.closed = true;
                    self.receiving = false;
                    for item in unanswered {
                        self.state.mailbox(|mailbox| mailbox.put_back(item));
                    }
                    self.state.wake();
                }
                Event::Bind(_) | Event::Bound { .. } | Event::BindRefused(_) => {}
            }
        }
        self.forwarded.move_into(&self.state.metrics.receipts_forwarded);
        self.rejected.move_into(&self.state.metrics.rejected);
    }

    fn turn(&self) -> Turn {
        let now = link::now();
        let pressure = self.gateway.journal().map(|journal| journal.gate()).map(|gate| Pressure {
            failed: gate.has_failed(),
            full: gate.is_full(),
            commit: gate.commit_age(now),
            account: Level { used: self.state.pending(), limit: self.account.config.queue },
            gateway: Level { used: gate.live(), limit: self.settings.config.limits.pending },
        });
        Turn { now, time: self.gateway.clock.at(now), pressure, rate: self.state.rate() }
    }

    // Submissions.

    fn request(&mut self, frame: &Frame, turn: &Turn) {
        let (ticket, now) = (frame.ticket(), turn.now);
        match frame.command_id() {
            CommandId::SubmitSm | CommandId::DataSm => {
                if let Err(status) = self.submission(frame, turn) {
                    self.rejected.add(name(status));
                    match status {
                        CommandStatus::EsmeRthrottled => self.throttled.hold(ticket, now),
                        _ => self.link.session.respond(now, ticket, status),
                    }
                }
            }
            CommandId::QuerySm => super::query::query(frame, self.gateway, &self.account, &self.ask, &mut self.link.session),
            // Known, but not offered (SMPP 5.0 section 4.7.6): 0x101 is new in 5.0.
            _ if self.bound.version >= Version::V5_0 => self.link.session.respond(now, ticket, CommandStatus::EsmeRprohibited),
            _ => self.link.session.respond(now, ticket, CommandStatus::EsmeRinvcmdid),
        }
    }

    /// Accept, split, route: the straight line from a submission to its place in the next batch.
    fn submission(&mut self, frame: &Frame, turn: &Turn) -> Result<(), CommandStatus> {
        self.admit(turn)?;
        let (gateway, version) = (self.gateway, Some(self.bound.version));
        let reference = |source: &[u8], destination: &[u8]| gateway.references.next(source, destination);
        let accepted = accept::accept(frame, &self.account.policy, version, turn.time, reference).map_err(|r| r.0)?;
        let route = self.settings.route(&accepted.message);
        if route.is_empty() {
            return Err(CommandStatus::EsmeRinvdstadr);
        }
        let id = gateway.ids.next();
        let short_id = accepted.message.short_id;
        let job = Arc::new(Job { id, account: self.account.key, message: accepted.message, route });
        self.parts += accepted.parts as u64;
        self.accepted.push(job);
        self.submitted.push(Submitted { request: frame.ticket(), id, short_id, since: turn.now });
        Ok(())
    }

    /// Whether anything can be taken from this account now.
    fn admit(&mut self, turn: &Turn) -> Result<(), CommandStatus> {
        let Some(mut pressure) = turn.pressure else { return Err(CommandStatus::EsmeRsyserr) };
        let gathered = self.submitted.len() as u64;
        pressure.account.used += gathered;
        pressure.gateway.used += gathered;
        self.admission.admit(&pressure)?;
        turn.rate.take(turn.now).map_err(|_| CommandStatus::EsmeRthrottled)
    }

    /// Hands what has gathered to the journal: submissions as one batch, mailbox items that are done as another.
    fn submit_batches(&mut self) {
        let Some(journal) = self.gateway.journal() else { return };
        if !self.done_mail.is_empty() {
            let done = LedgerEvent::MailDone(std::mem::take(&mut self.done_mail));
            if let Err(mut batch) = journal.submit(Batch { events: vec![done], reply: None })
                && let Some(LedgerEvent::MailDone(items)) = batch.events.pop()
            {
                self.done_mail = items;
            }
        }
        if self.accepted.is_empty() || self.open_batches.len() >= OPEN_BATCHES {
            return;
        }
        let (ticket, count) = (self.next_ticket, self.submitted.len() as u64);
        // Before the journal can say that one of them is final.
        self.state.accepting(count);
        let next = Submissions::with_capacity(self.accepted.len().min(LIST));
        let mut events = std::mem::take(&mut self.spare_list);
        events.push(LedgerEvent::Accept(std::mem::replace(&mut self.accepted, next.into())));
        let batch = Batch { events, reply: Some((self.reply.clone(), ticket)) };
        // Not to wait behind another account's many. With another batch of ours under way this one would overtake it.
        let few = self.state.committing(count) <= FEW && self.open_batches.is_empty();
        let handed_over = if few { journal.submit_first(batch) } else { journal.submit(batch) };
        match handed_over {
            Ok(()) => {
                self.next_ticket += 1;
                let submitted = std::mem::replace(&mut self.submitted, std::mem::take(&mut self.spare_submitted));
                self.open_batches.push_back((ticket, submitted));
                self.state.metrics.parts.increment(std::mem::take(&mut self.parts));
            }
            Err(mut batch) => {
                self.state.finished(count);
                self.state.committed(count);
                if let Some(LedgerEvent::Accept(accepted)) = batch.events.pop() {
                    self.accepted = accepted;
                }
            }
        }
    }

    fn acknowledged(&mut self, ack: Ack) {
        let Some(at) = self.open_batches.iter().position(|(ticket, _)| *ticket == ack.ticket) else { return };
        let Some((_, mut submitted)) = self.open_batches.remove(at) else { return };
        self.spare_list = ack.list;
        self.state.committed(submitted.len() as u64);
        let now = link::now();
        let names = self.gateway.node_names();
        let (mut accepted, mut refused) = (0, 0);
        // Statuses are given only if one of them is a refusal.
        let mut statuses = ack.statuses.iter().copied().chain(std::iter::repeat(0));
        for read_together in submitted.chunk_by(|one, next| one.since == next.since) {
            let before = accepted;
            for (submission, status) in read_together.iter().zip(&mut statuses) {
                if status == 0 {
                    let id = message_id_octets(names.of(submission.id), submission.id, submission.short_id);
                    self.link.session.respond_id(now, submission.request, &id);
                    accepted += 1;
                } else {
                    let status = CommandStatus::from(status);
                    refused += 1;
                    self.rejected.add(name(status));
                    self.link.session.respond(now, submission.request, status);
                }
            }
            let took = now.duration_since(read_together[0].since).as_secs_f64();
            self.gateway.submit_metrics.response_seconds.record_many(took, accepted - before);
        }
        submitted.clear();
        self.spare_submitted = submitted;
        self.state.metrics.accepted.increment(accepted as u64);
        self.state.finished(refused);
        // Answers made room in the peer's window: what the buffer holds can be handled now.
        self.link.handle_input();
    }

    // The mailbox.

    fn deliver(&mut self) {
        let room = self.link.session.free_window();
        if room == 0 {
            return;
        }
        let pulled = self.state.pull_mail(self.gateway.clock.now(), room);
        if !pulled.load.is_empty() {
            crate::mailbox::load(self.gateway, &self.state, pulled.load);
        }
        let now = link::now();
        for item in pulled.items {
            self.deliver_one(item, now);
        }
    }

    fn deliver_one(&mut self, item: Item<Mail>, now: Instant) {
        let Some(mail) = item.payload.clone() else { return };
        let delivery = match Delivery::new(&mail, self.account.config.alphabet) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::warn!(account = %self.account.config.system_id, %error, "an MO message cannot be coded for the account");
                self.done_mail.push((item.id, MailEnd::Refused));
                return;
            }
        };
        let form = Form {
            names: self.gateway.node_names(),
            utc_offset: self.account.config.receipt_utc_offset.whole_seconds(),
            tlvs: self.bound.version.allows_tlvs(),
        };
        let write = |out: &mut BytesMut| delivery.write(out, &form, &mut self.scratch);
        if let Err(refused) = self.link.session.send(now, CommandId::DeliverSm, item, write) {
            self.state.mailbox(|mailbox| mailbox.put_back(refused.token));
        }
    }

    fn mail_answered(&mut self, item: Item<Mail>, status: CommandStatus) {
        match class_of(status) {
            Class::Ok => {
                if let Some(mail) = &item.payload
                    && let MailContent::Receipt(receipt) = &mail.content
                {
                    self.forwarded.add(receipt.state.word());
                }
                self.done_mail.push((item.id, MailEnd::Delivered));
            }
            Class::Permanent | Class::PermanentDestination => {
                self.done_mail.push((item.id, MailEnd::Refused));
            }
            _ => self.mail_later(item),
        }
    }

    fn mail_overdue(&mut self, item: Item<Mail>, sequence: u32) {
        if self.overdue.len() >= LATE_KEPT {
            self.overdue.pop_front();
        }
        self.overdue.push_back((sequence, item.id));
        self.mail_later(item);
    }

    /// An answer after all. What waits to be offered again and has been taken, or refused for good, need not be; what is on its way
    /// again already is answered again.
    fn mail_answered_late(&mut self, frame: &Frame) {
        let Some(at) = self.overdue.iter().position(|(sequence, _)| *sequence == frame.sequence()) else { return };
        let Some((_, id)) = self.overdue.remove(at) else { return };
        if !matches!(class_of(frame.status()), Class::Ok | Class::Permanent | Class::PermanentDestination) {
            return;
        }
        if let Some(item) = self.state.mailbox(|mailbox| mailbox.remove(self.account.key, MAIL_PRIORITY, id)) {
            self.mail_answered(item, frame.status());
        }
    }

    /// The application does not want it now: offered again, later and later, until its time to live ends.
    fn mail_later(&mut self, mut item: Item<Mail>) {
        let delay = crate::operator::outcome::backoff(RETRY, item.attempts, 0.0);
        item.attempts = item.attempts.saturating_add(1);
        let until = self.gateway.clock.now().plus(delay);
        self.state.mailbox(|mailbox| mailbox.delay(item, until));
    }
}
