//! Which pages of ids there are, in order: so that the newest can be looked at first, and a look can go on where another one ended.
//!
//! A table of pages has no order, and the numbers between its pages may be many more than they are: what is a week old has left one here
//! and one there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Pages of one group: the bits of a value.
const GROUP: u64 = u64::BITS as u64;

/// The numbers of pages, by groups of neighbours: an octet for some hundred ids where they stand close together.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<u64, u64>);

/// The group of a page and its bit there.
fn place(page: u64) -> (u64, u64) {
    (page / GROUP, 1 << (page % GROUP))
}

impl Pages {
    pub fn insert(&mut self, page: u64) {
        let (group, bit) = place(page);
        *self.0.entry(group).or_default() |= bit;
    }

    pub fn remove(&mut self, page: u64) {
        let (group, bit) = place(page);
        if let Entry::Occupied(mut pages) = self.0.entry(group) {
            *pages.get_mut() &= !bit;
            if *pages.get() == 0 {
                pages.remove();
            }
        }
    }

    /// The last page before this one.
    pub fn before(&self, page: u64) -> Option<u64> {
        let (group, bit) = place(page);
        let last = |group: u64, pages: u64| pages.checked_ilog2().map(|last| group * GROUP + u64::from(last));
        let here = self.0.get(&group).and_then(|pages| last(group, pages & (bit - 1)));
        here.or_else(|| self.0.range(..group).next_back().and_then(|(group, pages)| last(*group, *pages)))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let group = |(group, pages): (&u64, &u64)| {
            let (first, pages) = (group * GROUP, *pages);
            (0..GROUP).filter(move |at| pages & (1 << at) != 0).map(move |at| first + at)
        };
        self.0.iter().flat_map(group)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_sorted_set_has(steps in prop::collection::vec((0u64..300, any::<bool>()), 0..300)) {
            let (mut pages, mut model) = (Pages::default(), BTreeSet::new());
            for (page, inserts) in steps {
                if inserts {
                    pages.insert(page);
                    model.insert(page);
                } else {
                    pages.remove(page);
                    model.remove(&page);
                }
                prop_assert_eq!(pages.before(page), model.range(..page).next_back().copied());
            }
            prop_assert_eq!(pages.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(pages.before(u64::MAX), model.last().copied());
            model.iter().for_each(|page| pages.remove(*page));
            prop_assert!(pages.0.is_empty(), "nothing takes no memory");
        }
    }
}
