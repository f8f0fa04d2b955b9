use std::time::Instant;

use bytes::BytesMut;

use super::pair::*;
use crate::smpp::view::{BindResponseView, MessageResponseView, MessageView};
use crate::smpp::{BindKind, CloseReason, CommandId, CommandStatus, Event, Fault, Refusal, Role, State, Strictness, Version};

const OK: CommandStatus = CommandStatus::EsmeRok;

fn pair() -> Pair {
    Pair::bound(settings(Role::Esme), settings(Role::Smsc))
}

#[test]
fn a_submission_is_answered_with_its_id() {
    let mut pair = pair();
    let sequence = send(&mut pair.client, pair.now, CommandId::SubmitSm, 7);
    pair.exchange();
    let request = pair.server.request();
    assert_eq!(request.sequence(), sequence);
    assert_eq!(MessageView::parse(&request, Strictness::Strict).expect("readable").short_message, b"hello");
    assert_eq!((pair.client.session.unanswered(), pair.server.session.peer_unanswered()), (1, 1));

    pair.server.session.respond_id(pair.now, request.ticket(), b"id-1");
    pair.exchange();
    let Event::Response { token: 7, frame, status: OK } = pair.client.event() else { panic!("a response") };
    assert_eq!(MessageResponseView::parse(&frame).message_id, b"id-1");
    assert_eq!((pair.client.session.unanswered(), pair.server.session.peer_unanswered()), (0, 0));
}

#[test]
fn answers_may_come_in_any_order() {
    let mut pair = pair();
    for token in 0..3 {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    pair.exchange();
    let requests = pair.server.events();
    for request in requests.iter().rev() {
        let Event::Request(frame) = request else { panic!("a request") };
        pair.server.session.respond(pair.now, frame.ticket(), CommandStatus::EsmeRthrottled);
    }
    pair.exchange();
    let token = |event| match event {
        Event::Response { token, status: CommandStatus::EsmeRthrottled, .. } => token,
        other => panic!("{other:?}"),
    };
    let tokens: Vec<_> = pair.client.events().into_iter().map(token).collect();
    assert_eq!(tokens, [2, 1, 0]);
}

#[test]
fn a_delivery_response_always_has_its_empty_id() {
    let mut client = bound_client(BindKind::Receiver, settings(Role::Esme), Instant::now());
    let now = Instant::now();
    for status in [OK, CommandStatus::EsmeRxTAppn] {
        client.feed_pdu(now, CommandId::DeliverSm, 9, b"");
        let request = client.request();
        client.session.respond(now, request.ticket(), status);
        let sent = client.sent();
        assert_eq!((sent[0].status(), sent[0].body()), (status, &b"\0"[..]));
    }
}

#[test]
fn a_full_window_gives_the_token_back() {
    let mut pair = pair();
    for token in 0..4 {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    assert_eq!(pair.client.session.free_window(), 0);
    let refused = pair.client.session.send(pair.now, CommandId::SubmitSm, 4, |_| panic!("must not be encoded"));
    assert_eq!(refused.map_err(|refused| (refused.token, refused.refusal)), Err((4, Refusal::WindowFull)));
}

#[test]
fn a_peer_that_fills_its_window_is_not_read_further_until_answered() {
    let mut pair = pair();
    for token in 0..4 {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    pair.exchange();
    let first = pair.server.events();
    assert_eq!(first.len(), 3);
    assert!(pair.server.session.is_paused());
    assert!(!pair.server.incoming.is_empty());

    let Event::Request(frame) = &first[0] else { panic!("a request") };
    pair.server.session.respond_id(pair.now, frame.ticket(), b"1");
    assert!(!pair.server.session.is_paused());
    pair.exchange();
    assert_eq!(pair.server.request().sequence(), frame.sequence() + 3);
}

#[test]
fn responses_and_enquiries_pass_a_full_window() {
    let now = Instant::now();
    let mut server = bound_server(BindKind::Transceiver, settings(Role::Smsc), now);
    for sequence in 2..5 {
        server.feed_pdu(now, CommandId::SubmitSm, sequence, b"");
    }
    assert!(!server.session.is_paused());
    let delivery = send(&mut server, now, CommandId::DeliverSm, 1);
    server.sent();
    server.feed_pdu(now, CommandId::EnquireLink, 5, b"");
    server.feed_pdu(now, CommandId::DeliverSmResp, delivery, b"\0");
    assert_eq!(server.answers(), [(CommandId::EnquireLinkResp, OK, 5)]);
    assert!(matches!(server.events().last(), Some(Event::Response { token: 1, .. })));
}

#[test]
fn a_delivery_that_overtakes_the_bind_response_comes_after_it() {
    let now = Instant::now();
    let mut client = End::new(settings(Role::Esme), now);
    client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    client.feed_pdu(now, CommandId::DeliverSm, 77, b"");
    assert!(client.events().is_empty());
    client.feed_pdu(now, CommandId::BindTransceiverResp, 1, b"gw\0");
    let events = client.events();
    assert_eq!(events[0], Event::Bound { kind: BindKind::Transceiver, version: None });
    assert!(matches!(&events[1], Event::Request(frame) if frame.sequence() == 77));
    assert_eq!(client.session.peer_unanswered(), 1);
}

#[test]
fn a_crowd_that_overtakes_the_bind_response_does_not_keep_it_from_being_read() {
    let now = Instant::now();
    let mut client = End::new(settings(Role::Esme), now);
    client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    client.sent();
    for sequence in 71..=75 {
        client.feed_pdu(now, CommandId::DeliverSm, sequence, b"");
        client.feed_pdu(now, CommandId::AlertNotification, 100 + sequence, b"");
    }
    let later = CommandStatus::EsmeRxTAppn;
    assert_eq!(client.answers(), [(CommandId::DeliverSmResp, later, 74), (CommandId::DeliverSmResp, later, 75)]);
    client.feed_pdu(now, CommandId::BindTransceiverResp, 1, b"gw\0");
    let requests = client
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Request(frame) = event { Some(frame.sequence()) } else { None });
    assert_eq!(requests.collect::<Vec<_>>(), [71, 72, 73]);
}

#[test]
fn a_delivery_that_overtakes_a_refused_bind_is_refused() {
    let now = Instant::now();
    let mut client = End::new(settings(Role::Esme), now);
    client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    client.sent();
    client.feed_pdu(now, CommandId::DeliverSm, 77, b"");
    client.feed(now, &pdu_with(CommandId::BindTransceiverResp, CommandStatus::EsmeRbindfail, 1, b""));
    assert_eq!(client.events(), [Event::BindRefused(CommandStatus::EsmeRbindfail), Event::Fault(Fault::WrongState)]);
    assert_eq!(client.answers(), [(CommandId::DeliverSmResp, CommandStatus::EsmeRinvbndsts, 77)]);
    assert_eq!((client.session.state(), client.session.peer_unanswered()), (State::Open, 0));
    assert!(client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4)), "may try again");
}

