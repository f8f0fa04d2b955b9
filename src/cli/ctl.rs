//! `smppgw ctl`: asks the running gateway over its control socket, and shows what it says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::views;
use crate::config::limits;
use crate::control::protocol::{Answer, Number, QuarantineAction, Refusal, Reply, Request};

/// Longer than the gateway's own patience with its disk, so that its words arrive. What it is told to do may take any time.
const PATIENCE: Duration = Duration::from_secs(20);

/// For what is only good to know.
const BRIEF_PATIENCE: Duration = Duration::from_secs(2);

/// More than any reply has.
const MAX_REPLY: u64 = 64 * 1024 * 1024;

/// Exit code when the gateway said no, or found faults.
const REFUSED: u8 = 1;
/// Exit code when nobody could be asked.
const UNREACHABLE: u8 = 2;

#[derive(Debug, clap::Args)]
pub struct CtlArgs {
    /// The control socket [default: the one --config names, else /run/smppgw/control.sock].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// A configuration, for its control.socket.
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Print the reply as a JSON object.
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

/// The commands as the command line has them.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// The gateway at a glance, and what holds messages back.
    Stats,
    /// Applications: sessions, pending messages, mailboxes.
    Accounts,
    /// Connections to operators.
    Binds,
    /// What waits, where, how long and why.
    Queues,
    /// Operators: binds, queues, limits.
    Operators,
    /// The route table, and who gets inbound messages.
    Routes,
    /// Receipts that belong to no message.
    Receipts,
    /// Messages that bring sessions down: they wait until somebody decides about them.
    Quarantine {
        #[command(subcommand)]
        action: Option<QuarantineCommand>,
    },
    /// Where is this message? By its id, by the number it goes to, or by what the operator calls it.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Message {
        /// The id the application was given.
        #[arg(group = "which")]
        id: Option<String>,

        /// The newest messages to this number, pending or finished: as the application writes it, or with + and the country.
        #[arg(long, value_name = "NUMBER", group = "which")]
        to: Option<String>,

        /// Messages that have this id at the operator, as its response or its receipt writes it.
        #[arg(long, value_name = "ID", group = "which")]
        operator_id: Option<String>,

        /// The operator whose id it is, where several may have given it.
        #[arg(long, value_name = "NAME", requires = "operator_id", conflicts_with_all = ["id", "to"])]
        operator: Option<String>,
    },
    /// Read the configuration again; a faulty one is refused whole.
    Reload,
    /// Stop in order: take nothing new, finish what is open, end.
    Drain,
    /// Version, process and configuration file.
    Version,
}

/// What becomes of messages in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum QuarantineCommand {
    /// Show them; the same as no word at all.
    List,
    /// Queue a message again, as if it had never been tried.
    Release {
        /// The id of the message, or `all`.
        id: String,
    },
    /// End a message as undeliverable; its owner gets the receipt it asked for.
    Drop {
        /// The id of the message, or `all`.
        id: String,
    },
}

impl From<&Command> for Request {
    fn from(command: &Command) -> Self {
        match command {
            Command::Stats => Request::Stats,
            Command::Accounts => Request::Accounts,
            Command::Binds => Request::Binds,
            Command::Queues => Request::Queues,
            Command::Operators => Request::Operators,
            Command::Routes => Request::Routes,
            Command::Receipts => Request::Receipts,
            Command::Quarantine { action } => {
                let (action, id) = match action {
                    None | Some(QuarantineCommand::List) => (QuarantineAction::List, None),
                    Some(QuarantineCommand::Release { id }) => (QuarantineAction::Release, Some(id.clone())),
                    Some(QuarantineCommand::Drop { id }) => (QuarantineAction::Drop, Some(id.clone())),
                };
                Request::Quarantine { action, id }
            }
            Command::Message { id: Some(id), .. } => Request::Message { id: id.clone() },
            Command::Message { id: None, to, operator_id, operator } => {
                Request::Messages { to: to.clone().map(Number), operator_id: operator_id.clone(), operator: operator.clone() }
            }
            Command::Reload => Request::Reload,
            Command::Drain => Request::Drain,
            Command::Version => Request::Version,
        }
    }
}

