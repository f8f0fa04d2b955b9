//! `smppgw serve`: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, LogFormat, LogLevel};
use crate::daemon;

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration file.
    #[arg(long, default_value = "/etc/smppgw/smppgw.toml")]
    pub config: PathBuf,
}

/// Runs the gateway until it is told to stop. Exit code 1 when it could not start.
pub fn run(args: &ServeArgs) -> ExitCode {
    // Before the first secret is read.
    if let Err(error) = keep_memory_private() {
        eprintln!("smppgw: core dumps cannot be turned off: {error}");
        return ExitCode::FAILURE;
    }
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            eprint!("{}", super::check::report(&args.config, &faults));
            return ExitCode::FAILURE;
        }
    };
    log_to_stderr(&config);
    let runtime = match runtime(config.daemon.workers) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("smppgw: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match daemon::start(config, &args.config).await {
            Ok(started) => match started.daemon.run().await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string()),
            },
            Err(error) => fail(&error.to_string()),
        }
    })
}

/// No core dump, and no other process of the same user looks into the memory.
fn keep_memory_private() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn fail(reason: &str) -> ExitCode {
    for line in reason.lines() {
        tracing::error!("{line}");
    }
    ExitCode::FAILURE
}

/// The tokio runtime with so many threads; one per core when not said.
pub fn runtime(workers: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// Logs go to standard error, from where systemd takes them; `RUST_LOG` overrides the configured level.
pub fn log_to_stderr(config: &Config) {
    let level = match config.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let json = match config.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).with_target(false);
    // A subscriber that is set already (several gateways in one process) stays.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_leaves_no_core_dump() {
        keep_memory_private().expect("the kernel does it");
        assert_eq!(rustix::process::dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
