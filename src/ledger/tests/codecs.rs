//! Records say what was written into them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::codec::{Reader, mail, message, mo, put_mail, put_mo};
use super::*;

fn octets(longest: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..longest).prop_map(Bytes::from)
}

fn address() -> impl Strategy<Value = Address> {
    (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..30)).prop_map(|(ton, npi, digits)| Address::new(ton, npi, &digits))
}

fn body() -> impl Strategy<Value = Body> {
    let alphabet = prop_oneof![Just(Alphabet::Gsm7), Just(Alphabet::Ucs2), Just(Alphabet::Octets)];
    (alphabet, octets(300)).prop_map(|(alphabet, octets)| Body { alphabet, octets })
}

fn concatenation() -> impl Strategy<Value = Option<Concatenation>> {
    option::of((any::<u16>(), 1u8.., any::<u8>()).prop_map(|(reference, total, sequence)| Concatenation {
        reference,
        total,
        sequence,
    }))
}

fn name() -> impl Strategy<Value = Arc<str>> {
    "[a-zä]{0,20}".prop_map(Arc::from)
}

prop_compose! {
    fn messages()(
        (account, source, destination, submitted_destination) in (name(), address(), address(), option::of(address())),
        service_type in vec(any::<u8>(), 0..7),
        (protocol_id, priority, esm_class, receipt, dcs_class) in any::<(u8, u8, u8, u8, u8)>(),
        (accepted_at, not_before, expires_at, reference) in any::<(u64, u64, u64, u16)>(),
        (validity_given, short_id) in any::<(bool, bool)>(),
        (body, concatenation, udh, tlvs) in (body(), concatenation(), octets(140), octets(400)),
    ) -> Message {
        Message {
            account, source, destination, submitted_destination,
            service_type: SmallVec::from_vec(service_type),
            protocol_id, priority, esm_class,
            receipt: ReceiptRequest(receipt),
            accepted_at: Timestamp(accepted_at),
            not_before: Timestamp(not_before),
            expires_at: Timestamp(expires_at),
            validity_given, body, dcs_class, concatenation, udh, reference, tlvs, short_id,
        }
    }
}

prop_compose! {
    fn mailed_receipts()(
        (message, short_id, part, parts) in (any::<u64>(), any::<bool>(), option::of(0u8..254), any::<u8>()),
        (state, error, network_error_code) in (0u8..10, vec(any::<u8>(), 0..12), any::<Option<[u8; 3]>>()),
        (submitted_at, done_at, reference) in any::<(u64, u64, Option<u16>)>(),
    ) -> MailContent {
        MailContent::Receipt(MailedReceipt {
            message: MessageId(message), short_id, part, parts,
            state: State::from_number(state).unwrap(),
            error: SmallVec::from_vec(error),
            network_error_code,
            submitted_at: Timestamp(submitted_at),
            done_at: Timestamp(done_at),
            reference,
        })
    }
}

prop_compose! {
    fn mailed_mos()(
        (protocol_id, dcs_class) in any::<(u8, u8)>(),
        (body, concatenation, udh, tlvs) in (body(), concatenation(), octets(140), octets(400)),
    ) -> MailContent {
        MailContent::Mo(Box::new(MailedMo { protocol_id, dcs_class, concatenation, udh, body, tlvs }))
    }
}

prop_compose! {
    fn mails()(
        id: u64,
        (account, source, destination) in (name(), address(), address()),
        (created_at, expires_at) in any::<(u64, u64)>(),
        content in prop_oneof![mailed_receipts(), mailed_mos()],
    ) -> Mail {
        Mail {
            id: MessageId(id), account, source, destination,
            created_at: Timestamp(created_at),
            expires_at: Timestamp(expires_at),
            content,
        }
    }
}

prop_compose! {
    fn mos()(
        (operator, source, destination) in (name(), address(), address()),
        (protocol_id, dcs_class, received_at) in any::<(u8, u8, u64)>(),
        (body, concatenation, udh, tlvs) in (body(), concatenation(), octets(140), octets(400)),
    ) -> Mo {
        Mo {
            operator, source, destination, protocol_id, dcs_class,
            received_at: Timestamp(received_at),
            concatenation, udh, body, tlvs,
        }
    }
}

