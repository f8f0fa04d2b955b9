//! A load generator: many binds that submit as fast as their windows allow, or at a fixed rate, and account for every message.
//!
//! Each message has a tag, a number its text begins with, by which the operators' log can be joined with the list of what was
//! accepted. With a fixed rate latency counts from the moment a message should have left, so that a stall is seen by all the
//! messages it delays.

mod client;
mod login;
mod messages;
mod pace;
mod receipts;
mod report;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

pub use client::ClientError;
pub use login::{bind, part};
pub use messages::{Messages, of_length, stamped, tagged};
pub use report::Report;

use super::stamp::MachineClock;
pub use super::stamp::STAMPED;
use super::{Histogram, LineFile};
use crate::link::now;
use crate::message::Address;
use client::Client;
use receipts::Receipts;

/// What a load run does.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    pub host: String,
    pub port: u16,
    pub system_id: String,
    pub password: String,
    pub binds: usize,
    /// Unanswered submissions per bind.
    pub window: usize,
    pub amount: Amount,
    /// The number of the first message: later runs against the same operators go on where earlier ones ended.
    pub first_tag: u64,
    /// Messages per second over all binds; `None` sends whenever the window has room.
    pub rate: Option<f64>,
    /// See [`tagged`], [`stamped`] and [`of_length`].
    pub text: String,
    pub source: Address,
    /// Beginnings of the destinations, at least one.
    pub prefixes: Vec<String>,
    /// Ask for receipts, and wait for them.
    pub receipts: bool,
    /// The run ends when nothing has moved for this long.
    pub patience: Duration,
    /// After this long without a response a message's outcome is unknown.
    pub response_timeout: Duration,
    /// Come back after a lost connection, and send again what was unanswered.
    pub reconnect: bool,
    /// How often the watcher is told.
    pub progress: Duration,
    /// Gets a line `tag,message_id` per accepted message; the caller flushes it.
    pub accepted: Option<Arc<LineFile>>,
}

/// How long a load run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Messages(u64),
    Time(Duration),
}

/// What has happened so far, over all binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Totals {
    /// Messages sent, each counted once.
    pub sent: u64,
    /// Submissions repeated after a lost connection or response.
    pub resent: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Messages whose outcome is unknown.
    pub lost: u64,
    /// Accepted messages whose receipt has come.
    pub receipts: u64,
    /// ... and said DELIVRD.
    pub delivered: u64,
    /// Further receipts for the same message.
    pub duplicate_receipts: u64,
    /// Receipts for an id that no response had given when they came.
    pub unknown_receipts: u64,
    /// ... which a later response did give; these count in `receipts` too.
    pub early_receipts: u64,
    /// Mobile-originated messages.
    pub mo: u64,
    /// Successful binds, reconnects included.
    pub binds: u64,
    /// Connections that ended before the run did.
    pub disconnects: u64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.sent += other.sent;
        self.resent += other.resent;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.lost += other.lost;
        self.receipts += other.receipts;
        self.delivered += other.delivered;
        self.duplicate_receipts += other.duplicate_receipts;
        self.unknown_receipts += other.unknown_receipts;
        self.early_receipts += other.early_receipts;
        self.mo += other.mo;
        self.binds += other.binds;
        self.disconnects += other.disconnects;
    }

    /// Messages whose outcome is known, or known to stay unknown.
    fn decided(&self) -> u64 {
        self.accepted + self.refused + self.lost
    }
}

/// What the clients of one run share.
struct Run {
    settings: LoadSettings,
    next_tag: AtomicU64,
    /// No new messages after this tag.
    last_tag: u64,
    sending: AtomicBool,
    totals: watch::Sender<Totals>,
    clock: MachineClock,
    books: Mutex<Books>,
    /// All clients begin together, once all are bound.
    start: Barrier,
    finish: watch::Sender<bool>,
}

impl Run {
    /// Held for one turn of one client.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `count` new tags.
    fn claim(&self, count: usize) -> Range<u64> {
        if count == 0 || !self.sending.load(Ordering::Relaxed) {
            return 0..0;
        }
        let first = self.next_tag.fetch_add(count as u64, Ordering::AcqRel);
        let end = first.saturating_add(count as u64).min(self.last_tag + 1);
        if end > self.last_tag {
            self.sending.store(false, Ordering::Relaxed);
        }
        first..end.max(first)
    }

