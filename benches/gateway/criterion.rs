//! What the criterion benches left behind, as one table.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Outcome;
use crate::options::{Options, Scenario};
use crate::results::{Table, load_average, publish};
use crate::statistics::figure;

/// What `benchmark.json` says of a bench.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Elements(u64),
    #[serde(other)]
    Other,
}

/// What `estimates.json` says, in nanoseconds per iteration.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

pub fn run(options: &Options) -> Outcome<()> {
    // Both are folders of the build's own.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion");
    let mut reports = Vec::new();
    find(&folder, &mut reports);
    if reports.is_empty() {
        println!("no criterion bench has been run: cargo bench --bench codec --bench text ...");
        return Ok(());
    }
    reports.sort();
    let mut table = Table::new(&["bench", "ns each, median", "95 % confidence", "per second"]);
    for report in reports {
        let benchmark: Benchmark = serde_json::from_str(&fs::read_to_string(report.join("benchmark.json"))?)?;
        let estimates: Estimates = serde_json::from_str(&fs::read_to_string(report.join("estimates.json"))?)?;
        let each = match benchmark.throughput {
            Some(Throughput::Elements(count)) => 1.0 / count as f64,
            _ => 1.0,
        };
        let Estimate { point_estimate, confidence_interval: interval } = estimates.median;
        table.row([
            benchmark.full_id,
            figure(point_estimate * each),
            format!("{}-{}", figure(interval.lower_bound * each), figure(interval.upper_bound * each)),
            figure(1e9 / (point_estimate * each)),
        ]);
    }
    let body = format!(
        "{table}\n`cargo bench --bench codec --bench text --bench route --bench spool --bench correlation`, then `{}`; load \
         average at the end: {}\n",
        options.command(Scenario::Criterion),
        load_average()
    );
    publish(options, "Single steps", &body)
}

/// Folders named `new` with a report of the latest run.
fn find(folder: &Path, reports: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.ends_with("new") && path.join("estimates.json").exists() {
            reports.push(path);
        } else {
            find(&path, reports);
        }
    }
}
