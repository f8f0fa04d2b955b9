//! The network between the gateway and the operators, in a namespace of its own.

use std::process::Command;
use std::time::Instant;

use crate::support::scrape::wait_for;
use crate::support::traffic::{OPEN_REQUESTS, OPERATORS, Traffic};
use crate::support::{Daemon, free_port};
use crate::tools::{allowed, nothing_lost};
use crate::{Outcome, Scale};

const OURS: &str = "198.18.77.1";
const THEIRS: &str = "198.18.77.2";

/// A network namespace and the cable to it, gone when dropped.
struct Namespace {
    name: String,
    cable: String,
}

impl Namespace {
    fn new() -> Result<Namespace, String> {
        let id = std::process::id() % 100_000;
        let namespace = Namespace { name: format!("smppgw{id}"), cable: format!("gw{id}") };
        let (name, ours, theirs) = (namespace.name.as_str(), namespace.cable.as_str(), format!("op{id}"));
        allowed("ip", &["netns", "add", name])?;
        allowed("ip", &["link", "add", ours, "type", "veth", "peer", "name", &theirs, "netns", name])?;
        allowed("ip", &["address", "add", &format!("{OURS}/30"), "dev", ours])?;
        allowed("ip", &["link", "set", ours, "up"])?;
        allowed("ip", &["-n", name, "address", "add", &format!("{THEIRS}/30"), "dev", &theirs])?;
        allowed("ip", &["-n", name, "link", "set", &theirs, "up"])?;
        Ok(namespace)
    }

    /// Plugs the cable in, or pulls it: neither end hears of the other any more, and none is told.
    fn set(&self, up: bool) {
        allowed("ip", &["link", "set", &self.cable, if up { "up" } else { "down" }]).expect("the cable can be moved");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.cable]).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

pub fn dead_link(_: Scale) -> Outcome {
    let namespace = Namespace::new()?;
    let metrics = free_port();
    let mut traffic = Traffic::start_in(&["ip", "netns", "exec", &namespace.name], THEIRS, &["--receipt-delay", "50ms"]);
    let timers = "enquire_link = \"1s\"\nresponse = \"2s\"\n";
    let config = traffic
        .config()
        .replace("[metrics]\nlisten = \"\"", &format!("[metrics]\nlisten = \"127.0.0.1:{metrics}\""))
        .replace("window = 100\nreconnect", &format!("window = 100\n{timers}reconnect"));
    let daemon = Daemon::start_in(traffic.folder(), &config, None);
    let binds = OPERATORS.len() as f64 * 2.0;
    wait_for(metrics, "smppgw_bind_up", &[], binds);
    let mut load = traffic.load(40_000, &[]);
    assert!(load.accepted(3_000), "the link dies under load");
    namespace.set(false);
    let pulled = Instant::now();
    wait_for(metrics, "smppgw_bind_up", &[], 0.0);
    let noticed = pulled.elapsed();
    namespace.set(true);
    wait_for(metrics, "smppgw_bind_up", &[], binds);
    let back = pulled.elapsed();
    let report = load.report();
    assert!(daemon.stop(), "it stops in order");
    let account = nothing_lost(&mut traffic, &report, OPEN_REQUESTS);
    Ok(format!(
        "enquire_link 1 s, response 2 s: dead links found within {:.1} s, bound again after {:.1} s, L=0, D={}",
        noticed.as_secs_f64(),
        back.as_secs_f64(),
        account.duplicates
    ))
}
