//! The replies of the control socket as tables for people: aligned, without colours, narrow enough for a small terminal.

mod format;
mod message;
#[cfg(test)]
mod tests;

use comfy_table::{Cell, CellAlignment, Table, presets};
use format::{age, count, ratio, size, span, utc};
pub use message::message_line;

use crate::config::Fault;
use crate::control::protocol::*;
use crate::ledger::StrayReceipt;

/// Unmatched receipts shown; the reply has them all.
const RECEIPTS_SHOWN: usize = 40;

/// An answer, the final newline included.
pub fn answer(answer: &Answer) -> String {
    let now = answer.now;
    match &answer.reply {
        Reply::Stats(reply) => stats(reply, now),
        Reply::Accounts { accounts } => self::accounts(accounts, now),
        Reply::Binds { binds } => self::binds(binds),
        Reply::Queues { queues, mailboxes, unrouted } => self::queues(queues, mailboxes, *unrouted, now),
        Reply::Operators { operators } => self::operators(operators),
        Reply::Routes(reply) => routes(reply),
        Reply::Receipts { unmatched, parked, newest_parked } => receipts((unmatched, newest_parked), *parked, now),
        Reply::Quarantine(reply) => quarantine(reply, now),
        Reply::Message(reply) => message::message(reply, now),
        Reply::Messages(reply) => message::messages(reply, now),
        Reply::Reload(reply) => reload(reply),
        Reply::Drain(reply) => drain(reply),
        Reply::Version(reply) => version(reply, now),
    }
}

/// Faults one per line. The errors come last, next to where the eye is when it is over: among many warnings nobody would find them.
pub fn faults(faults: &[Fault]) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| fault.is_error());
    warnings.into_iter().chain(errors).map(|fault| format!("{fault}\n")).collect()
}

