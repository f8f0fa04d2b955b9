//! The end of the process: at every kind of moment, and in order.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::Daemon;
use crate::support::traffic::{OPEN_REQUESTS, Traffic, throttled};
use crate::tools::{ends_before, needs, nothing_lost, number, strace, words};
use crate::{Outcome, Scale};

const MESSAGES: u64 = 3_000;

pub fn killed_at_the_nth_call(scale: Scale) -> Outcome {
    needs("strace")?;
    let (mut kills, mut duplicates, mut slowest) = (0, 0, Duration::ZERO);
    for call in ["fdatasync", "pwrite64"] {
        for point in 0..scale.points {
            // Dense at first, where files are made, then further and further apart.
            let nth = 1 + point + point * point * 3;
            let (killed, twice, ready) = killed_at(call, nth);
            kills += u64::from(killed);
            duplicates += twice;
            slowest = slowest.max(ready);
        }
    }
    assert!(kills >= scale.points, "strace kills");
    Ok(format!(
        "{kills} kills, {MESSAGES} messages each: L=0, D={duplicates} in all, ready again within {} ms",
        slowest.as_millis()
    ))
}

/// Kills at the Nth call of a thread; whether it came to that, duplicates, and how long the restart took.
fn killed_at(call: &str, nth: u64) -> (bool, u64, Duration) {
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let config = traffic.config();
    let wrapper = strace(call, &format!("signal=KILL:when={nth}"));
    let started = Daemon::start_under(&words(&wrapper), traffic.folder(), &config).ok();
    let load = traffic.load(MESSAGES, &["--rate", "3000"]);
    let survivor = started.filter(|daemon| !ends_before(daemon.process(), load.pid()));
    let mut killed = survivor.is_none();
    let mut ready = Duration::ZERO;
    let mut start = || {
        let started = Instant::now();
        let daemon = Daemon::start_in(traffic.folder(), &config, None);
        ready = started.elapsed();
        daemon
    };
    let daemon = survivor.unwrap_or_else(&mut start);
    let report = load.report();
    if !daemon.stop() {
        // The Nth call was one of the last.
        assert!(!killed, "the daemon stops in order");
        killed = true;
        assert!(start().stop(), "the daemon stops in order");
    }
    let account = nothing_lost(&mut traffic, &report, OPEN_REQUESTS);
    assert_eq!(account.accepted + throttled(&report), MESSAGES, "all are accepted in the end: {report}");
    (killed, account.duplicates, ready)
}

pub fn terminated(_: Scale) -> Outcome {
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let config = traffic.config();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let mut load = traffic.load(40_000, &[]);
    assert!(load.accepted(3_000), "stopped under load");
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    assert!(daemon.stop(), "it ends well");
    let took = asked.elapsed();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let report = load.report();
    assert!(daemon.stop(), "the next one stops in order");
    // The operators answered to the end: what was submitted twice was so by the application, which had no response.
    let account = nothing_lost(&mut traffic, &report, 0);
    Ok(format!(
        "ended in {} ms under full load: L=0, D={} of which the client itself sent again up to {}",
        took.as_millis(),
        account.duplicates,
        number(&report, "resent")
    ))
}
