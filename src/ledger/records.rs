//! What each kind of record says, written and read side by side. Messages, mailbox items and MO parts themselves are in
//! [`codec`](super::codec).

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::codec::{self, Reader, Unreadable, put_short, state};
use super::correlation::Keys;
use super::event::{MAX_PARTS, Received, SentPart};
use super::kind;
use super::known::KnownNames;
use super::part::{Part, PartState, Parts};
use super::quarantine::Case;
use crate::message::{Address, Message, MessageId, Timestamp};
use crate::receipt::text::ReceiptDate;
use crate::receipt::{Receipt, State};

/// Puts a message with the state of its parts, whole, and why it is in quarantine if it is; the kind of that record.
pub fn put_whole(out: &mut Vec<u8>, message: &Message, parts: &[Part], case: Option<&Case>, operators: &mut KnownNames) -> u8 {
    codec::put_message(out, message);
    put_parts(out, parts, operators);
    match case {
        Some(case) => {
            put_case(out, case, operators);
            kind::QUARANTINED
        }
        None => kind::CARRIED,
    }
}

/// Reads a message as it was accepted, or as [`put_whole`] has put it.
pub fn whole(kind: u8, r: &mut Reader, operators: &KnownNames) -> Result<(Message, Parts, Option<Case>), Unreadable> {
    let message = codec::message(r)?;
    let parts = if kind == kind::MESSAGE { Parts::None } else { parts(r, operators)? };
    let case = if kind == kind::QUARANTINED { Some(case(r, operators)?) } else { None };
    Ok((message, parts, case))
}

fn put_parts(out: &mut Vec<u8>, parts: &[Part], operators: &mut KnownNames) {
    out.put_u8(u8::try_from(parts.len()).unwrap_or(u8::MAX));
    for part in parts {
        match part.state {
            PartState::Waiting => out.put_u8(0),
            PartState::Sent { .. } => out.put_u8(1),
            PartState::Final { state, error, .. } => {
                out.put_slice(&[2, state.number()]);
                out.put_u16(error);
            }
        }
        out.put_u32(part.awaited_since().unwrap_or(0));
        put_short(out, operators.name(part.operator()).as_bytes());
        put_short(out, &part.operator_id.octets());
    }
}

fn parts(r: &mut Reader, operators: &KnownNames) -> Result<Parts, Unreadable> {
    let count = r.u8()?;
    if usize::from(count) > MAX_PARTS {
        return Err(Unreadable);
    }
    let mut parts = Vec::with_capacity(count.into());
    for _ in 0..count {
        let (kind, state, error) = match r.u8()? {
            2 => (2, state(r)?, r.u16()?),
            kind => (kind, State::Unknown, 0),
        };
        let at = r.u32()?;
        let operator = r.name()?;
        let operator = (!operator.is_empty()).then(|| operators.intern(&operator));
        let state = match (kind, operator) {
            (0, _) => PartState::Waiting,
            (1, Some(operator)) => PartState::Sent { operator, at },
            (2, operator) => PartState::Final { operator, state, error },
            _ => return Err(Unreadable),
        };
        parts.push(Part { state, operator_id: r.short()?[..].into() });
    }
    Ok(parts.into())
}

fn put_case(out: &mut Vec<u8>, case: &Case, operators: &mut KnownNames) {
    put_short(out, operators.name(Some(case.operator)).as_bytes());
    out.put_u8(case.sessions);
    out.put_u32(case.status);
    out.put_u64(case.since.0);
}

fn case(r: &mut Reader, operators: &KnownNames) -> Result<Case, Unreadable> {
    let operator = operators.intern(&r.name()?);
    Ok(Case { operator, sessions: r.u8()?, status: r.u32()?, since: Timestamp(r.u64()?) })
}

/// Added to the number of a part that was taken when its message is finished by that: no receipt is wanted.
const FINISHES: u8 = 0x80;

/// What an operator has taken.
pub struct Sent {
    /// Unix seconds.
    pub at: u32,
    pub operator: Arc<str>,
    pub parts: Vec<TakenPart>,
}

pub struct TakenPart {
    pub id: MessageId,
    pub part: u8,
    pub total: u8,
    pub operator_id: Bytes,
    /// Its message is finished by that.
    pub finishes: bool,
}

/// Begins a list of parts that an operator has taken; [`put_sent`] puts each.
pub fn put_sent_head(out: &mut Vec<u8>, at: u32, operator: &str) {
    out.put_u32(at);
    put_short(out, operator.as_bytes());
}

pub fn put_sent(out: &mut Vec<u8>, sent: &SentPart, finishes: bool) {
    out.put_u64(sent.job.id.0);
    out.put_slice(&[sent.part | if finishes { FINISHES } else { 0 }, sent.total]);
    put_short(out, &sent.operator_id);
}

pub fn sent(r: &mut Reader) -> Result<Sent, Unreadable> {
    let (at, operator) = (r.u32()?, r.name()?);
    if operator.is_empty() {
        return Err(Unreadable);
    }
    let mut parts = Vec::new();
    while !r.0.is_empty() {
        let (id, part, total) = (MessageId(r.u64()?), r.u8()?, r.u8()?);
        let finishes = part & FINISHES != 0;
        parts.push(TakenPart { id, part: part & !FINISHES, total, operator_id: r.short()?, finishes });
    }
    Ok(Sent { at, operator, parts })
}

