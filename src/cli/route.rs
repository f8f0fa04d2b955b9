//! `smppgw route NUMBER`: why a message to this number goes to which operator.

use super::say;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::accept::Rejection;
use crate::gateway::{AccountSettings, Settings};
use crate::message::Address;
use crate::route::{Explanation, NumberRules, Question, Step};
use crate::smpp::{AddressView, status};

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

/// Explains the choice. Exit code 1 when the message is refused or no operator would carry it, 2 when the configuration is refused.
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
    let explanation = explain(args, &settings, account.map(|account| &**account));
    say(render(&explanation, args.json).trim_end());
    if explanation.operators.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn explain(args: &RouteArgs, settings: &Settings, account: Option<&AccountSettings>) -> Explanation {
    let anybody = NumberRules::international();
    let number = Address::new(0, 0, args.number.as_bytes());
    let rules = account.map_or(&anybody, |account| &account.policy.numbers);
    let question = Question { number: &number, rules, account: &args.account, sender: &args.sender };
    let name = |key| settings.operator(key).map(|operator| operator.config.name.to_string()).unwrap_or_default();
    let mut explanation = settings.table.explain(&question, &name);
    let source = AddressView { ton: 0, npi: 0, digits: args.sender.as_bytes() };
    if let Some(account) = account.filter(|_| !args.sender.is_empty())
        && let Err(Rejection(status)) = account.policy.senders.check(source)
    {
        let reason = format!("\"{}\" is no sender that {} may use", args.sender, args.account);
        explanation.steps = vec![Step::Refused { reason, status: status::name(status) }];
        explanation.operators.clear();
    }
    explanation
}

/// What the command prints, the final newline included.
pub fn render(explanation: &Explanation, json: bool) -> String {
    if json {
        serde_json::to_string_pretty(explanation).expect("strings and numbers always make JSON") + "\n"
    } else {
        explanation.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_the_account_may_not_use_is_said_to_be_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("smppgw.toml");
        let text = "[[account]]\nsystem_id = \"shop\"\npassword = \"secret12\"\nsenders = [\"SHOP\"]\n\
            [[operator]]\nname = \"elisa\"\n[[operator.bind]]\naddress = \"127.0.0.1:1\"\nsystem_id = \"gw\"\n\
            password = \"secret12\"\n[[route]]\nprefix = \"\"\noperators = \"elisa\"\n";
        std::fs::write(&config, text).unwrap();
        let settings = super::super::check::settings_of(&config).expect("no faults");
        let explained = |sender: &str| {
            let number = "+358401234567".to_owned();
            let args = RouteArgs { number, account: "shop".into(), sender: sender.into(), config: config.clone(), json: false };
            render(&explain(&args, &settings, settings.account_named("shop").map(|account| &**account)), false)
        };
        assert!(explained("SHOP").ends_with("operators   elisa\n"));
        assert!(explained("").ends_with("operators   elisa\n"));
        let refused = explained("BANK");
        assert!(refused.ends_with("refused     \"BANK\" is no sender that shop may use (ESME_RINVSRCADR)\n"), "{refused}");
    }
}
