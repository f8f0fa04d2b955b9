//! Mobile-originated messages.

use super::*;

/// What reached the mailboxes: account, text, part number.
fn forwarded(world: &mut World) -> Vec<(String, String, Option<u8>)> {
    let said = |mail: Arc<Mail>| {
        let MailContent::Mo(mo) = &mail.content else { panic!("{mail:?}") };
        let text = String::from_utf8(mo.body.octets.to_vec()).unwrap();
        (mail.account.to_string(), text, mo.concatenation.map(|c| c.sequence))
    };
    world.mail().into_iter().map(said).collect()
}

fn whole(account: &str, text: &str) -> (String, String, Option<u8>) {
    (account.to_owned(), text.to_owned(), None)
}

fn part(account: &str, text: &str, sequence: u8) -> (String, String, Option<u8>) {
    (account.to_owned(), text.to_owned(), Some(sequence))
}

#[test]
fn a_message_goes_to_the_account_of_its_number_and_word() {
    let mut world = World::new();
    assert_eq!(world.apply(Event::Mo(Box::new(mo("358501", "hello", None)))), 0);
    assert_eq!(world.apply(Event::Mo(Box::new(mo("358501", "Quiz", None)))), 0);
    assert_eq!(forwarded(&mut world), [whole("shop", "hello"), whole("quiz", "Quiz")]);
    assert_eq!(world.log.kinds(), [kind::MAIL, kind::MAIL]);
}

#[test]
fn a_message_that_is_nobodys_is_refused() {
    let mut world = World::new();
    assert_eq!(world.apply(Event::Mo(Box::new(mo("358501", "X", None)))), 0x66);
    let number = mo("358501", "X", None).destination;
    let told = |effect: &Effect| matches!(effect, Effect::MoUnroutable { number: told, .. } if **told == number);
    assert!(world.effects.iter().any(told));
    assert!(world.log.records.is_empty());
}

#[test]
fn parts_are_joined_in_whatever_order_they_come() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]] {
        let mut world = World::new();
        for sequence in order {
            assert_eq!(world.apply(Event::Mo(Box::new(mo("358501", &format!("p{sequence} "), Some((9, 3, sequence)))))), 0);
        }
        assert_eq!(forwarded(&mut world), [whole("shop", "p1 p2 p3 ")]);
        assert_eq!(world.ledger.live(), 1);
        assert_eq!(world.log.kinds(), [kind::MO_PART, kind::MO_PART, kind::MAIL], "the last part is one record");
        world.tick_after(10_000);
        assert_eq!(forwarded(&mut world), []);
    }
}

#[test]
fn two_senders_with_one_reference_are_not_mixed() {
    let mut world = World::new();
    for (sender, text, sequence) in [("1", "a", 1), ("2", "c", 1), ("1", "b", 2), ("2", "d", 2)] {
        world.apply(Event::Mo(Box::new(mo(sender, text, Some((9, 2, sequence))))));
    }
    assert_eq!(forwarded(&mut world), [whole("shop", "ab"), whole("shop", "cd")]);
}

#[test]
fn a_part_that_comes_twice_counts_once() {
    let mut world = World::new();
    for _ in 0..2 {
        assert_eq!(world.apply(Event::Mo(Box::new(mo("1", "a", Some((9, 2, 1)))))), 0);
    }
    assert_eq!(world.ledger.live(), 1);
    world.apply(Event::Mo(Box::new(mo("1", "b", Some((9, 2, 2))))));
    assert_eq!(forwarded(&mut world), [whole("shop", "ab")]);
}

#[test]
fn a_reference_used_for_another_message_loses_neither() {
    let mut world = World::new();
    world.apply(Event::Mo(Box::new(mo("1", "old", Some((9, 2, 1))))));
    world.apply(Event::Mo(Box::new(mo("1", "new ", Some((9, 2, 1))))));
    assert_eq!(forwarded(&mut world), [part("shop", "old", 1)]);
    world.apply(Event::Mo(Box::new(mo("1", "message", Some((9, 2, 2))))));
    assert_eq!(forwarded(&mut world), [whole("shop", "new message")]);
}

#[test]
fn a_reference_used_again_has_the_whole_time_for_its_parts() {
    let mut world = World::new();
    world.apply(Event::Mo(Box::new(mo("1", "a", Some((9, 2, 1))))));
    world.apply(Event::Mo(Box::new(mo("1", "b", Some((9, 2, 2))))));
    forwarded(&mut world);
    world.now = world.now.plus(Duration::from_secs(299));
    let later = Mo { received_at: world.now, ..mo("1", "c", Some((9, 2, 1))) };
    world.apply(Event::Mo(Box::new(later)));
    world.tick_after(299);
    assert_eq!(forwarded(&mut world), []);
    world.tick_after(1);
    assert_eq!(forwarded(&mut world), [part("shop", "c", 1)]);
}

