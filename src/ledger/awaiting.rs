//! Messages whose receipts are awaited, in the order in which that ends.

use std::collections::VecDeque;

use crate::message::MessageId;

/// The line: message ids by the second from which on their receipt is awaited. An entry stays when its message is finished; its time
/// or a [`sweep`](Awaiting::sweep) ends it.
#[derive(Debug, Default)]
pub(super) struct Awaiting {
    seconds: VecDeque<Second>,
    /// Entries of seconds whose time is over, in order.
    due: VecDeque<(u32, MessageId)>,
    /// Entries in `seconds`.
    entries: usize,
    /// The second that is swept next.
    sweep: usize,
}

#[derive(Debug)]
struct Second {
    /// Since the Unix epoch.
    at: u32,
    ids: Vec<MessageId>,
}

impl Awaiting {
    /// The receipt of `id` is awaited from `at` on, almost always the present second.
    pub fn push(&mut self, at: u32, id: MessageId) {
        self.entries += 1;
        match self.seconds.back_mut() {
            Some(last) if last.at == at => return last.ids.push(id),
            Some(last) if last.at < at => last.ids.shrink_to_fit(),
            _ => {}
        }
        let place = self.seconds.partition_point(|second| second.at < at);
        match self.seconds.get_mut(place) {
            Some(second) if second.at == at => second.ids.push(id),
            _ => self.seconds.insert(place, Second { at, ids: vec![id] }),
        }
    }

    /// The first entry awaited from `overdue` on or before.
    pub fn pop_due(&mut self, overdue: u32) -> Option<(u32, MessageId)> {
        while self.due.is_empty() {
            let mut second = self.seconds.pop_front_if(|second| second.at <= overdue)?;
            second.ids.sort_unstable();
            self.entries -= second.ids.len();
            self.due.extend(second.ids.iter().map(|id| (second.at, *id)));
        }
        self.due.pop_front()
    }

    pub fn len(&self) -> usize {
        self.due.len() + self.entries
    }

    /// Drops entries of finished messages from one second; each call takes the next one, round and round.
    pub fn sweep(&mut self, waits: impl Fn(MessageId) -> bool) {
        if self.sweep >= self.seconds.len() {
            self.sweep = 0;
        }
        let Some(second) = self.seconds.get_mut(self.sweep) else { return };
        let before = second.ids.len();
        second.ids.retain(|id| waits(*id));
        self.entries -= before - second.ids.len();
        if second.ids.is_empty() {
            self.seconds.remove(self.sweep);
        } else {
            second.ids.shrink_to_fit();
            self.sweep += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(line: &mut Awaiting, overdue: u32) -> Vec<(u32, u64)> {
        std::iter::from_fn(|| line.pop_due(overdue)).map(|(at, id)| (at, id.0)).collect()
    }

    #[test]
    fn entries_leave_in_order_of_time_and_id_whatever_order_they_came_in() {
        let mut line = Awaiting::default();
        for (at, id) in [(10, 3), (10, 1), (12, 5), (11, 9), (10, 2), (13, 4)] {
            line.push(at, MessageId(id));
        }
        assert_eq!(popped(&mut line, 9), []);
        assert_eq!(popped(&mut line, 12), [(10, 1), (10, 2), (10, 3), (11, 9), (12, 5)]);
        assert_eq!((line.len(), popped(&mut line, 13)), (1, vec![(13, 4)]));
    }

    #[test]
    fn an_entry_that_comes_back_while_its_second_leaves_takes_its_turn() {
        let mut line = Awaiting::default();
        (1..=3).for_each(|id| line.push(10, MessageId(id)));
        assert_eq!(line.pop_due(20), Some((10, MessageId(1))));
        line.push(12, MessageId(1));
        line.push(11, MessageId(7));
        assert_eq!(popped(&mut line, 20), [(10, 2), (10, 3), (11, 7), (12, 1)]);
    }

    #[test]
    fn sweeping_drops_the_finished_a_second_at_a_time() {
        let mut line = Awaiting::default();
        (0..30).for_each(|id| line.push(10 + id / 10, MessageId(u64::from(id))));
        let even = |id: MessageId| id.0.is_multiple_of(2) && id.0 < 20;
        line.sweep(even);
        assert_eq!(line.len(), 25);
        (0..5).for_each(|_| line.sweep(even));
        assert_eq!((line.len(), line.seconds.len()), (10, 2));
        assert_eq!(popped(&mut line, 10), [(10, 0), (10, 2), (10, 4), (10, 6), (10, 8)]);
    }
}
