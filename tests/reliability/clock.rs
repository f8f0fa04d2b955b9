//! The wall clock, which anybody may set.

use std::path::Path;

use crate::support::Daemon;
use crate::support::traffic::Traffic;
use crate::tools::{nothing_lost, text};
use crate::{Outcome, Scale};

/// What the wall clock shows from one moment to the next, as libfaketime reads it.
const STEPS: [&str; 5] = ["+1h", "-1h", "+3650d", "-3650d", "+0"];

pub fn jumps(_: Scale) -> Outcome {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !Path::new(library).exists() {
        return Err("libfaketime".to_owned());
    }
    let mut traffic = Traffic::start(&["--receipt-delay", "50ms"]);
    let file = traffic.folder().join("clock");
    std::fs::write(&file, "+0").expect("the clock's file");
    let preload = format!("LD_PRELOAD={library}");
    let clock = format!("FAKETIME_TIMESTAMP_FILE={}", text(&file));
    let wrapper = ["env", &preload, &clock, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    let daemon = Daemon::start_under(&wrapper, traffic.folder(), &traffic.config()).expect("it starts");
    let messages = 4_000 * STEPS.len() as u64;
    let mut load = traffic.load(messages, &["--rate", "3000"]);
    for (at, step) in STEPS.iter().enumerate() {
        assert!(load.accepted(1 + at as u64 * 4_000), "the clock jumps under load");
        std::fs::write(&file, step).expect("the clock's file");
    }
    let report = load.report();
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, 0);
    assert_eq!(report["delivered"], report["receipts"], "nothing was reported expired: {report}");
    assert_eq!(report["binds"], 8, "no session was dropped: {report}");
    Ok(format!("{} under load: L=0, D={}, nothing expired, no session dropped", STEPS.join(" "), account.duplicates))
}
