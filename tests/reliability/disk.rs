//! What stands on the disk: power cuts, errors, no space, no speed, and very much of it.

use std::time::{Duration, Instant};

use smppgw::smpp::{BindKind, CommandId};

use crate::support::client::Client;
use crate::support::scrape::{scrape, value, wait_for};
use crate::support::traffic::{OPEN_REQUESTS, Traffic, throttled};
use crate::support::{Daemon, free_port};
use crate::tools::{Mount, allowed, ends_within, needs, nothing_lost, number, strace, text, words};
use crate::{Outcome, Scale};

/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing more reaches the disk, not even the journal of the file system.
const POWER_OFF: &str = "import fcntl, os, struct, sys; \
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A configuration with the spool in another place and a metrics port.
fn configured(traffic: &Traffic, data: &str, metrics: u16) -> String {
    let text = traffic.config().replace("data_dir = \"data\"", &format!("data_dir = \"{data}\""));
    text.replace("[metrics]\nlisten = \"\"", &format!("[metrics]\nlisten = \"127.0.0.1:{metrics}\""))
}

pub fn power_cut(scale: Scale) -> Outcome {
    needs("mkfs.ext4")?;
    needs("python3")?;
    let (mut duplicates, mut cuts) = (0, 0);
    for at in (1..=scale.points).map(|cut| cut * 1_500) {
        let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
        let mut disk = Mount::ext4(traffic.folder(), 256)?;
        let config = configured(&traffic, text(&disk.path().join("data")), free_port());
        let daemon = Daemon::start_in(traffic.folder(), &config, None);
        let mut load = traffic.load(at + 6_000, &["--rate", "3000"]);
        assert!(load.accepted(at), "the power goes under load");
        allowed("python3", &["-c", POWER_OFF, text(disk.path())])?;
        daemon.kill();
        disk.unmount();
        disk.mount()?;
        let daemon = Daemon::start_in(traffic.folder(), &config, None);
        let report = load.report();
        assert!(daemon.stop(), "it stops in order");
        duplicates += nothing_lost(&mut traffic, &report, OPEN_REQUESTS).duplicates;
        cuts += 1;
    }
    Ok(format!("{cuts} power cuts under load: L=0, all receipts came, D={duplicates}"))
}

pub fn full(_: Scale) -> Outcome {
    let disk = Mount::tmpfs(48)?;
    // Delivered as slowly as it takes to fill the disk.
    let mut traffic = Traffic::start(&["--receipt-delay", "0ms", "--rate", "20"]);
    let metrics = free_port();
    let config = configured(&traffic, text(&disk.path().join("data")), metrics);
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let first = traffic.load(200_000, &["--length", "150", "--receipts", "no"]).report();
    let refused = first["refusals"]["0x14"].as_u64().unwrap_or(0);
    assert!(refused > 0, "new submissions are refused with 0x14: {first}");
    assert_eq!(number(&first, "refused"), refused + throttled(&first), "and with nothing else: {first}");
    let failures = value(&scrape(metrics), "smppgw_spool_failures_total", &[]);
    assert_eq!(failures, 0.0, "before the disk is full");
    assert!(daemon.stop(), "it stops in order");
    // Faster operators: the backlog goes, and with it the reason to refuse.
    traffic.stop_operators();
    traffic.set_options(&["--receipt-delay", "0ms"]);
    traffic.start_operators();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    wait_until_zero(&daemon, metrics, "smppgw_queue_messages");
    // What was sent last has to be noted as well before the spool has room.
    wait_for(metrics, "smppgw_spool_accepting", &[], 1.0);
    let second = traffic.load(1_000, &["--first-tag", "1000001"]).report();
    assert_eq!(number(&second, "accepted") + throttled(&second), 1_000, "it accepts again: {second}");
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &second, OPEN_REQUESTS);
    Ok(format!(
        "tmpfs of 48 MiB: {} accepted, {refused} refused with 0x14, no write failed, L=0; accepts again when drained",
        account.accepted
    ))
}

