//! A simulated operator: accepts binds, answers submissions, sends receipts and mobile-originated messages, and misbehaves as
//! its [`Behaviour`] says. A receipt is kept until the client has acknowledged it, whatever becomes of its connection.

mod behaviour;
mod bind;
mod delivery;
mod message_id;
mod pool;
mod record;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use behaviour::{Answer, Behaviour, ReceiptForm};
pub use delivery::Mo;
pub use message_id::IdForm;
pub use record::Record;

use super::stamp::MachineClock;
use super::{Histogram, LineFile, Quantiles};
use crate::link::now;
use crate::message::Timestamp;
use crate::rate::Rate;
use bind::Bind;
use delivery::Delivery;
use pool::Pool;

/// How long binds may take to end when the operator stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a simulated operator is started with.
#[derive(Debug, Clone)]
pub struct SmscSettings {
    /// Its `system_id`, and its name in the log.
    pub name: String,
    /// Port 0 takes a free one; see [`Smsc::address`].
    pub listen: SocketAddr,
    /// `system_id` and `password` that binds must give; `None` accepts any.
    pub credentials: Option<(String, String)>,
    /// Its own requests that may be unanswered on one bind.
    pub window: usize,
    /// After this long without a response a delivery is sent again.
    pub response_timeout: Duration,
    pub behaviour: Behaviour,
    /// Keep every submission for [`Smsc::records`].
    pub keep_records: bool,
    /// Gets one line per submission; the caller flushes it.
    pub log: Option<Arc<LineFile>>,
    /// Messages that handsets send all the time.
    pub mo: Vec<MoSource>,
    /// Makes the drawn outcomes repeatable.
    pub seed: u64,
}

impl Default for SmscSettings {
    fn default() -> Self {
        SmscSettings {
            name: "operator".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: None,
            window: 100,
            response_timeout: Duration::from_secs(10),
            behaviour: Behaviour::default(),
            keep_records: false,
            log: None,
            mo: Vec::new(),
            seed: 0,
        }
    }
}

/// A message that is sent again and again.
#[derive(Debug, Clone)]
pub struct MoSource {
    pub mo: Mo,
    pub per_second: f64,
}

/// What has happened at an operator since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Successful binds.
    pub binds: u64,
    /// Binds that have ended.
    pub unbinds: u64,
    /// Submissions.
    pub received: u64,
    /// ... answered with ESME_ROK.
    pub accepted: u64,
    /// ... answered with another status.
    pub refused: u64,
    /// ... of these: because they came faster than [`Behaviour::rate`].
    pub throttled: u64,
    /// ... not answered.
    pub silent: u64,
    /// Receipts that came to be, duplicates included.
    pub receipts: u64,
    pub receipts_acknowledged: u64,
    /// MO messages that came to be.
    pub mo: u64,
    pub mo_acknowledged: u64,
    /// Deliveries that had to be sent again: refused, unanswered, or their connection ended.
    pub resent: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.binds += other.binds;
        self.unbinds += other.unbinds;
        self.received += other.received;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.throttled += other.throttled;
        self.silent += other.silent;
        self.receipts += other.receipts;
        self.receipts_acknowledged += other.receipts_acknowledged;
        self.mo += other.mo;
        self.mo_acknowledged += other.mo_acknowledged;
        self.resent += other.resent;
    }

    /// Connections bound now.
    pub fn bound(&self) -> u64 {
        self.binds.saturating_sub(self.unbinds)
    }

    /// Receipts and MO messages that are not acknowledged yet.
    pub fn undelivered(&self) -> u64 {
        (self.receipts + self.mo).saturating_sub(self.receipts_acknowledged + self.mo_acknowledged)
    }
}

/// A running simulated operator. Dropping it ends everything at once; [`Smsc::stop`] unbinds.
#[derive(Debug)]
pub struct Smsc {
    address: SocketAddr,
    operator: Arc<Operator>,
    task: JoinHandle<()>,
}

impl Smsc {
    /// Listens and serves until stopped.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(settings: SmscSettings) -> io::Result<Smsc> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let operator = Arc::new(Operator::new(settings));
        let task = tokio::spawn(accept_binds(listener, Arc::clone(&operator)));
        Ok(Smsc { address, operator, task })
    }

    pub fn name(&self) -> &str {
        &self.operator.settings.name
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn counts(&self) -> Counts {
        *self.operator.counts.borrow()
    }

    /// Returns as soon as the counts fulfil `condition`.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.operator.counts.subscribe();
        // The sender lives as long as `self`.
        counts.wait_for(|counts| condition(counts)).await.map_or_else(|_| Counts::default(), |counts| *counts)
    }

    /// Every submission so far, if [`SmscSettings::keep_records`] says so.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.operator.records).clone()
    }

    pub fn behaviour(&self) -> Behaviour {
        self.operator.manner.load().behaviour.clone()
    }

    /// Takes effect with the next submission or bind.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.operator.manner.store(Arc::new(Manner::new(behaviour)));
    }

    /// How long stamped messages (`smppgw load --stamp`) were on their way, from when they were to be submitted to their arrival.
    pub fn transit(&self) -> Quantiles {
        Quantiles::of(&lock(&self.operator.transit))
    }

    /// Sends a message from a handset to the clients bound as this `system_id`, now or when one binds.
    pub fn send_mo(&self, system_id: &str, mo: Mo) {
        self.operator.send_mo(&self.operator.pool(system_id.as_bytes()), &mo, 1);
    }

    /// Drops every connection without a word.
    pub fn disconnect(&self) {
        self.operator.orders.send_modify(|orders| orders.disconnects += 1);
    }

    /// Unbinds all, waits at most two seconds for the answers, and stops listening.
    pub async fn stop(mut self) -> Counts {
        self.operator.orders.send_modify(|orders| orders.stop = true);
        // An aborted or panicked task has stopped as well.
        let _ = (&mut self.task).await;
        self.counts()
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all binds are told.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    stop: bool,
    /// Binds older than the latest increment end at once.
    disconnects: u64,
}

