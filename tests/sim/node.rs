//! One life of a gateway: started on what the disk holds, and ended in order or by a crash.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use smppgw::chance::Chance;
use smppgw::clock::Clock;
use smppgw::config::{self, Config, Disk as Folder};
use smppgw::gateway::{Gateway, Outside, Settings};
use smppgw::journal::{self, Batch, Host, Journal, Steps};
use smppgw::ledger::{Event, Ids, KeyMaker, Ledger, Release, Restored};
use smppgw::link::Connector;
use smppgw::message::{Names, Timestamp};
use smppgw::operator::pool::{Housekeeping, Pool};
use smppgw::upstream::listener::Shared;
use smppgw::{metrics, spool};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::disk::{Drive, WeatheredDisk};
use crate::network::{CALLER, Net, Reach};
use crate::world::{World, lock};

/// The host applications connect to.
pub const HOST: &str = "gateway";

/// The wall time at which every run begins: 2026-01-01 00:00 UTC.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// How often the journal looks up when nothing comes.
const IDLE: Duration = Duration::from_millis(200);

/// Small enough that a run fills several.
const SPOOL: spool::Settings = spool::Settings { segment_size: 64 * 1024, max_size: 64 * 64 * 1024, disk_reserve: 128 * 1024 };

/// Where in the journal's work a crash is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// While a group is being written.
    InTurn,
    /// When a group is durable, and nobody has been answered.
    AfterTurn,
}

/// The running gateway.
pub struct Node {
    pub gateway: Arc<Gateway>,
    pub restored: Restored,
    /// Damaged ranges that the start found.
    pub damaged: u64,
    life: Arc<Life>,
    journal: JoinHandle<()>,
    listener: JoinHandle<()>,
    stop: watch::Sender<bool>,
    names: (Arc<Names>, Arc<Names>),
}

/// What a crash ends.
struct Life {
    world: Arc<World>,
    drive: Arc<Drive>,
    pool: Pool,
    tasks: Mutex<Vec<AbortHandle>>,
    crash_at: Mutex<Option<CrashPoint>>,
    crashed: Notify,
}

impl Life {
    fn end(&self) {
        self.pool.abort();
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }
}

