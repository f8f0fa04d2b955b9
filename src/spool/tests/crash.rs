//! Power cuts.

use proptest::prelude::*;

use super::*;
use crate::spool::sim::Landed;

/// A workload small enough to stop it at each of its operations, long enough to recycle segments and to carry survivors.
fn small_workload(journal: &mut Journal) {
    for round in 0..40u32 {
        for id in 0..6 {
            let value = round * 20 + id;
            journal.put(u64::from(id % 3 + round % 5 * 3 + 1), value);
        }
        journal.done(u64::from(round % 7));
        journal.turn();
        if journal.spool.health() == Health::Failed {
            return;
        }
    }
}

#[test]
fn whatever_was_committed_is_recovered_from_every_image_a_power_cut_can_leave() {
    let whole = SimDisk::new();
    small_workload(&mut Journal::open(&whole));
    let mut images = 0;
    for cut in 0..whole.operations() {
        let disk = SimDisk::new();
        disk.cut_power_at(cut);
        let Ok(mut journal) = Journal::try_open(&disk, SETTINGS) else { continue };
        small_workload(&mut journal);
        disk.every_crash(&mut |image| {
            journal.check(&image);
            images += 1;
        });
    }
    assert!(images > 1000, "only {images} images");
}

#[test]
fn of_a_group_that_was_not_synced_only_a_beginning_comes_back() {
    let disk = SimDisk::new();
    let (mut spool, _) = Spool::open(disk.clone(), SETTINGS, &mut |_| {}).unwrap();
    (1..=50).for_each(|id| assert!(spool.append_delta(3, id, &payload(id as u32)).is_ok()));
    spool.commit().unwrap();
    (51..=70).for_each(|id| assert!(spool.append_delta(3, id, &payload(id as u32)).is_ok()));
    disk.fail(sim::Operation::Sync, 0, 1);
    spool.commit().unwrap_err();
    disk.every_crash(&mut |image| {
        let mut ids = Vec::new();
        Spool::open(image, SETTINGS, &mut |record| ids.push(record.id)).unwrap();
        assert!((50..=70).contains(&ids.len()));
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>());
    });
}

#[test]
fn the_highest_id_survives_when_all_records_are_gone() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    for id in 1..=500 {
        journal.put(id, id as u32);
        journal.commit();
        journal.done(id);
        journal.turn();
    }
    assert!(journal.spool.stats().segments_used <= 2);
    drop(journal);
    for _ in 0..3 {
        assert!(Journal::open(&disk).recovery.next_id > 500);
    }
}

#[test]
fn starting_again_and_again_neither_loses_nor_grows_anything() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    (1..=60).for_each(|id| journal.put(id, id as u32));
    journal.turn();
    let (wanted, files) = (journal.committed.clone(), disk.names().len());
    drop(journal);
    for _ in 0..10 {
        assert_eq!(Journal::open(&disk).committed, wanted);
    }
    assert_eq!(disk.names().len(), files);
}

#[test]
fn what_a_restart_finds_after_a_failed_fdatasync_is_still_there_after_a_power_cut() {
    let disk = SimDisk::new();
    let mut journal = Journal::open(&disk);
    journal.put(1, 1);
    assert!(journal.commit());
    journal.put(2, 2);
    disk.fail(sim::Operation::Sync, 0, 1);
    assert!(!journal.commit());
    drop(journal);
    let again = Journal::open(&disk);
    assert_eq!(again.committed, Values::from([(1, 1), (2, 2)]));
    disk.every_crash(&mut |image| again.check(&image));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, u32),
    Done(u64),
    Turn,
    Fail(sim::Operation, u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![Just(sim::Operation::Write), Just(sim::Operation::Sync), Just(sim::Operation::Create)];
    prop_oneof![
        8 => (1..30u64, any::<u32>()).prop_map(|(id, value)| Step::Put(id, value)),
        3 => (1..30u64).prop_map(Step::Done),
        4 => Just(Step::Turn),
        1 => (operation, 0..4u64).prop_map(|(operation, skip)| Step::Fail(operation, skip)),
        1 => Just(Step::Reopen),
    ]
}

/// Runs the steps until the power goes. Failures heal at the next turn.
fn run(disk: &SimDisk, journal: &mut Journal, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Put(id, value) => journal.put(*id, *value),
            Step::Done(id) => journal.done(*id),
            Step::Fail(operation, skip) => disk.fail(*operation, *skip, 1),
            Step::Turn => {
                if journal.spool.health() == Health::Failed {
                    disk.heal();
                    if !journal.recover() {
                        return;
                    }
                }
                journal.turn();
            }
            Step::Reopen => {
                disk.heal();
                if journal.spool.health() == Health::Ok && journal.turn() {
                    // The old owner goes first, because it holds the lock.
                    let committed = std::mem::take(&mut journal.committed);
                    let (idle, _) = Spool::open(SimDisk::new(), SETTINGS, &mut |_| {}).unwrap();
                    journal.spool = idle;
                    match Journal::try_open(disk, SETTINGS) {
                        Ok(again) => {
                            assert_eq!(again.committed, committed);
                            *journal = again;
                        }
                        Err(_) => {
                            journal.committed = committed;
                            return;
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_workloads_with_failures_survive_a_power_cut_at_any_moment(
        steps in prop::collection::vec(step(), 1..300),
        cut in 0..1500u64,
        landing in prop::collection::vec(0..8usize, 64),
        names in any::<bool>(),
    ) {
        let disk = SimDisk::new();
        disk.cut_power_at(cut);
        if let Ok(mut journal) = Journal::try_open(&disk, SETTINGS) {
            run(&disk, &mut journal, &steps);
            let image = disk.crash(names, &mut |at| match landing[at % landing.len()] {
                0..=3 => Landed::Yes,
                4..=6 => Landed::No,
                _ => Landed::Torn(landing[(at + 1) % landing.len()] * 60),
            });
            journal.check(&image);
        }
    }
}
