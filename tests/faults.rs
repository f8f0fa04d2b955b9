//! Bad input, slow clients and dead links: each gets the status of the standard on its own sequence number, is counted under its
//! reason, and disturbs nobody else.

mod support;

use bytes::{BufMut, BytesMut};
use smppgw::smpp::{AddressView, BindKind, CommandId, MessageView, TlvTag, Tlvs, Version, encode, tlv};
use support::client::{Client, THROTTLED, header, message, message_body, pdu, string};
use support::operator::{Operator, prompt};
use support::story::{Setup, Story};

const NUMBER: &str = "358401234567";

/// A daemon without any operator that answers.
fn lonely() -> Setup {
    Setup::new(&[("elisa", 1)])
}

fn rejected(story: &Story, reason: &str, count: f64) {
    story.waits_for("smppgw_messages_rejected_total", &[("account", "app"), ("reason", reason)], count);
}

fn faults(story: &Story, reason: &str, count: f64) {
    story.waits_for("smppgw_pdu_faults_total", &[("side", "upstream"), ("reason", reason)], count);
}

/// Sends each message on one session and expects its status, then that the session still works.
fn refuses(setup: &Setup, messages: &[(&str, MessageView<'_>, u32)]) -> Story {
    let story = setup.start();
    let mut client = story.client();
    for (what, message, status) in messages {
        assert_eq!(client.submit(message).err(), Some(*status), "{what}");
    }
    assert!(client.submit(&message(NUMBER, b"good")).is_ok());
    story
}

#[test]
fn an_impossible_command_length_is_nacked_and_ends_only_its_own_session() {
    let story = lonely().start();
    let mut other = story.client();
    for (length, sequence) in [(0, 0), (3, 0), (15, 0), (16 << 20, 7), (u32::MAX, 7)] {
        let mut client = story.client();
        let mut octets = BytesMut::new();
        [length, 0x04, 0, 7].iter().for_each(|word| octets.put_u32(*word));
        client.write(&octets);
        let nack = client.receive();
        assert_eq!(header(&nack), (CommandId::GenericNack, 0x02, sequence), "length {length}");
        client.is_closed();
    }
    other.is_alive();
    faults(&story, "framing", 5.0);
    story.ends_well();
}

#[test]
fn a_truncated_body_is_refused_with_the_status_of_the_field_it_ends_in() {
    let story = lonely().start();
    let mut client = story.client();
    let whole = message_body(&message(NUMBER, b"Moi"));
    for length in 0..whole.len() {
        let answer = client.ask(CommandId::SubmitSm, &whole[..length]);
        assert_eq!(answer.command_id(), CommandId::SubmitSmResp);
        assert_ne!(u32::from(answer.status()), 0, "{length} octets");
        assert!(answer.body().is_empty(), "an error has no body");
    }
    let unterminated = [&whole[..3], &[b'9'; 300]].concat();
    assert_eq!(u32::from(client.ask(CommandId::SubmitSm, &unterminated).status()), 0x0A);
    let unterminated_service_type = [b'x'; 300];
    assert_eq!(u32::from(client.ask(CommandId::SubmitSm, &unterminated_service_type).status()), 0x15);
    client.is_alive();
    story.ends_well();
}

#[test]
fn a_tlv_that_runs_past_the_end_is_refused_as_such() {
    let story = lonely().start();
    let mut client = story.client();
    let whole = message_body(&message(NUMBER, b"Moi"));
    for tlvs in [&[0x04, 0x24, 0xFF, 0xFF, 1][..], &[0x02, 0x04, 0x00, 0x02, 0x01], &[0x02, 0x04, 0x00], &[0x02, 0x04]] {
        let answer = client.ask(CommandId::SubmitSm, &[&whole[..], tlvs].concat());
        assert_eq!((answer.command_id(), u32::from(answer.status())), (CommandId::SubmitSmResp, 0xC0), "{tlvs:?}");
    }
    client.is_alive();
    rejected(&story, "ESME_RINVTLVSTREAM", 4.0);
    story.ends_well();
}

#[test]
fn an_unknown_command_is_nacked_and_the_session_goes_on() {
    let story = lonely().start();
    let mut client = story.client();
    for command in [0x0000_00FF, 0x0001_0200, 0x7FFF_FFFF] {
        let answer = client.ask(CommandId::from(command), b"whatever");
        assert_eq!((answer.command_id(), u32::from(answer.status())), (CommandId::GenericNack, 0x03), "{command:#x}");
    }
    client.is_alive();
    faults(&story, "unknown-command", 3.0);
    story.ends_well();
}

#[test]
fn a_response_to_nothing_is_counted_and_otherwise_ignored() {
    let story = lonely().start();
    let mut client = story.client();
    client.write(&pdu(CommandId::DeliverSmResp, 0, 4711, &[0]));
    client.is_alive();
    faults(&story, "unknown-response", 1.0);
    story.ends_well();
}

#[test]
fn a_request_before_bind_is_refused_with_its_own_response() {
    let story = lonely().start();
    let mut client = Client::connect(story.port);
    let answer = client.ask(CommandId::SubmitSm, &message_body(&message(NUMBER, b"Moi")));
    assert_eq!(header(&answer), (CommandId::SubmitSmResp, 0x04, 1));
    let answer = client.ask(CommandId::QuerySm, b"id\0\0\0\0");
    assert_eq!(header(&answer), (CommandId::QuerySmResp, 0x04, 2));
    assert_eq!(client.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0, "the session goes on");
    faults(&story, "wrong-state", 2.0);
    story.ends_well();
}

#[test]
fn a_second_bind_is_refused_and_the_first_one_stays() {
    let story = lonely().start();
    let mut client = story.client();
    assert_eq!(client.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0x05);
    assert!(client.submit(&message(NUMBER, b"Moi")).is_ok());
    faults(&story, "already-bound", 1.0);
    story.ends_well();
}

#[test]
fn a_receiver_cannot_submit() {
    let story = lonely().start();
    let mut client = Client::bound_as(story.port, BindKind::Receiver, "app", "secret");
    assert_eq!(client.submit(&message(NUMBER, b"Moi")), Err(0x04));
    client.is_alive();
    story.ends_well();
}

#[test]
fn a_wrong_password_and_an_unknown_account_get_the_same_answer() {
    let story = lonely().start();
    let mut answers = Vec::new();
    for (system_id, password) in [("app", "wrong"), ("nobody", "secret"), ("app", "")] {
        let mut client = Client::connect(story.port);
        let mut bind = BytesMut::new();
        encode::bind(&mut bind, 1, &support::client::bind_view(BindKind::Transceiver, system_id, password, Version::V3_4));
        client.write(&bind);
        answers.push(client.receive().bytes().clone());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0][8..12], 0x0D_u32.to_be_bytes());
    story.waits_for("smppgw_logins_refused_total", &[("reason", "wrong-password")], 2.0);
    story.waits_for("smppgw_logins_refused_total", &[("reason", "unknown-account")], 1.0);
    story.ends_well();
}

#[test]
fn equal_sequence_numbers_are_answered_one_by_one() {
    let story = lonely().start();
    let mut client = story.client();
    let submit = pdu(CommandId::SubmitSm, 0, 9, &message_body(&message(NUMBER, b"Moi")));
    client.write(&[&submit[..], &submit, &submit].concat());
    let mut ids: Vec<String> = (0..3)
        .map(|_| client.receive())
        .map(|answer| {
            assert_eq!(header(&answer), (CommandId::SubmitSmResp, 0, 9));
            string(answer.body())
        })
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "three messages: {ids:?}");
    story.ends_well();
}

