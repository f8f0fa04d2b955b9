//! Which operator: by prefix in small and large tables, and among ten million ported numbers.

use std::hint::black_box;
use std::io::{self, Read};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smppgw::message::{AccountKey, OperatorKey};
use smppgw::route::{Query, RouteRule, Table, TableBuilder};

const PORTED: u64 = 10_000_000;
/// Of Finnish mobile numbers 35840 to 35849 with seven digits.
const FIRST: u64 = 358_400_000_000;
const NUMBERS: u64 = 100_000_000;

/// Rows that are made while they are read.
struct Rows<F> {
    rows: std::ops::Range<u64>,
    write: F,
    line: Vec<u8>,
    taken: usize,
}

impl<F: Fn(u64) -> String> Rows<F> {
    fn new(count: u64, write: F) -> Self {
        Rows { rows: 0..count, write, line: Vec::new(), taken: 0 }
    }
}

impl<F: Fn(u64) -> String> Read for Rows<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.line.len() {
            let Some(row) = self.rows.next() else { return Ok(0) };
            (self.line, self.taken) = ((self.write)(row).into_bytes(), 0);
        }
        let count = buffer.len().min(self.line.len() - self.taken);
        buffer[..count].copy_from_slice(&self.line[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// Everything to operator `a`, and what the sources add.
fn table(sources: impl FnOnce(&mut TableBuilder<'_>)) -> Table {
    let mut operator = |name: &str| name.bytes().next().map(|octet| OperatorKey(u16::from(octet - b'a')));
    let mut account = |_: &str| Some(AccountKey(0));
    let mut builder = TableBuilder::new(&mut operator, &mut account);
    sources(&mut builder);
    let everything = RouteRule { prefixes: vec![String::new()], operators: vec!["a".to_owned()], ..RouteRule::default() };
    builder.rules("bench", &[everything]);
    builder.build().expect("no faults")
}

/// Numbers in an order that no cache foresees: a full-period generator (Knuth's MMIX).
fn numbers() -> impl FnMut() -> String {
    let mut state = 1u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (FIRST + (state >> 32) % NUMBERS).to_string()
    }
}

fn look_up(c: &mut Criterion, name: &str, size: u64, table: &Table) {
    let mut next = numbers();
    let numbers: Vec<String> = (0..1 << 16).map(|_| next()).collect();
    let mut group = c.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    group.bench_with_input(BenchmarkId::new(name, size), table, |b, table| {
        let mut numbers = numbers.iter().cycle();
        b.iter(|| {
            let destination = numbers.next().map_or(&[][..], |number| number.as_bytes());
            let query = Query { destination, account: "shop", sender: b"SHOP" };
            black_box(table.choose(&query).is_some())
        });
    });
    group.finish();
}

fn prefixes(c: &mut Criterion) {
    for size in [10u64, 10_000, 100_000] {
        // Spread over the numbers asked for: 3584 and as many digits as it takes.
        let digits = size.ilog10() as usize;
        let rows = Rows::new(size, move |row| format!("3584{row:0digits$},{}\n", if row % 2 == 0 { "a" } else { "b" }));
        let table = table(|builder| builder.prefixes("prefixes", rows));
        assert_eq!(table.prefixes() as u64, size + 1);
        look_up(c, "prefixes", size, &table);
    }
}

fn ported(c: &mut Criterion) {
    let rows = Rows::new(PORTED, |row| format!("{},b\n", FIRST + row * (NUMBERS / PORTED)));
    let table = table(|builder| builder.ported("ported", rows));
    assert_eq!(table.ported() as u64, PORTED);
    look_up(c, "ported numbers", PORTED, &table);
}

criterion_group!(benches, prefixes, ported);
criterion_main!(benches);
