//! One bind of a load run.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BufMut;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep_until};

use super::receipts::Seen;
use super::{Measured, Messages, Run, Totals};
use crate::link::{self, Link, now};
use crate::simulator::ReceiptFields;
use crate::smpp::view::MessageResponseView;
use crate::smpp::{
    BindKind, BindView, CommandId, CommandStatus, Event, Frame, MessageView, Role, Session, Settings, Strictness, Timers,
    Version, status,
};

/// Pauses between attempts to connect grow from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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
    /// When it left, or should have left.
    since: Instant,
}

pub(super) struct Client {
    run: Arc<Run>,
    messages: Messages,
    /// Unanswered when their connection ended.
    again: VecDeque<Pending>,
    /// With a fixed rate: when the next message is to leave, and the time between two.
    schedule: Option<(Instant, Duration)>,
    index: usize,
    has_started: bool,
    timer: Pin<Box<Sleep>>,
    measured: Measured,
    // What this turn has brought.
    totals: Totals,
    lines: Vec<u8>,
}

impl Client {
    pub fn new(run: Arc<Run>, index: usize) -> Client {
        let settings = &run.settings;
        Client {
            messages: Messages::new(&settings.source, &settings.prefixes, &settings.text, settings.receipts),
            again: VecDeque::new(),
            schedule: None,
            index,
            has_started: false,
            timer: Box::pin(sleep_until(tokio::time::Instant::now())),
            measured: Measured::default(),
            totals: Totals::default(),
            lines: Vec::new(),
            run,
        }
    }

    /// Works until the run is finished, or, unless it reconnects, until the connection ends.
    pub async fn run(mut self) -> Result<Measured, ClientError> {
        let mut finish = self.run.finish.subscribe();
        let mut pause = BACKOFF.0;
        loop {
            let connected = tokio::select! {
                connected = connect(&self.run) => connected,
                () = is_set(&mut finish) => return Ok(self.measured),
            };
            match connected {
                Ok(link) => {
                    pause = BACKOFF.0;
                    self.totals.binds += 1;
                    self.start(&mut finish).await;
                    self.serve(link, &mut finish).await;
                }
                Err(error) if !self.run.settings.reconnect => return Err(error),
                Err(_) => {}
            }
            if !self.run.settings.reconnect || *finish.borrow() {
                return Ok(self.measured);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                () = is_set(&mut finish) => {}
            }
        }
    }

    /// Waits for the other clients, the first time.
    async fn start(&mut self, finish: &mut watch::Receiver<bool>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        tokio::select! {
            _ = self.run.start.wait() => {}
            () = is_set(finish) => {}
        }
        if let Some(rate) = self.run.settings.rate {
            let binds = self.run.settings.binds as f64;
            let offset = Duration::from_secs_f64(self.index as f64 / rate);
            self.schedule = Some((now() + offset, Duration::from_secs_f64(binds / rate)));
        }
    }

    /// Serves one connection until it ends.
    async fn serve(&mut self, mut link: Link<Pending>, finish: &mut watch::Receiver<bool>) {
        loop {
            let at = now();
            while let Some(event) = link.session.poll_event() {
                self.handle(at, &mut link.session, event);
            }
            if link.session.is_closed() {
                self.hand_over();
                return link.finish().await;
            }
            self.submit(at, &mut link.session);
            self.hand_over();
            let due = self.next_due(&link.session);
            if let Some(due) = due
                && self.timer.deadline().into_std() != due
            {
                self.timer.as_mut().reset(due.into());
            }
            tokio::select! {
                biased;
                () = is_set(finish) => return part(link).await,
                () = self.timer.as_mut(), if due.is_some() => {}
                () = link.progress() => {}
            }
        }
    }

    fn next_due(&self, session: &Session<Pending>) -> Option<Instant> {
        let (next, _) = self.schedule?;
        (session.free_window() > 0 && self.run.sending.load(std::sync::atomic::Ordering::Relaxed)).then_some(next)
    }

    fn handle(&mut self, at: Instant, session: &mut Session<Pending>, event: Event<Pending>) {
        match event {
            Event::Response { token, frame, status, .. } => self.handle_response(at, token, &frame, status),
            Event::Request(frame) => {
                self.handle_delivery(at, &frame);
                session.respond(at, frame.ticket(), CommandStatus::EsmeRok);
            }
            Event::NoResponse { token, .. } => self.unanswered(token),
            Event::Closed { unanswered, .. } => unanswered.into_iter().for_each(|pending| self.unanswered(pending)),
            Event::Bind(_)
            | Event::Bound { .. }
            | Event::BindRefused(_)
            | Event::LateResponse(_)
            | Event::Unbinding
            | Event::Fault(_) => {}
        }
    }

    fn unanswered(&mut self, pending: Pending) {
        if self.run.settings.reconnect {
            self.again.push_back(pending);
        } else {
            self.totals.lost += 1;
        }
    }

