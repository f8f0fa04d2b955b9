//! The receipt an application gets, as a mailbox item.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{Log, Rules, Turn};
use crate::message::{Address, Mail, MailKind, Message, MessageId, Timestamp};
use crate::receipt::{self, State};
use crate::smpp::{TlvTag, Tlvs, tlv};
use crate::text::{Alphabet, Body};

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
        std::str::from_utf8(&self.error).ok().and_then(|digits| digits.trim().parse().ok()).unwrap_or(0)
    }
}

/// The receipt an application gets: the addresses of its message swapped, the classic text, and the TLVs (SMPP 3.4 appendix B).
pub(super) fn receipt_mail(
    id: MessageId,
    message_id: MessageId,
    message: &Message,
    (part, parts): (Option<u8>, usize),
    verdict: &Verdict,
    t: &Turn<'_, impl Log, impl Rules>,
) -> Mail {
    let text_id = t.rules.message_id_text(message_id, message.short_id);
    let delivered = u16::from(verdict.state == State::Delivered);
    let parts = u16::try_from(part.map_or(parts, |_| 1)).unwrap_or(u16::MAX);
    let mut text = BytesMut::with_capacity(128);
    let said = receipt::write::ReceiptText {
        id: text_id.as_bytes(),
        submitted_parts: parts,
        delivered_parts: parts * delivered,
        submitted: message.accepted_at,
        done: verdict.done_at(message.accepted_at, t.now),
        utc_offset: t.rules.receipt_utc_offset(&message.account),
        state: verdict.state,
        error: &verdict.error,
        text: &[],
    };
    receipt::write::write(&said, &mut text);
    let tlvs = receipt_tlvs(&text_id, message, part, verdict);
    let source: Address = message.submitted_destination.as_ref().unwrap_or(&message.destination).clone();
    Mail {
        id,
        kind: MailKind::Receipt { message: message_id, state: verdict.state },
        account: message.account.clone(),
        source,
        destination: message.source.clone(),
        esm_class: if verdict.state.is_final() { 0x04 } else { 0x20 },
        protocol_id: 0,
        dcs_class: 0,
        created_at: t.now,
        expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
        concatenation: None,
        udh: Bytes::new(),
        body: Body { alphabet: Alphabet::Gsm7, octets: text.freeze() },
        tlvs,
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

/// The standard form of the receipt (SMPP 5.0 section 4.3.5.1), and the application's own reference given back.
fn receipt_tlvs(id: &str, message: &Message, part: Option<u8>, verdict: &Verdict) -> Bytes {
    let mut out = BytesMut::with_capacity(id.len() + 24);
    tlv::put_string(&mut out, TlvTag::ReceiptedMessageId, id.as_bytes());
    tlv::put(&mut out, TlvTag::MessageState, &[verdict.state.number()]);
    if let Some(code) = verdict.network_error_code {
        tlv::put(&mut out, TlvTag::NetworkErrorCode, &code);
    }
    if let Some(reference) = Tlvs::encoded(&message.tlvs).user_message_reference() {
        tlv::put(&mut out, TlvTag::UserMessageReference, &reference.to_be_bytes());
    }
    if let Some(part) = part {
        tlv::put(&mut out, TlvTag::SarSegmentSeqnum, &[part.saturating_add(1)]);
    }
    out.freeze()
}
