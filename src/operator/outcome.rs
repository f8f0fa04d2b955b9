//! What becomes of a part after the operator's answer, or after none. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Backoff, UnknownOutcome};
use crate::ledger::Failure;
use crate::message::OperatorKey;
use crate::queue::{Blame, Suspicion};
use crate::receipt::State;
use crate::smpp::status::{Class, class_of, class_of_delivery_failure};
use crate::smpp::view::MessageResponseView;
use crate::smpp::{CommandStatus, Frame};

/// Vague refusals ("limited") after which one more attempt makes no sense. Other setbacks in between do not count: an operator that was
/// down twice has said nothing about the message.
const VAGUE_REFUSALS: u8 = 3;

/// What an operator's answer means, with the operator's own view of some codes.
pub fn classify(status: CommandStatus, answer: &Frame, overrides: &BTreeMap<u32, Class>) -> Class {
    overrides.get(&u32::from(status)).copied().unwrap_or_else(|| match status {
        CommandStatus::EsmeRdeliveryfailure => {
            class_of_delivery_failure(MessageResponseView::parse(answer).tlvs.delivery_failure_reason())
        }
        _ => class_of(status),
    })
}

/// Why a part is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// The operator refused it with this status.
    Refused { class: Class, status: u32 },
    /// No response came: the operator may have it.
    Unknown,
    /// The session died: the operator may have it, or has died of it.
    Died(Blame),
    /// The operator refused it with a status after which the session is of no use (classes session and bind).
    RefusedSession { blame: Blame, status: u32 },
}

impl Setback {
    /// Will the part never be taken, whatever is tried?
    pub fn is_permanent(self) -> bool {
        use Class::{Bug, Permanent, PermanentDestination};
        matches!(self, Setback::Refused { class: Permanent | PermanentDestination | Bug, .. })
    }

    /// Does the refusal leave open whether another attempt makes sense?
    pub fn is_vague(self) -> bool {
        matches!(self, Setback::Refused { class: Class::Limited, .. })
    }

    /// Is it unknown whether the operator has taken the part?
    pub fn is_unknown(self) -> bool {
        matches!(self, Setback::Unknown | Setback::Died(_))
    }

    /// The status the operator refused it with; 0 when it has said nothing.
    pub fn status(self) -> u32 {
        match self {
            Setback::Refused { status, .. } | Setback::RefusedSession { status, .. } => status,
            Setback::Unknown | Setback::Died(_) => 0,
        }
    }

    /// What speaks against the message from now on.
    pub fn suspicion(self, before: Suspicion) -> Suspicion {
        match self {
            Setback::Died(blame) | Setback::RefusedSession { blame, .. } => before.after(blame),
            Setback::Unknown => before,
            Setback::Refused { .. } => Suspicion::default(),
        }
    }
}

/// Sessions that must have died with nothing but the message in flight, whatever else speaks against it: once may be chance.
const ALONE: u8 = 2;

/// Is it beyond doubt that the message brings sessions down? After so many of them in a row, the last of which it was alone in.
fn is_poison(blame: Blame, s: &Situation<'_>) -> bool {
    let Suspicion { deaths, alone } = s.suspicion;
    blame == Blame::Message && deaths >= s.poison_attempts && alone >= s.poison_attempts.min(ALONE)
}

/// What to do with a message after a setback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is next again, as if it had not been tried.
    PutBack,
    /// To this operator, not before the delay has passed.
    Retry {
        to: OperatorKey,
        delay: Duration,
    },
    Fail(Failure),
    /// It brings sessions down, with this status or, if 0, without an answer: kept, but not sent again until somebody says so.
    Quarantine {
        status: u32,
    },
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
    /// Vague refusals, this setback included.
    pub vague_refusals: u8,
    /// What speaks against the message, this setback included.
    pub suspicion: Suspicion,
    /// Sessions in a row that a message may bring down before it is quarantined.
    pub poison_attempts: u8,
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
        Setback::RefusedSession { blame, status } if is_poison(blame, s) => Decision::Quarantine { status },
        Setback::RefusedSession { .. } => Decision::Retry { to: here_again(s), delay: backoff(s.retry, s.attempts, s.jitter) },
        Setback::Refused { class: Class::Limited, status } if s.vague_refusals >= VAGUE_REFUSALS => {
            failed(State::Rejected, status)
        }
        Setback::Refused { class: Class::Temporary | Class::Limited, .. } => elsewhere_or_later(s),
        Setback::Refused { status, .. } => failed(State::Rejected, status),
        Setback::Unknown | Setback::Died(_) if s.unknown_outcome == UnknownOutcome::Fail => failed(State::Undeliverable, 0),
        Setback::Died(blame) if is_poison(blame, s) => Decision::Quarantine { status: 0 },
        Setback::Unknown | Setback::Died(_) if s.unknown_outcome == UnknownOutcome::Next => elsewhere_or_later(s),
        Setback::Unknown | Setback::Died(Blame::Crowd) => Decision::Retry { to: here_again(s), delay: Duration::ZERO },
        // The others have their turn before it is tried again: what they are answered shows who is to blame.
        Setback::Died(_) => {
            let again = u16::from(s.suspicion.deaths).checked_sub(2);
            Decision::Retry { to: here_again(s), delay: again.map_or(Duration::ZERO, |round| backoff(s.retry, round, s.jitter)) }
        }
    }
}

