//! A part of a message as the submit_sm one operator wants. Pure.

use bytes::{BufMut, BytesMut};

use crate::config::{Operator, SourceAddresses, TonNpi};
use crate::message::{Address, Job, Message, Timestamp};
use crate::route::{LONGEST_SHORT_CODE, NumberRules};
use crate::smpp::{AddressView, CommandId, MessageView, TlvTag, Tlvs, encode, tlv};
use crate::text::TextError;
use crate::text::build::{Carrier, Content, Outgoing};
use crate::text::plan;

/// Types of number (SMPP 5.0 section 4.7.1).
const TON_INTERNATIONAL: u8 = 1;
const TON_NATIONAL: u8 = 2;

/// Octets of a user data header with an 8-bit concatenation reference.
const CONCATENATION_HEADER: usize = 6;

/// Buffers used again and again by one bind.
#[derive(Debug, Default)]
pub struct Scratch {
    text: BytesMut,
    tlvs: BytesMut,
}

/// A message as a bind sends it now.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    pub message: &'a Message,
    pub outgoing: &'a Outgoing<'a>,
    /// The sender, completed where it can be: see [`completed`].
    pub source: &'a Address,
    pub operator: &'a Operator,
    /// May TLVs that the application gave go along?
    pub tlvs: bool,
    pub now: Timestamp,
}

/// How this operator takes texts.
pub fn carrier(operator: &Operator) -> Carrier {
    Carrier { alphabet: operator.alphabet, long_messages: operator.long_messages }
}

/// The message cut for this operator. The same message and settings always give the same parts.
///
/// # Errors
/// When the operator's settings cannot carry it at all.
pub fn parts<'a>(job: &'a Job, operator: &Operator) -> Result<Outgoing<'a>, TextError> {
    Outgoing::new(Content::of(&job.message), carrier(operator))
}

/// Appends the body of the submit_sm of one part.
pub fn body(out: &mut BytesMut, sending: &Sending<'_>, part: usize, scratch: &mut Scratch) {
    let Sending { message, outgoing, operator, .. } = *sending;
    scratch.text.clear();
    scratch.tlvs.clear();
    let fields = outgoing.write(part, &mut scratch.text);
    if let Some(sar) = fields.sar {
        tlv::put(&mut scratch.tlvs, TlvTag::SarMsgRefNum, &sar.reference.to_be_bytes());
        tlv::put(&mut scratch.tlvs, TlvTag::SarTotalSegments, &[sar.total]);
        tlv::put(&mut scratch.tlvs, TlvTag::SarSegmentSeqnum, &[sar.sequence]);
    }
    if fields.payload {
        tlv::put(&mut scratch.tlvs, TlvTag::MessagePayload, &scratch.text);
    }
    if sending.tlvs {
        scratch.tlvs.put_slice(&message.tlvs);
    }
    let validity = if operator.send_validity { validity(message, operator, sending.now) } else { None };
    let view = MessageView {
        service_type: &message.service_type,
        source: source(sending.source, &operator.addresses),
        destination: destination(&message.destination, &operator.addresses),
        esm_class: message.esm_class | fields.esm_class,
        protocol_id: message.protocol_id,
        priority_flag: message.priority,
        schedule_delivery_time: &[],
        validity_period: validity.as_ref().map_or(&[], |v| &v[..]),
        registered_delivery: registered_delivery(message),
        replace_if_present: 0,
        data_coding: fields.data_coding,
        sm_default_msg_id: 0,
        short_message: if fields.payload { &[] } else { &scratch.text },
        tlvs: Tlvs::encoded(&scratch.tlvs),
    };
    encode::message_body(out, CommandId::SubmitSm, &view);
}

/// A receipt for every final state is asked for when the application wants any: which of them it hears is our business.
fn registered_delivery(message: &Message) -> u8 {
    let receipt = message.receipt;
    u8::from(receipt.wants_any()) | if receipt.wants_intermediate() { 0x10 } else { 0 }
}

fn validity(message: &Message, operator: &Operator, now: Timestamp) -> Option<[u8; 16]> {
    let left = message.expires_at.since(now);
    if !message.validity_given && operator.min_validity.is_zero() {
        return None;
    }
    Some(crate::smpp::time::format_relative(left.max(operator.min_validity)))
}

fn view(address: &Address, kind: TonNpi) -> AddressView<'_> {
    AddressView { ton: kind.ton, npi: kind.npi, digits: &address.digits }
}

/// Is it a subscriber's number as it is written at home?
pub fn is_national(source: &Address) -> bool {
    let digits = &source.digits;
    let is_number = digits.len() > LONGEST_SHORT_CODE && digits.iter().all(u8::is_ascii_digit);
    is_number && (digits[0] == b'0' || source.ton == TON_NATIONAL)
}

/// A national sender as an international number: by the rules of its account, as destinations are.
pub fn completed(source: &Address, rules: &NumberRules) -> Option<Address> {
    rules.normalise(source).ok().filter(|number| number.ton == TON_INTERNATIONAL)
}

/// The sender with the TON and NPI this operator wants for its kind.
fn source<'a>(address: &'a Address, wanted: &SourceAddresses) -> AddressView<'a> {
    if address.digits.is_empty() {
        return AddressView { ton: 0, npi: 0, digits: &[] };
    }
    if !address.digits.iter().all(u8::is_ascii_digit) {
        return view(address, wanted.alphanumeric);
    }
    match address.digits.len() {
        ..=LONGEST_SHORT_CODE => view(address, wanted.short_code),
        // Nobody knows of which country.
        _ if is_national(address) => AddressView { ton: address.ton, npi: address.npi, digits: &address.digits },
        _ => view(address, wanted.international),
    }
}

fn destination<'a>(address: &'a Address, wanted: &SourceAddresses) -> AddressView<'a> {
    if address.ton == TON_INTERNATIONAL {
        view(address, wanted.international)
    } else {
        AddressView { ton: address.ton, npi: address.npi, digits: &address.digits }
    }
}

/// Parts a message is likely to take, for sharing out windows and rates before it is cut.
pub fn cost(job: &Job) -> u32 {
    let body = &job.message.body;
    let single = plan::room(body.alphabet, 0);
    let parts =
        if body.octets.len() <= single { 1 } else { body.octets.len().div_ceil(plan::room(body.alphabet, CONCATENATION_HEADER)) };
    u32::try_from(parts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_national_sender_of_nobody_knows_which_country_is_not_called_international() {
        let kind = |ton, npi| TonNpi { ton, npi };
        let wanted = SourceAddresses { alphanumeric: kind(5, 0), short_code: kind(3, 0), international: kind(1, 1) };
        let national = Address::new(0, 0, b"0401112222");
        assert!(is_national(&national));
        assert_eq!(completed(&national, &NumberRules::international()), None);
        assert_eq!(source(&national, &wanted), AddressView { ton: 0, npi: 0, digits: b"0401112222" });
        let finnish = completed(&national, &NumberRules::for_country("FI").expect("a country")).expect("a number");
        assert_eq!(source(&finnish, &wanted), AddressView { ton: 1, npi: 1, digits: b"358401112222" });
        for other in ["13123", "010", "SHOP", "358401112222", ""] {
            assert!(!is_national(&Address::new(0, 0, other.as_bytes())), "{other}");
        }
    }
}
