//! `smppgw simulate`: simulated operators, as many as there are addresses.

use super::load::runtime;
use super::say;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::receipt::ReceiptId;
use crate::simulator::smsc::{Answer, IdForm, MoSource, ReceiptForm};
use crate::simulator::{Behaviour, Counts, LineFile, Mo, Quantiles, Smsc, SmscSettings, address};
use crate::smpp::CommandStatus;
use crate::text::Body;
use crate::text::decode::data_coding;

/// How often the log reaches its file.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// Run simulated operators until interrupted; a JSON summary is the last line of the output. It counts by operator, and tells in
/// `transit_ms` how long messages of `smppgw load --stamp` were on their way.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// An operator as NAME=ADDRESS:PORT; repeat it, or separate several by commas.
    #[arg(
        long = "operators",
        alias = "listen",
        value_name = "NAME=ADDRESS",
        value_delimiter = ',',
        default_value = "operator=127.0.0.1:2776"
    )]
    operators: Vec<OperatorAddress>,
    /// The only system_id that may bind; without it anybody may.
    #[arg(long, requires = "password")]
    system_id: Option<String>,
    #[arg(long, requires = "system_id")]
    password: Option<String>,
    /// Form of the message ids in responses.
    #[arg(long, value_enum, default_value_t)]
    ids: IdForm,
    /// Form of the message ids in receipts.
    #[arg(long, value_enum, default_value_t)]
    receipt_id: ReceiptId,
    /// Where receipts carry id and state.
    #[arg(long, value_enum, default_value_t)]
    receipt_form: ReceiptForm,
    /// From submission to receipt; 0s: at once.
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    receipt_delay: humantime::Duration,
    /// From submission to response.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    delay: humantime::Duration,
    /// Answer this fraction with this status, such as 0x0B=0.01.
    #[arg(long, value_name = "STATUS=FRACTION")]
    reject: Vec<Rejection>,
    /// Submissions per second, over all binds of an operator; what comes faster is answered with ESME_RTHROTTLED (0x58). A tenth of
    /// a second's may come at once.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Fraction answered with ESME_RTHROTTLED (0x58) whatever the rate.
    #[arg(long, value_name = "FRACTION", value_parser = fraction, default_value = "0")]
    throttle: f64,
    /// Fraction answered with ESME_RSYSERR (0x08).
    #[arg(long, value_name = "FRACTION", value_parser = fraction, default_value = "0")]
    temporary: f64,
    /// Fraction never answered.
    #[arg(long, value_name = "FRACTION", value_parser = fraction, default_value = "0")]
    silent: f64,
    /// Fraction of accepted messages that end as UNDELIV.
    #[arg(long, value_name = "FRACTION", value_parser = fraction, default_value = "0")]
    undelivered: f64,
    /// Send the receipt before the response.
    #[arg(long)]
    early_receipt: bool,
    /// Send every receipt twice.
    #[arg(long)]
    duplicate_receipts: bool,
    /// Drop the connection on messages whose text begins so.
    #[arg(long, value_name = "TEXT")]
    poison: Option<String>,
    /// Unanswered deliver_sm per bind.
    #[arg(long, default_value_t = 100)]
    window: usize,
    /// Send messages from a handset, all the time. A text submitted as "mo ..." comes back as well.
    #[arg(long, value_name = "FROM,TO,TEXT,PER_SECOND")]
    mo: Vec<MoArgument>,
    /// Append a line per submission: operator,id,status,source,destination,reference/total/sequence,tag,checksum.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Makes the drawn outcomes repeatable.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads that do the work. One leaves the other cores to what is being tested.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// No figures every second.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone)]
struct OperatorAddress {
    name: String,
    address: SocketAddr,
}

impl FromStr for OperatorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').unwrap_or(("operator", text));
        let address = address.parse().map_err(|_| format!("expected NAME=ADDRESS:PORT, found \"{text}\""))?;
        Ok(OperatorAddress { name: name.to_owned(), address })
    }
}

#[derive(Debug, Clone)]
struct Rejection(CommandStatus, f64);

impl FromStr for Rejection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (status, share) = text.split_once('=').ok_or("expected STATUS=FRACTION, such as 0x0B=0.01")?;
        let code = match status.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => status.parse(),
        };
        Ok(Rejection(CommandStatus::from(code.map_err(|_| format!("\"{status}\" is no status"))?), fraction(share)?))
    }
}

#[derive(Debug, Clone)]
struct MoArgument(MoSource);

impl FromStr for MoArgument {
    type Err = String;

    /// The text may contain commas: the first two and the last separate.
    fn from_str(argument: &str) -> Result<Self, String> {
        let parts = argument.split_once(',').and_then(|(from, rest)| {
            let (to, rest) = rest.split_once(',')?;
            let (text, rate) = rest.rsplit_once(',')?;
            Some((from, to, text, rate.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0)?))
        });
        let (from, to, text, per_second) = parts.ok_or("expected FROM,TO,TEXT,PER_SECOND, such as 358401234567,13123,Moi,2.5")?;
        let body = Body::from_text(text);
        if body.octets.len() > 254 {
            return Err("the text has no room in one message".to_owned());
        }
        let data_coding = data_coding(body.alphabet, 0);
        let text = body.octets.to_vec();
        Ok(MoArgument(MoSource { mo: Mo { from: address(from), to: address(to), data_coding, text }, per_second }))
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| format!("\"{text}\" is no fraction from 0 to 1"))
}