#[test]
fn a_bind_answered_with_generic_nack_is_refused() {
    let now = Instant::now();
    let mut client = End::new(settings(Role::Esme), now);
    client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    client.feed(now, &pdu_with(CommandId::GenericNack, CommandStatus::EsmeRinvcmdid, 1, b""));
    assert_eq!(client.event(), Event::BindRefused(CommandStatus::EsmeRinvcmdid));
}

#[test]
fn a_refused_client_may_bind_again_until_it_succeeds() {
    let now = Instant::now();
    let mut server = End::new(settings(Role::Smsc), now);
    server.feed(now, &bind_pdu(BindKind::Transmitter, Version::V3_4, 1));
    server.events();
    assert!(server.session.reject_bind(CommandStatus::EsmeRbindfail));
    assert!(!server.session.accept_bind(now, b"gw"), "nothing is pending any more");
    let refused = server.sent();
    assert_eq!((refused[0].status(), refused[0].body()), (CommandStatus::EsmeRbindfail, &b""[..]));
    server.feed(now, &bind_pdu(BindKind::Receiver, Version::V3_4, 2));
    server.events();
    assert!(server.session.accept_bind(now, b"gw"));
    assert_eq!(server.answers(), [(CommandId::BindReceiverResp, OK, 2)]);
    assert_eq!(server.session.bound_as(), Some(BindKind::Receiver));
}

#[test]
fn only_peers_from_3_4_on_are_told_our_version() {
    let now = Instant::now();
    for (theirs, told) in [(Version(0), None), (Version::V3_3, None), (Version::V3_4, Some(Version::V5_0))] {
        let mut server = End::new(settings(Role::Smsc), now);
        server.feed(now, &bind_pdu(BindKind::Transmitter, theirs, 1));
        server.session.accept_bind(now, b"gw");
        let sent = server.sent();
        assert_eq!(BindResponseView::parse(&sent[0]), BindResponseView { system_id: b"gw", version: told });
        assert_eq!(server.session.peer_version(), Some(theirs));
        assert_eq!(server.session.tlvs_allowed(), told.is_some());
    }
}

