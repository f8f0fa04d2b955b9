//! Response times at a tenth of the greatest rate, beside what the disk itself needs for a record.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::options::{Options, Scenario};
use crate::reports::Quantiles;
use crate::results::{Table, load_average, publish};
use crate::run::{Sample, Work, ceiling, through_gateway};
use crate::setup::Setup;
use crate::statistics::{Median, figure, quantile};

/// About what one message's record and its neighbours in a commit occupy at this rate.
const RECORD: usize = 512;
/// The disk's file: written with zeros first, as the spool's segments are, so that no write allocates.
const FILE: usize = 16 << 20;
/// Between two records: about as often as the gateway commits at this rate. Time counts from when a record should have been written,
/// as it does for messages: a stall of the machine is then felt by all it delays, and not once.
const EVERY: Duration = Duration::from_millis(1);
/// The share of the greatest rate at which latency is measured.
const TENTH: f64 = 0.1;

/// The disk, the load and an operator connected directly, and the gateway, one after the other.
struct Round {
    disk: Quantiles,
    direct: Sample,
    gateway: Sample,
}

pub fn run(options: &Options) -> Outcome<()> {
    let before = load_average();
    let setup = Setup::default();
    let full_speed = Work { stamp: false, ..Work::new(options, &setup) };
    let fastest = through_gateway(options, &setup, &full_speed)?.finished;
    let rate = fastest * TENTH;
    let messages = (rate * options.seconds as f64) as u64;
    let work = Work { rate: Some(rate), messages, ..Work::new(options, &setup) };
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let half = Duration::from_secs(options.seconds) / 4;
        let direct = ceiling(options, &work)?;
        let mut times = sync_times(options, half)?;
        let gateway = through_gateway(options, &setup, &work)?;
        times.extend(sync_times(options, half)?);
        let round = Round { disk: quantiles(times), direct, gateway };
        println!(
            "latency {number}: response p99 {} ms at {} messages/s; fdatasync p99 {} ms",
            figure(round.gateway.response.p99),
            figure(rate),
            figure(round.disk.p99)
        );
        rounds.push(round);
    }
    let mut body = format!("A tenth of the {} messages/s finished at full speed: {}/s.\n\n", figure(fastest), figure(rate));
    body.push_str(&table(&rounds));
    let _ = write!(
        body,
        "\n`{}`; the load: `{}`; load average before: {before}. The disk is measured right before and right after each run, \
         alone, by writing {RECORD} octets and fdatasync every millisecond. Latency counts from the moment a message or record \
         should have left, so that a stall of the machine is felt by all that it delays.\n",
        options.command(Scenario::Latency),
        work.command()
    );
    publish(options, "Latency at a tenth of the greatest rate", &body)
}

fn sync_times(options: &Options, time: Duration) -> Outcome<Vec<f64>> {
    let folder = tempfile::TempDir::with_prefix_in("disk-", &options.folder)?;
    let file = File::create_new(folder.path().join("records"))?;
    file.write_all_at(&vec![0; FILE], 0)?;
    file.sync_all()?;
    let (record, mut times, started) = ([0x55; RECORD], Vec::new(), Instant::now());
    let mut intended = started;
    while started.elapsed() < time {
        let offset = times.len() * RECORD % FILE;
        crossbeam_channel::at(intended).recv()?;
        file.write_all_at(&record, offset as u64)?;
        file.sync_data()?;
        times.push(intended.elapsed().as_secs_f64() * 1e3);
        intended += EVERY;
    }
    Ok(times)
}

fn quantiles(mut times: Vec<f64>) -> Quantiles {
    times.sort_by(f64::total_cmp);
    let of = |fraction| quantile(&times, fraction);
    Quantiles { count: times.len() as u64, p50: of(0.5), p99: of(0.99), p999: of(0.999) }
}

fn table(rounds: &[Round]) -> String {
    let mut table = Table::new(&["ms", "p50", "p99", "p99.9", "target"]);
    let mut row = |name: &str, of: &dyn Fn(&Round) -> Quantiles| {
        let median = |value: fn(Quantiles) -> f64| Median::of(rounds.iter().map(|round| value(of(round)))).to_string();
        table.row([name, &median(|q| q.p50), &median(|q| q.p99), &median(|q| q.p999), ""]);
    };
    row("fdatasync of the disk", &|round| round.disk);
    row("submit_sm to its response, directly to the operator", &|round| round.direct.response);
    row("submit_sm to its response, through the gateway", &|round| round.gateway.response);
    if rounds.iter().all(|round| round.gateway.sent.is_some()) {
        row("submit_sm to the operator, through the gateway", &|round| round.gateway.sent.unwrap_or_default());
    }
    row("of these, how late the load itself was", &|round| round.gateway.lateness);
    let ratio = Median::of(rounds.iter().map(|round| round.gateway.response.p99 / round.disk.p99));
    table.row(["**response to fdatasync**", "", &ratio.to_string(), "", "< 3"]);
    table.to_string()
}
