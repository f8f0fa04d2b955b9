//! `smppgw route NUMBER`: why a message to this number goes to which operator.

use super::say;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::message::Address;
use crate::route::{Explanation, NumberRules, Question};

/// Shows, step by step, which operators would carry a message to a number.
#[derive(Debug, Clone, Args)]
pub struct RouteArgs {
    /// The number as an application would write it: 0401234567, +358 40 123 4567, 13123
    pub number: String,

    /// The account that sends; its country completes the number
    #[arg(long, default_value = "")]
    pub account: String,

    /// The sender the message shows
    #[arg(long, default_value = "")]
    pub sender: String,

    /// The configuration whose routes are asked
    #[arg(long, value_name = "PATH", default_value = "/etc/smppgw/smppgw.toml")]
    pub config: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Explains the choice. Exit code 1 when no operator would carry the message, 2 when the configuration is refused.
pub fn run(args: &RouteArgs) -> ExitCode {
    let settings = match super::check::settings_of(&args.config) {
        Ok(settings) => settings,
        Err(faults) => {
            eprint!("{}", super::check::report(&args.config, &faults));
            return ExitCode::from(2);
        }
    };
    let account = settings.account_named(&args.account);
    if account.is_none() && !args.account.is_empty() {
        eprintln!("smppgw route: no account \"{}\" in {}", args.account, args.config.display());
        return ExitCode::from(2);
    }
    let anybody = NumberRules::international();
    let number = Address::new(0, 0, args.number.as_bytes());
    let rules = account.map_or(&anybody, |account| &account.policy.numbers);
    let question = Question { number: &number, rules, account: &args.account, sender: &args.sender };
    let name = |key| settings.operator(key).map(|operator| operator.config.name.to_string()).unwrap_or_default();
    let explanation = settings.table.explain(&question, &name);
    say(render(&explanation, args.json).trim_end());
    if explanation.operators.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the command prints, the final newline included.
pub fn render(explanation: &Explanation, json: bool) -> String {
    if json {
        serde_json::to_string_pretty(explanation).expect("strings and numbers always make JSON") + "\n"
    } else {
        explanation.to_string()
    }
}
