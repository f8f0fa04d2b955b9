//! The wire: cutting frames off the stream, reading them in place, writing answers.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use smppgw::message::Timestamp;
use smppgw::receipt::text::{Delivery, from_parts};
use smppgw::receipt::write::{ReceiptText, write as write_receipt};
use smppgw::receipt::{ReceiptId, State, id};
use smppgw::smpp::{AddressView, CommandId, Frame, MessageView, Strictness, encode, frame};

/// PDUs that one read of a busy socket brings.
const BURST: usize = 100;
const LONGEST_PDU: usize = 64 * 1024;
const RECEIPT: &[u8] = b"id:gw10000002a sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD err:000 text:";

fn message<'a>(esm_class: u8, text: &'a [u8]) -> MessageView<'a> {
    MessageView {
        source: AddressView { ton: 5, npi: 0, digits: b"SHOP" },
        destination: AddressView { ton: 1, npi: 1, digits: b"358401234567" },
        esm_class,
        registered_delivery: 1,
        short_message: text,
        ..MessageView::default()
    }
}

fn framed(command: CommandId, message: &MessageView<'_>) -> Frame {
    let mut pdu = BytesMut::new();
    encode::message(&mut pdu, command, 1, message);
    Frame::new(pdu.freeze()).expect("one whole PDU")
}

fn cut(c: &mut Criterion) {
    let submit = framed(CommandId::SubmitSm, &message(0, b"Your code is 123456."));
    let burst: BytesMut = submit.bytes().repeat(BURST).as_slice().into();
    let mut group = c.benchmark_group("frame");
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_function("cut", |b| {
        b.iter_batched_ref(
            || burst.clone(),
            |stream| {
                while let Ok(Some(frame)) = frame::cut(stream, LONGEST_PDU) {
                    black_box(&frame);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn view(c: &mut Criterion) {
    let mut group = c.benchmark_group("view");
    group.throughput(Throughput::Elements(1));
    let submit = framed(CommandId::SubmitSm, &message(0, b"Your code is 123456."));
    group.bench_function("submit_sm", |b| b.iter(|| MessageView::parse(black_box(&submit), Strictness::Lenient).is_ok()));
    let deliver = framed(CommandId::DeliverSm, &message(0x04, RECEIPT));
    group.bench_function("deliver_sm with a receipt", |b| {
        b.iter(|| {
            let view = MessageView::parse(black_box(&deliver), Strictness::Lenient).expect("a valid deliver_sm");
            from_parts(Delivery { esm_class: view.esm_class, text: view.short_message, ..Delivery::default() })
        });
    });
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let mut out = BytesMut::with_capacity(LONGEST_PDU);
    group.bench_function("submit_sm_resp", |b| {
        b.iter(|| {
            out.clear();
            encode::message_response(&mut out, CommandId::SubmitSm, black_box(7), b"gw10000002a", &[]);
        });
    });
    let submit = message(0, b"Your code is 123456.");
    group.bench_function("submit_sm", |b| {
        b.iter(|| {
            out.clear();
            encode::message(&mut out, CommandId::SubmitSm, 7, black_box(&submit));
        });
    });
    group.finish();
}

fn receipt(c: &mut Criterion) {
    let mut group = c.benchmark_group("receipt");
    group.throughput(Throughput::Elements(1));
    let flagged = |text| Delivery { esm_class: 0x04, text, ..Delivery::default() };
    group.bench_function("read the typical text", |b| b.iter(|| from_parts(flagged(black_box(RECEIPT)))));
    let loose = b"ID: 0A1B2C ; Sub: 1 ; Dlvrd: 1 ; Submit_Date: 20261122120000 ; Done_Date: 20261122120130 ; Status: delivered ; Error: 0";
    group.bench_function("read one that takes liberties", |b| b.iter(|| from_parts(flagged(black_box(loose)))));
    let moment = Timestamp(1_795_348_800_000);
    let text = ReceiptText {
        id: b"gw10000002a",
        submitted_parts: 1,
        delivered_parts: 1,
        submitted: moment,
        done: moment,
        utc_offset: 7200,
        state: State::Delivered,
        error: b"000",
        text: b"",
    };
    let mut out = BytesMut::with_capacity(LONGEST_PDU);
    group.bench_function("write", |b| {
        b.iter(|| {
            out.clear();
            write_receipt(black_box(&text), &mut out);
        });
    });
    group.bench_function("key of an id", |b| b.iter(|| id::stored_key(ReceiptId::Same, black_box(b"1000000000000042"))));
    group.finish();
}

criterion_group!(benches, cut, view, write, receipt);
criterion_main!(benches);
