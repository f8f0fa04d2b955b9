//! What is known of each part of a message, in as few octets as it takes: there may be ten million of them.

use std::fmt;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

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

    /// Its receipt is awaited from `now` on, if it was to be from a later moment.
    pub fn awaited_from_now(&mut self, now: u32) {
        if let PartState::Sent { at, .. } = &mut self.state {
            *at = now.min(*at);
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
    /// Makes them `total`: new ones wait, and the last ones go.
    pub fn resize(&mut self, total: usize) {
        if self.len() != total {
            let fresh = std::iter::repeat_with(Part::default);
            *self = self.iter().cloned().chain(fresh).take(total).collect::<Vec<_>>().into();
        }
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

/// Where a UUID has its hyphens (RFC 9562 section 4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The id an operator gave a part; empty when it gave none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum GivenId {
    Short {
        length: u8,
        octets: [u8; INLINE],
    },
    /// A UUID in its usual form, its letters all of one case.
    Uuid {
        upper_case: bool,
        value: [u8; 16],
    },
    Long(Box<[u8]>),
}

/// An id as the operator wrote it.
pub(super) type IdOctets = SmallVec<[u8; 40]>;

impl GivenId {
    /// The id as the operator wrote it.
    pub fn octets(&self) -> IdOctets {
        match self {
            GivenId::Short { length, octets } => IdOctets::from_slice(&octets[..usize::from(*length).min(INLINE)]),
            GivenId::Uuid { upper_case, value } => write_uuid(*upper_case, u128::from_be_bytes(*value)),
            GivenId::Long(octets) => IdOctets::from_slice(octets),
        }
    }

    /// A UUID, if the id is one that [`write_uuid`] writes again the same.
    fn uuid(id: &[u8]) -> Option<Self> {
        if id.len() != 36 {
            return None;
        }
        let digit = |octet: &u8| char::from(*octet).to_digit(16).map(u128::from);
        let value = id.iter().filter(|octet| **octet != b'-').try_fold(0, |value, octet| Some(value << 4 | digit(octet)?))?;
        let upper_case = id.iter().any(u8::is_ascii_uppercase);
        (write_uuid(upper_case, value)[..] == *id).then(|| GivenId::Uuid { upper_case, value: value.to_be_bytes() })
    }
}

fn write_uuid(upper_case: bool, value: u128) -> IdOctets {
    let digits = if upper_case { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut octets = IdOctets::new();
    for place in (0..32).rev() {
        if HYPHENS.contains(&octets.len()) {
            octets.push(b'-');
        }
        octets.push(digits[(value >> (4 * place)) as usize & 0xF]);
    }
    octets
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
            _ => GivenId::uuid(id).unwrap_or_else(|| GivenId::Long(id.into())),
        }
    }
}

impl fmt::Debug for GivenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.octets()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_as_operators_write_them_need_no_memory_of_their_own() {
        for id in ["", "0", "4294967295", "812FC7470000001B", "9308878062554710043"] {
            assert!(matches!(GivenId::from(id.as_bytes()), GivenId::Short { .. }), "{id}");
        }
        for id in ["550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000"] {
            assert!(matches!(GivenId::from(id.as_bytes()), GivenId::Uuid { .. }), "{id}");
        }
    }

    proptest! {
        #[test]
        fn an_id_comes_back_as_it_was_written(
            id in prop_oneof!["[ -~]{0,70}", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-f]{12}", "[0-9A-F-]{36}", "[0-9a-f-]{36}"],
        ) {
            let given = GivenId::from(id.as_bytes());
            prop_assert_eq!(&given.octets()[..], id.as_bytes());
        }

        #[test]
        fn every_uuid_is_short(value: u128, upper_case: bool) {
            prop_assert_eq!(GivenId::from(&write_uuid(upper_case, value)[..]).octets(), write_uuid(upper_case, value));
            prop_assert!(!matches!(GivenId::from(&write_uuid(upper_case, value)[..]), GivenId::Long(_)));
        }
    }
}
