//! `smppgw send`: one message, and what becomes of it.

use super::say;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::load::host_and_port;
use crate::link::{self, Link, now};
use crate::receipt::State;
use crate::simulator::load::{ClientError, bind, part};
use crate::simulator::{ReceiptFields, address};
use crate::smpp::view::MessageResponseView;
use crate::smpp::{
    AddressView, BindKind, CommandId, CommandStatus, Event, MessageView, Role, Session, Settings, Strictness, TlvTag, Tlvs,
    encode, status, tlv,
};
use crate::text::Body;
use crate::text::decode::data_coding;

/// Octets that fit in `short_message` (SMPP 3.4 section 5.2.21); longer texts travel as `message_payload`, whole.
const SHORT_MESSAGE: usize = 254;

/// Submit one message and wait for its receipt. Exit code 0 when it was delivered, or accepted with --no-receipt.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// The recipient's number.
    #[arg(long, value_name = "NUMBER")]
    to: String,
    text: String,
    /// The sender: a name, a short code, or a number.
    #[arg(long, default_value = "SHOP")]
    from: String,
    /// The gateway as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2775", value_parser = host_and_port)]
    host: (String, u16),
    #[arg(long, default_value = "demo")]
    system_id: String,
    #[arg(long, default_value = "demo1234")]
    password: String,
    /// A file whose first line is the password, so that it does not show in the list of processes.
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// Ask for no receipt.
    #[arg(long)]
    no_receipt: bool,
    /// How long to wait, for the response and the receipt together.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: humantime::Duration,
    /// The outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of the message.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Outcome {
    pub message_id: String,
    /// What the gateway says of its way: operator and parts.
    pub description: Option<String>,
    pub response_ms: u128,
    /// The receipt's state; `None` when none was asked for, or none came in time.
    pub state: Option<State>,
    pub receipt_ms: Option<u128>,
}

/// Why there is no message id.
#[derive(Debug)]
enum SendError {
    Password(std::io::Error),
    Client(ClientError),
    Refused(CommandStatus),
    ConnectionLost,
    TooLate,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendError::Password(error) => write!(f, "cannot read the password: {error}"),
            SendError::Client(error) => error.fmt(f),
            SendError::Refused(code) => write!(f, "refused: {}", status::Shown(*code)),
            SendError::ConnectionLost => f.write_str("the connection ended before the response"),
            SendError::TooLate => f.write_str("no response in time"),
        }
    }
}

/// Sends the message; `describe` may tell more of what became of it.
pub async fn run(args: SendArgs, describe: impl Fn(&str) -> Option<String>) -> ExitCode {
    let outcome = match send(&args, &describe).await {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("smppgw send: {error}");
            return ExitCode::from(2);
        }
    };
    match serde_json::to_string_pretty(&outcome) {
        Ok(json) if args.json => say(json),
        _ => {
            if let Some(description) = &outcome.description {
                say(description);
            }
            say(ending(&args, &outcome));
        }
    }
    let good = outcome.state == Some(State::Delivered) || args.no_receipt;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ending(args: &SendArgs, outcome: &Outcome) -> String {
    match (outcome.state, outcome.receipt_ms) {
        (Some(state), Some(after)) => format!("receipt  {} after {after} ms", state.word()),
        _ if args.no_receipt => "receipt  none asked for".to_owned(),
        _ => format!("receipt  none within {}", args.timeout),
    }
}

async fn send(args: &SendArgs, describe: &impl Fn(&str) -> Option<String>) -> Result<Outcome, SendError> {
    let password = match &args.password_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(SendError::Password)?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => args.password.clone(),
    };
    let mut outcome = Outcome::default();
    let submitted = async {
        let mut link = connect(args, &password).await.map_err(SendError::Client)?;
        let mut exchange = Exchange { started: submit(args, &mut link), submitted: false, outcome: &mut outcome };
        exchange.finish(args, &mut link).await?;
        part(link).await;
        Ok(())
    };
    match tokio::time::timeout(args.timeout.into(), submitted).await {
        Ok(result) => result?,
        Err(_) if outcome.message_id.is_empty() => return Err(SendError::TooLate),
        // The receipt did not come in time: that is an outcome.
        Err(_) => {}
    }
    outcome.description = describe(&outcome.message_id);
    Ok(outcome)
}

async fn connect(args: &SendArgs, password: &str) -> Result<Link<()>, ClientError> {
    let (host, port) = &args.host;
    let stream = link::connect(host, *port, None).await.map_err(ClientError::Connect)?;
    let mut link = Link::new(stream, Session::new(Settings::new(Role::Esme), now()));
    bind(&mut link, BindKind::Transceiver, args.system_id.as_bytes(), password.as_bytes()).await?;
    Ok(link)
}

/// Writes the `submit_sm`; returns when.
fn submit(args: &SendArgs, link: &mut Link<()>) -> Instant {
    let body = Body::from_text(&args.text);
    let (source, destination) = (address(&args.from), address(&args.to));
    let mut payload = BytesMut::new();
    if body.octets.len() > SHORT_MESSAGE {
        tlv::put(&mut payload, TlvTag::MessagePayload, &body.octets);
    }
    let view = MessageView {
        source: AddressView::from(&source),
        destination: AddressView::from(&destination),
        registered_delivery: u8::from(!args.no_receipt),
        data_coding: data_coding(body.alphabet, 0),
        short_message: if payload.is_empty() { &body.octets } else { &[] },
        tlvs: Tlvs::encoded(&payload),
        ..MessageView::default()
    };
    let at = now();
    // A transceiver just bound takes a submit_sm; if the connection has ended meanwhile, the next event says so.
    let _ = link.session.send(at, CommandId::SubmitSm, (), |out| encode::message_body(out, CommandId::SubmitSm, &view));
    at
}

