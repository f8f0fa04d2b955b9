//! The socket itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::protocol::{Answer, MAX_REQUEST, Refusal, Reply, Request};
use super::search::Searches;
use super::{Action, access, gather, quarantine};
use crate::gateway::Gateway;
use crate::link;
use crate::operator::pool::Pool;
use crate::rate::Rate;

/// Connections at once: people and scripts, no crowds.
const CONNECTIONS: usize = 16;

/// Lines that refused requests may write to the log, each second and at once.
const COMPLAINTS: (u32, u32) = (1, 10);

/// How long a peer may take to send a whole request, or to take a reply.
const IDLE: Duration = Duration::from_secs(10);

/// How long open requests are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long whoever may own the socket has to take a connection.
const KNOCK: Duration = Duration::from_secs(1);

/// The running control socket. [`Server::stop`] it in the end, so that its path is free.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Device and inode of our socket: another one at the same path is not ours to remove.
    identity: (u64, u64),
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What every connection shares.
#[derive(Clone)]
struct Context {
    gateway: Arc<Gateway>,
    pool: Arc<Pool>,
    actions: mpsc::Sender<Action>,
    searches: Searches,
}

impl Server {
    /// Listens where the configuration in force says.
    ///
    /// # Errors
    /// When the socket cannot be made, or another process answers on it ([`io::ErrorKind::AddrInUse`]).
    pub async fn start(gateway: Arc<Gateway>, pool: Arc<Pool>, actions: mpsc::Sender<Action>) -> io::Result<Server> {
        let control = gateway.settings().config.control.clone();
        let path = control.socket;
        make_folder(&path)?;
        remove_stale(&path).await?;
        let listener = listen(&path, control.mode)?;
        let metadata = fs::symlink_metadata(&path)?;
        let identity = (metadata.dev(), metadata.ino());
        let (stop, stopped) = watch::channel(false);
        let context = Context { gateway, pool, actions, searches: Searches::default() };
        let task = tokio::spawn(serve(listener, context, stopped));
        Ok(Server { path, identity, stop, task })
    }

    /// Takes no more connections, lets open requests be answered, and removes the socket.
    pub async fn stop(self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "the control socket cannot be removed");
        }
        let _ = self.stop.send(true);
        // A task that panicked has nothing left to answer.
        let _ = self.task.await;
    }
}

/// The process may run under a strict umask; others must still reach the socket through its folder, whose mode decides for them.
fn make_folder(socket: &Path) -> io::Result<()> {
    match socket.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))
        }
        _ => Ok(()),
    }
}

/// Removes what a dead process left; a socket on which somebody answers stays, and so does whatever is no socket.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let in_use = |what: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{}: {what}", path.display()));
    if !found.file_type().is_socket() {
        return Err(in_use("exists and is no socket"));
    }
    match timeout(KNOCK, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Err(in_use("another process answers here")),
    }
}

/// The mode is set between bind and listen: nobody can connect before it is right, whatever the umask.
fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, CONNECTIONS as i32)?;
    UnixListener::from_std(StdListener::from(socket))
}

async fn serve(listener: UnixListener, context: Context, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let complaints = Arc::new(Rate::new(Some(COMPLAINTS.0), COMPLAINTS.1, link::now()));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match places.clone().try_acquire_owned() {
                    Ok(place) => {
                        let connection = Connection::new(stream, context.clone(), stopped.clone(), complaints.clone());
                        connections.spawn(async move {
                            connection.run().await;
                            drop(place);
                        });
                    }
                    Err(_) => refuse(&stream),
                },
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    // Out of descriptors, most likely: trying again at once would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    // Connections that go on longer are cut: the process ends.
    let _ = timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
}

fn refuse(stream: &UnixStream) {
    let refusal = Refusal::new(format!("busy: {CONNECTIONS} connections are open already"));
    // A fresh socket has room for a line; who has gone already need not be told.
    let _ = stream.try_write(&line(&refusal));
}

fn stopping() -> Refusal {
    Refusal::new("the gateway is stopping")
}

fn line(reply: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(reply).expect("strings and numbers always make JSON");
    line.push(b'\n');
    line
}

struct Connection {
    stream: BufReader<UnixStream>,
    context: Context,
    peer: Option<UCred>,
    stopped: watch::Receiver<bool>,
    complaints: Arc<Rate>,
}

/// What came on a connection.
enum Input {
    Line(Vec<u8>),
    TooLong,
    End,
}

impl Connection {
    fn new(stream: UnixStream, context: Context, stopped: watch::Receiver<bool>, complaints: Arc<Rate>) -> Self {
        let peer = stream.peer_cred().ok();
        Connection { stream: BufReader::new(stream), context, peer, stopped, complaints }
    }

