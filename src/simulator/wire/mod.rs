//! One end of an SMPP connection for measuring: many PDUs in a read, many in a write, next to nothing in between.
//!
//! Not the gateway's own session. What judges the gateway must not share its mistakes, and it has to cost much less than what
//! it measures: PDUs are read where they lie, answers are appended to one buffer, a deadline is looked at only when it rings.

mod pdu;
mod window;

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::smpp::state::{Permission, has_response, permission};
use crate::smpp::{BindKind, BindView, CommandId, CommandStatus, Role, State, Ticket, Timers, Version, encode};
pub use pdu::{Input, OutOfStep, Pdu};
use window::Window;

/// Octets of output that may wait for the socket before reading stops: a peer that does not read its answers gets no more.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// Stands for a timer that is off.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a peer may take to read the last of what it is told.
const PARTING: Duration = Duration::from_secs(2);

/// What a PDU leaves to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// Nothing.
    Settled,
    /// A request to be answered; as a server also a bind.
    Request(CommandId),
    /// The answer to our request with this token.
    Answer(T),
    /// As a client: we are bound, or not (`command_status`).
    Bound,
    BindRefused(u32),
}

/// How far the end has come.
#[derive(Debug, Clone, Copy)]
enum Parting {
    /// `unbind` goes out when nothing is open any more.
    Finishing(Instant),
    /// Ours is out.
    Asked(Instant),
    /// The peer's is to be answered when nothing of its is open any more.
    Answering(Instant, Ticket),
}

/// A connection; `T` identifies our own requests.
#[derive(Debug)]
pub struct Wire<T> {
    socket: TcpStream,
    role: Role,
    timers: Timers,
    state: State,
    parting: Option<Parting>,
    opened: Instant,
    heard: Instant,
    /// When the `enquire_link` left that nothing has been heard since.
    enquired: Option<Instant>,
    window: Window<T>,
    output: Vec<u8>,
    /// How much of the output the socket has taken.
    written: usize,
}