/// Asks, prints, and says by the exit code how it went: 0 done, 1 refused, 2 the gateway could not be asked.
pub fn run(args: &CtlArgs) -> ExitCode {
    let socket = match socket_path(args) {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("smppgw ctl: {error}");
            return ExitCode::from(UNREACHABLE);
        }
    };
    let acts = matches!(args.command, Command::Reload | Command::Drain);
    match ask(&socket, &Request::from(&args.command), (!acts).then_some(PATIENCE)) {
        Ok(line) => show(&line, args.json),
        Err(error) => {
            eprintln!("smppgw ctl: {}", explain(&socket, &error));
            ExitCode::from(UNREACHABLE)
        }
    }
}

/// Where `smppgw demo` has its control socket, from the folder it is started in.
const DEMO_SOCKET: &str = "data/demo/control.sock";

/// What a gateway of this machine says of a message: the one whose socket is named in SMPPGW_CONTROL, the installed one, or the demo
/// in this folder. `None` when there is no such gateway or it knows nothing of the message.
pub fn describe(id: &str) -> Option<String> {
    let named = std::env::var_os("SMPPGW_CONTROL").map(PathBuf::from);
    let usual = [limits::default::CONTROL_SOCKET, DEMO_SOCKET].map(PathBuf::from);
    named.into_iter().chain(usual).find_map(|socket| describe_by(&socket, id))
}

fn describe_by(socket: &Path, id: &str) -> Option<String> {
    let line = ask(socket, &Request::Message { id: id.to_owned() }, Some(BRIEF_PATIENCE)).ok()?;
    let answer = serde_json::from_str::<Answer>(&line).ok()?;
    let Reply::Message(message) = &answer.reply else { return None };
    Some(views::message_line(message, answer.now))
}

fn show(line: &str, json: bool) -> ExitCode {
    let (text, complaint, code) = render(line, json);
    // Who reads may have seen enough and gone.
    let _ = io::stdout().write_all(text.as_bytes());
    if !complaint.is_empty() {
        eprintln!("smppgw ctl: {complaint}");
    }
    ExitCode::from(code)
}

/// What a reply looks like: for standard output, for standard error, and the exit code.
fn render(line: &str, json: bool) -> (String, String, u8) {
    let refusal: Option<Refusal> = serde_json::from_str(line).ok();
    let code = if refusal.is_some() { REFUSED } else { 0 };
    if json {
        return (format!("{}\n", line.trim_end()), String::new(), code);
    }
    if let Some(refusal) = refusal {
        return (views::faults(&refusal.faults), refusal.error, REFUSED);
    }
    match serde_json::from_str::<Answer>(line) {
        Ok(answer) => (views::answer(&answer), String::new(), 0),
        Err(error) => {
            let hint = "is the running gateway of another version? --json shows what it said";
            (String::new(), format!("the reply is not understood ({error}); {hint}"), REFUSED)
        }
    }
}

/// Sends one request and reads its reply.
fn ask(socket: &Path, request: &Request, patience: Option<Duration>) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A gateway that is too busy says so and closes without reading: its words count, not the broken pipe.
    let sent = stream.write_all(&line);
    let mut reply = String::new();
    let read = BufReader::new(stream).take(MAX_REPLY).read_line(&mut reply);
    if reply.is_empty() {
        sent?;
        read?;
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without a reply"));
    }
    read.map(|_| reply)
}

/// Which socket could not be used, and what to try.
fn explain(socket: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "is smppgw running? Its socket is [control] socket of its configuration: try --config or --socket"
        }
        io::ErrorKind::ConnectionRefused => "smppgw is not running: systemctl status smppgw, or smppgw serve",
        io::ErrorKind::PermissionDenied => "you may not use it: try sudo, or join the group the socket belongs to",
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer: see the log of smppgw",
        _ => "see the log of smppgw",
    };
    format!("{}: {error}; {hint}", socket.display())
}

fn socket_path(args: &CtlArgs) -> Result<PathBuf, String> {
    match (&args.socket, &args.config) {
        (Some(socket), _) => Ok(socket.clone()),
        (None, Some(config)) => configured_socket(config).map_err(|error| format!("{}: {error}", config.display())),
        (None, None) => Ok(usual_socket().into()),
    }
}

/// That of the installed gateway; where there is none, that of the demo in this folder.
fn usual_socket() -> &'static str {
    let demo = !Path::new(limits::default::CONTROL_SOCKET).exists() && Path::new(DEMO_SOCKET).exists();
    if demo { DEMO_SOCKET } else { limits::default::CONTROL_SOCKET }
}

