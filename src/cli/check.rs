//! `smppgw check`: every fault of a configuration, before the daemon meets it.

use super::say;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::Fault;
use crate::gateway::Settings;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration files to check.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// Print the faults as a JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Checks each file by `faults_of`, which returns errors and warnings alike; prints them; fails if any is an error.
pub fn run(args: &CheckArgs, faults_of: impl Fn(&Path) -> Vec<Fault>) -> ExitCode {
    let checked: Vec<(&PathBuf, Vec<Fault>)> = args.files.iter().map(|file| (file, faults_of(file))).collect();
    if args.json {
        let all: Vec<&Fault> = checked.iter().flat_map(|(_, faults)| faults).collect();
        match serde_json::to_string_pretty(&all) {
            Ok(json) => say(json),
            Err(error) => eprintln!("smppgw check: {error}"),
        }
    } else {
        for (file, faults) in &checked {
            say(report(file, faults).trim_end());
        }
    }
    let failed = checked.iter().flat_map(|(_, faults)| faults).any(Fault::is_error);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The faults one per line, the errors last, and a summary.
pub fn report(file: &Path, faults: &[Fault]) -> String {
    let errors = faults.iter().filter(|fault| fault.is_error()).count();
    let warnings = faults.len() - errors;
    let mut report = super::views::faults(faults);
    let verdict = match errors {
        0 => "ok".to_owned(),
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    };
    let noted = match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    report.push_str(&format!("{}: {verdict}{noted}\n", file.display()));
    report
}

/// Every fault of a configuration file and of the tables and certificates it names: what [`run`] is called with.
pub fn faults_of(file: &Path) -> Vec<Fault> {
    match settings_of(file) {
        Ok(settings) => settings.config.warnings,
        Err(faults) => faults,
    }
}

/// The configuration as the daemon would take it into force.
///
/// # Errors
/// Every fault, as the daemon would refuse it.
pub fn settings_of(file: &Path) -> Result<Settings, Vec<Fault>> {
    Settings::build(crate::config::load(file)?, &Arc::default(), &Arc::default(), [0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_file_line_field_and_what_was_expected_errors_last() {
        let faults = [
            Fault::error("conf/x.toml", 12, "account.window", "expected 1..=10000, found 0"),
            Fault::warning("conf/x.toml", 14, "account.password", "is in the clear"),
        ];
        let expected = "conf/x.toml:14: warning: account.password: is in the clear\n\
                        conf/x.toml:12: account.window: expected 1..=10000, found 0\n\
                        conf/x.toml: 1 error, 1 warning\n";
        assert_eq!(report(Path::new("conf/x.toml"), &faults), expected);
    }

    #[test]
    fn only_errors_fail() {
        let args = CheckArgs { files: vec![PathBuf::from("x.toml")], json: false };
        let warned = run(&args, |_| vec![Fault::warning("x.toml", 1, "", "unwise")]);
        assert_eq!(format!("{warned:?}"), format!("{:?}", ExitCode::SUCCESS));
        let failed = run(&args, |_| vec![Fault::error("x.toml", 1, "", "wrong")]);
        assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::FAILURE));
    }
}
