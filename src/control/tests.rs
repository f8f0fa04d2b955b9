mod search;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::protocol::*;
use super::{Action, Server};
use crate::config::{self, Config, Fault};
use crate::gateway::{Gateway, Settings};
use crate::journal::{self, Batch, Journal};
use crate::ledger::{Event, Failure, Ids, KeyMaker, Ledger, SentPart, Waiting};
use crate::message::{AccountKey, MessageId, Names, OperatorKey, test_job};
use crate::operator::pool::Pool;
use crate::receipt::State;
use crate::spool::{self, sim::SimDisk};

fn config(socket: &Path, more: &str) -> Config {
    let text = format!(
        r#"
[control]
socket = "{}"

[[account]]
system_id = "shop"
password = "secret12"
binds = 4
rate = 500

[[operator]]
name = "elisa"
rate = 1000

[[operator.bind]]
address = "smsc.example.fi:2775"
system_id = "gw"
password = "secret12"

[[route]]
prefix = "358"
operators = "elisa"

{more}
"#,
        socket.display()
    );
    config::parse(&text, "conf/x.toml", &config::Disk::from_environment()).expect("the configuration of the tests")
}

/// A gateway that has not started its journal, and its control socket.
struct Running {
    folder: TempDir,
    gateway: Arc<Gateway>,
    server: Server,
    actions: mpsc::Receiver<Action>,
}

fn gateway(socket: &Path) -> Arc<Gateway> {
    let (accounts, operators) = (Arc::new(Names::default()), Arc::new(Names::default()));
    let settings = Settings::build(config(socket, ""), &accounts, &operators, [7; 32]).expect("settings");
    let (metrics, _) = crate::metrics::install(None).expect("metrics without an endpoint");
    Gateway::new(
        settings,
        accounts,
        operators,
        Ids::starting_at(1),
        KeyMaker::default(),
        metrics,
        crate::gateway::Outside::real(),
    )
}

async fn start_at(gateway: &Arc<Gateway>) -> io::Result<(Server, mpsc::Receiver<Action>)> {
    let (sender, actions) = mpsc::channel(1);
    let server = Server::start(gateway.clone(), Arc::new(Pool::default()), sender).await?;
    Ok((server, actions))
}

impl Running {
    async fn start() -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = gateway(&folder.path().join("run/control.sock"));
        let (server, actions) = start_at(&gateway).await.expect("a control socket");
        Running { folder, gateway, server, actions }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/control.sock")
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.socket()).await.expect("a connection"))
    }

    async fn ask(&self, request: Value) -> Value {
        exchange(&mut self.connect().await, &format!("{request}\n")).await
    }
}

async fn exchange(connection: &mut BufReader<UnixStream>, request: &str) -> Value {
    connection.get_mut().write_all(request.as_bytes()).await.expect("a peer that reads");
    reply(connection).await
}

async fn reply(connection: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    connection.read_line(&mut line).await.expect("a reply");
    serde_json::from_str(&line).expect("a JSON object")
}

// The protocol.

#[test]
fn every_command_is_read_by_its_name() {
    for name in COMMANDS {
        let request = Request::parse(json!({"command": name, "id": "gw10000002a"}).to_string().as_bytes()).expect(name);
        let again = serde_json::to_vec(&request).unwrap();
        assert_eq!(Request::parse(&again), Ok(request));
    }
}

#[test]
fn an_unknown_command_lists_the_known_ones_and_guesses_the_one_meant() {
    let error = Request::parse(b"{\"command\":\"stat\"}").unwrap_err();
    assert!(error.starts_with("unknown command \"stat\": expected one of stats, accounts, binds, "), "{error}");
    assert!(error.ends_with("; did you mean stats?"), "{error}");
}

#[test]
fn a_refusal_does_not_repeat_a_long_line() {
    let long = "x".repeat(60_000);
    for line in [json!(long), json!({"command": long}), json!({"command": "message", "id": [long]})] {
        let error = Request::parse(line.to_string().as_bytes()).unwrap_err();
        assert!(error.len() < 500, "{} octets", error.len());
    }
}

