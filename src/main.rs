//! Arguments and exit codes; everything else is in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use smppgw::cli::{check, ctl, demo, hash_password, load, route, send, serve, simulate, split};

/// Messages are allocated by the task that reads them and freed by the journal thread or the task that delivers their receipts: this
/// allocator takes memory back from other threads without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An SMPP gateway that takes responsibility for every message it answers.
#[derive(Debug, Parser)]
#[command(name = "smppgw", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (what systemd starts)
    Serve(serve::ServeArgs),
    /// Check configuration files: every fault with its line, field, and what was expected
    Check(check::CheckArgs),
    /// Ask a running gateway, or tell it to reload or drain
    Ctl(ctl::CtlArgs),
    /// Explain step by step which operators carry a message to a number
    Route(route::RouteArgs),
    /// Show encoding, length and parts of a text
    Split(split::SplitArgs),
    /// Send one message and wait for its receipt
    Send(send::SendArgs),
    /// Generate load and measure it
    Load(load::LoadArgs),
    /// Simulate operators
    Simulate(simulate::SimulateArgs),
    /// Run a gateway with simulated operators, to try things out
    Demo(demo::DemoArgs),
    /// Hash a password for the configuration
    HashPassword(hash_password::HashPasswordArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args, check::faults_of),
        Command::Ctl(args) => ctl::run(&args),
        Command::Route(args) => route::run(&args),
        Command::Split(args) => split::command(&args),
        Command::HashPassword(args) => hash_password::run(&args),
        Command::Send(args) => block_on(send::run(args, ctl::describe)),
        Command::Load(args) => load::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Demo(args) => block_on(demo::run(&args)),
    }
}

fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match serve::runtime(None) {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("smppgw: the runtime cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
