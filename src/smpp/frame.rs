//! One PDU as an exact slice of the stream, and the cutting of it (SMPP 5.0 section 3).

use bytes::{Bytes, BytesMut};
use rusmpp::decode::DecodeError;
use rusmpp::decode::DecodeWithLength;

use super::{CommandId, CommandStatus};

/// Octets of the header, which `command_length` includes.
pub const HEADER: usize = 16;

/// The four integers every PDU begins with (SMPP 5.0 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// `command_length`: octets of the whole PDU.
    pub length: u32,
    pub command_id: CommandId,
    pub status: CommandStatus,
    pub sequence: u32,
}

/// What an answer needs to know of its request. Small, so that it can travel with a message through the spool and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub command: CommandId,
    pub sequence: u32,
}

/// A complete PDU: header and body, nothing of its neighbours. Cloning shares the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Decoded once, because every stage asks for it.
    command_id: CommandId,
    bytes: Bytes,
}

impl Frame {
    /// Wraps the bytes of one PDU; `None` unless `command_length` is their exact number.
    pub fn new(bytes: Bytes) -> Option<Frame> {
        let whole = bytes.len() >= HEADER && usize::try_from(word(&bytes, 0)) == Ok(bytes.len());
        whole.then(|| Frame::trusted(bytes))
    }

    /// Wraps what has been found to be one PDU.
    fn trusted(bytes: Bytes) -> Frame {
        Frame { command_id: CommandId::from(word(&bytes, 4)), bytes }
    }

    pub fn command_id(&self) -> CommandId {
        self.command_id
    }

    pub fn status(&self) -> CommandStatus {
        CommandStatus::from(word(&self.bytes, 8))
    }

    pub fn sequence(&self) -> u32 {
        word(&self.bytes, 12)
    }

    pub fn header(&self) -> Header {
        header(&self.bytes)
    }

    /// What the answer to this request needs.
    pub fn ticket(&self) -> Ticket {
        Ticket { command: self.command_id, sequence: self.sequence() }
    }

    /// Everything after the header.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// The whole PDU.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The PDU as rusmpp's owned type: for rare operations, where an allocation per field does not matter. Strict.
    ///
    /// # Errors
    ///
    /// What rusmpp says of the first field it cannot read.
    pub fn decode(&self) -> Result<rusmpp::Command, DecodeError> {
        // rusmpp's command begins after command_length. The copy keeps this frame's buffer out of its hands.
        let mut rest = BytesMut::from(&self.bytes[4..]);
        let length = rest.len();
        rusmpp::Command::decode(&mut rest, length).map(|(command, _)| command)
    }
}

/// The stream is out of step: nothing after this point can be trusted, so the session answers
/// `generic_nack` with ESME_RINVCMDLEN and closes (SMPP 5.0 section 4.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameFault {
    /// `command_length` is smaller than a header, so the rest of the header is not known to be one.
    TooShort { length: u32 },
    /// `command_length` is above the limit. The header itself was read.
    TooLong { header: Header },
}

impl FrameFault {
    /// The sequence number to answer with; 0 when it could not be read (SMPP 5.0 section 4.1.4).
    pub fn sequence(&self) -> u32 {
        match self {
            FrameFault::TooShort { .. } => 0,
            FrameFault::TooLong { header } => header.sequence,
        }
    }
}

/// The header of the next PDU, when all of it has arrived. Its length has not been judged.
pub fn peek(buf: &[u8]) -> Option<Header> {
    (buf.len() >= HEADER).then(|| header(buf))
}

/// Does the PDU at the front announce a length that can be cut?
pub fn is_sound(buf: &[u8], max: usize) -> bool {
    peek(buf).is_some_and(|header| usize::try_from(header.length).is_ok_and(|length| (HEADER..=max).contains(&length)))
}

/// Takes the next complete PDU off the front of `buf`; `None` when more bytes are needed.
///
/// `max` is the longest PDU accepted, in octets. An over-long PDU is judged only once its header is complete, so that the
/// verdict does not depend on how the stream was cut into reads.
///
/// # Errors
///
/// A length below 16 or above `max`; `buf` is left as it was.
pub fn cut(buf: &mut BytesMut, max: usize) -> Result<Option<Frame>, FrameFault> {
    if buf.len() < 4 {
        return Ok(None);
    }
    let announced = word(buf, 0);
    let length = usize::try_from(announced).unwrap_or(usize::MAX);
    if length < HEADER {
        return Err(FrameFault::TooShort { length: announced });
    }
    if length > max {
        return peek(buf).map_or(Ok(None), |header| Err(FrameFault::TooLong { header }));
    }
    if buf.len() < length {
        return Ok(None);
    }
    Ok(Some(Frame::trusted(buf.split_to(length).freeze())))
}

fn header(bytes: &[u8]) -> Header {
    Header {
        length: word(bytes, 0),
        command_id: CommandId::from(word(bytes, 4)),
        status: CommandStatus::from(word(bytes, 8)),
        sequence: word(bytes, 12),
    }
}

/// The integer at `at`; callers have checked that it is there.
#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    let octets = &bytes[at..at + 4];
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
