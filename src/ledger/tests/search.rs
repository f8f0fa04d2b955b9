//! Messages found by their number, or by what an operator calls them.

use super::*;

const NEWEST: MessageId = MessageId(u64::MAX);

fn to(number: &str) -> Sought {
    Sought::number([number.as_bytes()])
}

fn known_as(operator: Option<OperatorKey>, id: &str) -> Sought {
    Sought::OperatorId { operator, id: id.as_bytes().into() }
}

/// Everything that is found, slice by slice, and how many slices that took.
fn all(world: &World, sought: &Sought, among: Among) -> (Vec<u64>, usize) {
    let (mut found, mut below, mut slices) = (Vec::new(), NEWEST, 0);
    loop {
        let look = world.ledger.search(sought, among, below, &world.rules);
        found.extend(look.found.iter().map(|id| id.0));
        slices += 1;
        match look.from {
            Some(from) => {
                assert!(from < below, "a search goes on");
                below = from;
            }
            None => return (found, slices),
        }
    }
}

fn found(world: &World, sought: &Sought) -> Vec<u64> {
    all(world, sought, Among::All).0
}

#[test]
fn pending_and_finished_messages_to_a_number_are_found_newest_first() {
    let mut world = World::new();
    for (id, number) in [(1, RECIPIENT), (2, "358507654321"), (40, RECIPIENT), (41, RECIPIENT), (900, RECIPIENT)] {
        world.apply(job(id, 1, number).into());
    }
    world.failed(40, None, State::Expired, 0);
    assert_eq!(found(&world, &to(RECIPIENT)), [900, 41, 40, 1]);
    assert_eq!(all(&world, &to(RECIPIENT), Among::Finished).0, [40]);
    assert_eq!(found(&world, &to("358507654321")), [2]);
    assert_eq!(found(&world, &to("358409999999")), [0; 0]);
    let either = Sought::number([RECIPIENT.as_bytes(), b"0507654321"]);
    assert_eq!(found(&world, &either), [900, 41, 40, 2, 1]);
}

#[test]
fn what_is_found_in_a_slice_is_bounded_and_the_next_one_goes_on_there() {
    let mut world = World::new();
    (1..=100).for_each(|id| drop(world.accept(id, 1)));
    let first = world.ledger.search(&to(RECIPIENT), Among::All, NEWEST, &world.rules);
    assert_eq!((first.found.len(), first.from), (32, Some(MessageId(69))));
    assert_eq!(found(&world, &to(RECIPIENT)), (1..=100).rev().collect::<Vec<_>>());
}

#[test]
fn a_slice_looks_at_so_much_however_much_there_is_and_whatever_happens_between_two_none_is_missed() {
    let mut world = World::new();
    // A page for each of them: what is left of a long time.
    let job = |id| job(id, 1, if id == 32 { RECIPIENT } else { "358501111111" });
    for id in (1..=1_250).map(|page| page * 32) {
        let World { ledger, log, rules, now, effects } = &mut world;
        ledger.apply(job(id).into(), &mut Turn { now: *now, log, rules, effects });
    }
    let (ids, slices) = all(&world, &to(RECIPIENT), Among::All);
    assert_eq!((ids, slices), (vec![32], 3));
    let first = world.ledger.search(&to(RECIPIENT), Among::All, NEWEST, &world.rules);
    assert_eq!(first, Look { found: vec![], from: Some(MessageId(751 * 32)) });
    world.failed(32, None, State::Expired, 0);
    world.failed(751 * 32, None, State::Expired, 0);
    let second = world.ledger.search(&to(RECIPIENT), Among::All, MessageId(751 * 32), &world.rules);
    let third = world.ledger.search(&to(RECIPIENT), Among::All, second.from.unwrap(), &world.rules);
    assert_eq!(third, Look { found: vec![MessageId(32)], from: None });
}

