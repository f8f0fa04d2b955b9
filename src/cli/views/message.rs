//! A message, and messages that were looked for.

use super::format::{age, span, utc};
use super::{facts, names, or_dash, table};
use crate::control::protocol::{FoundMessage, Message, Messages, Place};
use crate::ledger::PartStatus;

pub(super) fn message(message: &Message, now: u64) -> String {
    let ago = |at: u64| format!("{}, {} ago", utc(at), age(now, at));
    let expires = |at: u64| match at.checked_sub(now) {
        Some(left) => format!("{}, in {}", utc(at), span(left)),
        None => ago(at),
    };
    let time = |at: Option<u64>| at.map(ago).unwrap_or_default();
    let mut text = facts([
        ("message", message.id.clone()),
        ("account", message.account.to_string()),
        ("state", message.state.clone()),
        ("where", place(&message.place, now)),
        ("from", message.source.clone().unwrap_or_default()),
        ("to", message.destination.clone().unwrap_or_default()),
        ("accepted", time(message.accepted_at)),
        ("finished", time(message.finished_at)),
        (
            "expires",
            if message.finished_at.is_some() { String::new() } else { message.expires_at.map(expires).unwrap_or_default() },
        ),
        ("route", names(&message.route)),
    ]);
    if !message.parts.is_empty() {
        let row = |(at, part): (usize, &PartStatus)| {
            let error = if part.error == 0 { String::new() } else { part.error.to_string() };
            let operator = or_dash(part.operator.as_ref().map(|operator| operator.to_string()));
            vec![(at + 1).to_string(), part.state.clone(), operator, part.operator_id.clone(), error]
        };
        text += "\n";
        text += &table(&[">PART", "STATE", "OPERATOR", "OPERATOR'S ID", ">ERROR"], message.parts.iter().enumerate().map(row));
    }
    text
}

/// A message in a line for each part, for `smppgw send`: which operator has it under which id; before that, where it is.
pub fn message_line(message: &Message, now: u64) -> String {
    if message.parts.is_empty() {
        return format!("where    {}", place(&message.place, now));
    }
    let parts = message.parts.iter().enumerate().map(|(at, part)| {
        let operator = part.operator.as_deref().unwrap_or("no operator yet");
        let id = if part.operator_id.is_empty() { String::new() } else { format!(" as {}", part.operator_id) };
        format!("part {:<4}{operator}{id}, {}", at + 1, part.state)
    });
    parts.collect::<Vec<_>>().join("\n")
}

fn place(place: &Place, now: u64) -> String {
    match place {
        Place::Queue { operator, since, attempts, not_before, refused } => {
            let mut text = format!("in the queue of {operator} for {}", age(now, *since));
            if *attempts > 0 {
                text += &format!(", {}", failed(*attempts));
            }
            if let Some(status) = refused {
                text += &format!(", the last with {status}");
            }
            if let Some(at) = not_before {
                text += &format!(", due {}", due(*at, now));
            }
            text
        }
        Place::Quarantine { operator, since, attempts, reason } => {
            format!("in quarantine for {} after {attempts} tries, the last at {operator}: {reason}", age(now, *since))
        }
        Place::Operator => "on its way to the operator, no response yet".to_owned(),
        Place::Receipt => "with the operator, no receipt yet".to_owned(),
        Place::Unrouted => "no operator may carry it: it waits for a reload".to_owned(),
        Place::QueueOrOperator => "in a long queue, or on its way to the operator".to_owned(),
        Place::Finished => String::new(),
    }
}

/// One is shown as if it had been asked for by its id; of several, where each of them is.
pub(super) fn messages(messages: &Messages, now: u64) -> String {
    let mut text = match &messages.messages[..] {
        [FoundMessage { message, certain: true }] => self::message(message, now),
        all => {
            let rows = all.iter().map(|found| row(found, now));
            let table = table(&["MESSAGE", "ACCOUNT", ">ACCEPTED", "TO", "OPERATOR", "STATE"], rows);
            table + "\nsmppgw ctl message ID tells more of one\n"
        }
    };
    if messages.messages.iter().any(|found| !found.certain) {
        text += "?: no more than the last digits of the number are known, another one may end in the same\n";
    }
    if messages.more {
        text += "there are older ones: these are the newest\n";
    }
    if !messages.complete {
        text += "the search took too long and was ended: there may be older ones\n";
    }
    text
}

fn row(FoundMessage { message, certain }: &FoundMessage, now: u64) -> Vec<String> {
    let of_parts = message.parts.iter().find_map(|part| part.operator.clone());
    let operator = match &message.place {
        Place::Queue { operator, .. } | Place::Quarantine { operator, .. } => Some(operator.clone()),
        _ => of_parts,
    };
    let destination = message.destination.clone().unwrap_or_default();
    vec![
        message.id.clone(),
        message.account.to_string(),
        or_dash(message.accepted_at.map(|at| format!("{} ago", age(now, at)))),
        if *certain { destination } else { format!("{destination}?") },
        or_dash(operator.map(|operator| operator.to_string())),
        standing(message, now),
    ]
}

/// Where a message is, in few words.
fn standing(message: &Message, now: u64) -> String {
    match &message.place {
        Place::Queue { not_before: Some(at), refused, attempts, .. } => match refused {
            Some(status) => format!("{status}, again {}", due(*at, now)),
            None if *attempts > 0 => format!("{}, again {}", failed(*attempts), due(*at, now)),
            None => format!("due {}", due(*at, now)),
        },
        Place::Queue { attempts: 0, .. } => "queued".to_owned(),
        Place::Queue { attempts, .. } => format!("queued, {}", failed(*attempts)),
        Place::Quarantine { attempts, .. } => format!("in quarantine after {attempts} tries"),
        Place::Operator => "on its way, no response yet".to_owned(),
        Place::Receipt => "sent, no receipt yet".to_owned(),
        Place::Unrouted => "no operator may carry it".to_owned(),
        Place::QueueOrOperator => "queued, or on its way".to_owned(),
        Place::Finished => match message.finished_at {
            Some(at) => format!("{} {} ago", message.state, age(now, at)),
            None => message.state.clone(),
        },
    }
}

fn failed(attempts: u16) -> String {
    if attempts == 1 { "1 failed attempt".to_owned() } else { format!("{attempts} failed attempts") }
}

fn due(at: u64, now: u64) -> String {
    if at > now { format!("in {}", span(at - now)) } else { "now".to_owned() }
}
