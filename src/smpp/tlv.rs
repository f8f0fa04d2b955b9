//! The TLV part of a PDU, read in place (SMPP 5.0 sections 3.1 and 4.8).

use bytes::BufMut;

use super::{Field, Problem, Strictness, TlvTag, ViewError};

/// TLVs as they stand on the wire. Every length in it has been checked, so reading cannot fail: what is unknown or has a length
/// its tag does not allow is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tlvs<'a> {
    encoded: &'a [u8],
}

/// One TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub tag: TlvTag,
    pub value: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// Checks that the lengths add up to the whole of `encoded`.
    ///
    /// # Errors
    ///
    /// A length past the end, or one to three octets left over (ESME_RINVTLVSTREAM); a lenient reader drops a single one.
    pub fn parse(encoded: &'a [u8], strictness: Strictness) -> Result<Tlvs<'a>, ViewError> {
        let mut rest = encoded;
        while let Some((_, _, after)) = split(rest) {
            rest = after;
        }
        match (rest.len(), strictness) {
            (0, _) => Ok(Tlvs { encoded }),
            (1, Strictness::Lenient) => Ok(Tlvs { encoded: &encoded[..encoded.len() - 1] }),
            _ => Err(ViewError { field: Field::Tlvs, problem: Problem::Truncated }),
        }
    }

    /// Trusts that `encoded` was written by [`put`]; reading stops at the first TLV that is not whole.
    pub fn encoded(encoded: &'a [u8]) -> Tlvs<'a> {
        Tlvs { encoded }
    }

    /// As on the wire.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.encoded
    }

    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// All of them, in the order of the wire, unknown ones included.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'a>> + use<'a> {
        let mut rest = self.encoded;
        std::iter::from_fn(move || {
            let (tag, value, after) = split(rest)?;
            rest = after;
            Some(Tlv { tag: TlvTag::from(tag), value })
        })
    }

    /// The value of the first TLV with this tag, of whatever length.
    pub fn get(&self, tag: TlvTag) -> Option<&'a [u8]> {
        self.find(tag, |_| true)
    }

    fn find(&self, tag: TlvTag, fits: impl Fn(usize) -> bool) -> Option<&'a [u8]> {
        let wanted = u16::from(tag);
        let mut rest = self.encoded;
        while let Some((tag, value, after)) = split(rest) {
            if tag == wanted && fits(value.len()) {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// A one-octet value; a TLV of another length counts as absent.
    pub fn octet(&self, tag: TlvTag) -> Option<u8> {
        self.find(tag, |length| length == 1).map(|value| value[0])
    }

    /// A two-octet value; a TLV of another length counts as absent.
    pub fn short(&self, tag: TlvTag) -> Option<u16> {
        self.find(tag, |length| length == 2).map(|value| u16::from_be_bytes([value[0], value[1]]))
    }

    /// A four-octet value; a TLV of another length counts as absent.
    pub fn word(&self, tag: TlvTag) -> Option<u32> {
        self.find(tag, |length| length == 4).map(|value| u32::from_be_bytes([value[0], value[1], value[2], value[3]]))
    }

    /// A C-octet string, with or without the terminator it should have.
    pub fn string(&self, tag: TlvTag) -> Option<&'a [u8]> {
        self.get(tag).map(|value| value.split(|&octet| octet == 0).next().unwrap_or_default())
    }

    /// The text that replaces `short_message` (SMPP 5.0 section 4.8.4.36).
    pub fn message_payload(&self) -> Option<&'a [u8]> {
        self.get(TlvTag::MessagePayload)
    }

    /// The id a receipt is about, without terminator; an empty one counts as absent (section 4.8.4.47).
    pub fn receipted_message_id(&self) -> Option<&'a [u8]> {
        self.string(TlvTag::ReceiptedMessageId).filter(|id| !id.is_empty())
    }

    /// Final or intermediate state of the message a receipt is about (section 4.8.4.38).
    pub fn message_state(&self) -> Option<u8> {
        self.octet(TlvTag::MessageState)
    }

    /// Network type and code (section 4.8.4.42). Some centres leave the type out: it then reads as 0.
    pub fn network_error_code(&self) -> Option<(u8, u16)> {
        match self.find(TlvTag::NetworkErrorCode, |length| length == 3 || length == 2)? {
            [network, high, low] => Some((*network, u16::from_be_bytes([*high, *low]))),
            [high, low] => Some((0, u16::from_be_bytes([*high, *low]))),
            _ => None,
        }
    }

    /// Reference number shared by the segments of one text (section 4.8.4.48).
    pub fn sar_msg_ref_num(&self) -> Option<u16> {
        self.short(TlvTag::SarMsgRefNum)
    }

    pub fn sar_total_segments(&self) -> Option<u8> {
        self.octet(TlvTag::SarTotalSegments)
    }

    pub fn sar_segment_seqnum(&self) -> Option<u8> {
        self.octet(TlvTag::SarSegmentSeqnum)
    }

    /// The client's own number for the message (section 4.8.4.62).
    pub fn user_message_reference(&self) -> Option<u16> {
        self.short(TlvTag::UserMessageReference)
    }

    /// Validity in seconds from submission; overrides `validity_period` (section 4.8.4.46).
    pub fn qos_time_to_live(&self) -> Option<u32> {
        self.word(TlvTag::QosTimeToLive)
    }

    pub fn dest_addr_subunit(&self) -> Option<u8> {
        self.octet(TlvTag::DestAddrSubunit)
    }

    pub fn more_messages_to_send(&self) -> Option<bool> {
        self.octet(TlvTag::MoreMessagesToSend).map(|value| value == 1)
    }

    /// Why a transaction-mode delivery failed (section 4.8.4.19).
    pub fn delivery_failure_reason(&self) -> Option<u8> {
        self.octet(TlvTag::DeliveryFailureReason)
    }

    /// Version of the centre, in bind responses (section 4.8.4.51).
    pub fn sc_interface_version(&self) -> Option<u8> {
        self.octet(TlvTag::ScInterfaceVersion)
    }
}

/// The first TLV and what follows it.
#[inline]
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (value, rest) = rest.split_at_checked(length)?;
    Some((u16::from_be_bytes([head[0], head[1]]), value, rest))
}

/// Appends one TLV. A value longer than the 65,535 octets a length can tell is left out whole, never cut.
pub fn put(out: &mut impl BufMut, tag: TlvTag, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len()) {
        out.put_u16(tag.into());
        out.put_u16(length);
        out.put_slice(value);
    }
}

/// Appends a TLV whose value is a C-octet string; `value` comes without terminator.
pub fn put_string(out: &mut impl BufMut, tag: TlvTag, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len() + 1) {
        out.put_u16(tag.into());
        out.put_u16(length);
        out.put_slice(value);
        out.put_u8(0);
    }
}
