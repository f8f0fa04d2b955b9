//! The receipt an application gets, as a mailbox item.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Log, Rules, Turn};
use crate::message::{AccountKey, Mail, MailKind, Message, MessageId, Timestamp};
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

/// Room for the text and the TLVs of most receipts; longer ones take memory of their own.
const USUAL_OCTETS: usize = 184;

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

/// What a receipt is about.
#[derive(Debug)]
pub(super) struct Receipted<'a> {
    pub id: MessageId,
    pub account: AccountKey,
    pub message: &'a Message,
    /// `None` for the whole message.
    pub part: Option<u8>,
    pub parts: usize,
}

/// The receipt an application gets: the addresses of its message swapped, the classic text, and the TLVs (SMPP 3.4 appendix B).
pub(super) fn receipt_mail(
    id: MessageId,
    about: &Receipted<'_>,
    verdict: &Verdict,
    scratch: &mut Vec<u8>,
    t: &Turn<'_, impl Log, impl Rules>,
) -> Mail {
    let message = about.message;
    let text_id = t.rules.message_id_text(about.id, message.short_id);
    let delivered = u16::from(verdict.state == State::Delivered);
    let parts = u16::try_from(about.part.map_or(about.parts, |_| 1)).unwrap_or(u16::MAX);
    let said = receipt::write::ReceiptText {
        id: &text_id,
        submitted_parts: parts,
        delivered_parts: parts * delivered,
        submitted: message.accepted_at,
        done: verdict.done_at(message.accepted_at, t.now),
        utc_offset: t.rules.receipt_utc_offset(about.account),
        state: verdict.state,
        error: &verdict.error,
        text: &[],
    };
    scratch.clear();
    receipt::write::write(&said, scratch);
    let text = scratch.len();
    put_receipt_tlvs(scratch, &text_id, about, verdict);
    // Text and TLVs in one allocation.
    let octets = Bytes::from_owner(SmallVec::<[u8; USUAL_OCTETS]>::from_slice(scratch));
    Mail {
        id,
        kind: MailKind::Receipt { message: about.id, state: verdict.state },
        account: message.account.clone(),
        source: message.submitted_destination.as_ref().unwrap_or(&message.destination).clone(),
        destination: message.source.clone(),
        esm_class: if verdict.state.is_final() { 0x04 } else { 0x20 },
        protocol_id: 0,
        dcs_class: 0,
        created_at: t.now,
        expires_at: t.now.plus(t.rules.limits().mail_time_to_live),
        concatenation: None,
        udh: Bytes::new(),
        body: Body { alphabet: Alphabet::Gsm7, octets: octets.slice(..text) },
        tlvs: octets.slice(text..),
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
fn put_receipt_tlvs(out: &mut Vec<u8>, id: &[u8], about: &Receipted<'_>, verdict: &Verdict) {
    tlv::put_string(out, TlvTag::ReceiptedMessageId, id);
    tlv::put(out, TlvTag::MessageState, &[verdict.state.number()]);
    if let Some(code) = verdict.network_error_code {
        tlv::put(out, TlvTag::NetworkErrorCode, &code);
    }
    if let Some(reference) = Tlvs::encoded(&about.message.tlvs).user_message_reference() {
        tlv::put(out, TlvTag::UserMessageReference, &reference.to_be_bytes());
    }
    if let Some(part) = about.part {
        tlv::put(out, TlvTag::SarSegmentSeqnum, &[part.saturating_add(1)]);
    }
}