#[test]
fn a_centre_that_hides_its_version_gets_tlvs_only_from_a_lenient_client() {
    let now = Instant::now();
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        let mut client = End::new(crate::smpp::Settings { strictness, ..settings(Role::Esme) }, now);
        client.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
        client.feed_pdu(now, CommandId::BindTransceiverResp, 1, b"");
        assert_eq!(client.session.tlvs_allowed(), strictness == Strictness::Lenient);
    }
}

#[test]
fn a_strict_3_3_session_has_neither_transceiver_nor_data_sm() {
    let now = Instant::now();
    let strict = crate::smpp::Settings { strictness: Strictness::Strict, ..settings(Role::Smsc) };
    let mut server = End::new(strict, now);
    let mut out = BytesMut::new();
    let mut view = bind_view(BindKind::Transceiver, Version::V3_3);
    view.password = b"secret";
    crate::smpp::encode::bind(&mut out, 1, &view);
    view.kind = BindKind::Transmitter;
    crate::smpp::encode::bind(&mut out, 2, &view);
    server.feed(now, &out);
    server.session.accept_bind(now, b"gw");
    server.feed_pdu(now, CommandId::DataSm, 3, b"");
    assert_eq!(
        server.answers(),
        [
            (CommandId::BindTransceiverResp, CommandStatus::EsmeRinvcmdid, 1),
            (CommandId::BindTransmitterResp, OK, 2),
            (CommandId::DataSmResp, CommandStatus::EsmeRinvcmdid, 3),
        ]
    );
}

#[test]
fn a_peer_that_unbinds_gets_its_open_answers_first() {
    let mut pair = pair();
    send(&mut pair.client, pair.now, CommandId::SubmitSm, 1);
    pair.exchange();
    let request = pair.server.request();
    pair.server.feed_pdu(pair.now, CommandId::Unbind, 50, b"");
    assert_eq!(pair.server.event(), Event::Unbinding);
    pair.server.feed_pdu(pair.now, CommandId::SubmitSm, 51, b"");
    assert_eq!(pair.server.answers(), [(CommandId::SubmitSmResp, CommandStatus::EsmeRsyserr, 51)], "nothing new begins");

    pair.server.session.respond_id(pair.now, request.ticket(), b"1");
    assert_eq!(pair.server.answers(), [(CommandId::SubmitSmResp, OK, request.sequence()), (CommandId::UnbindResp, OK, 50)]);
    assert_eq!(pair.server.event(), Event::Closed { reason: CloseReason::PeerUnbound, unanswered: vec![] });
}

#[test]
fn our_unbind_waits_for_everything_open_in_both_directions() {
    let mut pair = pair();
    send(&mut pair.client, pair.now, CommandId::SubmitSm, 1);
    send(&mut pair.server, pair.now, CommandId::DeliverSm, 2);
    pair.exchange();
    let (submit, deliver) = (pair.server.request(), pair.client.request());
    pair.client.session.unbind(pair.now);
    assert_eq!(pair.client.answers(), []);
    let refused = pair.client.session.send(pair.now, CommandId::SubmitSm, 3, |_| {});
    assert_eq!(refused.map_err(|refused| refused.refusal), Err(Refusal::NotBound));

    pair.client.session.respond(pair.now, deliver.ticket(), OK);
    pair.server.session.respond_id(pair.now, submit.ticket(), b"1");
    pair.exchange();
    assert!(matches!(
        &pair.client.events()[..],
        [Event::Response { token: 1, .. }, Event::Closed { reason: CloseReason::Unbound, .. }]
    ));
    assert!(matches!(
        &pair.server.events()[..],
        [Event::Response { token: 2, .. }, Event::Unbinding, Event::Closed { reason: CloseReason::PeerUnbound, .. }]
    ));
}

#[test]
fn a_delivery_after_our_unbind_is_put_off() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, settings(Role::Esme), now);
    client.session.unbind(now);
    client.feed_pdu(now, CommandId::DeliverSm, 8, b"");
    client.feed_pdu(now, CommandId::AlertNotification, 9, b"");
    assert_eq!(client.answers(), [(CommandId::Unbind, OK, 2), (CommandId::DeliverSmResp, CommandStatus::EsmeRxTAppn, 8)]);
    assert!(client.events().is_empty());
}

#[test]
fn both_ends_may_unbind_at_once() {
    let mut pair = pair();
    pair.client.session.unbind(pair.now);
    pair.server.session.unbind(pair.now);
    pair.exchange();
    assert!(pair.client.session.is_closed() && pair.server.session.is_closed());
}

