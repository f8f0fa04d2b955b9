//! A network in memory: connections that delay, cut, stall, and hand out what they carry in small pieces.
//!
//! Octets of one direction stay in order, as with TCP; those of different connections overtake each other.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smppgw::link::{Connecting, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::world::{World, lock};

/// A connection at its listening end.
pub type Incoming = Stream;

/// All hosts and connections.
pub struct Net {
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<String, mpsc::Sender<Incoming>>,
    wires: BTreeMap<u64, Arc<Mutex<Wire>>>,
    next: u64,
    /// The weather for connections made from now on.
    weather: Weather,
}

/// What connections are like.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Longest delay of a connection, in milliseconds.
    pub delay: u64,
    /// Of a hundred connections so many hand out one octet, or a few, at a time.
    pub drips: u32,
    /// Octets that may be on their way.
    pub room: usize,
}

impl Default for Weather {
    fn default() -> Self {
        Weather { delay: 5, drips: 0, room: 64 * 1024 }
    }
}

/// A connection; the end that connected is 0, the one that listened 1.
struct Wire {
    /// The host that listened.
    host: String,
    pipes: [Pipe; 2],
    reset: bool,
    delay: Duration,
    /// Octets handed out at a time.
    sip: usize,
    room: usize,
}

/// What end `n` has written and the other has not read.
#[derive(Default)]
struct Pipe {
    chunks: VecDeque<(Instant, VecDeque<u8>)>,
    octets: usize,
    /// The writer has closed.
    finished: bool,
    /// The reader is gone.
    unread: bool,
    /// Nothing comes through until then.
    held: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// What can be done to a connection.
#[derive(Debug, Clone, Copy)]
pub enum Mishap {
    /// Both ends get an error, what is on its way is lost.
    Cut,
    /// One direction, or both, stand still for so long; longer than all timers is a black hole.
    Hold { from_caller: bool, from_listener: bool, time: Duration },
}

impl Net {
    pub fn new(world: Arc<World>) -> Arc<Net> {
        Arc::new(Net { world, state: Mutex::default() })
    }

    /// The host listens until the receiver is dropped.
    pub fn listen(&self, host: &str) -> mpsc::Receiver<Incoming> {
        let (sender, receiver) = mpsc::channel(64);
        lock(&self.state).listeners.insert(host.to_owned(), sender);
        receiver
    }

    pub fn weather(&self, weather: Weather) {
        lock(&self.state).weather = weather;
    }

    /// Connections that are open at both ends, by the host that listened.
    pub fn open(&self, host: Option<&str>) -> Vec<u64> {
        let mut state = lock(&self.state);
        state.wires.retain(|_, wire| {
            let wire = lock(wire);
            !wire.reset && wire.pipes.iter().any(|pipe| !pipe.unread)
        });
        let of_host = |wire: &Mutex<Wire>| host.is_none_or(|host| lock(wire).host == host);
        state.wires.iter().filter(|(_, wire)| of_host(wire)).map(|(number, _)| *number).collect()
    }

    /// Does something to a connection.
    pub fn strike(&self, number: u64, mishap: Mishap) {
        let Some(wire) = lock(&self.state).wires.get(&number).cloned() else { return };
        let mut wire = lock(&wire);
        self.world.event(format_args!("net: {mishap:?} of connection {number} with {}", wire.host));
        match mishap {
            Mishap::Cut => {
                wire.reset = true;
                wire.pipes.iter_mut().for_each(|pipe| pipe.chunks.clear());
            }
            Mishap::Hold { from_caller, from_listener, time } => {
                let until = Instant::now() + time;
                for (pipe, held) in wire.pipes.iter_mut().zip([from_caller, from_listener]) {
                    pipe.held = held.then_some(until);
                }
            }
        }
        wire.pipes.iter_mut().for_each(Pipe::wake);
    }

    /// All connections run again.
    pub fn heal(&self) {
        for wire in lock(&self.state).wires.values() {
            let mut wire = lock(wire);
            for pipe in &mut wire.pipes {
                pipe.held = None;
                pipe.wake();
            }
        }
    }

