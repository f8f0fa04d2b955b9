//! What the rows take from the machine, given back when dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

use crate::support::traffic::{Account, Traffic};

/// Is there such a program?
pub fn needs(program: &str) -> Result<(), String> {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.ok().filter(|status| status.success()).map(|_| ()).ok_or_else(|| program.to_owned())
}

/// Runs a command that the machine may refuse; says which.
pub fn allowed(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|_| program.to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("permission for `{program} {}` ({})", arguments.join(" "), why.trim()))
}

/// A file system of its own, unmounted when dropped.
pub struct Mount {
    folder: TempDir,
    image: Option<PathBuf>,
    mounted: bool,
}

impl Mount {
    /// In memory, of so many MiB.
    pub fn tmpfs(mib: u64) -> Result<Mount, String> {
        let folder = TempDir::new().expect("a folder");
        let size = format!("size={mib}m");
        allowed("mount", &["-t", "tmpfs", "-o", &size, "none", text(folder.path())])?;
        Ok(Mount { folder, image: None, mounted: true })
    }

    /// ext4 in a file in `place`.
    pub fn ext4(place: &Path, mib: u64) -> Result<Mount, String> {
        let image = place.join("disk.img");
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(mib << 20).expect("its size");
        allowed("mkfs.ext4", &["-q", text(&image)])?;
        let mut mount = Mount { folder: TempDir::new().expect("a folder"), image: Some(image), mounted: false };
        mount.mount()?;
        Ok(mount)
    }

    pub fn mount(&mut self) -> Result<(), String> {
        let image = self.image.as_deref().expect("an image");
        allowed("mount", &["-o", "loop", text(image), text(self.folder.path())])?;
        self.mounted = true;
        Ok(())
    }

    pub fn unmount(&mut self) {
        allowed("umount", &[text(self.folder.path())]).expect("what was mounted can be unmounted");
        self.mounted = false;
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // The daemon may have gone the hard way; lazily is good enough at the end.
            let _ = Command::new("umount").args(["-l", text(self.folder.path())]).status();
        }
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Waits until one of two processes has ended; true when it is the first.
pub fn ends_before(one: Pid, other: Pid) -> bool {
    let watched = [one, other].map(|pid| pidfd_open(pid, PidfdFlags::empty()).expect("a child is there until it is waited for"));
    let mut ends = [PollFd::new(&watched[0], PollFlags::IN), PollFd::new(&watched[1], PollFlags::IN)];
    while poll(&mut ends, None).is_err() {}
    !ends[0].revents().is_empty()
}

/// Does a process end within this time?
pub fn ends_within(pid: Pid, time: Duration) -> bool {
    let watched = pidfd_open(pid, PidfdFlags::empty()).expect("a child is there until it is waited for");
    let limit = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    poll(&mut [PollFd::new(&watched, PollFlags::IN)], Some(&limit)).expect("a result") > 0
}

/// The part of strace's command line that makes a system call behave so, in the daemon and all its threads.
pub fn strace(call: &str, how: &str) -> Vec<String> {
    let inject = format!("inject={call}:{how}");
    // Without --seccomp-bpf, with which threads other than the first are not killed.
    ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject].map(str::to_owned).to_vec()
}

pub fn words(wrapper: &[String]) -> Vec<&str> {
    wrapper.iter().map(String::as_str).collect()
}

/// Ends the operators and demands what holds in every row: nothing accepted is lost, and no more came twice than `bound`.
pub fn nothing_lost(traffic: &mut Traffic, report: &serde_json::Value, bound: u64) -> Account {
    let account = traffic.account();
    assert!(
        account.lost.is_empty(),
        "{} of {} accepted messages never reached an operator",
        account.lost.len(),
        account.accepted
    );
    let bound = bound + number(report, "resent");
    assert!(account.duplicates <= bound, "{} duplicates, at most {bound} are explained", account.duplicates);
    assert_eq!(number(report, "missing_receipts"), 0, "receipts are missing: {report}");
    account
}

pub fn number(report: &serde_json::Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} in {report}"))
}