#[test]
fn fields_with_impossible_values_are_refused_each_with_its_own_status() {
    let plain = message(NUMBER, b"Moi");
    let relative_past = MessageView { validity_period: b"200101000000000+", ..plain };
    let mut both = BytesMut::new();
    tlv::put(&mut both, TlvTag::MessagePayload, b"payload");
    let mut sar = BytesMut::new();
    tlv::put(&mut sar, TlvTag::SarMsgRefNum, &[0, 1]);
    tlv::put(&mut sar, TlvTag::SarTotalSegments, &[2]);
    tlv::put(&mut sar, TlvTag::SarSegmentSeqnum, &[1]);
    let with_udh = MessageView { esm_class: 0x40, short_message: b"\x05\x00\x03\x01\x02\x01Moi", ..plain };
    let address = |digits| AddressView { ton: 1, npi: 1, digits };
    let long = [b'a'; 254];
    let story = refuses(
        &lonely().account("max_parts = 1"),
        &[
            ("UDH longer than the text", MessageView { esm_class: 0x40, short_message: b"\x40abc", ..plain }, 0x43),
            ("UDH in no text", MessageView { esm_class: 0x40, short_message: b"", ..plain }, 0x43),
            ("SAR and UDH", MessageView { tlvs: Tlvs::encoded(&sar), ..with_udh }, 0x43),
            ("transaction mode", MessageView { esm_class: 0x02, ..plain }, 0x43),
            ("a receipt from an application", MessageView { esm_class: 0x04, ..plain }, 0x43),
            ("UCS-2 of three octets", MessageView { data_coding: 8, short_message: b"abc", ..plain }, 0x01),
            ("no such GSM-7 character", MessageView { short_message: b"Moi\x80", ..plain }, 0x104),
            ("reserved data_coding", MessageView { data_coding: 0x0C, ..plain }, 0x104),
            ("two parts where one is allowed", MessageView { short_message: &long, ..plain }, 0x01),
            ("text in two places", MessageView { tlvs: Tlvs::encoded(&both), ..plain }, 0x01),
            ("no destination", MessageView { destination: address(b""), ..plain }, 0x0B),
            ("a destination of letters", MessageView { destination: address(b"ABC"), ..plain }, 0x0B),
            ("validity in the past", relative_past, 0x62),
            ("no such validity", MessageView { validity_period: b"tomorrow", ..plain }, 0x62),
            ("no such month", MessageView { schedule_delivery_time: b"301301000000000+", ..plain }, 0x61),
            ("replace_if_present", MessageView { replace_if_present: 1, ..plain }, 0x42),
            ("replace_if_present of 2", MessageView { replace_if_present: 2, ..plain }, 0x54),
            ("sm_default_msg_id", MessageView { sm_default_msg_id: 3, ..plain }, 0x63),
            ("priority of no network", MessageView { priority_flag: 9, ..plain }, 0x06),
        ],
    );
    rejected(&story, "ESME_RINVESMCLASS", 5.0);
    rejected(&story, "ESME_RINVDCS", 2.0);
    rejected(&story, "ESME_RINVMSGLEN", 3.0);
    story.waits_for("smppgw_messages_accepted_total", &[("account", "app")], 1.0);
    story.ends_well();
}

