//! What strict and lenient readers make of the bodies that peers send.

use super::view::{AddressView, BindView, MessageResponseView, MessageView, QueryView};
use super::{CommandId, CommandStatus, Field, Frame, Problem, Strictness, TlvTag, ViewError, encode, tlv};
use bytes::BytesMut;

use Strictness::{Lenient, Strict};

fn frame(command: CommandId, body: &[u8]) -> Frame {
    let mut out = BytesMut::new();
    encode::request(&mut out, command, 1, |out| out.extend_from_slice(body));
    Frame::new(out.freeze()).expect("an exact frame")
}

/// A submit_sm body from its variable parts.
fn body(service: &[u8], source: &[u8], destination: &[u8], schedule: &[u8], validity: &[u8], rest: &[u8]) -> Vec<u8> {
    [service, b"\x01\x01", source, b"\x01\x01", destination, b"\0\0\0", schedule, validity, b"\0\0\0\0", rest].concat()
}

fn plain(rest: &[u8]) -> Vec<u8> {
    body(b"\0", b"1\0", b"2\0", b"\0", b"\0", rest)
}

fn status(body: &[u8], strictness: Strictness) -> Result<(), CommandStatus> {
    let frame = frame(CommandId::SubmitSm, body);
    MessageView::parse(&frame, strictness).map(|_| ()).map_err(|error| error.status())
}

#[test]
fn a_long_string_is_refused_by_strict_and_read_by_lenient() {
    let long = b"3581234567890123456789\0";
    let cases = [
        (body(b"LONGER\0", b"1\0", b"2\0", b"\0", b"\0", b"\0"), CommandStatus::EsmeRinvsertyp),
        (body(b"\0", long, b"2\0", b"\0", b"\0", b"\0"), CommandStatus::EsmeRinvsrcadr),
        (body(b"\0", b"1\0", long, b"\0", b"\0", b"\0"), CommandStatus::EsmeRinvdstadr),
        (body(b"\0", b"1\0", b"2\0", b"240101120000\0", b"\0", b"\0"), CommandStatus::EsmeRinvsched),
        (body(b"\0", b"1\0", b"2\0", b"\0", b"240101120000000+0\0", b"\0"), CommandStatus::EsmeRinvexpiry),
    ];
    for (body, expected) in cases {
        assert_eq!(status(&body, Strict), Err(expected));
        assert_eq!(status(&body, Lenient), Ok(()));
    }
}

#[test]
fn a_string_that_never_ends_is_refused_by_both_with_its_own_status() {
    let cases: [(&[u8], CommandStatus); 6] = [
        (b"", CommandStatus::EsmeRinvsertyp),
        (b"CMT", CommandStatus::EsmeRinvsertyp),
        (b"\0\x01\x01123", CommandStatus::EsmeRinvsrcadr),
        (b"\0\x01\x01123\0\x01\x01456", CommandStatus::EsmeRinvdstadr),
        (b"\0\x01\x01123\0\x01\x01456\0\x01\x01\x01240101", CommandStatus::EsmeRinvsched),
        (b"\0\x01\x01123\0\x01\x01456\0\x01\x01\x01\x00240101", CommandStatus::EsmeRinvexpiry),
    ];
    for (body, expected) in cases {
        assert_eq!((status(body, Strict), status(body, Lenient)), (Err(expected), Err(expected)));
    }
    let endless = [&b"\0\x01\x01"[..], &[b'1'; 400], b"\0"].concat();
    assert_eq!(status(&endless, Lenient), Err(CommandStatus::EsmeRinvsrcadr), "even leniency has a limit");
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    let whole = plain(b"\x05hello");
    for end in 0..whole.len() {
        assert!(status(&whole[..end], Lenient).is_err(), "{end}");
    }
    assert_eq!(status(&whole, Strict), Ok(()));
    assert_eq!(status(&whole[..3], Strict), Err(CommandStatus::EsmeRinvsrcadr));
    assert_eq!(status(&whole[..6], Strict), Err(CommandStatus::EsmeRinvcmdlen));
}

