//! Response times at a tenth of the greatest rate, beside what the disk itself needs for a record.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::options::{Options, Scenario};
use crate::results::{Table, load_average, publish};
use crate::run::{Sample, Work, through_gateway};
use crate::setup::Setup;
use crate::statistics::{Median, figure, quantile};

/// About what one message's record and its neighbours in a commit occupy at this rate.
const RECORD: usize = 512;
/// The disk's file: written with zeros first, as the spool's segments are, so that no write allocates.
const FILE: usize = 16 << 20;
/// The share of the greatest rate at which latency is measured.
const TENTH: f64 = 0.1;

/// Milliseconds that fdatasync takes after one record was written.
struct DiskTimes {
    p50: f64,
    p99: f64,
    p999: f64,
}

pub fn run(options: &Options) -> Outcome<()> {
    let before = load_average();
    let setup = Setup::default();
    let fastest = through_gateway(options, &setup, &Work::new(options.messages, &setup))?.finished;
    let rate = fastest * TENTH;
    let work = Work { rate: Some(rate), ..Work::new((rate * options.seconds as f64) as u64, &setup) };
    let (mut disks, mut samples) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let half = Duration::from_secs(options.seconds) / 4;
        let mut times = sync_times(options, half)?;
        let sample = through_gateway(options, &setup, &work)?;
        times.extend(sync_times(options, half)?);
        let disk = quantiles(times);
        println!(
            "latency {round}: response p99 {} ms at {} messages/s; fdatasync p99 {} ms",
            figure(sample.response.p99),
            figure(rate),
            figure(disk.p99)
        );
        disks.push(disk);
        samples.push(sample);
    }
    let mut body = format!("A tenth of the {} messages/s finished at full speed: {}/s.\n\n", figure(fastest), figure(rate));
    body.push_str(&table(&disks, &samples));
    let _ = write!(
        body,
        "\n`{}`; the load: `{}`; load average before: {before}. The disk is measured right before and right after each run, \
         alone, by writing {RECORD} octets and fdatasync, one after the other. Latency counts from the moment a message \
         should have left.\n",
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
    while started.elapsed() < time {
        let offset = times.len() * RECORD % FILE;
        let begun = Instant::now();
        file.write_all_at(&record, offset as u64)?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn quantiles(mut times: Vec<f64>) -> DiskTimes {
    times.sort_by(f64::total_cmp);
    DiskTimes { p50: quantile(&times, 0.5), p99: quantile(&times, 0.99), p999: quantile(&times, 0.999) }
}

fn table(disks: &[DiskTimes], samples: &[Sample]) -> String {
    let mut table = Table::new(&["ms", "p50", "p99", "p99.9", "target"]);
    let disk = |value: fn(&DiskTimes) -> f64| Median::of(disks.iter().map(value)).to_string();
    let response = |value: fn(&Sample) -> f64| Median::of(samples.iter().map(value)).to_string();
    table.row(["fdatasync of the disk", &disk(|d| d.p50), &disk(|d| d.p99), &disk(|d| d.p999), ""]);
    let accepted = [response(|s| s.response.p50), response(|s| s.response.p99), response(|s| s.response.p999)];
    table.row(["submit_sm to its response", &accepted[0], &accepted[1], &accepted[2], ""]);
    if samples.iter().all(|sample| sample.sent.is_some()) {
        let sent = |value: fn(&crate::reports::Quantiles) -> f64| response_of(samples, value);
        table.row(["submit_sm to the operator", &sent(|q| q.p50), &sent(|q| q.p99), &sent(|q| q.p999), ""]);
    }
    let late = response(|s| s.lateness.p99);
    table.row(["of that, how late the load itself was", "", &late, "", ""]);
    let ratio = Median::of(samples.iter().zip(disks).map(|(sample, disk)| sample.response.p99 / disk.p99));
    table.row(["**response p99 to fdatasync p99**", "", &ratio.to_string(), "", "< 3"]);
    table.to_string()
}

fn response_of(samples: &[Sample], value: fn(&crate::reports::Quantiles) -> f64) -> String {
    Median::of(samples.iter().map(|sample| value(&sample.sent.unwrap_or_default()))).to_string()
}