#[test]
fn only_the_accounts_own_senders_pass() {
    let plain = message(NUMBER, b"Moi");
    let from = |ton, digits| MessageView { source: AddressView { ton, npi: 0, digits }, ..plain };
    let setup = lonely().account("senders = [\"SHOP\", \"+3584570001122\"]");
    let story = refuses(
        &setup,
        &[
            ("another name", from(5, b"BANK"), 0x0A),
            ("another case", from(5, b"shop"), 0x0A),
            ("another number", from(1, b"3584570001123"), 0x0A),
            ("no sender", from(0, b""), 0x0A),
        ],
    );
    assert!(story.client().submit(&from(1, b"3584570001122")).is_ok());
    story.ends_well();
}

#[test]
fn a_destination_without_route_is_refused() {
    let setup = lonely().replace("prefix = [\"\"]", "prefix = [\"358\"]");
    let story = refuses(&setup, &[("Sweden", message("46701234567", b"Hej"), 0x0B)]);
    story.ends_well();
}

#[test]
fn over_its_rate_an_account_is_throttled_and_nothing_else_happens() {
    let story = lonely().account("rate = 10").start();
    let mut client = story.client();
    let submit = |sequence| pdu(CommandId::SubmitSm, 0, sequence, &message_body(&message(NUMBER, b"Moi")));
    let mut octets: Vec<u8> = (10..50).flat_map(submit).collect();
    octets.extend_from_slice(&pdu(CommandId::EnquireLink, 0, 50, &[]));
    client.write(&octets);
    let answers: Vec<_> = (0..41).map(|_| client.receive()).map(|answer| header(&answer)).collect();
    let of = |wanted| answers.iter().filter(|(_, status, _)| *status == wanted).count();
    let (accepted, throttled) = (of(0) - 1, of(0x58));
    assert!(accepted >= 10 && throttled >= 20 && accepted + throttled == 40, "a second's worth may come at once: {answers:?}");
    let place = |wanted: &dyn Fn(&(CommandId, u32, u32)) -> bool| answers.iter().position(wanted);
    let alive = place(&|(command, ..)| *command == CommandId::EnquireLinkResp);
    assert!(alive < place(&|(_, status, _)| *status == 0x58), "refusals are in no hurry, everything else is: {answers:?}");
    rejected(&story, "ESME_RTHROTTLED", throttled as f64);
    story.ends_well();
}

