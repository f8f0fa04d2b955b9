//! From the states of the parts to the state of the message.

use smallvec::SmallVec;

use super::State;

/// What a report about a part meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The first final state of the part: it stands.
    Final,
    /// Not a final state, and none is known yet.
    Intermediate,
    /// The part's final state again, or an intermediate one after it: nothing new.
    Repeated,
    /// Another final state than the one that stands: to be counted and otherwise ignored.
    Contradictory,
    /// No such part.
    NoSuchPart,
}

/// The final states of the parts of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    finals: SmallVec<[Option<State>; 16]>,
}

impl Aggregate {
    /// Nothing known yet of `parts` parts.
    pub fn new(parts: usize) -> Aggregate {
        Aggregate { finals: SmallVec::from_elem(None, parts) }
    }

    /// Takes a report about the part at `index`, counted from 0.
    pub fn note(&mut self, index: usize, state: State) -> Noted {
        let Some(part) = self.finals.get_mut(index) else {
            return Noted::NoSuchPart;
        };
        match *part {
            None if state.is_final() => {
                *part = Some(state);
                Noted::Final
            }
            None => Noted::Intermediate,
            Some(known) if known == state || !state.is_final() => Noted::Repeated,
            Some(_) => Noted::Contradictory,
        }
    }

    /// The final state of the message, as soon as there is one: delivered when every part is, the worst of the failures known
    /// as soon as one part has failed. `None` while neither holds.
    pub fn outcome(&self) -> Option<State> {
        let known = self.finals.iter().flatten().copied();
        match known.max_by_key(|state| state.severity())? {
            State::Delivered if self.delivered() < self.finals.len() => None,
            state => Some(state),
        }
    }

    /// How many parts were delivered.
    pub fn delivered(&self) -> usize {
        self.finals.iter().filter(|state| **state == Some(State::Delivered)).count()
    }

    /// Has every part a final state, so that nothing more can come?
    pub fn is_complete(&self) -> bool {
        self.finals.iter().all(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_delivered_when_all_its_parts_are() {
        let mut parts = Aggregate::new(2);
        assert_eq!((parts.note(1, State::Delivered), parts.outcome()), (Noted::Final, None));
        assert_eq!((parts.note(0, State::Delivered), parts.outcome()), (Noted::Final, Some(State::Delivered)));
        assert!(parts.is_complete());
    }

    #[test]
    fn the_first_failure_fails_the_message_and_the_worst_one_names_it() {
        let mut parts = Aggregate::new(3);
        parts.note(0, State::Delivered);
        parts.note(1, State::Expired);
        assert_eq!((parts.outcome(), parts.is_complete()), (Some(State::Expired), false));
        parts.note(2, State::Rejected);
        assert_eq!(parts.outcome(), Some(State::Rejected));
    }

    #[test]
    fn the_first_final_state_stands_and_a_different_one_is_contradictory() {
        let mut parts = Aggregate::new(1);
        assert_eq!(parts.note(0, State::Enroute), Noted::Intermediate);
        assert_eq!(parts.note(0, State::Delivered), Noted::Final);
        assert_eq!(parts.note(0, State::Delivered), Noted::Repeated);
        assert_eq!(parts.note(0, State::Accepted), Noted::Repeated);
        assert_eq!(parts.note(0, State::Undeliverable), Noted::Contradictory);
        assert_eq!(parts.outcome(), Some(State::Delivered));
        assert_eq!(parts.note(1, State::Delivered), Noted::NoSuchPart);
    }

    proptest! {
        #[test]
        fn a_known_failure_never_becomes_a_delivery(reports in proptest::collection::vec((0usize..4, 0u8..10), 0..30)) {
            let mut parts = Aggregate::new(4);
            let mut failed = false;
            for (index, state) in reports {
                parts.note(index, State::from_number(state).unwrap());
                let outcome = parts.outcome();
                prop_assert!(!(failed && outcome.is_none_or(|state| state == State::Delivered)));
                failed |= outcome.is_some_and(|state| state != State::Delivered);
            }
        }
    }
}
