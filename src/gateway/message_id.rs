//! The id of a message as applications know it.

use smallvec::SmallVec;

use crate::message::MessageId;

/// An id of ours as applications know it.
pub type IdText = SmallVec<[u8; 32]>;

/// What an SMPP 3.3 id holds of ours.
const SHORT_ID: u64 = 0xFFFF_FFFF;

/// Hexadecimal digits an id has at least.
const DIGITS: u32 = 8;

/// The node's name and at least eight hexadecimal digits; for SMPP 3.3, whose ids are at most eight such digits, the last eight only.
/// No allocation unless the node has a long name.
pub fn message_id_octets(node: &str, id: MessageId, short: bool) -> IdText {
    let mut text = IdText::new();
    let id = if short {
        id.0 & SHORT_ID
    } else {
        text.extend_from_slice(node.as_bytes());
        id.0
    };
    let count = (u64::BITS - id.leading_zeros()).div_ceil(4).max(DIGITS) as usize;
    let mut digits = [0; u64::BITS as usize / 4];
    let digits = &mut digits[..count];
    let mut rest = id;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 0xF) as usize];
        rest >>= 4;
    }
    text.extend_from_slice(digits);
    text
}

/// [`message_id_octets`] as text.
pub fn message_id_text(node: &str, id: MessageId, short: bool) -> String {
    String::from_utf8_lossy(&message_id_octets(node, id, short)).into_owned()
}

/// Reads what [`message_id_text`] wrote, in either form. `next` is the id not given yet: of the ids a short one may mean, the newest
/// that has been given is meant.
pub fn parse_message_id(node: &str, text: &str, next: MessageId) -> Option<MessageId> {
    if let Some(digits) = text.strip_prefix(node).filter(|digits| digits.len() >= DIGITS as usize) {
        return hexadecimal(digits).map(MessageId);
    }
    let last = hexadecimal(text).filter(|last| *last <= SHORT_ID)?;
    let newest = (next.0 & !SHORT_ID) | last;
    Some(MessageId(if newest < next.0 { newest } else { newest.checked_sub(SHORT_ID + 1).unwrap_or(newest) }))
}

/// The value of digits alone: the standard library also takes a plus sign.
fn hexadecimal(digits: &str) -> Option<u64> {
    let value = u64::from_str_radix(digits, 16).ok()?;
    digits.bytes().all(|octet| octet.is_ascii_hexdigit()).then_some(value)
}

#[cfg(test)]
#[path = "message_id_tests.rs"]
mod tests;