#[test]
fn when_parts_do_not_come_in_time_those_that_came_go_where_the_first_belongs() {
    let mut world = World::new();
    world.apply(Event::Mo(Box::new(mo("1", "X of no keyword", Some((9, 3, 2))))));
    world.apply(Event::Mo(Box::new(mo("1", "Quiz ", Some((9, 3, 1))))));
    let mut world = world.restarted();
    world.tick_after(300);
    assert!(world.noted(Note::MoIncomplete));
    assert_eq!(forwarded(&mut world), [part("quiz", "Quiz ", 1), part("quiz", "X of no keyword", 2)]);
    assert_eq!(world.ledger.live(), 2);
}

#[test]
fn an_unroutable_message_of_parts_leaves_nothing_and_its_last_part_is_refused() {
    let mut world = World::new();
    assert_eq!(world.apply(Event::Mo(Box::new(mo("1", "Xa", Some((9, 2, 1)))))), 0);
    assert_eq!(world.apply(Event::Mo(Box::new(mo("1", "b", Some((9, 2, 2)))))), 0x66);
    assert_eq!((world.ledger.live(), world.restarted().ledger.live()), (0, 0));
}

#[test]
fn impossible_part_numbers_are_passed_over_and_the_text_is_kept() {
    let mut world = World::new();
    for concatenation in [(9, 2, 0), (9, 2, 3), (9, 0, 1), (9, 1, 1)] {
        world.apply(Event::Mo(Box::new(mo("1", "text", Some(concatenation)))));
        assert_eq!(forwarded(&mut world), [whole("shop", "text")], "{concatenation:?}");
    }
}

#[test]
fn parts_without_end_are_forwarded_as_they_are_instead_of_filling_memory() {
    let mut world = World::new();
    let long = "a".repeat(60_000);
    for reference in 0..400 {
        let World { ledger, log, rules, now, effects } = &mut world;
        let mut turn = Turn { now: *now, log, rules, effects };
        ledger.apply(Event::Mo(Box::new(mo("1", &long, Some((reference, 2, 1))))), &mut turn);
    }
    world.check_log();
    let held = world.ledger.index.iter().filter(|(_, item)| matches!(item.what, What::MoPart(_))).count();
    assert!((200..=280).contains(&held), "{held}");
    assert_eq!(forwarded(&mut world).len(), 400 - held);
}

#[test]
fn a_message_too_long_for_one_pdu_is_forwarded_in_its_parts() {
    let mut world = World::new();
    let long = "a".repeat(40_000);
    for sequence in [1, 2] {
        world.apply(Event::Mo(Box::new(mo("1", &long, Some((9, 2, sequence))))));
    }
    let parts: Vec<_> = forwarded(&mut world).into_iter().map(|(_, _, sequence)| sequence).collect();
    assert_eq!((parts, world.ledger.live()), (vec![Some(1), Some(2)], 2));
}

/// What cannot be decoded as its data_coding says is kept as octets: beside texts it has no place in a text.
#[test]
fn octets_are_not_joined_with_texts() {
    let part = |sequence, body| Mo { body, ..mo("1", "", Some((9, 2, sequence))) };
    // "Hyvää" in Latin-1, from a centre that calls it the default alphabet, and a part that could be read.
    let octets = Body { alphabet: Alphabet::Octets, octets: Bytes::from_static(b"Hyv\xE4\xE4 ") };
    let text = Body { alphabet: Alphabet::Gsm7, octets: Bytes::from_static(b"iltaa") };
    for order in [[1, 2], [2, 1]] {
        let mut world = World::new();
        for sequence in order {
            let body = if sequence == 1 { octets.clone() } else { text.clone() };
            assert_eq!(world.apply(Event::Mo(Box::new(part(sequence, body)))), 0);
        }
        world.tick_after(300);
        let said = |mail: Arc<Mail>| match &mail.content {
            MailContent::Mo(mo) => (mo.body.clone(), mo.concatenation.map(|c| c.sequence)),
            MailContent::Receipt(_) => panic!("{mail:?}"),
        };
        let told: Vec<_> = world.mail().into_iter().map(said).collect();
        assert_eq!(told, [(octets.clone(), Some(1)), (text.clone(), Some(2))]);
        assert_eq!(world.ledger.live(), 2);
    }
}

/// In UTF-8 or UCS-2 a septet may take two octets, and the application gets the whole in one TLV.
#[test]
fn a_message_that_may_be_too_long_in_another_coding_is_forwarded_in_its_parts() {
    let mut world = World::new();
    for sequence in [1, 2] {
        world.apply(Event::Mo(Box::new(mo("1", &"a".repeat(20_000), Some((9, 2, sequence))))));
    }
    let parts: Vec<_> = forwarded(&mut world).into_iter().map(|(_, _, sequence)| sequence).collect();
    assert_eq!(parts, [Some(1), Some(2)]);
}

/// Applies a part as it comes just now.
fn comes(world: &mut World, text: &str, concatenation: (u16, u8, u8)) -> Status {
    let received_at = world.now;
    world.apply(Event::Mo(Box::new(Mo { received_at, ..mo("1", text, Some(concatenation)) })))
}

