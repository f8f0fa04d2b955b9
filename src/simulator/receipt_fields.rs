//! What a client needs to see of a receipt: whose it is and how it ended. Not the gateway's own parser, so that a fault of that
//! one shows in a test instead of being made twice the same way, and because nothing but these two fields is wanted.

use crate::receipt::State;
use crate::smpp::MessageView;

/// The id and the state of a receipt, wherever the centre put them. TLVs win over the text (SMPP 5.0 section 4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptFields<'a> {
    pub message_id: &'a [u8],
    /// Unknown when neither TLV nor text names one.
    pub state: State,
}

impl<'a> ReceiptFields<'a> {
    /// Reads a `deliver_sm` or `data_sm`; `None` when it is no receipt, that is an ordinary message.
    pub fn of(message: &MessageView<'a>) -> Option<ReceiptFields<'a>> {
        if message.esm_class & 0x3C == 0 && message.tlvs.receipted_message_id().is_none() {
            return None;
        }
        let text = || message.message_text().unwrap_or_default();
        Some(ReceiptFields {
            message_id: message.tlvs.receipted_message_id().or_else(|| word_after(text(), b"id:"))?,
            state: match message.tlvs.message_state().and_then(State::from_number) {
                Some(state) => state,
                None => word_after(text(), b"stat:").map_or(State::Unknown, State::from_word),
            },
        })
    }

    pub fn is_delivered(&self) -> bool {
        self.state == State::Delivered
    }
}

fn word_after<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let start = text.windows(key.len()).position(|window| window == key)? + key.len();
    text[start..].split(|&octet| octet == b' ').next().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::{TlvTag, Tlvs, tlv};
    use bytes::BytesMut;

    #[test]
    fn a_receipt_of_text_alone_is_read() {
        let text = b"id:4711 sub:001 dlvrd:001 submit date:2611222000 done date:2611222001 stat:UNDELIV err:005 text:Moi";
        let message = MessageView { esm_class: 0x04, short_message: text, ..MessageView::default() };
        let fields = ReceiptFields::of(&message);
        assert_eq!(fields, Some(ReceiptFields { message_id: b"4711", state: State::Undeliverable }));
    }

    #[test]
    fn tlvs_win_over_the_text() {
        let mut tlvs = BytesMut::new();
        tlv::put_string(&mut tlvs, TlvTag::ReceiptedMessageId, b"12ab");
        tlv::put(&mut tlvs, TlvTag::MessageState, &[2]);
        let text = b"id:4779 stat:UNDELIV";
        let message = MessageView { esm_class: 0x04, short_message: text, tlvs: Tlvs::encoded(&tlvs), ..MessageView::default() };
        assert!(ReceiptFields::of(&message).is_some_and(|fields| fields.message_id == b"12ab" && fields.is_delivered()));
    }

    #[test]
    fn an_ordinary_message_is_no_receipt() {
        assert_eq!(ReceiptFields::of(&MessageView { short_message: b"id:1", ..MessageView::default() }), None);
    }
}