/// A behaviour and what it needs to remember.
#[derive(Debug)]
struct Manner {
    behaviour: Behaviour,
    rate: Rate,
}

impl Manner {
    fn new(behaviour: Behaviour) -> Manner {
        // A tenth of a second's messages may come at once, as real centres count in slices of time.
        let rate = Rate::new(behaviour.rate, behaviour.rate.map_or(1, |rate| rate.div_ceil(10)), now());
        Manner { behaviour, rate }
    }
}

/// What the binds of one operator share.
#[derive(Debug)]
struct Operator {
    settings: SmscSettings,
    manner: ArcSwap<Manner>,
    next_id: AtomicU64,
    connections: AtomicU64,
    counts: watch::Sender<Counts>,
    orders: watch::Sender<Orders>,
    records: Mutex<Vec<Record>>,
    clock: MachineClock,
    /// How long stamped messages were on their way.
    transit: Mutex<Histogram>,
    /// By the `system_id` of the client.
    pools: Mutex<HashMap<Vec<u8>, Arc<Pool>>>,
}

impl Operator {
    fn new(settings: SmscSettings) -> Operator {
        // Microseconds: below a million messages a second no id of an earlier run comes again.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Operator {
            manner: ArcSwap::from_pointee(Manner::new(settings.behaviour.clone())),
            next_id: AtomicU64::new(u64::try_from(since_epoch.as_micros()).unwrap_or(1)),
            connections: AtomicU64::new(0),
            counts: watch::Sender::new(Counts::default()),
            orders: watch::Sender::new(Orders::default()),
            records: Mutex::new(Vec::new()),
            clock: MachineClock::new(now),
            transit: Mutex::new(Histogram::default()),
            pools: Mutex::new(HashMap::new()),
            settings,
        }
    }

    fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn count(&self, counts: &Counts) {
        self.counts.send_modify(|all| all.add(counts));
    }

    fn pool(&self, system_id: &[u8]) -> Arc<Pool> {
        let mut pools = lock(&self.pools);
        if let Some(pool) = pools.get(system_id) {
            return Arc::clone(pool);
        }
        Arc::clone(pools.entry(system_id.to_vec()).or_default())
    }

    fn send_mo(&self, pool: &Pool, mo: &Mo, times: u64) {
        self.count(&Counts { mo: times, ..Counts::default() });
        let at = now();
        pool.put((0..times).map(|_| (at, Delivery::mo(mo))));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

async fn accept_binds(listener: TcpListener, operator: Arc<Operator>) {
    let mut orders = operator.orders.subscribe();
    let mut tasks = JoinSet::new();
    for source in operator.settings.mo.clone() {
        tasks.spawn(generate_mo(source, Arc::clone(&operator)));
    }
    loop {
        tokio::select! {
            () = stopped(&mut orders) => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted.and_then(|(socket, _)| Bind::new(socket, Arc::clone(&operator))) {
                Ok(bind) => { tasks.spawn(bind.run()); }
                // Out of file descriptors, or the client is gone already: not worth ending for.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    // What has not ended by then is dropped with the set.
    let _ = tokio::time::timeout(STOP_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await;
}

async fn stopped(orders: &mut watch::Receiver<Orders>) {
    // An operator that is gone has stopped as well.
    let _ = orders.wait_for(|orders| orders.stop).await;
}

/// Sends one source's messages at its rate to whoever receives; while nobody does, the handsets are silent.
async fn generate_mo(source: MoSource, operator: Arc<Operator>) {
    let mut orders = operator.orders.subscribe();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut owed = 0.0;
    let mut last = now();
    loop {
        tokio::select! {
            () = stopped(&mut orders) => return,
            _ = ticks.tick() => {}
        }
        let elapsed = now() - last;
        last += elapsed;
        let Some(pool) = lock(&operator.pools).values().find(|pool| pool.has_receivers()).map(Arc::clone) else { continue };
        owed += source.per_second * elapsed.as_secs_f64();
        let whole = owed as u64;
        if whole > 0 {
            owed -= whole as f64;
            operator.send_mo(&pool, &source.mo, whole);
        }
    }
}
