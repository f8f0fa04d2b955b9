//! An application, or the far end of any SMPP connection, octet by octet: it can say what no library would.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use smppgw::smpp::{AddressView, BindKind, BindView, CommandId, Frame, MessageView, Tlvs, Version, encode, frame};

use super::PATIENCE;

/// ESME_RTHROTTLED; answered a tenth of a second late, so that nobody has to wait before submitting again.
pub const THROTTLED: u32 = 0x58;

/// What a connection is made of: TCP, or TLS over it.
pub trait Socket: Read + Write + Send {}
impl<T: Read + Write + Send> Socket for T {}

/// One end of a connection.
pub struct Client {
    socket: Box<dyn Socket>,
    input: BytesMut,
    sequence: u32,
    /// What came before the answer to a request and was acknowledged.
    delivered: VecDeque<Frame>,
}

/// Octets as an answer of fixed length: command id, status, sequence number.
pub type Header = (CommandId, u32, u32);

pub fn header(frame: &Frame) -> Header {
    (frame.command_id(), frame.status().into(), frame.sequence())
}

impl Client {
    /// Connects and says nothing yet.
    pub fn connect(port: u16) -> Client {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
        Client::of(socket)
    }

    pub fn of(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Client::over(Box::new(socket))
    }

    pub fn over(socket: Box<dyn Socket>) -> Client {
        Client { socket, input: BytesMut::new(), sequence: 0, delivered: VecDeque::new() }
    }

    /// A transceiver of the account `app`.
    pub fn bound(port: u16) -> Client {
        Client::bound_as(port, BindKind::Transceiver, "app", "secret")
    }

    pub fn bound_as(port: u16, kind: BindKind, system_id: &str, password: &str) -> Client {
        let mut client = Client::connect(port);
        assert_eq!(client.bind(kind, system_id, password, Version::V3_4), 0, "{system_id} binds");
        client
    }

    /// Asks for a bind; returns the status.
    pub fn bind(&mut self, kind: BindKind, system_id: &str, password: &str, version: Version) -> u32 {
        let request = self.next_sequence();
        let mut out = BytesMut::new();
        encode::bind(&mut out, request, &bind_view(kind, system_id, password, version));
        self.write(&out);
        let answer = self.answer_to(request);
        assert_eq!(answer.command_id(), kind.command().matching_response());
        answer.status().into()
    }

    pub fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    pub fn write(&mut self, octets: &[u8]) {
        self.socket.write_all(octets).expect("the peer reads");
        self.socket.flush().expect("the peer reads");
    }

    /// Sends a request with any body; returns its sequence number.
    pub fn send(&mut self, command: CommandId, body: &[u8]) -> u32 {
        let sequence = self.next_sequence();
        self.write(&pdu(command, 0, sequence, body));
        sequence
    }

    /// Sends a request and returns its answer.
    pub fn ask(&mut self, command: CommandId, body: &[u8]) -> Frame {
        let sequence = self.send(command, body);
        self.answer_to(sequence)
    }

    /// Answers a request of the peer.
    pub fn answer(&mut self, request: &Frame, status: u32, body: &[u8]) {
        self.write(&pdu(request.command_id().matching_response(), status, request.sequence(), body));
    }

    /// Sends a submit_sm; returns its sequence number.
    pub fn send_submit(&mut self, message: &MessageView<'_>) -> u32 {
        self.send(CommandId::SubmitSm, &message_body(message))
    }

