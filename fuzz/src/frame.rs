//! Any stream, cut in any pieces, gives the same frames, each exact, and ends at the first impossible length.

use bytes::BytesMut;
use smppgw::smpp::frame::{HEADER, cut};
use smppgw::smpp::{Frame, FrameFault};

/// Longest PDU accepted.
const MAX: usize = 1024;

/// The first octet is the size of the pieces, the rest the stream.
pub fn run(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let whole = frames(stream, stream.len().max(1));
    assert_eq!(whole, frames(stream, usize::from(step).max(1)));
    let (frames, fault) = whole;
    let mut rest = stream;
    for frame in &frames {
        let octets = frame.bytes();
        assert!((HEADER..=MAX).contains(&octets.len()));
        assert_eq!(frame.header().length as usize, octets.len());
        assert_eq!(octets[..], rest[..octets.len()]);
        rest = &rest[octets.len()..];
    }
    let length = rest.first_chunk().map(|length| u32::from_be_bytes(*length));
    match fault {
        Some(fault @ FrameFault::TooShort { length: found }) => {
            assert!(found < HEADER as u32 && Some(found) == length && fault.sequence() == 0);
        }
        Some(fault @ FrameFault::TooLong { header }) => {
            assert!(header.length as usize > MAX && Some(header.length) == length);
            assert_eq!(fault.sequence().to_be_bytes(), rest[12..16]);
        }
        None => {
            let possible = length.is_none_or(|length| length as usize >= HEADER);
            assert!(possible && rest.len() < MAX.max(HEADER) && length.is_none_or(|length| rest.len() < length as usize));
        }
    }
}

/// The frames of a stream that comes in pieces of so many octets, and what ended it.
fn frames(stream: &[u8], step: usize) -> (Vec<Frame>, Option<FrameFault>) {
    let (mut buf, mut frames) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(step) {
        buf.extend_from_slice(piece);
        loop {
            match cut(&mut buf, MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}