#[test]
fn a_text_length_past_the_end_is_an_invalid_message_length() {
    for strictness in [Strict, Lenient] {
        assert_eq!(status(&plain(b"\x06hello"), strictness), Err(CommandStatus::EsmeRinvmsglen));
    }
}

#[test]
fn a_tlv_that_overruns_spoils_its_pdu_and_a_stray_octet_only_for_strict() {
    for rest in [&b"\0\x02\x04\x00\x03\x01\x02"[..], b"\0\x02\x04", b"\0\x02\x04\x00"] {
        for strictness in [Strict, Lenient] {
            assert_eq!(status(&plain(rest), strictness), Err(CommandStatus::EsmeRinvtlvstream));
        }
    }
    assert_eq!(status(&plain(b"\0\0"), Strict), Err(CommandStatus::EsmeRinvtlvstream));
    assert_eq!(status(&plain(b"\0\0"), Lenient), Ok(()));
    assert_eq!(status(&plain(b"\0\x02\x04\x00\x02\x01\x02\x00"), Lenient), Ok(()));
}

#[test]
fn a_known_tlv_of_a_wrong_length_is_dropped_and_the_next_one_of_its_tag_used() {
    let mut rest = BytesMut::from(&b"\0"[..]);
    tlv::put(&mut rest, TlvTag::UserMessageReference, &[1]);
    tlv::put(&mut rest, TlvTag::Other(0x1400), b"vendor");
    tlv::put(&mut rest, TlvTag::UserMessageReference, &[0, 7]);
    tlv::put(&mut rest, TlvTag::QosTimeToLive, &[1, 2, 3]);
    tlv::put(&mut rest, TlvTag::NetworkErrorCode, &[0, 42]);
    tlv::put_string(&mut rest, TlvTag::ReceiptedMessageId, b"ab12");
    tlv::put(&mut rest, TlvTag::MessageState, &[2]);
    tlv::put(&mut rest, TlvTag::MoreMessagesToSend, &[1]);
    let frame = frame(CommandId::DeliverSm, &plain(&rest));
    let tlvs = MessageView::parse(&frame, Strict).expect("readable").tlvs;
    assert_eq!(tlvs.user_message_reference(), Some(7));
    assert_eq!(tlvs.get(TlvTag::Other(0x1400)), Some(&b"vendor"[..]));
    assert_eq!(tlvs.qos_time_to_live(), None);
    assert_eq!(tlvs.network_error_code(), Some((0, 42)));
    assert_eq!(tlvs.receipted_message_id(), Some(&b"ab12"[..]));
    assert_eq!(tlvs.message_state(), Some(2));
    assert_eq!(tlvs.more_messages_to_send(), Some(true));
    assert_eq!(tlvs.sar_msg_ref_num(), None);
    assert_eq!(tlvs.iter().count(), 8);
}

#[test]
fn a_receipted_id_is_read_with_and_without_terminator() {
    for (value, id) in [(&b"12"[..], Some(&b"12"[..])), (b"12\0", Some(b"12")), (b"\0", None), (b"", None)] {
        let mut encoded = BytesMut::new();
        tlv::put(&mut encoded, TlvTag::ReceiptedMessageId, value);
        assert_eq!(super::Tlvs::encoded(&encoded).receipted_message_id(), id);
    }
}

