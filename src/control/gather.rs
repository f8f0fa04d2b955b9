//! Where the replies come from: the gateway's shared state, the pool of binds, and questions to the journal.

use std::sync::Arc;
use std::time::Duration;

use super::limiters;
use super::protocol::*;
use crate::config::BindType;
use crate::gateway::{AccountState, Gateway, OperatorState, message_id_text};
use crate::ledger::{MessageStatus, Rules};
use crate::link;
use crate::message::{Masked, MessageId, OperatorKey};
use crate::operator::pool::{BindStatus, Pool};
use crate::queue::Found;
use crate::smpp::CommandStatus;
use crate::smpp::status::Shown;

/// How long the journal may take to answer: longer than a slow commit, shorter than the patience of who asks.
pub(super) const JOURNAL_PATIENCE: Duration = Duration::from_secs(5);

/// Longer queues are not searched for a message: their binds wait for the same lock.
const SEARCHED: usize = 20_000;

pub(super) fn stats(gateway: &Gateway, pool: &Pool) -> Stats {
    let limiters = limiters::all(gateway, pool);
    let settings = gateway.settings();
    let statuses = pool.statuses();
    let accounts = gateway.accounts();
    let journal = gateway.journal().map(|journal| Journal {
        backlog: journal.backlog(),
        capacity: journal.capacity(),
        disk_failing: journal.gate().has_failed(),
        full: journal.gate().is_full(),
    });
    Stats {
        node: settings.config.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: gateway.clock.started_at().0,
        accepting: journal.as_ref().is_some_and(|journal| !journal.disk_failing && !journal.full),
        limiters,
        sessions: accounts.iter().map(|account| account.sessions()).sum(),
        binds_up: statuses.iter().filter(|bind| bind.is_up()).count(),
        binds: statuses.len(),
        pending: accounts.iter().map(|account| account.pending()).sum(),
        queued: gateway.operators().iter().map(|operator| operator.queue(|queue| queue.len())).sum(),
        unrouted: gateway.unrouted(),
        mailbox: accounts.iter().map(|account| account.mailbox(|mailbox| mailbox.len())).sum(),
        journal,
        spool: spool(gateway),
    }
}

fn spool(gateway: &Gateway) -> Option<Spool> {
    let commit = gateway.last_commit()?;
    let settings = gateway.settings();
    let (limits, stats) = (&settings.config.spool, commit.stats);
    Some(Spool {
        used: stats.used_bytes,
        max: limits.max_size,
        live: stats.live_bytes,
        live_records: stats.live_records,
        segments: stats.segments_used,
        spare_segments: stats.segments_free,
        disk_free: stats.free_space,
        disk_reserve: limits.disk_reserve,
        quarantined: stats.quarantined,
        commit_microseconds: u64::try_from(commit.took.as_micros()).unwrap_or(u64::MAX),
        commit_bytes: commit.bytes,
        commit_events: commit.events,
    })
}

/// Those of the configuration in its order, then those a reload took out while something of theirs is still here.
pub(super) fn accounts(gateway: &Gateway) -> Vec<Account> {
    let settings = gateway.settings();
    let of_config = (0..settings.config.accounts.len()).filter_map(|at| settings.account_at(at));
    let mut accounts: Vec<Account> = of_config.map(|configured| account(gateway, &gateway.account(configured.key))).collect();
    let gone = gateway.accounts().into_iter().filter(|state| settings.account(state.key).is_none());
    let gone = gone.map(|state| account(gateway, &state));
    accounts.extend(gone.filter(|account| account.pending > 0 || account.mailbox > 0 || account.sessions > 0));
    accounts
}

fn account(gateway: &Gateway, state: &AccountState) -> Account {
    let settings = gateway.settings();
    let config = settings.account(state.key).map(|account| &account.config);
    let (mailbox, oldest) = state.mailbox(|mailbox| (mailbox.len(), mailbox.oldest()));
    Account {
        account: state.name.clone(),
        configured: config.is_some(),
        sessions: state.sessions(),
        sessions_max: config.map_or(0, |config| config.binds),
        pending: state.pending(),
        pending_max: config.map_or(0, |config| config.queue),
        rate: config.and_then(|config| config.rate),
        throttled: state.rate().is_limiting(link::now()),
        mailbox,
        mailbox_oldest_at: moment(oldest),
    }
}

