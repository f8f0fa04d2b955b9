//! Does the cost per message stay flat when something grows? Each curve in ratios to its first point.

use std::fmt::Write as _;

use crate::Outcome;
use crate::options::{Options, Scenario};
use crate::results::{Table, load_average, publish};
use crate::run::{Sample, Work, ceiling, measure, run_load, through_gateway, warm_up};
use crate::setup::{DOWN, Gateway, Operators, Setup};
use crate::statistics::{Median, figure, grouped};

/// Numbers of operators.
const OPERATORS: &[u64] = &[1, 4, 16, 64];
/// Binds of the load when all operators are to be busy: eight for each of the most.
const BUSY_BINDS: usize = 8 * 64;
/// Widest bar of a curve.
const BAR: f64 = 20.0;

/// A point of a curve with all its runs.
struct Point {
    size: u64,
    ceilings: Vec<Sample>,
    samples: Vec<Sample>,
}

impl Point {
    fn new(size: u64) -> Point {
        Point { size, ceilings: Vec::new(), samples: Vec::new() }
    }

    fn add(&mut self, ceiling: Sample, sample: Sample) {
        let (cpu, memory) = (figure(sample.gateway.total()), figure(sample.memory.now));
        println!("{}: {cpu} us of the gateway's processor time per message, {memory} MiB", self.size);
        self.ceilings.push(ceiling);
        self.samples.push(sample);
    }
}

pub fn run(options: &Options, scenario: Scenario) -> Outcome<()> {
    let before = load_average();
    let (title, what, sizes): (_, _, &[u64]) = match scenario {
        Scenario::Binds => ("Growth: binds of applications", "binds", &[1, 8, 64, 256, 1000]),
        Scenario::Prefixes => ("Growth: prefixes", "prefixes", &[10, 1000, 100_000]),
        Scenario::Pending => ("Growth: messages that wait for another operator", "pending", &[0, 100_000, 1_000_000, 10_000_000]),
        Scenario::OperatorsBusy => ("Growth: operators, all of them busy", "operators", OPERATORS),
        _ => ("Growth: operators", "operators", OPERATORS),
    };
    let points = match scenario {
        Scenario::Pending => growing_queue(options, sizes)?,
        _ => round_by_round(options, scenario, sizes)?,
    };
    let mut body = table(what, &points);
    let (_, work) = point(options, scenario, sizes[0]);
    let _ = write!(
        body,
        "\n`{}`; the load of the first point: `{}`; load average before: {before}\n",
        options.command(scenario),
        work.command()
    );
    publish(options, title, &body)
}

/// What the gateway and the load are at one point.
fn point(options: &Options, scenario: Scenario, size: u64) -> (Setup, Work) {
    let count = size as usize;
    let setup = match scenario {
        Scenario::Prefixes => Setup { prefixes: count, ..Setup::default() },
        Scenario::Operators | Scenario::OperatorsBusy => Setup { operators: count, ..Setup::default() },
        _ => Setup::default(),
    };
    let work = Work::new(options, &setup);
    let binds = match scenario {
        Scenario::Binds => count,
        Scenario::OperatorsBusy => BUSY_BINDS,
        _ => work.binds,
    };
    (setup, Work { binds, ..work })
}

/// All points in each round, so that what changes on the machine meanwhile meets them alike.
fn round_by_round(options: &Options, scenario: Scenario, sizes: &[u64]) -> Outcome<Vec<Point>> {
    let mut points: Vec<Point> = sizes.iter().copied().map(Point::new).collect();
    for _ in 0..options.rounds {
        for point_of_curve in &mut points {
            let (setup, work) = point(options, scenario, point_of_curve.size);
            point_of_curve.add(ceiling(options, &work)?, through_gateway(options, &setup, &work)?);
        }
    }
    Ok(points)
}

/// One gateway whose queue for another operator is filled further and further.
fn growing_queue(options: &Options, sizes: &[u64]) -> Outcome<Vec<Point>> {
    let (setup, work) = point(options, Scenario::Pending, 0);
    let operators = Operators::start(options, setup.operators)?;
    let mut gateway = Gateway::start(options, &setup, &operators)?;
    warm_up(options, &work, &mut gateway)?;
    let (mut points, mut pending) = (Vec::new(), 0);
    for &size in sizes.iter().filter(|size| **size <= options.pending) {
        if size > pending {
            let destinations = vec![format!("{DOWN}0")];
            let filling = Work { messages: size - pending, receipts: false, stamp: false, destinations, ..work.clone() };
            run_load(options, &filling, gateway.port)?;
            pending = size;
        }
        let mut point = Point::new(size);
        for _ in 0..options.rounds {
            point.add(ceiling(options, &work)?, measure(options, &work, &mut gateway, &operators, pending)?);
        }
        points.push(point);
    }
    Ok(points)
}

fn table(what: &str, points: &[Point]) -> String {
    let mut table = Table::new(&[
        what,
        "gateway, us of processor time per message",
        "to the first",
        "",
        "finished per second",
        "share of the ceiling",
        "MiB",
    ]);
    let of = |point: &Point, value: fn(&Sample) -> f64| Median::of(point.samples.iter().map(value));
    let cost = |point: &Point| of(point, |s| s.gateway.total());
    let share = |point: &Point| Median::of(point.samples.iter().zip(&point.ceilings).map(|(s, c)| s.finished / c.finished));
    let highest = points.iter().map(|point| cost(point).middle).fold(f64::MIN_POSITIVE, f64::max);
    let first = points.first().map_or(1.0, |point| cost(point).middle);
    for point in points {
        let bar = "#".repeat((cost(point).middle / highest * BAR).round() as usize);
        table.row([
            &grouped(point.size),
            &cost(point).to_string(),
            &format!("{:.2}", cost(point).middle / first),
            &format!("`{bar:<20}`"),
            &of(point, |s| s.finished).to_string(),
            &share(point).to_string(),
            &of(point, |s| s.memory.now).to_string(),
        ]);
    }
    table.to_string()
}
