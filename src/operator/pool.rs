//! Starts and stops the bind tasks as the configuration says, and keeps the queues tidy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bind::Slot;
use super::give_way::GiveWay;
use crate::config::{Bind, Operator};
use crate::gateway::{Gateway, OperatorSettings, OperatorState, lock};
use crate::journal::ReadBack;
use crate::ledger::{Event, Failure};
use crate::link;
use crate::message::{MessageId, OperatorKey, Timestamp};
use crate::metrics::BindMetrics;
use crate::receipt::State;

/// One connection as the control socket shows it.
#[derive(Debug)]
pub struct BindStatus {
    pub operator: Arc<str>,
    /// Place among all connections of the operator, from 0.
    pub number: usize,
    pub address: String,
    pub kind: crate::config::BindType,
    up: AtomicBool,
    window: AtomicUsize,
    reason: Mutex<String>,
    /// When it came up or went down last.
    changed: Mutex<Instant>,
    /// Messages per second after the operator said "too fast"; zero when it did not.
    slowed_to: AtomicU32,
}

impl BindStatus {
    pub(super) fn up(&self) {
        self.turn(true);
        lock(&self.reason).clear();
    }
    pub(super) fn down(&self, reason: String) {
        self.turn(false);
        self.slowed(None);
        self.window.store(0, Ordering::Relaxed);
        *lock(&self.reason) = reason;
    }
    pub(super) fn connecting(&self) {
        self.turn(false);
    }
    fn turn(&self, up: bool) {
        if self.up.swap(up, Ordering::Relaxed) != up {
            *lock(&self.changed) = link::now();
        }
    }
    pub(super) fn slowed(&self, per_second: Option<f64>) {
        self.slowed_to.store(per_second.map_or(0, |speed| speed.max(1.0) as u32), Ordering::Relaxed);
    }
    pub(super) fn window(&self, used: usize) {
        self.window.store(used, Ordering::Relaxed);
    }
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
    /// Requests without a response.
    pub fn window_used(&self) -> usize {
        self.window.load(Ordering::Relaxed)
    }
    /// The speed it keeps to since the operator said "too fast", in messages per second.
    pub fn slowed_to(&self) -> Option<u32> {
        Some(self.slowed_to.load(Ordering::Relaxed)).filter(|speed| *speed > 0)
    }
    /// How long it has been up, or down.
    pub fn unchanged_for(&self) -> Duration {
        link::now().saturating_duration_since(*lock(&self.changed))
    }
    /// Why it went down last; empty while it is up.
    pub fn reason(&self) -> String {
        lock(&self.reason).clone()
    }
}

/// A running bind task.
struct Running {
    operator: Arc<OperatorSettings>,
    bind: Bind,
    status: Arc<BindStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// All bind tasks.
#[derive(Default)]
pub struct Pool {
    running: Mutex<BTreeMap<(OperatorKey, usize), Running>>,
    /// Tasks that a reload told to stop and that may still be unbinding.
    retired: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("binds", &lock(&self.running).len()).finish()
    }
}

impl Pool {
    /// Makes the running binds those of the configuration in force: what did not change is not touched.
    pub fn apply(&self, gateway: &Arc<Gateway>) {
        let settings = gateway.settings();
        let mut running = lock(&self.running);
        let mut wanted = BTreeMap::new();
        for operator in settings.operators() {
            gateway.operator(operator.key).reconfigure(&settings);
            let connections = operator.config.binds.iter().enumerate().flat_map(|(at, bind)| (0..bind.count).map(move |_| at));
            for (number, bind) in connections.enumerate() {
                wanted.insert((operator.key, number), (operator.clone(), bind));
            }
        }
        let changed = |place: &(OperatorKey, usize), running: &mut Running| {
            !wanted.get(place).is_some_and(|(operator, bind)| running.is_still(operator, *bind))
        };
        let mut retired = lock(&self.retired);
        retired.retain(|task| !task.is_finished());
        for (_, old) in running.extract_if(.., changed) {
            // The task unbinds in order and ends by itself; a stop of the gateway waits for it.
            let _ = old.stop.send(true);
            retired.push(old.task);
        }
        drop(retired);
        for (place, (operator, bind)) in wanted {
            running.entry(place).or_insert_with(|| Running::start(gateway, operator, bind, place.1));
        }
    }

    /// Unbinds everything in order; resolves when all connections are closed.
    pub async fn stop(&self) {
        let running: Vec<Running> = std::mem::take(&mut *lock(&self.running)).into_values().collect();
        for bind in &running {
            let _ = bind.stop.send(true);
        }
        let retired = std::mem::take(&mut *lock(&self.retired));
        for task in running.into_iter().map(|bind| bind.task).chain(retired) {
            // A task that panicked has nothing left to close.
            let _ = task.await;
        }
    }

