//! Accepts connections, within limits, and gives each its task.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsStream;

use super::session::Connection;
use crate::gateway::{Gateway, lock};
use crate::link::Stream;

/// How long accepting pauses when the process has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Passwords verified at a time; more bind attempts wait their turn.
const VERIFYING: usize = 2;

/// Counts connections, in total and by address.
#[derive(Debug, Default)]
pub struct Connections {
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; dropped when it ends.
struct Place {
    connections: Arc<Connections>,
    gateway: Arc<Gateway>,
    peer: IpAddr,
}

impl Connections {
    fn enter(self: &Arc<Self>, gateway: &Arc<Gateway>, peer: IpAddr) -> Option<Place> {
        let limits = gateway.settings().config.limits.clone();
        let mut by_address = lock(&self.by_address);
        let total: usize = by_address.values().sum();
        let here = by_address.entry(peer).or_default();
        if total >= limits.connections || *here >= limits.connections_per_address {
            if *here == 0 {
                by_address.remove(&peer);
            }
            return None;
        }
        *here += 1;
        gateway.listener_metrics.connections.increment(1.0);
        Some(Place { connections: self.clone(), gateway: gateway.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = lock(&self.connections.by_address);
        if let Some(count) = by_address.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.peer);
            }
        }
        self.gateway.listener_metrics.connections.decrement(1.0);
    }
}

/// What all listeners share.
#[derive(Clone)]
pub struct Shared {
    pub gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    verifying: Arc<Semaphore>,
}

impl Shared {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Shared { gateway, connections: Arc::default(), verifying: Arc::new(Semaphore::new(VERIFYING)) }
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
    let gateway = shared.gateway.clone();
    let Some(place) = shared.connections.enter(&gateway, peer.ip().to_canonical()) else {
        gateway.listener_metrics.refused.increment("limit", 1);
        tracing::warn!(listener = %name, peer = %peer.ip(), "connection refused: too many");
        return;
    };
    gateway.listener_metrics.accepted.increment(1);
    let connection =
        Connection { gateway, peer: peer.ip().to_canonical(), listener: name.clone(), verifying: shared.verifying.clone() };
    let stop = stop.clone();
    sessions.spawn(async move {
        let _place = place;
        if let Some(stream) = secure(&connection, socket).await {
            connection.serve(stream, stop).await;
        }
    });
}

/// The stream as the listener's settings want it; a handshake has as long as a bind.
async fn secure(connection: &Connection, socket: TcpStream) -> Option<Stream> {
    let settings = connection.gateway.settings();
    let listener = settings.listeners.iter().find(|listener| listener.name == connection.listener)?;
    let limit = settings.config.timers.session_init;
    let Some(tls) = listener.tls.clone() else { return Stream::plain(socket).ok() };
    socket.set_nodelay(true).ok()?;
    match tokio::time::timeout(limit, TlsAcceptor::from(tls).accept(socket)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(TlsStream::Server(stream)))),
        Ok(Err(error)) => {
            connection.gateway.listener_metrics.refused.increment("tls", 1);
            tracing::warn!(listener = %connection.listener, peer = %connection.peer, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            connection.gateway.listener_metrics.refused.increment("tls", 1);
            None
        }
    }
}
