//! Strangers at the door: connections that never bind, guessed passwords, floods. They are shut out, cost little, keep nobody else out,
//! and learn nothing; neither does who reads the log.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{AddressFamily, SocketType, bind as bind_socket, connect, socket};
use rustix::process::Signal;
use smppgw::message::Address;
use smppgw::simulator::Mo;
use smppgw::smpp::{BindKind, CommandId, Version, encode};
use support::client::{Client, bind_view, message, pdu};
use support::operator::{Operator, prompt};
use support::story::{Setup, Story};
use support::{Daemon, scrape};

const NUMBER: &str = "358401234567";

/// A daemon without any operator that answers, whose account has a hashed password.
fn guarded() -> Setup {
    let hash = smppgw::cli::hash_password::hash(b"secret").expect("a hash");
    Setup::new(&[("elisa", 1)]).replace("password = \"secret\"", &format!("password_hash = \"{hash}\""))
}

/// Connects from an address of this machine. The kernel keeps little for the socket, so that a flood soon reaches the gateway.
fn connect_from(address: [u8; 4], port: u16) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    set_socket_recv_buffer_size(&socket, 4096).expect("a small buffer");
    set_socket_send_buffer_size(&socket, 64 * 1024).expect("a small buffer");
    bind_socket(&socket, &SocketAddr::from((address, 0))).expect("an address of this machine");
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("a listener");
    TcpStream::from(socket)
}

fn bind_pdu(system_id: &str, password: &str) -> BytesMut {
    let mut out = BytesMut::new();
    encode::bind(&mut out, 1, &bind_view(BindKind::Transceiver, system_id, password, Version::V3_4));
    out
}

/// Binds from an address; the status and how long its answer took come through the channel.
fn guess(story: &Story, from: [u8; 4], system_id: &str, password: &str) -> Receiver<(u32, Duration)> {
    let mut client = Client::of(connect_from(from, story.port));
    let (answered, answers) = channel();
    let asked = Instant::now();
    client.write(&bind_pdu(system_id, password));
    std::thread::spawn(move || {
        // One that has to give way gets no answer; a story that has what it wants does not listen any more.
        let _ = client.next().map(|answer| answered.send((answer.status().into(), asked.elapsed())));
    });
    answers
}

fn refused(story: &Story, reason: &str, count: f64) {
    story.waits_for("smppgw_logins_refused_total", &[("reason", reason)], count);
}

const HERE: [u8; 4] = [127, 0, 0, 1];

#[test]
fn guesses_are_answered_later_and_later_and_the_right_password_at_once_even_from_the_same_address() {
    let story = guarded().start();
    let guesses: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|password| guess(&story, HERE, "app", password)).into();
    refused(&story, "wrong-password", 6.0);
    let mut right = Client::connect(story.port);
    assert_eq!(right.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0, "verified for the first time");
    let mut again = Client::connect(story.port);
    assert_eq!(again.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0, "known to be right");
    let early = guesses.iter().map(Receiver::try_recv).collect::<Vec<_>>();
    assert!(early.iter().any(Result::is_err), "a guess still waits for its answer");
    let answer = |(early, later): (Result<_, _>, &Receiver<_>)| early.or_else(|_| later.recv()).expect("an answer");
    let mut answers: Vec<(u32, Duration)> = early.into_iter().zip(&guesses).map(answer).collect();
    answers.sort();
    for (at, (status, took)) in answers.iter().enumerate() {
        assert_eq!(*status, 0x0D);
        assert!(*took >= Duration::from_millis(250 << at), "{answers:?}");
    }
    story.ends_well();
}

#[test]
fn guesses_for_one_account_from_many_addresses_are_slowed_down_together_and_other_accounts_are_not() {
    let story = guarded().start();
    let spread: Vec<_> = (2..8u8).map(|last| guess(&story, [127, 0, 0, last], "app", "wrong")).collect();
    refused(&story, "wrong-password", 6.0);
    let next = guess(&story, [127, 0, 0, 100], "app", "wrong");
    refused(&story, "wrong-password", 7.0);
    let other = guess(&story, [127, 0, 0, 101], "nobody", "wrong");
    assert_eq!(other.recv().expect("an answer").0, 0x0D);
    assert!(next.try_recv().is_err(), "the account's seventh guess waits on, wherever it came from");
    assert!(story.client().submit(&message(NUMBER, b"Moi")).is_ok());
    drop(spread);
    story.ends_well();
}

