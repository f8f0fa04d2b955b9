//! What is accepted, what is refused, and with which status.

use std::time::Duration;

use bytes::BytesMut;

use super::{Accepted, Policy, Rejection, Senders, accept};
use crate::message::Timestamp;
use crate::route::NumberRules;
use crate::smpp::{AddressView, CommandId, Frame, MessageView, Strictness, TlvTag, Tlvs, Version, encode, tlv};
use crate::text::{Alphabet, DefaultAlphabet, LongMessages, plan};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn policy() -> Policy {
    Policy {
        account: "shop".into(),
        alphabet: DefaultAlphabet::Gsm7,
        numbers: NumberRules::for_country("FI").expect("Finland"),
        senders: Senders::new(None::<[&str; 0]>),
        max_parts: 3,
        priority_max: 1,
        default_validity: 48 * HOUR,
        max_validity: 72 * HOUR,
        strictness: Strictness::Lenient,
        transliterate: false,
    }
}

fn message(text: &[u8]) -> MessageView<'_> {
    MessageView {
        source: AddressView { ton: 5, npi: 0, digits: b"SHOP" },
        destination: AddressView { ton: 0, npi: 0, digits: b"0401234567" },
        short_message: text,
        ..MessageView::default()
    }
}

fn submit(view: &MessageView<'_>, policy: &Policy) -> Result<Accepted, Rejection> {
    let mut out = BytesMut::new();
    encode::message(&mut out, CommandId::SubmitSm, 1, view);
    let frame = Frame::new(out.freeze()).expect("a whole PDU");
    accept(&frame, policy, Some(Version::V3_4), NOW, |_, _| 7)
}

fn status(view: &MessageView<'_>, policy: &Policy) -> u32 {
    submit(view, policy).map_or_else(|rejection| rejection.0.into(), |_| 0)
}

#[test]
fn a_national_number_is_completed_and_the_receipt_will_come_from_what_was_written() {
    let accepted = submit(&message(b"Moi"), &policy()).expect("accepted").message;
    assert_eq!((accepted.destination.ton, &accepted.destination.digits[..]), (1, &b"358401234567"[..]));
    assert_eq!(accepted.submitted_destination.map(|a| a.digits.to_vec()), Some(b"0401234567".to_vec()));
    assert_eq!((accepted.expires_at, accepted.validity_given), (NOW.plus(48 * HOUR), false));
}

#[test]
fn only_permitted_senders_pass_and_a_number_may_bear_its_plus() {
    let policy = Policy { senders: Senders::new(Some(["SHOP", "+358457001122"])), ..policy() };
    let from = |digits| MessageView { source: AddressView { ton: 1, npi: 1, digits }, ..message(b"Moi") };
    assert_eq!(status(&from(b"SHOP"), &policy), 0);
    assert_eq!(status(&from(b"358457001122"), &policy), 0);
    assert_eq!(status(&from(b"+358457001122"), &policy), 0);
    for refused in [&b"shop"[..], b"SHOP ", b"BANK", b""] {
        assert_eq!(status(&from(refused), &policy), 0x0A, "{refused:?}");
    }
}

#[test]
fn a_sender_that_cannot_exist_is_refused() {
    let from = |digits| MessageView { source: AddressView { ton: 5, npi: 0, digits }, ..message(b"Moi") };
    for refused in [&b"TWELVE CHARS"[..], b"[TEN+CHAR]", b"123456789012345678901", b"caf\xC3\xA9"] {
        assert_eq!(status(&from(refused), &policy()), 0x0A, "{refused:?}");
    }
    assert_eq!(submit(&from(b"ELEVENCHARS"), &policy()).expect("accepted").message.source.ton, 5);
}

#[test]
fn more_parts_than_the_account_may_send_are_refused_and_never_shortened() {
    let text = vec![b'a'; 3 * 153 + 1];
    let mut tlvs = BytesMut::new();
    tlv::put(&mut tlvs, TlvTag::MessagePayload, &text);
    assert_eq!(status(&MessageView { tlvs: Tlvs::encoded(&tlvs), ..message(b"") }, &policy()), 0x01);
    let mut tlvs = BytesMut::new();
    tlv::put(&mut tlvs, TlvTag::MessagePayload, &text[1..]);
    let accepted = submit(&MessageView { tlvs: Tlvs::encoded(&tlvs), ..message(b"") }, &policy()).expect("three parts");
    assert_eq!((accepted.parts, accepted.message.reference, accepted.message.body.octets.len()), (3, 7, 459));
}

