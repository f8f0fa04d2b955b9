//! One measured run: load through the gateway, or load directly to an operator, which is the ceiling.

use std::time::Instant;

use crate::Outcome;
use crate::options::Options;
use crate::process::{Cpu, Ended, Memory, Process};
use crate::reports::{LoadReport, Quantiles, sent_latency};
use crate::setup::{Gateway, Operators, PASSWORD, SYSTEM_ID, Setup};

/// A ceiling at full speed gets so many times the messages, to last about as long as the gateway: starting costs time too.
const CEILING_MESSAGES: u64 = 5;

/// What `smppgw load` is told.
#[derive(Debug, Clone)]
pub struct Work {
    pub messages: u64,
    pub binds: usize,
    pub window: usize,
    pub length: usize,
    pub receipts: bool,
    /// Messages per second; `None` for as fast as the windows allow.
    pub rate: Option<f64>,
    pub destinations: Vec<String>,
    /// Each text says when it was submitted.
    pub stamp: bool,
}

impl Work {
    pub fn new(options: &Options, setup: &Setup) -> Work {
        Work {
            messages: options.messages,
            binds: options.binds,
            window: options.window,
            length: 20,
            receipts: true,
            rate: None,
            destinations: setup.destinations(),
            stamp: options.stamps,
        }
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let receipts = if self.receipts { "yes" } else { "no" };
        let mut arguments = format!(
            "load --to 127.0.0.1:{port} --system-id {SYSTEM_ID} --password {PASSWORD} --json --quiet --binds {} --window {} \
             --messages {} --length {} --receipts {receipts} --destination {}",
            self.binds,
            self.window,
            self.messages,
            self.length,
            self.destinations.join(",")
        );
        if let Some(rate) = self.rate {
            arguments.push_str(&format!(" --rate {rate:.0}"));
        }
        if self.stamp {
            arguments.push_str(" --stamp");
        }
        arguments.split(' ').map(str::to_owned).collect()
    }

    /// The command as a reader would type it.
    pub fn command(&self) -> String {
        let mut arguments = self.arguments(2775);
        if let Some(last) = arguments.iter_mut().find(|argument| argument.len() > 60) {
            last.truncate(40);
            last.push_str("...");
        }
        format!("smppgw {}", arguments.join(" "))
    }
}

/// What one run has shown.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Accepted messages per second.
    pub accepted: f64,
    /// Messages per second until the last one was final: handed over, and its receipt brought back where one was wanted.
    pub finished: f64,
    /// Microseconds of processor time per message.
    pub gateway: Cpu,
    pub load: f64,
    pub operators: f64,
    pub response: Quantiles,
    pub sent: Option<Quantiles>,
    pub receipt: Quantiles,
    pub lateness: Quantiles,
    /// Of the gateway, right after the run.
    pub memory: Memory,
}

/// Load and operator connected directly.
pub fn ceiling(options: &Options, work: &Work) -> Outcome<Sample> {
    let times = if work.rate.is_none() { CEILING_MESSAGES } else { 1 };
    let work = &Work { messages: work.messages * times, ..work.clone() };
    let operators = Operators::start(options, 1)?;
    let before = operators.process.cpu()?;
    let (started, load) = run_load(options, work, operators.port())?;
    let seconds = started.elapsed().as_secs_f64();
    let ended = operators.stop()?;
    let sample = sample(work, seconds, &load, Cpu::default(), ended.cpu - before)?;
    Ok(Sample { sent: sent_latency(&ended.output)?, ..sample })
}

/// A gateway of its own for one run, warmed up.
pub fn through_gateway(options: &Options, setup: &Setup, work: &Work) -> Outcome<Sample> {
    let operators = Operators::start(options, setup.operators)?;
    let mut gateway = Gateway::start(options, setup, &operators)?;
    warm_up(options, work, &mut gateway)?;
    let sample = measure(options, work, &mut gateway, &operators, 0)?;
    drop(gateway);
    Ok(Sample { sent: sent_latency(&operators.stop()?.output)?, ..sample })
}

/// As many messages as are counted afterwards. In the first seconds of its life a gateway takes its memory from the kernel and fills its
/// first segment files with zeros, which later are there to be used again: a message costs more then than ever after.
pub fn warm_up(options: &Options, work: &Work, gateway: &mut Gateway) -> Outcome<()> {
    let messages = work.messages.max(work.binds as u64);
    run_load(options, &Work { messages, rate: None, stamp: false, ..work.clone() }, gateway.port)?;
    gateway.until_pending(0)
}

/// One run through a gateway that is up; `pending` messages wait for another operator and stay.
pub fn measure(options: &Options, work: &Work, gateway: &mut Gateway, operators: &Operators, pending: u64) -> Outcome<Sample> {
    let before = (gateway.process.cpu()?, operators.process.cpu()?);
    let (started, load) = run_load(options, work, gateway.port)?;
    gateway.until_pending(pending)?;
    let seconds = started.elapsed().as_secs_f64();
    let after = (gateway.process.cpu()?, operators.process.cpu()?);
    let sample = sample(work, seconds, &load, after.0 - before.0, after.1 - before.1)?;
    Ok(Sample { memory: gateway.process.memory()?, ..sample })
}

pub fn run_load(options: &Options, work: &Work, port: u16) -> Outcome<(Instant, Ended)> {
    let started = Instant::now();
    let ended = Process::start(&options.peers, work.arguments(port))?.finish()?;
    if ended.success { Ok((started, ended)) } else { Err(format!("the load was not taken whole: {}", ended.output).into()) }
}

fn sample(work: &Work, seconds: f64, load: &Ended, gateway: Cpu, operators: Cpu) -> Outcome<Sample> {
    let report = LoadReport::parse(&load.output)?;
    let per_message = |seconds: f64| seconds * 1e6 / work.messages as f64;
    Ok(Sample {
        accepted: report.per_second,
        finished: work.messages as f64 / seconds,
        gateway: Cpu { user: per_message(gateway.user), system: per_message(gateway.system) },
        load: per_message(load.cpu.total()),
        operators: per_message(operators.total()),
        response: report.response_ms,
        receipt: report.receipt_ms,
        lateness: report.lateness_ms,
        ..Sample::default()
    })
}
