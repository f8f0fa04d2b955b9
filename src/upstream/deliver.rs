//! A mailbox item as the deliver_sm an application gets. Pure.

use bytes::BytesMut;

use crate::message::{Mail, MailKind};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::build::{Carrier, Content, Outgoing};
use crate::text::{DefaultAlphabet, LongMessages, TextError};

/// Appends the body of the deliver_sm.
///
/// `tlvs`: may the peer be sent TLVs? One that may not (SMPP 3.3) gets the text of a receipt, which says the same, and a text too long
/// for short_message still in message_payload: shortening it would lose what the handset wrote.
///
/// # Errors
/// When an MO text cannot be coded in the account's alphabet at all.
pub fn body(out: &mut BytesMut, mail: &Mail, alphabet: DefaultAlphabet, tlvs: bool) -> Result<(), TextError> {
    let mut text = BytesMut::with_capacity(160);
    let mut extra = BytesMut::new();
    let (mut esm_class, mut data_coding, mut payload) = (mail.esm_class, 0, false);
    match mail.kind {
        // Receipts are ASCII whatever data_coding 0 means to the account.
        MailKind::Receipt { .. } => text.extend_from_slice(&mail.body.octets),
        MailKind::Mo => {
            let own = mail.concatenation;
            let content = Content { body: &mail.body, elements: &mail.udh, own, reference: 0, dcs_class: mail.dcs_class };
            let outgoing = Outgoing::new(content, Carrier { alphabet, long_messages: LongMessages::Payload })?;
            let fields = outgoing.write(0, &mut text);
            esm_class |= fields.esm_class;
            data_coding = fields.data_coding;
            payload = fields.payload;
        }
    }
    if payload {
        tlv::put(&mut extra, TlvTag::MessagePayload, &text);
    }
    if tlvs {
        extra.extend_from_slice(&mail.tlvs);
    }
    let view = MessageView {
        service_type: &[],
        source: AddressView { ton: mail.source.ton, npi: mail.source.npi, digits: &mail.source.digits },
        destination: AddressView { ton: mail.destination.ton, npi: mail.destination.npi, digits: &mail.destination.digits },
        esm_class,
        protocol_id: mail.protocol_id,
        priority_flag: 0,
        schedule_delivery_time: &[],
        validity_period: &[],
        registered_delivery: 0,
        replace_if_present: 0,
        data_coding,
        sm_default_msg_id: 0,
        short_message: if payload { &[] } else { &text },
        tlvs: Tlvs::encoded(&extra),
    };
    encode::message_body(out, CommandId::DeliverSm, &view);
    Ok(())
}
