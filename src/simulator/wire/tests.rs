//! A wire against a socket that says exactly what a story tells.

use tokio::net::TcpListener;

use super::*;
use crate::link::now;
use crate::smpp::{AddressView, MessageView};

const RESPONSE: Duration = Duration::from_secs(10);

/// A server's end, and a socket connected to it.
async fn server() -> (Wire<u8>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let connecting = TcpStream::connect(listener.local_addr().expect("an address"));
    let (accepted, peer) = tokio::join!(listener.accept(), connecting);
    let wire = Wire::new(accepted.expect("a connection").0, Role::Smsc, 2, RESPONSE, now()).expect("a socket");
    (wire, peer.expect("a connection"))
}

/// A server's end that is bound as transceiver.
async fn bound() -> (Wire<u8>, TcpStream) {
    let (mut wire, mut peer) = server().await;
    assert_eq!(exchange(&mut wire, &mut peer, &request(CommandId::BindTransceiver, 1)).await, []);
    let bind = BindView {
        kind: BindKind::Transceiver,
        system_id: b"demo",
        password: b"",
        system_type: b"",
        version: Version::V3_4,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    };
    wire.accept_bind(Ticket { command: CommandId::BindTransceiver, sequence: 1 }, &bind, b"elisa");
    let answers = told(&mut wire, &mut peer).await;
    assert_eq!(answers, [(CommandId::BindTransceiverResp, 0, 1)]);
    (wire, peer)
}

fn request(command: CommandId, sequence: u32) -> Vec<u8> {
    pdu::header(0, command, CommandStatus::EsmeRok, sequence).to_vec()
}

fn status(status: CommandStatus) -> u32 {
    status.into()
}

/// Lets the wire read what the peer says, and tells what it has answered: command, status, sequence.
async fn exchange(wire: &mut Wire<u8>, peer: &mut TcpStream, said: &[u8]) -> Vec<(CommandId, u32, u32)> {
    hear(wire, peer, said).await;
    told(wire, peer).await
}

/// Lets the wire read what the peer says; tells what is left to do.
async fn hear(wire: &mut Wire<u8>, peer: &mut TcpStream, said: &[u8]) -> Vec<Received<u8>> {
    peer.write_all(said).await.expect("a connection");
    let mut input = Input::default();
    wire.progress(&mut input).await;
    let mut received = Vec::new();
    while let Some(pdu) = wire.next(&mut input) {
        received.push(wire.receive(now(), pdu));
    }
    received
}

/// What the wire has written.
async fn told(wire: &mut Wire<u8>, peer: &mut TcpStream) -> Vec<(CommandId, u32, u32)> {
    let expected = wire.output.len();
    wire.flush();
    let mut input = Input::default();
    let mut answers = Vec::new();
    let mut seen = 0;
    while seen < expected {
        let count = peer.read(input.room()).await.expect("a connection");
        input.add(count);
        seen += count;
    }
    while let Ok(Some(pdu)) = input.next_pdu() {
        answers.push((pdu.command(), pdu.status(), pdu.sequence()));
    }
    answers
}

