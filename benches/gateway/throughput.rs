//! As fast as the windows allow: the gateway beside the ceiling, round by round.

use std::fmt::Write as _;

use crate::Outcome;
use crate::options::{Options, Scenario};
use crate::results::{Table, load_average, publish};
use crate::run::{Sample, Work, ceiling, through_gateway};
use crate::setup::Setup;
use crate::statistics::{Median, figure};
use crate::syscalls;

/// A scenario with what is to be reached.
struct Case {
    title: &'static str,
    length: usize,
    receipts: bool,
    /// Processor time of the gateway per message in microseconds, the kernel's included.
    cpu_target: &'static str,
    /// Share of the ceiling.
    share_target: &'static str,
}

fn case(scenario: Scenario) -> Case {
    match scenario {
        Scenario::NoReceipts => Case {
            title: "20 characters, without receipts",
            length: 20,
            receipts: false,
            cpu_target: "<= 5 (reach for 2.5)",
            share_target: ">= 0.08 (reach for 0.15)",
        },
        Scenario::Full => {
            Case { title: "160 characters, with receipts", length: 160, receipts: true, cpu_target: "", share_target: "" }
        }
        Scenario::Long => Case {
            title: "450 characters (3 parts), with receipts",
            length: 450,
            receipts: true,
            cpu_target: "<= 22",
            share_target: "",
        },
        _ => Case {
            title: "20 characters, with receipts",
            length: 20,
            receipts: true,
            cpu_target: "<= 10 (reach for 4)",
            share_target: ">= 0.12 (reach for 0.25)",
        },
    }
}

pub fn run(options: &Options, scenario: Scenario) -> Outcome<()> {
    let case = case(scenario);
    let setup = Setup::default();
    let work = Work { length: case.length, receipts: case.receipts, ..Work::new(options, &setup) };
    let before = load_average();
    let (mut ceilings, mut gateways, mut short) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let direct = ceiling(options, &work)?;
        let gateway = through_gateway(options, &setup, &work)?;
        println!(
            "{} {round}: ceiling {}/s, gateway {}/s, {} us of the gateway's processor time per message",
            case.title,
            figure(direct.finished),
            figure(gateway.finished),
            figure(gateway.gateway.total())
        );
        if scenario == Scenario::Full {
            let reference = through_gateway(options, &setup, &Work::new(options, &setup))?;
            short.push(gateway.gateway.total() / reference.gateway.total());
        }
        ceilings.push(direct);
        gateways.push(gateway);
    }
    let calls = syscalls::per_message(options, &setup, &work)?;
    let mut table = table(&case, &ceilings, &gateways);
    table.row(["system calls per message", "", &calls, ""]);
    if scenario == Scenario::Full {
        table.row(["**processor time to that of 20 characters**", "", &Median::of(short).to_string(), "<= 1.2"]);
    }
    let mut body = table.to_string();
    let _ = write!(body, "\n`{}`; the load: `{}`; load average before: {before}\n", options.command(scenario), work.command());
    publish(options, case.title, &body)
}

fn table(case: &Case, ceilings: &[Sample], gateways: &[Sample]) -> Table {
    let mut table = Table::new(&["", "directly (the ceiling)", "through the gateway", "target"]);
    let of = |samples: &[Sample], value: &dyn Fn(&Sample) -> f64| Median::of(samples.iter().map(value)).to_string();
    let mut both = |name: &str, value: &dyn Fn(&Sample) -> f64, target: &str| {
        table.row([name, &of(ceilings, value), &of(gateways, value), target]);
    };
    both("messages accepted per second", &|s| s.accepted, "");
    both("messages finished per second", &|s| s.finished, "");
    both("us of processor time per message: load", &|s| s.load, "");
    both("... operators", &|s| s.operators, "");
    both("response p50, ms", &|s| s.response.p50, "");
    both("... p99, ms", &|s| s.response.p99, "");
    both("... p99.9, ms", &|s| s.response.p999, "");
    if case.receipts {
        both("receipt p50, ms", &|s| s.receipt.p50, "");
        both("... p99, ms", &|s| s.receipt.p99, "");
    }
    if gateways.iter().all(|sample| sample.sent.is_some()) {
        both("submitted to sent p50, ms", &|s| s.sent.unwrap_or_default().p50, "");
        both("... p99, ms", &|s| s.sent.unwrap_or_default().p99, "");
        both("... p99.9, ms", &|s| s.sent.unwrap_or_default().p999, "");
    }
    let mut gateway = |name: &str, value: &dyn Fn(&Sample) -> f64, target: &str| {
        table.row([name, "", &of(gateways, value), target]);
    };
    gateway("**us of processor time per message: gateway**", &|s| s.gateway.total(), case.cpu_target);
    gateway("... of that in the kernel", &|s| s.gateway.system, "");
    gateway("memory after the run, MiB", &|s| s.memory.now, "");
    gateway("... at its highest, MiB", &|s| s.memory.peak, "");
    let shares = |value: fn(&Sample) -> f64| {
        Median::of(gateways.iter().zip(ceilings).map(|(gateway, ceiling)| value(gateway) / value(ceiling))).to_string()
    };
    table.row(["**share of the ceiling, finished**", "", &shares(|s| s.finished), case.share_target]);
    table.row(["... accepted", "", &shares(|s| s.accepted), ""]);
    table
}
