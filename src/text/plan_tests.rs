use proptest::prelude::*;

use super::*;

fn lengths(text: &str, long: LongMessages) -> Vec<usize> {
    plan(&Body::from_text(text), 0, None, long).unwrap().ranges().map(|range| range.len()).collect()
}

fn texts(text: &str) -> Vec<String> {
    let body = Body::from_text(text);
    let part = |range: Range<usize>| Body { octets: body.octets.slice(range), ..body.clone() }.to_text().unwrap();
    plan(&body, 0, None, LongMessages::Udh8).unwrap().ranges().map(part).collect()
}

#[test]
fn the_well_known_limits_hold() {
    let known = [(Alphabet::Gsm7, [160, 153, 152]), (Alphabet::Ucs2, [140, 134, 132]), (Alphabet::Octets, [140, 134, 133])];
    for (alphabet, limits) in known {
        assert_eq!([0, 6, 7].map(|header| room(alphabet, header)), limits);
    }
    assert_eq!([4, 9, 10, 12, 13].map(|header| room(Alphabet::Gsm7, header)), [155, 149, 148, 146, 145]);
}

#[test]
fn an_empty_text_is_one_part() {
    assert_eq!(lengths("", LongMessages::Udh8), [0]);
}

#[test]
fn one_septet_above_160_makes_two_parts() {
    assert_eq!(lengths(&"ä".repeat(160), LongMessages::Udh8), [160]);
    assert_eq!(lengths(&"ä".repeat(161), LongMessages::Udh8), [153, 8]);
    assert_eq!(lengths(&"ä".repeat(306), LongMessages::Sar), [153, 153]);
    assert_eq!(lengths(&"ä".repeat(306), LongMessages::Udh16), [152, 152, 2]);
    assert_eq!(lengths(&"ä".repeat(306), LongMessages::Payload), [306]);
}

#[test]
fn one_unit_above_70_makes_two_parts() {
    assert_eq!(lengths(&"š".repeat(70), LongMessages::Udh8), [140]);
    assert_eq!(lengths(&"š".repeat(71), LongMessages::Udh8), [134, 8]);
    assert_eq!(lengths(&"š".repeat(71), LongMessages::Udh16), [132, 10]);
}

#[test]
fn ten_parts_hold_1530_septets() {
    assert_eq!(lengths(&"x".repeat(1530), LongMessages::Udh8), [153; 10]);
    assert_eq!(count_parts(&Body::from_text(&"x".repeat(1531)), 0, None), Ok(11));
}

#[test]
fn an_escape_pair_moves_whole_to_the_next_part() {
    let text = format!("{}€{}", "a".repeat(152), "b".repeat(50));
    assert_eq!(lengths(&text, LongMessages::Udh8), [152, 52]);
    assert_eq!(lengths(&"€".repeat(81), LongMessages::Udh8), [152, 10]);
}

#[test]
fn a_surrogate_pair_moves_whole_to_the_next_part() {
    let text = format!("{}😀{}", "š".repeat(66), "š".repeat(10));
    assert_eq!(lengths(&text, LongMessages::Udh8), [132, 24]);
}

#[test]
fn a_joined_emoji_stays_whole_when_it_costs_no_part() {
    for cluster in ["👩‍👩‍👧‍👦", "👍🏽", "🇫🇮", "❤\u{FE0F}", "e\u{301}", "🏴\u{E0067}\u{E0062}\u{E007F}"]
    {
        let text = format!("{}{cluster}šš", "š".repeat(66)) + "!!!!!!";
        let parts = texts(&text);
        assert_eq!(parts.len(), 2, "{cluster}");
        assert_eq!(parts[0], "š".repeat(66), "{cluster}");
    }
}

#[test]
fn flags_pair_from_the_start_of_their_run() {
    let parts = texts(&format!("š{}", "🇫🇮🇸🇪".repeat(10)));
    assert!(parts.iter().all(|part| part.trim_start_matches('š').chars().count() % 2 == 0), "{parts:?}");
}

