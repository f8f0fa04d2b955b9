//! What an operator has to deliver to its client: receipts and mobile-originated messages.

use bytes::BytesMut;

use super::behaviour::ReceiptForm;
use crate::message::{Address, Timestamp};
use crate::receipt::State;
use crate::receipt::write::{self, ReceiptText};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, encode, tlv};

/// A message from a handset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mo {
    pub from: Address,
    pub to: Address,
    pub data_coding: u8,
    /// Encoded as `data_coding` says, at most 254 octets.
    pub text: Vec<u8>,
}

/// One `deliver_sm` to be acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub is_receipt: bool,
    /// Of the PDU, ready to be sent.
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn mo(mo: &Mo) -> Delivery {
        let view = MessageView {
            source: AddressView::from(&mo.from),
            destination: AddressView::from(&mo.to),
            data_coding: mo.data_coding,
            short_message: &mo.text,
            ..MessageView::default()
        };
        let mut body = BytesMut::new();
        encode::message_body(&mut body, CommandId::DeliverSm, &view);
        Delivery { is_receipt: false, body: body.to_vec() }
    }
}

/// The final state of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt<'a> {
    pub id: &'a [u8],
    pub form: ReceiptForm,
    /// The submission's, that is the receipt's destination.
    pub source: AddressView<'a>,
    /// The submission's, that is the receipt's source.
    pub destination: AddressView<'a>,
    pub delivered: bool,
    pub submitted: Timestamp,
    pub done: Timestamp,
    /// The submitted text.
    pub text: &'a [u8],
}

/// The error of undelivered messages, in the TLV and in the text: absent subscriber at many operators.
const ERROR: u16 = 27;
const ERROR_TEXT: &[u8] = b"027";

/// GSM, in `network_error_code` (SMPP 5.0 section 4.8.4.42).
const GSM: u8 = 3;

/// Octets of the submitted text that a receipt repeats.
const REPEATED: usize = 20;

/// What lies between the destination and the text of a receipt: esm_class 0x04, nothing else.
const MIDDLE: [u8; 9] = [0x04, 0, 0, 0, 0, 0, 0, 0, 0];

/// Writes receipts. All of one minute have the same dates, so that only id, addresses and repeated text differ.
#[derive(Debug, Default)]
pub(super) struct Writer {
    delivered: Fixed,
    undelivered: Fixed,
}

/// What is the same in the receipts of one minute.
#[derive(Debug, Default)]
struct Fixed {
    /// Minutes since the epoch: of submission and of delivery.
    minutes: (u64, u64),
    /// The text from the id to the repeated text.
    text: BytesMut,
    /// All but the id.
    tlvs: BytesMut,
}

impl Fixed {
    fn update(&mut self, receipt: &Receipt<'_>) {
        let minutes = (receipt.submitted.0 / 60_000, receipt.done.0 / 60_000);
        if self.minutes == minutes {
            return;
        }
        let state = if receipt.delivered { State::Delivered } else { State::Undeliverable };
        self.minutes = minutes;
        self.text.clear();
        let text = ReceiptText {
            id: b"",
            submitted_parts: 1,
            delivered_parts: u16::from(receipt.delivered),
            submitted: receipt.submitted,
            done: receipt.done,
            utc_offset: 0,
            state,
            error: if receipt.delivered { b"" } else { ERROR_TEXT },
            text: b"",
        };
        write::write(&text, &mut self.text);
        let [high, low] = u16::to_be_bytes(if receipt.delivered { 0 } else { ERROR });
        self.tlvs.clear();
        tlv::put(&mut self.tlvs, TlvTag::MessageState, &[state.number()]);
        tlv::put(&mut self.tlvs, TlvTag::NetworkErrorCode, &[GSM, high, low]);
    }
}

