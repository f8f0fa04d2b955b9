use proptest::prelude::*;

use super::*;

const TYPICAL: &str = "id:1234567890 sub:001 dlvrd:001 submit date:2401051200 done date:2401051201 stat:DELIVRD err:000 text:Hei";
const NOON: i64 = 1_704_456_000; // 2024-01-05 12:00

fn flagged(text: &str) -> Receipt {
    from_parts(Delivery { esm_class: 0x04, text: text.as_bytes(), ..Delivery::default() }).unwrap()
}

fn unflagged(text: &str) -> Option<Receipt> {
    from_parts(Delivery { text: text.as_bytes(), ..Delivery::default() })
}

fn id_and_state(receipt: &Receipt) -> (&str, State) {
    (std::str::from_utf8(&receipt.id).unwrap(), receipt.state)
}

#[test]
fn the_typical_text_is_read_whole() {
    let receipt = flagged(TYPICAL);
    assert_eq!(id_and_state(&receipt), ("1234567890", State::Delivered));
    assert_eq!(receipt.error.as_deref(), Some(&b"000"[..]));
    assert_eq!(receipt.done.unwrap().seconds, NOON + 60);
    assert!(!receipt.intermediate);
}

/// Every way of writing it that the field is known for: the id, the state and the error must come out.
#[test]
fn every_known_variant_is_read() {
    let variants = [
        ("id:42 submit date:2401051200 done date:2401051201 stat:DELIVRD err:000", "42", State::Delivered, "000"),
        ("id:42 sub:001 dlvrd:001 submitdate:2401051200 donedate:2401051201 stat:DELIVRD err:000", "42", State::Delivered, "000"),
        ("id:42 submit_date:2401051200 done_date:2401051201 stat:UNDELIV err: 042 Text:", "42", State::Undeliverable, "042"),
        (
            "ID:42 SUB:001 DLVRD:000 SUBMIT DATE:2401051200 DONE DATE:2401051201 STAT:EXPIRED ERR:1a2F TEXT:",
            "42",
            State::Expired,
            "1a2F",
        ),
        ("id: 42  sub: 001  dlvrd: 001  stat: delivrd  err: 0  Text: x", "42", State::Delivered, "0"),
        ("stat:REJECTD err:0011 id:42", "42", State::Rejected, "0011"),
        ("id:42 stat:FAILED", "42", State::Undeliverable, ""),
        ("id:42 stat:ACKED err:000", "42", State::Accepted, "000"),
        ("id:42 stat:BUFFRED err:000", "42", State::Enroute, "000"),
        ("id:42 stat:ENROUTE err:000", "42", State::Enroute, "000"),
        ("id:42 sub: dlvrd: submit date: done date: stat:DELIVRD err: text:", "42", State::Delivered, ""),
        ("id:42 sub:1 dlvrd:1 submit date:0000000000 done date:0000000000 stat:DELIVRD err:000", "42", State::Delivered, "000"),
        ("id:42;sub:001;stat:DELIVRD;err:000;", "42", State::Delivered, "000"),
        ("id:42\nstat:DELIVRD\r\nerr:000\0", "42", State::Delivered, "000"),
        ("id:42 text:hello stat:DELIVRD err:000", "42", State::Delivered, "000"),
        ("id:42 stat:NEWSTATE err:000", "42", State::Unknown, "000"),
        (
            "id:550e8400-e29b-41d4-a716-446655440000 stat:DELETED err:000",
            "550e8400-e29b-41d4-a716-446655440000",
            State::Deleted,
            "000",
        ),
        ("id:812FC7470000001B812FC7470000001B stat:DELIVRD err:000", "812FC7470000001B812FC7470000001B", State::Delivered, "000"),
    ];
    for (text, id, state, error) in variants {
        let receipt = flagged(text);
        assert_eq!(id_and_state(&receipt), (id, state), "{text}");
        assert_eq!(receipt.error.as_deref().unwrap_or_default(), error.as_bytes(), "{text}");
    }
}

#[test]
fn dates_of_every_length_are_read() {
    for (date, seconds) in [
        ("2401051200", Some(NOON)),
        ("240105120030", Some(NOON + 30)),
        ("202401051200", Some(NOON)),
        ("20240105120030", Some(NOON + 30)),
        ("240105120030000+", Some(NOON + 30)),
        ("240105120030008+", Some(NOON + 30 - 7200)),
        ("240105120030008-", Some(NOON + 30 + 7200)),
        ("2024-01-05 12:00:30", Some(NOON + 30)),
        ("0000000000", None),
        ("2413051200", None),
        ("2401052500", None),
        ("24010512", None),
        ("soon", None),
    ] {
        let receipt = flagged(&format!("id:1 done date:{date} stat:DELIVRD"));
        assert_eq!(receipt.done.map(|done| done.seconds), seconds, "{date}");
    }
}

#[test]
fn a_blank_date_is_no_date() {
    assert_eq!(flagged("id:1 submit date:2401051200 done date: stat:DELIVRD").done, None);
}

