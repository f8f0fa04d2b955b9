//! `smppgw load`: a load generator that accounts for every message.

use super::say;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::simulator::load::{self, Amount, LoadSettings, Report, Totals};
use crate::simulator::{LineFile, address};

/// How often the list of accepted messages reaches its file.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// Submit messages over many binds, match the receipts, and report rates, latencies, losses and duplicates.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// The gateway or operator as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2775", value_parser = host_and_port)]
    to: (String, u16),
    #[arg(long, default_value = "demo")]
    system_id: String,
    #[arg(long, default_value = "demo1234")]
    password: String,
    /// Transceiver binds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    binds: u16,
    /// Unanswered submissions per bind.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// How many messages to send.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    messages: u64,
    /// The number of the first message, by which the operators' log tells messages of several runs apart.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    first_tag: u64,
    /// How long to send, instead of how many.
    #[arg(long, value_name = "SECONDS", conflicts_with = "messages")]
    seconds: Option<u64>,
    /// Messages per second over all binds, due by the clock whatever the peer does; latency then counts from when each should have
    /// left. What is due on a bind within a millisecond leaves at once. Without it, as fast as the windows allow.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Characters of each text; more than 160 make the gateway split it.
    #[arg(long, default_value_t = 100)]
    length: usize,
    /// The text, behind the ten digits of the tag and the stamp.
    #[arg(long, conflicts_with = "length")]
    text: Option<String>,
    /// Write into each text when it was to be submitted, behind the tag: `smppgw simulate` on the same machine then reports how
    /// long messages were on their way. Tag and stamp take 19 characters.
    #[arg(long)]
    stamp: bool,
    /// Beginnings of the destinations, in turn; seven digits of a counter follow.
    #[arg(long, value_name = "PREFIX,...", value_delimiter = ',', default_value = "35840")]
    destination: Vec<String>,
    #[arg(long, default_value = "SHOP")]
    source: String,
    /// Ask for receipts, wait for them, and match them by message id.
    #[arg(long, value_name = "yes|no", default_value = "yes", value_parser = yes_or_no)]
    receipts: Answer,
    /// The run ends when nothing has moved for so long.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    receipt_timeout: humantime::Duration,
    /// After so long without a response a message's outcome is unknown.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    response_timeout: humantime::Duration,
    /// Reconnect when a connection is lost, and send again what was unanswered.
    #[arg(long)]
    reconnect: bool,
    /// Append a line tag,message_id per accepted message.
    #[arg(long, value_name = "FILE")]
    accepted: Option<PathBuf>,
    /// Threads that do the work. One leaves the other cores to what is being tested.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    /// How often to show the progress.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    progress: humantime::Duration,
    /// No progress on stderr.
    #[arg(long)]
    quiet: bool,
}

/// clap takes a bare `bool` for a flag.
#[derive(Debug, Clone, Copy)]
struct Answer(bool);

fn yes_or_no(text: &str) -> Result<Answer, String> {
    match text {
        "yes" => Ok(Answer(true)),
        "no" => Ok(Answer(false)),
        _ => Err("expected yes or no".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.001);
    rate.ok_or_else(|| "expected messages per second, at least 0.001".to_owned())
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let port = port.parse().map_err(|_| format!("\"{port}\" is no port"))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

impl LoadArgs {
    fn settings(&self, accepted: Option<Arc<LineFile>>) -> LoadSettings {
        let (host, port) = self.to.clone();
        LoadSettings {
            host,
            port,
            system_id: self.system_id.clone(),
            password: self.password.clone(),
            binds: usize::from(self.binds),
            window: usize::try_from(self.window).unwrap_or(usize::MAX),
            first_tag: self.first_tag,
            amount: match self.seconds {
                Some(seconds) => Amount::Time(Duration::from_secs(seconds)),
                None => Amount::Messages(self.messages),
            },
            rate: self.rate,
            text: match &self.text {
                Some(text) if self.stamp => load::stamped(text),
                Some(text) => load::tagged(text),
                None => load::of_length(self.length, self.stamp),
            },
            source: address(&self.source),
            prefixes: self.destination.clone(),
            receipts: self.receipts.0,
            patience: self.receipt_timeout.into(),
            response_timeout: self.response_timeout.into(),
            reconnect: self.reconnect,
            progress: self.progress.into(),
            accepted,
        }
    }
}

/// Exit code 0 when every message was accepted and every receipt came.
pub fn run(args: &LoadArgs) -> ExitCode {
    let report = runtime(args.threads).map_err(Into::into).and_then(|runtime| runtime.block_on(generate(args)));
    match report {
        Ok(report) => {
            match serde_json::to_string_pretty(&report) {
                Ok(json) if args.json => say(json),
                _ => say(&report),
            }
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("smppgw load: {error}");
            ExitCode::from(2)
        }
    }
}

/// A runtime for many binds and few threads: with one, nothing is handed from thread to thread.
pub(super) fn runtime(threads: u16) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(usize::from(threads)).enable_all().build(),
    }
}

async fn generate(args: &LoadArgs) -> Result<Report, Box<dyn std::error::Error>> {
    if args.stamp && args.text.is_none() && args.length < load::STAMPED {
        return Err(format!("tag and stamp need {} characters, the text has {}", load::STAMPED, args.length).into());
    }
    let accepted = args.accepted.as_ref().map(|path| LineFile::append_to(path).map(Arc::new)).transpose()?;
    let mut before = Totals::default();
    let load = load::run(args.settings(accepted.clone()), |totals| {
        if !args.quiet {
            eprintln!("{}", line(&before, totals, args.progress.as_secs_f64()));
            before = *totals;
        }
    });
    let mut load = std::pin::pin!(load);
    let mut flush = tokio::time::interval(FLUSH_EVERY);
    let report = loop {
        tokio::select! {
            report = &mut load => break report?,
            _ = flush.tick() => if let Some(accepted) = &accepted { accepted.flush()? },
        }
    };
    if let Some(accepted) = &accepted {
        accepted.flush()?;
    }
    Ok(report)
}

/// So many seconds of progress.
fn line(before: &Totals, now: &Totals, seconds: f64) -> String {
    format!(
        "{:>8.0}/s accepted {:>8.0}/s receipts {:>10} sent {:>10} accepted {:>6} refused {:>6} resent {:>8} receipts to come",
        (now.accepted - before.accepted) as f64 / seconds,
        (now.receipts - before.receipts) as f64 / seconds,
        now.sent,
        now.accepted,
        now.refused,
        now.resent,
        now.accepted.saturating_sub(now.receipts),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_may_be_an_ipv6_address() {
        assert_eq!(host_and_port("[::1]:2775"), Ok(("::1".to_owned(), 2775)));
        assert_eq!(host_and_port("gw.example:2775"), Ok(("gw.example".to_owned(), 2775)));
        assert!(host_and_port("gw.example").is_err());
    }
}
