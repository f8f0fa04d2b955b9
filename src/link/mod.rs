//! A socket (TCP or TLS) and the small driver that moves bytes between it and a [`Session`].
//!
//! One task owns each connection: it reads all there is, handles all complete PDUs, and writes once.

mod alarm;
mod stream;
pub mod tls;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::smpp::{Session, State};
pub use alarm::Alarm;
pub use stream::{Connecting, Connector, Memory, Network, Stream, connect};

/// Octets asked of the socket at a time: some hundred PDUs.
const READ_SIZE: usize = 64 * 1024;

/// Reads after a time limit is over before it counts although there is more to be read: an answer that came in time may be among what the
/// kernel holds, some megabytes, of a connection that nobody read for a while. As many are read of one that cannot be written to any more.
const READS_OVERDUE: usize = 128;

/// Octets of output that may wait for the socket before reading stops: a peer that does not read its answers gets no more.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// The same two before a bind, when the peer may be anybody: room for the few PDUs that can come and be answered.
const UNBOUND_READ_SIZE: usize = 2 * 1024;
const UNBOUND_OUTPUT_LIMIT: usize = 4 * 1024;

/// A session and its connection.
pub struct Link<T> {
    /// The protocol state; the owner calls its commands and polls its events, then [`Link::progress`].
    pub session: Session<T>,
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// The session paused with whole PDUs left in `input`.
    held_back: bool,
    /// TLS may hold back what was written until it is flushed; plain sockets hold back nothing.
    unflushed: bool,
    /// Nothing can be written any more; what the peer has said before may still be read.
    broken: bool,
    alarm: Alarm,
    /// Reads in a row after a time limit of the session was over.
    reads_overdue: usize,
}

impl<T> Link<T> {
    pub fn new(stream: Stream, session: Session<T>) -> Self {
        Link {
            session,
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            held_back: false,
            unflushed: false,
            broken: false,
            alarm: Alarm::new(now()),
            reads_overdue: 0,
        }
    }

    /// Moves bytes until the session may have events: writes what there is, then waits for one read or one timer. Cancel safe.
    /// Afterwards the owner polls the session's events. A broken connection shows as the session's `Closed` event.
    pub async fn progress(&mut self) {
        self.session.poll_transmit(&mut self.output);
        if self.held_back && !self.session.is_paused() {
            // Answers have made room for what the buffer still holds; the peer may have nothing more to send.
            self.handle_input();
            return;
        }
        let (read_size, _) = self.allowance();
        // What a paused session has left in the buffer is not copied about: nothing will be read.
        if !self.session.is_paused() && self.input.capacity() - self.input.len() < read_size / 4 {
            self.input.reserve(read_size);
        }
        let due = self.session.poll_timeout();
        self.alarm.set(due);
        let moved = poll_fn(|context| self.poll(context)).await;
        let now = now();
        match moved {
            Moved::In(0) => self.session.handle_eof(),
            // Who cannot be answered will ask again.
            Moved::In(_) if self.broken => {
                self.reads_overdue += 1;
                self.session.handle_answers(now, &mut self.input);
            }
            Moved::In(_) => {
                self.handle_input();
                self.reads_overdue = if due.is_some_and(|due| due <= now) { self.reads_overdue + 1 } else { 0 };
                // A peer that never stops sending must not put off the end, nor any other time limit.
                if self.reads_overdue > READS_OVERDUE || !matches!(self.session.state(), State::Bound(_)) {
                    self.session.handle_timeout(now);
                }
            }
            Moved::Time => self.session.handle_timeout(now),
            Moved::Broken => {
                self.output.clear();
                // A paused session has left in the buffer what came before.
                self.session.handle_answers(now, &mut self.input);
                self.session.handle_eof();
            }
        }
    }