#[test]
fn the_messages_own_text_cannot_override_the_receipt() {
    let receipt = flagged("id:42 stat:UNDELIV err:001 text:id:99 stat:DELIVRD err:000");
    assert_eq!(id_and_state(&receipt), ("42", State::Undeliverable));
    assert_eq!(receipt.error.as_deref(), Some(&b"001"[..]));
}

#[test]
fn a_text_cut_inside_a_character_does_no_harm() {
    let text = [TYPICAL.as_bytes(), b" h\xC3"].concat();
    let receipt = from_parts(Delivery { esm_class: 4, text: &text, ..Delivery::default() }).unwrap();
    assert_eq!(id_and_state(&receipt), ("1234567890", State::Delivered));
}

#[test]
fn tlvs_win_over_the_text_and_either_may_be_missing() {
    let text = TYPICAL.as_bytes();
    let both = Delivery { receipted_message_id: Some(b"ABC\0"), message_state: Some(5), text, ..Delivery::default() };
    assert_eq!(id_and_state(&from_parts(both).unwrap()), ("ABC", State::Undeliverable));
    let id_only = Delivery { message_state: None, ..both };
    assert_eq!(id_and_state(&from_parts(id_only).unwrap()), ("ABC", State::Delivered));
    let state_only = Delivery { receipted_message_id: Some(b"\0"), ..both };
    assert_eq!(id_and_state(&from_parts(state_only).unwrap()), ("1234567890", State::Undeliverable));
    let no_text = Delivery { text: b"", ..both };
    assert_eq!(id_and_state(&from_parts(no_text).unwrap()), ("ABC", State::Undeliverable));
    let reserved_state = Delivery { message_state: Some(77), ..both };
    assert_eq!(from_parts(reserved_state).unwrap().state, State::Delivered);
}

#[test]
fn an_endless_id_and_an_endless_error_are_cut_off() {
    let receipt = flagged(&format!("id:{} stat:UNDELIV err:{}", "4".repeat(5000), "7".repeat(5000)));
    assert_eq!(receipt.id.as_slice(), "4".repeat(255).as_bytes());
    assert_eq!(receipt.error.as_deref(), Some("7".repeat(32).as_bytes()));
}

#[test]
fn a_network_error_code_of_two_octets_lacks_its_network() {
    let with = |code| Delivery { esm_class: 4, network_error_code: Some(code), ..Delivery::default() };
    assert_eq!(from_parts(with(b"\x03\x00\x1B")).unwrap().network_error_code, Some([3, 0, 0x1B]));
    assert_eq!(from_parts(with(b"\x00\x1B")).unwrap().network_error_code, Some([0, 0, 0x1B]));
    assert_eq!(from_parts(with(b"\x1B")).unwrap().network_error_code, None);
}

#[test]
fn receipts_in_ucs2_are_read_whether_they_say_so_or_not() {
    let text = crate::text::ucs2::encode(TYPICAL);
    let marked = [b"\xFE\xFF", &text[..]].concat();
    for (data_coding, text) in [(8, &text), (0, &text), (8, &marked), (0x18, &text)] {
        let receipt = from_parts(Delivery { data_coding, text, ..Delivery::default() }).unwrap();
        assert_eq!(id_and_state(&receipt), ("1234567890", State::Delivered));
    }
    let mislabelled = Delivery { data_coding: 8, text: TYPICAL.as_bytes(), ..Delivery::default() };
    assert!(from_parts(mislabelled).is_some());
}

#[test]
fn a_header_before_the_text_is_skipped() {
    let text = [b"\x05\x00\x03\x01\x01\x01", TYPICAL.as_bytes()].concat();
    let receipt = from_parts(Delivery { esm_class: 0x44, text: &text, ..Delivery::default() }).unwrap();
    assert_eq!(id_and_state(&receipt), ("1234567890", State::Delivered));
}

#[test]
fn every_receipt_flag_is_known_and_other_kinds_are_not_receipts() {
    for esm_class in [0x04, 0x08, 0x20, 0x24, 0x07, 0x84] {
        assert!(from_parts(Delivery { esm_class, text: b"", ..Delivery::default() }).is_some(), "{esm_class:#x}");
    }
    for esm_class in [0x00, 0x03, 0x10, 0x18, 0x80] {
        assert!(from_parts(Delivery { esm_class, text: b"hi", ..Delivery::default() }).is_none(), "{esm_class:#x}");
    }
}

#[test]
fn an_intermediate_flag_with_a_final_state_is_final() {
    let final_state = Delivery { esm_class: 0x20, text: TYPICAL.as_bytes(), ..Delivery::default() };
    assert!(!from_parts(final_state).unwrap().intermediate);
    assert!(flagged("id:1 stat:ACCEPTD").intermediate);
}

