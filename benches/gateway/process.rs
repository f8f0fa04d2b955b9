//! A child process: its output, its end, and what /proc tells of it.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::Outcome;

/// USER_HZ, the unit of the times in /proc/PID/stat: 100 on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running child. Dropped, it is killed.
pub struct Process {
    child: Child,
    /// Everything it says on standard output, once it has closed that.
    output: Receiver<String>,
    said: Option<String>,
}

/// How a child ended.
pub struct Ended {
    pub output: String,
    pub cpu: Cpu,
    pub success: bool,
}

/// Processor time in seconds, of all threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

impl std::ops::Sub for Cpu {
    type Output = Cpu;

    fn sub(self, before: Cpu) -> Cpu {
        Cpu { user: self.user - before.user, system: self.system - before.system }
    }
}

/// Resident memory in MiB, now and at its highest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
}

impl Process {
    pub fn start<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Outcome<Process> {
        let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().ok_or("no standard output")?;
        let (sender, output) = sync_channel(1);
        std::thread::spawn(move || {
            let mut said = Vec::new();
            // What came before a fault is shown, and the child's end judged by its exit code.
            let _ = stdout.read_to_end(&mut said);
            let _ = sender.send(String::from_utf8_lossy(&said).into_owned());
        });
        Ok(Process { child, output, said: None })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, at most so long.
    pub fn ended_within(&mut self, time: Duration) -> bool {
        if self.said.is_none() {
            match self.output.recv_timeout(time) {
                Ok(said) => self.said = Some(said),
                Err(RecvTimeoutError::Disconnected) => self.said = Some(String::new()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.said.is_some()
    }

    pub fn cpu(&self) -> Outcome<Cpu> {
        cpu(self.pid())
    }

    pub fn memory(&self) -> Outcome<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
        };
        let (now, peak) = field("VmRSS:").zip(field("VmHWM:")).ok_or("no memory in /proc/PID/status")?;
        Ok(Memory { now, peak })
    }

    /// Waits for its end. The processor time is read while it is a zombie, so that nothing is missed.
    pub fn finish(mut self) -> Outcome<Ended> {
        while !self.ended_within(Duration::from_secs(60)) {}
        waitid(WaitId::Pid(Pid::from_child(&self.child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let cpu = self.cpu()?;
        let success = self.child.wait()?.success();
        Ok(Ended { output: self.said.take().unwrap_or_default(), cpu, success })
    }

    pub fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(self) -> Outcome<Ended> {
        self.signal(Signal::TERM)?;
        self.finish()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The 14th and 15th field of /proc/PID/stat; the second is the name and may contain anything.
fn cpu(pid: u32) -> Outcome<Cpu> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    let (user, system) = fields.next().zip(fields.next()).ok_or("no times in /proc/PID/stat")?;
    Ok(Cpu { user: user / TICKS_PER_SECOND, system: system / TICKS_PER_SECOND })
}
