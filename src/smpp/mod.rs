//! The SMPP protocol without I/O: frames, PDU views, status classes, times, and the session state machine for both roles.
//!
//! ```text
//! bytes -> frame   one PDU, cut exactly (SMPP 5.0 section 3)
//!       -> session may it be sent now? answers what needs no judgement, keeps windows and timers
//!       -> view    the fields of a body, borrowed from the frame
//! fields -> encode -> bytes
//! ```
//!
//! Nothing here reads a clock or a socket: bytes and moments come in as arguments, so two sessions connected in memory test
//! each other. The vocabulary (command ids, statuses, TLV tags) is that of `rusmpp`; its decoder is the oracle of the tests.

pub mod encode;
pub mod frame;
pub mod session;
pub mod state;
pub mod status;
pub mod time;
pub mod timers;
pub mod tlv;
pub mod view;
pub mod window;

mod reader;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod view_tests;

pub use frame::{Frame, FrameFault, Ticket};
pub use reader::{Field, Problem, Strictness, ViewError};
pub use rusmpp::tlvs::TlvTag;
pub use rusmpp::{CommandId, CommandStatus};
pub use session::{CloseReason, Event, Fault, Refusal, Refused, Session, Settings};
pub use state::{BindKind, Role, State};
pub use timers::Timers;
pub use tlv::Tlvs;
pub use view::{AddressView, BindResponseView, BindView, MESSAGE_ID_LIMIT, MessageView};
pub use window::LATE_KEPT;

/// `interface_version` of a bind or `sc_interface_version` of its response (SMPP 5.0 section 4.7.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8);

impl Version {
    pub const V3_3: Version = Version(0x33);
    pub const V3_4: Version = Version(0x34);
    pub const V5_0: Version = Version(0x50);

    /// TLVs, transceivers and `data_sm` exist from 3.4 on; a peer below it is sent none (SMPP 5.0 section 2.11).
    pub fn allows_tlvs(self) -> bool {
        self >= Version::V3_4
    }
}
