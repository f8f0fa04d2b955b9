use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

use proptest::prelude::*;

use super::*;

type Key = BuildHasherDefault<DefaultHasher>;

fn source(number: u32) -> Source {
    Source::of(std::net::Ipv4Addr::from_bits(number).into())
}

#[test]
fn answers_to_one_source_come_later_and_later_up_to_the_longest_delay() {
    let (mut slowdown, now) = (Slowdown::new(Key::default()), Instant::now());
    let delays: Vec<u128> = (0..10u8).map(|guess| slowdown.refused(source(1), &[guess], now).as_millis()).collect();
    assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn answers_for_one_account_come_later_and_later_wherever_the_binds_come_from() {
    let (mut slowdown, now) = (Slowdown::new(Key::default()), Instant::now());
    let delays: Vec<u128> = (0..4).map(|from| slowdown.refused(source(from), b"shop", now).as_millis()).collect();
    assert_eq!(delays, [250, 500, 1_000, 2_000]);
    assert_eq!(slowdown.refused(source(99), b"other", now), FIRST, "another account from another place is not concerned");
}

#[test]
fn a_quiet_time_makes_it_forgotten_and_a_shorter_one_does_not() {
    let (mut slowdown, start) = (Slowdown::new(Key::default()), Instant::now());
    for _ in 0..20 {
        slowdown.refused(source(1), b"shop", start);
    }
    let nearly = start + QUIET - Duration::from_secs(1);
    assert_eq!(slowdown.refused(source(1), b"shop", nearly), LONGEST);
    assert_eq!(slowdown.refused(source(1), b"shop", nearly + QUIET), FIRST);
}

#[test]
fn neither_a_spray_of_addresses_nor_one_of_names_makes_a_refusal_forgotten() {
    let (mut slowdown, now) = (Slowdown::new(Key::default()), Instant::now());
    for _ in 0..20 {
        slowdown.refused(source(1), b"shop", now);
    }
    for number in 2..100_000u32 {
        slowdown.refused(source(number), &number.to_be_bytes(), now);
    }
    assert_eq!(slowdown.refused(source(1), b"another", now), LONGEST);
    assert_eq!(slowdown.refused(source(0), b"shop", now), LONGEST);
}

proptest! {
    #[test]
    fn a_delay_is_never_shorter_than_the_first_nor_longer_than_the_longest_nor_shorter_than_the_one_before(
        binds in prop::collection::vec((0..3u32, 0..3u8, 0..500u64), 1..60),
    ) {
        let (mut slowdown, mut now) = (Slowdown::new(Key::default()), Instant::now());
        let mut before = std::collections::HashMap::new();
        for (from, account, seconds) in binds {
            now += Duration::from_secs(seconds);
            let delay = slowdown.refused(source(from), &[account], now);
            prop_assert!((FIRST..=LONGEST).contains(&delay));
            if let Some((last, earlier)) = before.insert((from, account), (now, delay))
                && now - last < QUIET
            {
                prop_assert!(delay >= earlier.min(LONGEST));
            }
        }
    }
}
