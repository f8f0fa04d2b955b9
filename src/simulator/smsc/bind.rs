//! One connection of a client to the simulated operator.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BufMut;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until};

use super::behaviour::{Answer, Behaviour};
use super::delivery::{Delivery, Mo, Receipt, Writer};
use super::message_id::{self, IdText};
use super::pool::{Pool, Scheduled};
use super::record::{self, Record};
use super::{Counts, Operator, Orders, lock, wall_clock};
use crate::link::{Link, Stream, now};
use crate::message::ReceiptRequest;
use crate::smpp::{
    BindView, CommandId, CommandStatus, Event, Frame, MessageView, Role, Session, Settings, Strictness, Ticket, Timers,
};

/// Requests of the client that may be unanswered: more than any client has, so that only silence is ever counted here.
const PEER_WINDOW: usize = 1 << 20;

/// When a delivery that the client refused is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A text that begins so comes back as an MO message.
const ECHO: &[u8] = b"mo ";

/// A response that waits for its time.
struct Delayed {
    due: Instant,
    request: Ticket,
    /// The id, or the refusal.
    answer: Result<IdText, CommandStatus>,
}

pub(super) struct Bind {
    operator: Arc<Operator>,
    link: Link<Delivery>,
    orders: watch::Receiver<Orders>,
    /// As read at the beginning of this turn of the loop.
    behaviour: Arc<Behaviour>,
    random: SmallRng,
    /// The deliveries of our client that no bind holds; `None` until bound.
    pool: Option<Arc<Pool>>,
    receives: bool,
    delayed: VecDeque<Delayed>,
    /// Deliveries this bind holds, by their time.
    scheduled: VecDeque<Scheduled>,
    writer: Writer,
    timer: Pin<Box<Sleep>>,
    timer_at: Instant,
    /// The connection is to be dropped without a word.
    doomed: bool,
    // What this turn has brought, to be handed over at its end.
    counts: Counts,
    records: Vec<Record>,
    lines: Vec<u8>,
}

impl Bind {
    pub fn new(stream: Stream, operator: Arc<Operator>) -> Bind {
        let started = now();
        let settings = Settings {
            window: operator.settings.window,
            peer_window: PEER_WINDOW,
            timers: Timers { response: operator.settings.response_timeout, ..Timers::default() },
            ..Settings::new(Role::Smsc)
        };
        let number = operator.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Bind {
            link: Link::new(stream, Session::new(settings, started)),
            orders: operator.orders.subscribe(),
            behaviour: operator.behaviour.load_full(),
            random: SmallRng::seed_from_u64(operator.settings.seed.wrapping_add(number)),
            pool: None,
            receives: false,
            delayed: VecDeque::new(),
            scheduled: VecDeque::new(),
            writer: Writer::default(),
            timer: Box::pin(sleep_until(started.into())),
            timer_at: started,
            doomed: false,
            counts: Counts::default(),
            records: Vec::new(),
            lines: Vec::new(),
            operator,
        }
    }

    /// Serves the connection until it ends.
    pub async fn run(mut self) {
        loop {
            let at = now();
            self.behaviour = self.operator.behaviour.load_full();
            while let Some(event) = self.link.session.poll_event() {
                self.handle(at, event);
            }
            self.answer_delayed(at);
            self.deliver(at);
            self.hand_over();
            if self.doomed {
                self.link.session.close();
                while let Some(event) = self.link.session.poll_event() {
                    self.handle(at, event);
                }
                self.hand_over();
                return;
            }
            if self.link.session.is_closed() {
                return self.link.finish().await;
            }
            self.wait().await;
        }
    }

