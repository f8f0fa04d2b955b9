//! One bind of a load run.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::pace::Pace;
use super::receipts::Seen;
use super::{Books, Messages, Run, Totals};
use crate::link::Alarm;
use crate::link::now;
use crate::simulator::ReceiptFields;
use crate::simulator::wire::{Input, Pdu, Received, Wire};
use crate::smpp::{BindKind, BindView, CommandId, CommandStatus, MessageView, Role, Strictness, Version, status};

/// Pauses between attempts to connect grow from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the peer may take to answer the final unbind.
const PARTING: Duration = Duration::from_secs(2);

/// Why a client could not work.
#[derive(Debug)]
pub enum ClientError {
    Connect(io::Error),
    BindRefused(CommandStatus),
    /// The connection ended, or the response timer ran out, before the bind was answered.
    NoBindResponse,
    Task(tokio::task::JoinError),
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientError::Connect(error) => write!(f, "cannot connect: {error}"),
            ClientError::BindRefused(code) => write!(f, "bind refused: {}", status::Shown(*code)),
            ClientError::NoBindResponse => f.write_str("the bind was not answered"),
            ClientError::Task(error) => write!(f, "a client failed: {error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    tag: u64,
    /// When it left, or should have left, in microseconds of the run's clock.
    since: u64,
}

pub(super) struct Client {
    run: Arc<Run>,
    messages: Messages,
    input: Input,
    /// Unanswered when their connection ended.
    again: VecDeque<Pending>,
    /// With a fixed rate.
    pace: Option<Pace>,
    index: usize,
    has_started: bool,
    alarm: Alarm,
    // What this turn has brought.
    totals: Totals,
    lines: Vec<u8>,
}

impl Client {
    pub fn new(run: Arc<Run>, index: usize) -> Client {
        let settings = &run.settings;
        Client {
            messages: Messages::new(&settings.source, &settings.prefixes, &settings.text, settings.receipts),
            input: Input::default(),
            again: VecDeque::new(),
            pace: None,
            index,
            has_started: false,
            alarm: Alarm::new(now()),
            totals: Totals::default(),
            lines: Vec::new(),
            run,
        }
    }

    /// Works until the run is finished, or, unless it reconnects, until the connection ends.
    pub async fn run(mut self) -> Result<(), ClientError> {
        let mut finish = self.run.finish.subscribe();
        let mut pause = BACKOFF.0;
        loop {
            self.input = Input::default();
            let connected = tokio::select! {
                connected = connect(&self.run, &mut self.input) => connected,
                () = is_set(&mut finish) => return Ok(()),
            };
            match connected {
                Ok(wire) => {
                    pause = BACKOFF.0;
                    self.totals.binds += 1;
                    self.start(&mut finish).await?;
                    self.serve(wire, &mut finish).await;
                }
                Err(error) if !self.run.settings.reconnect => return Err(error),
                Err(_) => {}
            }
            if !self.run.settings.reconnect || *finish.borrow() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                () = is_set(&mut finish) => {}
            }
        }
    }

    /// Waits for the other clients, the first time.
    async fn start(&mut self, finish: &mut watch::Receiver<bool>) -> Result<(), ClientError> {
        if std::mem::replace(&mut self.has_started, true) {
            return Ok(());
        }
        tokio::select! {
            _ = self.run.start.wait() => {}
            () = is_set(finish) => {}
        }
        if let Some(rate) = self.run.settings.rate {
            self.pace = Some(Pace::start(now(), rate, self.index, self.run.settings.binds).map_err(ClientError::Connect)?);
        }
        Ok(())
    }

    /// Serves one connection until it ends.
    async fn serve(&mut self, mut wire: Wire<Pending>, finish: &mut watch::Receiver<bool>) {
        loop {
            self.turn(&mut wire);
            self.hand_over();
            if wire.is_closed() {
                return wire.finish().await;
            }
            wire.flush();
            if wire.is_closed() {
                continue;
            }
            self.alarm.set(wire.deadline());
            let may_send = wire.free_window() > 0 && self.run.sending.load(Ordering::Relaxed);
            tokio::select! {
                biased;
                () = is_set(finish) => return part(wire, &mut self.input).await,
                () = self.alarm.rung() => {}
                () = due(self.pace.as_ref()), if may_send => {}
                () = wire.progress(&mut self.input) => {}
            }
        }
    }