    async fn run(mut self) {
        while let Ok(input) = self.read().await {
            let (reply, goes_on) = match input {
                Input::Line(line) => (self.answer(&line).await, true),
                Input::TooLong => {
                    (self::line(&Refusal::new(format!("expected a request of at most {MAX_REQUEST} octets"))), false)
                }
                Input::End => return,
            };
            let written = timeout(IDLE, self.stream.get_mut().write_all(&reply)).await;
            if !matches!(written, Ok(Ok(()))) || !goes_on {
                return;
            }
        }
    }

    /// The next line; it must be complete in time, so that nobody holds a place by sending slowly.
    async fn read(&mut self) -> io::Result<Input> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_REQUEST as u64);
        tokio::select! {
            biased;
            read = timeout(IDLE, limited.read_until(b'\n', &mut line)) => read??,
            // A request that has come whole is read before this is looked at.
            _ = self.stopped.wait_for(|stopped| *stopped) => return Ok(Input::End),
        };
        Ok(match line.last() {
            Some(b'\n') => Input::Line(line),
            None => Input::End,
            Some(_) if line.len() >= MAX_REQUEST => Input::TooLong,
            // The peer has closed its side without a newline: the request is taken to be complete.
            Some(_) => Input::Line(line),
        })
    }

    async fn answer(&self, line: &[u8]) -> Vec<u8> {
        let request = match Request::parse(line) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(peer = ?self.peer, "a control request could not be read, and its peer was told why");
                return self::line(&Refusal::new(error));
            }
        };
        let peer = self.peer.map(|peer| peer.uid());
        if !access::is_allowed(&request, peer, rustix::process::geteuid().as_raw()) {
            if self.complaints.take(link::now()).is_ok() {
                tracing::warn!(command = request.name(), peer = ?self.peer, "control request refused: not root and not our user");
            }
            return self::line(&Refusal::new("only root and the gateway's own user may do this"));
        }
        if request.acts() {
            tracing::info!(?request, peer = ?self.peer, "control request");
        } else {
            tracing::debug!(?request, peer = ?self.peer, "control request");
        }
        let mut stopped = self.stopped.clone();
        let result = tokio::select! {
            // A drain is answered just before everything ends: its answer goes first.
            biased;
            result = self.context.reply(request) => result,
            _ = stopped.wait_for(|stopped| *stopped) => Err(stopping()),
        };
        match result {
            Ok(reply) => self::line(&Answer { now: self.context.gateway.clock.now().0, reply }),
            Err(refusal) => self::line(&refusal),
        }
    }
}

impl Context {
    async fn reply(&self, request: Request) -> Result<Reply, Refusal> {
        let (gateway, pool) = (&*self.gateway, &*self.pool);
        Ok(match request {
            Request::Stats => Reply::Stats(Box::new(gather::stats(gateway, pool))),
            Request::Accounts => Reply::Accounts { accounts: gather::accounts(gateway) },
            Request::Binds => Reply::Binds { binds: gather::binds(gateway, pool) },
            Request::Queues => gather::queues(gateway, pool),
            Request::Operators => Reply::Operators { operators: gather::operators(gateway, pool) },
            Request::Routes => Reply::Routes(gather::routes(gateway)),
            Request::Receipts => gather::receipts(gateway).await?,
            Request::Quarantine { action, id } => Reply::Quarantine(quarantine::act(gateway, action, id.as_deref()).await?),
            Request::Message { id } => Reply::Message(Box::new(gather::message(gateway, &id).await?)),
            Request::Messages { to: Some(number), operator_id: None, operator: None } => {
                Reply::Messages(self.searches.to(gateway, &number.0).await?)
            }
            Request::Messages { to: None, operator_id: Some(id), operator } => {
                Reply::Messages(self.searches.known_as(gateway, &id, operator.as_deref()).await?)
            }
            Request::Messages { .. } => {
                return Err(Refusal::new("messages: expected either to, a number, or operator_id, which may have an operator"));
            }
            Request::Version => Reply::Version(gather::version(gateway)),
            Request::Drain => {
                self.act(Action::Drain).await?;
                Reply::Drain(gather::drained(gateway))
            }
            Request::Reload => {
                let refused =
                    |faults| Refusal { error: "the configuration is refused; the one in force stays".to_owned(), faults };
                Reply::Reload(self.act(Action::Reload).await?.map_err(refused)?)
            }
        })
    }

    /// Has the daemon do something, for as long as it takes: large tables are read, binds are closed.
    async fn act<T>(&self, action: impl FnOnce(oneshot::Sender<T>) -> Action) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.actions.send(action(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}
