//! Ids as applications know them.

use super::{message_id_text, parse_message_id};
use crate::message::MessageId;

#[test]
fn an_id_is_the_nodes_name_and_hexadecimal_digits() {
    let id = MessageId(0x2a);
    assert_eq!(message_id_text("gw1", id, false), "gw10000002a");
    assert_eq!(parse_message_id("gw1", "gw10000002a", MessageId(100)), Some(id));
    let large = MessageId(0x1_2345_6789);
    assert_eq!(parse_message_id("gw1", &message_id_text("gw1", large, false), MessageId(large.0 + 1)), Some(large));
}

#[test]
fn an_id_for_smpp_3_3_never_has_more_than_eight_digits() {
    assert_eq!(message_id_text("gw1", MessageId(0x1_2345_6789), true), "23456789");
}

#[test]
fn a_short_id_means_the_newest_message_that_bears_it() {
    let next = MessageId(0x3_0000_0010);
    assert_eq!(parse_message_id("gw1", "0000000f", next), Some(MessageId(0x3_0000_000f)));
    assert_eq!(parse_message_id("gw1", "00000010", next), Some(MessageId(0x2_0000_0010)));
}

#[test]
fn what_is_no_id_is_none() {
    for text in ["", "gw1", "gw1zz", "xyz", "-1", "+2a", "gw1+0000002a"] {
        assert_eq!(parse_message_id("gw1", text, MessageId(10)), None, "{text}");
    }
}
