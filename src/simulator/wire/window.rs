//! Our own requests without an answer.

use std::time::{Duration, Instant};

/// Sequence numbers run from 1 to this and start over (SMPP 5.0 section 3.2.1.4).
const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;

#[derive(Debug)]
struct Sent<T> {
    sequence: u32,
    at: Instant,
    token: T,
}

/// Every request stands in the place that its sequence number names, of at least twice as many places as the window is wide. A
/// number whose place is still taken, because a request of one round ago was never answered, is passed over.
#[derive(Debug)]
pub struct Window<T> {
    places: Box<[Option<Sent<T>>]>,
    next: u32,
    open: usize,
    limit: usize,
    timeout: Duration,
    /// No request runs out of time before.
    deadline: Option<Instant>,
}

impl<T> Window<T> {
    /// At most `limit` requests at once; `timeout`: time to answer each.
    pub fn new(limit: usize, timeout: Duration) -> Window<T> {
        let places = (0..(limit * 2).next_power_of_two()).map(|_| None).collect();
        Window { places, next: 1, open: 0, limit, timeout, deadline: None }
    }

    /// Requests that may be sent before one is answered.
    pub fn free(&self) -> usize {
        self.limit - self.open
    }

    /// Unanswered requests.
    pub fn open(&self) -> usize {
        self.open
    }

    /// A number for a request whose answer is not waited for here.
    pub fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = if number == LAST_SEQUENCE { 1 } else { number + 1 };
        number
    }

    /// Notes a request; returns its number, and the token where it is kept. The caller has seen that the window is not full.
    #[inline]
    pub fn push(&mut self, at: Instant, token: T) -> (u32, &T) {
        let mut sequence = self.take_number();
        while self.places[self.place(sequence)].is_some() {
            sequence = self.take_number();
        }
        self.open += 1;
        self.deadline.get_or_insert(at + self.timeout);
        let place = self.place(sequence);
        let sent = self.places[place].insert(Sent { sequence, at, token });
        (sequence, &sent.token)
    }

    /// Takes the request with this number.
    #[inline]
    pub fn answer(&mut self, sequence: u32) -> Option<T> {
        let place = self.place(sequence);
        let sent = self.places[place].take_if(|sent| sent.sequence == sequence)?;
        self.open -= 1;
        Some(sent.token)
    }

    fn place(&self, sequence: u32) -> usize {
        sequence as usize & (self.places.len() - 1)
    }

    /// When to call [`Window::expire`]. Answers do not put it off, so that they cost nothing: at worst the call finds nothing.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes the requests whose time is over, oldest first.
    pub fn expire(&mut self, now: Instant) -> Vec<T> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let timeout = self.timeout;
        let expired = self.take_all(|sent| sent.at + timeout <= now);
        self.deadline = self.places.iter().flatten().map(|sent| sent.at + timeout).min();
        expired
    }

    /// Takes all requests, oldest first.
    pub fn drain(&mut self) -> Vec<T> {
        self.deadline = None;
        self.take_all(|_| true)
    }

    fn take_all(&mut self, mut which: impl FnMut(&Sent<T>) -> bool) -> Vec<T> {
        let mut taken: Vec<Sent<T>> = self.places.iter_mut().filter_map(|place| place.take_if(|sent| which(sent))).collect();
        self.open -= taken.len();
        taken.sort_by_key(|sent| (sent.at, sent.sequence));
        taken.into_iter().map(|sent| sent.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn numbers_start_over_after_the_last() {
        let mut window = Window::new(2, TIMEOUT);
        window.next = LAST_SEQUENCE;
        let now = Instant::now();
        assert_eq!((window.push(now, 'a').0, window.push(now, 'b').0), (LAST_SEQUENCE, 1));
        assert_eq!((window.answer(1), window.answer(LAST_SEQUENCE), window.answer(1)), (Some('b'), Some('a'), None));
    }

    #[test]
    fn a_request_that_is_never_answered_is_in_nobodys_way_until_it_expires() {
        let mut window = Window::new(2, TIMEOUT);
        let start = Instant::now();
        window.push(start, 0);
        for message in 1..1000 {
            let (sequence, _) = window.push(start + Duration::from_secs(1), message);
            assert_eq!(window.answer(sequence), Some(message));
        }
        assert_eq!(window.expire(start + TIMEOUT - Duration::from_millis(1)), Vec::<i32>::new());
        assert_eq!(window.expire(start + TIMEOUT), vec![0]);
        assert_eq!((window.open(), window.free(), window.deadline()), (0, 2, None));
    }

    #[test]
    fn the_deadline_is_never_later_than_the_oldest_request() {
        let mut window = Window::new(3, TIMEOUT);
        let start = Instant::now();
        let (first, _) = window.push(start, 1);
        window.push(start + Duration::from_secs(4), 2);
        window.answer(first);
        assert_eq!(window.deadline(), Some(start + TIMEOUT));
        assert!(window.expire(start + TIMEOUT).is_empty());
        assert_eq!(window.deadline(), Some(start + Duration::from_secs(14)));
    }

    proptest! {
        #[test]
        fn every_token_comes_back_once(limit in 1usize..20, steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..300)) {
            let mut window = Window::new(limit, TIMEOUT);
            let mut open: Vec<u32> = Vec::new();
            for (sends, which) in steps {
                if sends && window.free() > 0 {
                    let token = window.next;
                    let (sequence, _) = window.push(Instant::now(), token);
                    open.push(sequence);
                } else if !open.is_empty() {
                    let sequence = open.swap_remove(which.index(open.len()));
                    prop_assert!(window.answer(sequence).is_some());
                    prop_assert_eq!(window.answer(sequence), None);
                }
                prop_assert_eq!(window.open(), open.len());
            }
            prop_assert_eq!(window.drain().len(), open.len());
        }
    }
}
