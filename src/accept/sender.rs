//! Who an account may say it is.

use hashbrown::HashSet;

use super::Rejection;
use crate::message::Address;
use crate::smpp::{AddressView, CommandStatus};
use crate::text::gsm7;

/// TON of a name (SMPP 5.0 section 4.7.1).
const TON_ALPHANUMERIC: u8 = 5;

/// Septets an alphanumeric originator has room for (3GPP TS 23.040 section 9.1.2.5: ten octets).
const NAME_SEPTETS: usize = 11;

/// Most digits of a numeric originator on the radio path.
const NUMBER_DIGITS: usize = 20;

/// The senders of an account.
#[derive(Debug, Default)]
pub struct Senders {
    /// Without a leading `+`; `None` permits every well-formed one.
    permitted: Option<HashSet<Box<[u8]>>>,
}

impl Senders {
    /// `None` permits every well-formed sender. Names are compared strictly, numbers without their `+`.
    pub fn new<'a>(permitted: Option<impl IntoIterator<Item = &'a str>>) -> Self {
        Senders { permitted: permitted.map(|list| list.into_iter().map(|sender| bare(sender.as_bytes()).into()).collect()) }
    }

    /// The sender as it goes to operators: a number without `+`, a name with TON 5.
    ///
    /// # Errors
    /// ESME_RINVSRCADR for one that cannot exist or is not permitted.
    pub fn check(&self, source: AddressView<'_>) -> Result<Address, Rejection> {
        let refused = Err(Rejection(CommandStatus::EsmeRinvsrcadr));
        let sender = bare(source.digits);
        if self.permitted.as_ref().is_some_and(|list| !list.contains(sender)) {
            return refused;
        }
        let numeric = sender.iter().all(u8::is_ascii_digit);
        if numeric && sender.len() <= NUMBER_DIGITS {
            return Ok(Address::new(source.ton, source.npi, sender));
        }
        // Senders travel as ASCII: '@' would be 0x00 in GSM 7-bit and end the field.
        let septets: Option<usize> = sender.iter().map(|c| gsm7::septets_of(char::from(*c))).sum();
        if numeric || !sender.iter().all(|c| (0x20..0x7F).contains(c)) || septets.is_none_or(|count| count > NAME_SEPTETS) {
            return refused;
        }
        Ok(Address::new(TON_ALPHANUMERIC, 0, sender))
    }
}

/// A number without its `+`; anything else as it is.
fn bare(sender: &[u8]) -> &[u8] {
    match sender {
        [b'+', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => sender,
    }
}