#[test]
fn a_cluster_is_cut_when_keeping_it_would_cost_a_part() {
    let text = format!("{}👍🏽{}", "š".repeat(65), "š".repeat(65));
    let parts = texts(&text);
    assert_eq!(parts.iter().map(|part| part.encode_utf16().count()).collect::<Vec<_>>(), [67, 67]);
}

#[test]
fn more_than_255_parts_are_refused_not_shortened() {
    assert_eq!(lengths(&"a".repeat(39_015), LongMessages::Udh8).len(), 255);
    let too_long = plan(&Body::from_text(&"a".repeat(39_016)), 0, None, LongMessages::Udh8);
    assert_eq!(too_long, Err(TextError::TooManyParts));
}

#[test]
fn header_elements_leave_less_room_and_may_leave_none() {
    let body = Body::from_text(&"a".repeat(160));
    let ports = 6;
    assert_eq!(plan(&body, ports, None, LongMessages::Udh8).unwrap().range(0), 0..146);
    assert_eq!(plan(&body, 139, None, LongMessages::Udh8), Err(TextError::HeaderTooLong));
}

#[test]
fn a_part_the_application_made_stays_one_part_or_is_refused() {
    let own = Some(Concatenation { reference: 300, total: 2, sequence: 1 });
    let body = |septets| Body::from_text(&"a".repeat(septets));
    assert_eq!(plan(&body(153), 0, own, LongMessages::Udh8).unwrap().count(), 1);
    assert_eq!(plan(&body(154), 0, own, LongMessages::Udh8), Err(TextError::PartTooLong));
    assert_eq!(plan(&body(153), 0, own, LongMessages::Udh16), Err(TextError::PartTooLong));
    let short = own.map(|own| Concatenation { reference: 3, ..own });
    assert_eq!(plan(&body(153), 0, short, LongMessages::Udh16).unwrap().count(), 1);
}

/// Texts rich in what makes cutting hard.
fn any_text() -> impl Strategy<Value = String> {
    let piece =
        prop_oneof!["[a-zåäö@]{1,40}", "[€\\[\\]{}~^]{1,40}", "[šž😀👍🏽🇫🇮\u{200D}\u{FE0F}\u{301}]{1,40}", Just("👩‍👩‍👧‍👦".to_owned()),];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn parts_cover_the_text_within_the_limits_and_cut_no_character(
        text in any_text(),
        wide: bool,
        elements in prop_oneof![Just(0usize), 3usize..40],
    ) {
        let long = if wide { LongMessages::Udh16 } else { LongMessages::Udh8 };
        let body = Body::from_text(&text);
        let parts = plan(&body, elements, None, long).unwrap();
        let header = match parts.count() {
            1 => header_octets(None, elements),
            _ => header_octets(Some(reference_width(long, None)), elements),
        };
        let mut next = 0;
        let mut joined = String::new();
        for range in parts.ranges() {
            prop_assert_eq!(range.start, next);
            prop_assert!(range.len() <= room(body.alphabet, header));
            prop_assert!(!range.is_empty() || body.octets.is_empty());
            next = range.end;
            joined += &Body { octets: body.octets.slice(range), ..body.clone() }.to_text().unwrap();
        }
        prop_assert_eq!(next, body.octets.len());
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn any_octets_are_planned_without_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..2000),
        elements in 0usize..300,
        alphabet in prop_oneof![Just(Alphabet::Gsm7), Just(Alphabet::Ucs2), Just(Alphabet::Octets)],
    ) {
        let length = octets.len();
        if let Ok(parts) = plan(&Body { alphabet, octets: octets.into() }, elements, None, LongMessages::Udh8) {
            prop_assert_eq!(parts.ranges().map(|range| range.len()).sum::<usize>(), length);
        }
    }
}
