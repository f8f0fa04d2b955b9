//! System calls per message, in a run of their own because counting costs time.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::Outcome;
use crate::options::Options;
use crate::process::Process;
use crate::run::{Work, run_load, warm_up};
use crate::setup::{Gateway, Operators, Setup};
use crate::statistics::figure;

/// Messages of such a run.
const MESSAGES: u64 = 50_000;
/// A program that counts needs some time to attach itself to all threads.
const ATTACHING: Duration = Duration::from_millis(500);

/// A program that counts what a process asks of the kernel, until it is interrupted.
struct Counter {
    program: &'static str,
    arguments: &'static [&'static str],
    /// Finds the number of calls in its report.
    read: fn(&str) -> Option<f64>,
}

/// Without privileges perf may not count; strace may, and slows the gateway down.
const COUNTERS: [Counter; 2] = [
    Counter { program: "perf", arguments: &["stat", "-x,", "-e", "raw_syscalls:sys_enter"], read: read_perf },
    Counter { program: "strace", arguments: &["-f", "-c", "-qq"], read: read_strace },
];

/// System calls of the gateway per message, and who counted them.
pub fn per_message(options: &Options, setup: &Setup, work: &Work) -> Outcome<String> {
    let work = Work { messages: MESSAGES.min(work.messages), ..work.clone() };
    let operators = Operators::start(options, setup.operators)?;
    let mut gateway = Gateway::start(options, setup, &operators)?;
    warm_up(options, &work, &mut gateway)?;
    for counter in &COUNTERS {
        if let Ok(calls) = count(counter, options, &work, &mut gateway) {
            return Ok(format!("{} ({})", figure(calls / work.messages as f64), counter.program));
        }
    }
    Ok("neither perf nor strace can count here".to_owned())
}

fn count(counter: &Counter, options: &Options, work: &Work, gateway: &mut Gateway) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let pid = gateway.process.pid().to_string();
    let place = ["-o".as_ref(), report.as_path(), "-p".as_ref(), Path::new(&pid)];
    let mut process = Process::start(Path::new(counter.program), counter.arguments.iter().map(Path::new).chain(place))?;
    if process.ended_within(ATTACHING) {
        return Err("it cannot attach itself".into());
    }
    run_load(options, work, gateway.port)?;
    gateway.until_pending(0)?;
    process.signal(Signal::INT)?;
    process.finish()?;
    (counter.read)(&std::fs::read_to_string(&report)?).ok_or_else(|| "its report is not understood".into())
}

/// `123,,raw_syscalls:sys_enter,...`
fn read_perf(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

/// `100.00    0.000085          14         6         1 total`
fn read_strace(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
