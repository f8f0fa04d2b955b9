//! The units as systemd itself judges them: they load without a complaint, and they are confined.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The highest exposure that `systemd-analyze security` may report, in tenths: 2.0 of 10.
const EXPOSURE_THRESHOLD: &str = "20";

fn systemd(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(file)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// The units in a directory of their own, with the daemon just built in the place of the installed one.
fn units_with_the_built_daemon() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for unit in ["smppgw.service", "smppgw.socket", "smppgw-tls.socket"] {
        let text = std::fs::read_to_string(systemd(unit)).unwrap();
        let text = text.replace("/usr/bin/smppgw", env!("CARGO_BIN_EXE_smppgw"));
        std::fs::write(directory.path().join(unit), text).unwrap();
    }
    directory
}

#[test]
fn the_units_load_without_a_complaint() {
    let directory = units_with_the_built_daemon();
    for unit in ["smppgw.service", "smppgw.socket", "smppgw-tls.socket"] {
        let output = run("systemd-analyze", &["verify", "--man=no", directory.path().join(unit).to_str().unwrap()]);
        assert!(output.status.success() && said(&output).trim().is_empty(), "{unit}: {}", said(&output));
    }
}

#[test]
fn the_service_is_confined() {
    let unit = systemd("smppgw.service");
    let threshold = format!("--threshold={EXPOSURE_THRESHOLD}");
    let output = run("systemd-analyze", &["security", "--no-pager", "--offline=true", &threshold, unit.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_user_of_the_service_is_the_one_that_sysusers_makes() {
    let output = run("systemd-sysusers", &["--dry-run", systemd("sysusers.conf").to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let users = std::fs::read_to_string(systemd("sysusers.conf")).unwrap();
    assert!(users.lines().any(|line| line.starts_with("u smppgw ")), "{users}");
    let service = std::fs::read_to_string(systemd("smppgw.service")).unwrap();
    assert!(service.lines().any(|line| line == "User=smppgw"), "{service}");
}
