//! The log on the real disk: records into the group, and groups to the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smppgw::spool::{Location, RealDisk, Settings, Spool};
use tempfile::TempDir;

/// What the record of a message of twenty characters has.
const PAYLOAD: [u8; 100] = [0x55; 100];
const KIND: u8 = 1;

/// A spool in a folder beside the build, which must be on a disk. Every record is released once the next group is durable,
/// as those of messages are that finish soon.
struct Log {
    spool: Spool<RealDisk>,
    last: Vec<Location>,
    next: u64,
    _folder: TempDir,
}

impl Log {
    fn open() -> Log {
        let folder = TempDir::with_prefix_in("spool-", Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
        let settings = Settings { segment_size: 64 << 20, max_size: 4 << 30, disk_reserve: 1 << 30 };
        let disk = RealDisk::new(folder.path()).expect("the folder can be used");
        let (spool, _) = Spool::open(disk, settings, &mut |_| {}).expect("an empty spool");
        Log { spool, last: Vec::new(), next: 1, _folder: folder }
    }

    fn append(&mut self, count: u64) -> Vec<Location> {
        let ids = self.next..self.next + count;
        self.next = ids.end;
        ids.map(|id| self.spool.append_full(KIND, id, &PAYLOAD).expect("room")).collect()
    }

    fn commit(&mut self, appended: Vec<Location>) {
        self.spool.commit().expect("the disk takes it");
        for location in std::mem::replace(&mut self.last, appended) {
            self.spool.release(location);
        }
        self.spool.maintain().expect("the disk takes it");
    }
}

fn append(c: &mut Criterion) {
    const GROUP: u64 = 1024;
    let mut log = Log::open();
    let mut group = c.benchmark_group("spool");
    group.throughput(Throughput::Elements(GROUP));
    group.bench_function("append", |b| {
        b.iter_custom(|groups| {
            let mut spent = Duration::ZERO;
            for _ in 0..groups {
                let started = Instant::now();
                let appended = log.append(GROUP);
                spent += started.elapsed();
                log.commit(appended);
            }
            spent
        });
    });
    group.finish();
}

fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("spool");
    for size in [1u64, 64, 1024] {
        let mut log = Log::open();
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("append and commit a group of", size), |b| {
            b.iter(|| {
                let appended = log.append(size);
                log.commit(appended);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = append, commit
}
criterion_main!(benches);
