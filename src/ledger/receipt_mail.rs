//! The receipt an application gets, as a mailbox item.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Log, Rules, Turn};
use crate::message::{Mail, MailContent, MailedReceipt, Message, MessageId, Timestamp};
use crate::receipt::State;
use crate::smpp::Tlvs;

/// What a final state adds to a receipt.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub state: State,
    /// As the operator's receipt wrote it, or an SMPP status in digits.
    pub error: SmallVec<[u8; 8]>,
    pub network_error_code: Option<[u8; 3]>,
    /// When the operator says it happened, in UTC.
    pub done: Option<Timestamp>,
}

/// How far an operator's clock may be off before its dates are not believed.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(86_400);

impl Verdict {
    /// A verdict of our own, without an error code.
    pub fn ours(state: State) -> Self {
        Verdict { state, error: SmallVec::new(), network_error_code: None, done: None }
    }

    /// The operator's date when it can be true, otherwise now.
    fn done_at(&self, accepted: Timestamp, now: Timestamp) -> Timestamp {
        let possible = |at: &Timestamp| accepted <= at.plus(CLOCK_TOLERANCE) && *at <= now.plus(CLOCK_TOLERANCE);
        self.done.filter(possible).unwrap_or(now)
    }

    /// The error as a number; 0 when it is none.
    pub fn error_number(&self) -> u16 {
        let digit = |value: u16, octet: &u8| {
            let digit = char::from(*octet).to_digit(10)?;
            value.checked_mul(10)?.checked_add(digit as u16)
        };
        self.error.trim_ascii().iter().try_fold(0, digit).unwrap_or(0)
    }
}

/// What a receipt is about.
#[derive(Debug)]
pub(super) struct Receipted<'a> {
    pub id: MessageId,
    pub message: &'a Message,
    /// `None` for the whole message.
    pub part: Option<u8>,
    pub parts: usize,
}

/// The receipt an application gets, with the addresses of its message swapped.
pub(super) fn receipt_mail(id: MessageId, about: &Receipted<'_>, verdict: Verdict, t: &Turn<'_, impl Log, impl Rules>) -> Mail {
    let message = about.message;
    let done_at = verdict.done_at(message.accepted_at, t.now);
    Mail {
        id,
        account: message.account.clone(),
        source: message.submitted_destination.as_ref().unwrap_or(&message.destination).clone(),
        destination: message.source.clone(),
        created_at: t.now,
        expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
        content: MailContent::Receipt(MailedReceipt {
            message: about.id,
            short_id: message.short_id,
            part: about.part,
            parts: u8::try_from(about.parts).unwrap_or(u8::MAX),
            state: verdict.state,
            error: verdict.error,
            network_error_code: verdict.network_error_code,
            submitted_at: message.accepted_at,
            done_at,
            reference: Tlvs::encoded(&message.tlvs).user_message_reference(),
        }),
    }
}

/// `err` as receipts write it: at least three digits (SMPP 3.4 appendix B).
pub(super) fn three_digits(error: u16) -> SmallVec<[u8; 8]> {
    let mut digits = SmallVec::new();
    let divisors = [10_000, 1_000, 100, 10, 1];
    for (place, divisor) in divisors.iter().enumerate() {
        if place >= 2 || error >= *divisor {
            digits.push(b'0' + u8::try_from(error / divisor % 10).unwrap_or(0));
        }
    }
    digits
}
