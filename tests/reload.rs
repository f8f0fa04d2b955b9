//! SIGHUP: a new configuration comes into force whole, or not at all, and disturbs nobody it does not concern.

mod support;

use std::collections::HashSet;

use rustix::process::Signal;
use smppgw::smpp::{AddressView, BindKind, CommandId, CommandStatus, MessageView, Tlvs, Version};
use support::client::{Client, THROTTLED, message, message_body, pdu, receipt, string, view};
use support::operator::{Operator, Scripted, prompt};
use support::story::{Setup, Story};
use support::{Daemon, free_port, scrape};
use tempfile::TempDir;

const NUMBER: &str = "358401234567";

/// Writes the configuration and has the daemon take it into force.
fn reload(story: &mut Story, text: &str) {
    signal(story, text);
    story.daemon.wait_for_new_log("configuration reloaded");
}

fn signal(story: &mut Story, text: &str) {
    story.daemon.forget_log();
    std::fs::write(&story.daemon.config, text).expect("the configuration");
    story.daemon.signal(Signal::HUP);
}

fn other_account() -> &'static str {
    "[[account]]\nsystem_id = \"other\"\npassword = \"secret\""
}

#[test]
fn an_accounts_new_rules_hold_for_sessions_that_are_bound_already() {
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let mut client = story.client();
    let from_bank = MessageView { source: AddressView { ton: 5, npi: 0, digits: b"BANK" }, ..message(NUMBER, b"Moi") };
    assert!(client.submit(&from_bank).is_ok());
    reload(&mut story, &setup.account("senders = [\"SHOP\"]").text);
    assert_eq!(client.submit(&from_bank), Err(0x0A));
    assert!(client.submit(&message(NUMBER, b"Moi")).is_ok());
    story.ends_well();
}

#[test]
fn a_new_account_can_bind_and_a_removed_one_is_unbound() {
    let setup = Setup::new(&[("elisa", 1)]);
    let one = setup.text.clone();
    let two = setup.section(other_account()).text;
    let mut story = Setup::new(&[("elisa", 1)]).start();
    let one = one.replace(&port_of(&one), &story.port.to_string());
    let two = two.replace(&port_of(&two), &story.port.to_string());
    let mut app = story.client();
    reload(&mut story, &two);
    let mut other = Client::bound_as(story.port, BindKind::Transceiver, "other", "secret");
    other.is_alive();
    reload(&mut story, &one);
    other.is_unbound();
    let mut again = Client::connect(story.port);
    assert_eq!(again.bind(BindKind::Transceiver, "other", "secret", Version::V3_4), 0x0D);
    app.is_alive();
    story.ends_well();
}

/// The port of the first listener.
fn port_of(text: &str) -> String {
    let (_, rest) = text.split_once("[[listener]]").expect("a listener");
    let (_, rest) = rest.split_once("127.0.0.1:").expect("its address");
    rest.split('"').next().expect("its port").to_owned()
}

#[test]
fn a_changed_password_unbinds_and_the_new_one_binds() {
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let mut client = story.client();
    reload(&mut story, &setup.text.replace("password = \"secret\"", "password = \"renewed\""));
    client.is_unbound();
    let mut again = Client::connect(story.port);
    assert_eq!(again.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0x0D);
    assert_eq!(again.bind(BindKind::Transceiver, "app", "renewed", Version::V3_4), 0);
}

#[test]
fn operators_and_routes_are_exchanged_without_touching_the_binds_that_stay() {
    let (elisa, telia) = (Operator::start(prompt()), Operator::start(prompt()));
    let both = Setup::new(&[("elisa", elisa.port()), ("telia", telia.port())]);
    let only_elisa = both.text[..both.text.find("[[operator]]\nname = \"telia\"").expect("telia")].replace(", \"telia\"]", "]");
    let mut story = Setup { text: only_elisa.clone(), ..both }.start();
    let mut client = story.client();
    elisa.wait_until(|counts| counts.bound() == 2);
    assert!(client.submit(&message(NUMBER, b"one")).is_ok());
    elisa.wait_until(|counts| counts.received == 1);

    let telia_first = Setup { port: story.port, metrics: story.metrics, text: only_elisa.clone() }
        .replace("operators = [\"elisa\"]", "operators = [\"telia\", \"elisa\"]")
        .section(&format!(
            "[[operator]]\nname = \"telia\"\n[[operator.bind]]\naddress = \"127.0.0.1:{}\"\nsystem_id = \"gw\"\npassword = \"pw\"",
            telia.port()
        ));
    reload(&mut story, &telia_first.text);
    telia.wait_until(|counts| counts.bound() == 1);
    scrape::wait_for(story.metrics, "smppgw_bind_up", &[("operator", "telia")], 1.0);
    assert!(client.submit(&message(NUMBER, b"two")).is_ok());
    telia.wait_until(|counts| counts.received == 1);

    reload(&mut story, &only_elisa);
    telia.wait_until(|counts| counts.bound() == 0);
    assert!(client.submit(&message(NUMBER, b"three")).is_ok());
    elisa.wait_until(|counts| counts.received == 2);
    assert_eq!((elisa.counts().binds, elisa.counts().unbinds), (2, 0), "the binds that stay are not touched");
    story.ends_well();
}

