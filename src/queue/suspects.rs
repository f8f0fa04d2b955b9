//! Messages under suspicion: again and again their session died while they were in flight. They stand apart from the lines, so that
//! each can be sent alone.

use std::collections::BTreeMap;

use super::{Found, Item};
use crate::message::{MessageId, Timestamp};

/// Sessions that died in a row while a message was in flight, after which it is sent alone. One death says little: everything in
/// the window is in flight when an operator restarts.
const SUSPECT_AFTER: u8 = 2;

/// What the death of a session says about a message that was in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Others were in flight as well: any of them may have done it.
    Crowd,
    /// It was alone, but so was another one before, and the operator has answered nothing since: it is not the messages.
    Operator,
    /// It was alone.
    Message,
}

/// What speaks against a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suspicion {
    /// Sessions that died in a row while it was in flight.
    pub deaths: u8,
    /// Those of them in which nothing else was in flight, and for which nothing else is to blame.
    pub alone: u8,
}

impl Suspicion {
    /// Must it be sent alone?
    pub fn is_suspect(self) -> bool {
        self.deaths >= SUSPECT_AFTER
    }

    /// After one more death. When the operator is to blame, it may have been before as well.
    pub fn after(self, blame: Blame) -> Suspicion {
        let alone = match blame {
            Blame::Crowd => self.alone,
            Blame::Operator => 0,
            Blame::Message => self.alone.saturating_add(1),
        };
        Suspicion { deaths: self.deaths.saturating_add(1), alone }
    }
}

/// The suspects of one operator, by when they may be tried. At most what fits into its windows.
#[derive(Debug)]
pub(super) struct Suspects<P> {
    waiting: BTreeMap<(Timestamp, u64), Item<P>>,
    order: u64,
}

impl<P> Suspects<P> {
    pub fn new() -> Self {
        Suspects { waiting: BTreeMap::new(), order: 0 }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn insert(&mut self, item: Item<P>, until: Timestamp) {
        self.order += 1;
        self.waiting.insert((until, self.order), item);
    }

    /// When the first of them may be tried.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(until, _)| *until)
    }

    /// The next that may be tried at `now`.
    pub fn pull(&mut self, now: Timestamp) -> Option<Item<P>> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        self.waiting.values().map(|item| item.queued_at).min()
    }

    pub fn find(&self, id: MessageId) -> Option<Found<P>> {
        let found = self.waiting.iter().find(|(_, item)| item.id == id);
        found.map(|((until, _), item)| Found { item: item.clone(), until: Some(*until), refusal: 0 })
    }

    pub fn contains(&self, id: MessageId) -> bool {
        self.waiting.values().any(|item| item.id == id)
    }

    /// Takes out every message that `wanted` names.
    pub fn take_out(&mut self, taken: &mut Vec<Item<P>>, mut wanted: impl FnMut(&Item<P>) -> bool) {
        taken.extend(self.waiting.extract_if(.., |_, item| wanted(item)).map(|(_, item)| item));
    }
}