impl<T> Wire<T> {
    /// `window`: our own requests that may be unanswered; `response`: how long one may take, zero for ever.
    ///
    /// # Errors
    /// The socket is broken already.
    pub fn new(socket: TcpStream, role: Role, window: usize, response: Duration, now: Instant) -> io::Result<Wire<T>> {
        socket.set_nodelay(true)?;
        let timers = Timers { response: if response.is_zero() { NEVER } else { response }, ..Timers::default() };
        Ok(Wire {
            socket,
            role,
            timers,
            state: State::Open,
            parting: None,
            opened: now,
            heard: now,
            enquired: None,
            window: Window::new(window, timers.response),
            output: Vec::new(),
            written: 0,
        })
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Requests that may be sent now.
    pub fn free_window(&self) -> usize {
        if matches!(self.state, State::Bound(_)) { self.window.free() } else { 0 }
    }

    /// Our requests without an answer.
    pub fn unanswered(&self) -> usize {
        self.window.open()
    }

    /// Takes every unanswered request, oldest first.
    pub fn take_unanswered(&mut self) -> Vec<T> {
        self.window.drain()
    }

    /// Takes the next PDU of a read. The stream being out of step ends the connection.
    #[inline]
    pub fn next<'a>(&mut self, input: &'a mut Input) -> Option<Pdu<'a>> {
        if self.is_closed() {
            return None;
        }
        match input.next_pdu() {
            Ok(pdu) => pdu,
            Err(OutOfStep(sequence)) => {
                self.put(CommandId::GenericNack, CommandStatus::EsmeRinvcmdlen, sequence, &[]);
                self.state = State::Closed;
                None
            }
        }
    }

    /// Sorts a PDU, and answers what needs no judgement.
    #[inline]
    pub fn receive(&mut self, now: Instant, pdu: Pdu<'_>) -> Received<T> {
        let command = pdu.command();
        match (command, self.role, self.state) {
            (CommandId::SubmitSmResp, Role::Esme, _) | (CommandId::DeliverSmResp, Role::Smsc, _) => {
                self.window.answer(pdu.sequence()).map_or(Received::Settled, Received::Answer)
            }
            (CommandId::SubmitSm, Role::Smsc, State::Bound(BindKind::Transceiver))
            | (CommandId::DeliverSm, Role::Esme, State::Bound(_)) => Received::Request(command),
            _ => self.receive_other(now, command, pdu),
        }
    }

    fn receive_other(&mut self, now: Instant, command: CommandId, pdu: Pdu<'_>) -> Received<T> {
        match command {
            CommandId::EnquireLink => self.respond(pdu.ticket(), CommandStatus::EsmeRok),
            CommandId::UnbindResp if matches!(self.parting, Some(Parting::Asked(_))) => self.state = State::Closed,
            CommandId::GenericNack => return self.window.answer(pdu.sequence()).map_or(Received::Settled, Received::Answer),
            _ if command.is_response() => return self.receive_bind_answer(command, pdu),
            _ => return self.receive_request(now, command, pdu),
        }
        Received::Settled
    }

    fn receive_bind_answer(&mut self, command: CommandId, pdu: Pdu<'_>) -> Received<T> {
        match self.state {
            State::Binding(kind) if command == kind.command().matching_response() => {
                let is_bound = pdu.status() == u32::from(CommandStatus::EsmeRok);
                self.state = if is_bound { State::Bound(kind) } else { State::Open };
                if is_bound { Received::Bound } else { Received::BindRefused(pdu.status()) }
            }
            _ => Received::Settled,
        }
    }

    fn receive_request(&mut self, now: Instant, command: CommandId, pdu: Pdu<'_>) -> Received<T> {
        let bound = match (self.state, self.role) {
            // A centre that sends before it has answered the bind takes us for bound.
            (State::Binding(kind), Role::Esme) => Some(kind),
            _ => self.state.bound_as(),
        };
        let is_bind = BindKind::of(command).is_some();
        match permission(self.role.peer(), command, bound) {
            Permission::Unknown => self.put(CommandId::GenericNack, CommandStatus::EsmeRinvcmdid, pdu.sequence(), &[]),
            Permission::WrongState if is_bind => self.respond(pdu.ticket(), CommandStatus::EsmeRalybnd),
            Permission::WrongState => self.refuse(pdu, CommandStatus::EsmeRinvbndsts),
            Permission::WrongRole => self.refuse(pdu, CommandStatus::EsmeRinvcmdid),
            Permission::Allowed if command == CommandId::Unbind => self.begin(Parting::Answering(now, pdu.ticket())),
            Permission::Allowed if !has_response(command) => {}
            Permission::Allowed if matches!(self.state, State::Unbinding(_)) => {
                // Taking new work would put off the end without end.
                let busy = if self.role == Role::Smsc { CommandStatus::EsmeRsyserr } else { CommandStatus::EsmeRxTAppn };
                self.respond(pdu.ticket(), busy);
            }
            Permission::Allowed => return Received::Request(command),
        }
        Received::Settled
    }

    fn refuse(&mut self, pdu: Pdu<'_>, status: CommandStatus) {
        if has_response(pdu.command()) {
            self.respond(pdu.ticket(), status);
        }
    }

    /// Client: asks for a bind.
    pub fn bind(&mut self, bind: &BindView<'_>) {
        let mut request = BytesMut::new();
        encode::bind(&mut request, self.window.take_number(), bind);
        self.output.extend_from_slice(&request);
        self.state = State::Binding(bind.kind);
    }

    /// Server: accepts a bind, naming ourselves.
    pub fn accept_bind(&mut self, request: Ticket, bind: &BindView<'_>, system_id: &[u8]) {
        let mut response = BytesMut::new();
        // A peer below 3.4 does not know TLVs.
        let version = bind.version.allows_tlvs().then_some(Version::V5_0);
        encode::bind_response(&mut response, request.command, request.sequence, system_id, version);
        self.output.extend_from_slice(&response);
        self.state = State::Bound(bind.kind);
    }

    /// Sends a request; `body` appends its body. The caller has seen that the window has room.
    #[inline]
    pub fn send(&mut self, now: Instant, command: CommandId, token: T, body: impl FnOnce(&T, &mut Vec<u8>)) {
        let start = self.output.len();
        let (sequence, token) = self.window.push(now, token);
        self.output.extend_from_slice(&pdu::header(0, command, CommandStatus::EsmeRok, sequence));
        body(token, &mut self.output);
        pdu::put_length(&mut self.output[start..]);
    }

    /// Answers a request without a body: the form of every error.
    #[inline]
    pub fn respond(&mut self, request: Ticket, status: CommandStatus) {
        // Only deliver_sm_resp keeps its one octet, the empty id, because peers break without it.
        let body: &[u8] = if request.command == CommandId::DeliverSm { &[0] } else { &[] };
        self.put(request.command.matching_response(), status, request.sequence, body);
    }

    /// Answers a submission with its message id.
    #[inline]
    pub fn respond_id(&mut self, request: Ticket, message_id: &[u8]) {
        let command = request.command.matching_response();
        self.output.extend_from_slice(&pdu::header(message_id.len() + 1, command, CommandStatus::EsmeRok, request.sequence));
        self.output.extend_from_slice(message_id);
        self.output.push(0);
    }

    #[inline]
    fn put(&mut self, command: CommandId, status: CommandStatus, sequence: u32, body: &[u8]) {
        self.output.extend_from_slice(&pdu::header(body.len(), command, status, sequence));
        self.output.extend_from_slice(body);
    }

    /// Ends the connection at once.
    pub fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Begins an orderly end; see [`Wire::part`].
    pub fn unbind(&mut self, now: Instant) {
        self.begin(Parting::Finishing(now));
    }

    fn begin(&mut self, parting: Parting) {
        match self.state {
            State::Bound(kind) => {
                self.state = State::Unbinding(kind);
                self.parting = Some(parting);
            }
            State::Open | State::Binding(_) => self.state = State::Closed,
            State::Unbinding(_) => {
                // Both sides want the same; whoever has asked is answered.
                if let Parting::Answering(_, request) = parting {
                    self.respond(request, CommandStatus::EsmeRok);
                    self.state = State::Closed;
                }
            }
            State::Closed => {}
        }
    }

    /// Carries on an end once begun: when all is answered, or the response timer has run out. `owed`: the owner still has requests
    /// of the peer to answer.
    pub fn part(&mut self, now: Instant, owed: bool) {
        let Some(parting) = self.parting else { return };
        let late = |since: Instant| since + self.timers.response <= now;
        match parting {
            Parting::Finishing(since) if late(since) || (!owed && self.window.open() == 0) => {
                let sequence = self.window.take_number();
                self.put(CommandId::Unbind, CommandStatus::EsmeRok, sequence, &[]);
                self.parting = Some(Parting::Asked(now));
            }
            Parting::Answering(since, request) if late(since) || !owed => {
                self.respond(request, CommandStatus::EsmeRok);
                self.state = State::Closed;
            }
            Parting::Asked(since) if late(since) => self.state = State::Closed,
            Parting::Finishing(_) | Parting::Asked(_) | Parting::Answering(..) => {}
        }
    }

    /// When to call [`Wire::check_time`], unless something else gives occasion.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match (self.state, self.parting) {
            (State::Closed, _) => return None,
            (State::Open | State::Binding(_), _) => self.opened + self.timers.session_init,
            (_, Some(Parting::Finishing(since) | Parting::Asked(since) | Parting::Answering(since, _))) => {
                since + self.timers.response
            }
            (_, None) => match self.enquired {
                None => self.heard + self.timers.enquire_link,
                Some(asked) => asked + self.timers.response,
            },
        };
        Some(self.window.deadline().map_or(own, |oldest| oldest.min(own)))
    }

    /// Does what is due: asks a silent peer whether it is there, ends with one that is not or that does not bind, and returns the
    /// requests that have run out of time.
    pub fn check_time(&mut self, now: Instant) -> Vec<T> {
        match (self.state, self.enquired) {
            (State::Open | State::Binding(_), _) if self.opened + self.timers.session_init <= now => self.state = State::Closed,
            (State::Bound(_), None) if self.heard + self.timers.enquire_link <= now => {
                let sequence = self.window.take_number();
                self.put(CommandId::EnquireLink, CommandStatus::EsmeRok, sequence, &[]);
                self.enquired = Some(now);
            }
            (State::Bound(_), Some(asked)) if asked + self.timers.response <= now => self.state = State::Closed,
            _ => {}
        }
        self.window.expire(now)
    }

    /// Writes what the socket takes at once.
    pub fn flush(&mut self) {
        while self.written < self.output.len() {
            match self.socket.try_write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.state = State::Closed;
                    break;
                }
            }
        }
        self.output.clear();
        self.written = 0;
    }

    /// Reads once, or writes on when the socket takes more. Cancel safe.
    pub async fn progress(&mut self, input: &mut Input) {
        let waiting = self.output.len() - self.written;
        let (mut reader, writer) = self.socket.split();
        let count = tokio::select! {
            biased;
            _ = writer.writable(), if waiting > 0 => return self.flush(),
            read = reader.read(input.room()), if waiting < OUTPUT_LIMIT => read.unwrap_or(0),
        };
        if count == 0 {
            self.state = State::Closed;
            return;
        }
        input.add(count);
        self.heard = crate::link::now();
        self.enquired = None;
    }

    /// Writes everything there still is to say, then ends the connection. A peer that does not take it is given up.
    pub async fn finish(mut self) {
        let write = async {
            self.socket.write_all(&self.output[self.written..]).await?;
            self.socket.shutdown().await
        };
        // A peer that never reads must not hold the task.
        let _ = tokio::time::timeout(PARTING, write).await;
    }
}

#[cfg(test)]
mod tests;
