//! One record as bytes. Pure: the layout is described in [the module documentation](super).

use super::{Class, MAX_PAYLOAD};

/// Octets before the payload.
pub(super) const HEADER_LEN: usize = 20;
/// Records begin at multiples of this; resynchronising looks at no other place.
pub(super) const ALIGN: usize = 4;
/// Stands in the octet of the class, in the first record of a group.
const GROUP_START: u8 = 0x80;
/// The largest record there can be, padding included.
pub(super) const MAX_RECORD: usize = HEADER_LEN + MAX_PAYLOAD;

/// What makes the records of one life of a segment file its own.
///
/// The number is drawn at random when the segment is created. It enters every checksum, so what an earlier life left in a
/// recycled file never reads as a record, and neither does a record that someone crafted inside a message text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch {
    value: u64,
    seed: u32,
}

impl Epoch {
    pub(super) fn new(value: u64) -> Self {
        Epoch { value, seed: crc32fast::hash(&value.to_le_bytes()) }
    }

    pub(super) fn value(self) -> u64 {
        self.value
    }

    /// Stands in every record header, so that a scan can pass over foreign bytes without computing checksums.
    fn tag(self) -> u16 {
        (self.value >> 48) as u16
    }

    fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.seed);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// A record inside a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordView<'a> {
    pub kind: u8,
    pub class: Class,
    /// The first record of a group: all groups before it were durable before it was written.
    pub starts_group: bool,
    pub id: u64,
    pub payload: &'a [u8],
}

/// Octets a record with this payload takes in a segment.
pub(super) fn encoded_len(payload: usize) -> usize {
    (HEADER_LEN + payload).next_multiple_of(ALIGN)
}

/// Appends one record to `out`, padding included. The caller has checked the payload's length.
pub(super) fn encode(out: &mut Vec<u8>, epoch: Epoch, record: RecordView<'_>) {
    let start = out.len();
    let mut header = [0u8; HEADER_LEN];
    header[4..8].copy_from_slice(&(record.payload.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&record.id.to_le_bytes());
    header[16] = record.kind;
    header[17] = record.class as u8 | if record.starts_group { GROUP_START } else { 0 };
    header[18..20].copy_from_slice(&epoch.tag().to_le_bytes());
    let size = encoded_len(record.payload.len());
    out.reserve(size);
    out.extend_from_slice(&header);
    out.extend_from_slice(record.payload);
    let checksum = epoch.checksum(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    let padding = [0; ALIGN];
    out.extend_from_slice(&padding[..size - HEADER_LEN - record.payload.len()]);
}

/// The length of the payload that the record header at the front of `bytes` declares, if it looks like one of this epoch.
pub(super) fn declared_payload(bytes: &[u8], epoch: Epoch) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let tag = u16::from_le_bytes([header[18], header[19]]);
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    (tag == epoch.tag() && length <= MAX_PAYLOAD && class(header[17]).is_some()).then_some(length)
}

/// Reads the record at the front of `bytes`; nothing when it is damaged, cut off or of another epoch.
pub(super) fn decode(bytes: &[u8], epoch: Epoch) -> Option<RecordView<'_>> {
    let length = declared_payload(bytes, epoch)?;
    let body = bytes.get(4..HEADER_LEN + length)?;
    let (checksum, header) = (bytes.first_chunk::<4>()?, bytes.first_chunk::<HEADER_LEN>()?);
    if epoch.checksum(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let id = header[8..16].iter().rev().fold(0, |id, octet| id << 8 | u64::from(*octet));
    let starts_group = header[17] & GROUP_START != 0;
    Some(RecordView { kind: header[16], class: class(header[17])?, starts_group, id, payload: &body[HEADER_LEN - 4..] })
}

fn class(octet: u8) -> Option<Class> {
    Class::from_octet(octet & !GROUP_START)
}
