//! What an operator notes of a submission: for tests as a value, for the log as a line.

use std::io::Write;

use crate::message::Address;
use crate::smpp::{CommandStatus, MessageView};
use crate::text::Concatenation;

/// A submission as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The operator's number for it, which its ids write in one form or another; 0 when it was not accepted.
    pub id: u64,
    /// What it was answered with; `None` for silence.
    pub status: Option<CommandStatus>,
    pub source: Address,
    pub destination: Address,
    pub service_type: Vec<u8>,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority_flag: u8,
    pub validity_period: Vec<u8>,
    pub registered_delivery: u8,
    pub data_coding: u8,
    /// From the user data header or the `sar_*` TLVs.
    pub concatenation: Option<Concatenation>,
    /// `short_message` or `message_payload`, user data header included.
    pub text: Vec<u8>,
    /// As on the wire.
    pub tlvs: Vec<u8>,
}

impl Record {
    pub(super) fn of(message: &MessageView<'_>, id: u64, status: Option<CommandStatus>) -> Record {
        Record {
            id,
            status,
            source: message.source.to_address(),
            destination: message.destination.to_address(),
            service_type: message.service_type.to_vec(),
            esm_class: message.esm_class,
            protocol_id: message.protocol_id,
            priority_flag: message.priority_flag,
            validity_period: message.validity_period.to_vec(),
            registered_delivery: message.registered_delivery,
            data_coding: message.data_coding,
            concatenation: concatenation(message),
            text: message.message_text().unwrap_or_default().to_vec(),
            tlvs: message.tlvs.as_bytes().to_vec(),
        }
    }
}

/// Appends the line `operator,id,status,source,destination,reference/total/sequence,tag,checksum`.
///
/// `id` is decimal, `status` hexadecimal or `silent`; the fourth-last field is `-` for unsplit messages; `tag` is the digits
/// the text begins with, or `-`; `checksum` is the CRC-32 of the text as sent.
pub(super) fn write_line(out: &mut Vec<u8>, operator: &str, message: &MessageView<'_>, id: &[u8], status: Option<CommandStatus>) {
    let text = message.message_text().unwrap_or_default();
    out.extend_from_slice(operator.as_bytes());
    out.push(b',');
    out.extend_from_slice(if id.is_empty() { b"-" } else { id });
    // Writing to memory does not fail.
    let _ = match status {
        Some(status) => write!(out, ",{:02x},", u32::from(status)),
        None => out.write_all(b",silent,"),
    };
    out.extend_from_slice(message.source.digits);
    out.push(b',');
    out.extend_from_slice(message.destination.digits);
    let _ = match concatenation(message) {
        Some(part) => write!(out, ",{}/{}/{},", part.reference, part.total, part.sequence),
        None => out.write_all(b",-,"),
    };
    let before = out.len();
    out.extend(tag(message));
    if out.len() == before {
        out.push(b'-');
    }
    let _ = writeln!(out, ",{:08x}", crc32fast::hash(text));
}

/// The digits the text begins with, whether it has one octet a character or two.
fn tag<'a>(message: &MessageView<'a>) -> impl Iterator<Item = u8> + use<'a> {
    let text = user_text(message);
    let wide = text.first() == Some(&0);
    let step = if wide { 2 } else { 1 };
    text.iter().skip(step - 1).step_by(step).copied().take_while(u8::is_ascii_digit).take(20)
}

/// The text after the user data header.
pub(super) fn user_text<'a>(message: &MessageView<'a>) -> &'a [u8] {
    let text = message.message_text().unwrap_or_default();
    user_data_header(message).map_or(text, |header| &text[header.len() + 1..])
}

/// The user data header without its length octet, if there is a whole one (3GPP TS 23.040 section 9.2.3.24).
fn user_data_header<'a>(message: &MessageView<'a>) -> Option<&'a [u8]> {
    if message.esm_class & 0x40 == 0 {
        return None;
    }
    let (&length, rest) = message.message_text().ok()?.split_first()?;
    rest.get(..usize::from(length))
}

fn concatenation(message: &MessageView<'_>) -> Option<Concatenation> {
    if let Some(reference) = message.tlvs.sar_msg_ref_num() {
        let (total, sequence) = (message.tlvs.sar_total_segments()?, message.tlvs.sar_segment_seqnum()?);
        return Some(Concatenation { reference, total, sequence });
    }
    let mut elements = user_data_header(message)?;
    while let [kind, length, rest @ ..] = elements {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        match (kind, value) {
            (0x00, &[reference, total, sequence]) => {
                return Some(Concatenation { reference: u16::from(reference), total, sequence });
            }
            (0x08, &[high, low, total, sequence]) => {
                return Some(Concatenation { reference: u16::from_be_bytes([high, low]), total, sequence });
            }
            _ => elements = after,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::AddressView;

    fn message(text: &[u8]) -> MessageView<'_> {
        MessageView {
            source: AddressView { ton: 5, npi: 0, digits: b"SHOP" },
            destination: AddressView { ton: 1, npi: 1, digits: b"358401234567" },
            short_message: text,
            ..MessageView::default()
        }
    }

    fn line(message: &MessageView<'_>) -> String {
        let mut out = Vec::new();
        write_line(&mut out, "elisa", message, b"77", Some(CommandStatus::EsmeRok));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_line_tells_operator_id_status_numbers_and_tag() {
        assert_eq!(line(&message(b"0000000123 Moi")), "elisa,77,00,SHOP,358401234567,-,0000000123,2d0469fc\n");
    }

    #[test]
    fn a_part_is_noted_with_its_reference_and_the_tag_behind_its_header() {
        let part = MessageView { esm_class: 0x40, ..message(b"\x05\x00\x03\x21\x02\x0142 Moi") };
        assert!(line(&part).contains(",33/2/1,42,"));
    }

    #[test]
    fn a_tag_of_two_octets_a_character_is_found_too() {
        let wide = MessageView { data_coding: 8, ..message(b"\x004\x002\x00 \x20\xAC") };
        assert!(line(&wide).contains(",-,42,"));
    }
}
