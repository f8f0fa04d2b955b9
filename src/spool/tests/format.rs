//! The bytes: records, headers, versions, epochs.

use proptest::prelude::*;

use super::*;
use crate::spool::header::{HeaderState, SegmentHeader};
use crate::spool::record::{Epoch, RecordView};

const EPOCH: u64 = 0x1122_3344_5566_7788;

fn encoded(epoch: u64, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(&mut bytes, Epoch::new(epoch), RecordView { kind: 7, class: Class::Delta, starts_group: false, id, payload });
    bytes
}

proptest! {
    #[test]
    fn a_record_reads_back_as_written(id in any::<u64>(), payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = encoded(EPOCH, id, &payload);
        prop_assert_eq!(bytes.len(), record::encoded_len(payload.len()));
        let read = record::decode(&bytes, Epoch::new(EPOCH));
        prop_assert_eq!(read, Some(RecordView { kind: 7, class: Class::Delta, starts_group: false, id, payload: &payload }));
    }

    #[test]
    fn any_octets_can_be_scanned(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(recovery::Scan::new(&bytes, Epoch::new(EPOCH)).all(|found| matches!(found, recovery::Found::Tail(_))));
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let bytes = encoded(EPOCH, 0x0102, b"abc");
    assert_eq!(bytes.len(), 24);
    assert_eq!(bytes[4..], [3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 7, 2, 0x22, 0x11, b'a', b'b', b'c', 0]);
}

#[test]
fn a_record_of_another_epoch_is_none() {
    assert!(record::decode(&encoded(EPOCH, 1, b"x"), Epoch::new(EPOCH + 1)).is_none());
}

#[test]
fn a_recycled_file_shows_nothing_of_its_earlier_life() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    for round in 0..400 {
        journal.put(1, round);
        journal.turn();
    }
    let files = disk.names().len();
    assert!(files <= 4, "{files} files");
    drop(journal);
    let again = Journal::open(&disk);
    assert_eq!(again.committed, Values::from([(1, 399)]));
    assert_eq!(again.recovery.damaged, 0);
}

/// What an update finds. What it writes is of its own format.
#[test]
fn a_spool_of_version_3_is_read_and_goes_on_in_segments_of_version_4() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    journal.put(2, 2);
    journal.commit();
    drop(journal);
    for name in disk.names() {
        disk.alter(&name, |content| {
            for copy in [0, 4096] {
                if content[copy..copy + 8] == *b"smppgwsp" {
                    content[copy + 8] = 3;
                    let checksum = crc32fast::hash(&content[copy..copy + 60]);
                    content[copy + 60..copy + 64].copy_from_slice(&checksum.to_le_bytes());
                }
            }
        });
    }
    let mut again = Journal::open(&disk);
    assert_eq!(again.committed, Values::from([(1, 1), (2, 2)]));
    again.put(3, 3);
    again.commit();
    drop(again);
    let versions: Vec<u8> = disk.names().iter().map(|name| disk.content(name)[8]).collect();
    assert!(versions.contains(&3) && versions.contains(&4), "{versions:?}");
    assert_eq!(Journal::open(&disk).committed, Values::from([(1, 1), (2, 2), (3, 3)]));
}

#[test]
fn another_format_version_is_refused_and_the_files_are_left_alone() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    journal.commit();
    drop(journal);
    let name = disk.names().remove(0);
    disk.alter(&name, |content| {
        content[8] = 9;
        let checksum = crc32fast::hash(&content[..60]);
        content[60..64].copy_from_slice(&checksum.to_le_bytes());
    });
    let before = disk.content(&name);
    match Journal::try_open(&disk, SETTINGS) {
        Err(error @ OpenError::Version { found: 9, supported: 4, .. }) => {
            assert!(error.to_string().contains("format 9"), "{error}");
        }
        _ => panic!("a spool of another version was opened"),
    }
    assert_eq!(disk.content(&name), before);
}

