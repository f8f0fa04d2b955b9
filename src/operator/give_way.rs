//! What waits for an operator that is down goes to the next one of each message's route: a slice of the queue at a time, so that nobody
//! waits long for its lock, whether the payloads are in memory or have to be read.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use tokio::time::timeout;

use crate::gateway::{Gateway, OperatorState};
use crate::journal::{Allowance, Journal};
use crate::ledger::Waiting;
use crate::message::{Job, MessageId, OperatorKey, Timestamp};
use crate::queue::{Item, Slice};

/// How long an operator may be down before what waits for it goes elsewhere.
const GIVE_WAY: Duration = Duration::from_secs(5);

/// Messages looked at in one go.
const SLICE: usize = 512;

/// Slices per look.
const SLICES: usize = 10;

/// How long payloads are waited for; they are asked for again at the next look.
const PATIENCE: Duration = Duration::from_secs(1);

/// The queues of operators that are down, and how far they have been looked through.
pub(super) struct GiveWay {
    gateway: Arc<Gateway>,
    down: HashMap<OperatorKey, Down>,
}

#[derive(Default)]
struct Down {
    since: Duration,
    /// Messages before this one have been looked at; `None` when the next look begins at the front.
    from: Option<MessageId>,
}

/// Where messages may go.
struct Elsewhere {
    up: HashSet<OperatorKey>,
    /// The operator is not in the configuration any more: everything must go.
    removed: bool,
}

impl Elsewhere {
    fn takes(&self, job: &Job) -> bool {
        self.removed || job.route.iter().any(|key| self.up.contains(key))
    }
}

impl GiveWay {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        GiveWay { gateway, down: HashMap::new() }
    }

    /// Looks at the queue of one operator, `elapsed` after the look before.
    pub async fn look(&mut self, state: &Arc<OperatorState>, elapsed: Duration) {
        let down = self.down.entry(state.key).or_default();
        if state.is_up() {
            *down = Down::default();
            return;
        }
        down.since += elapsed;
        let removed = self.gateway.settings().operator(state.key).is_none();
        if (down.since < GIVE_WAY && !removed) || state.queue(|queue| queue.is_empty()) {
            return;
        }
        let others = self.gateway.operators();
        let up = others.iter().filter(|other| other.key != state.key && other.is_up()).map(|other| other.key).collect();
        let elsewhere = Elsewhere { up, removed };
        if elsewhere.up.is_empty() && !removed {
            return;
        }
        let mut from = down.from;
        for _ in 0..SLICES {
            from = self.slice(state, from, &elsewhere).await;
            if from.is_none() {
                break;
            }
        }
        self.down.entry(state.key).or_default().from = from;
    }

    /// Moves what can go elsewhere of one slice; where the next one begins, if there is one.
    async fn slice(&self, state: &Arc<OperatorState>, from: Option<MessageId>, elsewhere: &Elsewhere) -> Option<MessageId> {
        let now = self.gateway.clock.now();
        if from.is_none() {
            let hot = |item: &Item<Job>| item.done == 0 && item.payload.as_ref().is_some_and(|job| elsewhere.takes(job));
            let items = state.queue(|queue| {
                queue.end_delays(now);
                queue.take_aside(hot)
            });
            items.into_iter().for_each(|item| self.send_elsewhere(item, elsewhere, now));
        }
        let from = from.unwrap_or_default();
        let Slice { items, next } = state.queue(|queue| queue.slice(from, SLICE));
        let (mut going, unread) = self.payloads(items).await;
        let next = unread.or(next);
        going.retain(|_, job| elsewhere.takes(job));
        let end = next.map_or(MessageId(u64::MAX), |next| MessageId(next.0 - 1));
        // What has been sent to the operator in part must wait for it; what has left the queue meanwhile is not ours to move.
        let taken = state.queue(|queue| queue.take_slice(from, end, |item| item.done == 0 && going.contains_key(&item.id)));
        for mut item in taken {
            item.payload = going.remove(&item.id);
            self.send_elsewhere(item, elsewhere, now);
        }
        next
    }

    /// The payloads of these messages, read back where they are not in memory, as far as that can be done now; and from which one on they
    /// are to be read later, when they are many octets.
    async fn payloads(&self, items: Vec<Item<Job>>) -> (HashMap<MessageId, Arc<Job>>, Option<MessageId>) {
        let (hot, cold): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.payload.is_some());
        let mut payloads: HashMap<MessageId, Arc<Job>> =
            hot.into_iter().filter_map(|item| item.payload.map(|job| (item.id, job))).collect();
        let mut ids: Vec<MessageId> = cold.into_iter().filter(|item| item.done == 0).map(|item| item.id).collect();
        ids.sort_unstable();
        // While the disk fails nothing can be read, and questions would only pile up.
        let answers = |journal: &&Journal| !ids.is_empty() && !journal.gate().has_failed();
        let Some(journal) = self.gateway.journal().filter(answers) else { return (payloads, None) };
        let read = journal.ask(move |lookup| {
            let (mut read, mut allowance) = (Vec::new(), Allowance::default());
            for id in ids {
                if allowance.is_used_up() {
                    return (read, Some(id));
                }
                let job = lookup.job(id);
                allowance.count(job.as_deref());
                read.extend(job.map(|job| (id, job)));
            }
            (read, None)
        });
        match timeout(PATIENCE, read).await {
            Ok(Some((read, unread))) => {
                payloads.extend(read);
                (payloads, unread)
            }
            _ => (payloads, None),
        }
    }

    fn send_elsewhere(&self, item: Item<Job>, elsewhere: &Elsewhere, now: Timestamp) {
        let Some(job) = item.payload.clone() else { return };
        match job.route.iter().find(|key| elsewhere.up.contains(*key)) {
            Some(key) => {
                // It may have been scheduled for later.
                let due = job.message.not_before.max(now);
                self.gateway.operator(*key).push((item, due), now);
            }
            None => self.gateway.route_again(Waiting { id: item.id, account: item.account, bound_to: None, done: 0, job }),
        }
    }
}
