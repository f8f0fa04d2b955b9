//! What becomes of a part after the operator's answer, or after none. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Backoff, UnknownOutcome};
use crate::ledger::Failure;
use crate::message::OperatorKey;
use crate::receipt::State;
use crate::smpp::CommandStatus;
use crate::smpp::status::{Class, class_of};

/// Attempts that a vague refusal ("limited") or one that ends the session is given before it counts as permanent.
const LIMITED_ATTEMPTS: u16 = 3;

/// What an operator's status means, with the operator's own view of some codes.
pub fn classify(status: CommandStatus, overrides: &BTreeMap<u32, Class>) -> Class {
    overrides.get(&u32::from(status)).copied().unwrap_or_else(|| class_of(status))
}

/// Why a part is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// The operator refused it with this status.
    Refused { class: Class, status: u32 },
    /// The session died, or no response came: the operator may have it.
    Unknown,
}

impl Setback {
    /// Will the part never be taken, whatever is tried?
    pub fn is_permanent(self) -> bool {
        use Class::{Bug, Permanent, PermanentDestination};
        matches!(self, Setback::Refused { class: Permanent | PermanentDestination | Bug, .. })
    }
}

/// What to do with a message after a setback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is next again, as if it had not been tried.
    PutBack,
    /// To this operator (by its place in the route), not before the delay has passed.
    Retry {
        place: usize,
        delay: Duration,
    },
    Fail(Failure),
}

/// What the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Operators that may carry it, in order of preference.
    pub route: &'a [OperatorKey],
    /// The operator that had the setback.
    pub here: OperatorKey,
    /// Attempts before this one that ended with a setback.
    pub attempts: u16,
    /// An operator has taken a part already: the others must go the same way, or the handset cannot join them.
    pub begun: bool,
    pub retry: Backoff,
    pub unknown_outcome: UnknownOutcome,
    /// Random, 0 to 1: spreads retries.
    pub jitter: f64,
}

/// Decides. Validity is not asked here: the queue drops what has expired.
pub fn decide(setback: Setback, s: &Situation<'_>) -> Decision {
    let failed = |state, status| Decision::Fail(Failure { state, status });
    match setback {
        Setback::Refused { class: Class::Ok | Class::Throttle, .. } => Decision::PutBack,
        // The session is to blame, unless it is the message that brings it down again and again.
        Setback::Refused { class: Class::Session | Class::Bind, status } if s.attempts + 1 >= LIMITED_ATTEMPTS => {
            failed(State::Rejected, status)
        }
        Setback::Refused { class: Class::Session | Class::Bind, .. } => {
            Decision::Retry { place: place(s), delay: backoff(s.retry, s.attempts, s.jitter) }
        }
        Setback::Refused { class: Class::Limited, status } if s.attempts + 1 >= LIMITED_ATTEMPTS => {
            failed(State::Rejected, status)
        }
        Setback::Refused { class: Class::Temporary | Class::Limited, .. } => elsewhere_or_later(s),
        Setback::Refused { status, .. } => failed(State::Rejected, status),
        Setback::Unknown => match s.unknown_outcome {
            UnknownOutcome::Resend => Decision::Retry { place: place(s), delay: Duration::ZERO },
            UnknownOutcome::Next => elsewhere_or_later(s),
            UnknownOutcome::Fail => failed(State::Undeliverable, 0),
        },
    }
}

fn place(s: &Situation<'_>) -> usize {
    s.route.iter().position(|key| *key == s.here).unwrap_or(0)
}

/// The next operator of the route at once; after the last one the first again, later.
fn elsewhere_or_later(s: &Situation<'_>) -> Decision {
    let here = place(s);
    if !s.begun && here + 1 < s.route.len() {
        return Decision::Retry { place: here + 1, delay: Duration::ZERO };
    }
    let rounds = if s.begun { s.attempts } else { s.attempts / u16::try_from(s.route.len().max(1)).unwrap_or(1) };
    let first = if s.begun { here } else { 0 };
    Decision::Retry { place: first, delay: backoff(s.retry, rounds, s.jitter) }
}

