//! PDUs written straight into the output buffer, from the types [`super::view`] reads into.
//!
//! `*_body` functions write what follows the header: [`super::Session`] writes the header itself. The others write whole PDUs.

use bytes::{BufMut, BytesMut};

use super::frame::HEADER;
use super::view::{AddressView, BindView, MessageView, QueryResponseView};
use super::{CommandId, CommandStatus, TlvTag, Version, tlv};

/// Writes one PDU: header, then what `body` appends; the length is filled in afterwards.
pub fn pdu(out: &mut BytesMut, command: CommandId, status: CommandStatus, sequence: u32, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&u32::from(command).to_be_bytes());
    header[8..12].copy_from_slice(&u32::from(status).to_be_bytes());
    header[12..].copy_from_slice(&sequence.to_be_bytes());
    out.put_slice(&header);
    body(out);
    // Bodies are bounded by a few fields and 16-bit TLV lengths, far below u32.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A request with `command_status` 0.
pub fn request(out: &mut BytesMut, command: CommandId, sequence: u32, body: impl FnOnce(&mut BytesMut)) {
    pdu(out, command, CommandStatus::EsmeRok, sequence, body);
}

/// The response to `request` without a body: what every error and the bodiless operations are answered with. Only
/// `deliver_sm_resp` and a good `data_sm_resp` keep their one octet, the empty id, because peers break without it.
pub fn response(out: &mut BytesMut, request: CommandId, status: CommandStatus, sequence: u32) {
    pdu(out, request.matching_response(), status, sequence, |out| {
        if request == CommandId::DeliverSm || request == CommandId::DataSm && status == CommandStatus::EsmeRok {
            out.put_u8(0);
        }
    });
}

/// The positive response to `submit_sm`, `data_sm` or `submit_multi` (without refused destinations).
pub fn message_response(out: &mut BytesMut, request: CommandId, sequence: u32, message_id: &[u8], tlvs: &[u8]) {
    pdu(out, request.matching_response(), CommandStatus::EsmeRok, sequence, |out| {
        put_string(out, message_id);
        if request == CommandId::SubmitMulti {
            out.put_u8(0); // no_unsuccess
        }
        out.put_slice(tlvs);
    });
}

/// `generic_nack`: the answer to what is no known request (SMPP 5.0 section 4.1.4).
pub fn generic_nack(out: &mut BytesMut, status: CommandStatus, sequence: u32) {
    pdu(out, CommandId::GenericNack, status, sequence, |_| {});
}

/// A `submit_sm`, `deliver_sm` or `data_sm`.
pub fn message(out: &mut BytesMut, command: CommandId, sequence: u32, message: &MessageView<'_>) {
    request(out, command, sequence, |out| message_body(out, command, message));
}

/// The body of a `submit_sm`, `deliver_sm` or `data_sm`.
///
/// Text that has no room in `short_message` (more than 255 octets, or any text in a `data_sm`) goes into `message_payload`, the
/// only other place the standard has for it.
pub fn message_body(out: &mut BytesMut, command: CommandId, message: &MessageView<'_>) {
    let data_sm = command == CommandId::DataSm;
    let short = if data_sm { None } else { u8::try_from(message.short_message.len()).ok() };
    put_string(out, message.service_type);
    put_address(out, &message.source);
    put_address(out, &message.destination);
    out.put_u8(message.esm_class);
    if data_sm {
        out.put_slice(&[message.registered_delivery, message.data_coding]);
    } else {
        out.put_slice(&[message.protocol_id, message.priority_flag]);
        put_string(out, message.schedule_delivery_time);
        put_string(out, message.validity_period);
        out.put_slice(&[
            message.registered_delivery,
            message.replace_if_present,
            message.data_coding,
            message.sm_default_msg_id,
            short.unwrap_or(0),
        ]);
    }
    match short {
        Some(_) => out.put_slice(message.short_message),
        None if message.short_message.is_empty() => {}
        None => tlv::put(out, TlvTag::MessagePayload, message.short_message),
    }
    out.put_slice(message.tlvs.as_bytes());
}

/// A bind request of the kind the view names.
pub fn bind(out: &mut BytesMut, sequence: u32, bind: &BindView<'_>) {
    request(out, bind.kind.command(), sequence, |out| {
        put_string(out, bind.system_id);
        put_string(out, bind.password);
        put_string(out, bind.system_type);
        out.put_slice(&[bind.version.0, bind.addr_ton, bind.addr_npi]);
        put_string(out, bind.address_range);
    });
}

/// The positive response to a bind. `version` becomes `sc_interface_version`; leave it out for peers below 3.4.
pub fn bind_response(out: &mut BytesMut, request: CommandId, sequence: u32, system_id: &[u8], version: Option<Version>) {
    pdu(out, request.matching_response(), CommandStatus::EsmeRok, sequence, |out| {
        put_string(out, system_id);
        if let Some(version) = version {
            tlv::put(out, TlvTag::ScInterfaceVersion, &[version.0]);
        }
    });
}

/// The body of a `query_sm` (SMPP 5.0 section 4.5.1).
pub fn query_body(out: &mut BytesMut, message_id: &[u8], source: &AddressView<'_>) {
    put_string(out, message_id);
    put_address(out, source);
}

/// The body of a positive `query_sm_resp` (SMPP 5.0 section 4.5.2).
pub fn query_response_body(out: &mut BytesMut, answer: &QueryResponseView<'_>) {
    put_string(out, answer.message_id);
    put_string(out, answer.final_date);
    out.put_slice(&[answer.message_state, answer.error_code]);
}

fn put_address(out: &mut BytesMut, address: &AddressView<'_>) {
    out.put_slice(&[address.ton, address.npi]);
    put_string(out, address.digits);
}

/// A C-octet string. A zero inside would shift every later field, so the string ends there.
#[inline]
fn put_string(out: &mut BytesMut, value: &[u8]) {
    let end = value.iter().position(|&octet| octet == 0).unwrap_or(value.len());
    // Most strings of a message are empty, and copying nothing is not free.
    if end > 0 {
        out.put_slice(&value[..end]);
    }
    out.put_u8(0);
}
