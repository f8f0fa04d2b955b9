//! Foreign SMPP programs and tools as child processes. Whatever is missing fails the test and says how to install it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;
use super::wire::Part;

/// Seconds a client waits for its receipts.
const CLIENT_TIMEOUT: &str = "50";

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A command that the system has, programs of daemons included.
pub fn tool(program: &str) -> Command {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| panic!("{program} is missing: run `make tools`")));
    command.env("PATH", path);
    command
}

fn node(script: &str) -> Command {
    let package = repository("tests/clients/node/node_modules/smpp");
    assert!(package.is_dir(), "the npm package smpp is missing: run `make tools`");
    let mut command = tool("node");
    command.arg(repository("tests/clients/node").join(script));
    command
}

fn python() -> Command {
    let interpreter = repository(".tools/venv/bin/python3");
    assert!(interpreter.exists(), "Python's smpplib is missing: run `make tools`");
    let mut command = Command::new(interpreter);
    command.arg(repository("tests/clients/python/smpplib_client.py"));
    command
}

fn perl() -> Command {
    let modules = tool("perl").args(["-MNet::SMPP", "-MJSON::PP", "-e", "1"]).stderr(Stdio::null()).status();
    assert!(modules.is_ok_and(|status| status.success()), "Perl's Net::SMPP is missing: run `make tools`");
    let mut command = tool("perl");
    command.arg(repository("tests/clients/perl/net_smpp_client.pl"));
    command
}

/// A running program whose output, standard and error, comes line by line.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    pub fn start(name: &str, mut command: Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("its output"), sender.clone());
        forward(child.stderr.take().expect("its complaints"), sender);
        let stdin = child.stdin.take();
        Program { name: name.to_owned(), child, stdin, lines, seen: Vec::new() }
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(error) => panic!("{}: {error} after\n{}", self.name, self.seen.join("\n")),
        }
    }

    /// Waits for a line with this text.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.line().contains(text) {
            assert!(Instant::now() < until, "{}: no {text:?} in\n{}", self.name, self.seen.join("\n"));
        }
    }

    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// SIGTERM; returns once the program has ended and all its lines are read.
    pub fn terminate(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the program takes a signal");
        self.child.wait().expect("the program has ended");
        self.seen.extend(self.lines.iter());
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended in some stories.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(stream: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        // Ends with the program or with the test.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// A client that binds, submits and waits for its receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Smpplib,
    NetSmpp,
    Node,
}

/// What a client tells at its end.
#[derive(Debug, serde::Deserialize)]
pub struct Told {
    /// Message ids in the order of submission.
    pub submitted: Vec<String>,
    pub receipts: Vec<Receipt>,
    pub mo: Vec<Mo>,
}

#[derive(Debug, serde::Deserialize)]
pub struct Receipt {
    pub id: String,
    pub stat: String,
    pub text: String,
    /// The TLV, where the client shows it.
    pub receipted_message_id: Option<String>,
}

#[derive(Debug, serde::Deserialize, PartialEq, Eq)]
pub struct Mo {
    pub source: String,
    pub dest: String,
    pub text: String,
}

impl Client {
    fn command(self) -> Command {
        match self {
            Client::Smpplib => python(),
            Client::NetSmpp => perl(),
            Client::Node => node("client.js"),
        }
    }

    /// Starts the client as account `app`; it submits each text to its number and asks for receipts.
    pub fn submit(self, port: u16, texts: &[(String, String)], more: &[&str]) -> Told {
        let texts: Vec<Value> = texts.iter().map(|(to, text)| json!({"to": to, "text": text})).collect();
        self.run(port, "app", &Value::Array(texts).to_string(), more)
    }

    /// Binds as this account until so many deliver_sm have come (only [`Client::Node`]).
    pub fn receive(self, port: u16, account: &str, count: usize, more: &[&str]) -> Told {
        let count = count.to_string();
        self.run(port, account, "", &[&["--receive", count.as_str()], more].concat())
    }

    fn run(self, port: u16, account: &str, input: &str, more: &[&str]) -> Told {
        let mut command = self.command();
        command.args(["127.0.0.1", &port.to_string(), account, "secret", "--timeout", CLIENT_TIMEOUT]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{self:?} does not start: {error}"));
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("the client reads the texts");
        let output = child.wait_with_output().expect("the client ends");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && err.is_empty(), "{self:?}: {}\n{out}\n{err}", output.status);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{self:?}: {error} in {out}"))
    }
}

/// The npm `smpp` package as an operator.
pub struct NodeOperator {
    program: Program,
    /// Submissions that came while something else was waited for.
    submissions: VecDeque<Value>,
    pub port: u16,
}

impl NodeOperator {
    pub fn start(arguments: &[&str]) -> NodeOperator {
        let mut command = node("server.js");
        command.arg("0").args(arguments);
        let mut operator = NodeOperator { program: Program::start("server.js", command), submissions: VecDeque::new(), port: 0 };
        let listening = operator.wait("listening");
        operator.port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("its port");
        operator
    }

    fn event(line: &str) -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("server.js: {error}: {line}"));
        assert!(event["event"] != "error" && event["event"] != "no_receiver", "server.js: {event}");
        event
    }

    /// Waits for the next event of this kind; earlier ones of other kinds are passed over, submissions are kept. An error of the
    /// program fails the test.
    pub fn wait(&mut self, kind: &str) -> Value {
        loop {
            let event = Self::event(&self.program.line());
            match event["event"].as_str() {
                Some(this) if this == kind => return event,
                Some("submit_sm") => self.submissions.push_back(event),
                _ => {}
            }
        }
    }

    /// The next submissions.
    pub fn parts(&mut self, count: usize) -> Vec<Part> {
        let mut next = || self.submissions.pop_front().unwrap_or_else(|| self.wait("submit_sm"));
        (0..count).map(|_| Part::of_node(&next())).collect()
    }

    /// A handset sends a text; `more` may name a user data header and the like (see server.js). Returns the status of the answer.
    pub fn send_mo(&mut self, source: &str, destination: &str, text: &str, udh: Option<&str>) -> u64 {
        let mo = json!({"mo": {"source": source, "destination": destination, "text": text, "udh": udh}});
        self.program.tell(&mo.to_string());
        loop {
            let answer = self.wait("deliver_sm_resp");
            if answer["mo"] == destination {
                return answer["status"].as_u64().expect("a status");
            }
        }
    }

    /// Ends the operator; the number of submissions nobody has asked for.
    pub fn stop(self) -> usize {
        let read = self.program.seen.len();
        let lines = self.program.terminate();
        let rest = lines[read..].iter().filter(|line| Self::event(line)["event"] == "submit_sm").count();
        self.submissions.len() + rest
    }
}