#[test]
fn the_text_is_where_it_is_and_never_in_two_places() {
    let payload = |short: &[u8], payload: &[u8]| {
        let mut rest = BytesMut::from(short);
        tlv::put(&mut rest, TlvTag::MessagePayload, payload);
        let frame = frame(CommandId::SubmitSm, &plain(&rest));
        MessageView::parse(&frame, Strict).expect("readable").message_text().map(<[u8]>::to_vec)
    };
    assert_eq!(payload(b"\0", b"long"), Ok(b"long".to_vec()));
    assert_eq!(payload(b"\x02ab", b""), Ok(b"ab".to_vec()));
    assert_eq!(payload(b"\0", b""), Ok(vec![]));
    let both = ViewError { field: Field::MessagePayload, problem: Problem::Conflict };
    assert_eq!(payload(b"\x02ab", b"long"), Err(both));
    assert_eq!(both.status(), CommandStatus::EsmeRinvmsglen);
}

#[test]
fn text_without_room_in_short_message_travels_as_payload() {
    let text = [b'x'; 256];
    for (command, length) in [(CommandId::SubmitSm, 256), (CommandId::DataSm, 256), (CommandId::DataSm, 1)] {
        let message = MessageView { short_message: &text[..length], ..MessageView::default() };
        let mut out = BytesMut::new();
        encode::message(&mut out, command, 1, &message);
        let frame = Frame::new(out.freeze()).expect("an exact frame");
        let read = MessageView::parse(&frame, Strict).expect("readable");
        assert_eq!((read.short_message, read.message_text()), (&b""[..], Ok(&text[..length])));
    }
}

#[test]
fn data_sm_addresses_may_have_64_characters() {
    let digits = [b'1'; 64];
    let body = [b"\0\x01\x01", &digits[..], b"\0\x02\x02", &digits, b"\0\x40\x01\x08"].concat();
    let frame = frame(CommandId::DataSm, &body);
    let message = MessageView::parse(&frame, Strict).expect("readable");
    assert_eq!(message.destination, AddressView { ton: 2, npi: 2, digits: &digits });
    assert_eq!((message.esm_class, message.registered_delivery, message.data_coding), (0x40, 1, 8));
}

#[test]
fn a_long_password_is_taken_whole_by_lenient() {
    let frame = frame(CommandId::BindTransceiver, b"shop\0a password of many characters\0\0\x34\0\0\0");
    assert_eq!(BindView::parse(&frame, Lenient).map(|bind| bind.password), Ok(&b"a password of many characters"[..]));
    assert_eq!(BindView::parse(&frame, Strict).map_err(|error| error.status()), Err(CommandStatus::EsmeRinvpaswd));
    assert!(!format!("{:?}", BindView::parse(&frame, Lenient)).contains("password of"), "never in debug output");
}

#[test]
fn the_last_string_may_lack_its_terminator_for_lenient() {
    let frame = frame(CommandId::QuerySm, b"id\0\x01\x01123");
    assert_eq!(QueryView::parse(&frame, Lenient).map(|query| query.source.digits), Ok(&b"123"[..]));
    assert_eq!(QueryView::parse(&frame, Strict).map_err(|error| error.status()), Err(CommandStatus::EsmeRinvsrcadr));
}

#[test]
fn a_response_id_is_read_with_without_terminator_and_without_body() {
    for (body, id) in [(&b"abc\0"[..], &b"abc"[..]), (b"abc", b"abc"), (b"", b""), (b"\0", b"")] {
        let frame = frame(CommandId::SubmitSmResp, body);
        assert_eq!(MessageResponseView::parse(&frame).message_id, id);
    }
    let long = [b'f'; 100];
    let frame = frame(CommandId::SubmitSmResp, &long);
    assert_eq!(MessageResponseView::parse(&frame).message_id, long, "ids longer than 64 octets exist");
    let endless = self::frame(CommandId::SubmitSmResp, &[b'f'; 5000]);
    assert_eq!(MessageResponseView::parse(&endless).message_id, [b'f'; 255]);
}

#[test]
fn other_commands_are_no_messages() {
    let frame = frame(CommandId::SubmitMulti, &plain(b"\0"));
    let error = MessageView::parse(&frame, Lenient).expect_err("no message");
    assert_eq!(error.status(), CommandStatus::EsmeRinvcmdid);
}