#[test]
fn what_waits_for_a_removed_operator_goes_by_the_new_route() {
    let telia = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let mut client = story.client();
    for text in [b"one", b"two"] {
        assert!(client.submit(&message(NUMBER, text)).is_ok());
    }
    let moved = setup.replace("elisa", "telia").replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", telia.port()));
    reload(&mut story, &moved.text);
    telia.wait_until(|counts| counts.received == 2);
    assert_eq!(
        (support::client::receipt(&client.delivery()).1, support::client::receipt(&client.delivery()).1),
        ("DELIVRD".into(), "DELIVRD".into())
    );
    story.ends_well();
}

#[test]
fn what_no_operator_may_carry_waits_through_reloads_until_one_may() {
    let telia = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let mut client = story.client();
    assert!(client.submit(&message(NUMBER, b"one")).is_ok());
    let moved = setup.replace("elisa", "telia").replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", telia.port()));
    let unrouted = moved.text.replace("prefix = [\"\"]", "prefix = [\"999\"]");
    reload(&mut story, &unrouted);
    let socket = story.daemon.dir.join("control.sock");
    let stats = ["ctl", "--socket", socket.to_str().expect("a path"), "--json", "stats"];
    let until = std::time::Instant::now() + support::PATIENCE;
    while !story.daemon.smppgw(&stats).contains("\"unrouted\":1") {
        assert!(std::time::Instant::now() < until, "the message waits for a route");
    }
    reload(&mut story, &unrouted);
    reload(&mut story, &moved.text);
    telia.wait_until(|counts| counts.received == 1);
    assert_eq!(support::client::receipt(&client.delivery()).1, "DELIVRD");
    story.ends_well();
}

/// They are read back 512 at a time, and 2 MiB: the order in which they were accepted is theirs all the same.
#[test]
fn many_messages_and_large_ones_that_wait_for_a_route_leave_in_their_order() {
    let telia = Scripted::listen();
    let setup = Setup::new(&[("elisa", 1)]).operators("window = 50");
    let mut story = setup.start();
    let mut client = story.client();
    let vendors = [&[0x14, 0x01, (60_000u16 >> 8) as u8, 60_000u16 as u8][..], &[0; 60_000]].concat();
    for number in 0..700 {
        let text = format!("{number}");
        let short = MessageView { registered_delivery: 0, ..message(NUMBER, text.as_bytes()) };
        assert!(client.submit(&short).is_ok());
        if number % 15 == 0 {
            assert!(client.submit(&MessageView { tlvs: Tlvs::encoded(&vendors), ..short }).is_ok());
        }
    }
    let moved = setup.replace("elisa", "telia").replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", telia.port()));
    reload(&mut story, &moved.text.replace("prefix = [\"\"]", "prefix = [\"999\"]"));
    reload(&mut story, &moved.text);
    let mut gateway = telia.accept();
    for number in 0..700 {
        for is_large in [false].into_iter().chain((number % 15 == 0).then_some(true)) {
            let submit = gateway.expect(CommandId::SubmitSm);
            let (text, found) = (String::from_utf8_lossy(view(&submit).short_message), !view(&submit).tlvs.is_empty());
            assert_eq!((&*text, found), (&*number.to_string(), is_large));
            gateway.answer(&submit, 0, b"1\0");
        }
    }
    story.ends_well();
}

#[test]
fn a_bad_configuration_is_refused_whole_and_the_old_one_stays_in_force() {
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let mut client = story.client();
    let bad =
        Setup { text: setup.text.clone(), ..setup }.account("senders = [\"OTHER\"]").section("[limits]\nconnections = \"many\"");
    let line = bad.text.lines().position(|line| line.starts_with("connections")).expect("the line") + 1;
    signal(&mut story, &bad.text);
    story.daemon.wait_for_new_log(&format!("smppgw.toml:{line}:"));
    story.waits_for("smppgw_config_last_reload_successful", &[], 0.0);
    assert!(client.submit(&message(NUMBER, b"Moi")).is_ok(), "the old senders");
    reload(&mut story, &setup_text(&bad.text));
    story.waits_for("smppgw_config_last_reload_successful", &[], 1.0);
    assert_eq!(client.submit(&message(NUMBER, b"Moi")), Err(0x0A), "the new senders");
    story.ends_well();
}

/// The configuration without its last, wrong section.
fn setup_text(bad: &str) -> String {
    bad[..bad.find("[limits]").expect("the wrong section")].to_owned()
}

