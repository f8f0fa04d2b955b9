//! The real daemon as a child process, for tests of whole stories.
#![allow(dead_code)] // each test program uses its own part

pub mod client;
pub mod operator;
pub mod scrape;
pub mod story;
pub mod traffic;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub mod foreign;
pub mod http;
pub mod kannel;
pub mod wire;

/// How long any single step of a story may take before the test fails. Nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `smppgw serve` with its folder.
pub struct Daemon {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    /// Lines before this one are of earlier steps of the story.
    forgotten: usize,
    pub dir: PathBuf,
    pub config: PathBuf,
    _owned: Option<TempDir>,
}

/// A port nobody listens on now, and nobody else takes while this process lives: neither an outgoing connection, to which the kernel
/// gives others, nor another test program, which finds its file locked.
pub fn free_port() -> u16 {
    static LOCKED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("smppgw-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for locks");
    for port in std::iter::repeat_with(|| rand::random_range(BELOW_OUTGOING)).take(10_000) {
        let file = File::options().create(true).append(true).open(folder.join(port.to_string()));
        let Some(lock) = file.ok().filter(|file| file.try_lock().is_ok()) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            LOCKED.lock().expect("a list").push(lock);
            return port;
        }
    }
    panic!("no free port in {BELOW_OUTGOING:?}");
}

/// Ports that outgoing connections do not get, unless somebody has changed `net.ipv4.ip_local_port_range`.
const BELOW_OUTGOING: std::ops::Range<u16> = 10_000..32_000;

impl Daemon {
    /// Writes `config` into a new folder and starts the daemon with it; returns when it is ready (sd_notify READY=1).
    pub fn start(config: &str) -> Daemon {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().to_owned();
        Self::start_in(&path, config, Some(dir))
    }

    /// As [`Daemon::start`], in a folder that outlives the daemon: for restarts.
    pub fn start_in(dir: &Path, config: &str, owned: Option<TempDir>) -> Daemon {
        let mut daemon = Self::start_under(&[], dir, config).unwrap_or_else(|log| panic!("the daemon is not ready:\n{log}"));
        daemon._owned = owned;
        daemon
    }

    /// As [`Daemon::start_in`], as the command of another program, which must become the daemon (`env`, `strace -D`).
    ///
    /// # Errors
    /// Its log, when it ended before it was ready.
    pub fn start_under(wrapper: &[&str], dir: &Path, config: &str) -> Result<Daemon, String> {
        let file = dir.join("smppgw.toml");
        std::fs::write(&file, config).expect("the configuration");
        let notify = dir.join("notify.sock");
        // A former daemon's socket.
        let _ = std::fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("the notify socket");
        let mut words = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_smppgw"), "serve", "--config"]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .arg(&file)
            .env("NOTIFY_SOCKET", &notify)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let (sender, log) = channel();
        let stderr = child.stderr.take().expect("its log");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Daemon { child, log, seen: Vec::new(), forgotten: 0, dir: dir.to_owned(), config: file, _owned: None };
        if daemon.becomes_ready(&ready) { Ok(daemon) } else { Err(daemon.log_so_far()) }
    }

    fn becomes_ready(&mut self, ready: &UnixDatagram) -> bool {
        let mut message = [0; 512];
        let until = Instant::now() + PATIENCE;
        ready.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        loop {
            match ready.recv(&mut message) {
                Ok(length) if String::from_utf8_lossy(&message[..length]).contains("READY=1") => return true,
                Ok(_) => {}
                Err(_) if !self.has_ended() && Instant::now() < until => {}
                Err(_) => return false,
            }
        }
    }

    pub fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    pub fn log_so_far(&mut self) -> String {
        self.seen.extend(self.log.try_iter());
        self.seen.join("\n")
    }

    /// Waits for a log line that contains `text`.
    pub fn wait_for_log(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        self.seen.extend(self.log.try_iter());
        while !self.seen.iter().any(|line| line.contains(text)) {
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no log line with {text:?} in\n{}", self.seen.join("\n")),
            }
        }
    }

    /// What is waited for next must be logged after this.
    pub fn forget_log(&mut self) {
        self.seen.extend(self.log.try_iter());
        self.forgotten = self.seen.len();
    }

    /// As [`Daemon::wait_for_log`], of the lines since [`Daemon::forget_log`].
    pub fn wait_for_new_log(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        self.seen.extend(self.log.try_iter());
        while !self.seen[self.forgotten..].iter().any(|line| line.contains(text)) {
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no new log line with {text:?} in\n{}", self.seen.join("\n")),
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.process(), signal).expect("the daemon takes a signal");
    }

    /// SIGKILL, as in a crash.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon is killed");
        self.child.wait().expect("the daemon has ended");
    }

    /// SIGTERM; waits for the end and returns whether it was a good one.
    pub fn stop(mut self) -> bool {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("the daemon has ended").success()
    }

    /// Runs `smppgw` with arguments, which must fail, and returns what it says.
    pub fn smppgw_fails(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_smppgw")).args(arguments).output().expect("smppgw runs");
        assert!(!output.status.success(), "smppgw {arguments:?} succeeds");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Runs `smppgw` with arguments and returns its standard output; fails the test when the command fails.
    pub fn smppgw(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_smppgw")).args(arguments).output().expect("smppgw runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "smppgw {arguments:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended in most stories.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small configuration: one listener, one account `app`/`secret`, operators at the given ports, everything to the first.
pub fn config(port: u16, operators: &[(&str, u16)]) -> String {
    let mut text = format!(
        r#"
[node]
name = "t1"
data_dir = "data"
[spool]
segment_size = "4MiB"
max_size = "2GiB"
disk_reserve = "16MiB"
[control]
socket = "control.sock"
[metrics]
listen = ""
[log]
format = "text"
[[listener]]
name = "plain"
address = "127.0.0.1:{port}"
[[account]]
system_id = "app"
password = "secret"
country = "FI"
binds = 64
[[route]]
prefix = [""]
operators = [{}]
"#,
        operators.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    );
    for (name, port) in operators {
        text.push_str(&format!(
            "[[operator]]\nname = \"{name}\"\nwindow = 100\nreconnect = {{ min = \"100ms\", max = \"1s\" }}\n\
             [[operator.bind]]\naddress = \"127.0.0.1:{port}\"\nsystem_id = \"gw\"\npassword = \"pw\"\ncount = 2\n"
        ));
    }
    text
}
