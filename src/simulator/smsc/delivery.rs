//! What an operator has to deliver to its client: receipts and mobile-originated messages.

use std::sync::Arc;

use bytes::BytesMut;
use smallvec::SmallVec;

use super::behaviour::ReceiptForm;
use super::message_id::IdText;
use crate::message::{Address, Timestamp};
use crate::receipt::State;
use crate::receipt::write::{self, ReceiptText};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};

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
pub(super) enum Delivery {
    Receipt(Receipt),
    Mo(Arc<Mo>),
}

/// The final state of one message, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    pub id: IdText,
    pub form: ReceiptForm,
    /// The submission's, that is the receipt's destination.
    pub source: Address,
    /// The submission's, that is the receipt's source.
    pub destination: Address,
    pub delivered: bool,
    pub submitted_at: Timestamp,
    /// The first octets of the submitted text.
    pub text: SmallVec<[u8; 20]>,
}

/// The error of undelivered messages, in the TLV and in the text: absent subscriber at many operators.
const ERROR: u16 = 27;
const ERROR_TEXT: &[u8] = b"027";

/// GSM, in `network_error_code` (SMPP 5.0 section 4.8.4.42).
const GSM: u8 = 3;

impl Receipt {
    fn state(&self) -> State {
        if self.delivered { State::Delivered } else { State::Undeliverable }
    }
}

/// Writes deliveries; owns the buffers their parts are put together in.
#[derive(Debug, Default)]
pub(super) struct Writer {
    body: BytesMut,
    text: BytesMut,
    tlvs: BytesMut,
}

impl Writer {
    /// The body of a `deliver_sm`.
    pub fn body(&mut self, delivery: &Delivery, now: Timestamp) -> &[u8] {
        self.body.clear();
        self.text.clear();
        self.tlvs.clear();
        match delivery {
            Delivery::Receipt(receipt) => self.receipt(receipt, now),
            Delivery::Mo(mo) => {
                let view = MessageView {
                    source: AddressView::from(&mo.from),
                    destination: AddressView::from(&mo.to),
                    data_coding: mo.data_coding,
                    short_message: &mo.text,
                    ..MessageView::default()
                };
                encode::message_body(&mut self.body, CommandId::DeliverSm, &view);
            }
        }
        &self.body
    }

    fn receipt(&mut self, receipt: &Receipt, now: Timestamp) {
        if receipt.form != ReceiptForm::Tlv {
            self.receipt_text(receipt, now);
        }
        if receipt.form != ReceiptForm::Text {
            let [high, low] = u16::to_be_bytes(if receipt.delivered { 0 } else { ERROR });
            tlv::put_string(&mut self.tlvs, TlvTag::ReceiptedMessageId, &receipt.id);
            tlv::put(&mut self.tlvs, TlvTag::MessageState, &[receipt.state().number()]);
            tlv::put(&mut self.tlvs, TlvTag::NetworkErrorCode, &[GSM, high, low]);
        }
        let view = MessageView {
            source: AddressView::from(&receipt.destination),
            destination: AddressView::from(&receipt.source),
            esm_class: 0x04,
            short_message: &self.text,
            tlvs: Tlvs::encoded(&self.tlvs),
            ..MessageView::default()
        };
        encode::message_body(&mut self.body, CommandId::DeliverSm, &view);
    }

    fn receipt_text(&mut self, receipt: &Receipt, now: Timestamp) {
        let text = ReceiptText {
            id: &receipt.id,
            submitted_parts: 1,
            delivered_parts: u16::from(receipt.delivered),
            submitted: receipt.submitted_at,
            done: now,
            utc_offset: 0,
            state: receipt.state(),
            error: if receipt.delivered { b"" } else { ERROR_TEXT },
            text: &receipt.text,
        };
        write::write(&text, &mut self.text);
    }
}
