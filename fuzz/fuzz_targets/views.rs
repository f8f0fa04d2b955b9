//! Any body is read or refused, never more; what strict reads, lenient reads alike, and what is read can be written back.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use smppgw::smpp::view::{CancelView, MessageResponseView, QueryResponseView, QueryView, ReplaceView};
use smppgw::smpp::{BindResponseView, BindView, CommandId, Frame, MessageView, Strictness, encode};

fuzz_target!(|data: &[u8]| {
    for command in [CommandId::SubmitSm, CommandId::DataSm, CommandId::BindTransceiver] {
        let mut out = BytesMut::new();
        encode::request(&mut out, command, 1, |out| out.extend_from_slice(data));
        let Some(frame) = Frame::new(out.freeze()) else { panic!("an exact frame") };
        let strict = MessageView::parse(&frame, Strictness::Strict);
        let lenient = MessageView::parse(&frame, Strictness::Lenient);
        if let Ok(message) = strict {
            assert_eq!(lenient, Ok(message));
            let mut again = BytesMut::new();
            encode::message(&mut again, command, 1, &message);
            assert_eq!(again, frame.bytes());
        }
        if let Ok(message) = lenient {
            let _ = message.message_text();
            let _ = (message.tlvs.receipted_message_id(), message.tlvs.network_error_code());
            assert_eq!(message.tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum::<usize>(), message.tlvs.as_bytes().len());
        }
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            let _ = BindView::parse(&frame, strictness);
            let _ = QueryView::parse(&frame, strictness);
            let _ = QueryResponseView::parse(&frame, strictness);
            let _ = CancelView::parse(&frame, strictness);
            let _ = ReplaceView::parse(&frame, strictness);
        }
        let _ = (MessageResponseView::parse(&frame), BindResponseView::parse(&frame));
    }
});