    /// Submits a message and returns its id, or the status it was refused with. As long as it is throttled it is submitted again: that
    /// a commit takes half a second may happen to any story on a busy machine.
    pub fn submit(&mut self, message: &MessageView<'_>) -> Result<String, u32> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.submit_once(message) {
                Err(THROTTLED) if Instant::now() < until => {}
                answered => return answered,
            }
        }
    }

    /// As [`Client::submit`], whatever the answer is.
    pub fn submit_once(&mut self, message: &MessageView<'_>) -> Result<String, u32> {
        let answer = self.ask(CommandId::SubmitSm, &message_body(message));
        match answer.status().into() {
            0 => Ok(string(answer.body())),
            status => Err(status),
        }
    }

    /// The next PDU; `None` when the peer has closed the connection.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = frame::cut(&mut self.input, 1 << 20).expect("a sound PDU") {
                return Some(frame);
            }
            let mut octets = [0; 16 * 1024];
            match self.socket.read(&mut octets) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&octets[..count]),
                // A process that was stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => return None,
                Err(error) => panic!("nothing more comes: {error}"),
            }
        }
    }

    pub fn receive(&mut self) -> Frame {
        self.next().expect("the connection is open")
    }

    /// The next PDU, which must be this request.
    pub fn expect(&mut self, command: CommandId) -> Frame {
        let frame = self.receive();
        assert_eq!(frame.command_id(), command, "{frame:?}");
        frame
    }

    /// The answer to a request of ours; deliveries before it are acknowledged and kept for [`Client::delivery`].
    pub fn answer_to(&mut self, sequence: u32) -> Frame {
        loop {
            let frame = self.receive_talking();
            if frame.command_id() == CommandId::DeliverSm {
                self.answer(&frame, 0, &[0]);
                self.delivered.push_back(frame);
                continue;
            }
            assert_eq!(frame.sequence(), sequence, "the answer to {sequence}: {frame:?}");
            return frame;
        }
    }

    /// The next deliver_sm, acknowledged.
    pub fn delivery(&mut self) -> Frame {
        if let Some(frame) = self.delivered.pop_front() {
            return frame;
        }
        let frame = self.receive_talking();
        assert_eq!(frame.command_id(), CommandId::DeliverSm, "{frame:?}");
        self.answer(&frame, 0, &[0]);
        frame
    }

    /// The next PDU that does not only ask whether we live; in time, however often it is asked.
    fn receive_talking(&mut self) -> Frame {
        let until = Instant::now() + PATIENCE;
        loop {
            let frame = self.receive();
            if frame.command_id() != CommandId::EnquireLink {
                return frame;
            }
            assert!(Instant::now() < until, "nothing comes but enquire_link");
            self.answer(&frame, 0, &[]);
        }
    }

    /// The session lives: an enquire_link is answered.
    pub fn is_alive(&mut self) {
        let sequence = self.send(CommandId::EnquireLink, &[]);
        let answer = self.answer_to(sequence);
        assert_eq!(answer.command_id(), CommandId::EnquireLinkResp);
    }

    /// The peer closes the connection without another word.
    pub fn is_closed(&mut self) {
        if let Some(frame) = self.next() {
            panic!("expected the end, got {frame:?}");
        }
    }

    /// The connection ends, in whatever way, before an octet came.
    pub fn hears_nothing(&mut self) -> bool {
        !matches!(self.socket.read(&mut [0; 1]), Ok(1))
    }

    /// The peer unbinds; agrees and waits for the end.
    pub fn is_unbound(&mut self) {
        let unbind = self.expect(CommandId::Unbind);
        self.answer(&unbind, 0, &[]);
        self.is_closed();
    }
}

/// A PDU of any content.
pub fn pdu(command: CommandId, status: u32, sequence: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    encode::pdu(&mut out, command, status.into(), sequence, |out| out.extend_from_slice(body));
    out.freeze()
}

pub fn bind_view<'a>(kind: BindKind, system_id: &'a str, password: &'a str, version: Version) -> BindView<'a> {
    BindView {
        kind,
        system_id: system_id.as_bytes(),
        password: password.as_bytes(),
        system_type: b"",
        version,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    }
}

pub fn message_body(message: &MessageView<'_>) -> Bytes {
    let mut out = BytesMut::new();
    encode::message_body(&mut out, CommandId::SubmitSm, message);
    out.freeze()
}

/// A plain message that wants its receipt.
pub fn message<'a>(destination: &'a str, text: &'a [u8]) -> MessageView<'a> {
    MessageView {
        source: AddressView { ton: 5, npi: 0, digits: b"SHOP" },
        destination: AddressView { ton: 1, npi: 1, digits: destination.as_bytes() },
        registered_delivery: 1,
        short_message: text,
        tlvs: Tlvs::default(),
        ..MessageView::default()
    }
}

/// A C-octet string at the beginning of a body.
pub fn string(body: &[u8]) -> String {
    let text = body.split(|octet| *octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Fields of a delivery.
pub fn view(frame: &Frame) -> MessageView<'_> {
    MessageView::parse(frame, smppgw::smpp::Strictness::Strict).expect("a well-formed delivery")
}

/// The id and `stat` of a receipt.
pub fn receipt(frame: &Frame) -> (String, String) {
    let view = view(frame);
    let text = String::from_utf8_lossy(view.short_message).into_owned();
    let field = |name: &str| text.split_once(name).map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned());
    let (id, state) = field("id:").zip(field("stat:")).unwrap_or_else(|| panic!("no receipt: {text:?}"));
    (id, state)
}