#[test]
fn an_unflagged_text_is_a_receipt_only_when_unmistakable() {
    assert!(unflagged(TYPICAL).is_some());
    let named_twice = unflagged(" id:1 id:2 sub:001 stat:DELIVRD").expect("a receipt");
    assert_eq!(id_and_state(&named_twice), ("1", State::Delivered));
    for message in [
        "STOP",
        "",
        "id:5",
        "my id:5 sub:1 stat:DELIVRD",
        "id:5 stat:ok?",
        "What does stat:DELIVRD done date: mean",
        "id: sub:1 stat:X",
    ] {
        assert!(unflagged(message).is_none(), "{message}");
    }
}

/// The field whose name ends the text, found letter by letter; a space stands for any gap.
fn named_by_letters(text: &[u8]) -> Option<(usize, usize)> {
    let names = ["id", "sub", "dlvrd", "submit date", "done date", "stat", "err", "text", "status", "error"];
    let starts = names.iter().map(|name| {
        name.bytes().rev().try_fold(without_gap(text), |rest, letter| match rest {
            _ if letter == b' ' => Some(without_gap(rest)),
            [before @ .., last] if last.to_ascii_lowercase() == letter => Some(before),
            _ => None,
        })
    });
    let (at, before) = starts.enumerate().find_map(|(at, before)| Some((at, before?)))?;
    let field = match at {
        8 => Field::Stat as usize,
        9 => Field::Err as usize,
        _ => at,
    };
    before.last().is_none_or(|octet| is_separator(*octet)).then_some((field, before.len()))
}

#[test]
fn the_typical_receipt_is_read_by_the_book_and_one_that_takes_liberties_is_not() {
    assert!(Fields::by_the_book(TYPICAL.as_bytes()).is_some());
    for other in [
        &TYPICAL.replace("stat", "Stat"),
        &TYPICAL.replace(" text:Hei", ""),
        &TYPICAL.replace(" sub:001", ""),
        &TYPICAL.replace("1234567890", "12:34"),
        &TYPICAL.replace(" err", ";err"),
        &format!(" {TYPICAL}"),
    ] {
        assert!(Fields::by_the_book(other.as_bytes()).is_none(), "{other}");
    }
}

proptest! {
    #[test]
    fn what_is_read_by_the_book_is_what_a_scan_finds(
        values in proptest::collection::vec("[0-9a-zA-Z:;é]{0,4}|id|stat|err:|[0-9]{10}", 7),
        text in "([ a-z:]|id:|stat:| err:){0,12}",
    ) {
        let [id, sub, dlvrd, submitted, done, stat, err] = &values[..] else { unreachable!() };
        let receipt = format!("id:{id} sub:{sub} dlvrd:{dlvrd} submit date:{submitted} done date:{done} stat:{stat} err:{err} text:{text}");
        let found = |fields: &Fields<'_>| {
            // With the separators around them, which is why each value is trimmed before it is used; the text is not used.
            let values = fields.values[..Field::Text as usize].iter().map(|value| value.map(|value| trimmed(value).to_vec()));
            (values.collect::<Vec<_>>(), fields.before_id.map(<[u8]>::to_vec), fields.unmistakable())
        };
        if let Some(fields) = Fields::by_the_book(receipt.as_bytes()) {
            prop_assert_eq!(found(&fields), found(&Fields::scan(receipt.as_bytes())), "{}", receipt);
        }
    }

    #[test]
    fn names_are_those_found_letter_by_letter(
        start in "[ ;_a-z]{0,3}",
        first in "(?i)(id|sub|dlvrd|submit|done|stat|status|err|error|text|[a-zA-Z@é]{0,4})",
        gap in "[ _\t]{0,2}",
        second in "(?i)(date)?",
        end in "[ _\t]{0,2}",
    ) {
        let text = format!("{start}{first}{gap}{second}{end}");
        let found = name_before(text.as_bytes(), 0, text.len()).map(|(field, start)| (field as usize, start));
        prop_assert_eq!(found, named_by_letters(text.as_bytes()), "{:?}", text);
    }

    #[test]
    fn any_octets_are_read_without_panic(
        esm_class: u8,
        data_coding: u8,
        text in proptest::collection::vec(any::<u8>(), 0..300),
        id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..70)),
        message_state: Option<u8>,
        code in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5)),
    ) {
        from_parts(Delivery {
            esm_class,
            data_coding,
            text: &text,
            receipted_message_id: id.as_deref(),
            message_state,
            network_error_code: code.as_deref(),
        });
    }

    #[test]
    fn any_jumble_of_fields_is_read_without_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just("id:"), Just(" sub:"), Just("dlvrd:"), Just(" submit  date:"), Just(" donedate :"), Just("stat:"), Just(" err:"),
            Just("text:"), Just(" "), Just("42"), Just("DELIVRD"), Just("2401051200+"), Just("é"), Just("\0"), Just(";"),
        ], 0..40),
    ) {
        flagged(&pieces.concat());
    }

    #[test]
    fn any_id_without_spaces_comes_out_as_it_is(id in "[!-+\\--9<-{}~]{1,64}") {
        let receipt = flagged(&format!("id:{id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:"));
        prop_assert_eq!(&receipt.id[..], id.as_bytes());
    }
}
