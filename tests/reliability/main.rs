//! The fault table, row by row: the real daemon between load and simulated operators, while what it stands on fails.
//!
//! `cargo test --test reliability -- [ROW]... [--points N] [--pause SECONDS]`. Without rows: all but those that take long. A row needs what it
//! needs (root for mounts and network namespaces, strace, libfaketime); where a machine lacks that, the table says so.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod crash;
mod disk;
mod network;
mod peers;
mod tools;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

/// What a row comes to.
enum Verdict {
    /// With the figures.
    Holds(String),
    /// The machine has not what it takes to try.
    Lacking(String),
    Broken(String),
}

/// How thoroughly.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Points at which a fault is injected, for each way of injecting it.
    pub points: u64,
    /// How long the daemon is stopped.
    pub pause: Duration,
}

/// The figures, or what the machine lacks.
type Outcome = Result<String, String>;

struct Row {
    number: u32,
    what: &'static str,
    try_it: fn(Scale) -> Outcome,
    /// Only when asked for by its number.
    long: bool,
}

const ROWS: &[Row] = &[
    row(1, "SIGKILL at the Nth fdatasync and at the Nth write", crash::killed_at_the_nth_call),
    row(2, "power cut: the file system is shut down under load", disk::power_cut),
    row(3, "disk full", disk::full),
    row(4, "EIO from fdatasync and from write", disk::errors),
    row(5, "every fdatasync takes half a second", disk::slow),
    row(14, "an application stops reading", peers::a_client_that_is_stopped),
    row(15, "1,000 binds come back at once", peers::a_thousand_binds),
    row(16, "the link to the operators goes dead", network::dead_link),
    row(18, "the wall clock jumps", clock::jumps),
    row(19, "the daemon is stopped for a while", peers::a_stopped_daemon),
    row(20, "1,000 reloads under load", peers::reloads),
    row(26, "SIGTERM under load", crash::terminated),
    Row { number: 25, what: "a backlog of ten million messages", try_it: disk::backlog, long: true },
];

const fn row(number: u32, what: &'static str, try_it: fn(Scale) -> Outcome) -> Row {
    Row { number, what, try_it, long: false }
}

fn main() -> ExitCode {
    // Several times what any timer towards the operators allows in the row that asks.
    let mut scale = Scale { points: 4, pause: Duration::from_secs(12) };
    let mut wanted = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), word.parse::<u32>()) {
            ("--points", _) => scale.points = words.next().and_then(|n| n.parse().ok()).expect("--points needs a number"),
            ("--pause", _) => {
                let seconds = words.next().and_then(|n| n.parse().ok()).expect("--pause needs seconds");
                scale.pause = Duration::from_secs(seconds);
            }
            (_, Ok(row)) if ROWS.iter().any(|known| known.number == row) => wanted.push(row),
            _ => {
                eprintln!("usage: reliability [ROW]... [--points N] [--pause SECONDS]; not understood: {word}");
                return ExitCode::FAILURE;
            }
        }
    }
    let chosen = ROWS.iter().filter(|row| if wanted.is_empty() { !row.long } else { wanted.contains(&row.number) });
    let mut good = true;
    for row in chosen {
        let verdict = judge(row, scale);
        let (word, figures) = match &verdict {
            Verdict::Holds(figures) => ("holds", figures),
            Verdict::Lacking(what) => ("not tried: this machine lacks", what),
            Verdict::Broken(why) => ("DOES NOT HOLD", why),
        };
        println!("| {} | {} | {figures} | {word} |", row.number, row.what);
        good &= !matches!(verdict, Verdict::Broken(_));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(row: &Row, scale: Scale) -> Verdict {
    eprintln!("row {}: {}", row.number, row.what);
    match catch_unwind(AssertUnwindSafe(|| (row.try_it)(scale))) {
        Ok(Ok(figures)) => Verdict::Holds(figures),
        Ok(Err(lacking)) => Verdict::Lacking(lacking),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Verdict::Broken(text.unwrap_or_default().lines().take(3).collect::<Vec<_>>().join(" "))
        }
    }
}
