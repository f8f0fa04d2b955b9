//! What all tasks share: the configuration in force, the accounts with their mailboxes, the operators with their queues, the journal.
//!
//! Nothing here decides about a message: it is where the stages find each other.

mod account;
mod blame;
mod grown;
mod message_id;
mod node_names;
mod operators;
mod references;
mod release;
mod reloads;
mod resent;
mod settings;
mod unrouted;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;

pub use account::{AccountState, MAIL_PRIORITY, Seat};
pub use message_id::{IdText, message_id_octets, message_id_text, parse_message_id};
pub use node_names::NodeNames;
pub use operators::{OperatorState, Probe, SenderUp};
pub use references::References;
pub use reloads::ReloadsSeen;
pub use resent::SentAgain;
pub use settings::{AccountSettings, ListenerTls, OperatorSettings, Settings};
pub(crate) use settings::{strictness, timers};

use grown::Grown;
use release::Release;
use reloads::Reloads;
use unrouted::Unrouted;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::journal::{Commit, Host, Journal};
use crate::ledger::{Effect, Event, Ids, KeyMaker, Rules, Waiting};
use crate::link;
use crate::link::Connector;
use crate::message::{AccountKey, Job, Names, OperatorKey, Timestamp};
use crate::metrics::{InboundMetrics, ListenerMetrics, Metrics, NoOperatorMetrics, PduFaults, SpoolMetrics, SubmitMetrics};
use crate::rate::Rate;
use crate::spool::Stats;

/// Lines in the log about what peers send again and again, each second and at once; metrics count all of it.
const COMPLAINTS: (u32, u32) = (1, 10);

/// The shared state of one gateway.
#[derive(Debug)]
pub struct Gateway {
    pub clock: Clock,
    pub chance: Chance,
    /// How operators are reached.
    pub connector: Connector,
    pub ids: Ids,
    /// What receipts are looked up by: the ledger's.
    pub keys: KeyMaker,
    pub account_names: Arc<Names>,
    pub operator_names: Arc<Names>,
    /// Concatenation references (3GPP TS 23.040 section 9.2.3.24.1).
    pub references: References,
    pub metrics: Metrics,
    pub listener_metrics: ListenerMetrics,
    pub submit_metrics: SubmitMetrics,
    pub upstream_faults: PduFaults,
    pub operator_faults: PduFaults,
    inbound_metrics: InboundMetrics,
    no_operator_metrics: NoOperatorMetrics,
    spool_metrics: SpoolMetrics,
    settings: ArcSwap<Settings>,
    accounts: Grown<AccountState>,
    operators: Grown<OperatorState>,
    journal: OnceLock<Journal>,
    node_names: OnceLock<NodeNames>,
    last_commit: RwLock<Option<Commit>>,
    unrouted: std::sync::Mutex<Unrouted>,
    damaged: std::sync::Mutex<Vec<Event>>,
    reloads: Reloads,
    /// Lines that may be written about what peers send again and again.
    complaints: Rate,
}

/// What a gateway takes from the world around it besides its disk: time, chance, connections. A simulation gives it others.
#[derive(Debug)]
pub struct Outside {
    pub clock: Clock,
    pub chance: Chance,
    pub connector: Connector,
}

impl Outside {
    /// The machine's own.
    pub fn real() -> Self {
        Outside { clock: Clock::start(), chance: Chance::default(), connector: Connector::default() }
    }
}

impl Gateway {
    pub fn new(
        settings: Settings,
        account_names: Arc<Names>,
        operator_names: Arc<Names>,
        ids: Ids,
        keys: KeyMaker,
        metrics: Metrics,
        outside: Outside,
    ) -> Arc<Self> {
        let Outside { clock, chance, connector } = outside;
        let gateway = Gateway {
            ids,
            keys,
            account_names,
            operator_names,
            references: References::new(chance.number()),
            clock,
            chance,
            connector,
            listener_metrics: ListenerMetrics::new(&metrics),
            submit_metrics: SubmitMetrics::new(&metrics),
            upstream_faults: PduFaults::upstream(&metrics),
            operator_faults: PduFaults::operator(&metrics),
            inbound_metrics: InboundMetrics::new(&metrics),
            no_operator_metrics: NoOperatorMetrics::new(&metrics),
            spool_metrics: SpoolMetrics::new(&metrics),
            metrics,
            settings: ArcSwap::from_pointee(settings),
            accounts: Grown::default(),
            operators: Grown::default(),
            journal: OnceLock::new(),
            node_names: OnceLock::new(),
            last_commit: RwLock::default(),
            unrouted: std::sync::Mutex::default(),
            damaged: std::sync::Mutex::default(),
            reloads: Reloads::default(),
            complaints: Rate::new(Some(COMPLAINTS.0), COMPLAINTS.1, link::now()),
        };
        Arc::new(gateway)
    }