    /// Octets to read at a time, and of output that may wait.
    fn allowance(&self) -> (usize, usize) {
        match self.session.state() {
            State::Open | State::Binding(_) => (UNBOUND_READ_SIZE, UNBOUND_OUTPUT_LIMIT),
            _ => (READ_SIZE, OUTPUT_LIMIT),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Moved> {
        if self.broken || self.poll_write(context).is_err() {
            self.broken = true;
            return Poll::Ready(self.poll_rest(context));
        }
        if !self.session.is_paused() && self.output.len() < self.allowance().1 {
            let read = pin!(self.stream.read_buf(&mut self.input));
            if let Poll::Ready(read) = read.poll(context) {
                return Poll::Ready(read.map_or(Moved::Broken, Moved::In));
            }
        }
        // Too early it rings at most once: then nothing is due, and it is set anew.
        pin!(self.alarm.rung()).poll(context).map(|()| Moved::Time)
    }

    /// What a peer that has gone said before: its answers may be among it, and what it has taken must not be sent twice.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Moved {
        self.output.clear();
        if self.reads_overdue > READS_OVERDUE {
            return Moved::Broken;
        }
        // Nothing to read means nothing more will come, so it must not mean that this task has had its turn.
        let read = tokio::task::coop::unconstrained(self.stream.read_buf(&mut self.input));
        match pin!(read).poll(context) {
            Poll::Ready(Ok(count)) => Moved::In(count),
            Poll::Ready(Err(_)) | Poll::Pending => Moved::Broken,
        }
    }

    /// Writes as much of the output as the socket takes; when there is none left, flushes.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.output.is_empty() {
            let write = pin!(self.stream.write_buf(&mut self.output));
            match write.poll(context) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(_)) => self.unflushed = self.stream.is_tls(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = pin!(self.stream.flush()).poll(context)
        {
            self.unflushed = false;
            return flushed;
        }
        Ok(())
    }

    /// Handles whole PDUs that wait in the buffer while the session was paused.
    pub fn handle_input(&mut self) {
        if !self.input.is_empty() {
            self.session.handle_bytes(now(), &mut self.input);
        }
        self.held_back = self.session.is_paused();
    }

    /// Nothing is heard of the peer any more. What has been written for it and may still wait in the kernel must not arrive when the
    /// network is well again: nobody would hear the answers, and it will have been sent in another way.
    pub fn give_up(&mut self) {
        self.output.clear();
        self.stream.discard_unsent();
    }

    /// Writes everything the session still has to say, then ends the connection. A peer that does not take it is given up.
    pub async fn finish(mut self) {
        self.session.poll_transmit(&mut self.output);
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.shutdown().await
        };
        // A peer that never reads must not hold the task.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), write).await;
    }
}

enum Moved {
    In(usize),
    Time,
    /// The connection cannot be read from or written to any more.
    Broken,
}

