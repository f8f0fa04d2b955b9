//! How much disk the log takes.

use super::*;

/// Octets of one value's record, on average.
fn live_octets(journal: &Journal) -> u64 {
    journal.live.values().map(|(value, _)| record::encoded_len(payload(*value).len()) as u64).sum()
}

#[test]
fn the_survivors_of_a_long_run_are_carried_and_the_log_stays_bounded() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    // These live through the whole run.
    (1..=40).for_each(|id| journal.put(id, 5));
    let mut most = 0;
    for round in 0..4000u32 {
        journal.put(1000 + u64::from(round), round);
        if round >= 20 {
            journal.done(1000 + u64::from(round - 20));
        }
        assert!(journal.turn());
        most = most.max(journal.spool.stats().used_bytes);
    }
    assert!(most < 2 * live_octets(&journal) + 5 * SEGMENT, "{most}");
    assert!(disk.names().len() < 16, "{:?}", disk.names());
    assert!((1..=40).all(|id| journal.committed[&id] == 5));
    let committed = journal.committed.clone();
    drop(journal);
    assert_eq!(Journal::open(&disk).committed, committed);
}

#[test]
fn a_backlog_that_is_all_alive_is_not_rewritten() {
    let mut journal = Journal::open(&SimDisk::new());
    for id in 1..=1000 {
        journal.put(id, id as u32);
        journal.commit();
        assert!(!journal.spool.needs_compaction());
    }
}

#[test]
fn each_octet_is_written_about_twice_at_most() {
    let mut journal = Journal::open(&SimDisk::new());
    let (mut appended, mut committed) = (0u64, 0u64);
    for round in 0..6000u32 {
        // Half of a working set of 300 is replaced at random, the other half hardly ever.
        let id = if round % 16 == 0 { 150 + u64::from(round / 16 % 150) } else { u64::from(round * 7919 % 150) };
        journal.put(id, round);
        appended += record::encoded_len(payload(round).len()) as u64;
        journal.carry();
        committed += journal.spool.commit().unwrap();
    }
    assert!(committed < 2 * appended + appended / 4, "{committed} for {appended}");
    let used = journal.spool.stats().used_bytes;
    assert!(used < 3 * live_octets(&journal) + 5 * SEGMENT, "{used}");
}

#[test]
fn a_spare_file_is_ready_before_the_next_segment_needs_it() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    let mut begun = 0;
    for id in 1..=2_000 {
        let before = journal.spool.stats();
        journal.put(id, id as u32);
        journal.turn();
        if journal.spool.stats().segments_used > before.segments_used {
            assert_eq!(before.segments_free, 1, "the segment that begins with {id}");
            begun += 1;
        }
    }
    assert!(begun >= 2, "{begun}");
}

#[test]
fn survivors_are_shown_in_bounded_slices() {
    let settings = Settings { segment_size: 4 << 20, max_size: 64 << 20, ..SETTINGS };
    let (mut spool, _) = Spool::open(SimDisk::new(), settings, &mut |_| {}).unwrap();
    let octets = vec![7; 10_000];
    let mut slice = Survivors::default();
    let (mut dead, mut kept) = (Vec::new(), 0);
    for id in 0..3000 {
        let location = spool.append_full(1, id, &octets).unwrap();
        if id == 0 {
            kept += 1
        } else {
            dead.push(location)
        }
        dead.drain(..).for_each(|location| spool.release(location));
        spool.commit().unwrap();
    }
    assert_eq!(kept, 1);
    assert!(spool.needs_compaction());
    let mut ids = Vec::new();
    while spool.needs_compaction() && slice.unreadable().is_none() {
        spool.survivors(&mut slice).unwrap();
        assert!(slice.records().map(|record| record.payload.len()).sum::<usize>() <= 256 << 10);
        ids.extend(slice.records().map(|record| record.id));
    }
    assert!(ids.len() > 300 && ids.iter().copied().eq(0..ids.len() as u64), "{} records", ids.len());
}

#[test]
fn a_record_is_readable_before_and_after_its_commit() {
    let mut journal = Journal::open(&SimDisk::new());
    for id in 1..=100 {
        journal.put(id, id as u32);
    }
    for committed in [false, true] {
        for id in 1..=100 {
            let record = journal.spool.read(journal.live[&id].1).unwrap();
            assert_eq!((record.id, value(&record.payload)), (id, id as u32), "committed: {committed}");
        }
        journal.commit();
    }
    assert!(matches!(journal.spool.read(Location { segment: 99, offset: 8192 }), Err(ReadError::NoSuchLocation)));
}
