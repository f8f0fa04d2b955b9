//! One connection of a client to the simulated operator.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::behaviour::Answer;
use super::delivery::{self, Delivery, Mo, Receipt};
use super::message_id::{self, IdText};
use super::pool::{Pool, Scheduled};
use super::record::{self, Record};
use super::{Counts, Manner, Operator, Orders, lock, wall_clock};
use crate::link::Alarm;
use crate::link::now;
use crate::message::{ReceiptRequest, Timestamp};
use crate::receipt::ReceiptId;
use crate::simulator::stamp;
use crate::simulator::wire::{Input, Pdu, Received, Wire};
use crate::smpp::{BindKind, BindView, CommandId, CommandStatus, MessageView, Role, Strictness, Ticket};

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

/// A moment, on both clocks it is needed on.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    /// What receipts are dated with.
    wall: Timestamp,
    /// What stamps are compared with.
    micros: u64,
}

pub(super) struct Bind {
    operator: Arc<Operator>,
    wire: Wire<Delivery>,
    input: Input,
    orders: watch::Receiver<Orders>,
    /// As read at the beginning of this turn of the loop.
    manner: Arc<Manner>,
    random: SmallRng,
    /// The deliveries of our client that no bind holds; `None` until bound.
    pool: Option<Arc<Pool>>,
    receives: bool,
    delayed: VecDeque<Delayed>,
    /// Deliveries this bind holds, by their time.
    scheduled: VecDeque<Scheduled>,
    /// Memory of acknowledged deliveries, for the next ones.
    spare: Vec<Vec<u8>>,
    ids: message_id::Writer,
    writer: delivery::Writer,
    alarm: Alarm,
    /// The connection is to be dropped without a word.
    doomed: bool,
    // What this turn has brought, to be handed over at its end.
    counts: Counts,
    /// Microseconds that stamped messages were on their way.
    transit: Vec<u64>,
    records: Vec<Record>,
    lines: Vec<u8>,
}