#[test]
fn a_client_that_writes_octet_by_octet_is_understood() {
    let story = lonely().start();
    let mut client = story.client();
    let submit = pdu(CommandId::SubmitSm, 0, 77, &message_body(&message(NUMBER, b"Moi")));
    submit.iter().for_each(|octet| client.write(&[*octet]));
    assert_eq!(header(&client.receive()), (CommandId::SubmitSmResp, 0, 77));
    story.ends_well();
}

#[test]
fn ten_thousand_submits_without_reading_are_all_answered_and_hold_up_nobody() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut flood = story.client();
    let mut octets = BytesMut::new();
    for sequence in 10..10_010 {
        octets.put_slice(&pdu(
            CommandId::SubmitSm,
            0,
            sequence,
            &message_body(&MessageView { registered_delivery: 0, ..message(NUMBER, b"Moi") }),
        ));
    }
    flood.write(&octets);
    let without_receipt = MessageView { registered_delivery: 0, ..message(NUMBER, b"Moi") };
    assert!(story.client().submit(&without_receipt).is_ok(), "another session is served meanwhile");
    let mut answered: Vec<u32> = (0..10_000)
        .map(|_| flood.receive())
        .map(|answer| {
            assert_eq!(answer.command_id(), CommandId::SubmitSmResp);
            // A few may be throttled, because a commit took long.
            assert!([0, THROTTLED].contains(&answer.status().into()), "{answer:?}");
            answer.sequence()
        })
        .collect();
    answered.sort_unstable();
    assert!(answered.iter().copied().eq(10..10_010));
    story.ends_well();
}

#[test]
fn more_bad_requests_at_once_than_the_window_holds_are_all_refused() {
    let story = lonely().start();
    let mut client = story.client();
    let bad = message_body(&message("", b"Moi"));
    let octets: Vec<u8> = (10..510).flat_map(|sequence| pdu(CommandId::SubmitSm, 0, sequence, &bad)).collect();
    client.write(&octets);
    for sequence in 10..510 {
        assert_eq!(header(&client.receive()), (CommandId::SubmitSmResp, 0x0B, sequence));
    }
    story.ends_well();
}

#[test]
fn who_does_not_bind_in_time_is_closed() {
    let story = lonely().section("[timers]\nsession_init = \"2s\"").start();
    Client::connect(story.port).is_closed();
    // An enquire_link does not put it off.
    let mut client = Client::connect(story.port);
    client.is_alive();
    client.is_closed();
    story.ends_well();
}

#[test]
fn an_idle_session_is_unbound_and_an_asked_one_that_answers_is_not_dead() {
    let story = lonely().section("[timers]\ninactivity = \"2s\"\nenquire_link = \"1s\"").start();
    let mut client = story.client();
    let mut enquiries = 0;
    let unbind = loop {
        let request = client.receive();
        client.answer(&request, 0, &[]);
        match request.command_id() {
            CommandId::EnquireLink => enquiries += 1,
            _ => break request,
        }
    };
    assert_eq!(unbind.command_id(), CommandId::Unbind);
    assert!(enquiries >= 1);
    client.is_closed();
    story.ends_well();
}

#[test]
fn a_dead_link_is_closed_and_only_that() {
    let story = lonely().section("[timers]\nenquire_link = \"1s\"\nresponse = \"1s\"").start();
    let mut dead = story.client();
    dead.expect(CommandId::EnquireLink);
    dead.is_closed();
    story.waits_for("smppgw_sessions", &[("account", "app")], 0.0);
    story.ends_well();
}

#[test]
fn an_account_has_only_so_many_binds_at_once() {
    let story = lonely().replace("binds = 64", "binds = 2").start();
    let (first, _second) = (story.client(), story.client());
    let mut third = Client::connect(story.port);
    assert_eq!(third.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0x0D);
    story.waits_for("smppgw_logins_refused_total", &[("reason", "too-many-binds")], 1.0);
    drop(first);
    story.waits_for("smppgw_sessions", &[("account", "app")], 1.0);
    assert_eq!(third.bind(BindKind::Transceiver, "app", "secret", Version::V3_4), 0, "a seat is free again");
    drop(third);
    story.waits_for("smppgw_sessions", &[("account", "app")], 1.0);
    story.ends_well();
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    for limit in ["connections = 2", "connections_per_address = 2"] {
        let story = lonely().section(&format!("[limits]\n{limit}")).start();
        let (mut first, second) = (story.client(), story.client());
        Client::connect(story.port).is_closed();
        story.waits_for("smppgw_connections_refused_total", &[("reason", "limit")], 1.0);
        first.is_alive();
        drop(second);
        story.waits_for("smppgw_connections", &[], 1.0);
        story.ends_well();
    }
}

