//! PDU bodies as borrowed views: the fields point into the frame, nothing is allocated (SMPP 5.0 section 4).
//!
//! The same types are what [`super::encode`] writes, so that reading and writing cannot name a field differently.

use super::reader::Reader;
use super::{BindKind, CommandId, Field, Frame, Problem, Strictness, Tlvs, Version, ViewError};
use crate::message::Address;

/// An address in a PDU: type of number, numbering plan, characters without terminator (SMPP 5.0 sections 4.7.1, 4.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressView<'a> {
    pub ton: u8,
    pub npi: u8,
    pub digits: &'a [u8],
}

impl AddressView<'_> {
    pub fn to_address(&self) -> Address {
        Address::new(self.ton, self.npi, self.digits)
    }
}

impl<'a> From<&'a Address> for AddressView<'a> {
    fn from(address: &'a Address) -> Self {
        AddressView { ton: address.ton, npi: address.npi, digits: &address.digits }
    }
}

/// Octets of an address in most PDUs, terminator included; `data_sm` and `alert_notification` take [`LONG_ADDRESS`].
const ADDRESS: usize = 21;
const LONG_ADDRESS: usize = 65;
const MESSAGE_ID: usize = 65;

fn address<'a>(reader: &mut Reader<'a>, field: Field, max: usize) -> Result<AddressView<'a>, ViewError> {
    let [ton, npi] = reader.octets()?;
    Ok(AddressView { ton, npi, digits: reader.string(field, max)? })
}

/// The body of `submit_sm`, `deliver_sm` or `data_sm` (SMPP 5.0 sections 4.2.1, 4.3.1, 4.2.2). Fields `data_sm` does not have
/// are zero or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageView<'a> {
    pub service_type: &'a [u8],
    pub source: AddressView<'a>,
    pub destination: AddressView<'a>,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority_flag: u8,
    /// As sent, see [`super::time`]; empty for "at once".
    pub schedule_delivery_time: &'a [u8],
    /// As sent; empty for the centre's default.
    pub validity_period: &'a [u8],
    pub registered_delivery: u8,
    pub replace_if_present: u8,
    pub data_coding: u8,
    pub sm_default_msg_id: u8,
    pub short_message: &'a [u8],
    pub tlvs: Tlvs<'a>,
}

