//! Texts: into the GSM alphabet, into parts, and into what each part puts on the wire.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smppgw::text::build::{Carrier, Content, Outgoing};
use smppgw::text::{Body, LongMessages, gsm7, plan};

/// One part, and three.
const LENGTHS: [usize; 2] = [160, 450];

fn text(characters: usize) -> String {
    "Hyvää päivää, tilauksesi [1] on noudettavissa {nyt}. ".chars().cycle().take(characters).collect()
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("gsm7");
    for length in LENGTHS {
        let text = text(length);
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("encode", length), &text, |b, text| b.iter(|| gsm7::encode(black_box(text))));
    }
    group.finish();
}

fn split(c: &mut Criterion) {
    let mut group = c.benchmark_group("split");
    let ucs2 = text(450).replace('H', "Ж");
    for (name, body) in
        [("160", Body::from_text(&text(160))), ("450", Body::from_text(&text(450))), ("450 in UCS-2", Body::from_text(&ucs2))]
    {
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("plan", name), &body, |b, body| {
            b.iter(|| plan::plan(black_box(body), 0, None, LongMessages::Udh8));
        });
        let mut out = BytesMut::with_capacity(4096);
        group.bench_with_input(BenchmarkId::new("plan and write", name), &body, |b, body| {
            b.iter(|| {
                out.clear();
                let content = Content { body: black_box(body), elements: &[], own: None, reference: 7, dcs_class: 0 };
                let outgoing = Outgoing::new(content, Carrier::default()).expect("few parts");
                (0..outgoing.count()).map(|part| outgoing.write(part, &mut out).data_coding).sum::<u8>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode, split);
criterion_main!(benches);