/// The change of one part to its final state.
pub struct PartFinal {
    pub part: u8,
    pub total: u8,
    pub state: State,
    pub error: u16,
    /// Empty when none had it.
    pub operator: Arc<str>,
}

pub fn put_part_final(out: &mut Vec<u8>, part: u8, parts: &[Part], operators: &mut KnownNames) {
    let slot = parts.get(usize::from(part));
    let (state, error) = match slot.map(|slot| slot.state) {
        Some(PartState::Final { state, error, .. }) => (state, error),
        _ => (State::Unknown, 0),
    };
    out.put_slice(&[part, u8::try_from(parts.len()).unwrap_or(u8::MAX), state.number()]);
    out.put_u16(error);
    put_short(out, operators.name(slot.and_then(Part::operator)).as_bytes());
}

pub fn part_final(r: &mut Reader) -> Result<PartFinal, Unreadable> {
    Ok(PartFinal { part: r.u8()?, total: r.u8()?, state: state(r)?, error: r.u16()?, operator: r.name()? })
}

/// The end of a message of which nobody is told; its last part follows, if it has one, by [`put_part_final`].
pub fn put_finished(out: &mut Vec<u8>, at: Timestamp, state: State) {
    out.put_u64(at.0);
    out.put_u8(state.number());
}

pub fn finished(r: &mut Reader) -> Result<(Timestamp, State, Option<PartFinal>), Unreadable> {
    let (at, state) = (Timestamp(r.u64()?), state(r)?);
    let last = if r.0.is_empty() { None } else { Some(part_final(r)?) };
    Ok((at, state, last))
}

/// Things that are finished beside the one whose record it is.
pub fn put_ids(out: &mut Vec<u8>, ids: impl Iterator<Item = MessageId>) {
    ids.for_each(|id| out.put_u64(id.0));
}

pub fn ids(r: &mut Reader) -> Result<Vec<MessageId>, Unreadable> {
    std::iter::from_fn(|| (!r.0.is_empty()).then(|| r.u64().map(MessageId))).collect()
}

/// What a mailbox item finishes: things as a whole, and a part of a message, which may be among them.
pub struct Closes {
    pub things: Vec<MessageId>,
    pub part: Option<(MessageId, PartFinal)>,
}

/// Begins the record of a mailbox item. A `part` is given with the state of all parts of its message.
pub fn put_closes(out: &mut Vec<u8>, things: &[MessageId], part: Option<(MessageId, u8, &[Part])>, operators: &mut KnownNames) {
    out.put_u16(u16::try_from(things.len()).unwrap_or(u16::MAX));
    things.iter().for_each(|id| out.put_u64(id.0));
    out.put_u64(part.map_or(0, |(id, ..)| id.0));
    if let Some((_, part, parts)) = part {
        put_part_final(out, part, parts, operators);
    }
}

pub fn closes(r: &mut Reader) -> Result<Closes, Unreadable> {
    let count = r.u16()?;
    let things = (0..count).map(|_| r.u64().map(MessageId)).collect::<Result<_, _>>()?;
    let part = match r.u64()? {
        0 => None,
        id => Some((MessageId(id), part_final(r)?)),
    };
    Ok(Closes { things, part })
}

pub fn put_parked(out: &mut Vec<u8>, parked: &Received, operators: &mut KnownNames) {
    put_short(out, operators.name(Some(parked.operator)).as_bytes());
    out.put_u64(parked.received_at.0);
    for address in [&parked.source, &parked.destination] {
        out.put_slice(&[address.ton, address.npi]);
        put_short(out, &address.digits);
    }
    let receipt = &parked.receipt;
    put_short(out, &receipt.id);
    out.put_slice(&[receipt.state.number(), u8::from(receipt.intermediate)]);
    put_short(out, receipt.error.as_deref().unwrap_or_default());
    put_short(out, receipt.network_error_code.as_ref().map_or(&[], |code| &code[..]));
    let done = receipt.done.and_then(|date| u64::try_from(date.seconds).ok());
    out.put_u64(done.unwrap_or(0));
}

pub fn parked(r: &mut Reader, operators: &KnownNames) -> Result<Received, Unreadable> {
    let operator = operators.intern(&r.name()?);
    let since = Timestamp(r.u64()?);
    let mut address = || Ok::<_, Unreadable>(Address { ton: r.u8()?, npi: r.u8()?, digits: SmallVec::from_slice(&r.short()?) });
    let (source, destination) = (address()?, address()?);
    let id = r.short()?;
    let (state, intermediate, error) = (state(r)?, r.u8()? != 0, r.short()?);
    let network_error_code = <[u8; 3]>::try_from(&r.short()?[..]).ok();
    let done = i64::try_from(r.u64()?).ok().filter(|seconds| *seconds != 0);
    let receipt = Receipt {
        id: SmallVec::from_slice(&id),
        state,
        error: (!error.is_empty()).then(|| SmallVec::from_slice(&error)),
        done: done.map(|seconds| ReceiptDate { seconds, is_utc: true }),
        network_error_code,
        intermediate,
    };
    // Its keys follow with the rules, see `resume_parked`.
    Ok(Received { operator, receipt, keys: Keys::new(), source, destination, received_at: since })
}
