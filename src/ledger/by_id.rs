//! A map from ids to small things, made for ids that are given one after the other.
//!
//! The ids of a page stand together, so that neighbours share the way there and the cache lines. A page takes memory for the ids in
//! it, or about, and not for those between them: what stays behind when all around it is finished costs little. It grows page by page, never by
//! copying itself.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::pages::Pages;
use crate::message::MessageId;

/// Ids of one page: the bits of [`Page::present`].
const IDS: u64 = u32::BITS as u64;

/// Things that a page has room for in the beginning.
const FIRST: usize = 8;

#[derive(Debug)]
pub(super) struct ById<T> {
    pages: HashMap<u64, Page<T>>,
    /// The pages there are.
    order: Pages,
    len: usize,
}

/// The things of neighbouring ids, in order.
#[derive(Debug)]
struct Page<T> {
    /// Which of the ids are here.
    present: u32,
    /// Which of them have a place in `items`. That of a thing that has left stays empty until many are, so that the others need not move
    /// up each time.
    placed: u32,
    items: Vec<Option<T>>,
}

impl<T> Page<T> {
    fn new() -> Self {
        Page { present: 0, placed: 0, items: Vec::with_capacity(FIRST) }
    }

    /// Where the thing of an id stands, or would.
    fn at(&self, bit: u32) -> usize {
        (self.placed & (bit - 1)).count_ones() as usize
    }

    fn get(&self, bit: u32) -> Option<&T> {
        if self.present & bit == 0 {
            return None;
        }
        self.items.get(self.at(bit))?.as_ref()
    }

    fn place_mut(&mut self, bit: u32) -> Option<&mut Option<T>> {
        if self.present & bit == 0 {
            return None;
        }
        let at = self.at(bit);
        self.items.get_mut(at)
    }

    fn insert(&mut self, bit: u32, item: T) -> Option<T> {
        let at = self.at(bit);
        self.present |= bit;
        if self.placed & bit != 0 {
            return self.items.get_mut(at)?.replace(item);
        }
        self.placed |= bit;
        self.items.insert(at, Some(item));
        None
    }

    fn remove(&mut self, bit: u32) -> Option<T> {
        let item = self.place_mut(bit)?.take();
        self.present &= !bit;
        item
    }

    /// Everything here, in order: this is the page of that number.
    fn all(&self, page: u64) -> impl Iterator<Item = (MessageId, &T)> {
        ids(page, self.present).zip(self.items.iter().flatten())
    }

    /// Gives memory back when half of it holds nothing.
    fn tidy(&mut self) {
        if self.present.count_ones() as usize * 2 <= self.items.capacity() {
            self.items.retain(Option::is_some);
            self.items.shrink_to_fit();
            self.placed = self.present;
        }
    }
}

/// The page of an id and its bit there.
fn place(id: MessageId) -> (u64, u32) {
    (id.0 / IDS, 1 << (id.0 % IDS))
}