impl SimulateArgs {
    fn behaviour(&self) -> Behaviour {
        let mut answers: Vec<(Answer, f64)> =
            self.reject.iter().map(|&Rejection(status, share)| (Answer::Status(status), share)).collect();
        answers.push((Answer::Status(CommandStatus::EsmeRthrottled), self.throttle));
        answers.push((Answer::Status(CommandStatus::EsmeRsyserr), self.temporary));
        answers.push((Answer::Silence, self.silent));
        answers.retain(|(_, share)| *share > 0.0);
        Behaviour {
            ids: self.ids,
            receipt_id: self.receipt_id,
            receipt_form: self.receipt_form,
            receipt_delay: self.receipt_delay.into(),
            response_delay: self.delay.into(),
            answers,
            rate: self.rate,
            undelivered: self.undelivered,
            early_receipt: self.early_receipt,
            duplicate_receipts: self.duplicate_receipts,
            poison: self.poison.as_ref().map(|text| Body::from_text(text).octets.to_vec()),
            ..Behaviour::default()
        }
    }

    fn settings(&self, operator: &OperatorAddress, log: Option<Arc<LineFile>>) -> SmscSettings {
        SmscSettings {
            name: operator.name.clone(),
            listen: operator.address,
            credentials: self.system_id.clone().zip(self.password.clone()),
            window: self.window,
            behaviour: self.behaviour(),
            log,
            mo: self.mo.iter().map(|source| source.0.clone()).collect(),
            seed: self.seed,
            ..SmscSettings::default()
        }
    }
}

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &SimulateArgs) -> ExitCode {
    match runtime(args.threads).and_then(|runtime| runtime.block_on(simulate(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smppgw simulate: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn simulate(args: &SimulateArgs) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let log = args.log.as_ref().map(|path| LineFile::append_to(path).map(Arc::new)).transpose()?;
    let mut operators = Vec::new();
    for operator in &args.operators {
        let started = Smsc::start(args.settings(operator, log.clone())).await;
        let started = started.map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", operator.address)))?;
        say(format_args!("{} listens on {}", started.name(), started.address()));
        operators.push((started, Counts::default()));
    }
    let mut flush = tokio::time::interval(FLUSH_EVERY);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = flush.tick() => if let Some(log) = &log { log.flush()? },
            _ = second.tick(), if !args.quiet => operators.iter_mut().for_each(|(smsc, before)| {
                let counts = smsc.counts();
                // Nothing new is not worth a line.
                if counts != *before {
                    say(line(smsc.name(), before, &counts));
                    *before = counts;
                }
            }),
        }
    }
    let mut summary = serde_json::Map::new();
    for (smsc, _) in operators {
        let (name, transit_ms) = (smsc.name().to_owned(), smsc.transit());
        summary.insert(name, serde_json::to_value(Summary { counts: smsc.stop().await, transit_ms })?);
    }
    if let Some(log) = &log {
        log.flush()?;
    }
    say(serde_json::Value::Object(summary));
    Ok(())
}

/// What an operator has to tell in the end.
#[derive(serde::Serialize)]
struct Summary {
    #[serde(flatten)]
    counts: Counts,
    /// How long stamped messages were on their way.
    transit_ms: Quantiles,
}

/// One second of one operator.
fn line(name: &str, before: &Counts, now: &Counts) -> String {
    format!(
        "{name:<12} {:>4} bound {:>8}/s in {:>10} accepted {:>6} refused {:>5} silent {:>8}/s receipts {:>8} to deliver {:>5} resent",
        now.bound(),
        now.received - before.received,
        now.accepted,
        now.refused,
        now.silent,
        now.receipts_acknowledged - before.receipts_acknowledged,
        now.undelivered(),
        now.resent,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_rejections_and_mo_sources_are_read_from_arguments() {
        let operator: OperatorAddress = "elisa=127.0.0.1:27001".parse().expect("an operator");
        assert_eq!((operator.name.as_str(), operator.address.port()), ("elisa", 27001));
        let Rejection(status, share) = "0x0B=0.01".parse().expect("a rejection");
        assert_eq!((u32::from(status), share), (0x0B, 0.01));
        let MoArgument(source) = "358401234567,13123,Moi, taas,2.5".parse().expect("a source");
        assert_eq!((source.mo.text.as_slice(), source.per_second), (b"Moi, taas".as_slice(), 2.5));
    }

    #[test]
    fn what_is_no_fraction_or_rate_is_refused() {
        assert!(fraction("1.5").is_err() && fraction("x").is_err());
        assert!("0x0B".parse::<Rejection>().is_err());
        assert!("a,b,c,-1".parse::<MoArgument>().is_err());
    }
}
