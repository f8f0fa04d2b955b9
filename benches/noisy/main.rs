//! Does one account disturb another? A quiet account's latencies alone, and beside a noisy one that floods: within its limits, with
//! its rate limited, and when it stops reading. `cargo bench --bench noisy -- --help` tells what can be changed.
//!
//! All programs share the machine, and where it has no core to spare what a client sees is mostly how the kernel shares out the cores.
//! What would be on machines of their own therefore gets only what the gateway leaves of the cores (nice 19), while the quiet client,
//! by whose clock is measured, is given its turn at once (nice -20, which needs root). `--alike` lets all of them compete.

#[path = "../gateway/process.rs"]
#[allow(dead_code)] // the other benchmark uses the rest
mod process;
#[path = "../gateway/statistics.rs"]
#[allow(dead_code)] // the same
mod statistics;

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use process::{Ended, Process};
use statistics::{Median, figure};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PASSWORD: &str = "secret";

/// How long anything but the load itself may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens before the quiet account is measured: the noisy one begins, or, where there is none, the quiet one itself, so that no
/// measurement sees the first seconds of a gateway.
const LEAD: Duration = Duration::from_secs(1);

/// After it has stopped, until only what it is owed is left of it.
const SETTLING: Duration = Duration::from_secs(5);

/// A quiet account beside a noisy one.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench noisy --")]
struct Options {
    /// Rounds; each measures every scenario once, and the medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Messages per second of the quiet account.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Messages per second that the noisy account is allowed, where it is limited.
    #[arg(long, default_value_t = 500)]
    limit: u64,
    /// No program goes before another.
    #[arg(long)]
    alike: bool,
    /// Where the spools are; on the disk that is to be measured.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"), hide_default_value = true)]
    folder: PathBuf,
    /// The program under test.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_smppgw"), hide_default_value = true)]
    gateway: PathBuf,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the noisy account does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noise {
    /// Nothing at all.
    Silent,
    /// As much as its rate allows, in the way of a client that heeds it.
    Polite,
    /// Eight binds of window 100 as fast as they can; what is beyond its rate is throttled.
    Limited,
    /// The same without a rate.
    Unlimited,
    /// The same, but stopped (SIGSTOP) with all its windows full.
    Stopped,
}

const SCENARIOS: [(Noise, &str); 5] = [
    (Noise::Silent, "alone"),
    (Noise::Polite, "beside one that keeps to its rate"),
    (Noise::Limited, "beside one that floods, its rate limited"),
    (Noise::Unlimited, "beside one that floods without limits"),
    (Noise::Stopped, "beside one that stopped reading"),
];

/// Milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Report {
    per_second: f64,
    response_ms: Quantiles,
    receipt_ms: Quantiles,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    quiet: Report,
    /// Messages per second that were taken from the noisy account; unknown where it was stopped.
    noisy: Option<f64>,
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--help") {
        return ExitCode::SUCCESS;
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches/noisy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        rounds.push(measure_all(options, round as usize)?);
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    print!("{}", table(&rounds));
    Ok(())
}

/// Every scenario once, in the order of [`SCENARIOS`]; measured in an order that changes from round to round, so that none always has the
/// disk as another one left it.
fn measure_all(options: &Options, round: usize) -> Outcome<Vec<Sample>> {
    let mut order: Vec<usize> = (0..SCENARIOS.len()).collect();
    order.rotate_left(round % SCENARIOS.len());
    let mut samples = Vec::new();
    for at in order {
        samples.push((at, measure(options, SCENARIOS[at].0)?));
    }
    samples.sort_by_key(|(at, _)| *at);
    Ok(samples.into_iter().map(|(_, sample)| sample).collect())
}

fn table(rounds: &[Vec<Sample>]) -> String {
    let mut text = String::from(
        "| quiet account | response p50, ms | response p99, ms | p99 to that alone | receipt p99, ms | noisy account, messages/s |\n\
         |---|---|---|---|---|---|\n",
    );
    for (at, (_, name)) in SCENARIOS.iter().enumerate() {
        let median = |of: &dyn Fn(&[Sample]) -> f64| Median::of(rounds.iter().map(|round| of(round)));
        let noisy: Vec<f64> = rounds.iter().filter_map(|round| round[at].noisy).collect();
        let noisy = if noisy.is_empty() { "-".to_owned() } else { figure(Median::of(noisy).middle) };
        text += &format!(
            "| {name} | {} | {} | {} | {} | {noisy} |\n",
            median(&|round| round[at].quiet.response_ms.p50),
            median(&|round| round[at].quiet.response_ms.p99),
            median(&|round| round[at].quiet.response_ms.p99 / round[0].quiet.response_ms.p99),
            median(&|round| round[at].quiet.receipt_ms.p99),
        );
    }
    text
}

