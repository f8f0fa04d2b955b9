//! The messages of which parts are in flight on one bind.

use super::super::outcome::Setback;
use crate::gateway::SentAgain;
use crate::ledger;
use crate::message::Job;
use crate::queue::Item;

/// A message of which parts are in flight here.
pub(super) struct Active {
    pub item: Item<Job>,
    /// Parts it has here; 0 until it has been cut.
    pub total: u8,
    /// Parts without an outcome, on the wire now.
    pub open: u8,
    /// Parts that have not been sent in this attempt: the next one, until `total`.
    pub next: u8,
    /// The worst that happened to a part in this attempt.
    pub setback: Option<Setback>,
    /// Parts of which nobody knows whether the operator has them.
    pub unknown: u8,
    /// Present when this is not the first attempt: what becomes known of a former one meanwhile.
    pub again: Option<SentAgain>,
}

impl Active {
    pub fn new(item: Item<Job>) -> Active {
        Active { item, total: 0, open: 0, next: 0, setback: None, unknown: 0, again: None }
    }

    /// What is left of it to be sent; `None` when late answers have said that the operator has all of it.
    pub fn left(self) -> Option<Item<Job>> {
        let mut item = self.item;
        item.done |= self.again.map_or(0, |again| again.taken());
        (item.done != ledger::all_parts(self.total)).then_some(item)
    }

    /// Is nothing of it in flight, or to be sent any more?
    pub fn is_over(&self) -> bool {
        self.open == 0 && (self.next >= self.total || self.setback.is_some())
    }
}

/// Where a message is, as long as it is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

/// The active messages, found by place: as many as the window has room for, so a list with holes does.
///
/// A place is given again once its message has been taken out, which happens only when no request names it any more.
#[derive(Default)]
pub(super) struct ActiveMessages {
    places: Vec<Option<Active>>,
    holes: Vec<Place>,
}

impl ActiveMessages {
    pub fn insert(&mut self, active: Active) -> Place {
        if let Some(place) = self.holes.pop() {
            self.places[place.0 as usize] = Some(active);
            return place;
        }
        self.places.push(Some(active));
        Place((self.places.len() - 1) as u32)
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Active> {
        self.places.get_mut(place.0 as usize)?.as_mut()
    }

    pub fn remove(&mut self, place: Place) -> Option<Active> {
        let active = self.places.get_mut(place.0 as usize)?.take()?;
        self.holes.push(place);
        Some(active)
    }

    /// Takes out the message if it is over.
    pub fn remove_if_over(&mut self, place: Place) -> Option<Active> {
        self.get_mut(place).is_some_and(|active| active.is_over()).then(|| self.remove(place)).flatten()
    }

    /// Takes out what has nothing in flight.
    pub fn take_idle(&mut self) -> Vec<Active> {
        let idle = |(at, active): (usize, &Option<Active>)| {
            active.as_ref().is_some_and(|active| active.open == 0).then_some(Place(at as u32))
        };
        let idle: Vec<Place> = self.places.iter().enumerate().filter_map(idle).collect();
        idle.into_iter().filter_map(|place| self.remove(place)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.places.len() == self.holes.len()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Active> {
        self.places.iter_mut().flatten()
    }
}
