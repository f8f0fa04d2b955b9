//! From a configuration file to a running gateway, step by step; the first step that fails says why and undoes nothing that lasts.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::listeners::Listeners;
use super::{Daemon, housekeeping};
use crate::config::{Config, Fault};
use crate::control;
use crate::gateway::{Gateway, NodeNames, Outside, Settings};
use crate::journal::{self, Host, Journal};
use crate::ledger::{Ids, KeyMaker, Ledger, Restored};
use crate::mailbox;
use crate::message::{MessageId, Names};
use crate::metrics::{self, InstallError, ProcessMetrics};
use crate::operator::{self, pool::Pool};
use crate::spool::{self, OpenError, RealDisk};

/// By so much the clock may be put back while the gateway is down without anybody being told.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Why the gateway did not start.
#[derive(Debug)]
pub enum StartError {
    Config(Vec<Fault>),
    Spool(OpenError),
    Metrics(InstallError),
    Io { what: String, error: io::Error },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(faults) => {
                for (i, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            StartError::Spool(error) => write!(f, "{error}"),
            StartError::Metrics(error) => write!(f, "{error}"),
            StartError::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The gateway and where it listens.
pub struct Started {
    pub daemon: Daemon,
    /// (listener name, address), with the ports that were really taken.
    pub addresses: Vec<(Arc<str>, std::net::SocketAddr)>,
}

/// Starts the gateway of a checked configuration. To be called within a tokio runtime.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, file: &Path) -> Result<Started, StartError> {
    let (account_names, operator_names) = (Arc::<Names>::default(), Arc::<Names>::default());
    let mut login_key = [0; 32];
    getrandom::fill(&mut login_key).map_err(|error| io_error("random numbers", io::Error::other(error.to_string())))?;
    let settings = Settings::build(config, &account_names, &operator_names, login_key).map_err(StartError::Config)?;
    let config = settings.config.clone();
    let (metrics, exporter) = metrics::install(config.metrics.listen).map_err(StartError::Metrics)?;
    let (ids, keys) = (Ids::starting_at(1), KeyMaker::default());
    let mut ledger = Ledger::new(
        ids.clone(),
        keys.clone(),
        account_names.clone(),
        operator_names.clone(),
        config.limits.hot_messages,
        config.messages.history,
    );
    let spool = open_spool(&config, &mut ledger)?;
    let gateway = Gateway::new(settings, account_names, operator_names, ids, keys, metrics.clone(), Outside::real());
    gateway.set_node_names(node_names(&config, gateway.ids.peek())?);
    let (journal, thread) = start_journal(spool, ledger, &gateway)?;
    gateway.set_journal(journal);
    let mut listeners = Listeners::new(gateway.clone());
    listeners.bind_new(&config).await.map_err(|fault| StartError::Config(vec![fault]))?;
    let addresses = listeners.apply(&config).await;
    let pool = Arc::new(Pool::default());
    pool.apply(&gateway);
    operator::pool::measure(&gateway);
    mailbox::measure(&gateway);
    let mut tasks = vec![tokio::spawn(housekeeping(gateway.clone()))];
    let (actions, inbox) = mpsc::channel(4);
    let control = control::Server::start(gateway.clone(), pool.clone(), actions)
        .await
        .map_err(|error| io_error(&format!("control socket {}", config.control.socket.display()), error))?;
    let process = ProcessMetrics::new(&metrics, env!("CARGO_PKG_VERSION"), gateway.clock.now());
    // Scrapes wait until now: what they show has been measured.
    tasks.push(tokio::spawn(exporter));
    for warning in &config.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let daemon = Daemon {
        gateway,
        pool,
        file: file.to_owned(),
        login_key,
        listeners,
        process,
        actions: inbox,
        journal: tokio::task::spawn_blocking(move || thread.join().is_ok()),
        tasks,
        control: Some(control),
    };
    Ok(Started { daemon, addresses })
}

fn io_error(what: &str, error: io::Error) -> StartError {
    StartError::Io { what: what.to_owned(), error }
}

fn open_spool(config: &Config, ledger: &mut Ledger) -> Result<spool::Spool<RealDisk>, StartError> {
    let directory = config.node.data_dir.join("spool");
    let opening = |error| io_error(&format!("spool directory {}", directory.display()), error);
    std::fs::create_dir_all(&directory).map_err(opening)?;
    let disk = RealDisk::new(&directory).map_err(opening)?;
    let settings = spool::Settings {
        segment_size: config.spool.segment_size,
        max_size: config.spool.max_size,
        disk_reserve: config.spool.disk_reserve,
    };
    let (spool, opened) = journal::open(disk, settings, ledger).map_err(StartError::Spool)?;
    let recovery = opened.recovery;
    tracing::info!(records = recovery.records, segments = recovery.segments, "spool opened");
    if recovery.damaged > 0 || recovery.missing_segments > 0 || opened.unreadable > 0 {
        tracing::error!(
            damaged = recovery.damaged,
            damaged_bytes = recovery.damaged_bytes,
            missing_segments = recovery.missing_segments,
            unreadable = opened.unreadable,
            "parts of the spool are damaged; see its quarantine folder"
        );
    }
    Ok(spool)
}

/// The names that ids begin with, the present one among them. They stand in a file beside the spool, whose owner we are by now.
fn node_names(config: &Config, next: MessageId) -> Result<NodeNames, StartError> {
    let (name, path) = (&config.node.name, config.node.data_dir.join("names"));
    let failed = |error| io_error(&path.display().to_string(), error);
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let Some(text) = known else {
        let names = NodeNames::new(name.clone());
        // A full disk must not keep the gateway from starting: as long as there is one name only, nothing depends on the file.
        if let Err(error) = write_names(&path, &names) {
            tracing::warn!(path = %path.display(), %error, "the node's name cannot be noted; trying again at the next start");
        }
        return Ok(names);
    };
    let mut names =
        NodeNames::parse(&text).ok_or_else(|| failed(io::Error::other("expected a line for each of the node's names")))?;
    if names.rename(name, next) {
        write_names(&path, &names).map_err(failed)?;
    }
    Ok(names)
}

/// Whatever happens, the file is the old one or the new one.
fn write_names(path: &Path, names: &NodeNames) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(names.text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Hands everything that waits to the queues and mailboxes, then lets the journal thread begin.
fn start_journal(
    mut spool: spool::Spool<RealDisk>,
    mut ledger: Ledger,
    gateway: &Arc<Gateway>,
) -> Result<(Journal, std::thread::JoinHandle<()>), StartError> {
    let rules = gateway.settings();
    let deliver = |effects: &mut Vec<_>| gateway.deliver(effects);
    let restored = journal::resume(&mut spool, &mut ledger, &*rules, gateway.clock.now(), deliver);
    let Restored { messages, mailbox_items, parked_receipts, mo_parts } = restored.map_err(|error| io_error("spool", error))?;
    tracing::info!(messages, mailbox_items, parked_receipts, mo_parts, "taken up again");
    let behind = ledger.newest_read_back().since(gateway.clock.now());
    if behind > CLOCK_TOLERANCE {
        tracing::error!(
            ?behind,
            "the clock is, or was, wrong: it is behind what the spool says; scheduled messages may leave late"
        );
    }
    Journal::start(spool, ledger, gateway.clone()).map_err(|error| io_error("journal thread", error))
}