#[test]
fn what_is_no_request_is_answered_with_what_a_request_looks_like() {
    for garbage in [&b""[..], b"\n", b"stats", b"[1]", b"{\"command\":7}", b"\xff\xfe", b"{\"command\":\"message\"}"] {
        let error = Request::parse(garbage).unwrap_err();
        assert!(error.starts_with("expected one JSON object") || error.contains("missing field `id`"), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_octets_whatever_make_the_parser_panic(line: Vec<u8>) {
        let _ = Request::parse(&line);
    }
}

#[test]
fn replies_come_back_as_they_were_sent() {
    let place = Place::Queue { operator: "elisa".into(), since: 5, attempts: 2, not_before: None, refused: None };
    let message = Message {
        id: "gw10000002a".into(),
        account: "shop".into(),
        state: "pending".into(),
        place,
        accepted_at: Some(1),
        finished_at: None,
        expires_at: Some(9),
        source: Some("SHOP".into()),
        destination: Some("35840****567".into()),
        route: vec!["elisa".into()],
        parts: Vec::new(),
    };
    let replies = [
        Reply::Message(Box::new(message)),
        Reply::Accounts { accounts: Vec::new() },
        Reply::Receipts { unmatched: Vec::new(), parked: 3, newest_parked: Vec::new() },
        Reply::Drain(Drained { sessions: 1, pending: 2 }),
        Reply::Reload(ReloadReport { warnings: vec![Fault::warning("x", 1, "a.b", "unwise")], ..ReloadReport::default() }),
    ];
    for reply in replies {
        let answer = Answer { now: 1_700_000_000_000, reply };
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer, "{line}");
        assert!(serde_json::from_str::<Refusal>(&line).is_err(), "an answer is no refusal");
    }
}

// What is told.

#[tokio::test]
async fn two_requests_on_one_connection_are_answered_in_order() {
    let running = Running::start().await;
    let mut connection = running.connect().await;
    let first = exchange(&mut connection, "{\"command\":\"version\"}\n{\"command\":\"accounts\"}\n").await;
    let second = reply(&mut connection).await;
    assert_eq!((&first["command"], &second["command"]), (&json!("version"), &json!("accounts")));
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(second["accounts"][0]["account"], "shop");
    assert_eq!(second["accounts"][0]["sessions_max"], 4);
}

#[tokio::test]
async fn every_command_without_a_journal_is_answered_or_says_that_the_gateway_is_starting() {
    let running = Running::start().await;
    for name in COMMANDS.into_iter().filter(|name| !["reload", "drain"].contains(name)) {
        let reply = running.ask(json!({"command": name, "id": "gw0000002a"})).await;
        match name {
            "messages" => assert!(reply["error"].as_str().unwrap().starts_with("messages: expected either to"), "{reply}"),
            "receipts" | "message" | "quarantine" => assert_eq!(reply["error"], "the gateway is starting: try again in a moment"),
            _ => assert_eq!(reply["command"], name, "{reply}"),
        }
    }
    let stats = running.ask(json!({"command": "stats"})).await;
    assert_eq!(stats["accepting"], false);
    assert_eq!(stats["limiters"], json!([{"who": "spool", "what": "starting: no submit is taken yet"}]));
}

#[tokio::test]
async fn stats_and_queues_name_what_holds_messages_back() {
    let running = Running::start().await;
    let shop = AccountKey(running.gateway.account_names.key("shop").unwrap());
    let elisa = OperatorKey(running.gateway.operator_names.key("elisa").unwrap());
    let job = test_job(42, shop);
    running.gateway.queue(Waiting { id: MessageId(42), account: shop, bound_to: Some(elisa), done: 0, job });
    let state = running.gateway.account(shop);
    let now = crate::link::now();
    assert!(state.rate().take_up_to(501, now).1.is_some());

    let stats = running.ask(json!({"command": "stats"})).await;
    let limiters = stats["limiters"].to_string();
    assert!(limiters.contains("\"operator elisa\"") && limiters.contains("down (no bind can send): 1 wait"), "{limiters}");
    assert!(limiters.contains("rate 500/s: submits are refused with ESME_RTHROTTLED (0x58)"), "{limiters}");
    let queues = running.ask(json!({"command": "queues"})).await;
    assert_eq!(queues["queues"][0]["length"], 1);
    assert!(queues["queues"][0]["limiter"].as_str().unwrap().starts_with("down"), "{queues}");

    let up = running.gateway.operator(elisa).sender_up();
    running.gateway.operator(elisa).rate().take_up_to(1_001, crate::link::now());
    let operators = running.ask(json!({"command": "operators"})).await;
    assert_eq!(operators["operators"][0]["limiter"], "rate 1000/s");
    drop(up);
}

#[tokio::test]
async fn a_message_id_that_is_none_is_explained() {
    let running = Running::start().await;
    let reply = running.ask(json!({"command": "message", "id": "tuesday"})).await;
    assert_eq!(reply["error"], "expected a message id such as gw0000002a");
}

/// Starts a journal on a simulated disk under the gateway, and has it accept message 42.
async fn with_journal(running: &Running) -> Arc<crate::message::Job> {
    let gateway = &running.gateway;
    let (accounts, operators) = (gateway.account_names.clone(), gateway.operator_names.clone());
    let mut ledger = Ledger::new(gateway.ids.clone(), gateway.keys.clone(), accounts, operators, 100, 100);
    let settings = spool::Settings { segment_size: 1 << 20, max_size: 16 << 20, disk_reserve: 0 };
    let (spool, _) = journal::open(SimDisk::new(), settings, &mut ledger).expect("an empty spool");
    let (journal, _) = Journal::start(spool, ledger, gateway.clone()).expect("a thread");
    gateway.set_journal(journal);
    let job = test_job(42, AccountKey(0));
    record(gateway, job.clone().into()).await;
    job
}

/// Has an event made durable, and sees its consequences happen.
async fn record(gateway: &Gateway, event: Event) {
    let (reply, mut acks) = mpsc::channel(1);
    let batch = Batch { events: vec![event], reply: Some((reply, 1)) };
    let journal = gateway.journal().expect("a journal");
    journal.submit(batch).expect("room");
    assert!(acks.recv().await.expect("an answer").statuses.is_empty());
    journal.ask(|_| ()).await.expect("the group after it");
}

#[tokio::test]
async fn a_message_is_followed_from_the_queue_to_the_operator_and_to_its_end() {
    let running = Running::start().await;
    let job = with_journal(&running).await;
    let ask = || running.ask(json!({"command": "message", "id": "gw0000002a"}));

    let queued = ask().await;
    assert_eq!((&queued["state"], &queued["place"]["at"]), (&json!("pending"), &json!("queue")), "{queued}");
    assert_eq!((&queued["place"]["operator"], &queued["route"]), (&json!("elisa"), &json!(["elisa"])));
    assert_eq!((&queued["account"], &queued["destination"]), (&json!("shop"), &json!("35840****567")));
    assert!(!queued.to_string().contains("Moi"), "no text is told");

    let operator = OperatorKey(0);
    let now = running.gateway.clock.now();
    assert_eq!(running.gateway.operator(operator).pull(now, 1, |_| 1).items.len(), 1);
    assert_eq!(ask().await["place"]["at"], "operator");

    let operator_id = smallvec::SmallVec::from_slice(b"0a1b2c3d");
    let sent = Event::Sent { operator, parts: vec![SentPart { job, part: 0, total: 1, operator_id, key: None, strayed: false }] };
    record(&running.gateway, sent).await;
    let sent = ask().await;
    assert_eq!(sent["place"]["at"], "receipt");
    assert_eq!(sent["parts"], json!([{"operator": "elisa", "operator_id": "0a1b2c3d", "state": "sent", "error": 0}]));

    let failure = Failure { state: State::Deleted, status: 0 };
    record(&running.gateway, Event::Failed { id: MessageId(42), operator: None, parts: Some((1, 1)), failure }).await;
    let known = running.ask(json!({"command": "message", "id": "0000002a"})).await;
    assert_eq!(known["id"], "gw0000002a", "short ids are understood");
    let unknown = running.ask(json!({"command": "message", "id": "gw0000002b"})).await;
    assert!(unknown["error"].as_str().unwrap().starts_with("no message gw0000002b: "), "{unknown}");
}

#[tokio::test]
async fn with_a_journal_submits_are_taken_and_the_spool_has_figures() {
    let running = Running::start().await;
    with_journal(&running).await;
    let stats = running.ask(json!({"command": "stats"})).await;
    assert_eq!((&stats["accepting"], &stats["queued"]), (&json!(true), &json!(1)));
    assert_eq!(stats["spool"]["live_records"], 1);
    assert_eq!(running.ask(json!({"command": "receipts"})).await["unmatched"], json!([]));
}

// What is done.

#[tokio::test]
async fn a_reload_is_the_daemons_to_do_and_its_faults_are_shown() {
    let mut running = Running::start().await;
    let mut connection = running.connect().await;
    let asked = exchange(&mut connection, "{\"command\":\"reload\"}\n");
    let daemon = async {
        let Some(Action::Reload(reply)) = running.actions.recv().await else { panic!("a reload") };
        reply.send(Err(vec![Fault::error("conf/x.toml", 3, "node.name", "expected a name")])).unwrap();
    };
    let (reply, ()) = tokio::join!(asked, daemon);
    assert_eq!(reply["error"], "the configuration is refused; the one in force stays");
    assert_eq!(reply["faults"][0]["line"], 3);

    let asked = exchange(&mut connection, "{\"command\":\"reload\"}\n");
    let daemon = async {
        let Some(Action::Reload(reply)) = running.actions.recv().await else { panic!("a reload") };
        reply.send(Ok(ReloadReport { prefixes: 12, ..ReloadReport::default() })).unwrap();
    };
    let (reply, ()) = tokio::join!(asked, daemon);
    assert_eq!(reply["prefixes"], 12);
}

#[tokio::test]
async fn a_drain_is_answered_even_though_everything_ends_then() {
    let mut running = Running::start().await;
    let mut connection = running.connect().await;
    let asked = exchange(&mut connection, "{\"command\":\"drain\"}\n");
    let daemon = async {
        let Some(Action::Drain(reply)) = running.actions.recv().await else { panic!("a drain") };
        reply.send(()).unwrap();
        running.server.stop().await;
    };
    let (reply, ()) = tokio::join!(asked, daemon);
    assert_eq!(reply["command"], "drain");
    assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_asked_while_the_gateway_stops_is_refused() {
    let mut running = Running::start().await;
    let mut connection = running.connect().await;
    let asked = exchange(&mut connection, "{\"command\":\"reload\"}\n");
    let daemon = async {
        let unanswered = running.actions.recv().await;
        running.server.stop().await;
        drop(unanswered);
    };
    let (reply, ()) = tokio::join!(asked, daemon);
    assert_eq!(reply["error"], "the gateway is stopping");
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_said_to_be_stopping() {
    let mut running = Running::start().await;
    running.actions.close();
    assert_eq!(running.ask(json!({"command": "reload"})).await["error"], "the gateway is stopping");
}

#[test]
fn a_reload_tells_what_came_went_and_changed() {
    let old = config(Path::new("/run/a.sock"), "[[account]]\nsystem_id = \"old\"\npassword = \"secret12\"");
    let mut new = config(Path::new("/run/b.sock"), "[[account]]\nsystem_id = \"new\"\npassword = \"secret12\"");
    new.operators[0].rate = Some(5);
    let names = Arc::new(Names::default());
    let settings = Settings::build(new, &names, &names, [7; 32]).expect("settings");
    let report = ReloadReport::between(&old, &settings);
    assert_eq!(report.accounts, Changes { added: vec!["new".into()], removed: vec!["old".into()], changed: vec![] });
    assert_eq!(report.operators.changed, ["elisa".into()]);
    assert_eq!((report.prefixes, report.needs_restart), (1, vec!["control".to_owned()]));
}

// The socket.

#[tokio::test]
async fn the_socket_has_the_configured_mode_whatever_the_umask_and_goes_with_the_server() {
    let running = Running::start().await;
    let mode = std::fs::metadata(running.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let socket = running.socket();
    running.server.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_second_daemon_does_not_take_the_socket_of_a_living_one() {
    let running = Running::start().await;
    let error = start_at(&running.gateway).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(running.ask(json!({"command": "version"})).await["command"], "version");
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (server, _actions) = start_at(&gateway(&socket)).await.unwrap();
    assert!(UnixStream::connect(&socket).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    std::fs::write(&socket, "precious").unwrap();
    let error = start_at(&gateway(&socket)).await.unwrap_err();
    assert!(error.to_string().contains("is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn a_stopping_server_leaves_the_socket_of_its_successor() {
    let running = Running::start().await;
    std::fs::remove_file(running.socket()).unwrap();
    let (successor, _actions) = start_at(&running.gateway).await.unwrap();
    let socket = running.socket();
    running.server.stop().await;
    assert!(UnixStream::connect(&socket).await.is_ok());
    successor.stop().await;
}

#[tokio::test]
async fn garbage_is_answered_and_the_connection_goes_on() {
    let running = Running::start().await;
    let mut connection = running.connect().await;
    let garbage = exchange(&mut connection, "\u{1F4A9}{{{\n").await;
    assert!(garbage["error"].as_str().unwrap().starts_with("expected one JSON object"), "{garbage}");
    let unknown = exchange(&mut connection, "{\"command\":\"weather\"}\n").await;
    assert!(unknown["error"].as_str().unwrap().contains("expected one of stats, "), "{unknown}");
    assert_eq!(exchange(&mut connection, "{\"command\":\"version\"}\n").await["command"], "version");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_and_the_connection_closed() {
    let running = Running::start().await;
    let mut connection = running.connect().await;
    let refused = exchange(&mut connection, &"x".repeat(MAX_REQUEST)).await;
    assert_eq!(refused["error"], "expected a request of at most 4096 octets");
    assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_request_without_a_newline_is_complete_when_its_sender_has_closed() {
    let running = Running::start().await;
    let mut connection = running.connect().await;
    connection.get_mut().write_all(b"{\"command\":\"version\"}").await.unwrap();
    connection.get_mut().shutdown().await.unwrap();
    assert_eq!(reply(&mut connection).await["command"], "version");
}

#[tokio::test]
async fn the_seventeenth_connection_is_told_that_the_gateway_is_busy() {
    let running = Running::start().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut connection = running.connect().await;
        exchange(&mut connection, "{\"command\":\"version\"}\n").await;
        open.push(connection);
    }
    let mut crowded = running.connect().await;
    assert_eq!(reply(&mut crowded).await["error"], "busy: 16 connections are open already");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_let_go() {
    let running = Running::start().await;
    let mut connection = running.connect().await;
    connection.get_mut().write_all(b"{\"command\":").await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(started.elapsed().as_secs(), 10);
}