/// The monotonic time sessions are driven with; tests pause it.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;
    use crate::smpp::{BindKind, BindView, CommandId, Event, Role, Settings, Timers, Version};

    /// A peer that always has something to say: first the bind's response, then responses to nothing.
    struct Flood {
        said: Bytes,
    }

    const HEADER: usize = 16;

    fn header(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
        let length = (HEADER + body.len()) as u32;
        [length, command, 0, sequence].iter().flat_map(|field| field.to_be_bytes()).chain(body.iter().copied()).collect()
    }

    impl AsyncRead for Flood {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let said = std::mem::replace(&mut self.said, header(0x8000_0015, 9, b"").into());
            buf.put_slice(&said);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A client whose bind is out.
    fn binding<T>(settings: Settings) -> Session<T> {
        let mut session = Session::new(settings, now());
        let bind = BindView {
            kind: BindKind::Transceiver,
            system_id: b"gw",
            password: b"secret",
            system_type: b"",
            version: Version::V3_4,
            addr_ton: 0,
            addr_npi: 0,
            address_range: b"",
        };
        assert!(session.bind(now(), &bind));
        session
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_stops_sending_puts_off_no_time_limit() {
        let timers = Timers { response: Duration::from_secs(3), ..Timers::default() };
        let session = binding(Settings { timers, ..Settings::new(Role::Esme) });
        let flood = Flood { said: header(0x8000_0009, 1, b"\0").into() };
        let mut link = Link::new(Stream::Memory(Box::new(flood)), session);
        link.progress().await;
        assert!(matches!(link.session.poll_event(), Some(Event::Bound { .. })));
        link.session.send(now(), CommandId::SubmitSm, 7, |_| ()).expect("room");
        tokio::time::advance(Duration::from_secs(4)).await;
        let mut reads = 0;
        while link.session.poll_event().is_none() {
            link.progress().await;
            reads += 1;
        }
        assert!(reads > READS_OVERDUE && reads < READS_OVERDUE + 3, "{reads}: what the kernel holds may still be the answer");
    }

    /// It answers what it has taken and goes, without having read the rest: the kernel then refuses whatever we write, but still has the
    /// answer.
    #[tokio::test]
    async fn what_a_peer_said_before_it_went_is_heard_although_nothing_can_be_written_any_more() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (gone, has_gone) = tokio::sync::oneshot::channel();
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let read = |socket: &mut std::net::TcpStream| {
                let mut length = [0; 4];
                socket.read_exact(&mut length).expect("a PDU");
                socket.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4]).expect("a PDU");
            };
            read(&mut socket);
            socket.write_all(&header(0x8000_0009, 1, b"\0")).expect("a reader");
            read(&mut socket);
            // The second one stays unread.
            socket.peek(&mut [0]).expect("a PDU");
            let deliver = header(0x0000_0005, 1, &[0; 17]);
            socket.write_all(&[deliver, header(0x8000_0004, 2, b"id\0")].concat()).expect("a reader");
            drop(socket);
            let _ = gone.send(());
        });
        let session = binding(Settings::new(Role::Esme));
        let socket = tokio::net::TcpStream::connect(address).await.expect("a listener");
        let mut link = Link::new(Stream::plain(socket).expect("a socket"), session);
        link.progress().await;
        assert!(matches!(link.session.poll_event(), Some(Event::Bound { .. })));
        for token in [7, 8] {
            link.session.send(now(), CommandId::SubmitSm, token, |_| ()).expect("room");
        }
        link.session.poll_transmit(&mut link.output);
        link.stream.write_all(&link.output.split()).await.expect("a reader");
        has_gone.await.expect("it goes");
        peer.join().expect("it has gone");
        let Stream::Plain(socket) = &link.stream else { panic!("a plain socket") };
        while !socket.ready(tokio::io::Interest::WRITABLE).await.expect("a socket").is_write_closed() {
            tokio::task::yield_now().await;
        }
        link.session.send(now(), CommandId::SubmitSm, 9, |_| ()).expect("room");
        let mut events = Vec::new();
        while !link.session.is_closed() {
            link.progress().await;
            events.extend(std::iter::from_fn(|| link.session.poll_event()));
        }
        assert!(matches!(events[0], Event::Response { token: 7, .. }), "{events:?}");
        let Event::Closed { unanswered, .. } = &events[1] else { panic!("{events:?}") };
        assert_eq!(unanswered, &[8, 9]);
    }

    /// Says these things one after the other and has gone then; takes nothing any more after the last but one.
    struct Dying {
        said: std::collections::VecDeque<Vec<u8>>,
    }

    impl AsyncRead for Dying {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let Some(said) = self.said.pop_front() else { return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) };
            buf.put_slice(&said);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Dying {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(if self.said.len() < 2 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(buf.len()) })
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Its requests, which have no place any more, stand before its answers: one in our buffer, the other in the kernel.
    #[tokio::test(start_paused = true)]
    async fn what_a_peer_said_before_it_went_is_heard_although_the_session_was_paused() {
        let session = binding(Settings { peer_window: 1, ..Settings::new(Role::Esme) });
        let deliver = |sequence| header(0x0000_0005, sequence, &[0; 17]);
        let answer = |sequence| header(0x8000_0004, sequence, b"id\0");
        let buffered = [deliver(1), deliver(2), answer(2)].concat();
        let said = [header(0x8000_0009, 1, b"\0"), buffered, [deliver(3), answer(3)].concat()].into();
        let mut link = Link::new(Stream::Memory(Box::new(Dying { said })), session);
        link.progress().await;
        assert!(matches!(link.session.poll_event(), Some(Event::Bound { .. })));
        for token in [7, 8, 9] {
            link.session.send(now(), CommandId::SubmitSm, token, |_| ()).expect("room");
        }
        link.progress().await;
        assert!(link.session.is_paused());
        link.session.send(now(), CommandId::SubmitSm, 10, |_| ()).expect("room");
        let mut events: Vec<_> = std::iter::from_fn(|| link.session.poll_event()).collect();
        for _ in 0..5 {
            link.progress().await;
            events.extend(std::iter::from_fn(|| link.session.poll_event()));
        }
        let answered = events.iter().filter_map(|event| match event {
            Event::Response { token, .. } => Some(*token),
            _ => None,
        });
        assert_eq!(answered.collect::<Vec<_>>(), [7, 8], "{events:?}");
        assert!(matches!(events.last(), Some(Event::Closed { unanswered, .. }) if unanswered == &[9, 10]), "{events:?}");
    }
}