    /// Handles everything that has come, and sends what may be sent, under one look at the clock and one hold of the books.
    fn turn(&mut self, wire: &mut Wire<Pending>) {
        let at = now();
        let micros = self.run.clock.micros(at);
        let run = Arc::clone(&self.run);
        let mut books = run.books();
        // Taken out, so that its PDUs may be lent to what changes the rest.
        let mut input = std::mem::take(&mut self.input);
        while let Some(pdu) = wire.next(&mut input) {
            match wire.receive(at, pdu) {
                Received::Answer(pending) => self.handle_response(&mut books, micros, pending, pdu),
                Received::Request(command) => {
                    self.handle_delivery(&mut books, micros, command, pdu);
                    wire.respond(pdu.ticket(), CommandStatus::EsmeRok);
                }
                Received::Settled | Received::Bound | Received::BindRefused(_) => {}
            }
        }
        self.input = input;
        wire.check_time(at).into_iter().for_each(|pending| self.unanswered(pending));
        wire.part(at, false);
        if wire.is_closed() {
            self.totals.disconnects += 1;
            wire.take_unanswered().into_iter().for_each(|pending| self.unanswered(pending));
        } else {
            self.submit(&mut books, at, micros, wire);
        }
    }

    fn unanswered(&mut self, pending: Pending) {
        if self.run.settings.reconnect {
            self.again.push_back(pending);
        } else {
            self.totals.lost += 1;
        }
    }

    #[inline]
    fn handle_response(&mut self, books: &mut Books, at: u64, pending: Pending, pdu: Pdu<'_>) {
        books.last_response = books.last_response.max(at);
        if pdu.status() != u32::from(CommandStatus::EsmeRok) {
            self.totals.refused += 1;
            *books.refusals.entry(pdu.status()).or_default() += 1;
            return;
        }
        self.totals.accepted += 1;
        books.response_times.record(at.saturating_sub(pending.since));
        if self.run.settings.accepted.is_some() {
            // Writing to memory does not fail.
            let _ = io::Write::write_fmt(&mut self.lines, format_args!("{},", pending.tag));
            self.lines.extend_from_slice(pdu.message_id());
            self.lines.push(b'\n');
        }
        if self.run.settings.receipts
            && let Some(early) = books.receipts.accepted(pdu.message_id(), pending.since)
        {
            self.totals.early_receipts += 1;
            self.count_receipt(books, early.arrived, pending.since, early.delivered);
        }
    }

    #[inline]
    fn handle_delivery(&mut self, books: &mut Books, at: u64, command: CommandId, pdu: Pdu<'_>) {
        let Ok(message) = MessageView::parse_body(command, pdu.body(), Strictness::Lenient) else { return };
        let Some(receipt) = ReceiptFields::of(&message) else {
            self.totals.mo += 1;
            return;
        };
        match books.receipts.arrived(receipt.message_id, at, receipt.is_delivered()) {
            Seen::First(submitted) => self.count_receipt(books, at, submitted, receipt.is_delivered()),
            Seen::Again => self.totals.duplicate_receipts += 1,
            Seen::Unknown => self.totals.unknown_receipts += 1,
        }
    }

    fn count_receipt(&mut self, books: &mut Books, arrived: u64, submitted: u64, delivered: bool) {
        self.totals.receipts += 1;
        self.totals.delivered += u64::from(delivered);
        books.receipt_times.record(arrived.saturating_sub(submitted));
    }

