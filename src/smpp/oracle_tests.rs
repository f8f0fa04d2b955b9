//! Views and encoder against rusmpp: what one writes the other reads alike, octet by octet.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use rusmpp::encode::{Length, owned::Encode};
use rusmpp::{Command, Pdu};

use super::view::{AddressView, BindResponseView, BindView, MessageResponseView, MessageView};
use super::view::{QueryResponseView, QueryView};
use super::{BindKind, CommandId, CommandStatus, Frame, Strictness, TlvTag, Tlvs, Version, encode, tlv};

/// The PDU as rusmpp's own encoder writes it.
fn by_rusmpp(command: &Command) -> Frame {
    let mut out = BytesMut::new();
    out.extend_from_slice(&u32::try_from(4 + command.length()).expect("small").to_be_bytes());
    command.encode(&mut out);
    Frame::new(out.freeze()).expect("an exact frame")
}

fn frame(write: impl FnOnce(&mut BytesMut)) -> Frame {
    let mut out = BytesMut::new();
    write(&mut out);
    Frame::new(out.freeze()).expect("an exact frame")
}

/// Decodes by rusmpp, encodes by rusmpp, and demands the same octets.
fn through_rusmpp(ours: &Frame) -> (Frame, Pdu) {
    let command = ours.decode().expect("rusmpp reads what we write");
    assert_eq!((command.id(), command.status()), (ours.command_id(), ours.status()));
    assert_eq!(command.sequence_number(), ours.sequence());
    let theirs = by_rusmpp(&command);
    assert_eq!(&theirs, ours);
    (theirs, command.pdu().expect("a body").clone())
}

fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(0x21u8..0x7F, 0..=max)
}

fn time() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(b'0'..=b'9', 16)]
}

/// TLVs with values their tags allow, and vendor ones.
fn tlvs() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |tag, length| vec(any::<u8>(), length).prop_map(move |value| (tag, value));
    let one = prop_oneof![
        fixed(TlvTag::UserMessageReference, 2),
        fixed(TlvTag::SourcePort, 2),
        fixed(TlvTag::DestPort, 2),
        fixed(TlvTag::SarMsgRefNum, 2),
        fixed(TlvTag::SarTotalSegments, 1),
        fixed(TlvTag::SarSegmentSeqnum, 1),
        fixed(TlvTag::QosTimeToLive, 4),
        vec(any::<u8>(), 0..300).prop_map(|value| (TlvTag::MessagePayload, value)),
        vec(any::<u8>(), 0..40).prop_map(|value| (TlvTag::Other(0x1403), value)),
    ];
    vec(one, 0..5).prop_map(|all| {
        let mut out = BytesMut::new();
        for (tag, value) in all {
            tlv::put(&mut out, tag, &value);
        }
        out.to_vec()
    })
}

/// Owned fields of a message, to borrow a view from.
#[derive(Debug)]
struct Fields {
    strings: [Vec<u8>; 3],
    times: [Vec<u8>; 2],
    octets: [u8; 11],
    text: Vec<u8>,
    tlvs: Vec<u8>,
}

fn fields(address: usize) -> impl Strategy<Value = Fields> {
    let strings = (text(5), text(address), text(address)).prop_map(|(a, b, c)| [a, b, c]);
    let times = (time(), time()).prop_map(|(a, b)| [a, b]);
    (strings, times, any::<[u8; 11]>(), vec(any::<u8>(), 0..=255), tlvs())
        .prop_map(|(strings, times, octets, text, tlvs)| Fields { strings, times, octets, text, tlvs })
}

impl Fields {
    fn source(&self) -> AddressView<'_> {
        AddressView { ton: self.octets[0], npi: self.octets[1], digits: &self.strings[1] }
    }

    fn destination(&self) -> AddressView<'_> {
        AddressView { ton: self.octets[2], npi: self.octets[3], digits: &self.strings[2] }
    }

    fn message(&self) -> MessageView<'_> {
        MessageView {
            service_type: &self.strings[0],
            source: self.source(),
            destination: self.destination(),
            esm_class: self.octets[4],
            protocol_id: self.octets[5],
            priority_flag: self.octets[6],
            schedule_delivery_time: &self.times[0],
            validity_period: &self.times[1],
            registered_delivery: self.octets[7] & 0x1F,
            replace_if_present: self.octets[8],
            data_coding: self.octets[9],
            sm_default_msg_id: self.octets[10],
            short_message: &self.text,
            tlvs: Tlvs::encoded(&self.tlvs),
        }
    }
}

