use std::time::Instant;

use super::pair::*;
use crate::smpp::frame::FrameFault;
use crate::smpp::{BindKind, CloseReason, CommandId, CommandStatus, Event, Fault, Role};

const LENGTH: CommandStatus = CommandStatus::EsmeRinvcmdlen;

fn server() -> (End, Instant) {
    let now = Instant::now();
    (bound_server(BindKind::Transceiver, settings(Role::Smsc), now), now)
}

fn header(length: u32, sequence: u32) -> Vec<u8> {
    [length, 4, 0, sequence].iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn a_length_shorter_than_a_header_is_nacked_and_closes() {
    for length in [0, 3, 15] {
        let (mut server, now) = server();
        server.feed(now, &header(length, 9));
        assert_eq!(server.answers(), [(CommandId::GenericNack, LENGTH, 0)]);
        assert_eq!(
            server.events(),
            [
                Event::Fault(Fault::Framing),
                Event::Closed { reason: CloseReason::Framing(FrameFault::TooShort { length }), unanswered: vec![] }
            ]
        );
    }
}

#[test]
fn a_length_above_the_limit_is_nacked_with_its_number_and_closes() {
    for length in [1001, 16 << 20, u32::MAX] {
        let (mut server, now) = server();
        server.feed(now, &header(length, 9));
        assert_eq!(server.answers(), [(CommandId::GenericNack, LENGTH, 9)]);
        assert!(server.session.is_closed());
        server.feed(now, &pdu(CommandId::SubmitSm, 10, b""));
        assert!(server.incoming.is_empty(), "what follows is discarded");
        assert_eq!(server.answers(), []);
    }
}

#[test]
fn a_bad_length_closes_even_when_the_peers_window_is_full() {
    let (mut server, now) = server();
    for sequence in 2..5 {
        server.feed_pdu(now, CommandId::SubmitSm, sequence, b"");
    }
    server.feed(now, &header(u32::MAX, 9));
    assert!(server.session.is_closed());
}

#[test]
fn the_longest_pdu_allowed_is_allowed() {
    let (mut server, now) = server();
    server.feed_pdu(now, CommandId::SubmitSm, 2, &[0; 1000 - 16]);
    assert_eq!(server.request().bytes().len(), 1000);
}

#[test]
fn an_unknown_command_is_nacked_with_its_number() {
    let (mut server, now) = server();
    for (at, command) in [0u32, 0xA, 0x50, 0x0001_0200, 0x7FFF_FFFF].into_iter().enumerate() {
        let sequence = 100 + u32::try_from(at).expect("small");
        server.feed_pdu(now, CommandId::from(command), sequence, b"whatever");
        assert_eq!(server.event(), Event::Fault(Fault::UnknownCommand));
        assert_eq!(server.answers(), [(CommandId::GenericNack, CommandStatus::EsmeRinvcmdid, sequence)]);
    }
}

#[test]
fn an_unknown_or_unasked_response_is_counted_and_never_answered() {
    let (mut server, now) = server();
    for command in [0x8000_0000, 0x8000_0004, 0x8000_0005, 0x8000_0006, 0x8000_0009, 0x8000_0102, 0xFFFF_FFFF] {
        server.feed_pdu(now, CommandId::from(command), 1, b"");
        assert_eq!(server.event(), Event::Fault(Fault::UnknownResponse), "0x{command:X}");
    }
    assert_eq!(server.answers(), []);
}

#[test]
fn a_response_of_another_operation_does_not_complete_the_request() {
    let (mut server, now) = server();
    let sequence = send(&mut server, now, CommandId::DeliverSm, 1);
    server.feed_pdu(now, CommandId::SubmitSmResp, sequence, b"1\0");
    assert_eq!(server.event(), Event::Fault(Fault::UnknownResponse));
    assert_eq!(server.session.unanswered(), 1);
}

#[test]
fn a_generic_nack_completes_the_request_it_names() {
    let (mut server, now) = server();
    let sequence = send(&mut server, now, CommandId::DeliverSm, 1);
    server.feed(now, &pdu_with(CommandId::GenericNack, CommandStatus::EsmeRinvcmdid, sequence, b""));
    assert!(matches!(server.event(), Event::Response { token: 1, status: CommandStatus::EsmeRinvcmdid, .. }));
}

#[test]
fn a_response_repeated_is_counted() {
    let (mut server, now) = server();
    let sequence = send(&mut server, now, CommandId::DeliverSm, 1);
    server.feed_pdu(now, CommandId::DeliverSmResp, sequence, b"");
    server.feed_pdu(now, CommandId::DeliverSmResp, sequence, b"");
    assert!(matches!(server.events()[..], [Event::Response { token: 1, .. }, Event::Fault(Fault::UnknownResponse)]));
}

#[test]
fn any_sequence_number_of_the_peer_is_answered_even_a_repeated_one() {
    let (mut server, now) = server();
    for sequence in [0, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, u32::MAX] {
        server.feed_pdu(now, CommandId::SubmitSm, sequence, b"");
        let request = server.request();
        server.session.respond_id(now, request.ticket(), b"1");
        assert_eq!(server.answers(), [(CommandId::SubmitSmResp, CommandStatus::EsmeRok, sequence)]);
    }
}

#[test]
fn a_bind_that_cannot_be_read_is_answered_with_the_fields_status() {
    let now = Instant::now();
    let cases: [(&[u8], CommandStatus); 4] = [
        (b"", CommandStatus::EsmeRinvsysid),
        (b"unterminated", CommandStatus::EsmeRinvsysid),
        (b"shop\0secret", CommandStatus::EsmeRinvpaswd),
        (b"shop\0secret\0\0\x34\x00", LENGTH),
    ];
    for (body, status) in cases {
        let mut server = End::new(settings(Role::Smsc), now);
        server.feed_pdu(now, CommandId::BindTransceiver, 1, body);
        assert_eq!(server.event(), Event::Fault(Fault::BadBind));
        assert_eq!(server.answers(), [(CommandId::BindTransceiverResp, status, 1)]);
        assert!(!server.session.is_closed());
    }
}
