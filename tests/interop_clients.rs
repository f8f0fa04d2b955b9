//! Foreign applications (Python's smpplib, Perl's Net::SMPP, the npm smpp package) send through the real daemon to a foreign operator
//! and to our own simulator: what leaves is what came in, and every receipt finds its way back.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use smppgw::simulator::{Smsc, SmscSettings};
use support::Daemon;
use support::foreign::{Client, NodeOperator, Told};
use support::wire::{self, Message, Part};

/// Characters of the GSM 7-bit default alphabet only, Finnish ones among them.
fn septets(count: usize) -> String {
    "Hyvää päivää, Åke! Öljyä? ".chars().cycle().take(count).collect()
}

/// One 16-bit unit each, not all of them in the GSM alphabet.
fn units(count: usize) -> String {
    "Žluťoučký kůň ".chars().cycle().take(count).collect()
}

/// Each text goes to a number of its own.
struct Sample {
    to: String,
    text: String,
    parts: usize,
    data_coding: u8,
}

fn samples() -> Vec<Sample> {
    let texts = [
        ("åäöÅÄÖ€[]{}~^".to_owned(), 1, 0),
        ("Moi 👋🏽 😀".to_owned(), 1, 8),
        (septets(160), 1, 0),
        (septets(161), 2, 0),
        (septets(306), 2, 0),
        (units(70), 1, 8),
        (units(71), 2, 8),
        (septets(1530), 10, 0),
        (String::new(), 1, 0),
    ];
    let numbered = texts.into_iter().enumerate();
    numbered
        .map(|(at, (text, parts, data_coding))| Sample { to: format!("3584012345{at:02}"), text, parts, data_coding })
        .collect()
}

fn texts(samples: &[Sample]) -> Vec<(String, String)> {
    samples.iter().map(|sample| (sample.to.clone(), sample.text.clone())).collect()
}

/// What the operator got is what was sent: parts, sizes, coding, text.
fn assert_carried(samples: &[Sample], parts: &[Part]) {
    let messages = wire::messages(parts);
    assert_eq!(messages.len(), samples.len());
    for sample in samples {
        let Message { parts, text } = &messages[&sample.to];
        assert_eq!(text, &sample.text);
        assert_eq!(parts.len(), sample.parts, "parts of {text:?}");
        for part in parts {
            part.assert_fits();
            assert_eq!(part.data_coding, sample.data_coding, "{text:?}");
            assert_eq!(part.registered_delivery, 1, "{text:?}");
            assert_eq!(part.source, (3, 0, "13123".to_owned()), "a short code");
            let header = part.split().0;
            assert_eq!(header.len(), if sample.parts > 1 { 6 } else { 0 }, "{header:02x?} of {text:?}");
        }
    }
}

/// Each id that a response gave comes back in one receipt.
fn assert_receipts(told: &Told) {
    let submitted: BTreeSet<&String> = told.submitted.iter().collect();
    assert_eq!(submitted.len(), told.submitted.len(), "an id is given once: {submitted:?}");
    let receipts: BTreeMap<&String, &str> = told.receipts.iter().map(|receipt| (&receipt.id, receipt.stat.as_str())).collect();
    assert_eq!(receipts.len(), told.receipts.len(), "one receipt each: {receipts:?}");
    assert!(receipts.keys().eq(&submitted), "{receipts:?} for {submitted:?}");
    for receipt in &told.receipts {
        assert_eq!(receipt.stat, "DELIVRD");
        assert!(receipt.text.starts_with(&format!("id:{} sub:", receipt.id)), "{}", receipt.text);
    }
}

/// smpplib splits long texts itself: each of its parts is a submission with a receipt of its own.
fn submissions(client: Client, samples: &[Sample]) -> usize {
    if client == Client::Smpplib { samples.iter().map(|sample| sample.parts).sum() } else { samples.len() }
}

fn sends_through_a_foreign_operator(client: Client) {
    let samples = samples();
    let mut operator = NodeOperator::start(&[]);
    let port = support::free_port();
    let daemon = Daemon::start(&support::config(port, &[("node", operator.port)]));
    let told = client.submit(port, &texts(&samples), &[]);
    assert_eq!(told.submitted.len(), submissions(client, &samples));
    assert_receipts(&told);
    let total = samples.iter().map(|sample| sample.parts).sum();
    assert_carried(&samples, &operator.parts(total));
    assert!(daemon.stop());
    assert_eq!(operator.stop(), 0, "nothing was sent twice");
}

fn sends_through_our_simulator(client: Client) {
    let samples = samples();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = SmscSettings { keep_records: true, ..SmscSettings::default() };
    let operator = runtime.block_on(Smsc::start(settings)).expect("the simulator starts");
    let port = support::free_port();
    let daemon = Daemon::start(&support::config(port, &[("own", operator.address().port())]));
    let told = client.submit(port, &texts(&samples), &[]);
    assert_eq!(told.submitted.len(), submissions(client, &samples));
    assert_receipts(&told);
    assert!(daemon.stop());
    assert_carried(&samples, &operator.records().iter().map(Part::of_record).collect::<Vec<_>>());
}

#[test]
fn smpplib_sends_through_a_foreign_operator() {
    sends_through_a_foreign_operator(Client::Smpplib);
}

#[test]
fn smpplib_sends_through_our_simulator() {
    sends_through_our_simulator(Client::Smpplib);
}

#[test]
fn net_smpp_sends_through_a_foreign_operator() {
    sends_through_a_foreign_operator(Client::NetSmpp);
}

#[test]
fn net_smpp_sends_through_our_simulator() {
    sends_through_our_simulator(Client::NetSmpp);
}

#[test]
fn node_smpp_sends_through_a_foreign_operator() {
    sends_through_a_foreign_operator(Client::Node);
}

#[test]
fn node_smpp_sends_through_our_simulator() {
    sends_through_our_simulator(Client::Node);
}
