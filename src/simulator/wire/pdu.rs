//! PDUs where they lie in the read buffer.

use bytes::Bytes;

use crate::smpp::frame::HEADER;
use crate::smpp::{CommandId, CommandStatus, Frame, Ticket};

/// Longest PDU taken, in octets.
const MAX_PDU: usize = 70 * 1024;

/// Octets asked of the socket at a time, at least: some hundred PDUs.
const READ_SIZE: usize = 64 * 1024;

/// One PDU: header and body, nothing of its neighbours.
#[derive(Debug, Clone, Copy)]
pub struct Pdu<'a>(&'a [u8]);

impl<'a> Pdu<'a> {
    #[inline]
    pub fn command(&self) -> CommandId {
        CommandId::from(word(self.0, 4))
    }

    /// `command_status` as the number it is.
    #[inline]
    pub fn status(&self) -> u32 {
        word(self.0, 8)
    }

    #[inline]
    pub fn sequence(&self) -> u32 {
        word(self.0, 12)
    }

    /// What the answer to this request needs.
    pub fn ticket(&self) -> Ticket {
        Ticket { command: self.command(), sequence: self.sequence() }
    }

    /// Everything after the header.
    pub fn body(&self) -> &'a [u8] {
        &self.0[HEADER..]
    }

    /// A copy, for what is rare enough to be read by the views of frames.
    pub fn to_frame(self) -> Option<Frame> {
        Frame::new(Bytes::copy_from_slice(self.0))
    }

    /// The C-octet string a response's body begins with, terminated or not: the message id.
    #[inline]
    pub fn message_id(&self) -> &'a [u8] {
        let body = self.body();
        let end = body.iter().position(|&octet| octet == 0).unwrap_or(body.len());
        &body[..end]
    }
}

/// The stream is out of step. To be answered with `generic_nack`, ESME_RINVCMDLEN and this sequence number, 0 when there is none
/// (SMPP 5.0 section 4.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfStep(pub u32);

/// What has been read and not yet handled.
#[derive(Debug, Default)]
pub struct Input {
    buffer: Vec<u8>,
    /// Where the next PDU begins.
    taken: usize,
    /// Where the octets read end.
    filled: usize,
}

impl Input {
    /// Takes the next whole PDU; `None` when more octets are needed.
    #[inline]
    pub fn next_pdu(&mut self) -> Result<Option<Pdu<'_>>, OutOfStep> {
        let bytes = &self.buffer[self.taken..self.filled];
        if bytes.len() < 4 {
            return Ok(None);
        }
        let length = usize::try_from(word(bytes, 0)).unwrap_or(usize::MAX);
        if length < HEADER {
            return Err(OutOfStep(0));
        }
        if length > MAX_PDU {
            // An over-long PDU is judged by its header, so that its number is known.
            return if bytes.len() >= HEADER { Err(OutOfStep(word(bytes, 12))) } else { Ok(None) };
        }
        if bytes.len() < length {
            return Ok(None);
        }
        self.taken += length;
        Ok(Some(Pdu(&bytes[..length])))
    }

    /// Where to read to.
    pub fn room(&mut self) -> &mut [u8] {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; MAX_PDU + READ_SIZE];
        } else if self.buffer.len() - self.filled < READ_SIZE {
            self.buffer.copy_within(self.taken..self.filled, 0);
            (self.taken, self.filled) = (0, self.filled - self.taken);
        }
        &mut self.buffer[self.filled..]
    }

    /// So many octets have been read into the room.
    pub fn add(&mut self, count: usize) {
        self.filled += count;
    }
}

/// The header of a PDU with so many octets of body.
#[inline]
pub fn header(body: usize, command: CommandId, status: CommandStatus, sequence: u32) -> [u8; HEADER] {
    // Bodies are bounded by a few fields and 16-bit TLV lengths, far below u32.
    let length = u32::try_from(HEADER + body).unwrap_or(u32::MAX);
    // Put together in registers: four small stores read back as one are slow.
    let words = [length, command.into(), status.into(), sequence];
    words.iter().fold(0, |header, &word| header << 32 | u128::from(word)).to_be_bytes()
}

/// Writes the length of a PDU into it once it is whole.
#[inline]
pub fn put_length(pdu: &mut [u8]) {
    let length = u32::try_from(pdu.len()).unwrap_or(u32::MAX);
    pdu[..4].copy_from_slice(&length.to_be_bytes());
}

/// The integer at `at`; callers have checked that it is there.
#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(input: &mut Input, bytes: &[u8]) {
        input.room()[..bytes.len()].copy_from_slice(bytes);
        input.add(bytes.len());
    }

    fn pdu(sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut pdu = header(body.len(), CommandId::SubmitSmResp, CommandStatus::EsmeRok, sequence).to_vec();
        pdu.extend_from_slice(body);
        pdu
    }

    #[test]
    fn an_impossible_length_is_out_of_step() {
        let mut input = Input::default();
        put(&mut input, &[0, 0, 0, 15]);
        assert_eq!(input.next_pdu().map(|_| ()), Err(OutOfStep(0)));
    }

    #[test]
    fn an_over_long_pdu_is_refused_by_its_number_once_its_header_is_there() {
        let mut input = Input::default();
        let long = header(MAX_PDU, CommandId::SubmitSm, CommandStatus::EsmeRok, 77);
        put(&mut input, &long[..12]);
        assert!(matches!(input.next_pdu(), Ok(None)));
        put(&mut input, &long[12..]);
        assert_eq!(input.next_pdu().map(|_| ()), Err(OutOfStep(77)));
    }

    #[test]
    fn an_over_long_pdu_is_refused_though_all_of_it_is_there() {
        let mut input = Input::default();
        put(&mut input, &pdu(77, &vec![0; MAX_PDU]));
        assert_eq!(input.next_pdu().map(|_| ()), Err(OutOfStep(77)));
    }

    #[test]
    fn a_message_id_may_lack_its_terminator() {
        let mut input = Input::default();
        put(&mut input, &[pdu(1, b"17"), pdu(2, b"18\0\x10"), pdu(3, b"")].concat());
        for expected in [b"17".as_slice(), b"18", b""] {
            assert_eq!(input.next_pdu().ok().flatten().map(|pdu| pdu.message_id()), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn pdus_are_the_same_however_the_stream_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..60),
            cut in 1usize..50_000,
        ) {
            let numbered = (1..).zip(&bodies);
            let stream: Vec<u8> = numbered.clone().flat_map(|(sequence, body)| pdu(sequence, body)).collect();
            let mut input = Input::default();
            let mut found = Vec::new();
            for piece in stream.chunks(cut) {
                put(&mut input, piece);
                while let Ok(Some(pdu)) = input.next_pdu() {
                    found.push((pdu.sequence(), pdu.body().to_vec()));
                }
            }
            prop_assert_eq!(found, numbered.map(|(sequence, body)| (sequence, body.clone())).collect::<Vec<_>>());
        }
    }
}
