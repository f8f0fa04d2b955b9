//! Messages in quarantine: listed, released, dropped.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::gather::{JOURNAL_PATIENCE, ask, journal_behind, journal_silent, message_id};
use super::protocol::{Quarantine, QuarantineAction, QuarantinedMessage, Refusal, moment};
use crate::gateway::{Gateway, message_id_text};
use crate::journal::{Batch, Journal};
use crate::ledger::{Event, Quarantined, Release, Status};

/// Messages decided about in one group.
const AT_ONCE: usize = 1_000;

/// The word for every message there is.
const ALL: &str = "all";

/// Does what was asked; tells of every message it was done to.
pub(super) async fn act(gateway: &Gateway, action: QuarantineAction, id: Option<&str>) -> Result<Quarantine, Refusal> {
    let how = match action {
        QuarantineAction::List => None,
        QuarantineAction::Release => Some(Release::Queue),
        QuarantineAction::Drop => Some(Release::Drop),
    };
    let mut messages = ask(gateway, |lookup| lookup.quarantined()).await?;
    match (how, id) {
        (Some(_), None) => return Err(Refusal::new(format!("expected the id of a message in quarantine, or {ALL}"))),
        (_, Some(ALL) | None) => {}
        (_, Some(text)) => {
            let id = message_id(gateway, text)?;
            messages.retain(|message| message.id == id);
            if messages.is_empty() {
                return Err(Refusal::new(format!("no message {text} in quarantine")));
            }
        }
    }
    let messages = match how {
        Some(how) => decide(gateway, messages, how).await?,
        None => messages,
    };
    let show = |message| show(gateway, message);
    Ok(Quarantine { action, messages: messages.into_iter().map(show).collect() })
}

fn show(gateway: &Gateway, message: Quarantined) -> QuarantinedMessage {
    QuarantinedMessage {
        id: message_id_text(gateway.node_names().of(message.id), message.id, message.short_id),
        account: message.account,
        operator: message.operator,
        destination: message.destination.into(),
        attempts: message.case.sessions,
        since: message.case.since.0,
        expires_at: moment(Some(message.expires_at)),
        reason: message.case.reason(),
    }
}

/// Lets the journal decide, some at a time. What has left the quarantine meanwhile is left out.
async fn decide(gateway: &Gateway, messages: Vec<Quarantined>, how: Release) -> Result<Vec<Quarantined>, Refusal> {
    let Some(journal) = gateway.journal() else { return Err(journal_behind()) };
    let mut done = Vec::new();
    let mut left = messages.into_iter().peekable();
    while left.peek().is_some() {
        let some: Vec<Quarantined> = left.by_ref().take(AT_ONCE).collect();
        let events = some.iter().map(|message| Event::Release { id: message.id, how }).collect();
        let statuses = durable(journal, events, JOURNAL_PATIENCE).await?;
        let ended = |at: usize| statuses.get(at).is_none_or(|status| *status == 0);
        done.extend(some.into_iter().enumerate().filter(|(at, _)| ended(*at)).map(|(_, message)| message));
    }
    Ok(done)
}

/// Waits until the events are durable; a status for each, or none when all are well.
async fn durable(journal: &Journal, events: Vec<Event>, patience: Duration) -> Result<Vec<Status>, Refusal> {
    let (reply, mut answer) = mpsc::channel(1);
    journal.submit(Batch { events, reply: Some((reply, 0)) }).map_err(|_| journal_behind())?;
    match timeout(patience, answer.recv()).await {
        Ok(Some(ack)) => Ok(ack.statuses),
        Ok(None) => Err(journal_behind()),
        Err(_) => Err(journal_silent()),
    }
}
