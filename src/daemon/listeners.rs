//! The listening sockets: those systemd handed over, the others opened by us; started and stopped as the configuration says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use listenfd::ListenFd;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, Fault, Listener};
use crate::gateway::Gateway;
use crate::upstream::listener::{Shared, run};

/// A listener's place: its name and address.
type Place = (Arc<str>, SocketAddr);

/// All listeners.
pub(super) struct Listeners {
    shared: Shared,
    running: HashMap<Place, Running>,
    /// Tasks that a reload told to stop and whose sessions may still be unbinding.
    retired: Vec<JoinHandle<()>>,
    /// Bound and not yet started.
    bound: HashMap<Place, TcpListener>,
    /// From systemd, by FileDescriptorName.
    handed_over: HashMap<String, std::net::TcpListener>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl Listeners {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let (running, bound) = (HashMap::new(), HashMap::new());
        Listeners { shared: Shared::new(gateway), running, retired: Vec::new(), bound, handed_over: handed_over() }
    }

    /// Opens the sockets the configuration adds, so that a reload that cannot have them is refused whole.
    pub async fn bind_new(&mut self, config: &Config) -> Result<(), Fault> {
        for listener in &config.listeners {
            let place = (listener.name.clone(), listener.address);
            if self.running.contains_key(&place) {
                continue;
            }
            match self.open(listener).await {
                Ok(socket) => self.bound.insert(place, socket),
                Err(error) => {
                    self.bound.clear();
                    let message = format!("{} cannot be listened on: {error}", listener.address);
                    return Err(Fault::error(&config.file, listener.line.0, "listener.address", message));
                }
            };
        }
        Ok(())
    }

    async fn open(&mut self, listener: &Listener) -> std::io::Result<TcpListener> {
        match self.handed_over.remove(&*listener.name) {
            Some(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket)
            }
            None => TcpListener::bind(listener.address).await,
        }
    }

    /// Starts the new listeners and stops those that are gone; returns where all of them listen.
    pub async fn apply(&mut self, config: &Config) -> Vec<Place> {
        let wanted: Vec<Place> = config.listeners.iter().map(|l| (l.name.clone(), l.address)).collect();
        self.retired.retain(|task| !task.is_finished());
        for (_, gone) in self.running.extract_if(|place, _| !wanted.contains(place)) {
            // Its sessions are unbound in order and its task ends by itself; a stop of the gateway waits for it.
            let _ = gone.stop.send(true);
            self.retired.push(gone.task);
        }
        for (place, socket) in self.bound.drain() {
            let address = socket.local_addr().unwrap_or(place.1);
            tracing::info!(listener = %place.0, %address, "listening");
            let (stop, stopped) = watch::channel(false);
            let task = tokio::spawn(run(self.shared.clone(), place.0.clone(), socket, stopped));
            self.running.insert(place, Running { stop, task, address });
        }
        self.running.iter().map(|((name, _), running)| (name.clone(), running.address)).collect()
    }

    /// Stops accepting and unbinds every session; resolves when all are closed.
    pub async fn stop(self) {
        for running in self.running.values() {
            let _ = running.stop.send(true);
        }
        for task in self.running.into_values().map(|running| running.task).chain(self.retired) {
            // A listener that panicked has nothing left to close.
            let _ = task.await;
        }
    }
}

/// The sockets systemd gave us, by name (LISTEN_FDNAMES).
fn handed_over() -> HashMap<String, std::net::TcpListener> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut named = HashMap::new();
    for (at, name) in names.split(':').enumerate().take(sockets.len()) {
        match sockets.take_tcp_listener(at) {
            Ok(Some(socket)) => {
                named.insert(name.to_owned(), socket);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(name, %error, "a socket from the service manager cannot be used"),
        }
    }
    named
}
