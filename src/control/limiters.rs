//! What holds messages back at this moment. Who runs a gateway must not have to guess which of its limits is at work.

use std::sync::Arc;

use super::protocol::Limiter;
use crate::accept::admission::{Level, STALLED};
use crate::gateway::{AccountState, Gateway, OperatorState, Settings};
use crate::link;
use crate::operator::pool::{BindStatus, Pool};

/// The journal is called slow when this share of its room is taken.
const BACKLOG_SHARE: usize = 4;

/// Everything that holds messages back, most general first.
pub(super) fn all(gateway: &Gateway, pool: &Pool) -> Vec<Limiter> {
    let settings = gateway.settings();
    let limiter = |who: String, what: String| Limiter { who, what };
    let mut limiters: Vec<Limiter> = of_spool(gateway).into_iter().map(|what| limiter("spool".to_owned(), what)).collect();
    if gateway.unrouted() > 0 {
        limiters.push(limiter(
            "routes".to_owned(),
            format!("{} messages have no operator and wait for a reload", gateway.unrouted()),
        ));
    }
    let statuses = pool.statuses();
    for state in gateway.operators() {
        let what = of_operator(&state, &settings, &statuses);
        limiters.extend(what.map(|what| limiter(format!("operator {}", state.name), what)));
    }
    for state in gateway.accounts() {
        let what = of_account(&state, &settings);
        limiters.extend(what.into_iter().map(|what| limiter(format!("account {}", state.name), what)));
    }
    limiters
}

/// A limit at which submissions are refused, or near which they are thinned out; `None` far from it.
fn of_level(name: &str, level: Level) -> Option<String> {
    let Level { used, limit } = level;
    if used >= limit {
        return Some(format!("{name} {limit}: submits are refused with ESME_RMSGQFUL (0x14)"));
    }
    level.is_near().then(|| format!("{name} {limit}, nearly reached: some submits are refused with ESME_RTHROTTLED (0x58)"))
}

fn of_spool(gateway: &Gateway) -> Vec<String> {
    let Some(journal) = gateway.journal() else { return vec!["starting: no submit is taken yet".to_owned()] };
    let mut found = Vec::new();
    if journal.gate().has_failed() {
        found.push("disk failing: submits are refused with ESME_RSYSERR (0x08)".to_owned());
    }
    if let Some(limit) = journal.gate().full() {
        let which = limit.name();
        found.push(format!("full ({which}): submits are refused with ESME_RMSGQFUL (0x14)"));
    }
    let limit = gateway.settings().config.limits.pending;
    found.extend(of_level("pending", Level { used: journal.gate().live(), limit }));
    let commit = journal.gate().commit_age(link::now());
    if commit > STALLED {
        found.push(format!(
            "stalled: a commit takes {} ms so far, submits are refused with ESME_RTHROTTLED (0x58)",
            commit.as_millis()
        ));
    }
    if journal.backlog() * BACKLOG_SHARE > journal.capacity() {
        found.push(format!("slow: {} of {} batches wait for the disk", journal.backlog(), journal.capacity()));
    }
    found
}

/// What holds the operator's queue back; `None` while it is empty or flows freely.
pub(super) fn of_operator(state: &OperatorState, settings: &Settings, statuses: &[Arc<BindStatus>]) -> Option<String> {
    let length = state.queue(|queue| queue.len());
    if length == 0 {
        return None;
    }
    let Some(operator) = settings.operator(state.key) else {
        return Some(format!("not in the configuration: {length} wait to be routed again"));
    };
    let binds = || statuses.iter().map(|bind| &**bind).filter(|bind| bind.operator == state.name && bind.kind.can_send());
    if !state.is_up() {
        let reason = binds().map(BindStatus::reason).find(|reason| !reason.is_empty());
        return Some(format!("down ({}): {length} wait", reason.unwrap_or_else(|| "no bind can send".to_owned())));
    }
    let slowed: Vec<u32> = binds().filter_map(BindStatus::slowed_to).collect();
    if !slowed.is_empty() {
        return Some(format!("slowed down by the operator to {}/s", slowed.iter().sum::<u32>()));
    }
    let rate = state.rate();
    if let Some(limit) = rate.per_second().filter(|_| rate.is_limiting(link::now())) {
        return Some(format!("rate {limit}/s"));
    }
    let window = operator.config.window;
    let mut up = binds().filter(|bind| bind.is_up()).peekable();
    let full = up.peek().is_some() && up.all(|bind| bind.window_used() >= window);
    full.then(|| format!("window {window}: all binds await responses"))
}

fn of_account(state: &AccountState, settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let Some(account) = settings.account(state.key).map(|account| &account.config) else { return found };
    let rate = state.rate();
    if let Some(limit) = rate.per_second().filter(|_| rate.is_limiting(link::now())) {
        found.push(format!("rate {limit}/s: submits are refused with ESME_RTHROTTLED (0x58)"));
    }
    found.extend(of_level("queue", Level { used: state.pending(), limit: account.queue }));
    if state.sessions() >= account.binds {
        found.push(format!("binds {}: no further session is let in", account.binds));
    }
    let mail = state.mailbox(|mailbox| mailbox.len());
    if mail > 0 && state.sessions() == 0 {
        found.push(format!("not bound: {mail} receipts and MO messages wait"));
    }
    found
}
