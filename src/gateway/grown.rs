//! An append-only list that many tasks read and nobody waits for.

use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::lock;

/// What was given a number once keeps it for the life of the process. Reading takes no lock.
#[derive(Debug)]
pub(super) struct Grown<T> {
    list: ArcSwap<Vec<Arc<T>>>,
    growing: Mutex<()>,
}

impl<T> Default for Grown<T> {
    fn default() -> Self {
        Grown { list: ArcSwap::default(), growing: Mutex::default() }
    }
}

impl<T> Grown<T> {
    /// All there are now.
    pub fn all(&self) -> Guard<Arc<Vec<Arc<T>>>> {
        self.list.load()
    }

    /// The one at `index`. It and those before it are made first if they are not there.
    pub fn get_or_make(&self, index: u16, mut make: impl FnMut(u16) -> T) -> Arc<T> {
        if let Some(item) = self.list.load().get(usize::from(index)) {
            return item.clone();
        }
        let _growing = lock(&self.growing);
        let mut list = Vec::clone(&self.list.load());
        for next in (0..=index).skip(list.len()) {
            list.push(Arc::new(make(next)));
        }
        let item = list[usize::from(index)].clone();
        self.list.store(Arc::new(list));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_made_once_and_stays_where_it_is() {
        let (list, mut made) = (Grown::default(), 0);
        let mut make = |index| {
            made += 1;
            index * 10
        };
        let second = list.get_or_make(1, &mut make);
        assert_eq!((*second, list.all().len()), (10, 2));
        assert!(Arc::ptr_eq(&second, &list.get_or_make(1, &mut make)));
        assert_eq!(made, 2);
    }
}
