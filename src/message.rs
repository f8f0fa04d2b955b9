//! The message and its identities: the nouns every stage shares.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::receipt::State;
use crate::text::{Body, Concatenation};

/// Milliseconds since the Unix epoch, from the gateway's own clock.
///
/// The clock is anchored to wall time once at start and then advances with the monotonic clock, so a step of the wall clock
/// neither expires nor delays a message. It is what records on disk carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than any moment that matters: "never".
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    /// This moment plus `duration`, in whole milliseconds, saturating at [`Timestamp::NEVER`].
    pub fn plus(self, duration: std::time::Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment less `duration`; one that is never is never.
    pub fn minus(self, duration: std::time::Duration) -> Timestamp {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if self == Timestamp::NEVER { self } else { Timestamp(self.0.saturating_sub(milliseconds)) }
    }

    /// How long ago `earlier` was; zero when it is in the future.
    pub fn since(self, earlier: Timestamp) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The gateway's number for an accepted message, a mailbox item or a parked receipt. Never used twice on one spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u64);

/// An account as the running process knows it: an index into the append-only table of account names, which outlives reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(pub u16);

/// An operator as the running process knows it: an index into the append-only table of operator names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorKey(pub u16);

/// An SMPP address: type of number, numbering plan, and the characters as sent, without terminator (SMPP 3.4 section 5.2.5-5.2.9).
#[derive(PartialEq, Eq, Hash, Default)]
pub struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: SmallVec<[u8; 22]>,
}

impl Address {
    pub fn new(ton: u8, npi: u8, digits: &[u8]) -> Self {
        Address { ton, npi, digits: SmallVec::from_slice(digits) }
    }

    /// The characters as text; what is not UTF-8 shows as replacement characters.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.digits)
    }
}

impl Clone for Address {
    /// In one piece: what is derived copies octet by octet.
    fn clone(&self) -> Self {
        Address::new(self.ton, self.npi, &self.digits)
    }
}

impl fmt::Debug for Address {
    /// Masked, because debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.ton, self.npi, Masked(&self.digits))
    }
}

/// Shows a number with its middle hidden (`35840****567`), for logs; short codes and names shorter than six stay whole.
pub struct Masked<'a>(pub &'a [u8]);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let count = text.chars().count();
        if count < 6 {
            return f.write_str(&text);
        }
        let head = (count / 2).min(5);
        let tail = if count >= 9 { 3 } else { 1 };
        for (i, c) in text.chars().enumerate() {
            write!(f, "{}", if i >= head && i < count - tail { '*' } else { c })?;
        }
        Ok(())
    }
}

/// What the application asked to hear about its message: `registered_delivery` (SMPP 5.0 section 4.7.21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiptRequest(pub u8);

impl ReceiptRequest {
    /// Does a final result of this kind produce a receipt?
    pub fn wants_final(self, delivered: bool) -> bool {
        match self.0 & 0x03 {
            1 => true,
            2 => !delivered,
            3 => delivered,
            _ => false,
        }
    }

    /// Is anything to be heard of the message, so that the operator must be asked? Also of the end, when only the way there matters: it
    /// closes the message.
    pub fn wants_any(self) -> bool {
        self.0 & 0x13 != 0
    }

    /// Are intermediate notifications asked for?
    pub fn wants_intermediate(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// An accepted message, as the spool keeps it. Its parts are derived from it for each operator, never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The owner's system_id.
    pub account: Arc<str>,
    pub source: Address,
    /// The number as routed: E.164 digits without `+` where the account's rules could complete it.
    pub destination: Address,
    /// The number as the application wrote it, when it differs: receipts come from this one.
    pub submitted_destination: Option<Address>,
    pub service_type: SmallVec<[u8; 6]>,
    pub protocol_id: u8,
    pub priority: u8,
    /// Messaging mode and reply path bits of esm_class (0x03 and 0x80).
    pub esm_class: u8,
    pub receipt: ReceiptRequest,
    pub accepted_at: Timestamp,
    /// Not to be sent before (schedule_delivery_time); zero when at once.
    pub not_before: Timestamp,
    /// End of validity: not to be sent after.
    pub expires_at: Timestamp,
    /// The application named the end of validity itself, so that operators are told.
    pub validity_given: bool,
    pub body: Body,
    /// Message class or message waiting bits of the original data_coding, 0 when none (3GPP TS 23.038 section 4).
    pub dcs_class: u8,
    /// Set when the application had split the text itself, by UDH or SAR.
    pub concatenation: Option<Concatenation>,
    /// User data header elements other than concatenation, without the length octet.
    pub udh: Bytes,
    /// Reference number for our own concatenation of this message.
    pub reference: u16,
    /// TLVs to be passed on, encoded.
    pub tlvs: Bytes,
    /// The session spoke SMPP 3.3: its ids are at most eight hexadecimal digits (SMPP 5.0 section 2.11).
    pub short_id: bool,
}

/// A message on its way: what the queue, the binds and the ledger share. The payload is never copied after acceptance.
#[derive(Debug)]
pub struct Job {
    pub id: MessageId,
    pub account: AccountKey,
    pub message: Message,
    /// Operators that may carry it, in order of preference; empty while no route exists.
    pub route: SmallVec<[OperatorKey; 4]>,
}

/// What a queue keeps in memory of what waits, unless it is too large for that.
pub trait Payload {
    /// Octets of what the peer made as long as it liked: text, user data header and TLVs.
    fn octets(&self) -> usize;