/// A column's heading; those that begin with `>` are aligned to the right, as numbers are.
fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().map(|heading| Cell::new(heading.trim_start_matches('>'))));
    for row in rows {
        table.add_row(row);
    }
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// Names and values, one pair per line.
fn facts<'f>(facts: impl IntoIterator<Item = (&'f str, String)>) -> String {
    facts.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

fn names(names: &[impl AsRef<str>]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// A missing limit.
fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

fn stats(stats: &Stats, now: u64) -> String {
    let Stats { node, version, started_at, .. } = stats;
    let mut text = format!("{node}: smppgw {version}, up {} since {}\n\n", age(now, *started_at), utc(*started_at));
    text += &facts([
        ("submits", if stats.accepting { "taken" } else { "NOT TAKEN" }.to_owned()),
        ("sessions", count(stats.sessions)),
        ("binds up", format!("{} of {}", stats.binds_up, stats.binds)),
        ("pending", format!("{} accepted and not final", count(stats.pending))),
        ("queued", format!("{} for operators, {} without a route", count(stats.queued), count(stats.unrouted))),
        ("mailboxes", format!("{} receipts and MO messages", count(stats.mailbox))),
    ]);
    if let Some(journal) = &stats.journal {
        text += &facts([("journal", format!("{} of {} batches wait", journal.backlog, count(journal.capacity)))]);
    }
    if let Some(spool) = &stats.spool {
        text += &self::spool(spool);
    }
    if stats.limiters.is_empty() {
        return text + "\nnothing holds messages back\n";
    }
    let rows = stats.limiters.iter().map(|limiter| vec![limiter.who.clone(), limiter.what.clone()]);
    text + "\n" + &table(&["HELD BACK BY", "LIMIT"], rows)
}

fn spool(spool: &Spool) -> String {
    facts([
        ("spool", format!("{} of {}, {} of it live", size(spool.used), size(spool.max), size(spool.live))),
        ("", String::new()),
        ("segments", format!("{} in use, {} spare", count(spool.segments), count(spool.spare_segments))),
        ("disk", format!("{} free, {} in reserve", size(spool.disk_free), size(spool.disk_reserve))),
        ("damaged", if spool.quarantined == 0 { String::new() } else { format!("{} in quarantine", count(spool.quarantined)) }),
        (
            "last commit",
            format!(
                "{} us, {}, {} events",
                count(spool.commit_microseconds),
                size(spool.commit_bytes),
                count(spool.commit_events)
            ),
        ),
    ])
}

fn accounts(accounts: &[Account], now: u64) -> String {
    let row = |account: &Account| {
        let mut notes = Vec::new();
        if account.throttled {
            notes.push("throttled");
        }
        if !account.configured {
            notes.push("removed");
        }
        vec![
            account.account.to_string(),
            ratio(account.sessions, account.sessions_max),
            ratio(account.pending, account.pending_max),
            or_dash(account.rate.map(|rate| format!("{rate}/s"))),
            count(account.mailbox),
            or_dash(account.mailbox_oldest_at.map(|at| age(now, at))),
            names(&notes),
        ]
    };
    table(&["ACCOUNT", ">SESSIONS", ">PENDING", ">RATE", ">MAILBOX", ">OLDEST", ""], accounts.iter().map(row))
}

fn binds(binds: &[Bind]) -> String {
    let row = |bind: &Bind| {
        let slowed = bind.slowed_to.map(|speed| format!("slowed to {speed}/s"));
        vec![
            format!("{}/{}", bind.operator, bind.number),
            bind.address.clone(),
            bind.kind.clone(),
            if bind.up { "up" } else { "DOWN" }.to_owned(),
            span(bind.since_milliseconds),
            ratio(bind.window_used, bind.window),
            slowed.unwrap_or_else(|| bind.reason.clone()),
        ]
    };
    table(&["BIND", "ADDRESS", "TYPE", "STATE", ">FOR", ">WINDOW", ""], binds.iter().map(row))
}

fn queues(queues: &[Queue], mailboxes: &[Mailbox], unrouted: usize, now: u64) -> String {
    let row = |queue: &Queue| {
        vec![
            queue.operator.to_string(),
            count(queue.length),
            or_dash(queue.oldest_at.map(|at| age(now, at))),
            or_dash(queue.next_due_at.map(|at| format!("in {}", span(at.saturating_sub(now))))),
            count(queue.senders),
            queue.limiter.clone().unwrap_or_default(),
        ]
    };
    let mut text = table(&["OPERATOR", ">QUEUED", ">OLDEST", ">NEXT DUE", ">SENDERS", "HELD BACK BY"], queues.iter().map(row));
    if unrouted > 0 {
        text += &format!("\n{} messages have no operator and wait for a reload\n", count(unrouted));
    }
    if mailboxes.is_empty() {
        return text + "\nall mailboxes are empty\n";
    }
    let row = |mailbox: &Mailbox| {
        let oldest = or_dash(mailbox.oldest_at.map(|at| age(now, at)));
        vec![mailbox.account.to_string(), count(mailbox.length), oldest, count(mailbox.sessions)]
    };
    text + "\n" + &table(&["MAILBOX OF", ">ITEMS", ">OLDEST", ">SESSIONS"], mailboxes.iter().map(row))
}

fn operators(operators: &[Operator]) -> String {
    let row = |operator: &Operator| {
        let removed = (!operator.configured).then(|| "removed".to_owned());
        vec![
            operator.operator.to_string(),
            if operator.up { "up" } else { "DOWN" }.to_owned(),
            ratio(operator.binds_up, operator.binds),
            count(operator.queue),
            ratio(operator.window_used, operator.window),
            or_dash(operator.rate.map(|rate| format!("{rate}/s"))),
            operator.limiter.clone().or(removed).unwrap_or_default(),
        ]
    };
    let headings = ["OPERATOR", "STATE", ">BINDS", ">QUEUED", ">WINDOW", ">RATE", "HELD BACK BY"];
    table(&headings, operators.iter().map(row))
}

fn routes(routes: &Routes) -> String {
    let file =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| format!(" from {}", path.display())).unwrap_or_default();
    let mut text = facts([
        ("prefixes", format!("{}, the rules below among them{}", count(routes.prefixes), file(&routes.prefixes_file))),
        ("ported", format!("{}{}", count(routes.ported), file(&routes.ported_file))),
    ]);
    let any = |list: &[std::sync::Arc<str>]| if list.is_empty() { "any".to_owned() } else { names(list) };
    if !routes.rules.is_empty() {
        let prefix = |prefix: &std::sync::Arc<str>| if prefix.is_empty() { "all".to_owned() } else { prefix.to_string() };
        let row = |rule: &Route| {
            let prefixes: Vec<String> = rule.prefixes.iter().map(prefix).collect();
            vec![rule.line.to_string(), names(&prefixes), any(&rule.accounts), any(&rule.senders), names(&rule.operators)]
        };
        text += "\n";
        text += &table(&[">LINE", "PREFIX", "ACCOUNT", "SENDER", "OPERATORS"], routes.rules.iter().map(row));
    }
    if !routes.inbound.is_empty() {
        let row = |rule: &Inbound| {
            let keyword = rule.keyword.as_deref().unwrap_or("all else");
            vec![rule.number.to_string(), keyword.to_owned(), rule.account.to_string()]
        };
        text += "\n";
        text += &table(&["INBOUND TO", "KEYWORD", "ACCOUNT"], routes.inbound.iter().map(row));
    }
    text
}

fn receipts((unmatched, parked): (&[StrayReceipt], &[StrayReceipt]), all_parked: usize, now: u64) -> String {
    let parked = stray(&format!("{} parked: their message may yet be answered for", count(all_parked)), parked, all_parked, now);
    let unmatched = stray(&format!("{} unmatched", count(unmatched.len())), unmatched, unmatched.len(), now);
    format!("{parked}\n{unmatched}")
}

/// Receipts without a message, the newest first: `all` of them there are, of which some are known here.
fn stray(title: &str, receipts: &[StrayReceipt], all: usize, now: u64) -> String {
    let row = |receipt: &StrayReceipt| {
        let (operator, id) = (receipt.operator.to_string(), receipt.operator_id.clone());
        vec![age(now, receipt.received_at), operator, id, receipt.state.clone(), receipt.source.clone()]
    };
    if receipts.is_empty() {
        return format!("{title}\n");
    }
    let shown = table(&[">AGE", "OPERATOR", "OPERATOR'S ID", "STATE", "FROM"], receipts.iter().take(RECEIPTS_SHOWN).map(row));
    match all.saturating_sub(RECEIPTS_SHOWN) {
        0 => format!("{title}\n{shown}"),
        more => format!("{title}\n{shown}{} more, --json shows {} in all\n", count(more), count(receipts.len())),
    }
}

fn quarantine(quarantine: &Quarantine, now: u64) -> String {
    let messages = &quarantine.messages;
    let all = count(messages.len());
    match quarantine.action {
        QuarantineAction::List if messages.is_empty() => return "no message is in quarantine\n".to_owned(),
        QuarantineAction::List => {}
        QuarantineAction::Release => return format!("{all} released: queued again\n"),
        QuarantineAction::Drop => return format!("{all} dropped: reported as undeliverable\n"),
    }
    let row = |message: &QuarantinedMessage| {
        vec![
            message.id.clone(),
            message.account.to_string(),
            message.operator.to_string(),
            message.destination.clone(),
            count(message.attempts),
            age(now, message.since),
            message.reason.clone(),
        ]
    };
    let headings = ["MESSAGE", "ACCOUNT", "OPERATOR", "TO", ">TRIES", ">FOR", "REASON"];
    table(&headings, messages.iter().map(row))
}

fn reload(report: &ReloadReport) -> String {
    let mut text = faults(&report.warnings);
    text += &format!("{} is in force\n", report.file);
    let mut told = |what: &str, how: &str, list: &[std::sync::Arc<str>]| {
        if !list.is_empty() {
            text += &format!("{what} {how}: {}\n", names(list));
        }
    };
    for (what, changes) in [("accounts", &report.accounts), ("operators", &report.operators)] {
        told(what, "added", &changes.added);
        told(what, "removed", &changes.removed);
        told(what, "changed", &changes.changed);
    }
    text += &format!("routes: {} prefixes, {} ported numbers\n", count(report.prefixes), count(report.ported));
    if !report.needs_restart.is_empty() {
        text += &format!("only a restart applies what changed in: {}\n", names(&report.needs_restart));
    }
    text
}

fn drain(drained: &Drained) -> String {
    let (cut, pending) = (drained.sessions, count(drained.pending));
    let how = if cut == 0 { "in order".to_owned() } else { format!("with {} sessions cut", count(cut)) };
    format!("stopped {how}; {pending} pending messages stay in the spool\n")
}

fn version(version: &Version, now: u64) -> String {
    facts([
        ("version", version.version.clone()),
        ("node", version.node.to_string()),
        ("process", version.process.to_string()),
        ("up", format!("{} since {}", age(now, version.started_at), utc(version.started_at))),
        ("config", version.config.to_string()),
    ])
}
