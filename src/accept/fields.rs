//! The rules of single fields (SMPP 5.0 section 4.7).

use bytes::{Bytes, BytesMut};

use super::{Policy, Rejection};
use crate::message::Timestamp;
use crate::smpp::{CommandStatus, MessageView, TlvTag, time, tlv};
use crate::text::Concatenation;

/// esm_class: messaging mode.
pub const ESM_MODE: u8 = 0x03;
/// esm_class: reply path.
pub const ESM_REPLY_PATH: u8 = 0x80;
/// esm_class: message type. Applications may send acknowledgements (0x08, 0x10), nothing else.
const ESM_TYPE: u8 = 0x3C;
/// The mode in which the response waits for the delivery: not offered.
const MODE_TRANSACTION: u8 = 0x02;

/// dest_addr_subunit: show at once.
pub const SUBUNIT_DISPLAY: u8 = 1;
/// Message class 0 of 3GPP TS 23.038 section 4.
pub const CLASS_0: u8 = 0x10;

/// Highest priority_flag of any network (SMPP 5.0 section 4.7.14).
const PRIORITY_MAX: u8 = 4;

/// Field values that no message can have.
pub fn check(view: &MessageView<'_>) -> Result<(), Rejection> {
    let kind = view.esm_class & ESM_TYPE;
    if view.esm_class & ESM_MODE == MODE_TRANSACTION || !matches!(kind, 0 | 0x08 | 0x10) {
        return Err(Rejection(CommandStatus::EsmeRinvesmclass));
    }
    if view.priority_flag > PRIORITY_MAX {
        return Err(Rejection(CommandStatus::EsmeRinvprtflg));
    }
    match view.replace_if_present {
        0 => {}
        1 => return Err(Rejection(CommandStatus::EsmeRinvsubrep)),
        _ => return Err(Rejection(CommandStatus::EsmeRinvrepflag)),
    }
    if view.sm_default_msg_id != 0 {
        return Err(Rejection(CommandStatus::EsmeRinvdftmsgid));
    }
    Ok(())
}

/// When a message may be sent.
pub struct Times {
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub validity_given: bool,
}

/// Schedule and validity; qos_time_to_live overrides validity_period. A schedule in the past means now, an end in the past is
/// refused, too long a validity is shortened to the account's longest, as centres do.
pub fn times(view: &MessageView<'_>, policy: &Policy, now: Timestamp) -> Result<Times, Rejection> {
    let scheduled = time::parse(view.schedule_delivery_time, now, policy.strictness)
        .map_err(|_| Rejection(CommandStatus::EsmeRinvsched))?
        .filter(|at| *at > now);
    let not_before = scheduled.unwrap_or_default();
    let begins = scheduled.unwrap_or(now);
    let longest = begins.plus(policy.max_validity);
    if not_before > now.plus(policy.max_validity) {
        return Err(Rejection(CommandStatus::EsmeRinvsched));
    }
    let given = match view.tlvs.qos_time_to_live() {
        Some(seconds) => Some(now.plus(std::time::Duration::from_secs(seconds.into()))),
        None => {
            time::parse(view.validity_period, now, policy.strictness).map_err(|_| Rejection(CommandStatus::EsmeRinvexpiry))?
        }
    };
    if given.is_some_and(|at| at <= begins) {
        return Err(Rejection(CommandStatus::EsmeRinvexpiry));
    }
    let expires_at = given.unwrap_or_else(|| begins.plus(policy.default_validity)).min(longest);
    Ok(Times { not_before, expires_at, validity_given: given.is_some() })
}

/// The sar_* TLVs: all three or none (otherwise they are ignored, SMPP 5.0 section 4.8.4.48).
pub fn segmentation(view: &MessageView<'_>) -> Result<Option<Concatenation>, Rejection> {
    let tlvs = &view.tlvs;
    let (Some(reference), Some(total), Some(sequence)) =
        (tlvs.sar_msg_ref_num(), tlvs.sar_total_segments(), tlvs.sar_segment_seqnum())
    else {
        return Ok(None);
    };
    if total == 0 || sequence == 0 || sequence > total {
        return Err(Rejection(CommandStatus::EsmeRinvtlvval));
    }
    Ok((total > 1).then_some(Concatenation { reference, total, sequence }))
}

/// TLVs that say something to whoever gets the message next, encoded again; those the gateway itself has acted on stay behind, and so do
/// reserved tags, which operators refuse.
pub fn passed_on(view: &MessageView<'_>) -> Bytes {
    let mut out = BytesMut::new();
    for item in view.tlvs.iter().filter(|item| is_passed_on(item.tag)) {
        tlv::put(&mut out, item.tag, item.value);
    }
    out.freeze()
}

fn is_passed_on(tag: TlvTag) -> bool {
    let acted_on = matches!(
        tag,
        TlvTag::MessagePayload
            | TlvTag::SarMsgRefNum
            | TlvTag::SarTotalSegments
            | TlvTag::SarSegmentSeqnum
            | TlvTag::QosTimeToLive
            | TlvTag::MoreMessagesToSend
            | TlvTag::DestAddrSubunit
    );
    let number = u32::from(u16::from(tag));
    let vendor = (0x1400..=0x3FFF).contains(&number);
    !acted_on && (vendor || !matches!(tag, TlvTag::Other(_)))
}
