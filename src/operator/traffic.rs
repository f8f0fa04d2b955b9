//! What one bound connection is doing: messages in flight, outcomes and receipts on their way to the journal.

mod active;
mod gathered;
mod recording;
mod sending;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};

use super::bind::close_word;
use super::deliver::{self, Delivered};
use super::outcome::{Decision, Setback, Situation, UNKNOWN_OUTCOME, classify, decide};
use super::pace::Pace;
use super::pool::BindStatus;
use super::submit;
use active::{Active, ActiveMessages, Place};
use gathered::{Gathered, Open};
use recording::Taken;

use crate::gateway::{Gateway, OperatorSettings, OperatorState, Probe, SenderUp, message_id_text};
use crate::journal::Ack;
use crate::ledger::{self, OperatorId};
use crate::link::{self, Link};
use crate::message::{Job, Masked, Timestamp};
use crate::metrics::{BindMetrics, Counts};
use crate::queue::{Blame, Item};
use crate::smpp::status::{Class, Shown};
use crate::smpp::view::MessageResponseView;
use crate::smpp::{CloseReason, CommandId, CommandStatus, Event, Frame, LATE_KEPT};

/// Batches that may wait for the journal at once.
const OPEN_BATCHES: usize = 64;

/// Identifies a request of ours: which part of which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    message: Place,
    part: u8,
}

/// Who the traffic belongs to.
pub(super) struct Context<'a> {
    pub gateway: &'a Arc<Gateway>,
    pub state: &'a Arc<OperatorState>,
    pub settings: &'a Arc<OperatorSettings>,
    pub metrics: &'a BindMetrics,
    pub status: &'a BindStatus,
}

/// The traffic of one bound session.
pub(super) struct Traffic<'a> {
    context: Context<'a>,
    link: &'a mut Link<Token>,
    /// Present while messages may be sent on this bind.
    sending: Option<SenderUp>,
    active: ActiveMessages,
    /// Held while this bind sends suspects, each alone.
    probe: Option<Probe>,
    /// The operator has answered something since this was last looked at.
    answers: bool,
    /// What became of our requests, by class, since this was last looked at.
    outcomes: Counts,
    /// Parts taken by the operator since then.
    sent: u64,
    /// Messages whose parts did not all fit in the window yet.
    unfinished: VecDeque<Place>,
    pace: Pace,
    scratch: submit::Scratch,
    gathered: Gathered,
    /// Becomes the list of the next batch's events.
    spare_list: Vec<ledger::Event>,
    /// With the moment at which each was handed over.
    open_batches: VecDeque<(u64, Instant, Open)>,
    next_ticket: u64,
    /// Requests answered whose outcome is not durable yet.
    unrecorded: usize,
    /// The operator's requests that are not durable yet, and so not answered.
    to_answer: usize,
    /// How long the last of them had to wait.
    answered_after: Duration,
    acks: mpsc::Receiver<Ack>,
    reply: mpsc::Sender<Ack>,
    /// Requests that were not answered in time, for late answers.
    overdue: VecDeque<(u32, Arc<Job>, u8, u8)>,
    closed: Option<CloseReason>,
    /// Parts begun beyond what the operator's rate allowed.
    rate_debt: u32,
    /// Until when the operator's rate or its refusals keep us from sending.
    limited_until: Option<Instant>,
}

impl<'a> Traffic<'a> {
    pub fn new(context: Context<'a>, link: &'a mut Link<Token>, sending: Option<SenderUp>) -> Self {
        let (reply, acks) = mpsc::channel(OPEN_BATCHES + 1);
        Traffic {
            context,
            link,
            sending,
            active: ActiveMessages::default(),
            probe: None,
            answers: false,
            outcomes: Counts::default(),
            sent: 0,
            unfinished: VecDeque::new(),
            pace: Pace::new(link::now()),
            scratch: submit::Scratch::default(),
            gathered: Gathered::default(),
            spare_list: Vec::new(),
            open_batches: VecDeque::new(),
            next_ticket: 0,
            unrecorded: 0,
            to_answer: 0,
            answered_after: Duration::ZERO,
            acks,
            reply,
            overdue: VecDeque::new(),
            closed: None,
            rate_debt: 0,
            limited_until: None,
        }
    }

