//! What an operator's deliver_sm or data_sm says: a receipt, or a mobile-originated message. Pure.

use std::sync::Arc;

use bytes::Bytes;

use crate::accept::fields;
use crate::config::Operator;
use crate::ledger::{KeyMaker, Received};
use crate::message::{Mo, OperatorKey, Timestamp};
use crate::receipt::text::{Delivery, from_parts};
use crate::smpp::{CommandStatus, Frame, MessageView, Strictness};
use crate::text::build::ESM_UDH;
use crate::text::{Alphabet, Body, decode, udh};

/// What an operator delivered.
#[derive(Debug)]
pub enum Delivered {
    Receipt(Received),
    Mo(Box<Mo>),
}

/// Reads the request.
///
/// # Errors
/// The status to answer with, when its fields cannot be read.
pub fn read(
    frame: &Frame,
    key: OperatorKey,
    operator: &Operator,
    strictness: Strictness,
    now: Timestamp,
    keys: &KeyMaker,
) -> Result<Delivered, CommandStatus> {
    let view = MessageView::parse(frame, strictness).map_err(|error| error.status())?;
    let text = view.message_text().map_err(|error| error.status())?;
    let delivery = Delivery {
        esm_class: view.esm_class,
        data_coding: view.data_coding,
        text,
        receipted_message_id: view.tlvs.receipted_message_id(),
        message_state: view.tlvs.message_state(),
        network_error_code: view.tlvs.get(crate::smpp::TlvTag::NetworkErrorCode),
    };
    if let Some(mut receipt) = from_parts(delivery) {
        receipt.done = receipt.done.map(|date| date.in_utc(operator.receipt_time_zone.whole_seconds()));
        let (source, destination) = (view.source.to_address(), view.destination.to_address());
        let keys = keys.of_receipt(key, operator.receipt_id, &receipt.id);
        return Ok(Delivered::Receipt(Received { operator: key, receipt, keys, source, destination, received_at: now }));
    }
    Ok(Delivered::Mo(Box::new(mo(&view, text, operator, now))))
}

/// A message that cannot be decoded as it says is passed on as the octets it is: what a handset sent is not lost over a field.
fn mo(view: &MessageView<'_>, text: &[u8], operator: &Operator, now: Timestamp) -> Mo {
    let octets = Bytes::copy_from_slice(text);
    let (header, text) = match (view.esm_class & ESM_UDH != 0).then(|| udh::split(&octets)) {
        Some(Ok(split)) => split,
        Some(Err(_)) | None => (udh::Header::default(), octets),
    };
    let (body, dcs_class) = decode::decode(operator.alphabet, view.data_coding, text.clone(), header.length)
        .unwrap_or((Body { alphabet: Alphabet::Octets, octets: text }, 0));
    let sar = fields::segmentation(view).ok().flatten();
    Mo {
        operator: Arc::clone(&operator.name),
        source: view.source.to_address(),
        destination: view.destination.to_address(),
        protocol_id: view.protocol_id,
        dcs_class,
        received_at: now,
        concatenation: header.concatenation.or(sar),
        udh: header.elements,
        body,
        tlvs: fields::passed_on(view),
    }
}