    /// Submits what is due and fits.
    fn submit(&mut self, books: &mut Books, at: Instant, micros: u64, wire: &mut Wire<Pending>) {
        while wire.free_window() > 0
            && let Some(pending) = self.again.pop_front()
        {
            self.totals.resent += 1;
            self.send(at, wire, pending);
        }
        let Some(mut pace) = self.pace.take() else {
            let free = wire.free_window();
            // A few messages at a time cost far less than one by one, on both sides.
            if free * 8 >= self.run.settings.window {
                self.submit_new(at, wire, free, micros);
            }
            return;
        };
        loop {
            let (count, since) = pace.take(at, wire.free_window());
            if count == 0 {
                break;
            }
            let since = self.run.clock.micros(since);
            for _ in 0..self.submit_new(at, wire, count, since) {
                books.lateness.record(micros.saturating_sub(since));
            }
        }
        self.pace = Some(pace);
    }

    /// Submits up to so many new messages; returns how many.
    fn submit_new(&mut self, at: Instant, wire: &mut Wire<Pending>, count: usize, since: u64) -> u64 {
        let tags = self.run.claim(count);
        let claimed = tags.end - tags.start;
        self.totals.sent += claimed;
        for tag in tags {
            self.send(at, wire, Pending { tag, since });
        }
        claimed
    }

    #[inline]
    fn send(&mut self, at: Instant, wire: &mut Wire<Pending>, pending: Pending) {
        wire.send(at, CommandId::SubmitSm, pending, |pending, out| self.messages.write(pending.tag, pending.since, out));
    }

    fn hand_over(&mut self) {
        if let Some(file) = &self.run.settings.accepted {
            file.write(&mut self.lines);
        }
        if self.totals != Totals::default() {
            let totals = std::mem::take(&mut self.totals);
            self.run.totals.send_modify(|all| all.add(&totals));
        }
    }
}

/// Waits until the pace says that a message is due; for ever without one.
async fn due(pace: Option<&Pace>) {
    match pace {
        Some(pace) => pace.due().await,
        None => std::future::pending().await,
    }
}

/// Connects and binds as transceiver.
async fn connect(run: &Run, input: &mut Input) -> Result<Wire<Pending>, ClientError> {
    let settings = &run.settings;
    let connect = TcpStream::connect((settings.host.as_str(), settings.port));
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect).await;
    let socket = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(ClientError::Connect)?;
    let started = now();
    let wire = Wire::new(socket, Role::Esme, settings.window, settings.response_timeout, started);
    let mut wire = wire.map_err(ClientError::Connect)?;
    wire.bind(&BindView {
        kind: BindKind::Transceiver,
        system_id: settings.system_id.as_bytes(),
        password: settings.password.as_bytes(),
        system_type: b"",
        version: Version::V3_4,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    });
    let mut alarm = Alarm::new(started);
    loop {
        wire.flush();
        alarm.set(wire.deadline());
        tokio::select! {
            () = alarm.rung() => {}
            () = wire.progress(input) => {}
        }
        wire.check_time(now());
        while let Some(pdu) = wire.next(input) {
            match wire.receive(now(), pdu) {
                Received::Bound => return Ok(wire),
                Received::BindRefused(status) => return Err(ClientError::BindRefused(CommandStatus::from(status))),
                // What comes before the bind's answer comes again: nobody has taken it.
                Received::Request(_) => wire.respond(pdu.ticket(), CommandStatus::EsmeRxTAppn),
                Received::Settled | Received::Answer(_) => {}
            }
        }
        if wire.is_closed() {
            return Err(ClientError::NoBindResponse);
        }
    }
}

/// Unbinds; what is unanswered is not waited for.
async fn part(mut wire: Wire<Pending>, input: &mut Input) {
    if wire.unanswered() > 0 {
        wire.close();
    } else {
        wire.unbind(now());
    }
    let ended = async {
        loop {
            while let Some(pdu) = wire.next(input) {
                wire.receive(now(), pdu);
            }
            wire.part(now(), false);
            wire.flush();
            if wire.is_closed() {
                return;
            }
            wire.progress(input).await;
        }
    };
    // A peer that does not answer is left anyway.
    let _ = tokio::time::timeout(PARTING, ended).await;
    wire.finish().await;
}

async fn is_set(flag: &mut watch::Receiver<bool>) {
    // A run that is gone is finished as well.
    let _ = flag.wait_for(|set| *set).await;
}