pub(super) fn binds(gateway: &Gateway, pool: &Pool) -> Vec<Bind> {
    let settings = gateway.settings();
    let window = |name: &str| settings.config.operators.iter().find(|o| &*o.name == name).map_or(0, |o| o.window);
    let bind = |status: Arc<BindStatus>| Bind {
        number: status.number,
        address: status.address.clone(),
        kind: kind_word(status.kind).to_owned(),
        up: status.is_up(),
        since_milliseconds: u64::try_from(status.unchanged_for().as_millis()).unwrap_or(u64::MAX),
        window_used: status.window_used(),
        window: window(&status.operator),
        slowed_to: status.slowed_to(),
        reason: status.reason(),
        operator: status.operator.clone(),
    };
    pool.statuses().into_iter().map(bind).collect()
}

fn kind_word(kind: BindType) -> &'static str {
    match kind {
        BindType::Transceiver => "transceiver",
        BindType::Transmitter => "transmitter",
        BindType::Receiver => "receiver",
    }
}

/// In the order of the configuration, then those a reload took out while messages wait for them.
fn operator_states(gateway: &Gateway) -> Vec<Arc<OperatorState>> {
    let settings = gateway.settings();
    let names = settings.config.operators.iter().filter_map(|operator| gateway.operator_names.key(&operator.name));
    let mut states: Vec<_> = names.map(|key| gateway.operator(OperatorKey(key))).collect();
    let gone = gateway.operators().into_iter().filter(|state| settings.operator(state.key).is_none());
    states.extend(gone.filter(|state| !state.queue(|queue| queue.is_empty())));
    states
}

pub(super) fn operators(gateway: &Gateway, pool: &Pool) -> Vec<Operator> {
    let settings = gateway.settings();
    let statuses = pool.statuses();
    let operator = |state: Arc<OperatorState>| {
        let config = settings.operator(state.key).map(|operator| &operator.config);
        let binds: Vec<_> = statuses.iter().filter(|bind| bind.operator == state.name).collect();
        let sending = binds.iter().filter(|bind| bind.is_up() && bind.kind.can_send()).count();
        Operator {
            operator: state.name.clone(),
            configured: config.is_some(),
            up: state.is_up(),
            binds_up: binds.iter().filter(|bind| bind.is_up()).count(),
            binds: binds.len(),
            queue: state.queue(|queue| queue.len()),
            window_used: binds.iter().map(|bind| bind.window_used()).sum(),
            window: config.map_or(0, |config| config.window) * sending,
            rate: config.and_then(|config| config.rate),
            limiter: limiters::of_operator(&state, &settings, &statuses),
        }
    };
    operator_states(gateway).into_iter().map(operator).collect()
}

pub(super) fn queues(gateway: &Gateway, pool: &Pool) -> Reply {
    let settings = gateway.settings();
    let statuses = pool.statuses();
    let queue = |state: Arc<OperatorState>| {
        let (length, oldest, due) = state.queue(|queue| (queue.len(), queue.oldest(), queue.next_due()));
        Queue {
            operator: state.name.clone(),
            length,
            oldest_at: moment(oldest),
            next_due_at: moment(due),
            senders: state.senders(),
            limiter: limiters::of_operator(&state, &settings, &statuses),
        }
    };
    let mailbox = |state: Arc<AccountState>| {
        let (length, oldest) = state.mailbox(|mailbox| (mailbox.len(), mailbox.oldest()));
        Mailbox { account: state.name.clone(), length, oldest_at: moment(oldest), sessions: state.sessions() }
    };
    Reply::Queues {
        queues: operator_states(gateway).into_iter().map(queue).collect(),
        mailboxes: gateway.accounts().into_iter().map(mailbox).filter(|mailbox| mailbox.length > 0).collect(),
        unrouted: gateway.unrouted(),
    }
}

pub(super) fn routes(gateway: &Gateway) -> Routes {
    let settings = gateway.settings();
    let routing = &settings.config.routing;
    let rule = |rule: &crate::config::RouteRule| Route {
        line: rule.line.0,
        prefixes: rule.prefixes.clone(),
        accounts: rule.accounts.clone(),
        senders: rule.senders.clone(),
        operators: rule.operators.clone(),
    };
    let inbound = |rule: &crate::config::Inbound| Inbound {
        number: rule.number.clone(),
        keyword: rule.keyword.clone(),
        account: rule.account.clone(),
    };
    Routes {
        prefixes: settings.table.prefixes(),
        ported: settings.table.ported(),
        prefixes_file: routing.prefixes.clone(),
        ported_file: routing.ported.clone(),
        rules: routing.rules.iter().map(rule).collect(),
        inbound: settings.config.inbound.iter().map(inbound).collect(),
    }
}

pub(super) fn version(gateway: &Gateway) -> Version {
    let settings = gateway.settings();
    Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: settings.config.node.name.clone(),
        process: std::process::id(),
        started_at: gateway.clock.started_at().0,
        config: settings.config.file.clone(),
    }
}

