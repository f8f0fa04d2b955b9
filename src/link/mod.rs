//! A socket (TCP or TLS) and the small driver that moves bytes between it and a [`Session`].
//!
//! One task owns each connection: it reads all there is, handles all complete PDUs, and writes once.

mod stream;
pub mod tls;

use std::io;
use std::pin::Pin;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Sleep, sleep_until};

use crate::smpp::Session;
pub use stream::{Stream, connect};

/// Octets asked of the socket at a time: some hundred PDUs.
const READ_SIZE: usize = 64 * 1024;

/// Octets of output that may wait for the socket before reading stops: a peer that does not read its answers gets no more.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// A session and its connection.
pub struct Link<T> {
    /// The protocol state; the owner calls its commands and polls its events, then [`Link::progress`].
    pub session: Session<T>,
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    input: BytesMut,
    output: BytesMut,
    /// The session paused with whole PDUs left in `input`.
    held_back: bool,
    /// TLS may hold back what was written until it is flushed; plain sockets hold back nothing.
    is_tls: bool,
    unflushed: bool,
    timer: Pin<Box<Sleep>>,
    timer_at: Instant,
}

impl<T> Link<T> {
    pub fn new(stream: Stream, session: Session<T>) -> Self {
        let now = tokio::time::Instant::now();
        let is_tls = stream.is_tls();
        let (reader, writer) = tokio::io::split(stream);
        Link {
            session,
            reader,
            writer,
            input: BytesMut::with_capacity(READ_SIZE),
            output: BytesMut::new(),
            held_back: false,
            is_tls,
            unflushed: false,
            timer: Box::pin(sleep_until(now)),
            timer_at: now.into_std(),
        }
    }

    /// Moves bytes until the session may have events: one read, one write, or one timer. Cancel safe. Afterwards the owner polls
    /// the session's events. A broken connection shows as the session's `Closed` event.
    pub async fn progress(&mut self) {
        self.session.poll_transmit(&mut self.output);
        let timeout = self.session.poll_timeout();
        if let Some(at) = timeout
            && at != self.timer_at
        {
            self.timer_at = at;
            self.timer.as_mut().reset(at.into());
        }
        if self.held_back && !self.session.is_paused() {
            // Answers have made room for what the buffer still holds; the peer may have nothing more to send.
            self.handle_input();
            return;
        }
        let may_read = !self.session.is_paused() && self.output.len() < OUTPUT_LIMIT;
        if self.input.capacity() - self.input.len() < READ_SIZE / 4 {
            self.input.reserve(READ_SIZE);
        }
        let flushing = self.output.is_empty();
        let moved = tokio::select! {
            biased;
            written = write(&mut self.writer, &mut self.output), if !flushing || self.unflushed => Moved::Out(written),
            read = self.reader.read_buf(&mut self.input), if may_read => Moved::In(read),
            () = self.timer.as_mut(), if timeout.is_some() => Moved::Time,
            // A paused session without a timer and with nothing to write has only its owner's answers to wait for.
            never = std::future::pending() => never,
        };
        let now = now();
        match moved {
            Moved::In(Ok(0)) => self.session.handle_eof(now),
            Moved::In(Ok(_)) => self.handle_input(),
            Moved::Out(Ok(())) => self.unflushed = self.is_tls && !flushing,
            Moved::In(Err(_)) | Moved::Out(Err(_)) => {
                self.output.clear();
                self.session.handle_eof(now);
            }
            Moved::Time => self.session.handle_timeout(now),
        }
    }

    /// Handles whole PDUs that wait in the buffer while the session was paused.
    pub fn handle_input(&mut self) {
        if !self.input.is_empty() {
            self.session.handle_bytes(now(), &mut self.input);
        }
        self.held_back = self.session.is_paused();
    }

    /// Writes everything the session still has to say, then ends the connection. A peer that does not take it is given up.
    pub async fn finish(mut self) {
        self.session.poll_transmit(&mut self.output);
        let write = async {
            self.writer.write_all(&self.output).await?;
            self.writer.shutdown().await
        };
        // A peer that never reads must not hold the task.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), write).await;
    }
}

enum Moved {
    In(io::Result<usize>),
    Out(io::Result<()>),
    Time,
}

/// Writes some of the output; when there is none, flushes what was written before. Cancel safe.
async fn write(writer: &mut WriteHalf<Stream>, output: &mut BytesMut) -> io::Result<()> {
    if output.is_empty() {
        return writer.flush().await;
    }
    writer.write_buf(output).await.map(|_| ())
}

/// The monotonic time sessions are driven with; tests pause it.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
