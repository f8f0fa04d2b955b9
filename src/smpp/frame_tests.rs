use bytes::{Bytes, BytesMut};

use super::*;

const ENQUIRE: &[u8] = b"\0\0\0\x10\0\0\0\x15\0\0\0\x08\0\0\0\x07";

#[test]
fn a_frame_is_exactly_its_pdu() {
    let mut buf = BytesMut::from(&[ENQUIRE, ENQUIRE, b"\0\0"].concat()[..]);
    for _ in 0..2 {
        let frame = cut(&mut buf, 100).expect("sound").expect("whole");
        assert_eq!(&frame.bytes()[..], ENQUIRE);
        assert_eq!(frame.ticket(), Ticket { command: CommandId::EnquireLink, sequence: 7 });
        assert_eq!((frame.status(), frame.body()), (CommandStatus::EsmeRsyserr, &b""[..]));
        assert_eq!(frame.header().length, 16);
    }
    assert_eq!(cut(&mut buf, 100), Ok(None));
    assert_eq!(&buf[..], b"\0\0", "what is not whole stays");
}

#[test]
fn every_shorter_prefix_waits_for_more() {
    for end in 0..ENQUIRE.len() {
        assert_eq!(cut(&mut BytesMut::from(&ENQUIRE[..end]), 100), Ok(None));
    }
}

#[test]
fn impossible_lengths_are_faults() {
    for length in [0u32, 3, 15] {
        let mut buf = BytesMut::from(&length.to_be_bytes()[..]);
        let fault = cut(&mut buf, 100).expect_err("too short");
        assert_eq!((fault, fault.sequence()), (FrameFault::TooShort { length }, 0));
    }
    for length in [101u32, 16 << 20, u32::MAX] {
        let mut buf = BytesMut::from(&length.to_be_bytes()[..]);
        assert_eq!(cut(&mut buf, 100), Ok(None), "judged with its whole header");
        buf.extend_from_slice(&ENQUIRE[4..]);
        let fault = cut(&mut buf, 100).expect_err("too long");
        assert_eq!(fault.sequence(), 7);
        assert!(matches!(fault, FrameFault::TooLong { header } if header.length == length));
    }
}

#[test]
fn only_exact_bytes_make_a_frame() {
    assert!(Frame::new(Bytes::from_static(ENQUIRE)).is_some());
    assert!(Frame::new(Bytes::from_static(&ENQUIRE[..15])).is_none());
    assert!(Frame::new(Bytes::from([ENQUIRE, b"\0"].concat())).is_none());
}