    /// Is it not worth its memory? It is on the disk as well, and a million of these would be gigabytes.
    fn is_large(&self) -> bool {
        self.octets() > LARGE
    }
}

/// Ten parts of text fit, with TLVs.
const LARGE: usize = 2 * 1024;

impl Payload for Job {
    fn octets(&self) -> usize {
        let Message { body, udh, tlvs, .. } = &self.message;
        body.octets.len() + udh.len() + tlvs.len()
    }
}

impl Payload for Mail {
    fn octets(&self) -> usize {
        match &self.content {
            MailContent::Receipt(_) => 0,
            MailContent::Mo(mo) => mo.body.octets.len() + mo.udh.len() + mo.tlvs.len(),
        }
    }
}

/// A receipt or MO message for an account, kept until a bound receiver has acknowledged it or it has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub id: MessageId,
    /// The owner's system_id.
    pub account: Arc<str>,
    pub source: Address,
    pub destination: Address,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub content: MailContent,
}

/// What a mailbox item tells the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailContent {
    Receipt(MailedReceipt),
    /// A mobile-originated message. In a box, because most items are receipts.
    Mo(Box<MailedMo>),
}

/// What became of a message or of one of its parts. Its text is written when it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailedReceipt {
    pub message: MessageId,
    /// See [`Message::short_id`].
    pub short_id: bool,
    /// The part it is about, from 0; `None` for the whole message.
    pub part: Option<u8>,
    /// Parts of the message.
    pub parts: u8,
    pub state: State,
    /// `err` as the operator's receipt wrote it, or an SMPP status in digits.
    pub error: SmallVec<[u8; 8]>,
    /// SMPP 5.0 section 4.8.4.42.
    pub network_error_code: Option<[u8; 3]>,
    pub submitted_at: Timestamp,
    /// When it got into this state.
    pub done_at: Timestamp,
    /// The application's own user_message_reference.
    pub reference: Option<u16>,
}

/// A mobile-originated message for an application, or a part of one whose other parts did not come in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailedMo {
    pub protocol_id: u8,
    pub dcs_class: u8,
    /// Set on a part.
    pub concatenation: Option<Concatenation>,
    /// User data header elements other than concatenation, without the length octet.
    pub udh: Bytes,
    pub body: Body,
    /// TLVs, encoded.
    pub tlvs: Bytes,
}

/// A mobile-originated message, or one part of one, as an operator delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mo {
    pub operator: Arc<str>,
    pub source: Address,
    pub destination: Address,
    pub protocol_id: u8,
    pub dcs_class: u8,
    pub received_at: Timestamp,
    pub concatenation: Option<Concatenation>,
    pub udh: Bytes,
    pub body: Body,
    pub tlvs: Bytes,
}

/// The append-only table of names of one kind (accounts, operators): a name keeps its key for the life of the process, whatever
/// reloads come.
#[derive(Debug, Default)]
pub struct Names {
    inner: RwLock<NameTable>,
}

#[derive(Debug, Default)]
struct NameTable {
    keys: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The key of `name`, given now if it has none. The table holds 65,536 names; the last key is shared beyond that.
    pub fn intern(&self, name: &str) -> u16 {
        if let Some(key) = self.key(name) {
            return key;
        }
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = table.keys.get(name) {
            return *key;
        }
        let key = u16::try_from(table.names.len()).unwrap_or(u16::MAX);
        let name: Arc<str> = name.into();
        table.names.push(name.clone());
        table.keys.insert(name, key);
        key
    }

    /// The key of `name`, if it ever had one.
    pub fn key(&self, name: &str) -> Option<u16> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).keys.get(name).copied()
    }

    /// The key that was given last.
    pub fn last_key(&self) -> Option<u16> {
        let names = self.inner.read().unwrap_or_else(PoisonError::into_inner).names.len();
        names.checked_sub(1).map(|last| u16::try_from(last).unwrap_or(u16::MAX))
    }

    /// The name behind `key`; empty when the key was never given.
    pub fn name(&self, key: u16) -> Arc<str> {
        let table = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(usize::from(key)).cloned().unwrap_or_else(|| "".into())
    }
}

/// A plain one-part message for tests of other modules.
#[cfg(test)]
pub fn test_message(account: &str, destination: &str, text: &str) -> Message {
    Message {
        account: account.into(),
        source: Address::new(5, 0, b"SHOP"),
        destination: Address::new(1, 1, destination.as_bytes()),
        submitted_destination: None,
        service_type: SmallVec::new(),
        protocol_id: 0,
        priority: 0,
        esm_class: 0,
        receipt: ReceiptRequest(1),
        accepted_at: Timestamp(1_000),
        not_before: Timestamp(0),
        expires_at: Timestamp(1_000_000_000),
        validity_given: false,
        body: Body { alphabet: crate::text::Alphabet::Gsm7, octets: Bytes::copy_from_slice(text.as_bytes()) },
        dcs_class: 0,
        concatenation: None,
        udh: Bytes::new(),
        reference: 7,
        tlvs: Bytes::new(),
        short_id: false,
    }
}

/// A job around [`test_message`].
#[cfg(test)]
pub fn test_job(id: u64, account: AccountKey) -> Arc<Job> {
    let message = test_message("shop", "358401234567", "Moi");
    Arc::new(Job { id: MessageId(id), account, message, route: SmallVec::from_slice(&[OperatorKey(0), OperatorKey(1)]) })
}
