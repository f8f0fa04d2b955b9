//! Durable per-account delivery of receipts and MO messages: what the sessions of an account share.
//!
//! The items themselves are in the ledger and the spool; the queue of an account holds what waits to be delivered
//! ([`crate::gateway::AccountState`]). Here is what keeps these queues tidy.

use std::sync::Arc;

use crate::gateway::{AccountState, Gateway};
use crate::journal::ReadBack;
use crate::ledger::{Event, MailEnd, RETURN};
use crate::message::{Mail, MessageId, Timestamp};
use crate::queue::Item;

/// Items that one event ends.
const ENDED_AT_ONCE: usize = 100;

/// Has items read back that a session will need soon.
pub fn load(gateway: &Arc<Gateway>, state: &Arc<AccountState>, ids: Vec<MessageId>) {
    let Some(journal) = gateway.journal() else { return };
    let (account, host) = (state.clone(), gateway.clone());
    let asked = journal.tell(move |lookup| {
        let back = ReadBack::of(ids, lookup, |lookup, id| lookup.mail(id));
        let lost = account.mailbox(|mailbox| back.fill(mailbox));
        account.wake();
        let lost: Vec<_> = lost.into_iter().map(|id| (id, MailEnd::Damaged)).collect();
        host.damaged((!lost.is_empty()).then_some(Event::MailDone(lost)));
    });
    if !asked {
        state.mailbox(|mailbox| mailbox.ask_again());
    }
}

/// Shows how much is in the mailboxes; as [`crate::operator::pool::measure`] does for the queues.
pub fn measure(gateway: &Gateway) {
    let now = gateway.clock.now();
    for state in gateway.accounts() {
        measure_one(&state, now);
    }
}

fn measure_one(state: &AccountState, now: Timestamp) -> usize {
    let (depth, oldest) = state.mailbox(|mailbox| (mailbox.len(), mailbox.oldest()));
    state.metrics.mailbox.set(depth as f64);
    state.metrics.mailbox_oldest_age.set(oldest.map_or(0.0, |at| now.since(at).as_secs_f64()));
    depth
}

/// Drops items whose time to live has ended, and the oldest of a mailbox that has grown beyond its limit; counts them as expired. At
/// first nothing ends by its time: while the gateway was down, or its clock was wrong, no application could fetch it. To be called every
/// second or so.
pub async fn look(gateway: &Arc<Gateway>) {
    let now = gateway.clock.now();
    let settings = gateway.settings();
    let limit = usize::try_from(settings.config.mailbox.max_per_account).unwrap_or(usize::MAX);
    let patience = settings.config.mailbox.time_to_live.min(RETURN);
    let ends = now >= gateway.clock.started_at().plus(patience);
    let mut events = Vec::new();
    for state in gateway.accounts() {
        let expired = state.mailbox(|mailbox| {
            let mut expired = if ends { mailbox.expire(now) } else { Vec::new() };
            let excess = mailbox.len().saturating_sub(limit);
            expired.extend(mailbox.take_oldest(excess));
            expired
        });
        if measure_one(&state, now) > 0 {
            state.wake();
        }
        let ended = |items: &[Item<Mail>]| Event::MailDone(items.iter().map(|item| (item.id, MailEnd::Expired)).collect());
        events.extend(expired.chunks(ENDED_AT_ONCE).map(ended));
    }
    if let Some(journal) = gateway.journal().filter(|_| !events.is_empty()) {
        journal.submit_in_turns(events).await;
    }
}
