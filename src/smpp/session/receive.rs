//! What the peer's PDUs do to a session.

use std::time::Instant;

use bytes::BytesMut;

use super::{CloseReason, Event, Fault, Parting, PendingBind, Session};
use crate::smpp::frame::{self, Frame};
use crate::smpp::state::{Permission, has_response, permission};
use crate::smpp::view::{BindResponseView, BindView};
use crate::smpp::window::Match;
use crate::smpp::{BindKind, CommandId, CommandStatus, Role, State, Strictness, Version, encode};

impl<T> Session<T> {
    /// Handles every whole PDU in `buf` and leaves the rest in it. Stops before a request for which the peer has no window
    /// left: see [`Session::is_paused`]. A closed session discards everything.
    pub fn handle_bytes(&mut self, now: Instant, buf: &mut BytesMut) {
        while !self.is_closed() {
            if self.peer_open >= self.settings.peer_window && self.lacks_room_for_next(buf) {
                self.paused = true;
                return;
            }
            match frame::cut(buf, self.settings.max_pdu) {
                Ok(Some(frame)) => self.handle_frame(now, frame),
                Ok(None) => return,
                Err(fault) => {
                    encode::generic_nack(&mut self.output, CommandStatus::EsmeRinvcmdlen, fault.sequence());
                    self.fault(Fault::Framing);
                    self.finish(CloseReason::Framing(fault));
                }
            }
        }
        buf.clear();
    }