impl<T> ById<T> {
    pub fn new() -> Self {
        ById { pages: HashMap::new(), order: Pages::default(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn contains(&self, id: MessageId) -> bool {
        let (page, bit) = place(id);
        self.pages.get(&page).is_some_and(|page| page.present & bit != 0)
    }

    pub fn get(&self, id: MessageId) -> Option<&T> {
        let (page, bit) = place(id);
        self.pages.get(&page)?.get(bit)
    }

    pub fn get_mut(&mut self, id: MessageId) -> Option<&mut T> {
        let (page, bit) = place(id);
        self.pages.get_mut(&page)?.place_mut(bit)?.as_mut()
    }

    /// Puts a thing in; returns the one it replaces.
    pub fn insert(&mut self, id: MessageId, item: T) -> Option<T> {
        let (page, bit) = place(id);
        let order = &mut self.order;
        let begun = || {
            order.insert(page);
            Page::new()
        };
        let replaced = self.pages.entry(page).or_insert_with(begun).insert(bit, item);
        self.len += usize::from(replaced.is_none());
        replaced
    }

    pub fn remove(&mut self, id: MessageId) -> Option<T> {
        let (number, bit) = place(id);
        let Entry::Occupied(mut entry) = self.pages.entry(number) else { return None };
        let page = entry.get_mut();
        let item = page.remove(bit)?;
        self.len -= 1;
        if page.present == 0 {
            entry.remove();
            self.order.remove(number);
        } else {
            page.tidy();
        }
        Some(item)
    }

    /// Everything, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &T)> {
        self.pages.iter().flat_map(|(page, held)| held.all(*page))
    }

    /// The pages there are, in order; for [`ids_of`](Self::ids_of).
    pub fn pages(&self) -> Vec<u64> {
        self.order.iter().collect()
    }

    /// The last page before this one; for [`items_of`](Self::items_of).
    pub fn page_before(&self, page: u64) -> Option<u64> {
        self.order.before(page)
    }

    /// Everything of a page, in order.
    pub fn items_of(&self, page: u64) -> impl Iterator<Item = (MessageId, &T)> {
        self.pages.get(&page).into_iter().flat_map(move |held| held.all(page))
    }

    /// The ids of a page now, in order.
    pub fn ids_of(&self, page: u64) -> impl Iterator<Item = MessageId> + use<T> {
        ids(page, self.pages.get(&page).map_or(0, |held| held.present))
    }
}

/// The page an id stands on.
pub(super) fn page_of(id: MessageId) -> u64 {
    place(id).0
}

/// The first id that may stand on a page.
pub(super) fn first_of(page: u64) -> MessageId {
    MessageId(page * IDS)
}

fn ids(page: u64, present: u32) -> impl Iterator<Item = MessageId> {
    (0..IDS).filter(move |at| present & (1 << at) != 0).map(move |at| MessageId(page * IDS + at))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_map_holds(steps in prop::collection::vec((0u64..200, any::<bool>()), 0..400)) {
            let (mut map, mut model) = (ById::new(), BTreeMap::new());
            for (value, (id, inserts)) in steps.into_iter().enumerate() {
                let id = MessageId(id);
                if inserts {
                    prop_assert_eq!(map.insert(id, value), model.insert(id, value));
                } else {
                    prop_assert_eq!(map.remove(id), model.remove(&id));
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!((map.get(id), map.contains(id)), (model.get(&id), model.contains_key(&id)));
                prop_assert_eq!(map.get_mut(id), model.get_mut(&id));
            }
            let in_order: Vec<MessageId> = map.pages().into_iter().flat_map(|page| map.ids_of(page)).collect();
            prop_assert_eq!(in_order, model.keys().copied().collect::<Vec<_>>());
            let newest_first = std::iter::successors(map.page_before(u64::MAX), |page| map.page_before(*page));
            let by_page: Vec<_> = newest_first.flat_map(|page| map.items_of(page)).map(|(id, value)| (id, *value)).collect();
            prop_assert_eq!(by_page.len(), model.len());
            prop_assert_eq!(by_page.into_iter().collect::<BTreeMap<_, _>>(), model.clone());
            prop_assert_eq!(map.iter().map(|(id, value)| (id, *value)).collect::<BTreeMap<_, _>>(), model);
        }
    }

    #[test]
    fn what_is_left_of_a_page_takes_little_memory_and_nothing_takes_none() {
        let mut map: ById<[u8; 48]> = ById::new();
        for id in 0..64 {
            map.insert(MessageId(id), [0; 48]);
        }
        for id in (0..64).filter(|id| id % 32 != 5) {
            map.remove(MessageId(id));
        }
        assert!(map.pages.values().all(|page| page.items.capacity() <= 2));
        map.remove(MessageId(5));
        map.remove(MessageId(37));
        assert!(map.pages.is_empty() && map.pages().is_empty());
    }
}
