//! Which connections may stay: at most so many in total and from one source. Pure.
//!
//! At a limit a newcomer takes the place of one that is not bound: first of one whose bind was refused, then of one that has not asked
//! for a bind, last of one whose password is being verified; of equal ones the oldest. So a crowd that never binds, or guesses passwords, cannot keep anybody out; sessions that are bound keep their
//! places in any case.

use std::collections::{BTreeSet, HashMap};

use super::source::Source;

/// Names a connection; never used twice.
pub type Id = u64;

/// A connection that is not bound, in the order in which they give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// A bind was refused.
    Refused,
    /// Nothing has come but perhaps a part of a bind.
    Silent,
    /// A bind is being decided on.
    Asking,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub total: usize,
    pub per_source: usize,
}

/// The connections there are.
#[derive(Debug, Default)]
pub struct Places {
    next: Id,
    /// `None`: bound.
    taken: HashMap<Id, (Source, Option<Standing>)>,
    by_source: HashMap<Source, Here>,
    /// Those that are not bound; the first gives way first.
    unbound: BTreeSet<(Standing, Id)>,
}

/// The connections of one source.
#[derive(Debug, Default)]
struct Here {
    count: usize,
    unbound: BTreeSet<(Standing, Id)>,
}

impl Places {
    /// A place for a connection from there, and the one that has to give way to it; `None` when all are bound.
    pub fn enter(&mut self, source: Source, limits: Limits) -> Option<(Id, Option<Id>)> {
        let here = self.by_source.get(&source);
        let gives_way = if here.is_some_and(|here| here.count >= limits.per_source) {
            Some(here?.unbound.first()?.1)
        } else if self.taken.len() >= limits.total {
            Some(self.unbound.first()?.1)
        } else {
            None
        };
        if let Some(id) = gives_way {
            self.leave(id);
        }
        let id = self.next;
        self.next += 1;
        self.taken.insert(id, (source, None));
        self.by_source.entry(source).or_default().count += 1;
        self.stand(id, Some(Standing::Silent));
        Some((id, gives_way))
    }

    /// Notes that it has asked for a bind.
    pub fn asking(&mut self, id: Id) {
        self.stand(id, Some(Standing::Asking));
    }

    /// Notes that its bind was refused.
    pub fn refused(&mut self, id: Id) {
        self.stand(id, Some(Standing::Refused));
    }

    /// Notes that it is bound; false when it has had to give way before.
    pub fn bound(&mut self, id: Id) -> bool {
        self.stand(id, None);
        self.holds(id)
    }

    /// Is its place still its own?
    pub fn holds(&self, id: Id) -> bool {
        self.taken.contains_key(&id)
    }

    /// The connection has ended. One that gave way before has nothing left to leave.
    pub fn leave(&mut self, id: Id) {
        self.stand(id, None);
        let Some((source, _)) = self.taken.remove(&id) else { return };
        if let Some(here) = self.by_source.get_mut(&source) {
            here.count -= 1;
            if here.count == 0 {
                self.by_source.remove(&source);
            }
        }
    }

    fn stand(&mut self, id: Id, standing: Option<Standing>) {
        let Some((source, former)) = self.taken.get_mut(&id) else { return };
        let former = std::mem::replace(former, standing);
        let here = self.by_source.entry(*source).or_default();
        for unbound in [&mut self.unbound, &mut here.unbound] {
            if let Some(former) = former {
                unbound.remove(&(former, id));
            }
            if let Some(standing) = standing {
                unbound.insert((standing, id));
            }
        }
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