#[test]
fn a_refused_connection_keeps_its_place_only_until_a_newcomer_needs_it() {
    let story = guarded().section("[limits]\nconnections_per_address = 4").start();
    let guesses: Vec<_> = (0..4).map(|_| guess(&story, HERE, "app", "wrong")).collect();
    refused(&story, "wrong-password", 4.0);
    let mut clients: Vec<Client> = (0..4).map(|_| story.client()).collect();
    // Four that are bound give way to nobody.
    Client::connect(story.port).is_closed();
    clients.iter_mut().for_each(Client::is_alive);
    drop((guesses, clients));
    story.waits_for("smppgw_connections", &[], 0.0);
    story.ends_well();
}

#[test]
fn a_crowd_that_never_binds_keeps_nobody_out() {
    for limit in ["connections = 8", "connections_per_address = 8"] {
        let story = guarded().section(&format!("[limits]\n{limit}\n[timers]\nsession_init = \"5m\"")).start();
        let mut bound = story.client();
        let before: Vec<TcpStream> = (0..40).map(|_| connect_from(HERE, story.port)).collect();
        story.waits_for("smppgw_connections_refused_total", &[("reason", "displaced")], 33.0);
        let mut late = story.client();
        let after: Vec<TcpStream> = (0..40).map(|_| connect_from(HERE, story.port)).collect();
        story.waits_for("smppgw_connections_refused_total", &[("reason", "displaced")], 74.0);
        bound.is_alive();
        late.is_alive();
        drop((before, after));
        story.ends_well();
    }
}

#[test]
fn half_a_header_an_octet_now_and_then_and_endless_enquiries_do_not_put_off_the_end() {
    let story = guarded().section("[timers]\nsession_init = \"1s\"").start();
    let bind = bind_pdu("app", "secret");
    let mut half = Client::connect(story.port);
    half.write(&bind[..8]);

    let mut slow = connect_from(HERE, story.port);
    slow.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let ended = bind[..bind.len() - 1].iter().any(|octet| {
        let pause = slow.write_all(&[*octet]).and_then(|()| slow.read(&mut [0; 1]));
        !pause.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    });
    assert!(ended, "closed before the bind was whole");
    half.is_closed();

    let mut flood = connect_from(HERE, story.port);
    let mut answers = flood.try_clone().expect("the same socket");
    let reader = std::thread::spawn(move || while answers.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let enquiries = pdu(CommandId::EnquireLink, 0, 1, &[]).repeat(64);
    while flood.write_all(&enquiries).is_ok() {}
    let _ = flood.shutdown(Shutdown::Both);
    reader.join().expect("all answers read");
    story.ends_well();
}

/// Writes the same octets to every socket, which nobody reads, until none takes any more although the gateway has had its turn.
fn fill(story: &Story, sockets: &mut [TcpStream], octets: &[u8]) {
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).expect("a mode"));
    let mut witness = story.client();
    let mut idle = 0;
    while idle < 20 {
        let taken: usize = sockets.iter_mut().map(|socket| socket.write(octets).unwrap_or(0)).sum();
        idle = if taken == 0 { idle + 1 } else { 0 };
        witness.is_alive();
    }
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn what_a_peer_that_sends_and_never_reads_can_make_the_gateway_keep_is_bounded() {
    let story = guarded().section("[timers]\nsession_init = \"5m\"").start();
    story.client().is_alive();
    let enquiries = pdu(CommandId::EnquireLink, 0, 1, &[]).repeat(4096);

    let before = resident_kib(&story.daemon);
    let mut strangers: Vec<TcpStream> = (0..40).map(|_| connect_from([127, 0, 0, 2], story.port)).collect();
    fill(&story, &mut strangers, &enquiries);
    let each = resident_kib(&story.daemon).saturating_sub(before) / 40;
    assert!(each <= 64, "{each} KiB for each stranger");
    drop(strangers);

    let before = resident_kib(&story.daemon);
    let mut bound: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut socket = connect_from([127, 0, 0, 3], story.port);
            socket.write_all(&bind_pdu("app", "secret")).expect("a reader");
            socket.read_exact(&mut [0; 16]).expect("an answer");
            socket
        })
        .collect();
    fill(&story, &mut bound, &enquiries);
    let each = resident_kib(&story.daemon).saturating_sub(before) / 16;
    assert!(each <= 3 * 1024, "{each} KiB for each session");
    drop(bound);
    story.ends_well();
}

