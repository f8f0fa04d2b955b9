use std::time::Instant;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::pair::*;
use crate::smpp::{BindKind, CommandId, Event, Role, Settings, Version};

/// Bytes that look like a stream: PDUs of known and unknown commands, true and false lengths, and plain noise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![
        4 => proptest::sample::select(vec![1u32, 2, 3, 4, 5, 6, 9, 0x15, 0x21, 0x102, 0x103]),
        4 => proptest::sample::select(vec![0u32, 1, 2, 3, 4, 5, 6, 9, 0x15, 0x103]).prop_map(|id| id | 0x8000_0000),
        1 => any::<u32>(),
    ];
    let whole = (command, 0u32..8, 0u32..6, vec(any::<u8>(), 0..60)).prop_map(|(command, status, sequence, body)| {
        pdu_with(CommandId::from(command), status.into(), sequence, &body).to_vec()
    });
    let bind = (0u32..4).prop_map(|sequence| bind_pdu(BindKind::Transceiver, Version::V3_4, sequence).to_vec());
    let noise = vec(any::<u8>(), 0..20);
    let piece = prop_oneof![20 => whole, 4 => bind, 1 => noise];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Feeds `bytes` in the given pieces, with a user that accepts binds, sends, and answers every request at once.
fn run(role: Role, bytes: &[u8], cuts: &[usize], now: Instant) -> (Vec<Event<u32>>, Vec<u8>) {
    let mut end = End::new(Settings { peer_window: 2, ..settings(role) }, now);
    if role == Role::Esme {
        end.session.bind(now, &bind_view(BindKind::Transceiver, Version::V3_4));
    }
    let (mut events, mut output) = (Vec::new(), BytesMut::new());
    let mut rest = bytes;
    for &cut in cuts.iter().chain([&usize::MAX]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        end.incoming.extend_from_slice(piece);
        loop {
            end.session.handle_bytes(now, &mut end.incoming);
            let happened = end.events();
            if happened.is_empty() {
                break;
            }
            for event in &happened {
                match event {
                    Event::Request(frame) if frame.command_id() != CommandId::AlertNotification => {
                        end.session.respond_id(now, frame.ticket(), b"id");
                    }
                    _ => {}
                }
            }
            events.extend(happened);
        }
    }
    while end.session.poll_transmit(&mut output) {}
    (events, output.to_vec())
}

/// What happened until the peer unbound. Whether anything it sends after that is still looked at depends on when its open requests are
/// answered, and so on the user, who answers between the pieces.
fn until_unbind(mut events: Vec<Event<u32>>) -> Vec<Event<u32>> {
    if let Some(at) = events.iter().position(|event| *event == Event::Unbinding) {
        events.truncate(at + 1);
    }
    events
}

proptest! {
    #[test]
    fn the_cuts_of_the_stream_do_not_matter(bytes in stream(), cuts in vec(0usize..40, 0..60), client in any::<bool>()) {
        let role = if client { Role::Esme } else { Role::Smsc };
        let now = Instant::now();
        let (whole, _) = run(role, &bytes, &[], now);
        let (pieces, _) = run(role, &bytes, &cuts, now);
        prop_assert_eq!(until_unbind(whole), until_unbind(pieces));
    }

    #[test]
    fn no_bytes_make_a_session_panic(bytes in vec(any::<u8>(), 0..300), cuts in vec(0usize..9, 0..60)) {
        for role in [Role::Esme, Role::Smsc] {
            run(role, &bytes, &cuts, Instant::now());
        }
    }

    #[test]
    fn every_token_comes_back_exactly_once(
        bytes in stream(), tokens in 0u32..4, timeout in any::<bool>(),
    ) {
        let now = Instant::now();
        let mut settings = settings(Role::Esme);
        settings.timers.response = SECOND;
        let mut client = bound_client(BindKind::Transceiver, settings, now);
        for token in 0..tokens {
            send(&mut client, now, CommandId::SubmitSm, token);
        }
        client.feed(now, &bytes);
        if timeout {
            client.session.handle_timeout(now + SECOND);
        }
        client.session.handle_eof();
        let mut back = Vec::new();
        for event in client.events() {
            match event {
                Event::Response { token, .. } | Event::NoResponse { token, .. } => back.push(token),
                Event::Closed { unanswered, .. } => back.extend(unanswered),
                _ => {}
            }
        }
        back.sort_unstable();
        prop_assert_eq!(back, (0..tokens).collect::<Vec<_>>());
    }
}