/// The answer to the part that made it whole was lost, and the operator sends that part again.
#[test]
fn a_part_resent_after_the_whole_was_joined_is_not_forwarded_again() {
    for resent in [(2, "b"), (1, "a ")] {
        for restart in [false, true] {
            let mut world = World::new();
            comes(&mut world, "a ", (9, 2, 1));
            comes(&mut world, "b", (9, 2, 2));
            assert_eq!(forwarded(&mut world), [whole("shop", "a b")]);
            if restart {
                world = world.restarted();
                forwarded(&mut world);
            }
            world.tick_after(20);
            assert_eq!(comes(&mut world, resent.1, (9, 2, resent.0)), 0);
            world.tick_after(299);
            world.tick_after(301);
            assert_eq!(forwarded(&mut world), []);
            assert_eq!(world.ledger.live(), 1, "the whole");
        }
    }
}

/// All of their answers were lost with one connection.
#[test]
fn a_message_whose_parts_all_come_again_is_not_forwarded_again() {
    let mut world = World::new();
    for _ in 0..2 {
        comes(&mut world, "a ", (9, 2, 1));
        comes(&mut world, "b", (9, 2, 2));
        world.tick_after(20);
    }
    assert_eq!(forwarded(&mut world), [whole("shop", "a b")]);
    assert_eq!((world.ledger.live(), world.restarted().ledger.live()), (1, 1));
}

#[test]
fn a_part_resent_after_it_was_forwarded_alone_is_not_forwarded_again() {
    for restart in [false, true] {
        let mut world = World::new();
        comes(&mut world, "a", (9, 3, 1));
        comes(&mut world, "c", (9, 3, 3));
        world.tick_after(300);
        assert_eq!(forwarded(&mut world), [part("shop", "a", 1), part("shop", "c", 3)]);
        if restart {
            world = world.restarted();
            forwarded(&mut world);
        }
        comes(&mut world, "c", (9, 3, 3));
        world.tick_after(301);
        assert_eq!(forwarded(&mut world), []);
        assert_eq!(world.ledger.live(), 2);
    }
}

/// Whoever uses a reference again, and says in part the same, is heard.
#[test]
fn another_message_with_the_reference_of_one_just_joined_loses_no_part() {
    for order in [[1, 2], [2, 1]] {
        let mut world = World::new();
        comes(&mut world, "monday ", (9, 2, 1));
        comes(&mut world, "bye", (9, 2, 2));
        forwarded(&mut world);
        for sequence in order {
            comes(&mut world, if sequence == 1 { "tuesday " } else { "bye" }, (9, 2, sequence));
        }
        assert_eq!(forwarded(&mut world), [whole("shop", "tuesday bye")]);
    }
}

#[test]
fn what_was_joined_is_remembered_only_as_long_as_parts_wait_for_each_other() {
    let mut world = World::new();
    for _ in 0..2 {
        comes(&mut world, "a ", (9, 2, 1));
        comes(&mut world, "b", (9, 2, 2));
        assert_eq!(forwarded(&mut world), [whole("shop", "a b")]);
        world.tick_after(300);
    }
}

/// While the gateway was down no part could come.
#[test]
fn after_a_long_stop_the_missing_parts_of_a_message_can_still_come() {
    let mut world = World::new();
    comes(&mut world, "a ", (9, 2, 1));
    world.now = world.now.plus(Duration::from_secs(86_400));
    let mut world = world.restarted();
    world.tick_after(0);
    world.tick_after(299);
    comes(&mut world, "b", (9, 2, 2));
    assert_eq!(forwarded(&mut world), [whole("shop", "a b")]);
}

/// The clock was ten years ahead when the part came, and is right now.
#[test]
fn a_part_received_in_the_future_is_not_kept_until_then() {
    let mut world = World::new();
    let today = world.now;
    world.now = today.plus(Duration::from_secs(315_360_000));
    comes(&mut world, "a ", (9, 2, 1));
    world.now = today;
    let mut world = world.restarted();
    world.tick_after(300);
    assert_eq!(forwarded(&mut world), [part("shop", "a ", 1)]);
}

/// The first word of another part than the first is not the message's.
#[test]
fn parts_without_the_first_do_not_go_by_a_word_in_their_middle() {
    let mut world = World::new();
    comes(&mut world, "Quiz is what we do", (9, 2, 2));
    world.tick_after(300);
    assert_eq!(forwarded(&mut world), [part("shop", "Quiz is what we do", 2)]);
}

/// It is remembered as of the start, and not until that day comes.
#[test]
fn what_was_forwarded_by_a_clock_that_was_ahead_is_forgotten_in_time() {
    let mut world = World::new();
    let right = world.now;
    world.now = right.plus(Duration::from_secs(31_536_000));
    comes(&mut world, "a ", (9, 2, 1));
    comes(&mut world, "b", (9, 2, 2));
    assert_eq!(forwarded(&mut world), [whole("shop", "a b")]);
    world.now = right;
    let mut world = world.restarted();
    forwarded(&mut world);
    world.tick_after(86_400);
    comes(&mut world, "a ", (9, 2, 1));
    comes(&mut world, "b", (9, 2, 2));
    assert_eq!(forwarded(&mut world), [whole("shop", "a b")], "another message");
}
