//! Message states: their numbers, their words, and which of them end the story.

use serde::{Deserialize, Serialize};

/// The state of a message or part (SMPP 5.0 section 4.7.15; words of SMPP 3.4 appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum State {
    Scheduled = 0,
    Enroute = 1,
    Delivered = 2,
    Expired = 3,
    Deleted = 4,
    Undeliverable = 5,
    Accepted = 6,
    Unknown = 7,
    Rejected = 8,
    Skipped = 9,
}

/// The words a receipt's `stat` may hold: the standard's first, which are also the ones we write, then what centres invent.
const WORDS: [(&str, State); 10] = [
    ("SCHEDULED", State::Scheduled),
    ("ENROUTE", State::Enroute),
    ("DELIVRD", State::Delivered),
    ("EXPIRED", State::Expired),
    ("DELETED", State::Deleted),
    ("UNDELIV", State::Undeliverable),
    ("ACCEPTD", State::Accepted),
    ("UNKNOWN", State::Unknown),
    ("REJECTD", State::Rejected),
    ("SKIPPED", State::Skipped),
];

/// Beginnings of the words seen in the field.
const BEGINNINGS: [(&[u8], State); 18] = [
    (b"DELIV", State::Delivered),
    (b"UNDEL", State::Undeliverable),
    (b"FAIL", State::Undeliverable),
    (b"EXPIR", State::Expired),
    (b"DELET", State::Deleted),
    (b"REJ", State::Rejected),
    (b"BLOCK", State::Rejected),
    (b"BLACK", State::Rejected),
    (b"SKIP", State::Skipped),
    (b"ACCEP", State::Accepted),
    (b"ACK", State::Accepted),
    (b"BUFF", State::Enroute),
    (b"ENROUT", State::Enroute),
    (b"QUEUE", State::Enroute),
    (b"PEND", State::Enroute),
    (b"SENT", State::Enroute),
    (b"SUBMIT", State::Enroute),
    (b"SCHED", State::Scheduled),
];

impl State {
    /// The `message_state` number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The state of a `message_state` number; `None` for a reserved one.
    pub fn from_number(number: u8) -> Option<State> {
        WORDS.get(usize::from(number)).map(|(_, state)| *state)
    }

    /// The word as receipts write it.
    pub fn word(self) -> &'static str {
        WORDS[usize::from(self as u8)].0
    }

    /// The state of a receipt's word in any case and spelling, or of a one-digit number. A word nobody knows is
    /// [`State::Unknown`], so that nothing is decided on a guess.
    pub fn from_word(word: &[u8]) -> State {
        if let [digit @ b'0'..=b'9'] = word {
            return State::from_number(digit - b'0').unwrap_or(State::Unknown);
        }
        let exact = WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()));
        let begins = |known: &[u8]| word.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
        let exact = exact.map(|(_, state)| *state);
        let begun = || BEGINNINGS.iter().find(|(known, _)| begins(known)).map(|(_, state)| *state);
        exact.or_else(begun).unwrap_or(State::Unknown)
    }

    /// Does nothing more follow?
    ///
    /// ACCEPTED is not final here although the standard says so: many centres send it on the way, and to end a message with it
    /// would hide whether it was delivered. UNKNOWN is not final either.
    pub fn is_final(self) -> bool {
        use State::*;
        matches!(self, Delivered | Expired | Deleted | Undeliverable | Rejected | Skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_agree_both_ways() {
        for number in 0..=9 {
            let state = State::from_number(number).unwrap();
            assert_eq!(state.number(), number);
            assert_eq!(State::from_word(state.word().as_bytes()), state);
        }
        assert_eq!(State::from_number(10), None);
    }

    #[test]
    fn words_outside_the_list_are_understood() {
        for (word, state) in [
            ("FAILED", State::Undeliverable),
            ("ACKED", State::Accepted),
            ("BUFFRED", State::Enroute),
            ("BUFFERD", State::Enroute),
            ("delivrd", State::Delivered),
            ("Delivered", State::Delivered),
            ("UNDELIVERABLE", State::Undeliverable),
            ("REJECTED", State::Rejected),
            ("2", State::Delivered),
            ("XYZZY", State::Unknown),
            ("", State::Unknown),
        ] {
            assert_eq!(State::from_word(word.as_bytes()), state, "{word}");
        }
    }

    #[test]
    fn accepted_and_unknown_do_not_end_a_message() {
        assert!(!State::Accepted.is_final() && !State::Unknown.is_final() && !State::Enroute.is_final());
        assert!(State::Delivered.is_final() && State::Rejected.is_final());
    }
}
