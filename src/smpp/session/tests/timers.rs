use std::time::{Duration, Instant};

use super::pair::*;
use crate::smpp::{BindKind, CloseReason, CommandId, CommandStatus, Event, Role, Settings, Timers, Version};

const OK: CommandStatus = CommandStatus::EsmeRok;

fn with(role: Role, change: impl FnOnce(&mut Timers)) -> Settings {
    let mut settings = settings(role);
    change(&mut settings.timers);
    settings
}

fn closed(reason: CloseReason) -> Event<u32> {
    Event::Closed { reason, unanswered: vec![] }
}

#[test]
fn without_timers_nothing_ever_happens() {
    let mut pair = Pair::bound(settings(Role::Esme), settings(Role::Smsc));
    send(&mut pair.client, pair.now, CommandId::SubmitSm, 1);
    assert_eq!(pair.client.session.poll_timeout(), None);
    pair.pass(1_000_000 * SECOND);
    assert!(pair.client.events().is_empty());
}

#[test]
fn a_client_that_does_not_bind_is_closed() {
    let now = Instant::now();
    let mut server = End::new(with(Role::Smsc, |timers| timers.session_init = 5 * SECOND), now);
    assert_eq!(server.session.poll_timeout(), Some(now + 5 * SECOND));
    server.feed_pdu(now + 4 * SECOND, CommandId::EnquireLink, 1, b"");
    server.session.handle_timeout(now + 4 * SECOND);
    assert!(server.events().is_empty());
    server.session.handle_timeout(now + 5 * SECOND);
    assert_eq!(server.event(), closed(CloseReason::SessionInit));
}

#[test]
fn session_init_runs_while_the_bind_is_being_judged_and_ends_with_it() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| timers.session_init = 5 * SECOND);
    let mut server = End::new(settings, now);
    server.feed(now, &bind_pdu(BindKind::Transmitter, Version::V3_4, 1));
    assert_eq!(server.session.poll_timeout(), Some(now + 5 * SECOND));
    server.session.accept_bind(now, b"gw");
    assert_eq!(server.session.poll_timeout(), None);
}

#[test]
fn a_bind_without_answer_ends_by_the_response_timer() {
    let now = Instant::now();
    let mut client = End::new(with(Role::Esme, |timers| timers.response = 3 * SECOND), now);
    client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    client.session.handle_timeout(now + 3 * SECOND);
    assert_eq!(client.event(), closed(CloseReason::SessionInit));
}

#[test]
fn a_silent_peer_is_asked_and_one_that_answers_lives() {
    let mut pair = Pair::bound(
        with(Role::Esme, |_| {}),
        with(Role::Smsc, |timers| {
            timers.enquire_link = 30 * SECOND;
            timers.response = 10 * SECOND;
        }),
    );
    pair.pass(3600 * SECOND);
    assert!(pair.server.events().is_empty());
    assert!(!pair.server.session.is_closed());
}

#[test]
fn a_dead_peer_is_found_after_enquire_link_and_response() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| {
        timers.enquire_link = 30 * SECOND;
        timers.response = 10 * SECOND;
    });
    let mut server = bound_server(BindKind::Transceiver, settings, now);
    server.session.handle_timeout(now + 30 * SECOND);
    assert_eq!(server.answers(), [(CommandId::EnquireLink, OK, 1)]);
    assert_eq!(server.session.poll_timeout(), Some(now + 40 * SECOND));
    server.session.handle_timeout(now + 39 * SECOND);
    assert!(server.events().is_empty());
    server.session.handle_timeout(now + 40 * SECOND);
    assert_eq!(server.event(), closed(CloseReason::LinkDead));
}

#[test]
fn any_pdu_is_a_sign_of_life() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| {
        timers.enquire_link = 30 * SECOND;
        timers.response = 10 * SECOND;
    });
    let mut server = bound_server(BindKind::Transceiver, settings, now);
    server.session.handle_timeout(now + 30 * SECOND);
    server.feed_pdu(now + 35 * SECOND, CommandId::SubmitSm, 2, b"");
    server.session.handle_timeout(now + 40 * SECOND);
    assert!(!server.session.is_closed());
    assert_eq!(server.session.poll_timeout(), Some(now + 65 * SECOND));
}

#[test]
fn without_a_response_timer_a_peer_gets_one_more_interval() {
    let now = Instant::now();
    let mut server = bound_server(BindKind::Transceiver, with(Role::Smsc, |timers| timers.enquire_link = 30 * SECOND), now);
    server.session.handle_timeout(now + 30 * SECOND);
    assert_eq!(server.session.poll_timeout(), Some(now + 60 * SECOND));
}

#[test]
fn silence_says_nothing_while_we_do_not_listen() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| {
        timers.enquire_link = 30 * SECOND;
        timers.response = 10 * SECOND;
    });
    let mut server = bound_server(BindKind::Transmitter, settings, now);
    for sequence in 2..6 {
        server.feed_pdu(now, CommandId::SubmitSm, sequence, b"");
    }
    assert!(server.session.is_paused());
    assert_eq!(server.session.poll_timeout(), None);
    server.session.handle_timeout(now + 3600 * SECOND);
    assert!(!server.session.is_closed());
    let Event::Request(first) = server.events().remove(0) else { panic!("a request") };
    server.session.respond_id(now + 3600 * SECOND, first.ticket(), b"1");
    assert_eq!(server.session.poll_timeout(), Some(now + 3630 * SECOND));
}

