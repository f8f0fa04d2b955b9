//! Any bytes at any time leave a session in order: no panic, bounded windows and memory, every token back once, one end, and the
//! right nack for an impossible length.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use smppgw::smpp::{
    BindKind, BindView, CloseReason, CommandId, CommandStatus, Event, Frame, Role, Session, Settings, Strictness, Ticket,
    Version, frame,
};

const MAX_PDU: usize = 256;
const WINDOW: usize = 4;

/// The first octet is the role and strictness. Then each step: one octet says what happens, the next how much.
pub fn run(data: &[u8]) {
    let Some((&first, mut data)) = data.split_first() else { return };
    let mut user = User::new(first);
    while let [what, much, rest @ ..] = data {
        data = rest;
        match what % 8 {
            0 => user.now += Duration::from_secs(u64::from(*much)),
            1 => user.session.handle_timeout(user.now),
            2 if *much == 0 => user.session.unbind(user.now),
            2 => user.send(),
            3 => user.answer(*much),
            _ => {
                let (piece, rest) = data.split_at(usize::from(*much).min(data.len()));
                data = rest;
                user.read(piece);
            }
        }
        user.look();
    }
    user.end();
}

/// Who drives the session: accepts every bind, answers when told to.
struct User {
    role: Role,
    session: Session<u32>,
    now: Instant,
    buf: BytesMut,
    tickets: VecDeque<Ticket>,
    sent: u32,
    back: Vec<u32>,
    /// The reason, once it has ended.
    ended: Option<CloseReason>,
    /// The last PDU it sent.
    last: Option<Frame>,
}

impl User {
    fn new(first: u8) -> User {
        let role = if first & 1 == 0 { Role::Esme } else { Role::Smsc };
        let strictness = if first & 2 == 0 { Strictness::Lenient } else { Strictness::Strict };
        let settings = Settings { window: WINDOW, peer_window: WINDOW, max_pdu: MAX_PDU, strictness, ..Settings::new(role) };
        let now = Instant::now();
        let mut session = Session::new(settings, now);
        if role == Role::Esme {
            session.bind(now, &bind());
        }
        let (buf, tickets, back) = Default::default();
        User { role, session, now, buf, tickets, sent: 0, back, ended: None, last: None }
    }

    fn send(&mut self) {
        let command = if self.role == Role::Esme { CommandId::SubmitSm } else { CommandId::DeliverSm };
        if self.session.send(self.now, command, self.sent, |_| {}).is_ok() {
            self.sent += 1;
        }
    }

    /// Answers the oldest request.
    fn answer(&mut self, how: u8) {
        let Some(ticket) = self.tickets.pop_front() else { return };
        match how % 3 {
            0 => self.session.respond(self.now, ticket, CommandStatus::EsmeRthrottled),
            1 => self.session.respond_id(self.now, ticket, b"id"),
            _ => self.session.respond_with(self.now, ticket, CommandStatus::EsmeRok, |_| {}),
        }
        self.session.handle_bytes(self.now, &mut self.buf);
    }

    /// A paused session is not read for.
    fn read(&mut self, piece: &[u8]) {
        if self.session.is_paused() {
            return;
        }
        self.buf.extend_from_slice(piece);
        self.session.handle_bytes(self.now, &mut self.buf);
        assert!(self.session.is_paused() || self.buf.len() < MAX_PDU, "only a piece of a PDU is kept");
    }

    fn look(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert_eq!(self.ended, None, "nothing after the end");
            match event {
                // Too late when what came behind the bind has ended the session.
                Event::Bind(_) => assert!(self.session.accept_bind(self.now, b"gw") || self.session.is_closed()),
                Event::Request(frame) => {
                    assert!(frame.bytes().len() <= MAX_PDU);
                    if frame.command_id() != CommandId::AlertNotification {
                        self.tickets.push_back(frame.ticket());
                    }
                }
                Event::Response { token, .. } | Event::NoResponse { token, .. } => self.back.push(token),
                Event::Closed { unanswered, reason } => {
                    self.back.extend(unanswered);
                    self.ended = Some(reason);
                }
                _ => {}
            }
        }
        assert!(self.session.unanswered() <= WINDOW && self.session.peer_unanswered() <= WINDOW);
        assert!(self.tickets.len() <= WINDOW || self.session.is_closed());
        self.written();
    }

    /// What it sends is PDUs; the last of them says what was wrong with the stream, if anything was.
    fn written(&mut self) {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(&mut out) {}
        while let Some(frame) = frame::cut(&mut out, usize::MAX).expect("sound lengths") {
            self.last = Some(frame);
        }
        assert!(out.is_empty(), "whole PDUs");
        if let Some(CloseReason::Framing(fault)) = self.ended {
            let nack = self.last.as_ref().expect("an answer");
            let expected = (CommandId::GenericNack, CommandStatus::EsmeRinvcmdlen, fault.sequence());
            assert_eq!((nack.command_id(), nack.status(), nack.sequence()), expected);
        }
    }

    fn end(&mut self) {
        self.session.handle_eof();
        self.look();
        self.back.sort_unstable();
        assert_eq!(self.back, (0..self.sent).collect::<Vec<_>>(), "every token comes back once");
        assert!(self.ended.is_some() && self.session.is_closed() && self.session.poll_timeout().is_none());
    }
}

fn bind() -> BindView<'static> {
    BindView {
        kind: BindKind::Transceiver,
        system_id: b"fuzz",
        password: b"",
        system_type: b"",
        version: Version::V3_4,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    }
}
