//! Any stream, cut in any pieces, gives the same frames, each exact.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use smppgw::smpp::frame::cut;

const MAX: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Some((&step, stream)) = data.split_first() else { return };
    let frames = |step: usize| {
        let (mut buf, mut frames) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(step) {
            buf.extend_from_slice(piece);
            loop {
                match cut(&mut buf, MAX) {
                    Ok(Some(frame)) => frames.push(Ok(frame)),
                    Ok(None) => break,
                    Err(fault) => {
                        frames.push(Err(fault));
                        return frames;
                    }
                }
            }
        }
        frames
    };
    let whole = frames(stream.len().max(1));
    assert_eq!(whole, frames(usize::from(step).max(1)));
    for frame in whole.into_iter().flatten() {
        assert_eq!(frame.header().length as usize, frame.bytes().len());
        assert!(frame.bytes().len() <= MAX);
    }
});
