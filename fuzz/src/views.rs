//! Any body is read or refused, never more; what strict reads, lenient reads alike, and what is read can be written back.

use ::time::UtcOffset;
use bytes::BytesMut;
use smppgw::message::Timestamp;
use smppgw::smpp::view::{MessageResponseView, QueryResponseView, QueryView};
use smppgw::smpp::{
    BindResponseView, BindView, CommandId, CommandStatus, Frame, MessageView, Strictness, ViewError, encode, time,
};

/// Seconds from 2000 to 2099.
const TWO_DIGIT_YEARS: std::ops::Range<u64> = 946_684_800..4_102_444_800;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// All of the data is the body, of one command after the other.
pub fn run(data: &[u8]) {
    for command in [CommandId::SubmitSm, CommandId::DeliverSm, CommandId::DataSm] {
        message(&frame(command, data));
    }
    for command in [CommandId::BindTransceiver, CommandId::BindReceiver, CommandId::BindTransmitter] {
        bind(&frame(command, data));
    }
    let query = frame(CommandId::QuerySm, data);
    queries(&query);
    responses(data);
    times(data);
}

fn frame(command: CommandId, body: &[u8]) -> Frame {
    written(command, |out| out.extend_from_slice(body))
}

fn written(command: CommandId, body: impl FnOnce(&mut BytesMut)) -> Frame {
    let mut out = BytesMut::new();
    encode::request(&mut out, command, 1, body);
    Frame::new(out.freeze()).expect("an exact frame")
}

/// Lenient takes what strict takes, and refuses with a status that says why.
fn alike<T: PartialEq + std::fmt::Debug + Copy>(strict: Result<T, ViewError>, lenient: Result<T, ViewError>) {
    if strict.is_ok() {
        assert_eq!(strict, lenient);
    }
    for error in [strict, lenient].into_iter().filter_map(Result::err) {
        assert_ne!(error.status(), CommandStatus::EsmeRok);
    }
}

fn queries(frame: &Frame) {
    let lenient = QueryView::parse(frame, Strictness::Lenient);
    alike(QueryView::parse(frame, Strictness::Strict), lenient);
    if let Ok(view) = lenient {
        let again = written(CommandId::QuerySm, |out| encode::query_body(out, view.message_id, &view.source));
        assert_eq!(QueryView::parse(&again, Strictness::Lenient), Ok(view));
    }
    let lenient = QueryResponseView::parse(frame, Strictness::Lenient);
    alike(QueryResponseView::parse(frame, Strictness::Strict), lenient);
    if let Ok(view) = lenient {
        let again = written(CommandId::QuerySmResp, |out| encode::query_response_body(out, &view));
        assert_eq!(QueryResponseView::parse(&again, Strictness::Lenient), Ok(view));
    }
}

fn message(frame: &Frame) {
    let (command, body) = (frame.command_id(), frame.body());
    let strict = MessageView::parse(frame, Strictness::Strict);
    let lenient = MessageView::parse(frame, Strictness::Lenient);
    alike(strict, lenient);
    if let Ok(view) = strict {
        assert_eq!(written(command, |out| encode::message_body(out, command, &view)).body(), body);
    }
    let Ok(view) = lenient else { return };
    let again = written(command, |out| encode::message_body(out, command, &view));
    assert_eq!(MessageView::parse(&again, Strictness::Lenient), Ok(view));
    assert_eq!(view.tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum::<usize>(), view.tlvs.as_bytes().len());
    if let Ok(text) = view.message_text() {
        assert!(text.len() <= body.len());
    }
    let _ = (view.tlvs.receipted_message_id(), view.tlvs.network_error_code(), view.tlvs.qos_time_to_live());
    for text in [view.schedule_delivery_time, view.validity_period] {
        times(text);
    }
}

fn bind(frame: &Frame) {
    let lenient = BindView::parse(frame, Strictness::Lenient);
    alike(BindView::parse(frame, Strictness::Strict), lenient);
    let Ok(view) = lenient else { return };
    let mut out = BytesMut::new();
    encode::bind(&mut out, 1, &view);
    let again = Frame::new(out.freeze()).expect("an exact frame");
    assert_eq!(BindView::parse(&again, Strictness::Lenient), Ok(view));
    assert!(!format!("{view:?}").contains("password"), "passwords stay out of logs");
}

/// Never refused, and never longer than what was sent.
fn responses(body: &[u8]) {
    let frame = frame(CommandId::SubmitSmResp, body);
    let view = MessageResponseView::parse(&frame);
    assert!(view.message_id.len() + view.tlvs.as_bytes().len() <= body.len());
    assert!(view.tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum::<usize>() <= body.len());
    let view = BindResponseView::parse(&frame);
    assert!(view.system_id.len() <= body.len());
}

/// A time strict reads is the same to lenient; one that two digits of year can tell is written and read again as it was.
fn times(text: &[u8]) {
    let strict = time::parse(text, NOW, Strictness::Strict);
    let lenient = time::parse(text, NOW, Strictness::Lenient);
    if strict.is_ok() {
        assert_eq!(strict, lenient);
    }
    let Ok(Some(at)) = lenient else { return };
    if TWO_DIGIT_YEARS.contains(&(at.0 / 1000)) {
        let tenths = Timestamp(at.0 / 100 * 100);
        assert_eq!(time::parse(&time::format_absolute(at, UtcOffset::UTC), NOW, Strictness::Strict), Ok(Some(tenths)));
    }
}
