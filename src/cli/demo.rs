//! `smppgw demo`: a gateway and simulated operators in one process, to try things out.

use super::say;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config, Credential, Operator};
use crate::daemon;
use crate::receipt::ReceiptId;
use crate::simulator::smsc::{Behaviour, IdForm, Smsc, SmscSettings};

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Configuration of the gateway; its operators are simulated at the addresses they have there.
    #[arg(long, default_value = "conf/demo.toml")]
    pub config: PathBuf,
}

/// Runs until Ctrl-C. Exit code 1 when it could not start.
pub async fn run(args: &DemoArgs) -> ExitCode {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            eprint!("{}", super::check::report(&args.config, &faults));
            return ExitCode::FAILURE;
        }
    };
    super::serve::log_to_stderr(&config);
    match demo(config, args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("smppgw demo: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(config: Config, args: &DemoArgs) -> Result<(), String> {
    let mut operators = Vec::new();
    for operator in &config.operators {
        for settings in simulated(operator)? {
            let address = settings.listen;
            let smsc = Smsc::start(settings).await;
            operators.push(smsc.map_err(|error| format!("operator {} at {address}: {error}", operator.name))?);
        }
    }
    let instructions = instructions(&config, &operators);
    let started = daemon::start(config, &args.config).await.map_err(|error| error.to_string())?;
    say(instructions);
    started.daemon.run().await.map_err(|error| error.to_string())?;
    for smsc in operators {
        smsc.stop().await;
    }
    Ok(())
}

/// One simulated SMSC for each address of the operator, speaking as the configuration expects of it.
fn simulated(operator: &Operator) -> Result<Vec<SmscSettings>, String> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for bind in &operator.binds {
        let address = bind.address.to_string().parse::<SocketAddr>();
        let address = address.ok().filter(|a| a.ip().is_loopback());
        let address = address
            .ok_or_else(|| format!("operator {}: {} is not a loopback address to simulate at", operator.name, bind.address))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let behaviour = Behaviour {
        ids: if operator.receipt_id == ReceiptId::Dec { IdForm::Hex } else { IdForm::Dec },
        receipt_id: operator.receipt_id,
        receipt_delay: Duration::from_millis(300),
        ..Behaviour::default()
    };
    let settings = |listen| SmscSettings {
        name: operator.name.to_string(),
        listen,
        behaviour: behaviour.clone(),
        ..SmscSettings::default()
    };
    Ok(addresses.into_iter().map(settings).collect())
}

/// What to do next, for somebody who has just typed `make run`.
fn instructions(config: &Config, operators: &[Smsc]) -> String {
    let mut text = String::from("\nThe gateway is running with simulated operators:\n");
    for smsc in operators {
        text.push_str(&format!("  {:<10} {}\n", smsc.name(), smsc.address()));
    }
    text.push_str("\nBind to it\n");
    for listener in &config.listeners {
        text.push_str(&format!("  at {}{}\n", listener.address, if listener.tls.is_some() { " (TLS)" } else { "" }));
    }
    for account in &config.accounts {
        if let Credential::Clear(password) = &account.credential {
            let password: Arc<str> = String::from_utf8_lossy(password.expose()).into();
            text.push_str(&format!("  as {} with password {password}\n", account.system_id));
        }
    }
    let program = std::env::args().next().unwrap_or_else(|| "smppgw".into());
    text.push_str(&format!("\nor paste into another terminal:\n\n  {program} send --to +358401234567 \"Moi\"\n\n"));
    text.push_str(&format!("  {program} ctl --socket {} stats\n", config.control.socket.display()));
    if let Some(address) = config.metrics.listen {
        text.push_str(&format!("  curl http://{address}/metrics\n"));
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}