#[test]
fn a_lost_connection_gives_every_token_back_in_order() {
    let mut pair = pair();
    for token in [5, 6, 7] {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    pair.client.session.handle_eof();
    assert_eq!(pair.client.event(), Event::Closed { reason: CloseReason::PeerClosed, unanswered: vec![5, 6, 7] });
    pair.client.session.handle_eof();
    pair.client.session.close();
    assert!(pair.client.events().is_empty(), "closed once");
    assert_eq!(pair.client.session.poll_timeout(), None);
}

#[test]
fn a_peer_that_answers_unbind_by_closing_has_unbound() {
    let now = Instant::now();
    let mut client = bound_client(BindKind::Transceiver, settings(Role::Esme), now);
    client.session.unbind(now);
    client.session.handle_eof();
    assert_eq!(client.event(), Event::Closed { reason: CloseReason::Unbound, unanswered: vec![] });
}

#[test]
fn unbinding_before_the_bind_just_closes() {
    let now = Instant::now();
    let mut client = End::new(settings(Role::Esme), now);
    client.session.unbind(now);
    assert_eq!(client.event(), Event::Closed { reason: CloseReason::Local, unanswered: vec![] });
    assert_eq!(client.answers(), []);
}

#[test]
fn a_batch_of_calls_leaves_in_one_transmission() {
    let mut pair = pair();
    for token in 0..3 {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(pair.client.session.poll_transmit(&mut out));
    assert!(out.starts_with(b"before"), "appended, not replaced");
    assert!(!pair.client.session.poll_transmit(&mut out));
}

#[test]
fn a_closed_session_takes_no_answers() {
    let now = Instant::now();
    let mut server = bound_server(BindKind::Transmitter, settings(Role::Smsc), now);
    server.feed_pdu(now, CommandId::SubmitSm, 2, b"");
    let request = server.request();
    server.session.close();
    server.session.respond_id(now, request.ticket(), b"1");
    assert_eq!(server.answers(), []);
}

#[test]
fn a_generic_nack_is_no_success_whatever_status_it_bears() {
    let now = Instant::now();
    let mut server = bound_server(BindKind::Transceiver, settings(Role::Smsc), now);
    let delivery = send(&mut server, now, CommandId::DeliverSm, 1);
    server.feed_pdu(now, CommandId::GenericNack, delivery, b"");
    assert!(matches!(server.event(), Event::Response { token: 1, status: CommandStatus::EsmeRunknownerr, .. }));
}

/// A centre that is shut down in order unbinds and then answers what it has taken already: what it says counts, or all of that would be
/// sent twice.
#[test]
fn answers_that_follow_the_peers_unbind_count() {
    let mut pair = pair();
    for token in [1, 2] {
        send(&mut pair.client, pair.now, CommandId::SubmitSm, token);
    }
    pair.exchange();
    let sequences: Vec<u32> = pair
        .server
        .events()
        .iter()
        .map(|event| match event {
            Event::Request(frame) => frame.sequence(),
            other => panic!("a request, not {other:?}"),
        })
        .collect();
    // In one segment.
    let first = pdu(CommandId::SubmitSmResp, sequences[0], b"one\0");
    pair.client.feed(pair.now, &[pdu(CommandId::Unbind, 50, b""), first].concat());
    assert!(matches!(pair.client.events()[..], [Event::Unbinding, Event::Response { token: 1, .. }]));
    assert_eq!(pair.client.answers(), [], "not while the second may come");
    // And a little later.
    pair.client.feed_pdu(pair.now + SECOND, CommandId::SubmitSmResp, sequences[1], b"two\0");
    let events = pair.client.events();
    assert!(matches!(events[0], Event::Response { token: 2, .. }), "{events:?}");
    assert_eq!(events[1], Event::Closed { reason: CloseReason::PeerUnbound, unanswered: vec![] });
    assert_eq!(pair.client.answers(), [(CommandId::UnbindResp, OK, 50)]);
}

#[test]
fn a_peer_that_unbinds_and_answers_nothing_more_is_not_waited_for_long() {
    let mut pair = pair();
    send(&mut pair.client, pair.now, CommandId::SubmitSm, 1);
    pair.exchange();
    pair.client.sent();
    pair.client.feed_pdu(pair.now, CommandId::Unbind, 50, b"");
    let due = pair.client.session.poll_timeout().expect("it is waited for");
    assert!(due <= pair.now + 2 * SECOND);
    pair.client.session.handle_timeout(due);
    assert_eq!(pair.client.answers(), [(CommandId::UnbindResp, OK, 50)]);
    assert_eq!(pair.client.events()[1..], [Event::Closed { reason: CloseReason::PeerUnbound, unanswered: vec![1] }]);
}
