//! Our own unanswered requests: sequence numbers, the window, and response deadlines (SMPP 5.0 sections 2.6 and 2.9).
//!
//! Requests are sent in the order of their sequence numbers and all have the same time to be answered, so one queue serves as
//! look-up table and as timer wheel: its front is the oldest deadline, and an entry's place follows from its number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::CommandId;

/// Sequence numbers run from 1 to this and start over (SMPP 5.0 section 3.2.1.4).
const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;

/// Late answers are recognised for so many of a session's requests.
pub const LATE_KEPT: usize = 1_000;

/// The numbers of our requests.
#[derive(Debug)]
pub(super) struct Sequence(u32);

impl Sequence {
    pub fn new(first: u32) -> Self {
        Sequence(first.clamp(1, LAST_SEQUENCE))
    }

    pub fn take(&mut self) -> u32 {
        let current = self.0;
        self.0 = if current == LAST_SEQUENCE { 1 } else { current + 1 };
        current
    }
}

/// How many numbers after `from` comes `to`, going around.
fn distance(from: u32, to: u32) -> u32 {
    if to >= from { to - from } else { LAST_SEQUENCE - from + to }
}

#[derive(Debug)]
struct Slot<T> {
    sequence: u32,
    command: CommandId,
    sent_at: Instant,
    /// Gone once answered or expired; the slot goes when it reaches the front.
    token: Option<T>,
}

/// What a response belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match<T> {
    Request(T),
    /// Its request has expired before.
    Late,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Window<T> {
    slots: VecDeque<Slot<T>>,
    open: usize,
    limit: usize,
    /// Numbers of the latest expired requests, at most [`LATE_KEPT`] of them, so that late answers are told from foreign ones.
    expired: VecDeque<u32>,
}

impl<T> Window<T> {
    pub fn new(limit: usize) -> Self {
        Window { slots: VecDeque::new(), open: 0, limit, expired: VecDeque::new() }
    }

    /// Requests that may still be sent before one is answered.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// Unanswered requests.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Adds a request; the caller has seen that there is room, and numbers requests in sending order.
    pub fn push(&mut self, sequence: u32, command: CommandId, token: T, now: Instant) {
        // One old unanswered request must not make everything answered after it accumulate.
        if self.slots.len() > self.open * 2 + 64 {
            self.slots.retain(|slot| slot.token.is_some());
        }
        self.slots.push_back(Slot { sequence, command, sent_at: now, token: Some(token) });
        self.open += 1;
    }

    /// Takes the request a response belongs to. `command` is the request's; `None` (generic_nack) matches any.
    pub fn answer(&mut self, sequence: u32, command: Option<CommandId>) -> Match<T> {
        let found = self.find(sequence).and_then(|at| {
            let slot = &mut self.slots[at];
            if command.is_some_and(|command| command != slot.command) {
                return None;
            }
            slot.token.take()
        });
        match found {
            Some(token) => {
                self.open -= 1;
                self.drop_answered();
                Match::Request(token)
            }
            None => match self.expired.iter().position(|&expired| expired == sequence) {
                Some(at) => {
                    self.expired.remove(at);
                    Match::Late
                }
                None => Match::Unknown,
            },
        }
    }

    fn find(&self, sequence: u32) -> Option<usize> {
        let first = self.slots.front()?.sequence;
        let wanted = distance(first, sequence);
        // Numbers used by other requests leave gaps, so an entry is at the place its number suggests or before it.
        let guess = usize::try_from(wanted).ok()?;
        if self.slots.get(guess).is_some_and(|slot| slot.sequence == sequence) {
            return Some(guess);
        }
        self.slots.binary_search_by_key(&wanted, |slot| distance(first, slot.sequence)).ok()
    }

    fn drop_answered(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.token.is_none()) {
            self.slots.pop_front();
        }
    }

    /// When the oldest request runs out of time.
    pub fn deadline(&self, response: Duration) -> Option<Instant> {
        super::timers::after(self.slots.front()?.sent_at, response)
    }

    /// Takes the oldest request if its time is over. It no longer counts in the window.
    pub fn expire(&mut self, now: Instant, response: Duration) -> Option<(u32, T)> {
        if self.deadline(response)? > now {
            return None;
        }
        let slot = self.slots.pop_front()?;
        self.drop_answered();
        let token = slot.token?;
        self.open -= 1;
        if self.expired.len() >= LATE_KEPT {
            self.expired.pop_front();
        }
        self.expired.push_back(slot.sequence);
        Some((slot.sequence, token))
    }

    /// Takes back every unanswered request, oldest first.
    pub fn drain(&mut self) -> Vec<T> {
        self.open = 0;
        self.slots.drain(..).filter_map(|slot| slot.token).collect()
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