    fn join(&self, host: &str) -> (Stream, Stream) {
        let mut state = lock(&self.state);
        let (number, weather) = (state.next, state.weather);
        state.next += 1;
        let sip = if self.world.percent(weather.drips) { self.world.number(1, 7) as usize } else { usize::MAX };
        let delay = self.world.millis(0, weather.delay);
        let pipes = [Pipe::default(), Pipe::default()];
        let wire = Wire { host: host.to_owned(), pipes, reset: false, delay, sip, room: weather.room };
        let wire = Arc::new(Mutex::new(wire));
        state.wires.insert(number, wire.clone());
        self.world.event(format_args!("net: connection {number} with {host}, delay {delay:?}, sip {sip}"));
        let end = |side| {
            let alarm = Box::pin(sleep(Duration::ZERO));
            Stream::Memory(Box::new(End { world: self.world.clone(), wire: wire.clone(), side, alarm }))
        };
        (end(0), end(1))
    }

    /// Connects as any host of the network.
    pub async fn reach(self: Arc<Self>, host: String) -> io::Result<Stream> {
        sleep(self.world.millis(0, 20)).await;
        let listener = lock(&self.state).listeners.get(&host).filter(|listener| !listener.is_closed()).cloned();
        let Some(listener) = listener else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let (near, far) = self.join(&host);
        listener.try_send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(near)
    }
}

/// The network as the gateway's connector uses it.
pub struct Reach(pub Arc<Net>);

impl Network for Reach {
    fn connect(&self, host: &str, _port: u16) -> Connecting {
        Box::pin(self.0.clone().reach(host.to_owned()))
    }
}

/// All callers seem to come from here.
pub const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// One end of a connection.
struct End {
    world: Arc<World>,
    wire: Arc<Mutex<Wire>>,
    side: usize,
    alarm: Pin<Box<Sleep>>,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let End { wire, side, alarm, .. } = self.get_mut();
        let mut wire = lock(wire);
        if wire.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let (now, sip) = (Instant::now(), wire.sip);
        let pipe = &mut wire.pipes[1 - *side];
        let due = match pipe.chunks.front() {
            Some((due, _)) => Some((*due).max(pipe.held.unwrap_or(*due))),
            None if pipe.finished => Some(pipe.held.unwrap_or(now)),
            None => None,
        };
        if let Some(due) = due.filter(|due| *due > now) {
            alarm.as_mut().reset(due);
            if alarm.as_mut().poll(cx).is_pending() {
                pipe.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let Some((_, chunk)) = pipe.chunks.front_mut() else {
            if pipe.finished {
                return Poll::Ready(Ok(()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let count = chunk.len().min(buf.remaining()).min(sip);
        for octet in chunk.drain(..count) {
            buf.put_slice(&[octet]);
        }
        if chunk.is_empty() {
            pipe.chunks.pop_front();
        }
        pipe.octets -= count;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.wire);
        let (delay, room) = (wire.delay, wire.room);
        let reset = wire.reset;
        let pipe = &mut wire.pipes[self.side];
        if reset || pipe.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipe.unread {
            return Poll::Ready(Ok(octets.len())); // nobody has told us yet
        }
        if pipe.octets >= room {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = octets.len().min(room - pipe.octets);
        let due = Instant::now() + delay + self.world.millis(0, delay.as_millis() as u64);
        let due = pipe.chunks.back().map_or(due, |(last, _)| due.max(*last));
        pipe.chunks.push_back((due, octets[..count].iter().copied().collect()));
        pipe.octets += count;
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pipe = &mut lock(&self.wire).pipes[self.side];
        pipe.finished = true;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    /// What was written still arrives, also when the process behind this end has crashed.
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        wire.pipes[self.side].finished = true;
        let incoming = &mut wire.pipes[1 - self.side];
        incoming.unread = true;
        incoming.chunks.clear();
        wire.pipes.iter_mut().for_each(Pipe::wake);
    }
}

/// Waits until then, or for ever.
pub async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
