//! Whether a submission becomes a message: field rules, sender policy, text. Pure: what the peer sent and the rules of its account
//! go in, a [`Message`] or the status for the peer comes out.
//!
//! What presses on the gateway ([`admission`]) and the account's rate are asked before, by the session; the route is looked up after.

pub mod admission;
pub(crate) mod fields;
mod sender;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::message::{Message, ReceiptRequest, Timestamp};
use crate::route::NumberRules;
use crate::smpp::{CommandId, CommandStatus, Frame, MessageView, Strictness, Version, ViewError};
use crate::text::build::ESM_UDH;
use crate::text::{Body, Concatenation, DefaultAlphabet, TextError, decode, plan, translit, udh};
pub use sender::Senders;

/// What an account may submit, resolved once per configuration.
#[derive(Debug)]
pub struct Policy {
    pub account: Arc<str>,
    pub alphabet: DefaultAlphabet,
    pub numbers: NumberRules,
    pub senders: Senders,
    pub max_parts: usize,
    pub priority_max: u8,
    pub default_validity: Duration,
    pub max_validity: Duration,
    pub strictness: Strictness,
    pub transliterate: bool,
}

/// A submission that passed.
#[derive(Debug)]
pub struct Accepted {
    pub message: Message,
    /// Parts it will be sent in, as counted for an 8-bit reference.
    pub parts: usize,
}

/// Why a submission was refused, and what the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection(pub CommandStatus);

impl From<ViewError> for Rejection {
    fn from(error: ViewError) -> Self {
        Rejection(error.status())
    }
}

impl From<TextError> for Rejection {
    fn from(error: TextError) -> Self {
        Rejection(error.command_status().into())
    }
}

/// Looks at a submit_sm or data_sm. `reference` gives the concatenation reference for a (source, destination) pair; it is asked for
/// messages of several parts only.
///
/// # Errors
/// The status to answer with (SMPP 5.0 section 4.7.6); the session goes on.
pub fn accept(
    frame: &Frame,
    policy: &Policy,
    version: Option<Version>,
    now: Timestamp,
    reference: impl FnOnce(&[u8], &[u8]) -> u16,
) -> Result<Accepted, Rejection> {
    let view = MessageView::parse(frame, policy.strictness)?;
    fields::check(&view)?;
    let given = view.destination.to_address();
    let destination = match policy.numbers.normalise(&given) {
        Ok(number) if !number.digits.is_empty() => number,
        Ok(_) | Err(_) => return Err(Rejection(CommandStatus::EsmeRinvdstadr)),
    };
    let source = policy.senders.check(view.source)?;
    let times = fields::times(&view, policy, now)?;
    let content = Content::read(&view, policy)?;
    let parts = plan::count_parts(&content.body, content.udh.len(), content.concatenation)?;
    if parts > policy.max_parts {
        return Err(Rejection(CommandStatus::EsmeRinvmsglen));
    }
    let reference = if parts > 1 { reference(&source.digits, &destination.digits) } else { 0 };
    let message = Message {
        account: policy.account.clone(),
        source,
        submitted_destination: (given != destination).then_some(given),
        destination,
        service_type: SmallVec::from_slice(view.service_type),
        protocol_id: view.protocol_id,
        priority: view.priority_flag.min(policy.priority_max),
        esm_class: view.esm_class & (fields::ESM_MODE | fields::ESM_REPLY_PATH),
        receipt: ReceiptRequest(view.registered_delivery),
        accepted_at: now,
        not_before: times.not_before,
        expires_at: times.expires_at,
        validity_given: times.validity_given,
        body: content.body,
        dcs_class: content.dcs_class,
        concatenation: content.concatenation,
        udh: content.udh,
        reference,
        tlvs: fields::passed_on(&view),
        short_id: version.is_some_and(|version| !version.allows_tlvs()) && frame.command_id() != CommandId::DataSm,
    };
    Ok(Accepted { message, parts })
}

/// The text and what says how it is to be read.
struct Content {
    body: Body,
    dcs_class: u8,
    concatenation: Option<Concatenation>,
    udh: Bytes,
}

impl Content {
    fn read(view: &MessageView<'_>, policy: &Policy) -> Result<Content, Rejection> {
        // The text leaves the read buffer here: a message that waits must not hold a buffer of 64 KiB.
        let octets = Bytes::copy_from_slice(view.message_text()?);
        // Centres write a header with eight bits for it, which the parts were cut for.
        let sar = fields::segmentation(view)?.map(|sar| Concatenation { reference: sar.reference & 0xFF, ..sar });
        let (header, text) = if view.esm_class & ESM_UDH != 0 { udh::split(&octets)? } else { (udh::Header::default(), octets) };
        if header.length > 0 && sar.is_some() {
            return Err(Rejection(CommandStatus::EsmeRinvesmclass));
        }
        let (mut body, mut dcs_class) = decode::decode(policy.alphabet, view.data_coding, text, header.length)?;
        if policy.transliterate
            && let Some(plain) = translit::to_gsm7(&body)
        {
            body = plain;
        }
        if view.tlvs.dest_addr_subunit() == Some(fields::SUBUNIT_DISPLAY) && dcs_class == 0 {
            dcs_class = fields::CLASS_0;
        }
        Ok(Content { body, dcs_class, concatenation: header.concatenation.or(sar), udh: header.elements })
    }
}
