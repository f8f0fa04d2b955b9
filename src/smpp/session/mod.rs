//! The session state machine, for both roles, without I/O and clock.
//!
//! Four kinds of methods: getters; `handle_*`, which take what happened (bytes, time, end of stream); commands, which say what
//! is wanted; and `poll_*`, which give out what is to be done. A driver loops:
//!
//! ```text
//! read -> handle_bytes -> poll_event ... -> commands -> poll_transmit -> write -> wait until poll_timeout
//! ```
//!
//! Rules for a driver:
//! - Handle everything readable before `handle_timeout`, or answers waiting in the socket are taken for missing.
//! - When [`Session::is_paused`] says so, stop reading; after responding call `handle_bytes` again with the rest of the buffer.
//! - Stop reading while earlier output cannot be written, since every read may produce answers.
//! - After [`Event::Closed`] write what `poll_transmit` still gives, then close the connection.
//!
//! Invariants: every token given to [`Session::send`] comes back exactly once (in `Response`, `NoResponse` or `Closed`);
//! `Closed` is the last event and comes once; nothing is sent after it except what was already in the output.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{BufMut, BytesMut};

use super::frame::{Frame, FrameFault, Ticket};
use super::state::{Permission, permission};
use super::timers::Watch;
use super::view::BindView;
use super::window::{Sequence, Window};
use super::{BindKind, CommandId, CommandStatus, Role, State, Strictness, Timers, Version, encode};

mod receive;
mod timeouts;

#[cfg(test)]
mod tests;

/// What a session is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub role: Role,
    /// Longest PDU accepted, in octets.
    pub max_pdu: usize,
    /// Our own requests that may be unanswered at once.
    pub window: usize,
    /// The peer's requests that may wait for our answer at once.
    pub peer_window: usize,
    pub timers: Timers,
    pub strictness: Strictness,
    /// Our `interface_version`.
    pub version: Version,
}

impl Settings {
    pub fn new(role: Role) -> Settings {
        Settings {
            role,
            max_pdu: 70 * 1024,
            window: 10,
            peer_window: 100,
            timers: Timers::default(),
            strictness: Strictness::Lenient,
            version: Version::V5_0,
        }
    }
}

/// What happened in a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// Server: a client wants to bind; read it with [`BindView::parse`]. Answer with `accept_bind` or `reject_bind`; the
    /// session-init timer keeps running.
    Bind(Frame),
    /// Client: the bind succeeded. `version` is what the centre said of itself.
    Bound { kind: BindKind, version: Option<Version> },
    /// Client: the bind failed. The session is open for another one, or for `close`.
    BindRefused(CommandStatus),
    /// A request of the peer that is allowed here and needs an answer of its own; `alert_notification` needs none.
    Request(Frame),
    /// The answer to one of our requests: its response, or a `generic_nack`.
    Response { token: T, frame: Frame, status: CommandStatus },
    /// The response timer ran out: the outcome is unknown. A late answer would carry this `sequence`.
    NoResponse { token: T, sequence: u32 },
    /// The answer to a request reported as [`Event::NoResponse`] before; its message id is still good.
    LateResponse(Frame),
    /// The peer wants to unbind: answer what is open. The session closes by itself when that is done.
    Unbinding,
    /// The peer did something wrong, and the session dealt with it; for counting.
    Fault(Fault),
    /// The end. `unanswered` gives back every request whose outcome is unknown, oldest first.
    Closed { reason: CloseReason, unanswered: Vec<T> },
}

/// Misbehaviour of the peer, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `command_length` below 16 or above the limit: nacked, session closed.
    Framing,
    /// No command of the standard: nacked.
    UnknownCommand,
    /// Not allowed in this state: answered with ESME_RINVBNDSTS, or ignored if it has no response.
    WrongState,
    /// Not allowed in this direction: answered with ESME_RINVCMDID, or ignored if it has no response.
    WrongRole,
    /// A second bind: answered with ESME_RALYBND.
    AlreadyBound,
    /// A bind whose body cannot be read: answered with the field's status.
    BadBind,
    /// A response nobody waits for, or of another operation than the request with its number.
    UnknownResponse,
}

