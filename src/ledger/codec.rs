//! How the ledger's facts are written into spool records, and read back.
//!
//! Integers are big endian; a string is a length (u8 or u16) and its octets. The spool frames, checks and versions the records;
//! what stands here is only the payload.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use smallvec::SmallVec;

use crate::message::{Address, Mail, MailContent, MailedMo, MailedReceipt, Message, MessageId, Mo, ReceiptRequest, Timestamp};
use crate::receipt::State;
use crate::text::{Alphabet, Body, Concatenation};

/// A payload that its CRC vouches for but that this version cannot read: quarantined by the caller, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("record payload cannot be read by this version")
    }
}

/// Reads fields off the front of a record's payload.
pub(super) struct Reader(pub Bytes);

impl Reader {
    pub fn u8(&mut self) -> Result<u8, Unreadable> {
        self.0.try_get_u8().map_err(|_| Unreadable)
    }
    pub fn u16(&mut self) -> Result<u16, Unreadable> {
        self.0.try_get_u16().map_err(|_| Unreadable)
    }
    pub fn u32(&mut self) -> Result<u32, Unreadable> {
        self.0.try_get_u32().map_err(|_| Unreadable)
    }
    pub fn u64(&mut self) -> Result<u64, Unreadable> {
        self.0.try_get_u64().map_err(|_| Unreadable)
    }
    fn take(&mut self, length: usize) -> Result<Bytes, Unreadable> {
        if self.0.len() < length { Err(Unreadable) } else { Ok(self.0.split_to(length)) }
    }
    pub fn short(&mut self) -> Result<Bytes, Unreadable> {
        let length = self.u8()?.into();
        self.take(length)
    }
    fn long(&mut self) -> Result<Bytes, Unreadable> {
        let length = usize::try_from(self.u32()?).map_err(|_| Unreadable)?;
        self.take(length)
    }
    pub fn name(&mut self) -> Result<Arc<str>, Unreadable> {
        std::str::from_utf8(&self.short()?).map(Arc::from).map_err(|_| Unreadable)
    }
    fn address(&mut self) -> Result<Address, Unreadable> {
        Ok(Address { ton: self.u8()?, npi: self.u8()?, digits: SmallVec::from_slice(&self.short()?) })
    }
    fn timestamp(&mut self) -> Result<Timestamp, Unreadable> {
        self.u64().map(Timestamp)
    }
    fn body(&mut self) -> Result<Body, Unreadable> {
        let alphabet = match self.u8()? {
            0 => Alphabet::Gsm7,
            1 => Alphabet::Ucs2,
            2 => Alphabet::Octets,
            _ => return Err(Unreadable),
        };
        Ok(Body { alphabet, octets: self.long()? })
    }
    fn concatenation(&mut self) -> Result<Option<Concatenation>, Unreadable> {
        let (reference, total, sequence) = (self.u16()?, self.u8()?, self.u8()?);
        Ok((total > 0).then_some(Concatenation { reference, total, sequence }))
    }
}

/// Writes a string of at most 255 octets: each has a lower limit of its own where it is read, be it from the wire or the configuration.
pub(super) fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    debug_assert!(octets.len() <= u8::MAX.into(), "{} octets", octets.len());
    let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    out.put_u8(length);
    out.put_slice(&octets[..length.into()]);
}

fn put_long(out: &mut Vec<u8>, octets: &[u8]) {
    out.put_u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
    out.put_slice(octets);
}

fn put_address(out: &mut Vec<u8>, address: &Address) {
    out.put_u8(address.ton);
    out.put_u8(address.npi);
    put_short(out, &address.digits);
}

fn put_body(out: &mut Vec<u8>, body: &Body) {
    out.put_u8(match body.alphabet {
        Alphabet::Gsm7 => 0,
        Alphabet::Ucs2 => 1,
        Alphabet::Octets => 2,
    });
    put_long(out, &body.octets);
}

fn put_concatenation(out: &mut Vec<u8>, concatenation: Option<Concatenation>) {
    let c = concatenation.unwrap_or(Concatenation { reference: 0, total: 0, sequence: 0 });
    out.put_u16(c.reference);
    out.put_u8(c.total);
    out.put_u8(c.sequence);
}

const HAS_SUBMITTED_DESTINATION: u8 = 0x01;
const SHORT_ID: u8 = 0x02;
const VALIDITY_GIVEN: u8 = 0x04;

/// Appends the payload of an accepted message.
pub fn put_message(out: &mut Vec<u8>, m: &Message) {
    let flags = [
        (m.submitted_destination.is_some(), HAS_SUBMITTED_DESTINATION),
        (m.short_id, SHORT_ID),
        (m.validity_given, VALIDITY_GIVEN),
    ];
    out.put_u8(flags.iter().filter(|(set, _)| *set).fold(0, |octet, (_, bit)| octet | bit));
    put_short(out, m.account.as_bytes());
    put_address(out, &m.source);
    put_address(out, &m.destination);
    if let Some(submitted) = &m.submitted_destination {
        put_address(out, submitted);
    }
    put_short(out, &m.service_type);
    out.put_slice(&[m.protocol_id, m.priority, m.esm_class, m.receipt.0, m.dcs_class]);
    out.put_u64(m.accepted_at.0);
    out.put_u64(m.not_before.0);
    out.put_u64(m.expires_at.0);
    out.put_u16(m.reference);
    put_concatenation(out, m.concatenation);
    put_short(out, &m.udh);
    put_body(out, &m.body);
    put_long(out, &m.tlvs);
}

