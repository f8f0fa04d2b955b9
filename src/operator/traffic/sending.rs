//! Taking messages off the queue and onto the wire, as far as window, rate and pace allow.

use std::time::Instant;

use super::super::{pool, submit};
use super::{Active, Place, Token, Traffic};
use crate::ledger::{self, Failure};
use crate::link;
use crate::message::{Job, Timestamp};
use crate::queue::Item;
use crate::receipt::State;
use crate::smpp::CommandId;
use crate::text::TextError;
use crate::text::build::Outgoing;

impl Traffic<'_> {
    /// Sends what may be sent now; notes until when a limit holds the rest back.
    pub(super) fn send_waiting(&mut self) {
        self.limited_until = None;
        let now = link::now();
        self.send_unfinished(now);
        if !self.pay_rate_debt(now) {
            return;
        }
        while self.unfinished.is_empty() && self.room() > 0 {
            let time = self.context.gateway.clock.now();
            let (ready, suspect) = self.context.state.queue(|queue| (queue.ready(time), queue.next_suspect()));
            // While a message stands accused the others go first: what they are answered shows who is to blame.
            let due = suspect.is_some_and(|due| due <= time) && (ready == 0 || !self.context.state.is_in_doubt());
            if (due || self.probe.is_some()) && self.probes(due, now) {
                return;
            }
            if ready == 0 {
                return;
            }
            let wanted = u32::try_from(self.room().min(ready)).unwrap_or(u32::MAX);
            let (paced, next) = self.pace.allowance(now, wanted);
            self.limited_until = next;
            let (allowed, wait) = self.context.state.rate().take_up_to(paced, now);
            if let Some(wait) = wait {
                self.limited_until = Some(now + wait);
            }
            if allowed == 0 || !self.pull(allowed, now) {
                return;
            }
        }
    }

    /// The last message of a pull may have more parts than the rate allowed; they are paid for before anything more is taken.
    fn pay_rate_debt(&mut self, now: Instant) -> bool {
        let (paid, wait) = self.context.state.rate().take_up_to(self.rate_debt, now);
        self.rate_debt -= paid;
        if self.rate_debt > 0 {
            self.limited_until = wait.map(|wait| now + wait);
        }
        self.rate_debt == 0
    }

    /// When the next delayed message of the queue becomes ready, or the next suspect may be tried.
    pub(super) fn next_delayed(&self) -> Option<Instant> {
        let state = self.context.state;
        let time = self.context.gateway.clock.now();
        let (delayed, suspect, ready) = state.queue(|queue| (queue.next_due(), queue.next_suspect(), queue.ready(time)));
        // While another bind sends the suspects they are its business, and it wakes one of us in the end; while the others go first, theirs.
        let suspect = suspect.filter(|_| !state.is_probing() && (ready == 0 || !state.is_in_doubt()));
        let due = delayed.into_iter().chain(suspect).min()?;
        Some(self.context.gateway.clock.instant(due))
    }

    /// Sends the next suspect, if one is `due`, alone: not before everything else has been answered, and nothing after it until it has
    /// been. False when that is not this bind's task, or not any more.
    fn probes(&mut self, due: bool, now: Instant) -> bool {
        let state = self.context.state;
        if self.probe.is_none() {
            self.probe = state.probe();
            if self.probe.is_none() {
                return false;
            }
            // What waits besides is for the other binds.
            state.wake();
        }
        if !self.active.is_empty() {
            return true;
        }
        if !due {
            self.probe = None;
            return false;
        }
        let (paced, next) = self.pace.allowance(now, 1);
        let wait = state.rate().take_up_to(paced, now).1.map(|wait| now + wait);
        self.limited_until = wait.or(next);
        if paced == 0 || wait.is_some() {
            return true;
        }
        let time = self.context.gateway.clock.now();
        while let Some(item) = state.queue(|queue| queue.pull_suspect(time)) {
            let sent = self.begin(item, now, time);
            self.pace.sent(now, sent);
            if !self.active.is_empty() {
                return true;
            }
        }
        self.probe = None;
        false
    }

    /// Takes messages off the queue and sends them; false when there was nothing to take.
    fn pull(&mut self, parts: u32, now: Instant) -> bool {
        let time = self.context.gateway.clock.at(now);
        let pulled = self.context.state.pull(time, parts, submit::cost);
        if !pulled.load.is_empty() {
            pool::load(self.context.gateway, self.context.state, pulled.load);
        }
        let any = !pulled.items.is_empty();
        let taken: u32 = pulled.items.iter().filter_map(|item| item.payload.as_deref()).map(submit::cost).sum();
        self.rate_debt = self.rate_debt.saturating_add(taken.saturating_sub(parts));
        let mut sent = 0;
        for item in pulled.items {
            sent += self.begin(item, now, time);
        }
        self.pace.sent(now, sent);
        any
    }

    /// Sends a message as far as the window goes, the rest of it later; how many parts were sent.
    fn begin(&mut self, item: Item<Job>, now: Instant, time: Timestamp) -> u32 {
        if item.expires_at <= time {
            let failure = Failure { state: State::Expired, status: 0 };
            self.record_outcome(ledger::Event::Failed { id: item.id, operator: None, parts: None, failure });
            return 0;
        }
        if item.payload.is_none() {
            return 0;
        }
        let place = self.active.insert(Active::new(item));
        match self.send_parts(place, now, time) {
            Ok(sent) => {
                if self.active.get_mut(place).is_some_and(|active| active.next < active.total) {
                    self.unfinished.push_back(place);
                }
                sent
            }
            Err(error) => {
                self.cannot_carry(place, error);
                0
            }
        }
    }

    fn cannot_carry(&mut self, place: Place, error: TextError) {
        let Some(Active { item, .. }) = self.active.remove(place) else { return };
        tracing::warn!(operator = %self.context.state.name, %error, "the operator's settings cannot carry a message");
        let failure = Failure { state: State::Undeliverable, status: error.command_status() };
        let operator = Some(self.context.state.key);
        self.record_outcome(ledger::Event::Failed { id: item.id, operator, parts: None, failure });
    }

    /// Sends the open parts of messages already begun, as far as the window goes.
    fn send_unfinished(&mut self, now: Instant) {
        let time = self.context.gateway.clock.at(now);
        let mut sent = 0;
        while let Some(place) = self.unfinished.front().copied() {
            let unsent = self.active.get_mut(place).is_some_and(|active| active.next < active.total);
            if !unsent {
                self.unfinished.pop_front();
                self.settle(place);
                continue;
            }
            match self.send_parts(place, now, time) {
                Ok(count) if count > 0 => sent += count,
                // No room, or no session any more.
                _ => break,
            }
        }
        self.pace.sent(now, sent);
    }

    /// Sends parts of one message until it has none left or the window is full; how many.
    ///
    /// # Errors
    /// When it cannot be cut for this operator; nothing of it was sent then.
    fn send_parts(&mut self, place: Place, now: Instant, time: Timestamp) -> Result<u32, TextError> {
        let mut room = self.room();
        let config = &self.context.settings.config;
        let Some(active) = self.active.get_mut(place) else { return Ok(0) };
        let Some(job) = &active.item.payload else { return Ok(0) };
        let outgoing = submit::parts(job, config)?;
        if active.total == 0 {
            active.total = total(&outgoing, active.item.done)?;
            active.next = first_open(active.item.done, active.total);
            active.again = (active.item.attempts > 0).then(|| self.context.state.sends_again(active.item.id, active.total));
        }
        let source = &job.message.source;
        let complete = || submit::completed(source, self.context.gateway.settings().numbers_of(job.account));
        let completed = submit::is_national(source).then(complete).flatten();
        let sending = submit::Sending {
            message: &job.message,
            outgoing: &outgoing,
            source: completed.as_ref().unwrap_or(source),
            operator: config,
            tlvs: config.tlvs && self.link.session.tlvs_allowed(),
            now: time,
        };
        let mut sent = 0;
        while active.next < active.total && room > 0 {
            let part = active.next;
            let token = Token { message: place, part };
            let scratch = &mut self.scratch;
            let body = |out: &mut bytes::BytesMut| submit::body(out, &sending, part.into(), scratch);
            if self.link.session.send(now, CommandId::SubmitSm, token, body).is_err() {
                break;
            }
            sent += 1;
            room -= 1;
            active.open += 1;
            active.next = first_open(active.item.done | ((1 << part) | ((1 << part) - 1)), active.total);
        }
        Ok(sent)
    }
}

/// How many parts the message has for this operator: its alphabet and header may need more than were counted at acceptance, and a
/// reload may have moved the boundaries of one that is half sent.
fn total(outgoing: &Outgoing<'_>, done: ledger::PartSet) -> Result<u8, TextError> {
    let parts = u8::try_from(outgoing.count()).ok().filter(|parts| usize::from(*parts) <= ledger::MAX_PARTS);
    let total = parts.ok_or(TextError::TooManyParts)?;
    if first_open(done, total) < total { Ok(total) } else { Err(TextError::CutAnew) }
}

/// The first part from 0 that is not in `done`; `total` when there is none.
fn first_open(done: ledger::PartSet, total: u8) -> u8 {
    // Ones from the lowest part on.
    (done.trailing_ones() as u8).min(total)
}
