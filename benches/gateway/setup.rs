//! The gateway under test and its simulated operators, each in a process of its own, as one configuration describes them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Outcome;
use crate::options::Options;
use crate::process::{Ended, Process};

/// How long anything but the load itself may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what another process has reached.
const LOOK: Duration = Duration::from_millis(10);

pub const SYSTEM_ID: &str = "bench";
pub const PASSWORD: &str = "secret";
/// Numbers that begin so go to an operator that is never up.
pub const DOWN: &str = "35899";
/// Unanswered requests per operator bind, in either direction.
const WINDOW: &str = "500";
/// From submission to receipt, at the simulated operators.
pub const RECEIPT_DELAY: &str = "50ms";

/// What the gateway is configured with.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Operators that are up, each with two binds of window [`WINDOW`].
    pub operators: usize,
    /// Prefixes in the table, besides one per operator.
    pub prefixes: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { operators: 2, prefixes: 0 }
    }
}

impl Setup {
    /// Prefixes of the destinations, so that messages go to all operators in turn.
    pub fn destinations(&self) -> Vec<String> {
        let spread = |operator: usize| (0..100).map(move |block| format!("{}{block:02}", self.prefix(operator)));
        if self.prefixes > 0 {
            // Seven digits follow: blocks of them, so that the look-ups meet all of the table.
            return (0..100).flat_map(|block| (0..self.operators).filter_map(move |o| spread(o).nth(block))).collect();
        }
        (0..self.operators).map(|operator| self.prefix(operator)).collect()
    }

    fn prefix(&self, operator: usize) -> String {
        format!("3584{operator:02}")
    }

    fn toml(&self, ports: &Ports) -> String {
        let mut text = format!(
            r#"
[node]
name = "bench"
data_dir = "data"
[spool]
max_size = "60GiB"
disk_reserve = "2GiB"
[control]
socket = "control.sock"
[metrics]
listen = "127.0.0.1:{}"
[log]
level = "error"
format = "text"
[limits]
connections_per_address = 4096
queue_per_account = 50_000_000
pending = 60_000_000
[[listener]]
name = "plain"
address = "127.0.0.1:{}"
[[account]]
system_id = "{SYSTEM_ID}"
password = "{PASSWORD}"
country = "FI"
binds = 1000
window = 100
[[route]]
prefix = [""]
operators = ["o0"]
[[route]]
prefix = ["{DOWN}"]
operators = ["down"]
[routing]
prefixes = "prefixes.csv"
"#,
            ports.metrics, ports.gateway
        );
        let mut operator = |name: &str, port: u16, binds: usize, reconnect: &str| {
            let _ = write!(
                text,
                "[[operator]]\nname = \"{name}\"\nwindow = {WINDOW}\nreconnect = {{ min = \"{reconnect}\", max = \"60s\" }}\n\
                 [[operator.bind]]\naddress = \"127.0.0.1:{port}\"\nsystem_id = \"gw\"\npassword = \"pw\"\ncount = {binds}\n"
            );
        };
        for (index, port) in ports.operators.iter().enumerate() {
            operator(&format!("o{index}"), *port, 2, "100ms");
        }
        operator("down", ports.down, 1, "60s");
        text
    }

    /// One row per operator, and then as many more as wanted, spread over the operators' numbers.
    fn prefix_rows(&self) -> String {
        let mut rows = String::from("prefix,operators\n");
        let per_operator = self.prefixes.div_ceil(self.operators);
        let digits = per_operator.max(2).ilog10() as usize + 1;
        for operator in 0..self.operators {
            let prefix = self.prefix(operator);
            let _ = writeln!(rows, "{prefix},o{operator}");
            for row in 0..per_operator {
                let _ = writeln!(rows, "{prefix}{row:0digits$},o{operator}");
            }
        }
        rows
    }
}

/// Ports nobody listened on a moment ago.
#[derive(Debug, Clone)]
struct Ports {
    gateway: u16,
    metrics: u16,
    /// Nobody ever listens there.
    down: u16,
    operators: Vec<u16>,
}