/// Reads what [`put_message`] wrote, leaving the reader behind it.
pub(super) fn message(r: &mut Reader) -> Result<Message, Unreadable> {
    let flags = r.u8()?;
    let account = r.name()?;
    let source = r.address()?;
    let destination = r.address()?;
    let submitted_destination = if flags & HAS_SUBMITTED_DESTINATION != 0 { Some(r.address()?) } else { None };
    Ok(Message {
        account,
        source,
        destination,
        submitted_destination,
        service_type: SmallVec::from_slice(&r.short()?),
        protocol_id: r.u8()?,
        priority: r.u8()?,
        esm_class: r.u8()?,
        receipt: ReceiptRequest(r.u8()?),
        dcs_class: r.u8()?,
        accepted_at: r.timestamp()?,
        not_before: r.timestamp()?,
        expires_at: r.timestamp()?,
        reference: r.u16()?,
        concatenation: r.concatenation()?,
        udh: r.short()?,
        body: r.body()?,
        tlvs: r.long()?,
        short_id: flags & SHORT_ID != 0,
        validity_given: flags & VALIDITY_GIVEN != 0,
    })
}

/// In the first octet of a mailbox item: what it is.
const MAIL_MO: u8 = 2;
const MAIL_RECEIPT: u8 = 3;

/// Appends the payload of a mailbox item.
pub fn put_mail(out: &mut Vec<u8>, mail: &Mail) {
    out.put_u8(match mail.content {
        MailContent::Receipt(_) => MAIL_RECEIPT,
        MailContent::Mo(_) => MAIL_MO,
    });
    put_short(out, mail.account.as_bytes());
    put_address(out, &mail.source);
    put_address(out, &mail.destination);
    out.put_u64(mail.created_at.0);
    out.put_u64(mail.expires_at.0);
    match &mail.content {
        MailContent::Receipt(receipt) => put_mailed_receipt(out, receipt),
        MailContent::Mo(mo) => {
            out.put_slice(&[mo.protocol_id, mo.dcs_class]);
            put_concatenation(out, mo.concatenation);
            put_short(out, &mo.udh);
            put_body(out, &mo.body);
            put_long(out, &mo.tlvs);
        }
    }
}

fn put_mailed_receipt(out: &mut Vec<u8>, receipt: &MailedReceipt) {
    out.put_u64(receipt.message.0);
    // Part numbers begin with 1 here: 0 is the whole message.
    let part = receipt.part.map_or(0, |part| part.saturating_add(1));
    out.put_slice(&[u8::from(receipt.short_id), part, receipt.parts, receipt.state.number()]);
    put_short(out, &receipt.error);
    put_short(out, receipt.network_error_code.as_ref().map_or(&[], |code| &code[..]));
    out.put_u64(receipt.submitted_at.0);
    out.put_u64(receipt.done_at.0);
    put_short(out, receipt.reference.map(u16::to_be_bytes).as_ref().map_or(&[], |reference| &reference[..]));
}

/// Reads what [`put_mail`] wrote, leaving the reader behind it.
pub(super) fn mail(id: MessageId, r: &mut Reader) -> Result<Mail, Unreadable> {
    let kind = r.u8()?;
    let (account, source, destination) = (r.name()?, r.address()?, r.address()?);
    let (created_at, expires_at) = (r.timestamp()?, r.timestamp()?);
    let content = match kind {
        MAIL_RECEIPT => MailContent::Receipt(mailed_receipt(r)?),
        MAIL_MO => MailContent::Mo(Box::new(MailedMo {
            protocol_id: r.u8()?,
            dcs_class: r.u8()?,
            concatenation: r.concatenation()?,
            udh: r.short()?,
            body: r.body()?,
            tlvs: r.long()?,
        })),
        _ => return Err(Unreadable),
    };
    Ok(Mail { id, account, source, destination, created_at, expires_at, content })
}

fn mailed_receipt(r: &mut Reader) -> Result<MailedReceipt, Unreadable> {
    Ok(MailedReceipt {
        message: MessageId(r.u64()?),
        short_id: r.u8()? != 0,
        part: r.u8()?.checked_sub(1),
        parts: r.u8()?,
        state: state(r)?,
        error: SmallVec::from_slice(&r.short()?),
        network_error_code: optional(&r.short()?)?,
        submitted_at: r.timestamp()?,
        done_at: r.timestamp()?,
        reference: optional(&r.short()?)?.map(u16::from_be_bytes),
    })
}

/// Octets that may be absent.
fn optional<const N: usize>(octets: &[u8]) -> Result<Option<[u8; N]>, Unreadable> {
    match octets {
        [] => Ok(None),
        octets => octets.try_into().map(Some).map_err(|_| Unreadable),
    }
}

/// Appends the payload of one received part of an MO message.
pub(super) fn put_mo(out: &mut Vec<u8>, mo: &Mo) {
    put_short(out, mo.operator.as_bytes());
    put_address(out, &mo.source);
    put_address(out, &mo.destination);
    out.put_slice(&[mo.protocol_id, mo.dcs_class]);
    out.put_u64(mo.received_at.0);
    put_concatenation(out, mo.concatenation);
    put_short(out, &mo.udh);
    put_body(out, &mo.body);
    put_long(out, &mo.tlvs);
}

pub(super) fn mo(r: &mut Reader) -> Result<Mo, Unreadable> {
    Ok(Mo {
        operator: r.name()?,
        source: r.address()?,
        destination: r.address()?,
        protocol_id: r.u8()?,
        dcs_class: r.u8()?,
        received_at: r.timestamp()?,
        concatenation: r.concatenation()?,
        udh: r.short()?,
        body: r.body()?,
        tlvs: r.long()?,
    })
}

pub(super) fn state(r: &mut Reader) -> Result<State, Unreadable> {
    State::from_number(r.u8()?).ok_or(Unreadable)
}
