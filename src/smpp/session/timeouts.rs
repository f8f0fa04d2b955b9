//! What the passing of time does to a session (SMPP 5.0 section 2.7).

use std::time::{Duration, Instant};

use super::{CloseReason, Event, Parting, Session};
use crate::smpp::timers::{Verdict, after, earlier};
use crate::smpp::{CommandId, Role, State, encode};

/// How long a peer that has unbound is given to answer what it has taken before: it may not know that it is waited for.
const OWED: Duration = Duration::from_secs(2);

impl<T> Session<T> {
    /// When [`Session::handle_timeout`] wants to be called next; `None` for never. Changes with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let response = self.window.deadline(self.settings.timers.response);
        match self.state {
            State::Open | State::Binding(_) => self.bind_deadline(),
            // While we do not read, answers may stand unread: they are not missing.
            State::Bound(_) => earlier(response.filter(|_| !self.paused), self.watch.deadline(!self.paused)),
            State::Unbinding(_) => earlier(response, self.parting_deadline()),
            State::Closed => None,
        }
    }

    /// Does everything that is due at `now`. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Open | State::Binding(_)) {
            if self.bind_deadline().is_some_and(|deadline| deadline <= now) {
                self.finish(CloseReason::SessionInit);
            }
            return;
        }
        if !(self.paused && matches!(self.state, State::Bound(_))) {
            self.expire_requests(now);
        }
        if let State::Bound(_) = self.state {
            match self.watch.verdict(now, !self.paused) {
                Some(Verdict::Enquire) => self.enquire(now),
                Some(Verdict::Dead) => self.finish(CloseReason::LinkDead),
                Some(Verdict::Inactive) => self.begin_unbind(now, CloseReason::Inactivity),
                None => {}
            }
        }
        if self.parting_deadline().is_some_and(|deadline| deadline <= now) {
            self.hurry_parting(now);
        }
    }

    /// A client's own bind has the response timer as well, so that it ends even if session-init is off.
    fn bind_deadline(&self) -> Option<Instant> {
        let init = after(self.opened, self.settings.timers.session_init);
        let answer = match (self.settings.role, &self.bind) {
            (Role::Esme, Some(bind)) => after(bind.since, self.settings.timers.response),
            _ => None,
        };
        earlier(init, answer)
    }

    fn expire_requests(&mut self, now: Instant) {
        while let Some((sequence, token)) = self.window.expire(now, self.settings.timers.response) {
            self.events.push_back(Event::NoResponse { token, sequence });
        }
        self.continue_parting(now);
    }

    fn enquire(&mut self, now: Instant) {
        let sequence = self.sequence.take();
        encode::request(&mut self.output, CommandId::EnquireLink, sequence, |_| {});
        self.watch.enquired(now);
    }

    fn parting_deadline(&self) -> Option<Instant> {
        let parting = self.parting?;
        let (Parting::Finishing { since, .. } | Parting::Asked { since, .. } | Parting::Answering { since, .. }) = parting;
        let response = after(since, self.settings.timers.response);
        match parting {
            Parting::Answering { .. } if self.peer_open == 0 => earlier(response, after(since, OWED)),
            _ => response,
        }
    }

    /// What is still open after the response timer is not waited for.
    fn hurry_parting(&mut self, now: Instant) {
        match self.parting {
            Some(Parting::Finishing { reason, .. }) => self.send_unbind(now, reason),
            Some(Parting::Asked { .. }) => self.finish(CloseReason::UnbindTimeout),
            Some(Parting::Answering { sequence, .. }) => self.answer_unbind(sequence),
            None => {}
        }
    }
}