impl Bind {
    /// # Errors
    /// The socket is broken already.
    pub fn new(socket: TcpStream, operator: Arc<Operator>) -> io::Result<Bind> {
        let started = now();
        let settings = &operator.settings;
        let number = operator.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Bind {
            wire: Wire::new(socket, Role::Smsc, settings.window, settings.response_timeout, started)?,
            input: Input::default(),
            orders: operator.orders.subscribe(),
            manner: operator.manner.load_full(),
            random: SmallRng::seed_from_u64(settings.seed.wrapping_add(number)),
            pool: None,
            receives: false,
            delayed: VecDeque::new(),
            scheduled: VecDeque::new(),
            spare: Vec::new(),
            ids: message_id::Writer::default(),
            writer: delivery::Writer::default(),
            alarm: Alarm::new(started),
            doomed: false,
            counts: Counts::default(),
            transit: Vec::new(),
            records: Vec::new(),
            lines: Vec::new(),
            operator,
        })
    }

    /// Serves the connection until it ends.
    pub async fn run(mut self) {
        loop {
            self.turn();
            self.hand_over();
            if self.doomed {
                return;
            }
            if self.wire.is_closed() {
                return self.wire.finish().await;
            }
            self.wire.flush();
            if !self.wire.is_closed() {
                self.wait().await;
            }
        }
    }

    /// Handles everything that has come, and does what is due, under one look at the clocks.
    fn turn(&mut self) {
        let at = now();
        let moment = Moment { at, wall: wall_clock(), micros: self.operator.clock.micros(at) };
        self.manner = self.operator.manner.load_full();
        // Taken out, so that its PDUs may be lent to what changes the rest.
        let mut input = std::mem::take(&mut self.input);
        while !self.doomed
            && let Some(pdu) = self.wire.next(&mut input)
        {
            self.handle(moment, pdu);
        }
        self.input = input;
        if self.doomed {
            return self.leave(at);
        }
        self.wire.check_time(at).into_iter().for_each(|delivery| self.send_again(at, delivery));
        self.answer_delayed(at);
        self.deliver(at);
        self.wire.part(at, !self.delayed.is_empty());
        if self.wire.is_closed() {
            self.leave(at);
        }
    }

    /// Until bytes, time, an order, or deliveries in the pool give something to do.
    async fn wait(&mut self) {
        let takes = self.receives && self.wire.free_window() > 0;
        let answer = self.delayed.front().map(|delayed| delayed.due);
        let delivery = self.scheduled.front().map(|(due, _)| *due).filter(|_| takes);
        self.alarm.set(answer.into_iter().chain(delivery).chain(self.wire.deadline()).min());
        tokio::select! {
            biased;
            changed = self.orders.changed() => {
                let orders = *self.orders.borrow_and_update();
                if changed.is_ok() && !orders.stop {
                    self.doomed = true;
                } else {
                    self.wire.unbind(now());
                }
            }
            () = self.alarm.rung() => {}
            () = arrived(self.pool.as_deref()), if takes => {}
            () = self.wire.progress(&mut self.input) => {}
        }
    }

    #[inline]
    fn handle(&mut self, moment: Moment, pdu: Pdu<'_>) {
        match self.wire.receive(moment.at, pdu) {
            Received::Request(command @ (CommandId::SubmitSm | CommandId::DataSm)) => {
                self.handle_submission(moment, command, pdu);
            }
            Received::Request(command) if BindKind::of(command).is_some() => self.handle_bind(pdu),
            Received::Request(_) => self.wire.respond(pdu.ticket(), CommandStatus::EsmeRinvcmdid),
            Received::Answer(delivery) => self.handle_acknowledgement(moment.at, delivery, pdu.status()),
            Received::Settled | Received::Bound | Received::BindRefused(_) => {}
        }
    }

    #[inline]
    fn handle_acknowledgement(&mut self, at: Instant, delivery: Delivery, status: u32) {
        if status != u32::from(CommandStatus::EsmeRok) {
            return self.send_again(at + RETRY_AFTER, delivery);
        }
        if delivery.is_receipt {
            self.counts.receipts_acknowledged += 1;
        } else {
            self.counts.mo_acknowledged += 1;
        }
        if self.spare.len() < self.operator.settings.window {
            self.spare.push(delivery.body);
        }
    }

    fn handle_bind(&mut self, pdu: Pdu<'_>) {
        let Some(frame) = pdu.to_frame() else { return };
        let bind = match BindView::parse(&frame, Strictness::Lenient) {
            Ok(bind) => bind,
            Err(error) => return self.wire.respond(pdu.ticket(), error.status()),
        };
        let refusal = self.manner.behaviour.refuse_binds.or_else(|| match &self.operator.settings.credentials {
            Some((system_id, _)) if system_id.as_bytes() != bind.system_id => Some(CommandStatus::EsmeRinvsysid),
            Some((_, password)) if password.as_bytes() != bind.password => Some(CommandStatus::EsmeRinvpaswd),
            _ => None,
        });
        if let Some(status) = refusal {
            return self.wire.respond(pdu.ticket(), status);
        }
        self.wire.accept_bind(pdu.ticket(), &bind, self.operator.settings.name.as_bytes());
        self.receives = bind.kind.receives();
        let pool = self.operator.pool(bind.system_id);
        if self.receives {
            pool.join();
        }
        self.pool = Some(pool);
        self.counts.binds += 1;
    }

    /// Gives back what this bind holds.
    fn leave(&mut self, at: Instant) {
        self.wire.take_unanswered().into_iter().for_each(|delivery| self.send_again(at, delivery));
        if let Some(pool) = self.pool.take() {
            if self.receives {
                pool.leave();
            }
            pool.put(self.scheduled.drain(..));
            self.counts.unbinds += 1;
        }
    }

    #[inline]
    fn handle_submission(&mut self, moment: Moment, command: CommandId, pdu: Pdu<'_>) {
        let request = Ticket { command, sequence: pdu.sequence() };
        self.counts.received += 1;
        let message = match MessageView::parse_body(command, pdu.body(), Strictness::Lenient) {
            Ok(message) => message,
            Err(error) => {
                self.counts.refused += 1;
                return self.wire.respond(request, error.status());
            }
        };
        let text = record::user_text(&message);
        self.transit.extend(stamp::age(text, moment.micros));
        let behaviour = &self.manner.behaviour;
        if behaviour.poison.as_ref().is_some_and(|poison| text.starts_with(poison)) {
            self.note(&message, false, None);
            self.doomed = true;
            return;
        }
        let answer = if self.manner.rate.take(moment.at).is_err() {
            self.counts.throttled += 1;
            Answer::Status(CommandStatus::EsmeRthrottled)
        } else {
            behaviour.draw_answer(&mut self.random)
        };
        match answer {
            Answer::Silence => {
                self.counts.silent += 1;
                self.note(&message, false, None);
            }
            Answer::Status(CommandStatus::EsmeRok) => self.accept(moment, request, &message, text),
            Answer::Status(status) => {
                self.counts.refused += 1;
                self.note(&message, false, Some(status));
                self.respond(moment.at, request, status);
            }
        }
    }

    fn accept(&mut self, moment: Moment, request: Ticket, message: &MessageView<'_>, text: &[u8]) {
        self.ids.write(self.operator.take_id(), self.manner.behaviour.ids);
        self.counts.accepted += 1;
        self.note(message, true, Some(CommandStatus::EsmeRok));
        if self.manner.behaviour.early_receipt {
            self.schedule_receipt(moment, Duration::ZERO, message, text);
            self.deliver(moment.at);
            self.respond(moment.at, request, CommandStatus::EsmeRok);
        } else {
            self.respond(moment.at, request, CommandStatus::EsmeRok);
            self.schedule_receipt(moment, self.manner.behaviour.receipt_delay, message, text);
        }
        if text.get(..ECHO.len()).is_some_and(|start| start.eq_ignore_ascii_case(ECHO)) {
            self.echo(moment.at, message, &text[ECHO.len()..]);
        }
    }

    /// Schedules the receipt of the message accepted last, if it is to have one.
    fn schedule_receipt(&mut self, moment: Moment, delay: Duration, message: &MessageView<'_>, text: &[u8]) {
        let requested = ReceiptRequest(message.registered_delivery);
        let behaviour = &self.manner.behaviour;
        if !requested.wants_any() {
            return;
        }
        let delivered = behaviour.draw_delivered(&mut self.random);
        if !requested.wants_final(delivered) {
            return;
        }
        let other_id: IdText;
        let receipt = Receipt {
            id: match behaviour.receipt_id {
                ReceiptId::Same => self.ids.text(),
                other => {
                    other_id = message_id::receipt_form(self.ids.number(), behaviour.ids, other);
                    &other_id
                }
            },
            form: behaviour.receipt_form,
            source: message.source,
            destination: message.destination,
            delivered,
            submitted: moment.wall,
            done: moment.wall.plus(delay),
            text,
        };
        let mut body = self.spare.pop().unwrap_or_default();
        body.clear();
        self.writer.receipt(&receipt, &mut body);
        let delivery = Delivery { is_receipt: true, body };
        if behaviour.duplicate_receipts {
            self.counts.receipts += 1;
            self.schedule(moment.at + delay, delivery.clone());
        }
        self.counts.receipts += 1;
        self.schedule(moment.at + delay, delivery);
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
        self.schedule(at, Delivery::mo(&mo));
    }

    /// Keeps a submission for those who want to see it; an accepted one has the id written last.
    fn note(&mut self, message: &MessageView<'_>, accepted: bool, status: Option<CommandStatus>) {
        if self.operator.settings.keep_records {
            self.records.push(Record::of(message, if accepted { self.ids.number() } else { 0 }, status));
        }
        if self.operator.settings.log.is_some() {
            let id = if accepted { self.ids.text() } else { b"-" };
            record::write_line(&mut self.lines, &self.operator.settings.name, message, id, status);
        }
    }

    /// Answers with ESME_ROK and the id written last, or with a refusal.
    fn respond(&mut self, at: Instant, request: Ticket, status: CommandStatus) {
        let answer = if status == CommandStatus::EsmeRok { Ok(self.ids.text()) } else { Err(status) };
        let delay = self.manner.behaviour.response_delay;
        if delay.is_zero() {
            return respond_now(&mut self.wire, request, answer);
        }
        self.delayed.push_back(Delayed { due: at + delay, request, answer: answer.map(IdText::from_slice) });
    }

    fn answer_delayed(&mut self, at: Instant) {
        while let Some(delayed) = self.delayed.pop_front_if(|delayed| delayed.due <= at) {
            respond_now(&mut self.wire, delayed.request, delayed.answer.as_deref().map_err(|status| *status));
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
            pool.take(self.wire.free_window(), &mut taken);
            taken.into_iter().for_each(|(due, delivery)| self.schedule(due, delivery));
        }
        while self.wire.free_window() > 0
            && let Some((_, delivery)) = self.scheduled.pop_front_if(|(due, _)| *due <= at)
        {
            self.wire.send(at, CommandId::DeliverSm, delivery, |delivery, out| out.extend_from_slice(&delivery.body));
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
        if !self.transit.is_empty() {
            let mut transit = lock(&self.operator.transit);
            self.transit.drain(..).for_each(|micros| transit.record(micros));
        }
        if self.counts != Counts::default() {
            self.operator.count(&std::mem::take(&mut self.counts));
        }
    }
}

fn respond_now(wire: &mut Wire<Delivery>, request: Ticket, answer: Result<&[u8], CommandStatus>) {
    match answer {
        Ok(id) => wire.respond_id(request, id),
        Err(status) => wire.respond(request, status),
    }
}

/// Waits for deliveries in the pool.
async fn arrived(pool: Option<&Pool>) {
    match pool {
        Some(pool) => pool.arrived.notified().await,
        None => std::future::pending().await,
    }
}