#[test]
fn an_answer_that_may_stand_unread_is_not_missing() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| timers.response = 10 * SECOND);
    let mut server = bound_server(BindKind::Transceiver, settings, now);
    send(&mut server, now, CommandId::DeliverSm, 1);
    for sequence in 2..6 {
        server.feed_pdu(now, CommandId::SubmitSm, sequence, b"");
    }
    assert!(server.session.is_paused());
    let Event::Request(first) = server.events().remove(0) else { panic!("a request") };
    server.session.handle_timeout(now + 60 * SECOND);
    assert!(server.events().is_empty(), "not read, so not late");
    server.session.respond_id(now + 60 * SECOND, first.ticket(), b"1");
    server.session.handle_timeout(now + 60 * SECOND);
    assert!(matches!(server.events()[..], [Event::NoResponse { token: 1, .. }]));
}

#[test]
fn an_unused_session_unbinds_although_it_is_alive() {
    let mut pair = Pair::bound(
        with(Role::Esme, |_| {}),
        with(Role::Smsc, |timers| {
            timers.enquire_link = 30 * SECOND;
            timers.inactivity = 100 * SECOND;
            timers.response = 10 * SECOND;
        }),
    );
    pair.pass(99 * SECOND);
    assert!(pair.server.events().is_empty());
    pair.pass(SECOND);
    assert_eq!(pair.server.event(), closed(CloseReason::Inactivity));
    assert_eq!(pair.client.events(), [Event::Unbinding, closed(CloseReason::PeerUnbound)]);
}

#[test]
fn messages_put_inactivity_off() {
    let mut pair = Pair::bound(settings(Role::Esme), with(Role::Smsc, |timers| timers.inactivity = 100 * SECOND));
    pair.pass(90 * SECOND);
    send(&mut pair.client, pair.now, CommandId::SubmitSm, 1);
    pair.exchange();
    assert_eq!(pair.server.session.poll_timeout(), Some(pair.now + 100 * SECOND));
}

#[test]
fn a_request_without_answer_is_given_back_and_its_late_answer_reported() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, with(Role::Esme, |timers| timers.response = 10 * SECOND), now);
    let first = send(&mut client, now, CommandId::SubmitSm, 1);
    let second = send(&mut client, now + SECOND, CommandId::SubmitSm, 2);
    assert_eq!(client.session.poll_timeout(), Some(now + 10 * SECOND));
    client.session.handle_timeout(now + 10 * SECOND);
    assert_eq!(client.event(), Event::NoResponse { token: 1, sequence: first });
    assert_eq!(client.session.unanswered(), 1, "its place in the window is free again");

    client.feed_pdu(now + 10 * SECOND, CommandId::SubmitSmResp, first, b"late\0");
    assert!(matches!(client.event(), Event::LateResponse(frame) if frame.sequence() == first));
    client.feed_pdu(now + 10 * SECOND, CommandId::SubmitSmResp, first, b"late\0");
    assert_eq!(client.event(), Event::Fault(crate::smpp::Fault::UnknownResponse), "only once");

    client.session.handle_timeout(now + 11 * SECOND);
    assert_eq!(client.event(), Event::NoResponse { token: 2, sequence: second });
}

#[test]
fn an_answer_in_time_stops_its_timer() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, with(Role::Esme, |timers| timers.response = 10 * SECOND), now);
    let sequence = send(&mut client, now, CommandId::SubmitSm, 1);
    client.feed_pdu(now + 9 * SECOND, CommandId::SubmitSmResp, sequence, b"1\0");
    client.events();
    client.session.handle_timeout(now + 10 * SECOND);
    assert!(client.events().is_empty());
    assert_eq!(client.session.poll_timeout(), None);
}

#[test]
fn an_unbind_without_answer_ends_by_the_response_timer() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, with(Role::Esme, |timers| timers.response = 10 * SECOND), now);
    client.session.unbind(now);
    assert_eq!(client.session.poll_timeout(), Some(now + 10 * SECOND));
    client.session.handle_timeout(now + 10 * SECOND);
    assert_eq!(client.event(), closed(CloseReason::UnbindTimeout));
}

#[test]
fn our_unbind_waits_no_longer_than_the_response_timer() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, with(Role::Esme, |timers| timers.response = 10 * SECOND), now);
    client.feed_pdu(now, CommandId::DeliverSm, 5, b"");
    client.session.unbind(now);
    assert_eq!(client.answers(), []);
    client.session.handle_timeout(now + 10 * SECOND);
    assert_eq!(client.answers(), [(CommandId::Unbind, OK, 2)]);
}

#[test]
fn the_peers_unbind_is_answered_at_the_latest_by_the_response_timer() {
    let now = Instant::now();
    let mut server = bound_server(BindKind::Transmitter, with(Role::Smsc, |timers| timers.response = 10 * SECOND), now);
    server.feed_pdu(now, CommandId::SubmitSm, 2, b"");
    server.feed_pdu(now, CommandId::Unbind, 3, b"");
    server.events();
    server.session.handle_timeout(now + 10 * SECOND);
    assert_eq!(server.answers(), [(CommandId::UnbindResp, OK, 3)]);
    assert_eq!(server.event(), closed(CloseReason::PeerUnbound));
}

#[test]
fn handling_a_timeout_early_does_nothing() {
    let now = Instant::now();
    let settings = with(Role::Smsc, |timers| *timers = Timers { inactivity: 99 * SECOND, ..Timers::default() });
    let mut server = bound_server(BindKind::Transmitter, settings, now);
    server.session.handle_timeout(now + Duration::from_millis(29_999));
    assert!(server.events().is_empty() && server.answers().is_empty());
}
