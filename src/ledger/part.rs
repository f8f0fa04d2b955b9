//! What is known of each part of a message, in as few octets as it takes: there may be ten million of them.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::message::OperatorKey;
use crate::receipt::State;

/// One part of a message, from the operator's answer on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub state: PartState,
    pub operator_id: GivenId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PartState {
    #[default]
    Waiting,
    /// `at`: seconds since the Unix epoch when the operator took it.
    Sent { operator: OperatorKey, at: u32 },
    /// No operator where the reason is ours.
    Final { operator: Option<OperatorKey>, state: State, error: u16 },
}

impl Part {
    /// The operator that took or refused it.
    pub fn operator(&self) -> Option<OperatorKey> {
        match self.state {
            PartState::Waiting => None,
            PartState::Sent { operator, .. } => Some(operator),
            PartState::Final { operator, .. } => operator,
        }
    }

    /// When the operator took it, in seconds since the Unix epoch, while its receipt is awaited.
    pub fn awaited_since(&self) -> Option<u32> {
        match self.state {
            PartState::Sent { at, .. } => Some(at),
            PartState::Waiting | PartState::Final { .. } => None,
        }
    }
}

/// The parts of one message: none until the first is heard of, and mostly one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Parts {
    #[default]
    None,
    One(Part),
    Several(Box<[Part]>),
}

impl Parts {
    /// Makes them `total`, if they are fewer.
    pub fn extend_to(&mut self, total: usize) {
        if self.len() >= total {
            return;
        }
        *self = match total {
            1 => Parts::One(Part::default()),
            _ => {
                let fresh = std::iter::repeat_with(Part::default);
                Parts::Several(self.iter().cloned().chain(fresh).take(total).collect())
            }
        };
    }
}

impl From<Vec<Part>> for Parts {
    fn from(mut parts: Vec<Part>) -> Self {
        match parts.len() {
            0 => Parts::None,
            1 => parts.pop().map_or(Parts::None, Parts::One),
            _ => Parts::Several(parts.into_boxed_slice()),
        }
    }
}

impl Deref for Parts {
    type Target = [Part];
    fn deref(&self) -> &[Part] {
        match self {
            Parts::None => &[],
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Several(parts) => parts,
        }
    }
}

impl DerefMut for Parts {
    fn deref_mut(&mut self) -> &mut [Part] {
        match self {
            Parts::None => &mut [],
            Parts::One(part) => std::slice::from_mut(part),
            Parts::Several(parts) => parts,
        }
    }
}

/// Octets of an id that need no memory of their own.
const INLINE: usize = 22;

/// The id an operator gave a part, as it wrote it; empty when it gave none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum GivenId {
    Short { length: u8, octets: [u8; INLINE] },
    Long(Box<[u8]>),
}

impl Default for GivenId {
    fn default() -> Self {
        GivenId::Short { length: 0, octets: [0; INLINE] }
    }
}

impl From<&[u8]> for GivenId {
    fn from(id: &[u8]) -> Self {
        let mut octets = [0; INLINE];
        match (octets.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(id);
                GivenId::Short { length, octets }
            }
            _ => GivenId::Long(id.into()),
        }
    }
}

impl Deref for GivenId {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            GivenId::Short { length, octets } => &octets[..usize::from(*length).min(INLINE)],
            GivenId::Long(octets) => octets,
        }
    }
}

impl fmt::Debug for GivenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}
