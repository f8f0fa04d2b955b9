//! `smppgw route NUMBER`: why a message to this number goes to which operator.

use std::path::PathBuf;

use clap::Args;

use crate::route::Explanation;

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

/// What the command prints, the final newline included.
pub fn render(explanation: &Explanation, json: bool) -> String {
    if json {
        serde_json::to_string_pretty(explanation).expect("strings and numbers always make JSON") + "\n"
    } else {
        explanation.to_string()
    }
}
