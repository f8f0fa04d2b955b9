//! Accepts connections, within limits, and gives each its task.

use std::collections::HashMap;
use std::hash::RandomState;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsStream;

use super::connection::Connection;
use super::login::Peer;
use super::places::{Id, Limits, Places};
use super::slowdown::Slowdown;
use super::source::Source;
use super::verify::Turns;
use crate::gateway::{Gateway, lock};
use crate::link::{self, Stream};
use crate::rate::Rate;

/// How long accepting pauses when the process has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Lines that refused connections and binds may write to the log, each second and at once; metrics count all of them.
const COMPLAINTS: (u32, u32) = (10, 100);

/// What all listeners share.
#[derive(Clone)]
pub struct Shared {
    pub gateway: Arc<Gateway>,
    connections: Arc<Mutex<Connections>>,
    pub(super) turns: Arc<Turns>,
    pub(super) slowdown: Arc<Mutex<Slowdown<RandomState>>>,
    complaints: Arc<Rate>,
}

/// All connections, and how to end one that has to give way.
#[derive(Default)]
struct Connections {
    places: Places,
    tasks: HashMap<Id, AbortHandle>,
}

/// One connection's place; given back when dropped.
pub(super) struct Place {
    id: Id,
    connections: Arc<Mutex<Connections>>,
    gateway: Arc<Gateway>,
}

impl Shared {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Shared {
            gateway,
            connections: Arc::default(),
            turns: Arc::new(Turns::new(cores)),
            slowdown: Arc::new(Mutex::new(Slowdown::new(RandomState::new()))),
            complaints: Arc::new(Rate::new(Some(COMPLAINTS.0), COMPLAINTS.1, link::now())),
        }
    }

    /// May one more refusal be logged now? Whoever can be refused for nothing must not fill the disk.
    pub(super) fn may_complain(&self) -> bool {
        self.complaints.take(link::now()).is_ok()
    }

    /// A place for a connection from there, for which another may have to go.
    fn enter(&self, peer: IpAddr) -> Option<Place> {
        let settings = self.gateway.settings();
        let limits = &settings.config.limits;
        let limits = Limits { total: limits.connections, per_source: limits.connections_per_address };
        let mut connections = lock(&self.connections);
        let (id, gives_way) = connections.places.enter(Source::of(peer), limits)?;
        let task = gives_way.and_then(|id| connections.tasks.remove(&id));
        drop(connections);
        if gives_way.is_some() {
            self.gateway.listener_metrics.refused.increment("displaced", 1);
        }
        if let Some(task) = task {
            task.abort();
        }
        self.gateway.listener_metrics.connections.increment(1.0);
        Some(Place { id, connections: self.connections.clone(), gateway: self.gateway.clone() })
    }

    /// Serves one connection that a simulated network has made, until it ends or the gateway stops.
    pub async fn serve(&self, listener: Arc<str>, address: IpAddr, stream: Stream, stop: watch::Receiver<bool>) {
        let Some(place) = self.enter(address) else { return };
        let peer = Peer { address, certificate: None };
        Connection { shared: self.clone(), place, peer, listener, since: link::now() }.serve(stream, stop).await;
    }

    /// Makes it possible to end the task of a connection. Another one may have taken its place already.
    fn register(&self, id: Id, task: AbortHandle) {
        let mut connections = lock(&self.connections);
        if connections.places.holds(id) {
            connections.tasks.insert(id, task);
        } else {
            task.abort();
        }
    }
}

impl Place {
    /// A bind is being decided on: the last to give way.
    pub(super) fn asking(&self) {
        lock(&self.connections).places.asking(self.id);
    }

    /// A bind was refused: the first to give way.
    pub(super) fn refused(&self) {
        lock(&self.connections).places.refused(self.id);
    }

    /// Bound: it need not give way any more. False when it has had to.
    pub(super) fn bound(&self) -> bool {
        lock(&self.connections).places.bound(self.id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = lock(&self.connections);
        connections.places.leave(self.id);
        connections.tasks.remove(&self.id);
        self.gateway.listener_metrics.connections.decrement(1.0);
    }
}

/// Accepts until told to stop, then waits for the sessions to end. `name` is that of the listener in the configuration, whose TLS
/// settings are looked up anew for each connection: a reload renews certificates.
pub async fn run(shared: Shared, name: Arc<str>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = sessions.join_next() => continue,
        };
        match accepted {
            Ok((socket, peer)) => accept(&shared, &name, socket, peer, &stop, &mut sessions),
            Err(error) => {
                tracing::warn!(listener = %name, %error, "cannot accept");
                if !is_of_one_connection(&error) {
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}

/// Errors of the connection that was to be accepted, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

fn accept(
    shared: &Shared,
    name: &Arc<str>,
    socket: TcpStream,
    peer: SocketAddr,
    stop: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let address = peer.ip().to_canonical();
    let Some(place) = shared.enter(address) else {
        shared.gateway.listener_metrics.refused.increment("limit", 1);
        if shared.may_complain() {
            tracing::warn!(listener = %name, peer = %address, "connection refused: too many are bound");
        }
        return;
    };
    shared.gateway.listener_metrics.accepted.increment(1);
    let (id, since, listener, stop) = (place.id, link::now(), name.clone(), stop.clone());
    let owned = shared.clone();
    let task = sessions.spawn(async move {
        let Some(stream) = secure(&owned, &listener, socket, (address, since)).await else { return };
        let peer = Peer { address, certificate: stream.peer_certificate() };
        Connection { shared: owned, place, peer, listener, since }.serve(stream, stop).await;
    });
    shared.register(id, task);
}

/// The stream as the listener's settings want it; the handshake and the bind together have the time that a bind has.
async fn secure(shared: &Shared, name: &str, socket: TcpStream, (peer, since): (IpAddr, Instant)) -> Option<Stream> {
    let settings = shared.gateway.settings();
    let listener = settings.listeners.iter().find(|listener| &*listener.name == name)?;
    let Some(tls) = listener.tls.clone() else { return Stream::plain(socket).ok() };
    let until = since + settings.config.timers.session_init;
    drop(settings);
    socket.set_nodelay(true).ok()?;
    let error = match tokio::time::timeout_at(until.into(), TlsAcceptor::from(tls).accept(socket)).await {
        Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(TlsStream::Server(stream)))),
        Ok(Err(error)) => error,
        Err(late) => late.into(),
    };
    shared.gateway.listener_metrics.refused.increment("tls", 1);
    if shared.may_complain() {
        tracing::warn!(listener = %name, %peer, %error, "TLS handshake failed");
    }
    None
}
