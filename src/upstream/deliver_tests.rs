use std::sync::LazyLock;

use bytes::Bytes;
use smallvec::SmallVec;

use super::*;
use crate::message::{Address, MessageId, Timestamp};
use crate::smpp::{Frame, Strictness};
use crate::text::{Alphabet, Body, Concatenation};

static NAMES: LazyLock<NodeNames> = LazyLock::new(|| NodeNames::new("gw1".into()));
static FORM: LazyLock<Form<'_>> = LazyLock::new(|| Form { names: &NAMES, utc_offset: 2 * 3600, tlvs: true });

fn mail(content: MailContent) -> Mail {
    Mail {
        id: MessageId(43),
        account: "shop".into(),
        source: Address::new(1, 1, b"358401234567"),
        destination: Address::new(5, 0, b"SHOP"),
        created_at: Timestamp(0),
        expires_at: Timestamp::NEVER,
        content,
    }
}

fn receipt() -> MailedReceipt {
    MailedReceipt {
        message: MessageId(42),
        short_id: false,
        part: None,
        parts: 3,
        state: State::Delivered,
        error: SmallVec::new(),
        network_error_code: None,
        submitted_at: Timestamp(1_704_448_800_000), // 2024-01-05 10:00 UTC
        done_at: Timestamp(1_704_448_865_000),
        reference: None,
    }
}

/// The deliver_sm that the item becomes, as the application reads it.
fn delivered<T>(content: MailContent, form: &Form<'_>, look: impl FnOnce(&MessageView<'_>) -> T) -> T {
    let mail = mail(content);
    let delivery = Delivery::new(&mail, DefaultAlphabet::Gsm7).expect("a text that can be coded");
    let mut pdu = BytesMut::new();
    encode::request(&mut pdu, CommandId::DeliverSm, 1, |out| delivery.write(out, form, &mut Scratch::default()));
    let frame = Frame::new(pdu.freeze()).expect("a whole PDU");
    let view = MessageView::parse(&frame, Strictness::Strict).expect("a valid PDU");
    assert_eq!((view.source.digits, view.destination.digits), (&b"358401234567"[..], &b"SHOP"[..]));
    look(&view)
}

#[test]
fn a_receipt_says_everything_in_its_text_and_again_in_tlvs() {
    let receipt = MailedReceipt { network_error_code: Some([3, 0, 9]), reference: Some(0x0102), ..receipt() };
    delivered(MailContent::Receipt(receipt), &FORM, |view| {
        let text = "id:gw10000002a sub:003 dlvrd:003 submit date:2401051200 done date:2401051201 stat:DELIVRD err:000 text:";
        assert_eq!((std::str::from_utf8(view.short_message), view.esm_class), (Ok(text), ESM_RECEIPT));
        assert_eq!(view.tlvs.receipted_message_id(), Some(&b"gw10000002a"[..]));
        assert_eq!(view.tlvs.message_state(), Some(State::Delivered.number()));
        assert_eq!(view.tlvs.get(TlvTag::NetworkErrorCode), Some(&[3, 0, 9][..]));
        assert_eq!(view.tlvs.user_message_reference(), Some(0x0102));
        assert_eq!(view.tlvs.get(TlvTag::SarSegmentSeqnum), None);
    });
}

#[test]
fn a_receipt_of_one_part_names_it_and_counts_it_alone() {
    let receipt = MailedReceipt { part: Some(1), state: State::Rejected, error: SmallVec::from_slice(b"011"), ..receipt() };
    delivered(MailContent::Receipt(receipt), &FORM, |view| {
        let text = std::str::from_utf8(view.short_message).expect("text");
        assert!(text.contains(" sub:001 dlvrd:000 ") && text.contains(" stat:REJECTD err:011 "), "{text}");
        assert_eq!(view.tlvs.get(TlvTag::SarSegmentSeqnum), Some(&[2][..]));
    });
}

#[test]
fn an_application_of_smpp_3_3_gets_a_short_id_and_no_tlvs() {
    let form = Form { tlvs: false, ..*FORM };
    delivered(MailContent::Receipt(MailedReceipt { short_id: true, ..receipt() }), &form, |view| {
        assert!(view.short_message.starts_with(b"id:0000002a sub:"), "{:?}", view.short_message);
        assert_eq!(view.tlvs.iter().count(), 0);
    });
}

#[test]
fn a_state_on_the_way_is_a_notification_and_no_receipt() {
    delivered(MailContent::Receipt(MailedReceipt { state: State::Enroute, ..receipt() }), &FORM, |view| {
        assert_eq!(view.esm_class, ESM_NOTIFICATION);
    });
}