#[test]
fn a_listener_is_opened_and_closed_again_and_one_that_cannot_be_refuses_the_reload() {
    let setup = Setup::new(&[("elisa", 1)]);
    let mut story = setup.start();
    let second = free_port();
    let listener = |port: u16| format!("{}\n[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:{port}\"\n", setup.text);
    reload(&mut story, &listener(second));
    let (mut first, mut client) = (story.client(), Client::bound(second));
    client.is_alive();
    reload(&mut story, &setup.text);
    client.is_unbound();
    // Its sessions and its socket are closed side by side.
    let until = std::time::Instant::now() + support::PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", second)).is_ok() {
        assert!(std::time::Instant::now() < until, "nobody listens any more");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    signal(&mut story, &listener(taken.local_addr().expect("its address").port()));
    story.daemon.wait_for_new_log("cannot be listened on");
    first.is_alive();
    story.ends_well();
}

#[test]
fn two_hundred_reloads_under_load_lose_nothing() {
    const WINDOW: u32 = 50;
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port())]);
    let other = Setup { text: setup.text.clone(), ..setup }.account("rate = 100000").section(other_account()).text;
    let mut story = Setup { text: setup.text.clone(), port: setup.port, metrics: setup.metrics }.start();
    let (port, stop) = (story.port, std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let told = stop.clone();
    let load = std::thread::spawn(move || {
        let mut client = Client::bound(port);
        let (mut accepted, mut reported, mut open) = (HashSet::new(), HashSet::new(), 0);
        let mut stopping = false;
        while !stopping || open > 0 || accepted.len() > reported.len() {
            stopping = stopping || told.load(std::sync::atomic::Ordering::Relaxed);
            while open < WINDOW && !stopping {
                let sequence = client.next_sequence();
                client.write(&pdu(CommandId::SubmitSm, 0, sequence, &message_body(&message(NUMBER, b"Moi"))));
                open += 1;
            }
            let frame = client.receive();
            match frame.command_id() {
                CommandId::SubmitSmResp => {
                    open -= 1;
                    // Throttled when a commit took long.
                    assert!([0, THROTTLED].contains(&frame.status().into()), "{frame:?}");
                    assert!(frame.status() != CommandStatus::EsmeRok || accepted.insert(string(frame.body())));
                }
                CommandId::DeliverSm => {
                    client.answer(&frame, 0, &[0]);
                    assert!(reported.insert(support::client::receipt(&frame).0), "one receipt each");
                }
                other => panic!("{other:?}"),
            }
        }
        (accepted, reported)
    });
    for round in 0..200 {
        let text = if round % 2 == 0 { &other } else { &setup.text };
        reload(&mut story, text);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (accepted, reported) = load.join().expect("the load ends well");
    assert!(!accepted.is_empty() && accepted == reported);
    assert_eq!(operator.counts().unbinds, 0);
    story.ends_well();
}

/// Receipts say the ids their senders know, and the node may get another name meanwhile.
#[test]
fn an_id_keeps_the_name_it_was_given_under_when_the_node_gets_another_one() {
    let operator = Operator::start(prompt());
    let setup = Setup::new(&[("elisa", operator.port())]);
    let folder = TempDir::new().expect("a folder");
    let mut daemon = Daemon::start_in(folder.path(), &setup.text, None);
    let mut sender = Client::bound_as(setup.port, BindKind::Transmitter, "app", "secret");
    let mut ids = HashSet::new();
    ids.insert(sender.submit(&message(NUMBER, b"Moi")).expect("an id"));
    let renamed = setup.replace("name = \"t1\"", "name = \"other\"");
    std::fs::write(&daemon.config, &renamed.text).expect("the configuration");
    daemon.signal(Signal::HUP);
    daemon.wait_for_new_log("configuration reloaded");
    ids.insert(sender.submit(&message(NUMBER, b"Moi")).expect("an id"));
    assert!(ids.iter().all(|id| id.starts_with("t1")), "a new name counts from the next start on: {ids:?}");
    operator.wait_until(|counts| counts.receipts_acknowledged == 2);
    daemon.kill();
    for _ in 0..2 {
        let daemon = Daemon::start_in(folder.path(), &renamed.text, None);
        let mut client = Client::bound_as(renamed.port, BindKind::Transmitter, "app", "secret");
        let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
        assert!(id.starts_with("other"), "{id}");
        ids.insert(id);
        operator.wait_until(|counts| counts.receipts_acknowledged == ids.len() as u64);
        daemon.kill();
    }
    let _daemon = Daemon::start_in(folder.path(), &renamed.text, None);
    let mut receiver = Client::bound_as(renamed.port, BindKind::Receiver, "app", "secret");
    let reported: HashSet<String> = (0..4).map(|_| receipt(&receiver.delivery()).0).collect();
    assert_eq!(reported, ids);
}
