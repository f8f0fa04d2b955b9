//! The operation matrix of SMPP 5.0 section 2.4, row by row.

use std::time::Instant;

use super::pair::*;
use crate::smpp::state::{Permission, permission};
use crate::smpp::{BindKind, CommandId, CommandStatus, Event, Fault, Refusal, Role, State};

const OPEN: Option<BindKind> = None;
const TX: Option<BindKind> = Some(BindKind::Transmitter);
const RX: Option<BindKind> = Some(BindKind::Receiver);
const TRX: Option<BindKind> = Some(BindKind::Transceiver);
const STATES: [Option<BindKind>; 4] = [OPEN, TX, RX, TRX];

type States = &'static [Option<BindKind>];

/// Request, states in which the client may send it, states in which the centre may.
const MATRIX: &[(CommandId, States, States)] = &[
    (CommandId::BindReceiver, &[OPEN], &[]),
    (CommandId::BindTransmitter, &[OPEN], &[]),
    (CommandId::BindTransceiver, &[OPEN], &[]),
    (CommandId::Outbind, &[], &[OPEN]),
    (CommandId::Unbind, &[TX, RX, TRX], &[TX, RX, TRX]),
    (CommandId::EnquireLink, &[OPEN, TX, RX, TRX], &[OPEN, TX, RX, TRX]),
    (CommandId::SubmitSm, &[TX, TRX], &[]),
    (CommandId::SubmitMulti, &[TX, TRX], &[]),
    (CommandId::QuerySm, &[TX, TRX], &[]),
    (CommandId::CancelSm, &[TX, TRX], &[]),
    (CommandId::ReplaceSm, &[TX, TRX], &[]),
    (CommandId::BroadcastSm, &[TX, TRX], &[]),
    (CommandId::QueryBroadcastSm, &[TX, TRX], &[]),
    (CommandId::CancelBroadcastSm, &[TX, TRX], &[]),
    (CommandId::DeliverSm, &[], &[RX, TRX]),
    (CommandId::DataSm, &[TX, TRX], &[RX, TRX]),
    (CommandId::AlertNotification, &[], &[RX, TRX]),
];

fn end(role: Role, bound: Option<BindKind>, now: Instant) -> End {
    match (role, bound) {
        (role, None) => End::new(settings(role), now),
        (Role::Esme, Some(kind)) => bound_client(kind, settings(role), now),
        (Role::Smsc, Some(kind)) => bound_server(kind, settings(role), now),
    }
}

fn rows() -> impl Iterator<Item = (CommandId, Role, Option<BindKind>, bool, bool)> {
    MATRIX.iter().flat_map(|&(command, client, centre)| {
        [(Role::Esme, client), (Role::Smsc, centre)].into_iter().flat_map(move |(sender, states)| {
            STATES.into_iter().map(move |state| (command, sender, state, states.contains(&state), !states.is_empty()))
        })
    })
}

#[test]
fn the_table_of_permissions_is_the_matrix() {
    for (command, sender, state, allowed, ever) in rows() {
        let expected = match (allowed, ever) {
            (true, _) => Permission::Allowed,
            (false, true) => Permission::WrongState,
            (false, false) => Permission::WrongRole,
        };
        assert_eq!(permission(sender, command, state), expected, "{command:?} by {sender:?} in {state:?}");
    }
}

#[test]
fn a_request_is_given_out_where_the_matrix_allows_it_and_answered_where_not() {
    let now = Instant::now();
    for (command, sender, state, allowed, ever) in rows() {
        let what = format!("{command:?} by {sender:?} in {state:?}");
        let mut receiver = end(sender.peer(), state, now);
        receiver.sent();
        let bind = BindKind::of(command).filter(|_| sender == Role::Esme);
        match bind {
            Some(kind) => receiver.feed(now, &bind_pdu(kind, crate::smpp::Version::V3_4, 9)),
            None => receiver.feed_pdu(now, command, 9, b""),
        }
        let (events, answers) = (receiver.events(), receiver.answers());
        let response = command.matching_response();
        let silent = matches!(command, CommandId::Outbind | CommandId::AlertNotification);
        if allowed {
            match command {
                CommandId::EnquireLink => assert_eq!((events.len(), answers[0].0), (0, response), "{what}"),
                CommandId::Unbind => assert!(matches!(events[..], [Event::Unbinding, Event::Closed { .. }]), "{what}"),
                CommandId::Outbind => assert_eq!(events, [Event::Fault(Fault::WrongState)], "{what}"),
                _ if bind.is_some() => assert!(matches!(events[..], [Event::Bind(_)]), "{what}"),
                _ => assert!(matches!(events[..], [Event::Request(_)]) && answers.is_empty(), "{what}"),
            }
            continue;
        }
        let (status, fault) = match (bind, ever) {
            (Some(_), _) => (CommandStatus::EsmeRalybnd, Fault::AlreadyBound),
            (None, true) => (CommandStatus::EsmeRinvbndsts, Fault::WrongState),
            (None, false) => (CommandStatus::EsmeRinvcmdid, Fault::WrongRole),
        };
        assert_eq!(events, [Event::Fault(fault)], "{what}");
        let expected = if silent { vec![] } else { vec![(response, status, 9)] };
        assert_eq!(answers, expected, "{what}");
        assert!(!receiver.session.is_closed(), "{what}");
    }
}

#[test]
fn a_command_is_sent_only_where_the_matrix_allows_it() {
    let now = Instant::now();
    // These have commands of their own, or no response to wait for.
    let excluded = |command| {
        BindKind::of(command).is_some()
            || matches!(command, CommandId::Outbind | CommandId::Unbind | CommandId::EnquireLink | CommandId::AlertNotification)
    };
    for (command, sender, state, allowed, _) in rows() {
        let mut end = end(sender, state, now);
        let result = end.session.send(now, command, 1, |_| {}).map_err(|refused| refused.refusal);
        let expected = match state {
            None => Err(Refusal::NotBound),
            Some(_) if allowed && !excluded(command) => result,
            Some(_) => Err(Refusal::NotAllowed),
        };
        assert_eq!(result, expected, "{command:?} by {sender:?} in {state:?}");
        assert!(result.is_ok() == (allowed && state.is_some() && !excluded(command)));
    }
}

#[test]
fn a_bind_moves_the_session_to_the_state_of_its_kind() {
    let now = Instant::now();
    for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
        for role in [Role::Esme, Role::Smsc] {
            assert_eq!(end(role, Some(kind), now).session.state(), State::Bound(kind));
        }
    }
}

#[test]
fn a_second_bind_while_the_first_is_being_judged_is_refused() {
    let now = Instant::now();
    let mut server = End::new(settings(Role::Smsc), now);
    server.feed(now, &bind_pdu(BindKind::Transceiver, crate::smpp::Version::V3_4, 1));
    server.feed(now, &bind_pdu(BindKind::Transceiver, crate::smpp::Version::V3_4, 2));
    assert_eq!(server.answers(), [(CommandId::BindTransceiverResp, CommandStatus::EsmeRalybnd, 2)]);
    assert!(server.session.accept_bind(now, b"gw"));
    assert_eq!(server.answers(), [(CommandId::BindTransceiverResp, CommandStatus::EsmeRok, 1)]);
}