/// The same operator, unless a reload has taken it off the route and nothing ties the message to it.
fn here_again(s: &Situation<'_>) -> OperatorKey {
    let stays = s.begun || s.route.contains(&s.here);
    s.route.first().filter(|_| !stays).copied().unwrap_or(s.here)
}

/// The next operator of the route at once; after the last one the first again, later. A message that has begun stays where it is.
fn elsewhere_or_later(s: &Situation<'_>) -> Decision {
    if s.begun {
        return Decision::Retry { to: s.here, delay: backoff(s.retry, s.attempts, s.jitter) };
    }
    let next = s.route.iter().position(|key| *key == s.here).map_or(0, |here| here + 1);
    if let Some(next) = s.route.get(next) {
        return Decision::Retry { to: *next, delay: Duration::ZERO };
    }
    let rounds = s.attempts / u16::try_from(s.route.len().max(1)).unwrap_or(1);
    let first = s.route.first().copied().unwrap_or(s.here);
    Decision::Retry { to: first, delay: backoff(s.retry, rounds, s.jitter) }
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
            vague_refusals: 0,
            suspicion: Suspicion::default(),
            poison_attempts: 3,
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
        assert_eq!(decision, Decision::Retry { to: B, delay: Duration::ZERO });
    }

    #[test]
    fn after_the_last_operator_the_first_one_is_tried_again_later_and_later() {
        let mut s = Situation { here: B, ..situation(&[A, B]) };
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { to: A, delay: Duration::from_secs(5) });
        s.attempts = 4;
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { to: A, delay: Duration::from_secs(20) });
        s.attempts = 60;
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { to: A, delay: Duration::from_secs(60) });
    }

    #[test]
    fn a_message_of_which_parts_are_sent_stays_with_its_operator() {
        let s = Situation { begun: true, ..situation(&[A, B]) };
        assert_eq!(decide(refused(Class::Temporary), &s), Decision::Retry { to: A, delay: Duration::from_secs(5) });
    }

    #[test]
    fn the_third_vague_refusal_is_final_whatever_else_went_wrong_before() {
        let after = |attempts, vague_refusals| {
            let s = Situation { attempts, vague_refusals, ..situation(&[A]) };
            decide(refused(Class::Limited), &s)
        };
        for (attempts, vague_refusals) in [(0, 1), (1, 2), (40, 1), (40, 2)] {
            assert!(matches!(after(attempts, vague_refusals), Decision::Retry { .. }), "{attempts} {vague_refusals}");
        }
        for attempts in [2, 40] {
            assert_eq!(after(attempts, 3), Decision::Fail(Failure { state: State::Rejected, status: 0x45 }));
        }
    }

    /// What is decided after each of these deaths, one after the other, and nothing else in between.
    fn deaths(attempts: u8, blames: &[Blame], setback: impl Fn(Blame) -> Setback) -> Vec<Decision> {
        let mut suspicion = Suspicion::default();
        let decided = blames.iter().map(|blame| {
            suspicion = setback(*blame).suspicion(suspicion);
            decide(setback(*blame), &Situation { suspicion, poison_attempts: attempts, ..situation(&[A, B]) })
        });
        decided.collect()
    }

    #[test]
    fn a_message_that_brings_the_session_down_again_and_again_is_quarantined() {
        use Blame::{Crowd, Message, Operator};
        let at_death = |attempts, blames: &[Blame]| {
            let decided = deaths(attempts, blames, Setback::Died);
            decided.iter().position(|decision| *decision == Decision::Quarantine { status: 0 }).map(|at| at + 1)
        };
        for (attempts, blames, expected) in [
            (3, &[Message; 5][..], Some(3)),
            (3, &[Crowd, Message, Message], Some(3)),
            (3, &[Crowd, Crowd, Message, Message], Some(4)),
            (3, &[Crowd; 9], None),
            (3, &[Operator; 9], None),
            (3, &[Crowd, Crowd, Message, Operator, Message], None),
            (3, &[Message, Message, Operator, Message, Message], Some(5)),
            (2, &[Message, Message], Some(2)),
            (1, &[Message], Some(1)),
            (1, &[Crowd, Message], Some(2)),
            (5, &[Message; 5], Some(5)),
        ] {
            assert_eq!(at_death(attempts, blames), expected, "{attempts} {blames:?}");
        }
        let by_status = deaths(3, &[Message; 3], |blame| Setback::RefusedSession { blame, status: 4 });
        assert_eq!(by_status[2], Decision::Quarantine { status: 4 });
    }

    #[test]
    fn what_was_in_flight_among_others_is_sent_again_at_once_and_what_was_alone_later_and_later() {
        let retry = |seconds| Decision::Retry { to: A, delay: Duration::from_secs(seconds) };
        assert_eq!(deaths(9, &[Blame::Crowd; 3], Setback::Died), [retry(0), retry(0), retry(0)]);
        assert_eq!(deaths(9, &[Blame::Operator; 4], Setback::Died), [retry(0), retry(5), retry(10), retry(20)]);
    }

    #[test]
    fn an_answer_clears_a_message_of_all_suspicion() {
        let suspect = Suspicion { deaths: 2, alone: 1 };
        assert_eq!(refused(Class::Throttle).suspicion(suspect), Suspicion::default());
        assert_eq!(Setback::Unknown.suspicion(suspect), suspect, "no answer does not");
    }

    #[test]
    fn an_unknown_outcome_follows_the_operators_policy() {
        let s = situation(&[A, B]);
        assert_eq!(decide(Setback::Unknown, &s), Decision::Retry { to: A, delay: Duration::ZERO });
        let next = Situation { unknown_outcome: UnknownOutcome::Next, ..s };
        assert_eq!(decide(Setback::Unknown, &next), Decision::Retry { to: B, delay: Duration::ZERO });
        let fail = Situation { unknown_outcome: UnknownOutcome::Fail, ..s };
        for setback in [Setback::Unknown, Setback::Died(Blame::Message)] {
            assert!(matches!(decide(setback, &fail), Decision::Fail(Failure { state: State::Undeliverable, status: 0 })));
        }
    }

    #[test]
    fn an_operators_own_view_of_a_code_wins() {
        let answer = answer(b"");
        let overrides = [(0x45, Class::Temporary)].into();
        assert_eq!(classify(CommandStatus::EsmeRsubmitfail, &answer, &overrides), Class::Temporary);
        assert_eq!(classify(CommandStatus::EsmeRsubmitfail, &answer, &Default::default()), Class::Limited);
    }

    fn answer(body: &'static [u8]) -> Frame {
        let mut pdu = bytes::BytesMut::new();
        crate::smpp::encode::request(&mut pdu, crate::smpp::CommandId::SubmitSmResp, 1, |out| out.extend_from_slice(body));
        Frame::new(pdu.freeze()).expect("a whole PDU")
    }

    /// delivery_failure_reason, where it is given: 0 unavailable, 1 the address, 2 for good, 3 for now.
    #[test]
    fn why_a_delivery_failed_decides_whether_it_is_tried_again() {
        let answers: [(&[u8], Class); 5] = [
            (b"", Class::Limited),
            (b"\0\x04\x25\0\x01\0", Class::Temporary),
            (b"\0\x04\x25\0\x01\x01", Class::PermanentDestination),
            (b"\0\x04\x25\0\x01\x02", Class::Permanent),
            (b"\0\x04\x25\0\x01\x03", Class::Temporary),
        ];
        for (body, class) in answers {
            assert_eq!(classify(CommandStatus::EsmeRdeliveryfailure, &answer(body), &Default::default()), class, "{body:?}");
        }
    }

    #[test]
    fn what_has_begun_stays_even_when_a_reload_has_taken_its_operator_off_the_route() {
        let setbacks = [refused(Class::Temporary), Setback::Died(Blame::Crowd), Setback::Unknown];
        for setback in setbacks {
            let to = |begun| match decide(setback, &Situation { begun, ..situation(&[B]) }) {
                Decision::Retry { to, .. } => to,
                other => panic!("{other:?}"),
            };
            assert_eq!((to(true), to(false)), (A, B), "{setback:?}");
        }
    }
}