#[test]
fn where_parts_are_looked_at_a_slice_ends_by_their_number() {
    let mut world = World::new();
    for id in 1..=2_000 {
        let job = world.accept(id, 1);
        for part in 0..3 {
            world.sent(&job, (part, 3), A, &format!("{id}-{part}"));
        }
    }
    let (ids, slices) = all(&world, &known_as(Some(A), "7-2"), Among::All);
    assert_eq!((ids, slices), (vec![7], 2), "6,000 parts");
    assert_eq!(all(&world, &to("358409999999"), Among::All).1, 1);
}

#[test]
fn the_whole_number_of_a_message_is_read_from_the_disk_when_memory_has_its_last_digits_only() {
    let mut world = World::new();
    // Of four the payload is in memory.
    (1..=9).for_each(|id| drop(world.accept(id, 1)));
    let recipient = |world: &mut World, id| world.ledger.recipient(MessageId(id), &mut world.log).unwrap().number;
    let digits = |number: Option<Address>| number.map(|number| number.text().into_owned());
    assert_eq!(digits(recipient(&mut world, 1)).as_deref(), Some(RECIPIENT));
    assert_eq!(digits(recipient(&mut world, 9)).as_deref(), Some(RECIPIENT));
    world.log.is_unreadable = true;
    assert_eq!(recipient(&mut world, 1), None);
    assert_eq!(digits(recipient(&mut world, 9)).as_deref(), Some(RECIPIENT));
    world.log.is_unreadable = false;
    world.failed(9, None, State::Expired, 0);
    assert_eq!(digits(recipient(&mut world, 9)).as_deref(), Some(RECIPIENT), "remembered");
    assert_eq!(world.ledger.recipient(MessageId(77), &mut world.log), None);
}

#[test]
fn a_message_is_found_by_what_its_operator_calls_it_in_whichever_form() {
    let mut world = World::with(TestRules { receipt_id: ReceiptId::Dec, ..TestRules::default() });
    let (first, second) = (world.accept(1, 1), world.accept(2, 0));
    world.sent(&first, (0, 2), A, "499602D2");
    // No receipt is wanted: it is finished by that.
    world.sent(&second, (0, 1), B, "499602D2");
    for id in ["499602D2", "0499602d2", "1234567890"] {
        assert_eq!(found(&world, &known_as(None, id)), [2, 1], "{id}");
        assert_eq!(found(&world, &known_as(Some(A), id)), [1], "{id}");
        assert_eq!(all(&world, &known_as(None, id), Among::Finished).0, [2], "{id}");
    }
    assert_eq!(found(&world, &known_as(None, "499602D3")), [0; 0]);
    assert_eq!(found(&world, &known_as(None, "")), [0; 0], "parts without an id are not known by none");
}

#[test]
fn what_receipts_are_awaited_for_is_found_by_the_operators_id_without_a_search() {
    let mut world = World::new();
    let correlated = |world: &World, operator, id: &str| {
        let found = world.ledger.correlated(operator, id.as_bytes(), &world.rules);
        found.iter().map(|id| id.0).collect::<Vec<_>>()
    };
    let (first, second, third) = (world.accept(1, 1), world.accept(2, 0), world.accept(3, 1));
    world.sent(&first, (0, 1), A, "7");
    world.sent(&second, (0, 1), A, "7");
    world.sent(&third, (0, 1), B, "7");
    assert_eq!(correlated(&world, None, "7"), [1, 3]);
    assert_eq!(correlated(&world, Some(A), "7"), [1]);
    world.receipt(A, "7", State::Delivered);
    assert_eq!(correlated(&world, Some(A), "7"), [1], "remembered");
    assert_eq!(correlated(&world, None, "8"), [0; 0]);
}

#[test]
fn numbers_too_short_to_have_last_digits_are_found_and_known_to_be_vague() {
    let mut world = World::new();
    world.apply(job(1, 1, "13123").into());
    world.accept(2, 1);
    assert_eq!(found(&world, &to("13123")), [1]);
    assert!(to("13123").is_vague() && !to(RECIPIENT).is_vague());
}