#[test]
fn an_account_binds_only_from_where_it_may() {
    let story =
        lonely().section("[[account]]\nsystem_id = \"far\"\npassword = \"secret\"\nallow_from = [\"10.0.0.0/8\"]").start();
    let mut client = Client::connect(story.port);
    assert_eq!(client.bind(BindKind::Transceiver, "far", "secret", Version::V3_4), 0x0D);
    story.waits_for("smppgw_logins_refused_total", &[("reason", "address-not-allowed")], 1.0);
    story.ends_well();
}

#[test]
fn an_unbind_amid_traffic_is_answered_after_everything_before_it() {
    let story = lonely().start();
    let mut client = story.client();
    let mut octets = BytesMut::new();
    for sequence in 10..60 {
        octets.put_slice(&pdu(CommandId::SubmitSm, 0, sequence, &message_body(&message(NUMBER, b"Moi"))));
    }
    octets.put_slice(&pdu(CommandId::Unbind, 0, 60, &[]));
    client.write(&octets);
    for sequence in 10..60 {
        assert_eq!(header(&client.receive()), (CommandId::SubmitSmResp, 0, sequence));
    }
    assert_eq!(header(&client.receive()), (CommandId::UnbindResp, 0, 60));
    client.is_closed();
    story.waits_for("smppgw_messages_accepted_total", &[("account", "app")], 50.0);
    story.ends_well();
}

#[test]
fn query_sm_tells_where_a_message_stands_to_its_owner_only() {
    let setup = lonely().section("[[account]]\nsystem_id = \"other\"\npassword = \"secret\"");
    let story = setup.start();
    let mut client = story.client();
    let id = client.submit(&message(NUMBER, b"Moi")).expect("an id");
    let mut query = BytesMut::new();
    encode::query_body(&mut query, id.as_bytes(), &AddressView { ton: 5, npi: 0, digits: b"SHOP" });
    let answer = client.ask(CommandId::QuerySm, &query);
    assert_eq!((answer.command_id(), u32::from(answer.status())), (CommandId::QuerySmResp, 0));
    let read = smppgw::smpp::view::QueryResponseView::parse(&answer, smppgw::smpp::Strictness::Strict).expect("a body");
    assert_eq!((read.message_id, read.message_state), (id.as_bytes(), 1), "ENROUTE");
    let mut other = Client::bound_as(story.port, BindKind::Transceiver, "other", "secret");
    assert_eq!(u32::from(other.ask(CommandId::QuerySm, &query).status()), 0x0C);
    assert_eq!(u32::from(client.ask(CommandId::QuerySm, b"nonsense\0\0\0\0").status()), 0x0C);
    story.ends_well();
}

#[test]
fn operations_not_offered_are_refused_as_such_by_version() {
    let story = lonely().start();
    for (version, status) in [(Version::V3_4, 0x03), (Version::V5_0, 0x101)] {
        let mut client = Client::connect(story.port);
        assert_eq!(client.bind(BindKind::Transceiver, "app", "secret", version), 0);
        let answer = client.ask(CommandId::CancelSm, b"\0id\0\0\0\0\0\0\0");
        assert_eq!((answer.command_id(), u32::from(answer.status())), (CommandId::CancelSmResp, status));
        client.is_alive();
    }
    story.ends_well();
}

#[test]
fn a_3_3_client_gets_short_ids_and_no_tlvs() {
    let operator = Operator::start(prompt());
    let story = Setup::new(&[("elisa", operator.port())]).start();
    let mut client = Client::connect(story.port);
    let request = client.next_sequence();
    let mut bind = BytesMut::new();
    encode::bind(&mut bind, request, &support::client::bind_view(BindKind::Transceiver, "app", "secret", Version::V3_3));
    client.write(&bind);
    let answer = client.answer_to(request);
    assert_eq!(answer.body(), b"t1\0", "no sc_interface_version");
    let sequence = client.send_submit(&message(NUMBER, b"Moi"));
    let answer = client.receive();
    assert_eq!(header(&answer), (CommandId::SubmitSmResp, 0, sequence));
    let id = string(answer.body());
    assert!(id.len() <= 8 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    let delivery = client.delivery();
    assert_eq!(support::client::receipt(&delivery), (id, "DELIVRD".to_owned()));
    assert!(support::client::view(&delivery).tlvs.is_empty());
    story.ends_well();
}