/// Reads a configuration given as text.
pub fn configure(text: &str) -> Config {
    let mut config = match config::parse(text, "sim.toml", &Folder::default()) {
        Ok(config) => config,
        Err(faults) => panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    // Fewer than the configuration allows: payloads are to be read back from the spool in every run.
    config.limits.hot_messages = 40;
    config
}

fn settings(config: Config, names: &(Arc<Names>, Arc<Names>)) -> Settings {
    match Settings::build(config, &names.0, &names.1, [7; 32]) {
        Ok(settings) => settings,
        Err(faults) => panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

impl Node {
    /// Starts a gateway on what the disk holds.
    ///
    /// # Errors
    /// When the spool cannot be opened, which the weather may be the reason of.
    pub fn start(world: &Arc<World>, net: &Arc<Net>, drive: &Arc<Drive>, config: Config) -> Result<Node, String> {
        let names = (Arc::<Names>::default(), Arc::<Names>::default());
        let settings = settings(config, &names);
        let (metrics, _exporter) = metrics::install(None).map_err(|error| error.to_string())?;
        let (ids, keys) = (Ids::starting_at(1), KeyMaker::default());
        let limits = &settings.config.limits;
        let (accounts, operators, history) = (names.0.clone(), names.1.clone(), settings.config.messages.history);
        let mut ledger = Ledger::new(ids.clone(), keys.clone(), accounts, operators, limits.hot_messages, history);
        let (mut spool, opened) = journal::open(drive.disk(), SPOOL, &mut ledger).map_err(|error| error.to_string())?;
        let outside = Outside {
            clock: Clock::showing(BEGINNING.plus(world.elapsed())),
            chance: Chance::seeded(world.number(0, u64::MAX - 1)),
            connector: Connector::Simulated(Arc::new(Reach(net.clone()))),
        };
        let gateway = Gateway::new(settings, names.0.clone(), names.1.clone(), ids, keys, metrics, outside);
        let rules = gateway.settings();
        let now = gateway.clock.now();
        let restored = journal::resume(&mut spool, &mut ledger, &*rules, now, |effects| gateway.deliver(effects))
            .map_err(|error| error.to_string())?;
        world.event(format_args!("gateway: started, {:?}, {restored:?}", opened.recovery));
        let (journal, steps) = Journal::in_steps(spool, ledger, gateway.clone());
        gateway.set_journal(journal);
        let life = Arc::new(Life {
            world: world.clone(),
            drive: drive.clone(),
            pool: Pool::default(),
            tasks: Mutex::default(),
            crash_at: Mutex::default(),
            crashed: Notify::new(),
        });
        let (stop, stopped) = watch::channel(false);
        life.pool.apply(&gateway);
        let journal = tokio::spawn(keep_journal(life.clone(), steps));
        let listener = tokio::spawn(accept(life.clone(), net.clone(), gateway.clone(), stopped));
        let housekeeping = tokio::spawn(keep_house(gateway.clone()));
        let tasks = [journal.abort_handle(), listener.abort_handle(), housekeeping.abort_handle()];
        lock(&life.tasks).extend(tasks);
        Ok(Node { gateway, restored, damaged: opened.recovery.damaged, life, journal, listener, stop, names })
    }

    /// Has it crashed by itself, at the point asked for?
    pub async fn crashed(&self) {
        self.life.crashed.notified().await;
    }

    /// Lets it crash at that point of the journal's next piece of work.
    pub fn crash_at(&self, point: CrashPoint) {
        *lock(&self.life.crash_at) = Some(point);
    }

    /// Ends everything at once.
    pub fn crash(&self) {
        self.life.end();
    }

    /// Stops in the order of the daemon. False when it did not end in its time.
    pub async fn stop(&mut self, limit: Duration) -> bool {
        // Nobody is left to send; the gateway must be gone when the next one opens the disk.
        let _ = self.stop.send(true);
        let applications = tokio::time::timeout(limit, &mut self.listener).await.is_ok();
        let operators = tokio::time::timeout(limit, self.life.pool.stop()).await.is_ok();
        if let Some(journal) = self.gateway.journal() {
            journal.stop();
        }
        let journal = tokio::time::timeout(limit, &mut self.journal).await.is_ok();
        self.life.end();
        self.life.world.event(format_args!("gateway: stopped, {applications} {operators} {journal}"));
        applications && operators && journal
    }

    /// Takes another configuration into force, as the daemon does.
    pub fn reload(&self, config: Config) {
        self.gateway.swap_settings(settings(config, &self.names));
        self.gateway.route_stranded();
        let settings = self.gateway.settings();
        for account in self.gateway.accounts() {
            account.reconfigure(&settings);
        }
        self.life.pool.apply(&self.gateway);
        self.gateway.announce_reload();
        self.life.world.event(format_args!("gateway: reloaded"));
    }

    /// As somebody does who looks at `ctl quarantine` when all is well again.
    pub async fn release_quarantined(&self) {
        let Some(journal) = self.gateway.journal() else { return };
        let held = journal.ask(|lookup| lookup.quarantined()).await.unwrap_or_default();
        let events: Vec<Event> = held.iter().map(|held| Event::Release { id: held.id, how: Release::Queue }).collect();
        if !events.is_empty() {
            self.life.world.event(format_args!("gateway: {} released from quarantine", events.len()));
            journal.submit_when_possible(Batch { events, reply: None }).await;
        }
    }

    /// The sum of a counter over its labels.
    pub fn counted(&self, name: &str) -> u64 {
        let text = self.gateway.metrics.render();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

async fn accept(life: Arc<Life>, net: Arc<Net>, gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut incoming = net.listen(HOST);
    let shared = Shared::new(gateway);
    let mut sessions = JoinSet::new();
    // One for each: a watch wakes those who share it in random order.
    let mut stops: Vec<watch::Sender<bool>> = Vec::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(stream) = incoming.recv() => {
                let (shared, (stop, stopped)) = (shared.clone(), watch::channel(false));
                let session = sessions.spawn(async move { shared.serve("plain".into(), CALLER, stream, stopped).await });
                stops.retain(|stop| !stop.is_closed());
                stops.push(stop);
                let mut tasks = lock(&life.tasks);
                tasks.retain(|task| !task.is_finished());
                tasks.push(session);
            }
            Some(_) = sessions.join_next() => {}
        }
    }
    drop(incoming);
    for stop in stops {
        // The session may have ended.
        let _ = stop.send(true);
    }
    while sessions.join_next().await.is_some() {}
}

async fn keep_house(gateway: Arc<Gateway>) {
    let mut operators = Housekeeping::new(gateway.clone());
    loop {
        sleep(Duration::from_secs(1)).await;
        operators.look(Duration::from_secs(1)).await;
        smppgw::mailbox::look(&gateway).await;
    }
}

async fn keep_journal(life: Arc<Life>, mut steps: Steps<WeatheredDisk, Gateway>) {
    loop {
        let came = tokio::time::timeout(IDLE, steps.something_comes()).await.is_ok();
        let delay = life.drive.delay();
        if came && !delay.is_zero() {
            sleep(delay).await;
        }
        let point = if came { lock(&life.crash_at).take() } else { None };
        if point == Some(CrashPoint::InTurn) {
            life.drive.cut_power_soon();
        }
        let goes_on = steps.turn();
        if point.is_some() {
            life.end();
            life.crashed.notify_one();
        }
        if !goes_on || point.is_some() {
            return;
        }
    }
}
