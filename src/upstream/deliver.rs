//! A mailbox item as the deliver_sm an application gets. Pure.

use bytes::BytesMut;

use crate::gateway::{NodeNames, message_id_octets};
use crate::message::{Mail, MailContent, MailedMo, MailedReceipt};
use crate::receipt::State;
use crate::receipt::write::{ReceiptText, write};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::build::{Carrier, Content, Outgoing};
use crate::text::{Concatenation, DefaultAlphabet, LongMessages, TextError};

/// Message type bits of esm_class (SMPP 5.0 section 4.7.12): a delivery receipt, or an intermediate notification.
const ESM_RECEIPT: u8 = 0x04;
const ESM_NOTIFICATION: u8 = 0x20;

/// Buffers used again and again by one session.
#[derive(Debug, Default)]
pub struct Scratch {
    text: BytesMut,
    tlvs: BytesMut,
}

/// How an application is told.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// Our ids begin with one of them.
    pub names: &'a NodeNames,
    /// Seconds that the dates in receipts are ahead of UTC.
    pub utc_offset: i32,
    /// May it be sent TLVs? A peer that may not (SMPP 3.3) gets the text of a receipt, which says the same, and a text too long for
    /// short_message still in message_payload: shortening it would lose what the handset wrote.
    pub tlvs: bool,
}

/// A mailbox item ready to be written.
pub struct Delivery<'a> {
    mail: &'a Mail,
    said: Said<'a>,
}

enum Said<'a> {
    Receipt(&'a MailedReceipt),
    /// With its text coded for the account, and what numbers it as a part if its header does not.
    Mo(&'a MailedMo, Outgoing<'a>, Option<Concatenation>),
}

impl<'a> Delivery<'a> {
    /// # Errors
    /// When an MO text cannot be coded in the account's alphabet at all.
    pub fn new(mail: &'a Mail, alphabet: DefaultAlphabet) -> Result<Delivery<'a>, TextError> {
        let said = match &mail.content {
            MailContent::Receipt(receipt) => Said::Receipt(receipt),
            MailContent::Mo(mo) => {
                let carrier = Carrier { alphabet, long_messages: LongMessages::Payload };
                let own = mo.concatenation;
                let content = Content { body: &mo.body, elements: &mo.udh, own, reference: 0, dcs_class: mo.dcs_class };
                // A part keeps its whole reference: cut to eight bits it would be that of another message.
                let part = Carrier { long_messages: LongMessages::Udh16, ..carrier };
                match Outgoing::new(content, if own.is_some() { part } else { carrier }) {
                    // A part that is longer than a short message with its header: centres that number parts in TLVs cut them where they
                    // like, and 153 characters may be UCS-2 here. TLVs number it here too.
                    Err(TextError::PartTooLong) => Said::Mo(mo, Outgoing::new(Content { own: None, ..content }, carrier)?, own),
                    outgoing => Said::Mo(mo, outgoing?, None),
                }
            }
        };
        Ok(Delivery { mail, said })
    }

    /// Appends the body of the deliver_sm.
    pub fn write(&self, out: &mut BytesMut, form: &Form<'_>, scratch: &mut Scratch) {
        scratch.text.clear();
        scratch.tlvs.clear();
        let fields = match &self.said {
            Said::Receipt(receipt) => put_receipt(scratch, receipt, form),
            Said::Mo(mo, outgoing, sar) => put_mo(scratch, mo, outgoing, *sar, form),
        };
        let Mail { source, destination, .. } = self.mail;
        let view = MessageView {
            service_type: &[],
            source: AddressView { ton: source.ton, npi: source.npi, digits: &source.digits },
            destination: AddressView { ton: destination.ton, npi: destination.npi, digits: &destination.digits },
            esm_class: fields.esm_class,
            protocol_id: fields.protocol_id,
            priority_flag: 0,
            schedule_delivery_time: &[],
            validity_period: &[],
            registered_delivery: 0,
            replace_if_present: 0,
            data_coding: fields.data_coding,
            sm_default_msg_id: 0,
            short_message: &scratch.text,
            tlvs: Tlvs::encoded(&scratch.tlvs),
        };
        encode::message_body(out, CommandId::DeliverSm, &view);
    }
}

/// What an item says besides its addresses, text and TLVs.
#[derive(Debug, Clone, Copy)]
struct Fields {
    esm_class: u8,
    protocol_id: u8,
    data_coding: u8,
}

/// The text is ASCII, whatever data_coding 0 means to the account.
fn put_receipt(scratch: &mut Scratch, receipt: &MailedReceipt, form: &Form<'_>) -> Fields {
    let id = message_id_octets(form.names.of(receipt.message), receipt.message, receipt.short_id);
    let parts = receipt.part.map_or(receipt.parts, |_| 1).into();
    let said = ReceiptText {
        id: &id,
        submitted_parts: parts,
        delivered_parts: if receipt.state == State::Delivered { parts } else { 0 },
        submitted: receipt.submitted_at,
        done: receipt.done_at,
        utc_offset: form.utc_offset,
        state: receipt.state,
        error: &receipt.error,
        text: &[],
    };
    write(&said, &mut scratch.text);
    if form.tlvs {
        put_receipt_tlvs(&mut scratch.tlvs, &id, receipt);
    }
    let esm_class = if receipt.state.is_final() { ESM_RECEIPT } else { ESM_NOTIFICATION };
    Fields { esm_class, protocol_id: 0, data_coding: 0 }
}

/// The standard form of the receipt (SMPP 5.0 section 4.3.5.1), and the application's own reference given back.
fn put_receipt_tlvs(out: &mut BytesMut, id: &[u8], receipt: &MailedReceipt) {
    tlv::put_string(out, TlvTag::ReceiptedMessageId, id);
    tlv::put(out, TlvTag::MessageState, &[receipt.state.number()]);
    if let Some(code) = receipt.network_error_code {
        tlv::put(out, TlvTag::NetworkErrorCode, &code);
    }
    if let Some(reference) = receipt.reference {
        tlv::put(out, TlvTag::UserMessageReference, &reference.to_be_bytes());
    }
    if let Some(part) = receipt.part {
        tlv::put(out, TlvTag::SarSegmentSeqnum, &[part.saturating_add(1)]);
    }
}

fn put_mo(scratch: &mut Scratch, mo: &MailedMo, outgoing: &Outgoing<'_>, sar: Option<Concatenation>, form: &Form<'_>) -> Fields {
    let fields = outgoing.write(0, &mut scratch.text);
    if fields.payload {
        tlv::put(&mut scratch.tlvs, TlvTag::MessagePayload, &scratch.text);
        scratch.text.clear();
    }
    if form.tlvs {
        if let Some(sar) = sar {
            tlv::put(&mut scratch.tlvs, TlvTag::SarMsgRefNum, &sar.reference.to_be_bytes());
            tlv::put(&mut scratch.tlvs, TlvTag::SarTotalSegments, &[sar.total]);
            tlv::put(&mut scratch.tlvs, TlvTag::SarSegmentSeqnum, &[sar.sequence]);
        }
        scratch.tlvs.extend_from_slice(&mo.tlvs);
    }
    Fields { esm_class: fields.esm_class, protocol_id: mo.protocol_id, data_coding: fields.data_coding }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