    /// The configuration in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Takes a new configuration into force, whole.
    pub fn swap_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        self.look_up_again();
    }

    /// Notes what has come to its end because its record is damaged; the journal is to be told.
    pub fn damaged(&self, ends: impl IntoIterator<Item = Event>) {
        lock(&self.damaged).extend(ends);
    }

    /// Takes what [`Gateway::damaged`] noted.
    pub fn take_damaged(&self) -> Vec<Event> {
        std::mem::take(&mut lock(&self.damaged))
    }

    /// May a line be written about what a peer sends? It may send it again and again.
    pub fn may_complain(&self) -> bool {
        self.complaints.take(link::now()).is_ok()
    }

    /// Looks up a message's route in the configuration in force and queues it there.
    pub fn route_again(&self, mut waiting: Waiting) {
        let message = waiting.job.message.clone();
        let route = self.settings().route(&message);
        waiting.job = Arc::new(Job { id: waiting.id, account: waiting.account, message, route });
        self.queue(waiting);
    }

    /// Lets the sessions look at the new configuration.
    pub fn announce_reload(&self) {
        self.reloads.announce();
    }

    /// For a session to notice reloads with; the first look always finds one.
    pub fn reloads(&self) -> ReloadsSeen {
        self.reloads.seen_none()
    }

    /// Set once, when the journal has started.
    pub fn set_journal(&self, journal: Journal) {
        // Only the daemon's start calls this.
        let _ = self.journal.set(journal);
    }

    /// The journal; `None` only while the gateway is starting.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// Set once, before the first id is told.
    pub fn set_node_names(&self, names: NodeNames) {
        // Only the daemon's start calls this.
        let _ = self.node_names.set(names);
    }

    /// The names in front of message ids. A reload does not change them.
    pub fn node_names(&self) -> &NodeNames {
        self.node_names.get_or_init(|| NodeNames::new(self.settings().config.node.name.clone()))
    }

    /// The state of an account, made when first asked for.
    pub fn account(&self, key: AccountKey) -> Arc<AccountState> {
        self.accounts.get_or_make(key.0, |next| {
            let name = self.account_names.name(next);
            AccountState::new(AccountKey(next), name, &self.settings(), &self.metrics)
        })
    }

    /// The state of an operator, made when first asked for.
    pub fn operator(&self, key: OperatorKey) -> Arc<OperatorState> {
        self.operators.get_or_make(key.0, |next| {
            let name = self.operator_names.name(next);
            OperatorState::new(OperatorKey(next), name, &self.settings(), &self.metrics)
        })
    }

    /// All accounts that ever had a key.
    pub fn accounts(&self) -> Vec<Arc<AccountState>> {
        Vec::clone(&self.accounts.all())
    }

    /// All operators that ever had a key.
    pub fn operators(&self) -> Vec<Arc<OperatorState>> {
        Vec::clone(&self.operators.all())
    }

    /// Figures of the newest commit.
    pub fn last_commit(&self) -> Option<Commit> {
        *self.last_commit.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message into the queue of the operator that is to carry it: the one that has parts of it already, else the first of its
    /// route that is up, else the first.
    pub fn queue(&self, waiting: Waiting) {
        let mut release = Release::new(self);
        release.queue(waiting);
        release.finish();
    }
}

impl Host for Gateway {
    type Rules = Settings;

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn rules(&self) -> Arc<Settings> {
        self.settings()
    }

    fn deliver(&self, effects: &mut Vec<Effect>) {
        let mut release = Release::new(self);
        for effect in effects.drain(..) {
            release.effect(effect);
        }
        release.finish();
    }

    fn opened(&self, stats: Stats) {
        self.spool_metrics.stands(&stats);
    }

    fn committed(&self, commit: Commit) {
        let metrics = &self.spool_metrics;
        metrics.commit_seconds.record(commit.took.as_secs_f64());
        metrics.commit_bytes.record(commit.bytes as f64);
        metrics.commit_records.record(commit.events as f64);
        metrics.stands(&commit.stats);
        *self.last_commit.write().unwrap_or_else(PoisonError::into_inner) = Some(commit);
    }

    fn accepting(&self, accepting: bool) {
        self.spool_metrics.accepting.set(f64::from(u8::from(accepting)));
    }

    fn disk_failed(&self) {
        self.spool_metrics.failures.increment(1);
    }
}

/// Locks a mutex whose holder cannot leave it half changed: every critical section here is a few assignments.
pub(crate) fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
