//! The tables shipped as samples say what their headers promise.

use super::table_tests::{Names, table};
use super::*;

fn sample() -> Table {
    table(include_str!("../../conf/prefixes.csv"), include_str!("../../conf/ported.csv"), &[])
}

#[track_caller]
fn goes(table: &Table, number: &str, first: &str, country: Option<&str>) {
    let choice = table.choose(&Query { destination: number.as_bytes(), account: "shop", sender: b"SHOP" }).expect("a route");
    assert_eq!((Names.of(choice.operators[0]).as_str(), choice.country), (first, country), "{number}");
}

#[test]
fn every_finnish_mobile_prefix_goes_to_its_first_holder_with_the_others_as_failover() {
    let table = sample();
    for (first, prefixes) in [
        ("telia", "40 42 450"),
        ("dna", "41 44 436 438 4574 4576 4577 4578 4579"),
        ("elisa", "46 50 451 452 453 456 458"),
        ("alcom", "4570 4573 4575"),
        ("elisa", "4320 4321 4322 4323 4324 4325 4326 4540 4541 4542 4543 4544 4545 4546 4547 4548 4549 4550 4552 4554 4558"),
        ("elisa", "4555 4556 4557 4559 4571 4572 430 431 433 434 435 437 439 4327 4328 4329 4551 4553 459 47 48"),
    ] {
        for prefix in prefixes.split(' ') {
            goes(&table, &format!("358{prefix:0<9}"), first, Some("FI"));
        }
    }
    let query = Query { destination: b"358401234567", account: "shop", sender: b"SHOP" };
    let operators = table.choose(&query).map(|choice| choice.operators.iter().map(|key| Names.of(*key)).collect::<Vec<_>>());
    assert_eq!(operators, Some(vec!["telia".into(), "elisa".into(), "dna".into()]));
}

#[test]
fn countries_that_share_a_code_are_told_apart() {
    let table = sample();
    for (number, country) in [
        ("12125550123", "US"),
        ("14165550123", "CA"),
        ("18765550123", "JM"),
        ("79161234567", "RU"),
        ("77011234567", "KZ"),
        ("393331234567", "IT"),
        ("390669812345", "VA"),
        ("447700900123", "GB"),
        ("441534123456", "JE"),
        ("441481123456", "GG"),
        ("441624123456", "IM"),
        ("4791234567", "NO"),
        ("4779123456", "SJ"),
        ("61412345678", "AU"),
        ("212612345678", "MA"),
        ("262692123456", "RE"),
        ("262639123456", "YT"),
        ("29051234", "SH"),
        ("2908999", "TA"),
        ("590690123456", "GP"),
        ("59995123456", "CW"),
        ("5993181234", "BQ"),
        ("46701234567", "SE"),
        ("37251234567", "EE"),
        ("4520123456", "DK"),
        ("37121234567", "LV"),
        ("37061234567", "LT"),
    ] {
        goes(&table, number, "world", Some(country));
    }
    goes(&table, "35818123456", "alcom", Some("AX"));
    goes(&table, "35891234567", "elisa", Some("FI"));
}

#[test]
fn codes_of_satellites_and_of_the_world_have_a_route() {
    let table = sample();
    for code in ["870", "878", "881", "882", "883", "888", "979"] {
        goes(&table, &format!("{code}12345678"), "world", Some("001"));
    }
}

#[test]
fn the_sample_of_ported_numbers_is_asked_first() {
    goes(&sample(), "358400000001", "elisa", None);
    goes(&sample(), "358400000002", "telia", Some("FI"));
}