fn measure(options: &Options, noise: Noise) -> Outcome<Sample> {
    let world = World::start(options, noise)?;
    let quiet = |seconds| {
        let rate = format!("--binds 1 --window 100 --rate {}", options.rate);
        world.load("quiet", seconds, &rate, FIRST)?.finish()
    };
    let mut noisy = world.noise(options, noise)?;
    match &mut noisy {
        None => drop(quiet(LEAD.as_secs())?),
        Some(noisy) => drop(noisy.ended_within(LEAD)),
    }
    if let (Some(noisy), Noise::Stopped) = (&mut noisy, noise) {
        noisy.signal(Signal::STOP)?;
        // What it has submitted is carried first; what it is owed waits.
        noisy.ended_within(SETTLING);
    }
    let quiet = report(&quiet(options.seconds)?)?;
    let noisy = match noisy {
        Some(noisy) if noise != Noise::Stopped => Some(report(&noisy.finish()?)?.per_second),
        // Dropped, it is killed.
        _ => None,
    };
    Ok(Sample { quiet, noisy })
}

fn report(ended: &Ended) -> Outcome<Report> {
    Ok(serde_json::from_str(&ended.output).map_err(|error| format!("smppgw load said {:?}: {error}", ended.output))?)
}

/// A gateway with its operator, in a folder of its own.
struct World<'a> {
    port: u16,
    options: &'a Options,
    _operator: Process,
    _gateway: Process,
    _folder: TempDir,
}

impl World<'_> {
    fn start(options: &Options, noise: Noise) -> Outcome<World<'_>> {
        let folder = TempDir::with_prefix_in("noisy-", &options.folder)?;
        let (port, operator) = (free_port()?, free_port()?);
        let config = folder.path().join("smppgw.toml");
        let limited = matches!(noise, Noise::Limited | Noise::Polite);
        let rate = if limited { format!("rate = {}", options.limit) } else { String::new() };
        std::fs::write(&config, toml(port, operator, &rate))?;
        let address = format!("operator=127.0.0.1:{operator}");
        let mut simulate = options.start(&format!("simulate --quiet --window 500 --operators {address}"), LAST)?;
        until_listening(&mut simulate, operator)?;
        let mut gateway = Process::start(&options.gateway, [Path::new("serve"), Path::new("--config"), &config])?;
        until_listening(&mut gateway, port)?;
        Ok(World { port, options, _operator: simulate, _gateway: gateway, _folder: folder })
    }

    /// Starts what disturbs, for somewhat longer than the measurement.
    fn noise(&self, options: &Options, noise: Noise) -> Outcome<Option<Process>> {
        let polite = format!("--binds 8 --window 100 --rate {}", options.limit * 9 / 10);
        let how = match noise {
            Noise::Silent => return Ok(None),
            Noise::Polite => &polite,
            Noise::Limited | Noise::Unlimited | Noise::Stopped => "--binds 8 --window 100",
        };
        self.load("noisy", options.seconds + 2 * LEAD.as_secs(), how, LAST).map(Some)
    }

    fn load(&self, account: &str, seconds: u64, how: &str, niceness: &str) -> Outcome<Process> {
        let arguments = format!(
            "load --to 127.0.0.1:{} --system-id {account} --password {PASSWORD} --json --quiet --seconds {seconds} {how}",
            self.port
        );
        self.options.start(&arguments, niceness)
    }
}

/// Values for nice(1).
const FIRST: &str = "-20";
const LAST: &str = "19";

impl Options {
    /// Starts another program than the gateway.
    fn start(&self, arguments: &str, niceness: &str) -> Outcome<Process> {
        let niceness = if self.alike { "0" } else { niceness };
        let command = ["-n", niceness, "--"].map(OsStr::new).into_iter().chain([self.gateway.as_os_str()]);
        Process::start(Path::new("nice"), command.chain(arguments.split_whitespace().map(OsStr::new)))
    }
}

fn toml(port: u16, operator: u16, rate: &str) -> String {
    format!(
        r#"
[node]
name = "bench"
data_dir = "data"
[control]
socket = "control.sock"
[metrics]
listen = ""
[log]
level = "error"
format = "text"
[[listener]]
name = "plain"
address = "127.0.0.1:{port}"
[[account]]
system_id = "quiet"
password = "{PASSWORD}"
country = "FI"
[[account]]
system_id = "noisy"
password = "{PASSWORD}"
country = "FI"
{rate}
[[route]]
prefix = [""]
operators = ["o"]
[[operator]]
name = "o"
window = 500
reconnect = {{ min = "100ms", max = "1s" }}
[[operator.bind]]
address = "127.0.0.1:{operator}"
system_id = "gw"
password = "pw"
count = 2
"#
    )
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn until_listening(process: &mut Process, port: u16) -> Outcome<()> {
    let limit = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.ended_within(Duration::from_millis(10)) || Instant::now() > limit {
            return Err(format!("nobody listens on port {port}").into());
        }
    }
    Ok(())
}