impl Ports {
    fn choose(operators: usize) -> Outcome<Ports> {
        let listeners: Vec<TcpListener> =
            (0..operators + 3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let mut ports = listeners.iter().map(|listener| listener.local_addr().map(|address| address.port()));
        let mut next = || ports.next().ok_or("too few ports")?.map_err(Box::<dyn std::error::Error>::from);
        let (gateway, metrics, down) = (next()?, next()?, next()?);
        Ok(Ports { gateway, metrics, down, operators: std::iter::from_fn(|| next().ok()).collect() })
    }
}

/// Simulated operators that run.
pub struct Operators {
    pub process: Process,
    ports: Ports,
}

impl Operators {
    pub fn start(options: &Options, count: usize) -> Outcome<Operators> {
        let ports = Ports::choose(count)?;
        let fixed = ["simulate", "--quiet", "--window", WINDOW, "--receipt-delay", RECEIPT_DELAY];
        let mut arguments = fixed.map(str::to_owned).to_vec();
        for (index, port) in ports.operators.iter().enumerate() {
            arguments.extend(["--operators".to_owned(), format!("o{index}=127.0.0.1:{port}")]);
        }
        let mut process = Process::start(&options.peers, arguments)?;
        for port in &ports.operators {
            until("a simulated operator", &mut process, || Ok(TcpStream::connect(("127.0.0.1", *port)).is_ok()))?;
        }
        Ok(Operators { process, ports })
    }

    /// Where a client can bind to the first one directly.
    pub fn port(&self) -> u16 {
        self.ports.operators[0]
    }

    pub fn stop(self) -> Outcome<Ended> {
        self.process.terminate()
    }
}

/// A gateway that runs, all its binds up. Dropped, it is killed and its spool removed.
pub struct Gateway {
    pub process: Process,
    pub port: u16,
    folder: TempDir,
}

impl Gateway {
    pub fn start(options: &Options, setup: &Setup, operators: &Operators) -> Outcome<Gateway> {
        let folder = TempDir::with_prefix_in("gateway-", &options.folder)?;
        let config = folder.path().join("smppgw.toml");
        std::fs::write(&config, setup.toml(&operators.ports))?;
        std::fs::write(folder.path().join("prefixes.csv"), setup.prefix_rows())?;
        let process = Process::start(&options.gateway, [Path::new("serve"), Path::new("--config"), &config])?;
        let mut gateway = Gateway { process, port: operators.ports.gateway, folder };
        let binds = operators.ports.operators.len() as u64 * 2;
        gateway.until("its binds", |stats| stats["binds_up"].as_u64() >= Some(binds))?;
        Ok(gateway)
    }

    /// Waits until all but so many messages are final, and every receipt has been taken.
    pub fn until_pending(&mut self, rest: u64) -> Outcome<()> {
        let done = |stats: &Value| stats["pending"].as_u64() <= Some(rest) && stats["mailbox"].as_u64() == Some(0);
        self.until("the end of the last messages", done)
    }

    /// Waits until what `smppgw ctl stats` says fulfils the condition.
    fn until(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Outcome<()> {
        let socket = self.folder.path().join("control.sock");
        until(what, &mut self.process, || Ok(socket.exists() && ask_stats(&socket).is_ok_and(|stats| condition(&stats))))
    }
}

/// Looks again and again until the condition holds; fails when the process ends or takes too long.
fn until(what: &str, process: &mut Process, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let limit = Instant::now() + PATIENCE;
    while !condition()? {
        if process.ended_within(LOOK) {
            return Err(format!("the process ended while {what} was awaited").into());
        }
        if Instant::now() > limit {
            return Err(format!("{what} did not come in {PATIENCE:?}").into());
        }
    }
    Ok(())
}

fn ask_stats(socket: &Path) -> Outcome<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"{\"command\":\"stats\"}\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
