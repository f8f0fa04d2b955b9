//! The simulator's own reader of streams finds the PDUs that the gateway's finds, and refuses what that refuses.

use bytes::BytesMut;
use smppgw::simulator::{Input, OutOfStep};
use smppgw::smpp::frame;

/// Longest PDU either takes.
const MAX: usize = 70 * 1024;

/// The size of the pieces in kilobytes (0: single octets), how many zeros follow in half kilobytes, and the stream.
pub fn run(data: &[u8]) {
    let [step, zeros, stream @ ..] = data else { return };
    let stream = [stream, &vec![0; usize::from(*zeros) * 512]].concat();
    let step = if *step == 0 { 7 } else { usize::from(*step) * 1024 };
    let (mut input, mut buf) = (Input::default(), BytesMut::new());
    for mut piece in stream.chunks(step) {
        while !piece.is_empty() {
            let room = input.room();
            let count = room.len().min(piece.len());
            room[..count].copy_from_slice(&piece[..count]);
            input.add(count);
            buf.extend_from_slice(&piece[..count]);
            piece = &piece[count..];
            if !alike(&mut input, &mut buf) {
                return;
            }
        }
    }
}

/// Takes what has come out of both; false at the end of the stream's sense.
fn alike(input: &mut Input, buf: &mut BytesMut) -> bool {
    loop {
        match (input.next_pdu(), frame::cut(buf, MAX)) {
            (Ok(Some(pdu)), Ok(Some(frame))) => {
                assert_eq!((pdu.command(), pdu.sequence()), (frame.command_id(), frame.sequence()));
                assert_eq!((pdu.status(), pdu.body()), (frame.status().into(), frame.body()));
                assert!(pdu.message_id().len() <= frame.body().len());
            }
            (Ok(None), Ok(None)) => return true,
            (Err(OutOfStep(sequence)), Err(fault)) => {
                assert_eq!(sequence, fault.sequence());
                return false;
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }
}
