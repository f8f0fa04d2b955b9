//! A mailbox item as the deliver_sm an application gets. Pure.

use bytes::BytesMut;

use crate::message::{Mail, MailKind};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::build::{Carrier, Content, Outgoing};
use crate::text::{DefaultAlphabet, LongMessages, TextError};

/// A mailbox item ready to be written.
pub struct Delivery<'a> {
    mail: &'a Mail,
    /// The text of an MO message, coded for the account; a receipt's is ASCII whatever data_coding 0 means to the account.
    outgoing: Option<Outgoing<'a>>,
}

impl<'a> Delivery<'a> {
    /// # Errors
    /// When an MO text cannot be coded in the account's alphabet at all.
    pub fn new(mail: &'a Mail, alphabet: DefaultAlphabet) -> Result<Delivery<'a>, TextError> {
        let outgoing = match mail.kind {
            MailKind::Receipt { .. } => None,
            MailKind::Mo => {
                let own = mail.concatenation;
                let content = Content { body: &mail.body, elements: &mail.udh, own, reference: 0, dcs_class: mail.dcs_class };
                Some(Outgoing::new(content, Carrier { alphabet, long_messages: LongMessages::Payload })?)
            }
        };
        Ok(Delivery { mail, outgoing })
    }

    /// Appends the body of the deliver_sm.
    ///
    /// `tlvs`: may the peer be sent TLVs? One that may not (SMPP 3.3) gets the text of a receipt, which says the same, and a text too
    /// long for short_message still in message_payload: shortening it would lose what the handset wrote.
    pub fn write(&self, out: &mut BytesMut, tlvs: bool) {
        let own_tlvs: &[u8] = if tlvs { &self.mail.tlvs } else { &[] };
        let Some(outgoing) = &self.outgoing else {
            return self.put(out, (self.mail.esm_class, 0), &self.mail.body.octets, own_tlvs);
        };
        let mut text = BytesMut::with_capacity(160);
        let fields = outgoing.write(0, &mut text);
        let kind = (self.mail.esm_class | fields.esm_class, fields.data_coding);
        if fields.payload {
            let mut with_payload = BytesMut::new();
            tlv::put(&mut with_payload, TlvTag::MessagePayload, &text);
            with_payload.extend_from_slice(own_tlvs);
            self.put(out, kind, &[], &with_payload);
        } else {
            self.put(out, kind, &text, own_tlvs);
        }
    }

    fn put(&self, out: &mut BytesMut, (esm_class, data_coding): (u8, u8), short_message: &[u8], tlvs: &[u8]) {
        let Mail { source, destination, protocol_id, .. } = self.mail;
        let view = MessageView {
            service_type: &[],
            source: AddressView { ton: source.ton, npi: source.npi, digits: &source.digits },
            destination: AddressView { ton: destination.ton, npi: destination.npi, digits: &destination.digits },
            esm_class,
            protocol_id: *protocol_id,
            priority_flag: 0,
            schedule_delivery_time: &[],
            validity_period: &[],
            registered_delivery: 0,
            replace_if_present: 0,
            data_coding,
            sm_default_msg_id: 0,
            short_message,
            tlvs: Tlvs::encoded(tlvs),
        };
        encode::message_body(out, CommandId::DeliverSm, &view);
    }
}
