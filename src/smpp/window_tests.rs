use proptest::prelude::*;

use super::*;

const SUBMIT: CommandId = CommandId::SubmitSm;
const SECOND: Duration = Duration::from_secs(1);

fn token<T>(matched: Match<T>) -> Option<T> {
    match matched {
        Match::Request(token) => Some(token),
        Match::Late | Match::Unknown => None,
    }
}

#[test]
fn sequence_numbers_start_over_after_the_last() {
    let mut sequence = Sequence::new(LAST_SEQUENCE - 1);
    let taken: Vec<_> = std::iter::repeat_with(|| sequence.take()).take(4).collect();
    assert_eq!(taken, [LAST_SEQUENCE - 1, LAST_SEQUENCE, 1, 2]);
}

#[test]
fn requests_are_found_across_the_wrap_and_around_gaps() {
    let now = Instant::now();
    let mut window = Window::new(10);
    let sequences = [LAST_SEQUENCE - 3, LAST_SEQUENCE - 1, LAST_SEQUENCE, 2, 3, 9];
    for sequence in sequences {
        window.push(sequence, SUBMIT, sequence, now);
    }
    for sequence in [3, LAST_SEQUENCE, 9, LAST_SEQUENCE - 3, 2, LAST_SEQUENCE - 1] {
        assert_eq!(token(window.answer(sequence, Some(SUBMIT))), Some(sequence));
        assert_eq!(window.answer(sequence, Some(SUBMIT)), Match::Unknown);
    }
    assert_eq!((window.open(), window.slots.len()), (0, 0));
}

#[test]
fn one_request_never_answered_does_not_make_the_others_pile_up() {
    let now = Instant::now();
    let mut window = Window::new(10);
    window.push(1, SUBMIT, 1, now);
    for sequence in 2..100_000 {
        window.push(sequence, SUBMIT, sequence, now);
        assert_eq!(token(window.answer(sequence, Some(SUBMIT))), Some(sequence));
        assert!(window.slots.len() <= 70);
    }
    assert_eq!(window.drain(), [1]);
}

/// However small the window is: while an operator is slow, its window passes many times.
#[test]
fn the_last_thousand_expired_numbers_are_remembered() {
    let now = Instant::now();
    let mut window = Window::new(2);
    let last = LATE_KEPT as u32 + 1;
    for sequence in 1..=last {
        window.push(sequence, SUBMIT, (), now);
        assert_eq!(window.expire(now, SECOND), None);
        assert_eq!(window.expire(now + SECOND, SECOND), Some((sequence, ())));
    }
    assert_eq!(window.answer(1, Some(SUBMIT)), Match::Unknown);
    assert_eq!(window.answer(2, Some(SUBMIT)), Match::Late);
    assert_eq!(window.answer(last, Some(SUBMIT)), Match::Late);
    assert_eq!(window.answer(last, Some(SUBMIT)), Match::Unknown, "once");
}

proptest! {
    /// Against a plain map: pushes, answers in any order, expiries.
    #[test]
    fn the_window_is_a_map_with_deadlines(steps in proptest::collection::vec((0u8..4, 0u32..40), 0..400)) {
        let start = Instant::now();
        let mut window = Window::new(usize::MAX);
        let mut model = std::collections::BTreeMap::new();
        let (mut sequence, mut clock, mut count) = (Sequence::new(LAST_SEQUENCE - 20), start, 0u32);
        let mut numbers = Vec::new();
        for (step, argument) in steps {
            match step {
                0 | 1 => {
                    // enquire_link and unbind take numbers as well.
                    if argument % 5 == 0 {
                        sequence.take();
                    }
                    let number = sequence.take();
                    window.push(number, SUBMIT, count, clock);
                    numbers.push(number);
                    model.insert(count, (number, clock));
                    count += 1;
                }
                2 if !numbers.is_empty() => {
                    let number = numbers[argument as usize % numbers.len()];
                    let expected = model.iter().find(|(_, (at, _))| *at == number).map(|(token, _)| *token);
                    prop_assert_eq!(token(window.answer(number, Some(SUBMIT))), expected);
                    expected.and_then(|token| model.remove(&token));
                }
                _ => {
                    clock += SECOND * argument / 10;
                    while let Some((number, token)) = window.expire(clock, SECOND) {
                        let (expected, sent_at) = model.remove(&token).expect("open");
                        prop_assert_eq!(number, expected);
                        prop_assert!(sent_at + SECOND <= clock);
                    }
                    prop_assert!(model.values().all(|(_, sent_at)| *sent_at + SECOND > clock));
                }
            }
            prop_assert_eq!(window.open(), model.len());
        }
        prop_assert_eq!(window.drain(), model.into_keys().collect::<Vec<_>>());
    }
}