    /// Ends everything as a crash would: nothing is unbound, nothing is put back.
    pub fn abort(&self) {
        let running = std::mem::take(&mut *lock(&self.running)).into_values().map(|bind| bind.task);
        running.chain(std::mem::take(&mut *lock(&self.retired))).for_each(|task| task.abort());
    }

    /// Every connection, in the order of operator and number.
    pub fn statuses(&self) -> Vec<Arc<BindStatus>> {
        let mut statuses: Vec<_> = lock(&self.running).values().map(|running| running.status.clone()).collect();
        statuses.sort_by(|a, b| (&a.operator, a.number).cmp(&(&b.operator, b.number)));
        statuses
    }
}

impl Running {
    fn start(gateway: &Arc<Gateway>, operator: Arc<OperatorSettings>, at: usize, number: usize) -> Running {
        let bind = operator.config.binds[at].clone();
        let state = gateway.operator(operator.key);
        let status = Arc::new(BindStatus {
            operator: operator.config.name.clone(),
            number,
            address: bind.address.to_string(),
            kind: bind.kind,
            up: AtomicBool::new(false),
            window: AtomicUsize::new(0),
            reason: Mutex::new("connecting".to_owned()),
            changed: Mutex::new(link::now()),
            slowed_to: AtomicU32::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let slot = Slot {
            gateway: gateway.clone(),
            metrics: BindMetrics::new(&gateway.metrics, &state.name, number),
            state,
            settings: operator.clone(),
            bind: at,
            status: status.clone(),
        };
        let task = tokio::spawn(slot.run(stopped));
        Running { operator, bind, status, stop, task }
    }

    /// Does the task do what the configuration wants of this place?
    fn is_still(&self, operator: &OperatorSettings, at: usize) -> bool {
        let without_binds = |o: &Operator| Operator { binds: Vec::new(), ..o.clone() };
        operator.config.binds.get(at) == Some(&self.bind)
            && without_binds(&operator.config) == without_binds(&self.operator.config)
            && !self.task.is_finished()
    }
}

/// Has payloads read back that a queue will need soon.
pub(super) fn load(gateway: &Arc<Gateway>, state: &Arc<OperatorState>, ids: Vec<MessageId>) {
    let Some(journal) = gateway.journal() else { return };
    let state = state.clone();
    let (again, host) = (state.clone(), gateway.clone());
    let asked = journal.tell(move |lookup| {
        let back = ReadBack::of(ids, lookup, |lookup, id| lookup.job(id));
        let lost = state.queue(|queue| back.fill(queue));
        let failure = Failure { state: State::Undeliverable, status: 0 };
        host.damaged(lost.into_iter().map(|id| failed(id, failure)));
        state.wake();
    });
    if !asked {
        again.queue(|queue| queue.ask_again());
    }
}

/// Shows how long the queues are. [`Housekeeping::look`] does it again and again; at start it is to be done before anybody can ask, since a
/// gauge that nobody has set reads zero.
pub fn measure(gateway: &Gateway) {
    let now = gateway.clock.now();
    for state in gateway.operators() {
        measure_one(&state, now);
    }
}

fn measure_one(state: &OperatorState, now: Timestamp) -> usize {
    let (depth, oldest) = state.queue(|queue| {
        // Scheduled messages whose time has come wait, also while nobody takes them.
        queue.end_delays(now);
        (queue.due(), queue.oldest())
    });
    state.metrics.queue.set(depth as f64);
    state.metrics.queue_oldest_age.set(oldest.map_or(0.0, |at| now.since(at).as_secs_f64()));
    depth
}

/// Takes expired messages out of the queues and moves what waits for an operator that is down to others. To be called every second
/// or so.
pub struct Housekeeping {
    gateway: Arc<Gateway>,
    give_way: GiveWay,
}

impl Housekeeping {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Housekeeping { give_way: GiveWay::new(gateway.clone()), gateway }
    }

    /// One look, `elapsed` after the one before.
    pub async fn look(&mut self, elapsed: Duration) {
        let now = self.gateway.clock.now();
        let mut events = Vec::new();
        for state in self.gateway.operators() {
            let expired = state.queue(|queue| queue.expire(now));
            let failure = Failure { state: State::Expired, status: 0 };
            events.extend(expired.iter().map(|item| failed(item.id, failure)));
            if measure_one(&state, now) > 0 {
                // Whatever kept a bind from asking for it again: a payload that could not be read, a full journal.
                state.wake();
            }
            self.give_way.look(&state, elapsed).await;
        }
        self.gateway.route_stranded();
        let expired = Failure { state: State::Expired, status: 0 };
        events.extend(self.gateway.expire_unrouted(now).into_iter().map(|id| failed(id, expired)));
        events.append(&mut self.gateway.take_damaged());
        if let Some(journal) = self.gateway.journal().filter(|_| !events.is_empty()) {
            journal.submit_in_turns(events).await;
        }
    }
}

/// None of its parts that have not been sent ever will be.
fn failed(id: MessageId, failure: Failure) -> Event {
    Event::Failed { id, operator: None, parts: None, failure }
}
