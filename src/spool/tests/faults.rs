//! A disk that refuses, and a second owner.

use super::*;
use crate::spool::sim::Operation;

#[test]
fn after_a_failed_fdatasync_nothing_is_synced_again_and_nothing_appended_until_recovery() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    assert!(journal.commit());
    disk.fail(Operation::Sync, 0, 1);
    journal.put(2, 2);
    assert!(!journal.commit());
    assert_eq!(journal.spool.health(), Health::Failed);
    let before = disk.operations();
    assert!(journal.spool.commit().is_err());
    assert_eq!(journal.spool.append_full(1, 3, b""), Err(AppendError::Failed));
    assert_eq!(disk.operations(), before);
}

#[test]
fn after_recovery_the_failed_group_is_out_of_the_log_and_its_kept_records_follow() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    journal.commit();
    disk.fail(Operation::Sync, 0, 1);
    journal.put(2, 2);
    journal.put(3, 3);
    assert!(!journal.commit());
    let group = journal.spool.try_recover().unwrap();
    assert_eq!(group.records().map(|record| record.id).collect::<Vec<_>>(), [2, 3]);
    // The client of 2 was refused; 3 has to be kept.
    journal.live.remove(&2);
    let kept = group.records().nth(1).unwrap();
    let moved = journal.spool.append_full(kept.kind, kept.id, kept.payload).unwrap();
    journal.live.insert(3, (3, moved));
    assert!(journal.commit());
    disk.every_crash(&mut |image| {
        assert_eq!(Journal::open(&image).committed, Values::from([(1, 1), (3, 3)]));
    });
}

#[test]
fn a_recycled_file_that_cannot_take_its_header_stays_what_the_newest_durable_header_says_it_is() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    let fill = |journal: &mut Journal, segments| {
        for value in 0.. {
            journal.put(2, value);
            assert!(journal.commit());
            if journal.spool.stats().segments_used == segments {
                return;
            }
        }
    };
    journal.put(1, 1);
    journal.put(3, 3);
    fill(&mut journal, 2);
    journal.done(1);
    fill(&mut journal, 3);
    // The first two segments are free now, but the newest header still counts them in, and only the second one says that 1 is done.
    journal.done(3);
    assert!(journal.commit());
    assert_eq!(journal.spool.stats().segments_used, 1);
    disk.fail(Operation::Sync, 0, 1);
    journal.put(2, 7);
    assert!(!journal.commit());
    disk.fail(Operation::Write, 0, 1);
    assert!(!journal.recover());
    journal.check(&disk.crash(true, &mut |_| sim::Landed::Yes));
    assert!(journal.recover() && journal.commit());
    journal.check(&disk.crash(true, &mut |_| sim::Landed::No));
}

#[test]
fn each_write_and_sync_of_a_long_run_may_fail_and_no_value_is_lost() {
    for operation in [Operation::Write, Operation::Sync, Operation::Create] {
        for skip in 0..25 {
            let disk = SimDisk::new();
            let mut journal = Journal::open(&disk);
            disk.fail(operation, skip, 3);
            for round in 0..40u32 {
                if journal.spool.health() == Health::Failed && !journal.recover() {
                    continue;
                }
                (1..=5u32).for_each(|id| journal.put(u64::from(id + round % 4), round * 10 + id));
                journal.turn();
                journal.check(&disk.crash(true, &mut |_| sim::Landed::Yes));
                journal.check(&disk.crash(true, &mut |_| sim::Landed::No));
            }
            assert!(journal.spool.health() == Health::Ok && journal.turn());
            assert_eq!(journal.spool.stats().live_records, journal.live.len() as u64);
        }
    }
}

#[test]
fn a_full_disk_says_so_before_it_is_full_and_goes_on_when_there_is_space_again() {
    let disk = SimDisk::new();
    disk.set_capacity(12 * SEGMENT);
    let settings = Settings { disk_reserve: 3 * SEGMENT, ..SETTINGS };
    let mut journal = Journal::try_open(&disk, settings).unwrap();
    let mut id = 0;
    while journal.spool.room() == Room::Ok {
        id += 1;
        journal.put(id, id as u32);
        assert!(journal.turn(), "failed before it was full");
    }
    assert!(id > 50);
    // The reserve is for what happens to the messages already accepted.
    for done in 1..=id {
        journal.done(done);
        assert!(journal.turn());
    }
    assert_eq!(journal.spool.room(), Room::Ok);
}

#[test]
fn a_disk_that_really_is_full_fails_the_commit_and_recovers() {
    let disk = SimDisk::new();
    disk.set_capacity(3 * SEGMENT);
    let mut journal = Journal::open(&disk);
    let mut id = 0;
    while journal.spool.health() == Health::Ok {
        id += 1;
        journal.put(id, id as u32);
        journal.commit();
    }
    assert!(!journal.recover());
    assert_eq!(journal.spool.room(), Room::Ok, "the log's own size is not the matter here");
    disk.set_capacity(30 * SEGMENT);
    assert!(journal.recover() && journal.turn());
    assert_eq!(journal.committed.len() as u64, id);
    journal.check(&disk.crash(true, &mut |_| sim::Landed::No));
}

#[test]
fn the_log_is_full_at_its_maximum_size() {
    let disk = SimDisk::new();
    let mut journal = Journal::try_open(&disk, Settings { max_size: 10 * SEGMENT, ..SETTINGS }).unwrap();
    let mut id = 0;
    while journal.spool.room() == Room::Ok {
        id += 1;
        journal.put(id, id as u32);
        journal.turn();
    }
    let used = journal.spool.stats().used_bytes;
    assert!(used > 7 * SEGMENT && used < 10 * SEGMENT, "{used}");
}

#[test]
fn a_second_owner_is_refused_until_the_first_has_gone() {
    let disk = SimDisk::new();
    let first = Journal::open(&disk);
    assert!(matches!(Journal::try_open(&disk, SETTINGS), Err(OpenError::Locked)));
    drop(first);
    assert!(Journal::try_open(&disk, SETTINGS).is_ok());
}

#[test]
fn on_a_real_disk_values_survive_and_a_second_owner_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |records: &mut Vec<(u64, Vec<u8>)>| {
        let disk = RealDisk::new(folder.path()).unwrap();
        Spool::open(disk, SETTINGS, &mut |record| records.push((record.id, record.payload.to_vec())))
    };
    let (mut spool, _) = open(&mut Vec::new()).unwrap();
    assert!(matches!(open(&mut Vec::new()), Err(OpenError::Locked)));
    let written: Vec<(u64, Vec<u8>)> = (1..=150).map(|id| (id, payload(id as u32))).collect();
    for group in written.chunks(40) {
        group.iter().for_each(|(id, payload)| assert!(spool.append_full(1, *id, payload).is_ok()));
        spool.commit().unwrap();
        spool.maintain().unwrap();
    }
    drop(spool);
    let mut found = Vec::new();
    let (_, recovery) = open(&mut found).unwrap();
    assert_eq!((found, recovery.next_id), (written, 151));
}