proptest! {
    #[test]
    fn a_message_is_read_back_whole(written in messages()) {
        let mut out = Vec::new();
        put_message(&mut out, &written);
        let mut reader = Reader(out.into());
        prop_assert_eq!(message(&mut reader), Ok(written));
        prop_assert!(reader.0.is_empty());
    }

    #[test]
    fn a_mailbox_item_is_read_back_whole(written in mails()) {
        let mut out = Vec::new();
        put_mail(&mut out, &written);
        prop_assert_eq!(mail(written.id, &mut Reader(out.into())), Ok(written));
    }

    #[test]
    fn a_part_from_a_handset_is_read_back_whole(written in mos()) {
        let mut out = Vec::new();
        put_mo(&mut out, &written);
        prop_assert_eq!(mo(&mut Reader(out.into())), Ok(written));
    }

    #[test]
    fn a_record_cut_short_is_unreadable_and_no_octets_do_harm(written in messages(), cut in 0usize..500, junk in octets(200), kind in 0u8..10) {
        let mut out = Vec::new();
        put_message(&mut out, &written);
        if cut < out.len() {
            prop_assert_eq!(message(&mut Reader(Bytes::copy_from_slice(&out[..cut]))), Err(Unreadable));
        }
        let _ = World::new().ledger.restore(kind, MessageId(1), Location::default(), junk);
    }
}

/// A message that has been moved, with so many parts taken by this operator.
fn carried(parts: u8, operator: &str) -> Bytes {
    let mut out = Vec::new();
    put_message(&mut out, &test_message("shop", RECIPIENT, "Moi"));
    out.push(parts);
    for _ in 0..parts {
        out.extend_from_slice(&[1, 0, 0, 0, 9, operator.len() as u8]);
        out.extend_from_slice(operator.as_bytes());
        out.push(0);
    }
    out.into()
}

#[test]
fn a_record_with_more_parts_than_a_message_may_have_is_unreadable() {
    let most = MAX_PARTS as u8;
    let mut ledger = World::new().ledger;
    assert_eq!(ledger.restore(kind::CARRIED, MessageId(1), Location::default(), carried(most, "alpha")), Ok(()));
    assert_eq!(ledger.restore(kind::CARRIED, MessageId(2), Location::default(), carried(most + 1, "alpha")), Err(Unreadable));
    assert_eq!(ledger.pending_messages(), 1);
}

#[test]
fn a_part_taken_by_nobody_is_unreadable() {
    let mut ledger = World::new().ledger;
    assert_eq!(ledger.restore(kind::CARRIED, MessageId(1), Location::default(), carried(1, "")), Err(Unreadable));
    assert_eq!(ledger.restore(kind::CARRIED, MessageId(1), Location::default(), carried(0, "")), Ok(()));
    let sent = Bytes::from_static(&[0, 1, 0, 0, 0, 9, 0, 2, b'i', b'd']);
    assert_eq!(ledger.restore(kind::SENT, MessageId(1), Location::default(), sent), Err(Unreadable));
}

/// In version 3 of the spool a message was ended by the same record as a mailbox item, and a receipt did not say which part it was about.
#[test]
fn records_of_the_version_before_end_their_messages() {
    let mut world = World::new();
    let (taken, told) = (world.accept(1, 1), world.accept(2, 1));
    world.sent(&taken, (0, 1), A, "a");
    world.sent(&told, (0, 1), A, "b");
    world.receipt(A, "b", State::Delivered);
    let entry = world.log.records.iter_mut().find(|entry| entry.kind == kind::MAIL).expect("a receipt");
    let mut item = Reader(entry.payload.clone());
    let closes = records::closes(&mut item).expect("what it closes");
    assert!(closes.things == [MessageId(2)] && closes.part.is_some());
    entry.payload = [&1u16.to_be_bytes()[..], &2u64.to_be_bytes(), &[0; 8], &item.0].concat().into();
    world.log.append_change(kind::DONE, MessageId(1), &[]);
    let mut again = world.restarted();
    assert_eq!((again.ledger.pending_messages(), again.mail().len()), (0, 1));
    assert_eq!(again.ledger.standing(MessageId(2)).expect("remembered").state, Some(State::Delivered));
    assert_eq!(again.ledger.standing(MessageId(1)), None, "in which state it ended is not known");
}
