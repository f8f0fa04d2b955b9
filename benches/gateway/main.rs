//! The real daemon in a process of its own between `smppgw load` and `smppgw simulate`, always paired in the same run with the
//! two of them connected directly. `cargo bench --bench gateway -- --help` tells what can be measured; the tables go to
//! `benches/RESULTS.md`.

mod criterion;
mod growth;
mod latency;
mod options;
mod process;
mod reports;
mod results;
mod run;
mod setup;
mod statistics;
mod syscalls;
mod throughput;

use std::process::ExitCode;

use options::{Options, Scenario};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // `cargo bench` says --bench; whoever only lists or runs tests finds none here.
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--help") {
        return ExitCode::SUCCESS;
    }
    match run(&Options::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches/gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let kind = results::file_system(&options.folder)?;
    if kind == "tmpfs" {
        return Err("the spool must be on a disk: say --folder".into());
    }
    results::publish(options, "Machine", &results::machine(&options.folder)?)?;
    allow_many_connections()?;
    for &scenario in &options.scenarios {
        match scenario {
            Scenario::Receipts | Scenario::NoReceipts | Scenario::Full | Scenario::Long => throughput::run(options, scenario)?,
            Scenario::Binds | Scenario::Prefixes | Scenario::Pending | Scenario::Operators | Scenario::OperatorsBusy => {
                growth::run(options, scenario)?
            }
            Scenario::Latency => latency::run(options)?,
            Scenario::Criterion => criterion::run(options)?,
        }
    }
    Ok(())
}

/// Raises the limit of open files for all children: a thousand binds have two ends.
fn allow_many_connections() -> Outcome<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
