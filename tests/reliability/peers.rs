//! Applications that stop, come all at once, or see the gateway stop.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::support::scrape::{scrape, value, wait_for};
use crate::support::traffic::{OPEN_REQUESTS, Traffic};
use crate::support::{Daemon, free_port};
use crate::tools::{ends_within, nothing_lost, number};
use crate::{Outcome, Scale};

fn with_metrics(traffic: &Traffic, metrics: u16) -> String {
    traffic.config().replace("[metrics]\nlisten = \"\"", &format!("[metrics]\nlisten = \"127.0.0.1:{metrics}\""))
}

pub fn a_client_that_is_stopped(_: Scale) -> Outcome {
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let account = "[[account]]\nsystem_id = \"other\"\npassword = \"secret\"\ncountry = \"FI\"\nbinds = 64\n";
    let daemon = Daemon::start_in(traffic.folder(), &(traffic.config() + account), None);
    let alone = traffic.load(4_000, &["--system-id", "other", "--rate", "500", "--first-tag", "100001"]).report();
    let mut stopped = traffic.load(40_000, &[]);
    assert!(stopped.accepted(2_000), "it is stopped under load");
    kill_process(stopped.pid(), Signal::STOP).expect("a signal");
    let beside = traffic.load(4_000, &["--system-id", "other", "--rate", "500", "--first-tag", "200001"]).report();
    kill_process(stopped.pid(), Signal::CONT).expect("a signal");
    let report = stopped.report();
    assert_eq!(number(&beside, "binds"), 8, "the other one is not disturbed: {beside}");
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, OPEN_REQUESTS);
    let p99 = |report: &serde_json::Value| report["response_ms"]["p99"].as_f64().expect("p99");
    Ok(format!(
        "L=0, D={}, all receipts came after it went on; the other account's p99 {:.1} ms, {:.1} ms without the stopped one",
        account.duplicates,
        p99(&beside),
        p99(&alone)
    ))
}

pub fn a_thousand_binds(_: Scale) -> Outcome {
    const BINDS: f64 = 1_000.0;
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let metrics = free_port();
    let config = with_metrics(&traffic, metrics).replace("binds = 64", "binds = 1000")
        + "[limits]\nconnections = 4096\nconnections_per_address = 4096\n";
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let mut load = traffic.load(60_000, &["--binds", "1000", "--rate", "2000"]);
    wait_for(metrics, "smppgw_sessions", &[], BINDS);
    assert!(load.accepted(5_000), "they lose their connections under load");
    daemon.kill();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let ready = Instant::now();
    wait_for(metrics, "smppgw_sessions", &[], BINDS);
    let bound = ready.elapsed();
    assert!(bound < Duration::from_secs(10), "bound after {bound:?}");
    let report = load.report();
    assert_eq!(number(&report, "binds"), 2 * BINDS as u64, "each bound twice and no more: {report}");
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, OPEN_REQUESTS);
    Ok(format!("all bound {:.1} s after the restart, L=0, D={}", bound.as_secs_f64(), account.duplicates))
}

pub fn a_stopped_daemon(scale: Scale) -> Outcome {
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let metrics = free_port();
    let timers = "enquire_link = \"1s\"\nresponse = \"2s\"\n";
    let config = with_metrics(&traffic, metrics).replace("window = 100\nreconnect", &format!("window = 100\n{timers}reconnect"));
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    // The load waits longer than that for its responses.
    let patience = format!("{}s", 60 + scale.pause.as_secs());
    let mut load = traffic.load(40_000, &["--response-timeout", &patience, "--receipt-timeout", &patience]);
    assert!(load.accepted(2_000), "it is stopped under load");
    daemon.signal(Signal::STOP);
    assert!(!ends_within(daemon.process(), scale.pause), "it only sleeps");
    daemon.signal(Signal::CONT);
    let report = load.report();
    let expired = value(&scrape(metrics), "smppgw_parts_failed_total", &[("state", "EXPIRED")]);
    assert_eq!(expired, 0.0, "no expiry storm");
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, OPEN_REQUESTS);
    Ok(format!(
        "{} s with timers of 1 and 2 s: L=0, D={}, nothing expired, all receipts came",
        scale.pause.as_secs(),
        account.duplicates
    ))
}

pub fn reloads(_: Scale) -> Outcome {
    const RELOADS: usize = 1_000;
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let config = traffic.config();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let mut load = traffic.load(40_000, &["--rate", "1000"]);
    assert!(load.accepted(500), "reloaded under load");
    let socket = daemon.dir.join("control.sock");
    let control = ["ctl", "--socket", socket.to_str().expect("a path"), "reload"];
    for reload in 0..RELOADS {
        let changed =
            config.replace("reconnect = { min = \"100ms\"", &format!("reconnect = {{ min = \"{}ms\"", 100 + reload % 2));
        let only_routes = config.clone() + &format!("[[route]]\nprefix = [\"999{}\"]\noperators = [\"elisa\"]\n", reload % 7);
        std::fs::write(&daemon.config, if reload % 100 == 99 { changed } else { only_routes }).expect("a configuration");
        daemon.smppgw(&control);
    }
    std::fs::write(&daemon.config, config + "[[route]]\nprefix = 5\n").expect("a configuration");
    let refused = daemon.smppgw_fails(&control);
    assert!(refused.contains("smppgw.toml") && refused.contains("prefix"), "refused with file and field: {refused}");
    let report = load.report();
    assert_eq!(number(&report, "binds"), 8, "no session was dropped: {report}");
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, 0);
    Ok(format!(
        "{RELOADS} reloads, ten of which rebind all operators, and a bad one: L=0, D={}, no session of an application dropped",
        account.duplicates
    ))
}