#[tokio::test]
async fn an_enquire_link_is_answered_in_any_state() {
    let (mut wire, mut peer) = server().await;
    let answers = exchange(&mut wire, &mut peer, &request(CommandId::EnquireLink, 7)).await;
    assert_eq!(answers, [(CommandId::EnquireLinkResp, 0, 7)]);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_the_reason() {
    let (mut wire, mut peer) = server().await;
    let early = exchange(&mut wire, &mut peer, &request(CommandId::SubmitSm, 1)).await;
    assert_eq!(early, [(CommandId::SubmitSmResp, status(CommandStatus::EsmeRinvbndsts), 1)]);
    let (mut wire, mut peer) = bound().await;
    let said =
        [request(CommandId::DeliverSm, 2), request(CommandId::BindReceiver, 3), request(CommandId::from(0x77), 4)].concat();
    let expected = [
        (CommandId::DeliverSmResp, status(CommandStatus::EsmeRinvcmdid), 2),
        (CommandId::BindReceiverResp, status(CommandStatus::EsmeRalybnd), 3),
        (CommandId::GenericNack, status(CommandStatus::EsmeRinvcmdid), 4),
    ];
    assert_eq!(exchange(&mut wire, &mut peer, &said).await, expected);
}

#[tokio::test]
async fn a_stream_out_of_step_is_nacked_and_closed() {
    let (mut wire, mut peer) = bound().await;
    let answers = exchange(&mut wire, &mut peer, &[0, 0, 0, 3]).await;
    assert_eq!(answers, [(CommandId::GenericNack, status(CommandStatus::EsmeRinvcmdlen), 0)]);
    assert!(wire.is_closed());
}

#[tokio::test]
async fn a_request_is_answered_once_by_its_response_or_a_nack() {
    let (mut wire, mut peer) = bound().await;
    let destination = AddressView { ton: 1, npi: 1, digits: b"358401234567" };
    let view = MessageView { destination, short_message: b"Moi", ..MessageView::default() };
    let mut body = BytesMut::new();
    encode::message_body(&mut body, CommandId::DeliverSm, &view);
    for token in [b'a', b'b'] {
        wire.send(now(), CommandId::DeliverSm, token, |_, out| out.extend_from_slice(&body));
    }
    assert_eq!((wire.free_window(), wire.unanswered()), (0, 2));
    let sent = told(&mut wire, &mut peer).await;
    assert_eq!(sent, [(CommandId::DeliverSm, 0, 1), (CommandId::DeliverSm, 0, 2)]);
    let nack = request(CommandId::GenericNack, 2);
    let said = [request(CommandId::DeliverSmResp, 1), nack.clone(), nack, request(CommandId::SubmitSmResp, 1)].concat();
    let expected = [Received::Answer(b'a'), Received::Answer(b'b'), Received::Settled, Received::Settled];
    assert_eq!(hear(&mut wire, &mut peer, &said).await, expected);
}

#[tokio::test]
async fn a_silent_peer_is_asked_whether_it_is_there_and_given_up_when_it_does_not_answer() {
    let (mut wire, mut peer) = bound().await;
    let asked = wire.deadline().expect("a deadline");
    wire.check_time(asked);
    assert_eq!(told(&mut wire, &mut peer).await, [(CommandId::EnquireLink, 0, 1)]);
    assert_eq!(wire.deadline(), Some(asked + RESPONSE));
    wire.check_time(asked + RESPONSE - Duration::from_millis(1));
    assert!(!wire.is_closed());
    wire.check_time(asked + RESPONSE);
    assert!(wire.is_closed());
}

#[tokio::test]
async fn any_word_of_the_peer_is_a_sign_of_life() {
    let (mut wire, mut peer) = bound().await;
    let asked = wire.deadline().expect("a deadline");
    wire.check_time(asked);
    told(&mut wire, &mut peer).await;
    hear(&mut wire, &mut peer, &request(CommandId::EnquireLinkResp, 1)).await;
    wire.check_time(asked + RESPONSE);
    assert!(!wire.is_closed());
}

#[tokio::test]
async fn a_client_that_does_not_bind_is_closed() {
    let (mut wire, _peer) = server().await;
    let deadline = wire.deadline().expect("a deadline");
    wire.check_time(deadline);
    assert!(wire.is_closed());
}

#[tokio::test]
async fn an_unbind_is_answered_when_nothing_is_owed_any_more() {
    let (mut wire, mut peer) = bound().await;
    let said = [request(CommandId::SubmitSm, 8), request(CommandId::Unbind, 9), request(CommandId::SubmitSm, 10)].concat();
    let received = hear(&mut wire, &mut peer, &said).await;
    assert_eq!(received, [Received::Request(CommandId::SubmitSm), Received::Settled, Received::Settled]);
    wire.part(now(), true);
    assert!(!wire.is_closed());
    wire.respond_id(Ticket { command: CommandId::SubmitSm, sequence: 8 }, b"17");
    wire.part(now(), false);
    let expected = [
        (CommandId::SubmitSmResp, status(CommandStatus::EsmeRsyserr), 10),
        (CommandId::SubmitSmResp, 0, 8),
        (CommandId::UnbindResp, 0, 9),
    ];
    assert_eq!(told(&mut wire, &mut peer).await, expected);
    assert!(wire.is_closed());
}

#[tokio::test]
async fn our_unbind_waits_for_our_requests_and_ends_with_its_answer() {
    let (mut wire, mut peer) = bound().await;
    wire.send(now(), CommandId::DeliverSm, b'a', |_, _| {});
    wire.unbind(now());
    assert_eq!(wire.free_window(), 0);
    wire.part(now(), false);
    assert_eq!(told(&mut wire, &mut peer).await, [(CommandId::DeliverSm, 0, 1)]);
    hear(&mut wire, &mut peer, &request(CommandId::DeliverSmResp, 1)).await;
    wire.part(now(), false);
    assert_eq!(told(&mut wire, &mut peer).await, [(CommandId::Unbind, 0, 2)]);
    hear(&mut wire, &mut peer, &request(CommandId::UnbindResp, 2)).await;
    assert!(wire.is_closed());
}

#[tokio::test]
async fn a_peer_that_is_gone_is_closed_and_its_requests_given_back() {
    let (mut wire, mut peer) = bound().await;
    wire.send(now(), CommandId::DeliverSm, b'a', |_, _| {});
    told(&mut wire, &mut peer).await;
    drop(peer);
    wire.progress(&mut Input::default()).await;
    assert!(wire.is_closed());
    assert_eq!(wire.take_unanswered(), [b'a']);
}
