//! Any bytes at any time leave a session in order: no panic, bounded windows, every token back once, one end.
#![no_main]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use smppgw::smpp::{BindKind, BindView, CommandId, CommandStatus, Event, Role, Session, Settings, Version};

fuzz_target!(|data: &[u8]| {
    let Some((&first, mut data)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Esme } else { Role::Smsc };
    let settings = Settings { window: 4, peer_window: 4, max_pdu: 256, ..Settings::new(role) };
    let mut now = Instant::now();
    let mut session = Session::<u32>::new(settings, now);
    if role == Role::Esme {
        session.bind(now, &bind());
    }
    let (mut buf, mut out) = (BytesMut::new(), BytesMut::new());
    let (mut sent, mut back, mut ends) = (0u32, Vec::new(), 0);
    // Each step: one octet says what happens, the next how much.
    while let [what, much, rest @ ..] = data {
        data = rest;
        match what % 8 {
            0 => now += Duration::from_secs(u64::from(*much)),
            1 => session.handle_timeout(now),
            2 if *much == 0 => session.unbind(now),
            2 => {
                if session.send(now, CommandId::SubmitSm, sent, |_| {}).is_ok() {
                    sent += 1;
                }
            }
            _ => {
                let (piece, rest) = data.split_at(usize::from(*much).min(data.len()));
                data = rest;
                buf.extend_from_slice(piece);
                session.handle_bytes(now, &mut buf);
            }
        }
        take(&mut session, now, &mut back, &mut ends);
        assert!(session.unanswered() <= 4 && session.peer_unanswered() <= 4);
        while session.poll_transmit(&mut out) {}
        out.clear();
    }
    session.handle_eof(now);
    take(&mut session, now, &mut back, &mut ends);
    back.sort_unstable();
    assert_eq!(back, (0..sent).collect::<Vec<_>>());
    assert_eq!(ends, 1);
    assert!(session.is_closed() && session.poll_timeout().is_none());
});

/// A user that accepts every bind, and answers every other request.
fn take(session: &mut Session<u32>, now: Instant, back: &mut Vec<u32>, ends: &mut u32) {
    while let Some(event) = session.poll_event() {
        assert_eq!(*ends, 0, "nothing after the end");
        match event {
            Event::Bind(_) => {
                session.accept_bind(now, b"gw");
            }
            Event::Request(frame) if frame.sequence() % 2 == 0 && frame.command_id() != CommandId::AlertNotification => {
                session.respond(now, frame.ticket(), CommandStatus::EsmeRthrottled);
            }
            Event::Response { token, .. } | Event::NoResponse { token, .. } => back.push(token),
            Event::Closed { unanswered, .. } => {
                back.extend(unanswered);
                *ends += 1;
            }
            _ => {}
        }
    }
}

fn bind() -> BindView<'static> {
    BindView {
        kind: BindKind::Transceiver,
        system_id: b"fuzz",
        password: b"",
        system_type: b"",
        version: Version::V3_4,
        addr_ton: 0,
        addr_npi: 0,
        address_range: b"",
    }
}