    /// Runs until the session has ended; returns the word for why.
    pub async fn run(mut self, stop: &mut watch::Receiver<bool>) -> &'static str {
        loop {
            self.handle_events();
            self.note_answers();
            self.outcomes.move_into(&self.context.state.metrics.outcomes);
            self.context.state.metrics.sent.increment(std::mem::take(&mut self.sent));
            self.submit_batch();
            if self.closed.is_some() && self.open_batches.is_empty() && self.gathered.is_empty() {
                break;
            }
            if *stop.borrow() {
                self.sending = None;
                // Nothing is sent any more: no limit has to be waited for, and one whose time has come would wake us for ever.
                self.limited_until = None;
                self.return_unsent();
                self.link.session.unbind(link::now());
            } else {
                self.send_waiting();
            }
            self.context.metrics.window_used.set(self.link.session.unanswered() as f64);
            self.context.status.window(self.link.session.unanswered());
            self.context.status.slowed(self.pace.per_second());
            self.wait(stop).await;
        }
        self.closed.map_or("closed", close_word)
    }

    /// Waits for the socket, the journal, the queue or the clock.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) {
        let can_send = self.room() > 0 && self.limited_until.is_none() && self.probe.is_none();
        // New work wakes a bind that can send; a limit that ends and a delayed message whose time comes have to be waited for.
        let wake_at = self.limited_until.or_else(|| self.next_delayed().filter(|_| can_send));
        let stopping = *stop.borrow();
        let acks_wanted = stopping || self.wants_acks();
        // All branches are looked after at every turn, whichever woke us: their order does not matter.
        tokio::select! {
            biased;
            () = self.link.progress(), if self.closed.is_none() => {}
            ack = self.acks.recv(), if acks_wanted => if let Some(ack) = ack { self.acknowledged(ack); },
            () = self.context.state.work_waiting(), if can_send => {}
            () = sleep_until(wake_at.unwrap_or_else(link::now).into()), if wake_at.is_some() => {}
            () = sleep(Duration::from_millis(5)), if !self.gathered.is_empty() && self.open_batches.is_empty() => {}
            _ = stop.changed(), if !stopping => {}
        }
        while let Ok(ack) = self.acks.try_recv() {
            self.acknowledged(ack);
        }
    }

    /// Parts that may be sent now as far as the window goes.
    fn room(&self) -> usize {
        if self.sending.is_none() {
            return 0;
        }
        let used = self.link.session.unanswered() + self.unrecorded;
        self.context.settings.config.window.saturating_sub(used).min(self.link.session.free_window())
    }

    fn handle_events(&mut self) {
        let now = link::now();
        let time = self.context.gateway.clock.at(now);
        while let Some(event) = self.link.session.poll_event() {
            match event {
                Event::Response { token, frame, status } => self.answered(token, &frame, status, time),
                Event::NoResponse { token, sequence } => self.no_response(token, sequence),
                Event::LateResponse(frame) => self.late(&frame, time),
                Event::Request(frame) => self.request(&frame, now, time),
                Event::Fault(fault) => self.context.gateway.operator_faults.faults.increment(fault.word(), 1),
                Event::Unbinding => {
                    self.sending = None;
                    self.return_unsent();
                }
                Event::Closed { reason, unanswered } => self.session_closed(reason, unanswered),
                Event::Bind(_) | Event::Bound { .. } | Event::BindRefused(_) => {}
            }
        }
    }

    fn session_closed(&mut self, reason: CloseReason, unanswered: Vec<Token>) {
        self.closed = Some(reason);
        self.sending = None;
        if reason == CloseReason::LinkDead {
            self.link.give_up();
        }
        self.context.metrics.up.set(0.0);
        self.note_answers();
        let setback = if is_death(reason) { Setback::Died(self.blame()) } else { Setback::Unknown };
        for token in unanswered {
            self.setback(token, setback);
        }
        self.return_unsent();
        self.probe = None;
        // Requests of the peer that wait for the journal cannot be answered any more; the operator sends them again.
    }

    /// An operator that answers is not to blame for what happened before. Noted once per turn, not per message.
    fn note_answers(&mut self) {
        if std::mem::take(&mut self.answers) {
            self.context.state.answers();
        }
    }

    /// Who is to blame for the death of the session now.
    fn blame(&mut self) -> Blame {
        let mut in_flight = self.active.iter_mut().filter(|active| active.open > 0);
        match (in_flight.next(), in_flight.next()) {
            (Some(active), None) => self.context.state.accuse(active.item.id),
            _ => Blame::Crowd,
        }
    }

    // What we sent.

    fn answered(&mut self, token: Token, frame: &Frame, status: CommandStatus, time: Timestamp) {
        let config = &self.context.settings.config;
        let class = classify(status, frame, &config.status);
        self.outcomes.add(class.word());
        match class {
            Class::Ok => {
                let operator_id = OperatorId::from_slice(MessageResponseView::parse(frame).message_id);
                self.part_sent(token, operator_id, time);
            }
            Class::Throttle => {
                self.pace.throttled(link::now());
                self.setback(token, Setback::Refused { class, status: status.into() });
            }
            Class::Session | Class::Bind => {
                self.refused_session(token, status);
                return;
            }
            _ => {
                if class == Class::Bug && self.context.gateway.may_complain() {
                    let (operator, status) = (&self.context.state.name, Shown(status));
                    tracing::warn!(%operator, %status, "an operator calls a submit_sm of ours malformed: does its section say how it wants them?");
                }
                self.setback(token, Setback::Refused { class, status: status.into() });
            }
        }
        self.answers = true;
    }

    /// The session is of no use after this answer. Which message it is about is certain, but whether it is the message's fault is not.
    fn refused_session(&mut self, token: Token, status: CommandStatus) {
        self.note_answers();
        if let Some(active) = self.active.get_mut(token.message) {
            let blame = self.context.state.accuse(active.item.id);
            self.setback(token, Setback::RefusedSession { blame, status: status.into() });
        }
        self.link.session.close();
    }

    fn part_sent(&mut self, token: Token, operator_id: OperatorId, time: Timestamp) {
        let Some(active) = self.active.get_mut(token.message) else { return };
        active.open -= 1;
        active.item.done |= 1 << token.part;
        let total = active.total;
        let whole = active.is_over() && active.setback.is_none();
        // With the last part the message itself goes into the event.
        let job = if whole {
            self.active.remove(token.message).and_then(|active| active.item.payload)
        } else {
            active.item.payload.clone()
        };
        let Some(job) = job else { return };
        self.record_sent(Taken { job, part: token.part, total, strayed: false }, operator_id, time);
        self.settle(token.message);
    }

    fn no_response(&mut self, token: Token, sequence: u32) {
        if let Some(active) = self.active.get_mut(token.message)
            && let Some(job) = &active.item.payload
        {
            if self.overdue.len() >= LATE_KEPT {
                self.overdue.pop_front();
            }
            self.overdue.push_back((sequence, job.clone(), token.part, active.total));
        }
        self.outcomes.add(UNKNOWN_OUTCOME);
        self.setback(token, Setback::Unknown);
    }

    /// An answer after all: if it is positive the part is sent. It need not be sent again if the message still waits for that, and if it
    /// is being sent again it does not matter what the operator says of the copy. When the message has left the operator, all that is to be
    /// learned is the id that a receipt may bear.
    fn late(&mut self, frame: &Frame, time: Timestamp) {
        self.context.state.metrics.late_responses.increment(1);
        let Some(at) = self.overdue.iter().position(|(sequence, ..)| *sequence == frame.sequence()) else { return };
        let Some((_, job, part, total)) = self.overdue.remove(at) else { return };
        if classify(frame.status(), frame, &self.context.settings.config.status) != Class::Ok {
            return;
        }
        let operator_id = OperatorId::from_slice(MessageResponseView::parse(frame).message_id);
        let waits = self.context.state.queue(|queue| {
            let Some(mut item) = queue.remove(job.account, job.message.priority, job.id) else { return false };
            item.done |= 1 << part;
            if item.done != ledger::all_parts(total) {
                queue.put_back(item);
            }
            true
        });
        let strayed = !waits && !self.context.state.took(job.id, part, total);
        self.record_sent(Taken { job, part, total, strayed }, operator_id, time);
    }

    /// A part was not taken. What that means for the message is decided when none of its parts is open any more.
    fn setback(&mut self, token: Token, setback: Setback) {
        let Some(active) = self.active.get_mut(token.message) else { return };
        active.open -= 1;
        active.next = active.total;
        active.unknown += u8::from(setback.is_unknown());
        active.setback = Some(match (active.setback, setback) {
            (Some(worse), _) if worse.is_permanent() => worse,
            (Some(open), later) if open.is_unknown() && !later.is_unknown() && !later.is_permanent() => open,
            _ => setback,
        });
        self.settle(token.message);
    }

    /// If nothing of the message is in flight, it is done, or waits again, or has failed.
    fn settle(&mut self, place: Place) {
        let Some(active) = self.active.remove_if_over(place) else { return };
        let (total, unknown) = (active.total, active.unknown);
        if let Some(setback) = active.setback
            && let Some(item) = active.left()
        {
            self.decide(item, total, setback, unknown);
        }
    }

    fn decide(&mut self, mut item: Item<Job>, total: u8, setback: Setback, unknown: u8) {
        let config = &self.context.settings.config;
        let Some(job) = item.payload.clone() else { return };
        item.suspicion = setback.suspicion(item.suspicion);
        item.vague_refusals = item.vague_refusals.saturating_add(setback.is_vague().into());
        let situation = Situation {
            route: &job.route,
            here: self.context.state.key,
            attempts: item.attempts,
            vague_refusals: item.vague_refusals,
            suspicion: item.suspicion,
            poison_attempts: self.context.gateway.settings().config.messages.poison_attempts,
            begun: item.done != 0,
            retry: config.retry,
            unknown_outcome: config.unknown_outcome,
            jitter: self.context.gateway.chance.fraction(),
        };
        let decision = decide(setback, &situation);
        if unknown > 0 && !matches!(decision, Decision::Fail(_)) {
            self.context.state.metrics.possible_duplicates.increment(unknown.into());
        }
        match decision {
            Decision::PutBack => self.context.state.queue(|queue| queue.put_back(item)),
            Decision::Retry { to, delay } => {
                item.attempts = item.attempts.saturating_add(1);
                let now = self.context.gateway.clock.now();
                self.context.gateway.operator(to).push_again((item, now.plus(delay)), setback.status(), now);
            }
            Decision::Fail(failure) => {
                let open = ledger::all_parts(total) & !item.done;
                let operator = Some(self.context.state.key);
                self.record_outcome(ledger::Event::Failed { id: item.id, operator, parts: Some((open, total)), failure });
            }
            Decision::Quarantine { status } => self.quarantine(&item, job, status),
        }
    }

    /// Takes a message out of the way of the others, until somebody has looked at it.
    fn quarantine(&mut self, item: &Item<Job>, job: Arc<Job>, status: u32) {
        let Context { gateway, state, .. } = &self.context;
        let (node, message) = (gateway.node_names().of(item.id), &job.message);
        let case = ledger::Case { operator: state.key, sessions: item.suspicion.deaths, status, since: gateway.clock.now() };
        tracing::warn!(
            id = message_id_text(node, item.id, message.short_id), account = %message.account, operator = %state.name,
            destination = %Masked(&message.destination.digits), sessions = case.sessions, reason = case.reason(),
            "a message brings sessions down: quarantined, see smppgw ctl quarantine"
        );
        self.record_outcome(ledger::Event::Quarantine { job, case });
    }

    /// Messages that have not begun, or not gone on, go back to the queue.
    fn return_unsent(&mut self) {
        self.unfinished.clear();
        let idle = self.active.take_idle();
        let left = idle.into_iter().filter_map(Active::left);
        self.context.state.queue(|queue| left.for_each(|item| queue.put_back(item)));
        for active in self.active.iter_mut() {
            if active.next < active.total && active.setback.is_none() {
                active.next = active.total;
                // Counts as if the operator had asked to wait: the rest follows later, here or on another bind.
                active.setback = Some(Setback::Refused { class: Class::Throttle, status: 0 });
            }
        }
        self.context.state.wake();
    }

    // What the operator sends.

    fn request(&mut self, frame: &Frame, now: Instant, time: Timestamp) {
        let ticket = frame.ticket();
        match frame.command_id() {
            CommandId::DeliverSm | CommandId::DataSm => {
                let strictness = self.link.session.strictness();
                let (key, config) = (self.context.state.key, &self.context.settings.config);
                match deliver::read(frame, key, config, strictness, time, &self.context.gateway.keys) {
                    // Without an answer in time it would come again and again, and each copy would be kept.
                    Ok(Delivered::Mo(_)) if self.would_wait(now) => {
                        self.link.session.respond(now, ticket, CommandStatus::EsmeRxTAppn)
                    }
                    Ok(delivered) => {
                        self.to_answer += 1;
                        match delivered {
                            Delivered::Receipt(receipt) => self.gathered.receipt(receipt, ticket),
                            Delivered::Mo(mo) => self.gathered.other(ledger::Event::Mo(mo), Some(ticket)),
                        }
                    }
                    Err(status) => {
                        self.context.gateway.operator_faults.faults.increment(crate::smpp::status::name(status), 1);
                        self.link.session.respond(now, ticket, status);
                    }
                }
            }
            CommandId::AlertNotification => {}
            _ => self.link.session.respond(now, ticket, CommandStatus::EsmeRinvcmdid),
        }
    }
}

/// May the session have died of what was in flight? What we end ourselves has not.
fn is_death(reason: CloseReason) -> bool {
    match reason {
        CloseReason::PeerClosed | CloseReason::PeerUnbound | CloseReason::LinkDead | CloseReason::Framing(_) => true,
        CloseReason::Unbound
        | CloseReason::Inactivity
        | CloseReason::UnbindTimeout
        | CloseReason::SessionInit
        | CloseReason::Local => false,
    }
}