    /// Until bytes, time, an order, or deliveries in the pool give something to do.
    async fn wait(&mut self) {
        let due = self.next_due();
        if let Some(due) = due
            && due != self.timer_at
        {
            self.timer_at = due;
            self.timer.as_mut().reset(due.into());
        }
        let takes = self.receives && self.link.session.free_window() > 0;
        tokio::select! {
            biased;
            changed = self.orders.changed() => {
                let orders = *self.orders.borrow_and_update();
                if changed.is_ok() && !orders.stop {
                    self.doomed = true;
                } else {
                    self.link.session.unbind(now());
                }
            }
            () = self.timer.as_mut(), if due.is_some() => {}
            () = arrived(self.pool.as_deref()), if takes => {}
            () = self.link.progress() => {}
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let answer = self.delayed.front().map(|delayed| delayed.due);
        let delivery = self.scheduled.front().map(|(due, _)| *due).filter(|_| self.link.session.free_window() > 0);
        answer.into_iter().chain(delivery).min()
    }

    fn handle(&mut self, at: Instant, event: Event<Delivery>) {
        match event {
            Event::Bind(frame) => self.handle_bind(at, &frame),
            Event::Request(frame) => match frame.command_id() {
                CommandId::SubmitSm | CommandId::DataSm => self.handle_submission(at, &frame),
                _ => self.link.session.respond(at, frame.ticket(), CommandStatus::EsmeRinvcmdid),
            },
            Event::Response { token, status: CommandStatus::EsmeRok, .. } => match token {
                Delivery::Receipt(_) => self.counts.receipts_acknowledged += 1,
                Delivery::Mo(_) => self.counts.mo_acknowledged += 1,
            },
            Event::Response { token, .. } => self.send_again(at + RETRY_AFTER, token),
            Event::NoResponse { token, .. } => self.send_again(at, token),
            Event::Closed { unanswered, .. } => {
                unanswered.into_iter().for_each(|delivery| self.send_again(at, delivery));
                self.leave();
            }
            Event::Bound { .. } | Event::BindRefused(_) | Event::LateResponse(_) | Event::Unbinding | Event::Fault(_) => {}
        }
    }

    fn handle_bind(&mut self, at: Instant, frame: &Frame) {
        // The session has read it before it gave it out.
        let Ok(bind) = BindView::parse(frame, Strictness::Lenient) else { return };
        let refusal = self.behaviour.refuse_binds.or_else(|| match &self.operator.settings.credentials {
            Some((system_id, _)) if system_id.as_bytes() != bind.system_id => Some(CommandStatus::EsmeRinvsysid),
            Some((_, password)) if password.as_bytes() != bind.password => Some(CommandStatus::EsmeRinvpaswd),
            _ => None,
        });
        if let Some(status) = refusal {
            self.link.session.reject_bind(status);
            return;
        }
        self.link.session.accept_bind(at, self.operator.settings.name.as_bytes());
        self.receives = bind.kind.receives();
        let pool = self.operator.pool(bind.system_id);
        if self.receives {
            pool.join();
        }
        self.pool = Some(pool);
        self.counts.binds += 1;
    }

    fn leave(&mut self) {
        if let Some(pool) = self.pool.take() {
            if self.receives {
                pool.leave();
            }
            pool.put(self.scheduled.drain(..));
            self.counts.unbinds += 1;
        }
    }

    fn handle_submission(&mut self, at: Instant, frame: &Frame) {
        let request = frame.ticket();
        self.counts.received += 1;
        let message = match MessageView::parse(frame, Strictness::Lenient) {
            Ok(message) => message,
            Err(error) => {
                self.counts.refused += 1;
                return self.link.session.respond(at, request, error.status());
            }
        };
        let text = record::user_text(&message);
        if self.behaviour.poison.as_ref().is_some_and(|poison| text.starts_with(poison)) {
            self.note(&message, None, None);
            self.doomed = true;
            return;
        }
        match self.behaviour.draw_answer(&mut self.random) {
            Answer::Silence => {
                self.counts.silent += 1;
                self.note(&message, None, None);
            }
            Answer::Status(CommandStatus::EsmeRok) => self.accept(at, request, &message, text),
            Answer::Status(status) => {
                self.counts.refused += 1;
                self.note(&message, None, Some(status));
                self.respond(at, request, Err(status));
            }
        }
    }

    fn accept(&mut self, at: Instant, request: Ticket, message: &MessageView<'_>, text: &[u8]) {
        let id = self.operator.take_id();
        let id_text = message_id::response_form(id, self.behaviour.ids);
        self.counts.accepted += 1;
        self.note(message, Some((id, &id_text)), Some(CommandStatus::EsmeRok));
        let receipt = self.receipt(id, message, text);
        if self.behaviour.early_receipt {
            if let Some(receipt) = receipt {
                self.schedule_receipt(at, receipt);
                self.deliver(at);
            }
            self.respond(at, request, Ok(id_text));
        } else {
            self.respond(at, request, Ok(id_text));
            if let Some(receipt) = receipt {
                self.schedule_receipt(at + self.behaviour.receipt_delay, receipt);
            }
        }
        if text.get(..ECHO.len()).is_some_and(|start| start.eq_ignore_ascii_case(ECHO)) {
            self.echo(at, message, &text[ECHO.len()..]);
        }
    }

    fn receipt(&mut self, id: u64, message: &MessageView<'_>, text: &[u8]) -> Option<Receipt> {
        let requested = ReceiptRequest(message.registered_delivery);
        if !requested.wants_any() {
            return None;
        }
        let delivered = self.behaviour.draw_delivered(&mut self.random);
        requested.wants_final(delivered).then(|| Receipt {
            id: message_id::receipt_form(id, self.behaviour.ids, self.behaviour.receipt_id),
            form: self.behaviour.receipt_form,
            source: message.source.to_address(),
            destination: message.destination.to_address(),
            delivered,
            submitted_at: wall_clock(),
            text: SmallVec::from_slice(&text[..text.len().min(20)]),
        })
    }

    fn schedule_receipt(&mut self, due: Instant, receipt: Receipt) {
        if self.behaviour.duplicate_receipts {
            self.counts.receipts += 1;
            self.schedule(due, Delivery::Receipt(receipt.clone()));
        }
        self.counts.receipts += 1;
        self.schedule(due, Delivery::Receipt(receipt));
    }

    /// A handset that answers: the text after the keyword, from the number it was sent to.
    fn echo(&mut self, at: Instant, message: &MessageView<'_>, text: &[u8]) {
        let mo = Mo {
            from: message.destination.to_address(),
            to: message.source.to_address(),
            data_coding: message.data_coding,
            text: text[..text.len().min(254)].to_vec(),
        };
        self.counts.mo += 1;
        self.schedule(at, Delivery::Mo(Arc::new(mo)));
    }

    fn note(&mut self, message: &MessageView<'_>, id: Option<(u64, &[u8])>, status: Option<CommandStatus>) {
        if self.operator.settings.keep_records {
            self.records.push(Record::of(message, id.map_or(0, |(number, _)| number), status));
        }
        if self.operator.settings.log.is_some() {
            record::write_line(&mut self.lines, &self.operator.settings.name, message, id.map_or(b"-", |(_, text)| text), status);
        }
    }

    fn respond(&mut self, at: Instant, request: Ticket, answer: Result<IdText, CommandStatus>) {
        if !self.behaviour.response_delay.is_zero() {
            self.delayed.push_back(Delayed { due: at + self.behaviour.response_delay, request, answer });
            return;
        }
        self.respond_now(at, request, answer);
    }

    fn respond_now(&mut self, at: Instant, request: Ticket, answer: Result<IdText, CommandStatus>) {
        match answer {
            Ok(id) => self.link.session.respond_id(at, request, &id),
            Err(status) => self.link.session.respond(at, request, status),
        }
    }

    fn answer_delayed(&mut self, at: Instant) {
        while let Some(delayed) = self.delayed.pop_front_if(|delayed| delayed.due <= at) {
            self.respond_now(at, delayed.request, delayed.answer);
        }
    }

    /// Keeps deliveries in the order of their times; nearly all come in that order.
    fn schedule(&mut self, due: Instant, delivery: Delivery) {
        if self.scheduled.back().is_none_or(|(last, _)| *last <= due) {
            self.scheduled.push_back((due, delivery));
        } else {
            let place = self.scheduled.partition_point(|(earlier, _)| *earlier <= due);
            self.scheduled.insert(place, (due, delivery));
        }
    }

    fn send_again(&mut self, due: Instant, delivery: Delivery) {
        self.counts.resent += 1;
        self.schedule(due, delivery);
    }

    /// Sends what is due, as far as the window goes; a transmitter leaves it to others.
    fn deliver(&mut self, at: Instant) {
        let Some(pool) = &self.pool else { return };
        if !self.receives {
            if !self.scheduled.is_empty() {
                pool.put(self.scheduled.drain(..));
            }
            return;
        }
        if !pool.is_empty() {
            let pool = Arc::clone(pool);
            let mut taken = VecDeque::new();
            pool.take(self.link.session.free_window(), &mut taken);
            taken.into_iter().for_each(|(due, delivery)| self.schedule(due, delivery));
        }
        if self.scheduled.front().is_none_or(|(due, _)| *due > at) {
            return;
        }
        let written_at = wall_clock();
        while self.link.session.free_window() > 0 {
            let Some((_, delivery)) = self.scheduled.pop_front_if(|(due, _)| *due <= at) else { return };
            let body = self.writer.body(&delivery, written_at);
            let sent = self.link.session.send(at, CommandId::DeliverSm, delivery, |out| out.put_slice(body));
            if let Err(refused) = sent {
                self.scheduled.push_front((at, refused.token));
                return;
            }
        }
    }

    /// Gives this turn's counts, records and lines to those who look at them.
    fn hand_over(&mut self) {
        if !self.records.is_empty() {
            lock(&self.operator.records).append(&mut self.records);
        }
        if let Some(log) = &self.operator.settings.log {
            log.write(&mut self.lines);
        }
        if self.counts != Counts::default() {
            self.operator.count(&std::mem::take(&mut self.counts));
        }
    }
}

/// Waits for deliveries in the pool.
async fn arrived(pool: Option<&Pool>) {
    match pool {
        Some(pool) => pool.arrived.notified().await,
        None => std::future::pending().await,
    }
}