impl Writer {
    /// Writes the body of a receipt's `deliver_sm`.
    pub fn receipt(&mut self, receipt: &Receipt<'_>, out: &mut Vec<u8>) {
        const ID: &[u8] = b"id:";
        let fixed = if receipt.delivered { &mut self.delivered } else { &mut self.undelivered };
        fixed.update(receipt);
        out.push(0); // service_type
        address(out, &receipt.destination);
        address(out, &receipt.source);
        out.extend_from_slice(&MIDDLE);
        let length_at = out.len();
        out.push(0);
        if receipt.form != ReceiptForm::Tlv {
            out.extend_from_slice(ID);
            out.extend_from_slice(receipt.id);
            out.extend_from_slice(&fixed.text[ID.len()..]);
            out.extend_from_slice(&receipt.text[..receipt.text.len().min(REPEATED)]);
            // Some 170 octets at most.
            out[length_at] = (out.len() - length_at - 1) as u8;
        }
        if receipt.form != ReceiptForm::Text {
            let [high, low] = u16::from(TlvTag::ReceiptedMessageId).to_be_bytes();
            // An id has 40 octets at most.
            out.extend_from_slice(&[high, low, 0, receipt.id.len() as u8 + 1]);
            out.extend_from_slice(receipt.id);
            out.push(0);
            out.extend_from_slice(&fixed.tlvs);
        }
    }
}

fn address(out: &mut Vec<u8>, address: &AddressView<'_>) {
    out.extend_from_slice(&[address.ton, address.npi]);
    out.extend_from_slice(address.digits);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::Strictness;

    fn receipt(id: &[u8], delivered: bool, form: ReceiptForm) -> Receipt<'_> {
        let noon = Timestamp(1_704_448_800_000); // 2024-01-05 10:00 UTC
        Receipt {
            id,
            form,
            source: AddressView { ton: 5, npi: 0, digits: b"SHOP" },
            destination: AddressView { ton: 1, npi: 1, digits: b"358401234567" },
            delivered,
            submitted: noon,
            done: noon.plus(std::time::Duration::from_secs(65)),
            text: b"abcdefghijklmnopqrstuvwxyz",
        }
    }

    fn text_of(body: &[u8]) -> String {
        let message = MessageView::parse_body(CommandId::DeliverSm, body, Strictness::Strict).expect("a deliver_sm");
        assert_eq!((message.source.digits, message.destination.digits), (b"358401234567".as_slice(), b"SHOP".as_slice()));
        assert_eq!(message.esm_class, 0x04);
        String::from_utf8_lossy(message.short_message).into_owned()
    }

    #[test]
    fn a_receipt_is_that_of_the_standard_with_id_and_state_in_tlvs_too() {
        let mut writer = Writer::default();
        let mut body = Vec::new();
        writer.receipt(&receipt(b"4711", true, ReceiptForm::Both), &mut body);
        let expected = "id:4711 sub:001 dlvrd:001 submit date:2401051000 done date:2401051001 stat:DELIVRD err:000 text:abcdefghijklmnopqrst";
        assert_eq!(text_of(&body), expected);
        let message = MessageView::parse_body(CommandId::DeliverSm, &body, Strictness::Strict).expect("a deliver_sm");
        assert_eq!(message.tlvs.receipted_message_id(), Some(b"4711".as_slice()));
        assert_eq!(
            (message.tlvs.message_state(), message.tlvs.get(TlvTag::NetworkErrorCode)),
            (Some(2), Some([3, 0, 0].as_slice()))
        );
    }

    #[test]
    fn receipts_of_one_minute_differ_in_id_and_state_only() {
        let mut writer = Writer::default();
        let mut texts = Vec::new();
        for (id, delivered) in [(b"1", true), (b"2", false), (b"3", true)] {
            let mut body = Vec::new();
            writer.receipt(&receipt(id, delivered, ReceiptForm::Text), &mut body);
            texts.push(text_of(&body));
        }
        assert_eq!(texts[2], texts[0].replace("id:1", "id:3"));
        assert_eq!(
            texts[1],
            texts[0].replace("id:1", "id:2").replace("dlvrd:001", "dlvrd:000").replace("DELIVRD err:000", "UNDELIV err:027")
        );
    }
}
