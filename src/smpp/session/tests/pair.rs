//! A client and a server connected in memory under a virtual clock.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::smpp::view::{BindView, MessageView};
use crate::smpp::{
    BindKind, CommandId, CommandStatus, Event, Frame, Role, Session, Settings, Strictness, Timers, Version, encode,
};

pub const SECOND: Duration = Duration::from_secs(1);

/// No timers and small windows: tests turn on what they are about.
pub fn settings(role: Role) -> Settings {
    let off = Duration::ZERO;
    Settings {
        max_pdu: 1000,
        window: 4,
        peer_window: 3,
        timers: Timers { session_init: off, enquire_link: off, inactivity: off, response: off },
        ..Settings::new(role)
    }
}

/// One end with its incoming bytes and the events not looked at yet.
pub struct End {
    pub session: Session<u32>,
    pub incoming: BytesMut,
}

impl End {
    pub fn new(settings: Settings, now: Instant) -> End {
        End { session: Session::new(settings, now), incoming: BytesMut::new() }
    }

    /// Feeds bytes as if they had been read.
    pub fn feed(&mut self, now: Instant, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
        self.session.handle_bytes(now, &mut self.incoming);
    }

    pub fn feed_pdu(&mut self, now: Instant, command: CommandId, sequence: u32, body: &[u8]) {
        self.feed(now, &pdu(command, sequence, body));
    }

    pub fn events(&mut self) -> Vec<Event<u32>> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The only event there is.
    pub fn event(&mut self) -> Event<u32> {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// The request that is the only event there is.
    pub fn request(&mut self) -> Frame {
        match self.event() {
            Event::Request(frame) => frame,
            other => panic!("a request, not {other:?}"),
        }
    }

    /// Everything the session wants to send.
    pub fn sent(&mut self) -> Vec<Frame> {
        let mut out = BytesMut::new();
        self.session.poll_transmit(&mut out);
        std::iter::from_fn(|| crate::smpp::frame::cut(&mut out, usize::MAX).expect("well-formed output")).collect()
    }

    /// The same as command, status, sequence number.
    pub fn answers(&mut self) -> Vec<(CommandId, CommandStatus, u32)> {
        self.sent().iter().map(|frame| (frame.command_id(), frame.status(), frame.sequence())).collect()
    }
}

/// A PDU with status 0.
pub fn pdu(command: CommandId, sequence: u32, body: &[u8]) -> Bytes {
    pdu_with(command, CommandStatus::EsmeRok, sequence, body)
}

pub fn pdu_with(command: CommandId, status: CommandStatus, sequence: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    encode::pdu(&mut out, command, status, sequence, |out| out.extend_from_slice(body));
    out.freeze()
}

pub fn bind_view(kind: BindKind, version: Version) -> BindView<'static> {
    BindView {
        kind,
        system_id: b"shop",
        password: b"a long secret",
        system_type: b"",
        version,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    }
}

pub fn bind_pdu(kind: BindKind, version: Version, sequence: u32) -> Bytes {
    let mut out = BytesMut::new();
    encode::bind(&mut out, sequence, &bind_view(kind, version));
    out.freeze()
}

/// A server bound as `kind` by a client of which there are only bytes; the bind had sequence number 1.
pub fn bound_server(kind: BindKind, settings: Settings, now: Instant) -> End {
    let mut server = End::new(settings, now);
    server.feed(now, &bind_pdu(kind, Version::V3_4, 1));
    assert!(matches!(server.event(), Event::Bind(_)));
    assert!(server.session.accept_bind(now, b"gw"));
    assert_eq!(server.answers().len(), 1);
    server
}

/// A client bound as `kind` to a server of which there are only bytes; the bind had sequence number 1.
pub fn bound_client(kind: BindKind, settings: Settings, now: Instant) -> End {
    let mut client = End::new(settings, now);
    assert!(client.session.bind(now, &bind_view(kind, Version::V3_4)));
    assert_eq!(client.answers(), [(kind.command(), CommandStatus::EsmeRok, 1)]);
    client.feed_pdu(now, kind.command().matching_response(), 1, b"smsc\0\x02\x10\x00\x01\x34");
    assert_eq!(client.event(), Event::Bound { kind, version: Some(Version::V3_4) });
    client
}

pub fn send(end: &mut End, now: Instant, command: CommandId, token: u32) -> u32 {
    let message = MessageView { short_message: b"hello", ..MessageView::default() };
    end.session.send(now, command, token, |out| encode::message_body(out, command, &message)).expect("allowed")
}

/// A client and a server, and the time.
pub struct Pair {
    pub now: Instant,
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn new(client: Settings, server: Settings) -> Pair {
        let now = Instant::now();
        Pair { now, client: End::new(client, now), server: End::new(server, now) }
    }

    /// Two sessions bound as a transceiver.
    pub fn bound(client: Settings, server: Settings) -> Pair {
        let mut pair = Pair::new(client, server);
        pair.client.session.bind(pair.now, &bind_view(BindKind::Transceiver, Version::V3_4));
        pair.exchange();
        let Event::Bind(frame) = pair.server.event() else { panic!("a bind") };
        assert_eq!(BindView::parse(&frame, Strictness::Lenient).expect("readable").password, b"a long secret");
        pair.server.session.accept_bind(pair.now, b"gw");
        pair.exchange();
        assert!(matches!(pair.client.event(), Event::Bound { .. }));
        pair
    }

    /// Carries bytes both ways until neither has any more to say.
    pub fn exchange(&mut self) {
        loop {
            let to_server = self.client.session.poll_transmit(&mut self.server.incoming);
            self.server.session.handle_bytes(self.now, &mut self.server.incoming);
            let to_client = self.server.session.poll_transmit(&mut self.client.incoming);
            self.client.session.handle_bytes(self.now, &mut self.client.incoming);
            if !to_server && !to_client {
                return;
            }
        }
    }

    /// Lets time pass, timer by timer, with everything said in between carried over.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.next_timeout().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.client.session.handle_timeout(self.now);
            self.server.session.handle_timeout(self.now);
            self.exchange();
        }
        self.now = end;
    }

    fn next_timeout(&self) -> Option<Instant> {
        [self.client.session.poll_timeout(), self.server.session.poll_timeout()].into_iter().flatten().min()
    }
}