/// The message between submission and receipt.
struct Exchange<'a> {
    started: Instant,
    submitted: bool,
    outcome: &'a mut Outcome,
}

impl Exchange<'_> {
    /// Handles what comes until the outcome is known.
    async fn finish(&mut self, args: &SendArgs, link: &mut Link<()>) -> Result<(), SendError> {
        // A receipt may overtake the response.
        let mut early: Vec<(Vec<u8>, State)> = Vec::new();
        loop {
            let Some(event) = link.session.poll_event() else {
                link.progress().await;
                continue;
            };
            match event {
                Event::Response { frame, status: CommandStatus::EsmeRok, .. } => {
                    self.accepted(args, MessageResponseView::parse(&frame).message_id);
                }
                Event::Response { status, .. } => return Err(SendError::Refused(status)),
                Event::Request(frame) => {
                    if let Ok(message) = MessageView::parse(&frame, Strictness::Lenient)
                        && let Some(receipt) = ReceiptFields::of(&message)
                    {
                        early.push((receipt.message_id.to_vec(), receipt.state));
                    }
                    link.session.respond(now(), frame.ticket(), CommandStatus::EsmeRok);
                }
                Event::NoResponse { .. } => return Err(SendError::TooLate),
                Event::Closed { .. } if self.submitted => return Ok(()),
                Event::Closed { .. } => return Err(SendError::ConnectionLost),
                _ => {}
            }
            if self.submitted && (args.no_receipt || self.take_final(&early)) {
                return Ok(());
            }
        }
    }

    fn accepted(&mut self, args: &SendArgs, message_id: &[u8]) {
        self.submitted = true;
        self.outcome.message_id = String::from_utf8_lossy(message_id).into_owned();
        self.outcome.response_ms = since(self.started).as_millis();
        if !args.json {
            say(format_args!("accepted {} after {} ms", self.outcome.message_id, self.outcome.response_ms));
        }
    }

    /// Looks for the final receipt of this message.
    fn take_final(&mut self, receipts: &[(Vec<u8>, State)]) -> bool {
        let ours = receipts.iter().filter(|(id, _)| id.as_slice() == self.outcome.message_id.as_bytes());
        let Some(state) = ours.map(|(_, state)| *state).find(|state| state.is_final()) else {
            return false;
        };
        self.outcome.state = Some(state);
        self.outcome.receipt_ms = Some(since(self.started).as_millis());
        true
    }
}

fn since(earlier: Instant) -> Duration {
    now().saturating_duration_since(earlier)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::simulator::smsc::Answer;
    use crate::simulator::{Behaviour, Smsc, SmscSettings};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SendArgs,
    }

    async fn send_to(smsc: &Smsc, more: &[&str]) -> Result<Outcome, SendError> {
        let host = smsc.address().to_string();
        let words = ["send", "--to", "+358401234567", "--host", &host].into_iter().chain(more.iter().copied());
        let command = Command::try_parse_from(words).expect("good arguments");
        send(&command.args, &|id| Some(format!("{id} by elisa"))).await
    }

    async fn operator(behaviour: Behaviour) -> Smsc {
        let settings = SmscSettings { behaviour, keep_records: true, ..SmscSettings::default() };
        Smsc::start(settings).await.expect("a free port")
    }

    #[tokio::test]
    async fn a_delivered_message_is_reported_with_its_id_and_its_way() {
        let smsc = operator(Behaviour::default()).await;
        let outcome = send_to(&smsc, &["Moi"]).await.expect("accepted");
        let records = smsc.records();
        assert_eq!(outcome.message_id, records[0].id.to_string());
        assert_eq!(outcome.description, Some(format!("{} by elisa", outcome.message_id)));
        assert_eq!((outcome.state, records[0].text.as_slice()), (Some(State::Delivered), b"Moi".as_slice()));
    }

    #[tokio::test]
    async fn a_receipt_before_the_response_ends_the_wait_too() {
        let smsc = operator(Behaviour { early_receipt: true, undelivered: 1.0, ..Behaviour::default() }).await;
        let outcome = send_to(&smsc, &["Moi"]).await.expect("accepted");
        assert_eq!(outcome.state, Some(State::Undeliverable));
    }

    #[tokio::test]
    async fn a_long_text_is_submitted_whole() {
        let smsc = operator(Behaviour::default()).await;
        let text = "pitkä viesti ".repeat(40);
        send_to(&smsc, &["--no-receipt", &text]).await.expect("accepted");
        assert_eq!(smsc.records()[0].text.len(), 13 * 40);
    }

    #[tokio::test]
    async fn a_refusal_is_told_by_its_name() {
        let answers = vec![(Answer::Status(CommandStatus::EsmeRinvdstadr), 1.0)];
        let smsc = operator(Behaviour { answers, ..Behaviour::default() }).await;
        let refused = send_to(&smsc, &["Moi"]).await.expect_err("refused");
        assert_eq!(refused.to_string(), "refused: ESME_RINVDSTADR 0x0B");
    }

    #[tokio::test]
    async fn a_receipt_that_does_not_come_in_time_leaves_the_state_open() {
        let smsc = operator(Behaviour { receipt_delay: Duration::from_secs(60), ..Behaviour::default() }).await;
        let outcome = send_to(&smsc, &["--timeout", "200ms", "Moi"]).await.expect("accepted");
        assert_eq!((outcome.state, outcome.message_id.is_empty()), (None, false));
    }
}
