//! Traffic of a whole gateway: five simulated operators on one side, the load generator on the other, and the account of both.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{config, free_port};

pub const OPERATORS: [&str; 5] = ["elisa", "telia", "dna", "alcom", "world"];
const BINDS_PER_OPERATOR: u64 = 2;
pub const WINDOW: u64 = 100;

/// Requests that may be open towards the operators at any moment.
pub const OPEN_REQUESTS: u64 = OPERATORS.len() as u64 * BINDS_PER_OPERATOR * WINDOW;

/// Beginnings of the destinations, one for each operator.
const PREFIXES: [&str; 5] = ["35840", "35850", "35844", "35845", "46"];

/// A folder, ports, and the simulated operators.
pub struct Traffic {
    folder: TempDir,
    ports: Vec<u16>,
    /// Of the gateway's listener.
    pub port: u16,
    /// What the simulated operators are told besides.
    options: Vec<String>,
    simulated: Option<Child>,
    wrapper: Vec<String>,
    address: String,
}

impl Traffic {
    /// Starts the simulated operators.
    pub fn start(options: &[&str]) -> Traffic {
        Self::start_in(&[], "127.0.0.1", options)
    }

    /// Starts them as the command of another program, which puts them where they have this address.
    pub fn start_in(wrapper: &[&str], address: &str, options: &[&str]) -> Traffic {
        let mut traffic = Traffic {
            wrapper: wrapper.iter().map(|word| (*word).to_owned()).collect(),
            address: address.to_owned(),
            folder: TempDir::new().expect("a folder"),
            ports: OPERATORS.iter().map(|_| free_port()).collect(),
            port: free_port(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            simulated: None,
        };
        traffic.start_operators();
        traffic
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the operators have accepted, a line each.
    fn log(&self) -> PathBuf {
        self.folder.path().join("operators.csv")
    }

    /// A configuration with these operators and the load spread over all of them.
    pub fn config(&self) -> String {
        let operators: Vec<(&str, u16)> = OPERATORS.into_iter().zip(self.ports.iter().copied()).collect();
        let mut text = config(self.port, &operators);
        for (_, port) in &operators {
            text = text.replace(&format!("127.0.0.1:{port}"), &format!("{}:{port}", self.address));
        }
        for (prefix, operator) in PREFIXES.iter().zip(OPERATORS) {
            text.push_str(&format!("[[route]]\nprefix = [\"{prefix}\"]\noperators = [\"{operator}\"]\n"));
        }
        text
    }

    /// What the simulated operators are told when they are started next.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
    }

    pub fn start_operators(&mut self) {
        let operators: Vec<String> =
            OPERATORS.iter().zip(&self.ports).map(|(name, port)| format!("{name}={}:{port}", self.address)).collect();
        let mut words = self.wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_smppgw"), "simulate"]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["--quiet", "--operators", &operators.join(","), "--log"])
            .arg(self.log())
            .args(&self.options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulated operators start");
        let stdout = child.stdout.take().expect("their output");
        let listening =
            BufReader::new(stdout).lines().map_while(Result::ok).take(OPERATORS.len()).filter(|line| line.contains("listens"));
        assert_eq!(listening.count(), OPERATORS.len(), "every simulated operator listens");
        self.simulated = Some(child);
    }

    /// Ends the simulated operators in order: afterwards all they have accepted is in their log.
    pub fn stop_operators(&mut self) {
        let Some(mut child) = self.simulated.take() else { return };
        kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
        child.wait().expect("the simulated operators end");
    }

    /// Starts `smppgw load` with so many messages; it reconnects, and sends again what was not answered. `options` overrule.
    pub fn load(&self, messages: u64, options: &[&str]) -> Load {
        let (accepted, to) = (self.folder.path().join("accepted.csv"), format!("127.0.0.1:{}", self.port));
        let usual = [
            ["--system-id", "app"],
            ["--password", "secret"],
            ["--binds", "8"],
            ["--window", "100"],
            ["--length", "20"],
            ["--destination", "35840,35850,35844,35845,4670"],
            ["--response-timeout", "60s"],
            ["--receipt-timeout", "60s"],
            // Often, for the story to go on while messages are still to come.
            ["--progress", "50ms"],
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_smppgw"))
            .args(["load", "--to", &to, "--messages", &messages.to_string(), "--reconnect", "--json", "--accepted"])
            .arg(&accepted)
            .args(usual.iter().filter(|pair| !options.contains(&pair[0])).flatten())
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the load generator starts");
        let progress = BufReader::new(child.stderr.take().expect("its progress")).lines();
        Load { child, progress }
    }

    /// Ends the operators and compares what was accepted here with what they have.
    pub fn account(&mut self) -> Account {
        self.stop_operators();
        let tag_of_ours = |line: &str| line.split(',').next().and_then(|tag| tag.parse().ok());
        // What they refused stands in their log as well.
        let accepted = |line: &str| line.split(',').nth(2) == Some("00");
        let tag_of_theirs = |line: &str| line.split(',').rev().nth(1).filter(|_| accepted(line)).and_then(|tag| tag.parse().ok());
        let ours = tags(&self.folder.path().join("accepted.csv"), tag_of_ours);
        let theirs = tags(&self.log(), tag_of_theirs);
        let mut lost: Vec<u64> = ours.keys().filter(|tag| !theirs.contains_key(tag)).copied().collect();
        lost.sort_unstable();
        let duplicates = theirs.values().map(|count| count - 1).sum();
        Account { accepted: ours.len() as u64, lost, duplicates }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if let Some(mut child) = self.simulated.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How often each tag stands in a file, in lines that have one to count.
fn tags(file: &Path, tag: impl Fn(&str) -> Option<u64>) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    for line in BufReader::new(std::fs::File::open(file).expect("the file")).lines().map_while(Result::ok) {
        if let Some(tag) = tag(&line) {
            *counts.entry(tag).or_default() += 1;
        }
    }
    counts
}

/// What became of the messages.
#[derive(Debug)]
pub struct Account {
    /// Messages with a positive response.
    pub accepted: u64,
    /// Those of them that no operator has accepted.
    pub lost: Vec<u64>,
    /// How often an operator accepted a message beyond the first time.
    pub duplicates: u64,
}

/// A running load generator.
pub struct Load {
    child: Child,
    progress: std::io::Lines<BufReader<ChildStderr>>,
}

impl Load {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for so many accepted messages; false when the load ends before that was seen.
    pub fn accepted(&mut self, count: u64) -> bool {
        let so_far = self.progress.by_ref().map_while(Result::ok).filter_map(|line| number_before(&line, "accepted"));
        so_far.into_iter().any(|accepted| accepted >= count)
    }

    /// Has it ended by itself?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// Waits for the end, and for its report.
    pub fn report(mut self) -> serde_json::Value {
        self.progress.by_ref().for_each(drop);
        let output = self.child.wait_with_output().expect("the load generator ends");
        serde_json::from_slice(&output.stdout).expect("its report")
    }
}

/// Messages that were throttled because a commit took long: on a busy machine that is no fault of anybody's.
pub fn throttled(report: &serde_json::Value) -> u64 {
    report["refusals"]["0x58"].as_u64().unwrap_or(0)
}

/// The number before a word at the end of a progress line's totals.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().rposition(|other| *other == word)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}