impl<'a> MessageView<'a> {
    /// Reads the frame of a `submit_sm`, `deliver_sm` or `data_sm`.
    ///
    /// # Errors
    ///
    /// The first field that cannot be read, with the status to answer.
    pub fn parse(frame: &'a Frame, strictness: Strictness) -> Result<MessageView<'a>, ViewError> {
        MessageView::parse_body(frame.command_id(), frame.body(), strictness)
    }

    /// Reads the body of one of these commands.
    ///
    /// # Errors
    ///
    /// As [`MessageView::parse`].
    pub fn parse_body(command: CommandId, body: &'a [u8], strictness: Strictness) -> Result<MessageView<'a>, ViewError> {
        let reader = Reader::new(body, strictness);
        match command {
            CommandId::SubmitSm | CommandId::DeliverSm => Self::short_form(reader),
            CommandId::DataSm => Self::data_form(reader),
            _ => Err(ViewError { field: Field::Command, problem: Problem::Conflict }),
        }
    }

    fn short_form(mut reader: Reader<'a>) -> Result<MessageView<'a>, ViewError> {
        let service_type = reader.string(Field::ServiceType, 6)?;
        let source = address(&mut reader, Field::SourceAddress, ADDRESS)?;
        let destination = address(&mut reader, Field::DestinationAddress, ADDRESS)?;
        let [esm_class, protocol_id, priority_flag] = reader.octets()?;
        let schedule_delivery_time = reader.time(Field::ScheduleDeliveryTime)?;
        let validity_period = reader.time(Field::ValidityPeriod)?;
        let [registered_delivery, replace_if_present, data_coding, sm_default_msg_id] = reader.octets()?;
        Ok(MessageView {
            service_type,
            source,
            destination,
            esm_class,
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            replace_if_present,
            data_coding,
            sm_default_msg_id,
            short_message: reader.counted(Field::ShortMessage)?,
            tlvs: Tlvs::parse(reader.rest(), reader.strictness())?,
        })
    }

    fn data_form(mut reader: Reader<'a>) -> Result<MessageView<'a>, ViewError> {
        Ok(MessageView {
            service_type: reader.string(Field::ServiceType, 6)?,
            source: address(&mut reader, Field::SourceAddress, LONG_ADDRESS)?,
            destination: address(&mut reader, Field::DestinationAddress, LONG_ADDRESS)?,
            esm_class: reader.octet()?,
            registered_delivery: reader.octet()?,
            data_coding: reader.octet()?,
            tlvs: Tlvs::parse(reader.rest(), reader.strictness())?,
            ..MessageView::default()
        })
    }

    /// The text, user data header included, wherever it is: `short_message` or `message_payload`.
    ///
    /// # Errors
    ///
    /// Both hold octets. The standard leaves the choice; taking one would throw the other away unseen, so the message is
    /// refused with ESME_RINVMSGLEN.
    pub fn message_text(&self) -> Result<&'a [u8], ViewError> {
        match self.tlvs.message_payload() {
            None | Some([]) => Ok(self.short_message),
            Some(payload) if self.short_message.is_empty() => Ok(payload),
            Some(_) => Err(ViewError { field: Field::MessagePayload, problem: Problem::Conflict }),
        }
    }
}

/// The body of `bind_transmitter`, `bind_receiver` or `bind_transceiver` (SMPP 5.0 section 4.1.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BindView<'a> {
    pub kind: BindKind,
    pub system_id: &'a [u8],
    /// Longer ones than the eight characters of the standard are taken whole, never cut.
    pub password: &'a [u8],
    pub system_type: &'a [u8],
    pub version: Version,
    pub addr_ton: u8,
    pub addr_npi: u8,
    pub address_range: &'a [u8],
}

impl std::fmt::Debug for BindView<'_> {
    /// Without the password, because debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BindView")
            .field("kind", &self.kind)
            .field("system_id", &String::from_utf8_lossy(self.system_id))
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<'a> BindView<'a> {
    /// # Errors
    ///
    /// The first field that cannot be read, with the status to answer.
    pub fn parse(frame: &'a Frame, strictness: Strictness) -> Result<BindView<'a>, ViewError> {
        let kind = BindKind::of(frame.command_id()).ok_or(ViewError { field: Field::Command, problem: Problem::Conflict })?;
        let mut reader = Reader::new(frame.body(), strictness);
        Ok(BindView {
            kind,
            system_id: reader.string(Field::SystemId, 16)?,
            password: reader.string(Field::Password, 9)?,
            system_type: reader.string(Field::SystemType, 13)?,
            version: Version(reader.octet()?),
            addr_ton: reader.octet()?,
            addr_npi: reader.octet()?,
            address_range: reader.last_string(Field::AddressRange, 41)?,
        })
    }
}

/// The body of a bind response (SMPP 5.0 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BindResponseView<'a> {
    pub system_id: &'a [u8],
    /// `sc_interface_version`, which many centres leave out.
    pub version: Option<Version>,
}

impl<'a> BindResponseView<'a> {
    /// Never fails: a response whose body is missing or broken is still the answer to the bind.
    pub fn parse(frame: &'a Frame) -> BindResponseView<'a> {
        let (system_id, rest) = leading_string(frame.body());
        let tlvs = Tlvs::encoded(rest);
        BindResponseView { system_id, version: tlvs.sc_interface_version().map(Version) }
    }
}

/// How much of a centre's message id counts, in octets, in a response as in a receipt, so that one finds the other. The standard knows
/// no id above 64 (65 with its terminator, SMPP 5.0 section 4.2.1.2); centres do.
pub const MESSAGE_ID_LIMIT: usize = 255;

/// The body of `submit_sm_resp`, `data_sm_resp`, `deliver_sm_resp` (SMPP 5.0 sections 4.2.1.2, 4.2.2.2, 4.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageResponseView<'a> {
    /// The centre's id, its first [`MESSAGE_ID_LIMIT`] octets; empty when the body is missing.
    pub message_id: &'a [u8],
    pub tlvs: Tlvs<'a>,
}

impl<'a> MessageResponseView<'a> {
    /// Never fails: the status in the header is the answer whatever the body looks like.
    pub fn parse(frame: &'a Frame) -> MessageResponseView<'a> {
        let (message_id, rest) = leading_string(frame.body());
        let message_id = &message_id[..message_id.len().min(MESSAGE_ID_LIMIT)];
        MessageResponseView { message_id, tlvs: Tlvs::encoded(rest) }
    }
}

/// A C-octet string that may lack its terminator, and what follows it.
fn leading_string(body: &[u8]) -> (&[u8], &[u8]) {
    match body.iter().position(|&octet| octet == 0) {
        Some(end) => (&body[..end], &body[end + 1..]),
        None => (body, &[]),
    }
}

/// The body of `query_sm` (SMPP 5.0 section 4.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryView<'a> {
    pub message_id: &'a [u8],
    pub source: AddressView<'a>,
}

impl<'a> QueryView<'a> {
    /// # Errors
    ///
    /// The first field that cannot be read, with the status to answer.
    pub fn parse(frame: &'a Frame, strictness: Strictness) -> Result<QueryView<'a>, ViewError> {
        let mut reader = Reader::new(frame.body(), strictness);
        Ok(QueryView {
            message_id: reader.string(Field::MessageId, MESSAGE_ID)?,
            source: last_address(&mut reader, Field::SourceAddress)?,
        })
    }
}

/// The body of `query_sm_resp` (SMPP 5.0 section 4.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryResponseView<'a> {
    pub message_id: &'a [u8],
    /// Absolute time of the final state, empty before it.
    pub final_date: &'a [u8],
    pub message_state: u8,
    pub error_code: u8,
}

impl<'a> QueryResponseView<'a> {
    /// # Errors
    ///
    /// The first field that cannot be read.
    pub fn parse(frame: &'a Frame, strictness: Strictness) -> Result<QueryResponseView<'a>, ViewError> {
        let mut reader = Reader::new(frame.body(), strictness);
        Ok(QueryResponseView {
            message_id: reader.string(Field::MessageId, MESSAGE_ID)?,
            final_date: reader.time(Field::FinalDate)?,
            message_state: reader.octet()?,
            error_code: reader.octet()?,
        })
    }
}

fn last_address<'a>(reader: &mut Reader<'a>, field: Field) -> Result<AddressView<'a>, ViewError> {
    let [ton, npi] = reader.octets()?;
    Ok(AddressView { ton, npi, digits: reader.last_string(field, ADDRESS)? })
}