/// Doubles from the shortest delay to the longest; the jitter takes away up to half.
pub fn backoff(range: Backoff, round: u16, jitter: f64) -> Duration {
    let doubled = range.min.saturating_mul(1 << round.min(20));
    doubled.min(range.max).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// The word for an outcome that nobody told.
pub const UNKNOWN_OUTCOME: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    const A: OperatorKey = OperatorKey(1);
    const B: OperatorKey = OperatorKey(2);

    fn situation(route: &[OperatorKey]) -> Situation<'_> {
        Situation {
            route,
            here: A,
            attempts: 0,
            begun: false,
            retry: Backoff { min: Duration::from_secs(5), max: Duration::from_secs(60) },
            unknown_outcome: UnknownOutcome::Resend,
            jitter: 0.0,
        }
    }

    fn refused(class: Class) -> Setback {
        Setback::Refused { class, status: 0x45 }
    }

    #[test]
    fn a_throttled_message_keeps_its_place() {
        assert_eq!(decide(refused(Class::Throttle), &situation(&[A, B])), Decision::PutBack);
    }

    #[test]
    fn a_temporary_error_goes_to_the_next_operator_at_once() {
        let decision = decide(refused(Class::Temporary), &situation(&[A, B]));
        assert_eq!(decision, Decision::Retry { place: 1, delay: Duration::ZERO });
    }

    #[test]
    fn after_the_last_operator_the_first_one_is_tried_again_later_and_later() {
        let mut s = Situation { here: B, ..situation(&[A, B]) };
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { place: 0, delay: Duration::from_secs(5) });
        s.attempts = 4;
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { place: 0, delay: Duration::from_secs(20) });
        s.attempts = 60;
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { place: 0, delay: Duration::from_secs(60) });
    }

    #[test]
    fn a_message_of_which_parts_are_sent_stays_with_its_operator() {
        let s = Situation { begun: true, ..situation(&[A, B]) };
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { place: 0, delay: Duration::from_secs(5) });
    }

    #[test]
    fn a_vague_refusal_fails_after_three_attempts() {
        let s = Situation { attempts: 2, ..situation(&[A]) };
        assert!(matches!(decide(refused(Class::Limited), &s), Decision::Fail(_)));
        assert!(matches!(decide(refused(Class::Limited), &situation(&[A])), Decision::Retry { .. }));
    }

    #[test]
    fn a_message_that_brings_the_session_down_again_and_again_is_given_up() {
        let s = situation(&[A, B]);
        assert!(matches!(decide(refused(Class::Session), &s), Decision::Retry { place: 0, .. }));
        let third = Situation { attempts: 2, ..s };
        assert!(matches!(decide(refused(Class::Session), &third), Decision::Fail(_)));
    }

    #[test]
    fn an_unknown_outcome_follows_the_operators_policy() {
        let s = situation(&[A, B]);
        assert_eq!(decide(Setback::Unknown, &s), Decision::Retry { place: 0, delay: Duration::ZERO });
        let next = Situation { unknown_outcome: UnknownOutcome::Next, ..s };
        assert_eq!(decide(Setback::Unknown, &next), Decision::Retry { place: 1, delay: Duration::ZERO });
        let fail = Situation { unknown_outcome: UnknownOutcome::Fail, ..s };
        assert!(matches!(decide(Setback::Unknown, &fail), Decision::Fail(Failure { state: State::Undeliverable, status: 0 })));
    }

    #[test]
    fn an_operators_own_view_of_a_code_wins() {
        let overrides = [(0x45, Class::Temporary)].into();
        assert_eq!(classify(CommandStatus::EsmeRsubmitfail, &overrides), Class::Temporary);
        assert_eq!(classify(CommandStatus::EsmeRsubmitfail, &Default::default()), Class::Limited);
    }
}
