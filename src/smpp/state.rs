//! Session states, and which side may send what in which of them (SMPP 5.0 sections 2.3 and 2.4).

use super::CommandId;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The client, which binds.
    Esme,
    /// The message centre, which is bound to.
    Smsc,
}

impl Role {
    pub fn peer(self) -> Role {
        match self {
            Role::Esme => Role::Smsc,
            Role::Smsc => Role::Esme,
        }
    }
}

/// The three kinds of bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindKind {
    Transmitter,
    Receiver,
    Transceiver,
}

impl BindKind {
    /// The kind a bind request asks for; `None` for other commands.
    pub fn of(command: CommandId) -> Option<BindKind> {
        match command {
            CommandId::BindTransmitter => Some(BindKind::Transmitter),
            CommandId::BindReceiver => Some(BindKind::Receiver),
            CommandId::BindTransceiver => Some(BindKind::Transceiver),
            _ => None,
        }
    }

    /// The bind request of this kind.
    pub fn command(self) -> CommandId {
        match self {
            BindKind::Transmitter => CommandId::BindTransmitter,
            BindKind::Receiver => CommandId::BindReceiver,
            BindKind::Transceiver => CommandId::BindTransceiver,
        }
    }

    /// May the client submit?
    pub fn transmits(self) -> bool {
        self != BindKind::Receiver
    }

    /// May the centre deliver?
    pub fn receives(self) -> bool {
        self != BindKind::Transmitter
    }
}

/// Where a session stands. OUTBOUND does not occur (outbind is not supported); UNBOUND is left at once for closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Connected, no bind yet.
    Open,
    /// A bind request is waiting for its answer; to the protocol still OPEN.
    Binding(BindKind),
    Bound(BindKind),
    /// An `unbind` was decided or received: what is open is being finished, nothing new begins.
    Unbinding(BindKind),
    Closed,
}

impl State {
    /// The bind in force, also while it is being given up.
    pub fn bound_as(self) -> Option<BindKind> {
        match self {
            State::Bound(kind) | State::Unbinding(kind) => Some(kind),
            State::Open | State::Binding(_) | State::Closed => None,
        }
    }
}

/// What the operation matrix says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    Allowed,
    /// Its sender may send it, but not in this state: ESME_RINVBNDSTS.
    WrongState,
    /// Never in this direction: ESME_RINVCMDID.
    WrongRole,
    /// No request of the standard: `generic_nack`.
    Unknown,
}

/// May `sender` send this request while the session is bound as `bound` (`None`: not bound)? Session operations (bind, unbind,
/// enquire_link) are included; responses are not judged here but matched with their requests.
pub fn permission(sender: Role, command: CommandId, bound: Option<BindKind>) -> Permission {
    use CommandId::*;
    let (role, allowed) = match command {
        EnquireLink => return Permission::Allowed,
        Unbind => (sender, bound.is_some()),
        BindTransmitter | BindReceiver | BindTransceiver => (Role::Esme, bound.is_none()),
        Outbind => (Role::Smsc, bound.is_none()),
        SubmitSm | SubmitMulti | QuerySm | CancelSm | ReplaceSm | BroadcastSm | QueryBroadcastSm | CancelBroadcastSm => {
            (Role::Esme, bound.is_some_and(BindKind::transmits))
        }
        DeliverSm | AlertNotification => (Role::Smsc, bound.is_some_and(BindKind::receives)),
        DataSm => match sender {
            Role::Esme => (sender, bound.is_some_and(BindKind::transmits)),
            Role::Smsc => (sender, bound.is_some_and(BindKind::receives)),
        },
        _ => return Permission::Unknown,
    };
    match (role == sender, allowed) {
        (false, _) => Permission::WrongRole,
        (true, false) => Permission::WrongState,
        (true, true) => Permission::Allowed,
    }
}

/// Is there a response to this request? (SMPP 5.0 section 4.7.5)
pub fn has_response(command: CommandId) -> bool {
    !matches!(command, CommandId::Outbind | CommandId::AlertNotification)
}