#[test]
fn when_the_last_segment_number_has_been_given_the_spool_shows_what_it_holds_and_takes_no_more() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    journal.commit();
    drop(journal);
    // The spool's only segment becomes the last there can be; one after it would bear no number.
    let name = disk.names().into_iter().find(|name| disk.content(name)[12] == 1).expect("a segment in use");
    disk.alter(&name, |content| {
        for copy in [0, 4096] {
            content[copy + 12..copy + 16].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
            content[copy + 40..copy + 44].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
            let checksum = crc32fast::hash(&content[copy..copy + 60]);
            content[copy + 60..copy + 64].copy_from_slice(&checksum.to_le_bytes());
        }
    });
    let mut shown = Vec::new();
    let (mut spool, _) = Spool::open(disk, SETTINGS, &mut |record| shown.push(record.id)).unwrap();
    assert_eq!(shown, [1]);
    assert_eq!(spool.append_full(1, 2, b"more"), Err(AppendError::NoNumber));
}

#[test]
fn a_header_half_overwritten_by_the_next_life_still_reads() {
    let old = SegmentHeader { number: 3, epoch: Epoch::new(5), previous: None, floor: 3, capacity: 65536, next_id: 10 };
    let new = SegmentHeader { number: 8, epoch: Epoch::new(6), previous: None, floor: 8, capacity: 65536, next_id: 20 };
    for landed in 0..8192 {
        let mut area = old.encode();
        area[..landed].copy_from_slice(&new.encode()[..landed]);
        let HeaderState::Valid(read) = SegmentHeader::read(&area) else { panic!("unreadable at {landed}") };
        assert!(read == old || read == new);
    }
}

#[test]
fn a_payload_beyond_the_limit_is_refused() {
    let (mut spool, _) = Spool::open(SimDisk::new(), Settings { segment_size: 4 << 20, ..SETTINGS }, &mut |_| {}).unwrap();
    assert!(spool.append_full(1, 1, &vec![0; MAX_PAYLOAD]).is_ok());
    assert_eq!(spool.append_full(1, 2, &vec![0; MAX_PAYLOAD + 1]), Err(AppendError::TooLarge));
    assert_eq!(spool.commit().unwrap(), MAX_PAYLOAD as u64 + 20);
}

/// A disk with one segment of this header and one record.
fn segment(header: SegmentHeader, id: u64) -> SimDisk {
    let disk = SimDisk::new();
    disk.clone().create("000001.segment").unwrap();
    let mut record = Vec::new();
    record::encode(
        &mut record,
        header.epoch,
        RecordView { kind: VALUE, class: Class::Full, starts_group: true, id, payload: &payload(7) },
    );
    disk.alter("000001.segment", |content| {
        *content = header.encode();
        content.extend_from_slice(&record);
        content.extend_from_slice(&[0xFF; 9]);
        content.resize(SEGMENT as usize, 0);
    });
    disk
}

fn header() -> SegmentHeader {
    SegmentHeader { number: 1, epoch: Epoch::new(EPOCH), previous: None, floor: 1, capacity: SEGMENT as u32, next_id: 1 }
}

#[test]
fn the_last_id_there_is_does_not_start_over() {
    let journal = Journal::open(&segment(SegmentHeader { next_id: u64::MAX, ..header() }, u64::MAX));
    assert_eq!(journal.committed, Values::from([(u64::MAX, 7)]));
    assert_eq!(journal.recovery.next_id, u64::MAX);
}

#[test]
fn a_segment_without_a_possible_number_is_put_aside() {
    for number in [0, u32::MAX] {
        let disk = segment(SegmentHeader { number, ..header() }, 1);
        let mut journal = Journal::open(&disk);
        assert!(journal.committed.is_empty());
        assert!(disk.names().contains(&"quarantine/000001.segment".to_owned()));
        journal.put(1, 1);
        assert!(journal.commit());
    }
}

#[test]
fn an_end_far_behind_the_end_of_the_file_takes_no_memory() {
    let disk = segment(header(), 1);
    let previous = Some(header::Previous { number: 1, epoch: Epoch::new(EPOCH), end: u32::MAX });
    let newest = SegmentHeader { number: 2, epoch: Epoch::new(2), previous, ..header() };
    disk.clone().create("000002.segment").unwrap();
    disk.alter("000002.segment", |content| *content = newest.encode());
    let journal = Journal::open(&disk);
    assert_eq!(journal.committed, Values::from([(1, 7)]));
    assert!(journal.recovery.damaged_bytes > u64::from(u32::MAX) / 2, "what should be there and is not counts as lost");
}