pub(super) fn drained(gateway: &Gateway) -> Drained {
    let accounts = gateway.accounts();
    Drained {
        sessions: accounts.iter().map(|account| account.sessions()).sum(),
        pending: accounts.iter().map(|account| account.pending()).sum(),
    }
}

pub(super) async fn receipts(gateway: &Gateway) -> Result<Reply, Refusal> {
    ask(gateway, |lookup| {
        let (parked, newest_parked) = (lookup.parked(), lookup.newest_parked());
        Reply::Receipts { unmatched: lookup.unmatched(), parked, newest_parked }
    })
    .await
}

/// Reads an id as the application knows it.
pub(super) fn message_id(gateway: &Gateway, text: &str) -> Result<MessageId, Refusal> {
    let (names, next) = (gateway.node_names(), gateway.ids.peek());
    names.read(text, next).ok_or_else(|| {
        let example = message_id_text(names.of(next), MessageId(0x2a), false);
        Refusal::new(format!("expected a message id such as {example}"))
    })
}

pub(super) async fn message(gateway: &Gateway, text: &str) -> Result<Message, Refusal> {
    let id = message_id(gateway, text)?;
    message_of(gateway, id).await?.ok_or_else(|| {
        let kept = gateway.settings().config.messages.history;
        let id = message_id_text(gateway.node_names().of(id), id, false);
        Refusal::new(format!("no message {id}: it was never accepted, or is no more among the last {kept} finished"))
    })
}

/// What is known of a message; `None` when nothing is.
pub(super) async fn message_of(gateway: &Gateway, id: MessageId) -> Result<Option<Message>, Refusal> {
    let (status, job) = ask(gateway, move |lookup| (lookup.status(id), lookup.job(id))).await?;
    let Some(status) = status else { return Ok(None) };
    let settings = gateway.settings();
    let message = job.as_ref().map(|job| &job.message);
    let name = |key: &OperatorKey| gateway.operator_names.name(key.0);
    Ok(Some(Message {
        id: message_id_text(gateway.node_names().of(id), id, message.is_some_and(|message| message.short_id)),
        place: place(gateway, id, &status),
        state: status.state.map_or("pending", |state| state.word()).to_owned(),
        expires_at: message.and_then(|message| moment(Some(message.expires_at))),
        source: message.map(|message| Masked(&message.source.digits).to_string()),
        route: message.map(|message| settings.route(message).iter().map(name).collect()).unwrap_or_default(),
        account: status.account,
        accepted_at: status.accepted_at,
        finished_at: status.finished_at,
        destination: status.destination,
        parts: status.parts,
    }))
}

fn place(gateway: &Gateway, id: MessageId, status: &MessageStatus) -> Place {
    if status.state.is_some() {
        return Place::Finished;
    }
    let waiting = status.parts.is_empty() || status.parts.iter().any(|part| part.state == "waiting");
    if !waiting {
        return Place::Receipt;
    }
    if let Some(case) = &status.quarantine {
        return Place::Quarantine {
            operator: gateway.operator_names.name(case.operator.0),
            since: case.since.0,
            attempts: case.sessions,
            reason: case.reason(),
        };
    }
    if gateway.is_unrouted(id) {
        return Place::Unrouted;
    }
    let mut all_searched = true;
    for state in gateway.operators() {
        let found = state.queue(|queue| {
            let search = queue.len() <= SEARCHED;
            all_searched &= search;
            if search { queue.find(id) } else { None }
        });
        if let Some(Found { item, until, refusal }) = found {
            return Place::Queue {
                operator: state.name.clone(),
                since: item.queued_at.0,
                attempts: item.attempts,
                not_before: moment(until),
                refused: (refusal != 0).then(|| Shown(CommandStatus::from(refusal)).to_string()),
            };
        }
    }
    if all_searched { Place::Operator } else { Place::QueueOrOperator }
}

pub(super) async fn ask<T: Send + 'static>(
    gateway: &Gateway,
    question: impl FnOnce(&mut dyn crate::journal::Lookup) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let Some(journal) = gateway.journal() else { return Err(Refusal::new("the gateway is starting: try again in a moment")) };
    match tokio::time::timeout(JOURNAL_PATIENCE, journal.ask(question)).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(journal_behind()),
        Err(_) => Err(journal_silent()),
    }
}

pub(super) fn journal_behind() -> Refusal {
    Refusal::new("the journal is too far behind to answer, or has stopped: see stats")
}

pub(super) fn journal_silent() -> Refusal {
    Refusal::new("the journal does not answer: the disk may be stalled, see stats")
}