    fn handle_response(&mut self, at: Instant, pending: Pending, frame: &Frame, status: CommandStatus) {
        self.measured.last_response = Some(at);
        if status != CommandStatus::EsmeRok {
            self.totals.refused += 1;
            *self.measured.refusals.entry(status.into()).or_default() += 1;
            return;
        }
        self.totals.accepted += 1;
        self.measured.responses.record(at.saturating_duration_since(pending.since));
        let message_id = MessageResponseView::parse(frame).message_id;
        if self.run.settings.accepted.is_some() {
            // Writing to memory does not fail.
            let _ = io::Write::write_fmt(&mut self.lines, format_args!("{},", pending.tag));
            self.lines.extend_from_slice(message_id);
            self.lines.push(b'\n');
        }
        if self.run.settings.receipts
            && let Some(early) = self.run.receipts.accepted(message_id, pending.since)
        {
            self.totals.early_receipts += 1;
            self.count_receipt(early.arrived, pending.since, early.delivered);
        }
    }

    fn handle_delivery(&mut self, at: Instant, frame: &Frame) {
        let Ok(message) = MessageView::parse(frame, Strictness::Lenient) else { return };
        let Some(receipt) = ReceiptFields::of(&message) else {
            self.totals.mo += 1;
            return;
        };
        match self.run.receipts.arrived(receipt.message_id, at, receipt.is_delivered()) {
            Seen::First(submitted) => self.count_receipt(at, submitted, receipt.is_delivered()),
            Seen::Again => self.totals.duplicate_receipts += 1,
            Seen::Unknown => self.totals.unknown_receipts += 1,
        }
    }

    fn count_receipt(&mut self, arrived: Instant, submitted: Instant, delivered: bool) {
        self.totals.receipts += 1;
        self.totals.delivered += u64::from(delivered);
        self.measured.receipts.record(arrived.saturating_duration_since(submitted));
    }

    /// Submits what is due and fits.
    fn submit(&mut self, at: Instant, session: &mut Session<Pending>) {
        while session.free_window() > 0
            && let Some(pending) = self.again.pop_front()
        {
            self.totals.resent += 1;
            self.send(at, session, pending);
        }
        let free = session.free_window();
        match self.schedule {
            None => {
                // A few messages at a time cost far less than one by one, on both sides.
                if free * 8 >= self.run.settings.window {
                    for tag in self.run.claim(free) {
                        self.totals.sent += 1;
                        self.send(at, session, Pending { tag, since: at });
                    }
                }
            }
            Some((mut next, interval)) => {
                let mut count = 0;
                while count < free && next + interval * count as u32 <= at {
                    count += 1;
                }
                for tag in self.run.claim(count) {
                    self.measured.lateness.record(at.saturating_duration_since(next));
                    self.totals.sent += 1;
                    self.send(at, session, Pending { tag, since: next });
                    next += interval;
                }
                self.schedule = Some((next, interval));
            }
        }
    }

    fn send(&mut self, at: Instant, session: &mut Session<Pending>, pending: Pending) {
        let body = self.messages.body(pending.tag);
        if let Err(refused) = session.send(at, CommandId::SubmitSm, pending, |out| out.put_slice(body)) {
            self.again.push_back(refused.token);
        }
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

/// Connects and binds as transceiver.
async fn connect(run: &Run) -> Result<Link<Pending>, ClientError> {
    let settings = &run.settings;
    let stream = link::connect(&settings.host, settings.port, None).await.map_err(ClientError::Connect)?;
    let session_settings = Settings {
        window: settings.window,
        peer_window: usize::MAX,
        timers: Timers { response: settings.response_timeout, ..Timers::default() },
        ..Settings::new(Role::Esme)
    };
    let mut link = Link::new(stream, Session::new(session_settings, now()));
    bind(&mut link, BindKind::Transceiver, settings.system_id.as_bytes(), settings.password.as_bytes()).await?;
    Ok(link)
}

/// Binds and waits for the answer.
///
/// # Errors
/// The bind was refused or not answered.
pub async fn bind<T>(link: &mut Link<T>, kind: BindKind, system_id: &[u8], password: &[u8]) -> Result<(), ClientError> {
    link.session.bind(
        now(),
        &BindView {
            kind,
            system_id,
            password,
            system_type: b"",
            version: Version::V3_4,
            addr_ton: 0,
            addr_npi: 0,
            address_range: b"",
        },
    );
    loop {
        match link.session.poll_event() {
            Some(Event::Bound { .. }) => return Ok(()),
            Some(Event::BindRefused(status)) => return Err(ClientError::BindRefused(status)),
            Some(Event::Closed { .. }) => return Err(ClientError::NoBindResponse),
            Some(_) => {}
            None => link.progress().await,
        }
    }
}

/// Unbinds; what is unanswered is not waited for.
pub async fn part<T>(mut link: Link<T>) {
    if link.session.unanswered() > 0 {
        link.session.close();
    } else {
        link.session.unbind(now());
    }
    let ended = async {
        while !link.session.is_closed() {
            link.progress().await;
            while link.session.poll_event().is_some() {}
        }
    };
    // A peer that does not answer is left anyway.
    let _ = tokio::time::timeout(PARTING, ended).await;
    link.finish().await;
}

async fn is_set(flag: &mut watch::Receiver<bool>) {
    // A run that is gone is finished as well.
    let _ = flag.wait_for(|set| *set).await;
}