impl Fault {
    /// The word it is counted under.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Framing => "framing",
            Fault::UnknownCommand => "unknown-command",
            Fault::WrongState => "wrong-state",
            Fault::WrongRole => "wrong-role",
            Fault::AlreadyBound => "already-bound",
            Fault::BadBind => "bad-bind",
            Fault::UnknownResponse => "unknown-response",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The connection ended without unbind.
    PeerClosed,
    /// The peer unbound.
    PeerUnbound,
    /// We unbound, and the peer agreed.
    Unbound,
    /// We unbound because the inactivity timer ran out.
    Inactivity,
    /// We unbound, and the peer did not answer in time.
    UnbindTimeout,
    /// No bind in time.
    SessionInit,
    /// Nothing heard since an unanswered enquire_link.
    LinkDead,
    /// The stream is out of step.
    Framing(FrameFault),
    /// [`Session::close`].
    Local,
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As many requests are unanswered as the window allows.
    WindowFull,
    /// Not bound, or no longer.
    NotBound,
    /// The bind's kind does not allow the command to be sent from this side.
    NotAllowed,
}

/// A request that was not sent: its token comes back with the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused<T> {
    pub token: T,
    pub refusal: Refusal,
}

/// How far the end of the session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// Ours to begin: `unbind` goes out when nothing is open any more, or at the deadline.
    Finishing { since: Instant, reason: CloseReason },
    /// Our `unbind` is out.
    Asked { since: Instant, reason: CloseReason },
    /// The peer's `unbind` is answered when its requests are, or at the deadline; and not while it may still answer ours, for a moment:
    /// what it has taken and nobody hears of would be sent twice.
    Answering { since: Instant, sequence: u32 },
}

/// One SMPP connection's protocol state. `T` identifies our own requests to whoever sent them.
#[derive(Debug)]
pub struct Session<T> {
    settings: Settings,
    state: State,
    parting: Option<Parting>,
    opened: Instant,
    watch: Watch,
    sequence: Sequence,
    window: Window<T>,
    /// The peer's requests given out and not yet answered.
    peer_open: usize,
    paused: bool,
    /// The bind request waiting for its answer: the peer's (server) or ours (client).
    bind: Option<PendingBind>,
    /// Messages that overtook the bind response (client); they become events after `Bound`.
    early: VecDeque<Frame>,
    peer_version: Option<Version>,
    events: VecDeque<Event<T>>,
    output: BytesMut,
}

#[derive(Debug, Clone, Copy)]
struct PendingBind {
    sequence: u32,
    since: Instant,
    version: Version,
}

