//! Nothing accepted is lost, whatever kills the daemon: 200,000 messages from 8 binds with receipts, window 100, through a daemon
//! killed with SIGKILL five times under load and restarted each time.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{Daemon, config, free_port};
use tempfile::TempDir;

const OPERATORS: [&str; 5] = ["elisa", "telia", "dna", "alcom", "world"];
const BINDS_PER_OPERATOR: u64 = 2;
const WINDOW: u64 = 100;
const MESSAGES: u64 = 200_000;

/// Accepted messages at which the daemon is killed.
const KILLS: [u64; 5] = [20_000, 55_000, 90_000, 125_000, 160_000];

/// Routes that spread the load over all operators.
fn routes() -> String {
    let mut text = String::new();
    for (prefix, operator) in ["35840", "35850", "35844", "35845", "46"].iter().zip(OPERATORS) {
        text.push_str(&format!("[[route]]\nprefix = [\"{prefix}\"]\noperators = [\"{operator}\"]\n"));
    }
    text
}

fn simulate(ports: &[u16], log: &Path) -> Child {
    let operators: Vec<String> = OPERATORS.iter().zip(ports).map(|(name, port)| format!("{name}=127.0.0.1:{port}")).collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_smppgw"))
        .args(["simulate", "--quiet", "--receipt-delay", "20ms", "--operators", &operators.join(","), "--log"])
        .arg(log)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulated operators start");
    let stdout = child.stdout.take().expect("their output");
    let listening =
        BufReader::new(stdout).lines().map_while(Result::ok).take(OPERATORS.len()).filter(|line| line.contains("listens"));
    assert_eq!(listening.count(), OPERATORS.len(), "every simulated operator listens");
    child
}

fn load(port: u16, accepted: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_smppgw"))
        .args(["load", "--to", &format!("127.0.0.1:{port}"), "--system-id", "app", "--password", "secret"])
        .args(["--binds", "8", "--window", "100", "--messages", &MESSAGES.to_string(), "--length", "20", "--reconnect", "--json"])
        .args([
            "--destination",
            "35840,35850,35844,35845,4670",
            "--response-timeout",
            "60s",
            "--receipt-timeout",
            "60s",
            "--accepted",
        ])
        .arg(accepted)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the load generator starts")
}

/// The number before "accepted" at the end of a progress line's totals.
fn accepted_so_far(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().rposition(|word| *word == "accepted")?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

/// How often each tag was accepted by us, and accepted by an operator.
fn counts(accepted: &Path, log: &Path) -> (HashMap<u64, u64>, HashMap<u64, u64>) {
    let lines = |path: &Path| BufReader::new(std::fs::File::open(path).expect("the file")).lines().map_while(Result::ok);
    let mut ours = HashMap::new();
    for line in lines(accepted) {
        let tag = line.split(',').next().and_then(|tag| tag.parse().ok()).expect("a tag");
        *ours.entry(tag).or_default() += 1;
    }
    let mut theirs = HashMap::new();
    for line in lines(log) {
        let tag = line.split(',').rev().nth(1).and_then(|tag| tag.parse().ok()).expect("a tag");
        *theirs.entry(tag).or_default() += 1;
    }
    (ours, theirs)
}

#[test]
fn two_hundred_thousand_messages_survive_five_kills() {
    let folder = TempDir::new().expect("a folder");
    let (log, accepted) = (folder.path().join("operators.csv"), folder.path().join("accepted.csv"));
    let ports: Vec<u16> = OPERATORS.iter().map(|_| free_port()).collect();
    let operators: Vec<(&str, u16)> = OPERATORS.into_iter().zip(ports.iter().copied()).collect();
    let port = free_port();
    let config = config(port, &operators) + &routes();
    let mut simulated = simulate(&ports, &log);
    let mut daemon = Daemon::start_in(folder.path(), &config, None);
    let mut load = load(port, &accepted);
    let progress = BufReader::new(load.stderr.take().expect("its progress")).lines().map_while(Result::ok);
    let mut kills = KILLS.iter().copied().peekable();
    for line in progress {
        if let Some(so_far) = accepted_so_far(&line)
            && kills.next_if(|at| so_far >= *at).is_some()
        {
            daemon.kill();
            daemon = Daemon::start_in(folder.path(), &config, None);
        }
    }
    let output = load.wait_with_output().expect("the load generator ends");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("its report");
    assert_eq!(kills.next(), None, "killed five times while messages were accepted: {report}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&simulated), rustix::process::Signal::TERM).expect("a signal");
    simulated.wait().expect("the simulated operators end");
    assert!(daemon.stop(), "the last daemon stops in order");

    let (ours, theirs) = counts(&accepted, &log);
    let lost: Vec<u64> = ours.keys().filter(|tag| !theirs.contains_key(tag)).copied().collect();
    assert!(
        lost.is_empty(),
        "{} accepted messages never reached an operator, such as {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    assert_eq!(ours.len() as u64, MESSAGES, "every message was accepted in the end: {report}");
    let sent: u64 = theirs.values().sum();
    let duplicates = sent - MESSAGES;
    let resent = report["resent"].as_u64().expect("resent");
    let bound = KILLS.len() as u64 * OPERATORS.len() as u64 * BINDS_PER_OPERATOR * WINDOW + resent;
    assert!(
        duplicates <= bound,
        "{duplicates} duplicates exceed the windows open at the kills and the client's own resends, {bound}"
    );
    assert_eq!(report["missing_receipts"].as_u64(), Some(0), "every receipt was delivered: {report}");
    eprintln!("{sent} submissions of {MESSAGES} messages, {duplicates} duplicates (bound {bound}); {report}");
}