/// Reads only what is needed: whoever may use the socket need not be able to read the passwords the configuration names.
fn configured_socket(config: &Path) -> Result<PathBuf, String> {
    #[derive(Deserialize)]
    struct OnlyControl {
        control: Option<OnlySocket>,
    }
    #[derive(Deserialize)]
    struct OnlySocket {
        socket: Option<PathBuf>,
    }
    let text = std::fs::read_to_string(config).map_err(|error| error.to_string())?;
    let parsed: OnlyControl = toml::from_str(&text).map_err(|error| error.to_string())?;
    let socket = parsed.control.and_then(|control| control.socket);
    let folder = config.parent().unwrap_or(Path::new(""));
    Ok(socket.map_or_else(|| limits::default::CONTROL_SOCKET.into(), |socket| folder.join(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fault;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        ctl: CtlArgs,
    }

    fn parsed(words: &[&str]) -> CtlArgs {
        use clap::Parser;
        Cli::try_parse_from([&["ctl"], words].concat()).map(|cli| cli.ctl).expect("arguments that are understood")
    }

    #[test]
    fn every_command_of_the_protocol_has_its_word_on_the_command_line() {
        for name in crate::control::protocol::COMMANDS {
            let args = match name {
                "message" => parsed(&[name, "gw1"]),
                "messages" => parsed(&["message", "--to", "0401234567"]),
                _ => parsed(&[name, "--json"]),
            };
            let request = serde_json::to_value(Request::from(&args.command)).unwrap();
            assert_eq!(request["command"], name);
        }
    }

    #[test]
    fn a_message_is_asked_for_in_one_way_at_a_time() {
        let request = |words: &[&str]| serde_json::to_value(Request::from(&parsed(words).command)).unwrap();
        let by_id = request(&["message", "--operator-id", "0a1b", "--operator", "elisa"]);
        assert_eq!(by_id, serde_json::json!({"command": "messages", "operator_id": "0a1b", "operator": "elisa"}));
        let to = request(&["message", "--to", "+358 40 1234567"]);
        assert_eq!(to, serde_json::json!({"command": "messages", "to": "+358 40 1234567"}));
        for words in [&[][..], &["gw1", "--to", "1"], &["--to", "1", "--operator-id", "2"], &["--to", "1", "--operator", "a"]] {
            use clap::Parser;
            assert!(Cli::try_parse_from([&["ctl", "message"], words].concat()).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_socket_is_the_one_named_else_the_one_configured_else_the_usual_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("x.toml");
        std::fs::write(&config, "[control]\nsocket = \"run/c.sock\"\n[[account]]\npassword_file = \"unreadable\"\n").unwrap();
        let config = config.to_str().unwrap();
        assert_eq!(socket_path(&parsed(&["stats"])).unwrap(), Path::new("/run/smppgw/control.sock"));
        assert_eq!(socket_path(&parsed(&["--config", config, "stats"])).unwrap(), folder.path().join("run/c.sock"));
        assert_eq!(socket_path(&parsed(&["--config", config, "--socket", "s", "stats"])).unwrap(), Path::new("s"));
        let missing = socket_path(&parsed(&["--config", "/nowhere/x.toml", "stats"])).unwrap_err();
        assert!(missing.starts_with("/nowhere/x.toml: "), "{missing}");
    }

    #[test]
    fn a_gateway_that_is_not_there_is_explained_with_the_socket_and_what_to_try() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let error = ask(&socket, &Request::Stats, None).unwrap_err();
        let text = explain(&socket, &error);
        assert!(text.contains("control.sock: ") && text.contains("is smppgw running?"), "{text}");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let error = ask(&socket, &Request::Stats, None).unwrap_err();
        assert!(explain(&socket, &error).contains("smppgw is not running"), "{error}");
    }

    #[test]
    fn a_refused_reload_shows_its_faults_as_check_does() {
        let faults = vec![Fault::error("conf/x.toml", 12, "account.window", "expected 1..=10000, found 0")];
        let refusal = Refusal { error: "the configuration is refused; the one in force stays".into(), faults };
        let line = serde_json::to_string(&refusal).unwrap();
        let (text, complaint, code) = render(&line, false);
        assert_eq!(text, "conf/x.toml:12: account.window: expected 1..=10000, found 0\n");
        assert_eq!((complaint.as_str(), code), ("the configuration is refused; the one in force stays", 1));
        assert_eq!(render(&line, true), (line + "\n", String::new(), 1));
    }

    #[test]
    fn a_reply_of_another_version_is_not_guessed_at() {
        let (text, complaint, code) = render("{\"now\":1,\"command\":\"weather\"}", false);
        assert!(text.is_empty() && complaint.contains("another version"), "{complaint}");
        assert_eq!(code, 1);
    }
}