impl<T> Session<T> {
    /// A session on a connection just made.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Session {
            settings,
            state: State::Open,
            parting: None,
            opened: now,
            watch: Watch::new(settings.timers, now),
            sequence: Sequence::new(1),
            window: Window::new(settings.window),
            peer_open: 0,
            paused: false,
            bind: None,
            early: VecDeque::new(),
            peer_version: None,
            events: VecDeque::new(),
            output: BytesMut::new(),
        }
    }

    // Getters.

    pub fn state(&self) -> State {
        self.state
    }

    pub fn bound_as(&self) -> Option<BindKind> {
        self.state.bound_as()
    }

    pub fn strictness(&self) -> Strictness {
        self.settings.strictness
    }

    /// The peer's interface version: from its bind (server) or, if it gave one, from its bind response (client).
    pub fn peer_version(&self) -> Option<Version> {
        self.peer_version
    }

    /// May requests and responses to the peer carry TLVs? A centre that does not tell its version should be sent none by the
    /// letter of section 2.11; since many that understand them leave it out, only a strict session holds to that.
    pub fn tlvs_allowed(&self) -> bool {
        match self.peer_version {
            Some(version) => version.allows_tlvs(),
            None => self.settings.strictness == Strictness::Lenient && self.settings.version.allows_tlvs(),
        }
    }

    /// Requests that [`Session::send`] would take now.
    pub fn free_window(&self) -> usize {
        if matches!(self.state, State::Bound(_)) { self.window.free() } else { 0 }
    }

    /// Our requests without a response.
    pub fn unanswered(&self) -> usize {
        self.window.open()
    }

    /// The peer's requests we have not answered.
    pub fn peer_unanswered(&self) -> usize {
        self.peer_open
    }

    /// The peer has used up its window: whole PDUs may be left in the buffer, and nothing more should be read for now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    // Commands.

    /// Client: asks for a bind. The version in `bind` is what is sent.
    ///
    /// Returns whether it was sent: only an open client session can bind.
    pub fn bind(&mut self, now: Instant, bind: &BindView<'_>) -> bool {
        if self.state != State::Open || self.settings.role != Role::Esme {
            return false;
        }
        let sequence = self.sequence.take();
        encode::bind(&mut self.output, sequence, bind);
        self.bind = Some(PendingBind { sequence, since: now, version: bind.version });
        self.state = State::Binding(bind.kind);
        true
    }

    /// Server: takes over what the account that binds has settings of its own for. Only before the bind is answered; the role stays.
    pub fn configure(&mut self, settings: Settings, now: Instant) {
        if matches!(self.state, State::Open | State::Binding(_)) {
            self.window = Window::new(settings.window);
            self.watch = Watch::new(settings.timers, now);
            self.settings = Settings { role: self.settings.role, ..settings };
        }
    }

    /// Server: accepts the pending bind, naming ourselves. Returns false when there is none (any more).
    pub fn accept_bind(&mut self, now: Instant, system_id: &[u8]) -> bool {
        let (State::Binding(kind), Role::Smsc, Some(bind)) = (self.state, self.settings.role, self.bind.take()) else {
            return false;
        };
        // A peer below 3.4 does not know TLVs.
        let version = bind.version.allows_tlvs().then_some(self.settings.version);
        encode::bind_response(&mut self.output, kind.command(), bind.sequence, system_id, version);
        self.peer_version = Some(bind.version);
        self.enter_bound(now, kind);
        true
    }

    /// Server: refuses the pending bind; the client may try again until the session-init timer ends it. Returns false when
    /// there is none (any more).
    pub fn reject_bind(&mut self, status: CommandStatus) -> bool {
        let (State::Binding(kind), Role::Smsc, Some(bind)) = (self.state, self.settings.role, self.bind.take()) else {
            return false;
        };
        encode::response(&mut self.output, kind.command(), status, bind.sequence);
        self.state = State::Open;
        true
    }

    /// Sends a request: the session writes the header, `body` the rest. Returns its sequence number.
    ///
    /// # Errors
    ///
    /// The token comes back when the window is full or the state does not allow the command; nothing is sent then. `bind` and
    /// `unbind` have commands of their own and are refused here.
    pub fn send(
        &mut self,
        now: Instant,
        command: CommandId,
        token: T,
        body: impl FnOnce(&mut BytesMut),
    ) -> Result<u32, Refused<T>> {
        let State::Bound(kind) = self.state else {
            return Err(Refused { token, refusal: Refusal::NotBound });
        };
        let session_operation = matches!(command, CommandId::Unbind | CommandId::EnquireLink | CommandId::AlertNotification);
        if session_operation || permission(self.settings.role, command, Some(kind)) != Permission::Allowed {
            return Err(Refused { token, refusal: Refusal::NotAllowed });
        }
        if self.window.free() == 0 {
            return Err(Refused { token, refusal: Refusal::WindowFull });
        }
        let sequence = self.sequence.take();
        encode::request(&mut self.output, command, sequence, body);
        self.window.push(sequence, command, token, now);
        self.watch.active(now);
        Ok(sequence)
    }

    /// Answers a request of the peer without a body: the form of every error.
    pub fn respond(&mut self, now: Instant, request: Ticket, status: CommandStatus) {
        if self.settle(now) {
            encode::response(&mut self.output, request.command, status, request.sequence);
            self.continue_parting(now);
        }
    }

    /// Answers a submission of the peer with the id of the accepted message.
    pub fn respond_id(&mut self, now: Instant, request: Ticket, message_id: &[u8]) {
        if self.settle(now) {
            encode::message_response(&mut self.output, request.command, request.sequence, message_id, &[]);
            self.continue_parting(now);
        }
    }

    /// Answers a request of the peer with a body of the caller's making.
    pub fn respond_with(&mut self, now: Instant, request: Ticket, status: CommandStatus, body: impl FnOnce(&mut BytesMut)) {
        if self.settle(now) {
            encode::pdu(&mut self.output, request.command.matching_response(), status, request.sequence, body);
            self.continue_parting(now);
        }
    }

    /// Takes one request of the peer as answered. False when the session is closed: the answer has nowhere to go.
    fn settle(&mut self, now: Instant) -> bool {
        if self.is_closed() {
            return false;
        }
        self.peer_open = self.peer_open.saturating_sub(1);
        if self.peer_open < self.settings.peer_window && self.paused {
            self.paused = false;
            // Silence while we did not listen was not the peer's.
            self.watch.heard(now);
        }
        self.watch.active(now);
        true
    }

    /// Begins an orderly end: no new requests from either side, `unbind` when everything open is answered or the response
    /// timer has run out. An unbound session just closes.
    pub fn unbind(&mut self, now: Instant) {
        self.begin_unbind(now, CloseReason::Unbound);
    }

    fn begin_unbind(&mut self, now: Instant, reason: CloseReason) {
        match self.state {
            State::Bound(kind) => {
                self.state = State::Unbinding(kind);
                self.parting = Some(Parting::Finishing { since: now, reason });
                self.continue_parting(now);
            }
            State::Open | State::Binding(_) => self.finish(CloseReason::Local),
            State::Unbinding(_) | State::Closed => {}
        }
    }

    /// Ends the session at once.
    pub fn close(&mut self) {
        self.finish(CloseReason::Local);
    }

    // Polls.

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// Moves everything to be sent to the end of `out`; false if there was nothing.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        if self.output.is_empty() {
            return false;
        }
        if out.is_empty() {
            // The two buffers change places, so that their memory is used again and again.
            std::mem::swap(out, &mut self.output);
            self.output.clear();
        } else {
            out.put_slice(&self.output);
            self.output.clear();
        }
        true
    }

    // Internals shared by the parts.

    fn enter_bound(&mut self, now: Instant, kind: BindKind) {
        self.state = State::Bound(kind);
        self.watch.heard(now);
        self.watch.active(now);
    }

    fn continue_parting(&mut self, now: Instant) {
        match self.parting {
            Some(Parting::Finishing { reason, .. }) if self.peer_open == 0 && self.window.open() == 0 => {
                self.send_unbind(now, reason);
            }
            Some(Parting::Answering { sequence, .. }) if self.peer_open == 0 && self.window.open() == 0 => {
                self.answer_unbind(sequence)
            }
            _ => {}
        }
    }

    fn send_unbind(&mut self, now: Instant, reason: CloseReason) {
        let sequence = self.sequence.take();
        encode::request(&mut self.output, CommandId::Unbind, sequence, |_| {});
        self.parting = Some(Parting::Asked { since: now, reason });
    }

    fn answer_unbind(&mut self, sequence: u32) {
        encode::response(&mut self.output, CommandId::Unbind, CommandStatus::EsmeRok, sequence);
        self.finish(CloseReason::PeerUnbound);
    }

    fn fault(&mut self, fault: Fault) {
        self.events.push_back(Event::Fault(fault));
    }

    fn finish(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed;
        self.parting = None;
        self.bind = None;
        self.early.clear();
        self.paused = false;
        self.events.push_back(Event::Closed { reason, unanswered: self.window.drain() });
    }
}