    /// Handles the responses in `buf`, of a peer that will not hear anything any more, and passes over its requests.
    pub fn handle_answers(&mut self, now: Instant, buf: &mut BytesMut) {
        let mut answers = BytesMut::new();
        loop {
            match frame::cut(buf, self.settings.max_pdu) {
                Ok(Some(frame)) if frame.command_id().is_response() => answers.extend_from_slice(frame.bytes()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // What follows cannot be read either.
                Err(_) => {
                    buf.clear();
                    break;
                }
            }
        }
        self.handle_bytes(now, &mut answers);
    }

    /// The connection has ended.
    pub fn handle_eof(&mut self) {
        // A peer that answered our unbind by closing the connection did what was asked.
        let reason = match self.parting {
            Some(Parting::Asked { reason, .. }) => reason,
            Some(Parting::Answering { .. }) => CloseReason::PeerUnbound,
            Some(Parting::Finishing { .. }) | None => CloseReason::PeerClosed,
        };
        self.finish(reason);
    }

    /// With no place left in the peer's window: does the next PDU need one? One of impossible length does not, or it would pause
    /// the session for ever.
    fn lacks_room_for_next(&self, buf: &BytesMut) -> bool {
        frame::peek(buf).is_some_and(|header| self.becomes_event(header.command_id))
            && frame::is_sound(buf, self.settings.max_pdu)
    }

    fn becomes_event(&self, command: CommandId) -> bool {
        let session_operation = matches!(command, CommandId::EnquireLink | CommandId::Unbind | CommandId::AlertNotification);
        let State::Bound(kind) = self.state else { return false };
        !session_operation
            && command.is_operation()
            && permission(self.settings.role.peer(), command, Some(kind)) == Permission::Allowed
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) {
        self.watch.heard(now);
        let command = frame.command_id();
        match command {
            CommandId::EnquireLink => {
                encode::response(&mut self.output, command, CommandStatus::EsmeRok, frame.sequence());
            }
            CommandId::EnquireLinkResp => {}
            _ if command.is_response() => self.handle_response(now, frame),
            _ => self.handle_request(now, frame),
        }
    }

    fn handle_request(&mut self, now: Instant, frame: Frame) {
        let command = frame.command_id();
        let bound = match (self.state, self.settings.role) {
            // What overtakes the bind response was sent by a centre to which the session is bound already.
            (State::Binding(kind), Role::Esme) if command != CommandId::Unbind => Some(kind),
            _ => self.state.bound_as(),
        };
        if self.settings.role == Role::Smsc && BindKind::of(command).is_some() {
            return self.handle_bind(now, frame);
        }
        match permission(self.settings.role.peer(), command, bound) {
            Permission::Unknown => {
                encode::generic_nack(&mut self.output, CommandStatus::EsmeRinvcmdid, frame.sequence());
                self.fault(Fault::UnknownCommand);
            }
            Permission::WrongRole => self.refuse(&frame, CommandStatus::EsmeRinvcmdid, Fault::WrongRole),
            Permission::WrongState => self.refuse(&frame, CommandStatus::EsmeRinvbndsts, Fault::WrongState),
            // Outbind asks for a bind, and this client has its own reasons to bind.
            Permission::Allowed if command == CommandId::Outbind => self.fault(Fault::WrongState),
            Permission::Allowed if command == CommandId::Unbind => self.handle_unbind(now, &frame),
            Permission::Allowed => self.give_out(now, frame),
        }
    }

    /// A request for the user of the session.
    fn give_out(&mut self, now: Instant, frame: Frame) {
        let command = frame.command_id();
        if self.speaks_v3_3() && command == CommandId::DataSm {
            return self.refuse(&frame, CommandStatus::EsmeRinvcmdid, Fault::WrongState);
        }
        if let State::Unbinding(_) = self.state {
            // Taking new work would put off the end without end.
            let status = match command {
                CommandId::DeliverSm => CommandStatus::EsmeRxTAppn,
                _ => CommandStatus::EsmeRsyserr,
            };
            if has_response(command) {
                encode::response(&mut self.output, command, status, frame.sequence());
            }
            return;
        }
        if let State::Binding(_) = self.state {
            return self.give_out_later(frame);
        }
        self.watch.active(now);
        self.peer_open += usize::from(has_response(command));
        self.events.push_back(Event::Request(frame));
    }

    /// What has overtaken the bind response waits for it, as far as the peer's window goes. Stopping to read would leave that response
    /// unread.
    fn give_out_later(&mut self, frame: Frame) {
        if !has_response(frame.command_id()) {
            return;
        }
        if self.peer_open >= self.settings.peer_window {
            return encode::response(&mut self.output, frame.command_id(), CommandStatus::EsmeRxTAppn, frame.sequence());
        }
        self.peer_open += 1;
        self.early.push_back(frame);
    }

    /// By the letter a 3.3 session has no data_sm and no transceiver; lenient sessions do not mind, since many clients that
    /// know both call themselves 3.3 or nothing.
    fn speaks_v3_3(&self) -> bool {
        self.settings.strictness == Strictness::Strict && self.peer_version.is_some_and(|version| !version.allows_tlvs())
    }

    fn refuse(&mut self, frame: &Frame, status: CommandStatus, fault: Fault) {
        if has_response(frame.command_id()) {
            encode::response(&mut self.output, frame.command_id(), status, frame.sequence());
        }
        self.fault(fault);
    }

    /// Server: a bind request.
    fn handle_bind(&mut self, now: Instant, frame: Frame) {
        if self.state != State::Open {
            return self.refuse(&frame, CommandStatus::EsmeRalybnd, Fault::AlreadyBound);
        }
        let (kind, version) = match BindView::parse(&frame, self.settings.strictness) {
            Ok(bind) => (bind.kind, bind.version),
            Err(error) => return self.refuse(&frame, error.status(), Fault::BadBind),
        };
        let strict = self.settings.strictness == Strictness::Strict;
        if strict && kind == BindKind::Transceiver && !version.allows_tlvs() {
            return self.refuse(&frame, CommandStatus::EsmeRinvcmdid, Fault::BadBind);
        }
        self.bind = Some(PendingBind { sequence: frame.sequence(), since: now, version });
        self.state = State::Binding(kind);
        self.events.push_back(Event::Bind(frame));
    }

    fn handle_unbind(&mut self, now: Instant, frame: &Frame) {
        if let Some(kind) = self.state.bound_as() {
            self.state = State::Unbinding(kind);
            self.parting = Some(Parting::Answering { since: now, sequence: frame.sequence() });
            self.events.push_back(Event::Unbinding);
            self.continue_parting(now);
        }
    }

    fn handle_response(&mut self, now: Instant, frame: Frame) {
        let command = frame.command_id();
        if let (CommandId::UnbindResp, Some(Parting::Asked { reason, .. })) = (command, self.parting) {
            return self.finish(reason);
        }
        if self.answers_our_bind(&frame) {
            return self.handle_bind_response(now, &frame);
        }
        let request = (command != CommandId::GenericNack).then(|| command.matching_request());
        match self.window.answer(frame.sequence(), request) {
            Match::Request(token) => {
                self.watch.active(now);
                self.events.push_back(Event::Response { token, status: outcome(&frame), frame });
                self.continue_parting(now);
            }
            // Whatever it says, it is no success, and that is all that is asked of late ones.
            Match::Late if command == CommandId::GenericNack => self.fault(Fault::UnknownResponse),
            Match::Late => self.events.push_back(Event::LateResponse(frame)),
            Match::Unknown => self.fault(Fault::UnknownResponse),
        }
    }

    fn answers_our_bind(&self, frame: &Frame) -> bool {
        let (State::Binding(kind), Role::Esme, Some(bind)) = (self.state, self.settings.role, &self.bind) else {
            return false;
        };
        let command = frame.command_id();
        frame.sequence() == bind.sequence && (command == CommandId::GenericNack || command == kind.command().matching_response())
    }

    /// Client: the answer to our bind.
    fn handle_bind_response(&mut self, now: Instant, frame: &Frame) {
        let (State::Binding(kind), Some(bind)) = (self.state, self.bind.take()) else { return };
        let refused = frame.status() != CommandStatus::EsmeRok || frame.command_id() == CommandId::GenericNack;
        if refused {
            self.state = State::Open;
            self.events.push_back(Event::BindRefused(frame.status()));
            for early in std::mem::take(&mut self.early) {
                self.peer_open = self.peer_open.saturating_sub(1);
                self.refuse(&early, CommandStatus::EsmeRinvbndsts, Fault::WrongState);
            }
            return;
        }
        let version: Option<Version> = BindResponseView::parse(frame).version;
        // What we bound as is what the peer may hold us to, when it does not say more.
        self.peer_version = version.or((!bind.version.allows_tlvs()).then_some(bind.version));
        self.enter_bound(now, kind);
        self.events.push_back(Event::Bound { kind, version });
        self.events.extend(std::mem::take(&mut self.early).into_iter().map(Event::Request));
    }
}

/// The status of a response. Whatever a generic_nack says, it is no success.
fn outcome(frame: &Frame) -> CommandStatus {
    match frame.status() {
        CommandStatus::EsmeRok if frame.command_id() == CommandId::GenericNack => CommandStatus::EsmeRunknownerr,
        status => status,
    }
}
