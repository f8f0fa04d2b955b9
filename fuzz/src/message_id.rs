//! Any text is an id or none: an id is read back from its own text, and nothing else than that text, zeros and case aside, is read
//! as it.

use smppgw::gateway::{message_id_text, parse_message_id};
use smppgw::message::MessageId;

const NODES: [&str; 4] = ["gw1", "a", "0", "node-north"];

/// The node, eight octets of a number, and a text.
pub fn run(data: &[u8]) {
    let Some((&[node, a, b, c, d, e, f, g, h], text)) = data.split_first_chunk() else { return };
    let node = NODES[usize::from(node) % NODES.len()];
    let next = MessageId(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    if let Some(last) = next.0.checked_sub(1).map(MessageId) {
        for short in [false, true] {
            assert_eq!(parse_message_id(node, &message_id_text(node, last, short), next), Some(last));
        }
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Some(id) = parse_message_id(node, text, next) else { return };
    let same = |written: &str, prefix: &str| {
        let digits = |text: &str| {
            let digits = text.strip_prefix(prefix)?.trim_start_matches('0').to_ascii_lowercase();
            Some(digits)
        };
        digits(text).is_some() && digits(text) == digits(written)
    };
    let long = same(&message_id_text(node, id, false), node);
    assert!(long || same(&message_id_text(node, id, true), ""), "{text:?} was read as {}", id.0);
}
