//! The command line of the harness.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The real daemon between `smppgw load` and `smppgw simulate`, each in its own process. Without scenarios: all of them.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench gateway --")]
pub struct Options {
    /// What to measure, in this order.
    pub scenarios: Vec<Scenario>,
    /// Runs of each measurement; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Messages of a run through the gateway; the ceiling gets five times as many.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub messages: u64,
    /// Binds of the load.
    #[arg(long, default_value_t = 8)]
    pub binds: usize,
    /// Unanswered submissions per bind.
    #[arg(long, default_value_t = 100)]
    pub window: usize,
    /// The longest queue of the growth curve; 10000000 takes some minutes and 2 GB of disk.
    #[arg(long, default_value_t = 1_000_000)]
    pub pending: u64,
    /// Seconds of a latency run.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Only to see that it works: one short round, and no table is written.
    #[arg(long)]
    pub quick: bool,
    /// Where the spools are; on the disk that is to be measured.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"), hide_default_value = true)]
    pub folder: PathBuf,
    /// The program under test, when it is to be another build.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_smppgw"), hide_default_value = true)]
    pub gateway: PathBuf,
    /// The program that generates load and simulates operators.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_smppgw"), hide_default_value = true)]
    pub peers: PathBuf,
    /// Where the tables go.
    #[arg(long, default_value = "benches/RESULTS.md")]
    pub results: PathBuf,
    /// Show the tables and write nothing.
    #[arg(long)]
    pub dry: bool,
    /// Does the load write stamps into the texts, by which the simulated operators know how long they were on their way? Not every
    /// program given with `--peers` can.
    #[arg(skip)]
    pub stamps: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 20 characters, with receipts.
    Receipts,
    /// 20 characters, without receipts.
    NoReceipts,
    /// 160 characters, with receipts.
    Full,
    /// 450 characters in three parts, with receipts.
    Long,
    /// Cost from 1 to 1,000 binds.
    Binds,
    /// Cost from 10 to 100,000 prefixes.
    Prefixes,
    /// Cost and memory from an empty queue to --pending messages.
    Pending,
    /// Cost from 1 to 64 operators.
    Operators,
    /// The same with eight binds of applications per operator of the largest point, so that each connection has something to do.
    OperatorsBusy,
    /// Response times at a tenth of the greatest rate, beside those of the disk.
    Latency,
    /// The table of the criterion benches that have been run.
    Criterion,
}

impl Options {
    pub fn read() -> Options {
        let mut options = Options::parse();
        if options.scenarios.is_empty() {
            options.scenarios = Scenario::value_variants().to_vec();
        }
        if options.quick {
            (options.dry, options.rounds, options.seconds) = (true, 1, 2);
            options.messages = options.messages.min(20_000);
            options.pending = options.pending.min(100_000);
        }
        let help = std::process::Command::new(&options.peers).args(["load", "--help"]).output();
        options.stamps = help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--stamp"));
        options
    }

    /// The command that repeats a section.
    pub fn command(&self, scenario: Scenario) -> String {
        let name = scenario.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let mut command = format!("cargo bench --bench gateway -- {name} --rounds {} --messages {}", self.rounds, self.messages);
        if (self.binds, self.window) != (8, 100) {
            command.push_str(&format!(" --binds {} --window {}", self.binds, self.window));
        }
        match scenario {
            Scenario::Pending => command.push_str(&format!(" --pending {}", self.pending)),
            Scenario::Latency => command.push_str(&format!(" --seconds {}", self.seconds)),
            Scenario::Criterion => command = "cargo bench --bench gateway -- criterion".to_owned(),
            _ => {}
        }
        command
    }
}