    /// Messages begun.
    fn claimed(&self) -> u64 {
        self.next_tag.load(Ordering::Acquire).min(self.last_tag + 1) - self.settings.first_tag
    }

    /// Is there nothing left to wait for?
    fn is_complete(&self, totals: &Totals) -> bool {
        !self.sending.load(Ordering::Relaxed)
            && totals.decided() == self.claimed()
            && (!self.settings.receipts || totals.receipts == totals.accepted)
    }
}

/// What all clients have measured. Times are microseconds of the run's clock.
#[derive(Debug)]
struct Books {
    receipts: Receipts,
    response_times: Histogram,
    receipt_times: Histogram,
    /// How late messages left after the moment the rate had set for them.
    lateness: Histogram,
    /// Counts by `command_status`.
    refusals: BTreeMap<u32, u64>,
    /// Zero: none yet.
    last_response: u64,
}

impl Books {
    fn new() -> Books {
        Books {
            receipts: Receipts::new(),
            response_times: Histogram::default(),
            receipt_times: Histogram::default(),
            lateness: Histogram::default(),
            refusals: BTreeMap::new(),
            last_response: 0,
        }
    }
}

/// Runs the load to its end. `watcher` is told of its progress now and then.
///
/// # Errors
/// A client could not connect or bind, and is not to try again; or not all could within the patience.
pub async fn run(settings: LoadSettings, mut watcher: impl FnMut(&Totals)) -> Result<Report, ClientError> {
    let run = Arc::new(Run {
        next_tag: AtomicU64::new(settings.first_tag),
        last_tag: match settings.amount {
            Amount::Messages(count) => (settings.first_tag - 1).saturating_add(count),
            Amount::Time(_) => u64::MAX - 1,
        },
        sending: AtomicBool::new(true),
        totals: watch::Sender::new(Totals::default()),
        clock: MachineClock::new(now),
        books: Mutex::new(Books::new()),
        start: Barrier::new(settings.binds + 1),
        finish: watch::Sender::new(false),
        settings,
    });
    let mut clients = JoinSet::new();
    for index in 0..run.settings.binds {
        clients.spawn(Client::new(Arc::clone(&run), index).run());
    }
    let mut patience = std::pin::pin!(tokio::time::sleep(run.settings.patience));
    loop {
        tokio::select! {
            _ = run.start.wait() => break,
            () = &mut patience => return Err(ClientError::Connect(std::io::ErrorKind::TimedOut.into())),
            Some(ended) = clients.join_next() => finished(ended)?,
        }
    }
    let started = now();
    supervise(&run, started, &mut clients, &mut watcher).await?;
    run.finish.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        finished(ended)?;
    }
    let totals = *run.totals.borrow();
    Ok(Report::new(&run.settings, totals, run.clock.micros(started), &run.books()))
}

/// Watches until everything is done, nothing moves any more, or no client is left.
async fn supervise(
    run: &Run,
    started: Instant,
    clients: &mut JoinSet<Result<(), ClientError>>,
    watcher: &mut impl FnMut(&Totals),
) -> Result<(), ClientError> {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = (*run.totals.borrow(), started);
    let mut next_look = started + run.settings.progress;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            ended = clients.join_next() => match ended {
                Some(ended) => finished(ended)?,
                None => return Ok(()),
            },
        }
        let at = now();
        if let Amount::Time(time) = run.settings.amount
            && at >= started + time
        {
            run.sending.store(false, Ordering::Relaxed);
        }
        let totals = *run.totals.borrow();
        if totals != last.0 {
            last = (totals, at);
        }
        if at >= next_look {
            watcher(&totals);
            next_look += run.settings.progress;
        }
        let given_up = at >= last.1 + run.settings.patience;
        if run.is_complete(&totals) || given_up {
            return Ok(());
        }
    }
}

/// A client's task neither panics nor is aborted while the run lasts; if it were, the runtime is ending.
fn finished(ended: Result<Result<(), ClientError>, tokio::task::JoinError>) -> Result<(), ClientError> {
    ended.unwrap_or_else(|error| Err(ClientError::Task(error)))
}
