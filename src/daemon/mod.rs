//! The running gateway: start, reload, drain. Spawns the tasks and joins them.

mod listeners;
mod start;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::{self, Fault};
use crate::control::{Action, ReloadReport};
use crate::gateway::{Gateway, Settings};
use crate::journal::Journal;
use crate::metrics::ProcessMetrics;
use crate::operator::pool::{Housekeeping, Pool};
use listeners::Listeners;
pub use start::{StartError, Started, start};

/// How often queues and mailboxes are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A gateway that has started.
pub struct Daemon {
    pub gateway: Arc<Gateway>,
    pub pool: Arc<Pool>,
    file: PathBuf,
    login_key: [u8; 32],
    listeners: Listeners,
    process: ProcessMetrics,
    actions: mpsc::Receiver<Action>,
    /// Ends with the journal thread; false when that has panicked.
    journal: JoinHandle<bool>,
    tasks: Vec<JoinHandle<()>>,
    control: Option<crate::control::Server>,
}

impl Daemon {
    /// Serves until SIGTERM, SIGINT or a drain request, reloading on SIGHUP. Returns when everything is closed and on disk.
    ///
    /// # Errors
    /// When signals cannot be caught, or when the journal thread ends before it was told to: then nothing can be made durable any more,
    /// and a new start is the way on.
    pub async fn run(mut self) -> io::Result<()> {
        let mut hangup = caught(SignalKind::hangup())?;
        let mut terminate = caught(SignalKind::terminate())?;
        let mut interrupt = caught(SignalKind::interrupt())?;
        let watchdog = tokio::spawn(watchdog());
        notify(&[sd_notify::NotifyState::Ready]);
        let drained = loop {
            tokio::select! {
                _ = hangup.recv() => drop(self.reload().await),
                _ = terminate.recv() => break None,
                _ = interrupt.recv() => break None,
                _ = &mut self.journal => return Err(io::Error::other("the journal thread has ended by itself")),
                Some(action) = self.actions.recv() => match action {
                    Action::Reload(reply) => {
                        let report = self.reload().await;
                        // Whoever asked may have gone.
                        let _ = reply.send(report);
                    }
                    Action::Drain(reply) => break Some(reply),
                },
            }
        };
        notify(&[sd_notify::NotifyState::Stopping]);
        self.stop(drained).await;
        watchdog.abort();
        Ok(())
    }

    /// Reads the configuration file again and takes it into force whole, or refuses it whole.
    async fn reload(&mut self) -> Result<ReloadReport, Vec<Fault>> {
        notify(&[sd_notify::NotifyState::Reloading]);
        let result = self.try_reload().await;
        match &result {
            Ok(report) => tracing::info!(needs_restart = ?report.needs_restart, "configuration reloaded"),
            Err(faults) => {
                self.process.reload_refused();
                for fault in faults {
                    tracing::error!(%fault, "configuration refused; the old one stays in force");
                }
            }
        }
        notify(&[sd_notify::NotifyState::Ready]);
        result
    }

    async fn try_reload(&mut self) -> Result<ReloadReport, Vec<Fault>> {
        let settings = read_settings(&self.file, &self.gateway, self.login_key).await?;
        let old = self.gateway.settings();
        let report = ReloadReport::between(&old.config, &settings);
        self.listeners.bind_new(&settings.config).await.map_err(|fault| vec![fault])?;
        settings.directory.remember(&old.directory);
        self.gateway.swap_settings(settings);
        self.gateway.route_stranded();
        let settings = self.gateway.settings();
        for account in self.gateway.accounts() {
            account.reconfigure(&settings);
        }
        self.pool.apply(&self.gateway);
        self.listeners.apply(&settings.config).await;
        self.gateway.announce_reload();
        self.process.reloaded(self.gateway.clock.now());
        Ok(report)
    }

    /// Stops in the order of the journey, so that what was begun can end: applications first, then operators, then the spool. What does
    /// not end within the configured limit is on disk and goes on after the next start.
    async fn stop(self, drained: Option<oneshot::Sender<()>>) {
        let limit = self.gateway.settings().config.daemon.drain;
        tracing::info!(?limit, "stopping");
        // An application that does not answer our unbind must not cost the operators their orderly end.
        let (began, half) = (Instant::now(), limit / 2);
        if tokio::time::timeout(half, self.listeners.stop()).await.is_err() {
            tracing::warn!(waited = ?half, "some applications have not answered our unbind: their connections are closed");
        }
        if tokio::time::timeout(limit.saturating_sub(began.elapsed()), self.pool.stop()).await.is_err() {
            tracing::warn!("the limit for an orderly stop has passed; what is open goes on after the next start");
        }
        for task in &self.tasks {
            task.abort();
        }
        if let Some(reply) = drained {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
        if let Some(control) = self.control {
            control.stop().await;
        }
        let journal = self.gateway.journal().cloned();
        let told = tokio::task::spawn_blocking(move || journal.iter().for_each(Journal::stop));
        if told.await.is_err() || !matches!(self.journal.await, Ok(true)) {
            tracing::error!("the journal thread ended badly");
        }
        tracing::info!("stopped");
    }
}

fn caught(kind: SignalKind) -> io::Result<Signal> {
    signal(kind).map_err(|error| io::Error::new(error.kind(), format!("signals cannot be caught: {error}")))
}

/// Loads and resolves the configuration file.
async fn read_settings(file: &Path, gateway: &Gateway, login_key: [u8; 32]) -> Result<Settings, Vec<Fault>> {
    let (file, accounts, operators) = (file.to_owned(), gateway.account_names.clone(), gateway.operator_names.clone());
    let build = move || Settings::build(config::load(&file)?, &accounts, &operators, login_key);
    // Tables of millions of numbers take a while to read.
    tokio::task::spawn_blocking(build).await.unwrap_or_else(|error| Err(vec![Fault::error("", 0, "", error.to_string())]))
}

/// Tells systemd, when there is one that wants to know.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    let mut all = state.to_vec();
    if matches!(state, [sd_notify::NotifyState::Reloading])
        && let Ok(now) = sd_notify::NotifyState::monotonic_usec_now()
    {
        all.push(now);
    }
    if let Err(error) = sd_notify::notify(&all) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Tells systemd that the runtime is alive, twice per watchdog interval.
async fn watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// Looks after queues and mailboxes for ever.
async fn housekeeping(gateway: Arc<Gateway>) {
    let mut operators = Housekeeping::new(gateway.clone());
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        operators.look(HOUSEKEEPING).await;
        crate::mailbox::look(&gateway).await;
    }
}
