//! Bits that flip, files that vanish.

use super::*;

/// Two hundred values over several segments, each with a file.
fn filled() -> SimDisk {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    for id in 1..=200 {
        journal.put(id, id as u32);
        if id % 10 == 0 {
            journal.turn();
        }
    }
    disk
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| !name.contains('/')).collect()
}

#[test]
fn a_flipped_bit_costs_one_record_at_most_and_in_the_last_group_what_follows_and_never_yields_a_wrong_one() {
    let pristine = filled();
    for name in segments(&pristine) {
        for at in (0..SEGMENT as usize).step_by(397) {
            let disk = pristine.crash(true, &mut |_| sim::Landed::Yes);
            disk.alter(&name, |content| content[at] ^= 1 << (at % 8));
            let journal = Journal::open(&disk);
            let lost: Vec<u64> = (1..=200).filter(|id| journal.committed.get(id) != Some(&(*id as u32))).collect();
            // In the last group a flipped bit looks as a sector does that did not reach the disk.
            let in_last_group = lost.iter().all(|id| *id > 190);
            assert!(
                (lost.len() <= 1 || in_last_group) && journal.committed.len() + lost.len() == 200,
                "{name} at {at}: {lost:?}"
            );
            assert!(journal.recovery.next_id > 200);
            assert_eq!(journal.recovery.missing_segments, 0);
        }
    }
}

#[test]
fn damage_is_kept_in_the_quarantine_and_counted_once() {
    let disk = filled();
    let name = segments(&disk).remove(0);
    let before = disk.content(&name);
    disk.alter(&name, |content| content[9000] ^= 4);
    let first = Journal::open(&disk);
    assert_eq!((first.recovery.damaged, first.spool.stats().quarantined), (1, 1));
    let quarantined: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with(QUARANTINE)).collect();
    let [kept] = &quarantined[..] else { panic!("{quarantined:?}") };
    let offset: usize = kept.split('-').nth(1).unwrap().parse().unwrap();
    let content = disk.content(kept);
    assert!(content.len() > 20 && offset <= 9000 && 9000 < offset + content.len());
    assert_eq!(content.iter().zip(&before[offset..]).filter(|(a, b)| a != b).count(), 1);
    drop(first);
    assert_eq!(Journal::open(&disk).spool.stats().quarantined, 1);
}

#[test]
fn a_segment_with_both_headers_destroyed_is_known_by_its_successor() {
    let disk = filled();
    let name = segments(&disk).remove(1);
    disk.alter(&name, |content| content[..8192].fill(0xA5));
    let journal = Journal::open(&disk);
    assert_eq!(journal.committed.len(), 200);
}

#[test]
fn a_missing_segment_is_reported_and_the_others_are_read() {
    let disk = filled();
    let journal = Journal::open(&disk);
    let before = journal.recovery.segments as u64;
    drop(journal);
    disk.remove(&segments(&disk)[1]).unwrap();
    let journal = Journal::open(&disk);
    assert_eq!((journal.recovery.missing_segments, journal.recovery.segments as u64), (1, before - 1));
    assert!(journal.committed.len() > 100 && journal.committed.len() < 200);
    assert!(journal.recovery.next_id > 200);
}

#[test]
fn a_record_that_goes_bad_while_running_is_refused_and_quarantined() {
    let disk = filled();
    let mut journal = Journal::open(&disk);
    let (value_wanted, location) = journal.live[&20];
    assert_eq!(value(&journal.spool.read(location).unwrap().payload), value_wanted);
    let name = segments(&disk).remove(0);
    let at = location.offset as usize + 20;
    disk.alter(&name, |content| content[at] ^= 1);
    assert!(matches!(journal.spool.read(location), Err(ReadError::Damaged)));
    assert!(matches!(journal.spool.read(location), Err(ReadError::Damaged)));
    assert_eq!(journal.spool.stats().quarantined, 1);
    assert!(journal.spool.read(journal.live[&21].1).is_ok());
}

#[test]
fn a_survivor_that_cannot_be_read_is_reported_instead_of_blocking_the_log() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    journal.put(2, 2);
    journal.turn();
    let bad = journal.live[&1].1;
    disk.alter(&segments(&disk)[0], |content| content[bad.offset as usize] ^= 1);
    let mut slice = Survivors::default();
    let mut reported = false;
    for value in 0..2000 {
        journal.put(3, value);
        if journal.spool.needs_compaction() {
            journal.carry();
            reported |= journal.slice.unreadable() == Some(bad.segment);
            if reported && journal.live.remove(&1).is_some() {
                assert!(matches!(journal.spool.read(bad), Err(ReadError::Damaged)));
                journal.spool.release(bad);
            }
        }
        journal.commit();
    }
    assert!(reported);
    assert!(journal.spool.stats().segments_used < 8);
    journal.spool.survivors(&mut slice).unwrap();
    assert_eq!(journal.committed.get(&2), Some(&2));
}

#[test]
fn a_record_crafted_inside_a_payload_is_never_taken_for_one() {
    let disk = SimDisk::new();
    let (mut spool, _) = Spool::open(disk.clone(), SETTINGS, &mut |_| {}).unwrap();
    let mut crafted = Vec::new();
    for epoch in 0..64 {
        let record = record::RecordView { kind: 1, class: Class::Full, starts_group: false, id: 666, payload: b"forged" };
        record::encode(&mut crafted, record::Epoch::new(epoch), record);
    }
    let outer = spool.append_full(1, 1, &crafted).unwrap();
    spool.commit().unwrap();
    spool.append_full(1, 2, b"next").unwrap();
    spool.commit().unwrap();
    drop(spool);
    disk.alter(&segments(&disk)[0], |content| content[outer.offset as usize + 4] ^= 1);
    let mut ids = Vec::new();
    Spool::open(disk, SETTINGS, &mut |record| ids.push(record.id)).unwrap();
    assert_eq!(ids, [2]);
}