/// What `smppgw` says, on both of its outputs, whatever comes of it.
fn said_by(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_smppgw")).args(arguments).output().expect("smppgw runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn neither_the_log_nor_metrics_nor_the_control_socket_shows_a_secret_a_text_or_a_whole_number() {
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port())])
        .replace("password = \"secret\"", "password = \"appl1cation\"")
        .replace("password = \"pw\"", "password = \"0perator\"")
        .replace("format = \"text\"", "format = \"json\"\nlevel = \"trace\"")
        .section("[[inbound]]\nnumber = \"13123\"\naccount = \"app\"");
    let mut story = setup.start();
    operator.wait_until(|counts| counts.bound() == 2);
    let mut client = Client::bound_as(story.port, BindKind::Transceiver, "app", "appl1cation");
    let id = client.submit(&message(NUMBER, b"Launchcode")).expect("an id");
    client.delivery();
    operator.send_mo(incoming());
    client.delivery();
    // Wrong ones: the password of another, in the wrong field, without its terminator, in no PDU at all.
    for (system_id, password) in [("app", "gu3ssed"), ("appl1cation", "app"), ("gu3ssed", "gu3ssed")] {
        assert_eq!(guess(&story, HERE, system_id, password).recv().expect("an answer").0, 0x0D);
    }
    let mut broken = Client::connect(story.port);
    broken.write(&pdu(CommandId::BindTransceiver, 0, 1, b"app\0appl1cation"));
    broken.receive();
    Client::connect(story.port).write(b"app appl1cation gu3ssed");
    story.waits_for("smppgw_pdu_faults_total", &[("reason", "framing")], 1.0);
    // A reload that is refused, in the line of the secret.
    std::fs::write(&story.daemon.config, setup.text.replace("\"appl1cation\"", "appl1cation")).expect("written");
    story.daemon.signal(rustix::process::Signal::HUP);
    story.daemon.wait_for_log("configuration refused");

    let config = story.daemon.config.to_str().expect("a path").to_owned();
    let socket = story.daemon.dir.join("control.sock").to_str().expect("a path").to_owned();
    let mut shown = vec![scrape::scrape(story.metrics), said_by(&["check", &config])];
    for what in ["stats", "accounts", "binds", "queues", "operators", "routes", "receipts", "message"] {
        let more: &[&str] = if what == "message" { &[&id] } else { &[] };
        shown.push(said_by(&[&["ctl", "--json", "--socket", &socket, what], more].concat()));
    }
    client.is_alive();
    shown.push(story.daemon.log_so_far());
    for secret in ["appl1cation", "0perator", "gu3ssed", "Launchcode", "Incoming", NUMBER] {
        for text in &shown {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(shown.iter().any(|text| text.contains("bind refused")), "there was something to look at");
    assert!(shown.iter().any(|text| text.contains("35840****567")), "numbers are masked");
}

fn incoming() -> Mo {
    let address = |ton, digits: &str| Address { ton, npi: 1, digits: digits.as_bytes().into() };
    Mo { from: address(1, NUMBER), to: address(3, "13123"), data_coding: 0, text: b"Incoming".to_vec() }
}

/// The bind waits for its turn at being verified, behind those of the same address that are wrong.
#[test]
fn a_bind_that_is_verified_during_a_reload_gets_its_own_account() {
    let setup = guarded().account("senders = [\"SHOP\"]");
    let mut story = setup.start();
    let guesses: Vec<_> = (0..8).map(|_| guess(&story, HERE, "nobody", "wrong")).collect();
    refused(&story, "unknown-account", 1.0);
    let mut right = Client::connect(story.port);
    right.write(&bind_pdu("app", "secret"));
    let bank = "[[account]]\nsystem_id = \"bank\"\npassword = \"other\"\nsenders = [\"BANK\"]\n[[account]]\nsystem_id = \"app\"";
    let running = std::fs::read_to_string(&story.daemon.config).expect("the configuration");
    let reordered = running.replacen("[[account]]\nsystem_id = \"app\"", bank, 1);
    assert_ne!(running, reordered);
    std::fs::write(&story.daemon.config, reordered).expect("written");
    story.daemon.signal(Signal::HUP);
    story.daemon.wait_for_log("configuration reloaded");
    assert_eq!(u32::from(right.receive().status()), 0);
    assert!(right.submit(&message(NUMBER, b"Moi")).is_ok(), "as app, not as bank, which may not send as SHOP");
    drop(guesses);
    story.ends_well();
}