const BOTH: [Strictness; 2] = [Strictness::Strict, Strictness::Lenient];

proptest! {
    #[test]
    fn submit_sm_reads_as_rusmpp_reads_it(fields in fields(20), sequence in 1u32..0x8000_0000) {
        let message = fields.message();
        let (theirs, pdu) = through_rusmpp(&frame(|out| encode::message(out, CommandId::SubmitSm, sequence, &message)));
        for strictness in BOTH {
            prop_assert_eq!(MessageView::parse(&theirs, strictness), Ok(message));
        }
        let Pdu::SubmitSm(submit) = pdu else { panic!("a submit_sm") };
        prop_assert_eq!(submit.source_addr.as_str().as_bytes(), message.source.digits);
        prop_assert_eq!(submit.destination_addr.as_str().as_bytes(), message.destination.digits);
        prop_assert_eq!(u8::from(submit.esm_class), message.esm_class);
        prop_assert_eq!(u8::from(submit.registered_delivery), message.registered_delivery);
        prop_assert_eq!(u8::from(submit.data_coding), message.data_coding);
        prop_assert_eq!(submit.short_message().clone().into_vec(), message.short_message);
        prop_assert_eq!(submit.tlvs().len(), message.tlvs.iter().count());
    }

    #[test]
    fn deliver_sm_reads_as_rusmpp_reads_it(fields in fields(20)) {
        let message = fields.message();
        let (theirs, pdu) = through_rusmpp(&frame(|out| encode::message(out, CommandId::DeliverSm, 1, &message)));
        for strictness in BOTH {
            prop_assert_eq!(MessageView::parse(&theirs, strictness), Ok(message));
        }
        prop_assert!(matches!(pdu, Pdu::DeliverSm(_)));
    }

    #[test]
    fn data_sm_reads_as_rusmpp_reads_it(fields in fields(64)) {
        let full = fields.message();
        let message = MessageView {
            service_type: full.service_type,
            source: full.source,
            destination: full.destination,
            esm_class: full.esm_class,
            registered_delivery: full.registered_delivery,
            data_coding: full.data_coding,
            tlvs: full.tlvs,
            ..MessageView::default()
        };
        let ours = frame(|out| encode::message(out, CommandId::DataSm, 1, &message));
        // rusmpp 0.4 takes only 20 characters here where the standard has 64.
        if message.source.digits.len() <= 20 && message.destination.digits.len() <= 20 {
            through_rusmpp(&ours);
        }
        for strictness in BOTH {
            prop_assert_eq!(MessageView::parse(&ours, strictness), Ok(message));
        }
    }

    #[test]
    fn binds_read_as_rusmpp_reads_them(
        system_id in text(15), password in text(8), system_type in text(12), range in text(40), octets in any::<[u8; 3]>(),
    ) {
        for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
            let bind = BindView {
                kind,
                system_id: &system_id,
                password: &password,
                system_type: &system_type,
                version: Version(octets[0]),
                addr_ton: octets[1],
                addr_npi: octets[2],
                address_range: &range,
            };
            let (theirs, _) = through_rusmpp(&frame(|out| encode::bind(out, 1, &bind)));
            for strictness in BOTH {
                prop_assert_eq!(BindView::parse(&theirs, strictness), Ok(bind));
            }
        }
    }

    #[test]
    fn responses_read_as_rusmpp_reads_them(id in text(64), version in proptest::option::of(any::<u8>())) {
        for request in [CommandId::SubmitSm, CommandId::DataSm] {
            let (theirs, _) = through_rusmpp(&frame(|out| encode::message_response(out, request, 1, &id, &[])));
            prop_assert_eq!(MessageResponseView::parse(&theirs).message_id, &id[..]);
        }
        let system_id = &id[..id.len().min(15)];
        let version = version.map(Version);
        let ours = frame(|out| encode::bind_response(out, CommandId::BindTransceiver, 1, system_id, version));
        let (theirs, _) = through_rusmpp(&ours);
        prop_assert_eq!(BindResponseView::parse(&theirs), BindResponseView { system_id, version });
    }

    #[test]
    fn ancillary_operations_read_as_rusmpp_reads_them(fields in fields(20), id in text(64)) {
        let source = fields.source();
        let (theirs, _) = through_rusmpp(&frame(|out| {
            encode::request(out, CommandId::QuerySm, 1, |out| encode::query_body(out, &id, &source));
        }));
        prop_assert_eq!(QueryView::parse(&theirs, Strictness::Strict), Ok(QueryView { message_id: &id, source }));

        let answer = QueryResponseView { message_id: &id, final_date: &fields.times[0], message_state: 2, error_code: 9 };
        let (theirs, _) = through_rusmpp(&frame(|out| {
            encode::pdu(out, CommandId::QuerySmResp, CommandStatus::EsmeRok, 1, |out| {
                encode::query_response_body(out, &answer);
            });
        }));
        prop_assert_eq!(QueryResponseView::parse(&theirs, Strictness::Strict), Ok(answer));
    }

    /// Whatever the bytes, every view gives fields or an error, and the error has a status.
    #[test]
    fn no_body_makes_a_view_panic(body in vec(prop_oneof![3 => Just(0u8), 5 => any::<u8>()], 0..200)) {
        for command in [CommandId::SubmitSm, CommandId::DeliverSm, CommandId::DataSm, CommandId::BindTransceiver] {
            let frame = whole(command, &body);
            for strictness in BOTH {
                if let Err(error) = MessageView::parse(&frame, strictness).and_then(|message| message.message_text()) {
                    prop_assert_ne!(error.status(), CommandStatus::EsmeRok);
                }
                let _ = BindView::parse(&frame, strictness);
                let _ = QueryView::parse(&frame, strictness);
            }
            let _ = (MessageResponseView::parse(&frame), BindResponseView::parse(&frame));
        }
    }

    /// A lenient reader takes all a strict one takes, and reads the same in it.
    #[test]
    fn lenient_reads_what_strict_reads(body in vec(prop_oneof![3 => Just(0u8), 5 => any::<u8>()], 0..200)) {
        for command in [CommandId::SubmitSm, CommandId::DataSm] {
            let frame = whole(command, &body);
            if let Ok(strict) = MessageView::parse(&frame, Strictness::Strict) {
                prop_assert_eq!(MessageView::parse(&frame, Strictness::Lenient), Ok(strict));
            }
        }
    }
}

fn whole(command: CommandId, body: &[u8]) -> Frame {
    frame(|out| encode::request(out, command, 1, |out| out.extend_from_slice(body)))
}

#[test]
fn bodiless_pdus_read_as_rusmpp_reads_them() {
    for request in [CommandId::EnquireLink, CommandId::Unbind, CommandId::CancelSm, CommandId::ReplaceSm] {
        through_rusmpp(&frame(|out| encode::response(out, request, CommandStatus::EsmeRok, 1)));
    }
    through_rusmpp(&frame(|out| encode::response(out, CommandId::DeliverSm, CommandStatus::EsmeRxTAppn, 1)));
    // With an empty id, which centres look for.
    let answer = frame(|out| encode::response(out, CommandId::DataSm, CommandStatus::EsmeRok, 1));
    through_rusmpp(&answer);
    assert_eq!(answer.bytes().len(), 17);
    let nack = frame(|out| encode::generic_nack(out, CommandStatus::EsmeRinvcmdid, 9));
    through_rusmpp(&nack);
    assert_eq!(nack.bytes(), &Bytes::from_static(b"\0\0\0\x10\x80\0\0\0\0\0\0\x03\0\0\0\x09"));
}
