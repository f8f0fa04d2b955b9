//! Receipts of any octets, in the text or in TLVs, are read without panic; everything flagged as a receipt is one; and one that we
//! write ourselves says what was read.

use smppgw::message::Timestamp;
use smppgw::receipt::text::{Delivery, from_parts};
use smppgw::receipt::write::{ReceiptText, write};
use smppgw::receipt::{Receipt, ReceiptId, id};

/// esm_class, data_coding, which TLVs there are, message_state, how long the TLV's id is; the id; the text.
pub fn run(data: &[u8]) {
    let [esm_class, data_coding, which, state, length, rest @ ..] = data else { return };
    let (tlv, text) = rest.split_at(usize::from(*length).min(rest.len()));
    let receipted_message_id = (which & 1 != 0).then_some(tlv);
    let delivery = Delivery {
        esm_class: *esm_class,
        data_coding: *data_coding,
        text,
        receipted_message_id,
        message_state: (which & 2 != 0).then_some(*state),
        network_error_code: (which & 4 != 0).then_some(tlv),
    };
    let receipt = from_parts(delivery);
    let Some(receipt) = receipt else {
        assert_ne!(esm_class & 0x3C, 0x04, "flagged");
        assert!(receipted_message_id.is_none_or(|id| !id.iter().any(u8::is_ascii_alphanumeric)));
        return;
    };
    assert!(receipt.id.len() <= text.len().max(tlv.len()));
    assert_eq!(receipt.intermediate, !receipt.state.is_final());
    keys(&receipt);
    if receipt.id.iter().all(u8::is_ascii_alphanumeric) {
        written_again(&receipt);
    }
}

/// A part remembered by the same characters is found, whatever form the operator's ids are said to have.
fn keys(receipt: &Receipt) {
    let stored = id::stored_key(ReceiptId::Same, &receipt.id);
    assert_eq!(id::sought_keys(ReceiptId::Same, &receipt.id).next(), stored);
    for form in [ReceiptId::Same, ReceiptId::Hex, ReceiptId::Dec] {
        let stored = id::stored_key(form, &receipt.id);
        assert!(id::sought_keys(form, &receipt.id).any(|key| Some(key) == stored) || stored.is_none());
    }
}

fn written_again(receipt: &Receipt) {
    let mut text = Vec::new();
    let fields = ReceiptText {
        id: &receipt.id,
        submitted_parts: 1,
        delivered_parts: 1,
        submitted: Timestamp(0),
        done: Timestamp(0),
        utc_offset: 0,
        state: receipt.state,
        error: b"",
        text: b"",
    };
    write(&fields, &mut text);
    let again = from_parts(Delivery { esm_class: 4, text: &text, ..Delivery::default() }).expect("our own receipt");
    assert_eq!((again.id, again.state), (receipt.id.clone(), receipt.state));
}