#[test]
fn a_text_of_a_handset_too_long_for_short_message_goes_whole_into_message_payload() {
    for length in [3usize, 300] {
        let octets = Bytes::from(vec![b'a'; length]);
        let body = Body { alphabet: Alphabet::Gsm7, octets };
        let mo = MailedMo { protocol_id: 0, dcs_class: 0, concatenation: None, udh: Bytes::new(), body, tlvs: Bytes::new() };
        delivered(MailContent::Mo(Box::new(mo)), &FORM, |view| {
            assert_eq!(view.message_text().expect("a text").len(), length);
            assert_eq!(view.short_message.is_empty(), length > 254);
        });
    }
}

fn mo(body: Body, concatenation: Option<Concatenation>) -> MailContent {
    MailContent::Mo(Box::new(MailedMo {
        protocol_id: 0,
        dcs_class: 0,
        concatenation,
        udh: Bytes::new(),
        body,
        tlvs: Bytes::new(),
    }))
}

/// Parts whose siblings did not come are forwarded as parts, whatever their length: centres that number them in TLVs cut where they
/// like, and what takes one part in the operator's coding may take two in ours.
#[test]
fn a_part_of_a_message_that_is_longer_than_one_short_message_reaches_the_application_still_marked_as_a_part() {
    let bodies = [
        // By sar_ TLVs: nothing is kept free for a header.
        Body { alphabet: Alphabet::Gsm7, octets: vec![b'a'; 160].into() },
        // 153 characters of Latin-1 or UTF-8, one of which the GSM alphabet does not have.
        Body::from_text(&format!("{}í", "a".repeat(152))),
        // 153 octets that are not what their data_coding says.
        Body { alphabet: Alphabet::Octets, octets: vec![0xE4; 153].into() },
        // By message_payload.
        Body { alphabet: Alphabet::Gsm7, octets: vec![b'a'; 40_000].into() },
    ];
    let part = Concatenation { reference: 0x0109, total: 3, sequence: 2 };
    for body in bodies {
        let (octets, alphabet) = (body.octets.clone(), body.alphabet);
        delivered(mo(body, Some(part)), &FORM, |view| {
            assert_eq!(view.message_text().expect("a text"), octets, "{alphabet:?}");
            let tlvs = &view.tlvs;
            let told = (tlvs.sar_msg_ref_num(), tlvs.sar_total_segments(), tlvs.sar_segment_seqnum());
            assert_eq!(told, (Some(0x0109), Some(3), Some(2)), "{alphabet:?}");
        });
    }
}

/// Whatever fits nowhere is an error, which is logged and counted: not an empty text that the application takes for the message.
#[test]
fn a_text_that_outgrows_a_tlv_in_the_accounts_coding_is_never_an_empty_message() {
    let text = |c: char| Body {
        alphabet: Alphabet::Gsm7,
        octets: crate::text::gsm7::encode(&c.to_string()).unwrap().repeat(33_000).into(),
    };
    let mut euro = text('a');
    euro.octets = [&euro.octets[..], &crate::text::gsm7::encode("€").unwrap()].concat().into();
    for (body, alphabet) in [(text('ä'), DefaultAlphabet::Utf8), (euro, DefaultAlphabet::Latin1)] {
        let mail = mail(mo(body, None));
        let Ok(delivery) = Delivery::new(&mail, alphabet) else { continue };
        let mut pdu = BytesMut::new();
        encode::request(&mut pdu, CommandId::DeliverSm, 1, |out| delivery.write(out, &FORM, &mut Scratch::default()));
        let frame = Frame::new(pdu.freeze()).expect("a whole PDU");
        let view = MessageView::parse(&frame, Strictness::Lenient).expect("a valid PDU");
        assert!(!view.message_text().unwrap_or_default().is_empty(), "{alphabet:?}: the text is lost");
    }
}

/// Two messages whose references differ only in the high octet would be mixed up by the application.
#[test]
fn a_part_that_is_forwarded_alone_keeps_the_whole_reference() {
    let long = vec![b'a'; 153];
    for text in [b"text".to_vec(), long] {
        let body = Body { alphabet: Alphabet::Gsm7, octets: text.clone().into() };
        let own = Concatenation { reference: 0x0102, total: 3, sequence: 2 };
        delivered(mo(body, Some(own)), &FORM, |view| {
            let octets = Bytes::copy_from_slice(view.message_text().expect("a text"));
            let sar = crate::accept::fields::segmentation(view).expect("valid TLVs");
            let header = (view.esm_class & 0x40 != 0).then(|| crate::text::udh::split(&octets).expect("a header"));
            let (said, concatenation) = match header {
                Some((header, said)) => (said, header.concatenation),
                None => (octets, sar),
            };
            assert_eq!((&said[..], concatenation), (&text[..], Some(own)));
        });
    }
}
