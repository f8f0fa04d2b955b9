//! Two sessions, whatever each does and wherever the bytes between them are cut: neither finds fault with the other, requests
//! arrive once and in order, every answer finds its request, and an unbind ends both.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use smppgw::smpp::{BindKind, BindView, CommandId, CommandStatus, Event, Frame, Role, Session, Settings, Timers, Version};

/// Each step: one octet says what happens, the next how much.
pub fn run(data: &[u8]) {
    let now = Instant::now();
    let (mut client, mut server) = (End::new(Role::Esme, now), End::new(Role::Smsc, now));
    client.session.bind(now, &bind());
    for [what, much] in data.as_chunks().0 {
        match what % 8 {
            0 => client.send(now),
            1 => server.send(now),
            2 => drop(client.carry(&mut server, now, (*much).into())),
            3 => drop(server.carry(&mut client, now, (*much).into())),
            4 => drop(client.answer(now, *much)),
            5 => drop(server.answer(now, *much)),
            6 if *much == 0 => client.session.unbind(now),
            6 if *much == 1 => server.session.unbind(now),
            _ => drop(exchange(&mut client, &mut server, now)),
        }
        client.look(now);
        server.look(now);
    }
    while exchange(&mut client, &mut server, now) | client.answer(now, 0) | server.answer(now, 0) {}
    client.hang_up(&mut server, now);
    server.hang_up(&mut client, now);
    let ends = [client.session.is_closed(), server.session.is_closed()];
    assert_eq!(ends[0], ends[1], "an end is the end of both");
    for end in [client, server] {
        let mut back = end.back;
        back.sort_unstable();
        assert_eq!(back, (0..end.sent).collect::<Vec<_>>(), "every request is answered or given back");
    }
}

/// Carries everything there is; false when there was nothing.
fn exchange(client: &mut End, server: &mut End, now: Instant) -> bool {
    let to_server = client.carry(server, now, usize::MAX);
    let to_client = server.carry(client, now, usize::MAX);
    to_server || to_client
}

/// One of the two, and what it has said that has not arrived.
struct End {
    session: Session<u32>,
    command: CommandId,
    leaving: BytesMut,
    arrived: BytesMut,
    requests: VecDeque<Frame>,
    /// How many requests it has sent and received.
    sent: u32,
    received: u32,
    back: Vec<u32>,
}

impl End {
    fn new(role: Role, now: Instant) -> End {
        let off = Duration::ZERO;
        let timers = Timers { session_init: off, enquire_link: off, inactivity: off, response: off };
        let settings = Settings { window: 4, peer_window: 3, max_pdu: 100, timers, ..Settings::new(role) };
        let command = if role == Role::Esme { CommandId::SubmitSm } else { CommandId::DeliverSm };
        let (leaving, arrived, requests, back) = Default::default();
        End { session: Session::new(settings, now), command, leaving, arrived, requests, sent: 0, received: 0, back }
    }

    /// A request whose body is its number.
    fn send(&mut self, now: Instant) {
        let number = self.sent;
        let sent = self.session.send(now, self.command, number, |out| out.extend_from_slice(&number.to_be_bytes()));
        self.sent += u32::from(sent.is_ok());
    }

    /// Answers with the body of the request; not always the oldest one.
    fn answer(&mut self, now: Instant, which: u8) -> bool {
        let at = usize::from(which).checked_rem(self.requests.len()).unwrap_or(0);
        let Some(request) = self.requests.remove(at) else { return false };
        self.session.respond_with(now, request.ticket(), CommandStatus::EsmeRok, |out| out.extend_from_slice(request.body()));
        self.read(now);
        true
    }

    /// Brings so many octets to the other; false when there were none, or it does not read.
    fn carry(&mut self, to: &mut End, now: Instant, most: usize) -> bool {
        while self.session.poll_transmit(&mut self.leaving) {}
        if to.session.is_paused() {
            return false;
        }
        let count = most.min(self.leaving.len());
        to.arrived.extend_from_slice(&self.leaving[..count]);
        self.leaving.advance(count);
        to.read(now);
        count > 0
    }

    /// A session that has ended takes the connection along.
    fn hang_up(&self, other: &mut End, now: Instant) {
        if self.session.is_closed() {
            other.session.handle_eof();
            other.look(now);
        }
    }

    fn read(&mut self, now: Instant) {
        self.session.handle_bytes(now, &mut self.arrived);
        self.look(now);
    }

    fn look(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Bind(_) => assert!(self.session.accept_bind(now, b"gw")),
                Event::Request(frame) => {
                    assert_eq!(frame.body(), self.received.to_be_bytes(), "once and in order");
                    self.received += 1;
                    self.requests.push_back(frame);
                }
                Event::Response { token, frame, status, .. } => {
                    if status == CommandStatus::EsmeRok {
                        assert_eq!(frame.body(), token.to_be_bytes(), "the answer to another request");
                    }
                    self.back.push(token);
                }
                Event::Closed { unanswered, .. } => self.back.extend(unanswered),
                Event::Fault(fault) => panic!("two of a kind find fault: {fault:?}"),
                Event::NoResponse { .. } | Event::LateResponse(_) | Event::BindRefused(_) => panic!("not in this story"),
                Event::Bound { .. } | Event::Unbinding => {}
            }
        }
    }
}

fn bind() -> BindView<'static> {
    BindView {
        kind: BindKind::Transceiver,
        system_id: b"fuzz",
        password: b"secret",
        system_type: b"",
        version: Version::V5_0,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    }
}