pub fn errors(scale: Scale) -> Outcome {
    needs("strace")?;
    let (mut refused, mut runs, mut duplicates, mut failures) = (0, 0, 0, 0.0);
    for call in ["fdatasync", "pwrite64"] {
        for point in 0..scale.points {
            let nth = 5 + point * 7;
            let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
            let metrics = free_port();
            let config = configured(&traffic, "data", metrics);
            let wrapper = strace(call, &format!("error=EIO:when={nth}..{}", nth + 2));
            let daemon = Daemon::start_under(&words(&wrapper), traffic.folder(), &config).expect("it starts");
            let report = traffic.load(6_000, &[]).report();
            failures += value(&scrape(metrics), "smppgw_spool_failures_total", &[]);
            let these = report["refusals"]["0x08"].as_u64().unwrap_or(0);
            assert_eq!(number(&report, "refused"), these + throttled(&report), "refused with 0x08 and nothing else: {report}");
            let again = traffic.load(100, &["--first-tag", "100001"]).report();
            assert_eq!(number(&again, "accepted") + throttled(&again), 100, "it has recovered by itself: {again}");
            assert!(daemon.stop(), "it stops in order");
            duplicates += nothing_lost(&mut traffic, &report, OPEN_REQUESTS).duplicates;
            refused += these;
            runs += 1;
        }
    }
    assert!(failures >= scale.points as f64, "the failures are counted");
    Ok(format!(
        "{runs} runs with three errors each, {failures} failed commits counted: L=0, D={duplicates}, \
         {refused} refused with 0x08, recovered by itself"
    ))
}

pub fn slow(_: Scale) -> Outcome {
    needs("strace")?;
    let mut traffic = Traffic::start(&["--receipt-delay", "5ms"]);
    let config = traffic.config();
    let wrapper = strace("fdatasync", "delay_enter=500000:when=10+");
    let daemon = Daemon::start_under(&words(&wrapper), traffic.folder(), &config).expect("it starts");
    let mut other = Client::bound_as(traffic.port, BindKind::Transmitter, "app", "secret");
    let mut load = traffic.load(8_000, &[]);
    assert!(load.accepted(1_000), "messages are accepted, slowly");
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let asked = Instant::now();
        other.ask(CommandId::EnquireLink, &[]);
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "enquire_link took {slowest:?}");
    let memory = resident_mib(daemon.pid());
    let report = load.report();
    assert_eq!(number(&report, "binds"), 8, "nobody was disconnected: {report}");
    drop(other);
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, 0);
    Ok(format!(
        "0.5 s per fdatasync: {} accepted, L=0, D={}, enquire_link within {} ms, {memory} MiB resident, nobody disconnected",
        account.accepted,
        account.duplicates,
        slowest.as_millis()
    ))
}

/// Resident memory of a process.
pub fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}

/// Ten million messages for operators that are down, then a restart. Only a release build does this in minutes.
pub fn backlog(_: Scale) -> Outcome {
    const MESSAGES: u64 = 10_000_000;
    let mut traffic = Traffic::start(&[]);
    traffic.stop_operators();
    let metrics = free_port();
    let config = configured(&traffic, "data", metrics)
        .replace("max_size = \"2GiB\"", "max_size = \"8GiB\"")
        .replace("segment_size = \"4MiB\"", "segment_size = \"64MiB\"")
        + "[limits]\nqueue_per_account = 20000000\n";
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let report = traffic.load(MESSAGES, &["--receipts", "no"]).report();
    assert_eq!(number(&report, "accepted"), MESSAGES, "all are accepted: {report}");
    let full = resident_mib(daemon.pid());
    daemon.kill();
    let started = Instant::now();
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let ready = started.elapsed();
    let restarted = resident_mib(daemon.pid());
    assert!(ready < Duration::from_secs(15), "ready after {ready:?}");
    assert!(full.max(restarted) <= 1024, "{full} MiB, and {restarted} MiB after the restart");
    traffic.start_operators();
    wait_until_zero(&daemon, metrics, "smppgw_queue_messages");
    assert!(daemon.stop(), "it stops in order");
    let account = traffic.account();
    assert!(account.lost.is_empty(), "{} lost", account.lost.len());
    Ok(format!(
        "10M accepted: {full} MiB; killed, ready after {:.1} s with {restarted} MiB; drained: L=0, D={}",
        ready.as_secs_f64(),
        account.duplicates
    ))
}

/// Waits until the figure is zero, as long as it keeps falling.
fn wait_until_zero(daemon: &Daemon, metrics: u16, name: &str) {
    let mut last = (f64::MAX, Instant::now());
    loop {
        let now = value(&scrape(metrics), name, &[]);
        if now == 0.0 {
            return;
        }
        if now < last.0 {
            last = (now, Instant::now());
        }
        assert!(last.1.elapsed() < crate::support::PATIENCE, "{name} stays at {now}");
        // The figure is made once a second.
        assert!(!ends_within(daemon.process(), Duration::from_secs(1)), "it lives");
    }
}