#[test]
fn an_applications_own_header_is_kept_apart_from_the_text() {
    let view = MessageView { esm_class: 0x43, ..message(b"\x05\x00\x03\x2A\x02\x01Moi") };
    let accepted = submit(&view, &policy()).expect("accepted").message;
    assert_eq!(accepted.concatenation.map(|c| (c.reference, c.total, c.sequence)), Some((0x2A, 2, 1)));
    assert_eq!((&accepted.body.octets[..], accepted.body.alphabet), (&b"Moi"[..], Alphabet::Gsm7));
    let longer = MessageView { esm_class: 0x40, ..message(b"\x20\x00") };
    assert_eq!(status(&longer, &policy()), 0x43);
}

#[test]
fn times_are_kept_within_what_the_account_may_ask() {
    let valid = |period| MessageView { validity_period: period, ..message(b"Moi") };
    let ends = |period| submit(&valid(period), &policy()).expect("accepted").message.expires_at;
    assert_eq!(ends(b"000000010000000R"), NOW.plus(HOUR));
    assert_eq!(ends(b"000030000000000R"), NOW.plus(72 * HOUR), "shortened to the longest");
    assert_eq!(status(&valid(b"200101000000000+"), &policy()), 0x62, "in the past");
    let scheduled = MessageView { schedule_delivery_time: b"000000020000000R", ..message(b"Moi") };
    let message_later = submit(&scheduled, &policy()).expect("accepted").message;
    assert_eq!((message_later.not_before, message_later.expires_at), (NOW.plus(2 * HOUR), NOW.plus(50 * HOUR)));
    let too_late = MessageView { schedule_delivery_time: b"000010000000000R", ..message(b"Moi") };
    assert_eq!(status(&too_late, &policy()), 0x61);
}

#[test]
fn fields_that_no_message_can_have_get_their_own_status() {
    let cases: [(u32, MessageView<'_>); 6] = [
        (0x06, MessageView { priority_flag: 5, ..message(b"Moi") }),
        (0x42, MessageView { replace_if_present: 1, ..message(b"Moi") }),
        (0x54, MessageView { replace_if_present: 2, ..message(b"Moi") }),
        (0x63, MessageView { sm_default_msg_id: 1, ..message(b"Moi") }),
        (0x43, MessageView { esm_class: 0x02, ..message(b"Moi") }),
        (0x43, MessageView { esm_class: 0x04, ..message(b"Moi") }),
    ];
    for (expected, view) in cases {
        assert_eq!(status(&view, &policy()), expected);
    }
    let high = MessageView { priority_flag: 3, ..message(b"Moi") };
    assert_eq!(submit(&high, &policy()).expect("accepted").message.priority, 1, "lowered to what the account may");
}

#[test]
fn tlvs_for_the_operator_are_passed_on_and_those_acted_on_are_not() {
    let mut tlvs = BytesMut::new();
    tlv::put(&mut tlvs, TlvTag::UserMessageReference, &[0, 9]);
    tlv::put(&mut tlvs, TlvTag::QosTimeToLive, &3_600u32.to_be_bytes());
    tlv::put(&mut tlvs, TlvTag::from(0x1403), b"24405");
    tlv::put(&mut tlvs, TlvTag::from(0x0999), b"reserved");
    let accepted = submit(&MessageView { tlvs: Tlvs::encoded(&tlvs), ..message(b"Moi") }, &policy()).expect("accepted").message;
    assert_eq!(accepted.expires_at, NOW.plus(HOUR));
    let kept: Vec<u16> = Tlvs::encoded(&accepted.tlvs).iter().map(|tlv| u16::from(tlv.tag)).collect();
    assert_eq!(kept, [0x0204, 0x1403]);
}

#[test]
fn parts_cut_for_a_header_of_eight_bits_keep_to_it_whatever_their_sar_reference() {
    let mut tlvs = BytesMut::new();
    tlv::put(&mut tlvs, TlvTag::SarMsgRefNum, &[1, 2]);
    tlv::put(&mut tlvs, TlvTag::SarTotalSegments, &[3]);
    tlv::put(&mut tlvs, TlvTag::SarSegmentSeqnum, &[1]);
    let text = [b'a'; 153];
    let accepted = submit(&MessageView { tlvs: Tlvs::encoded(&tlvs), ..message(&text) }, &policy()).expect("accepted").message;
    let own = accepted.concatenation.expect("a part");
    assert_eq!((own.reference, own.total, own.sequence), (2, 3, 1));
    for long_messages in [LongMessages::Udh8, LongMessages::Udh16, LongMessages::Sar, LongMessages::Payload] {
        assert!(plan::plan(&accepted.body, 0, Some(own), long_messages).is_ok(), "{long_messages:?}");
    }
}
