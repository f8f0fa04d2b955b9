use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::message::{AccountKey, OperatorKey};

/// Operators and accounts by their place in a list.
pub(super) struct Names;

impl Names {
    const OPERATORS: [&'static str; 5] = ["elisa", "telia", "dna", "alcom", "world"];
    const ACCOUNTS: [&'static str; 3] = ["shop", "bank", "game"];

    pub(super) fn operator(&self, name: &str) -> Option<OperatorKey> {
        Self::OPERATORS.iter().position(|known| *known == name).map(|at| OperatorKey(at as u16))
    }

    pub(super) fn account(&self, name: &str) -> Option<AccountKey> {
        Self::ACCOUNTS.iter().position(|known| *known == name).map(|at| AccountKey(at as u16))
    }

    pub(super) fn of(&self, key: OperatorKey) -> String {
        Self::OPERATORS[usize::from(key.0)].to_owned()
    }
}

pub(super) fn rule(line: u32, prefixes: &[&str], operators: &[&str]) -> RouteRule {
    let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    RouteRule { line, prefixes: owned(prefixes), operators: owned(operators), ..RouteRule::default() }
}

pub(super) fn table(prefixes: &str, ported: &str, rules: &[RouteRule]) -> Table {
    let names = Names;
    let (mut operator, mut account) = (|name: &str| names.operator(name), |name: &str| names.account(name));
    let mut builder = TableBuilder::new(&mut operator, &mut account);
    builder.prefixes("prefixes.csv", prefixes.as_bytes());
    builder.ported("ported.csv", ported.as_bytes());
    builder.rules("smppgw.toml", rules);
    builder.build().expect("a table without faults")
}

/// The chosen operators by name, joined; empty for none.
fn chosen(table: &Table, destination: &str, account: &str, sender: &str) -> String {
    let query = Query { destination: destination.as_bytes(), account, sender: sender.as_bytes() };
    let operators = table.choose(&query).map(|choice| choice.operators).unwrap_or_default();
    operators.iter().map(|key| Names.of(*key)).collect::<Vec<_>>().join("|")
}

#[test]
fn the_longest_prefix_wins_and_its_operators_keep_their_order() {
    let table = table("358,elisa\n35840,telia|elisa|dna\n3584570,alcom\n", "", &[]);
    assert_eq!(chosen(&table, "358401234567", "shop", "SHOP"), "telia|elisa|dna");
    assert_eq!(chosen(&table, "3584570123456", "shop", "SHOP"), "alcom");
    assert_eq!(chosen(&table, "358501234567", "shop", "SHOP"), "elisa");
    assert_eq!(chosen(&table, "46701234567", "shop", "SHOP"), "");
}

#[test]
fn a_short_code_is_in_no_country() {
    let prefixes = "1,world\n358,elisa\n16400,telia\n";
    let plain = table(prefixes, "", &[]);
    assert_eq!(chosen(&plain, "16400", "shop", "SHOP"), "telia");
    assert_eq!(chosen(&plain, "16401", "shop", "SHOP"), "", "not to country 1");
    assert_eq!(chosen(&plain, "358", "shop", "SHOP"), "elisa", "its own digits");
    assert_eq!(chosen(&plain, "1640012", "shop", "SHOP"), "telia");
    let with_the_rest = table(prefixes, "", &[rule(1, &[""], &["dna"])]);
    assert_eq!(chosen(&with_the_rest, "16401", "shop", "SHOP"), "dna");
}

#[test]
fn the_choice_tells_what_decided() {
    let table = table("prefix,operators,country\n358,elisa,FI\n", "358401234567,dna", &[]);
    let choose = |destination: &'static [u8]| {
        let choice = table.choose(&Query { destination, account: "shop", sender: b"SHOP" }).expect("a route");
        (choice.prefix.map(|prefix| prefix.to_string()), choice.country)
    };
    assert_eq!(choose(b"358501234567"), (Some("358".into()), Some("FI")));
    assert_eq!(choose(b"358401234567"), (None, None));
    assert_eq!((table.prefixes(), table.ported()), (1, 1));
}

#[test]
fn a_ported_number_is_asked_before_any_prefix_and_rule() {
    let bank = RouteRule { accounts: vec!["bank".into()], ..rule(1, &["358401234567"], &["elisa"]) };
    let table = table("35840,telia\n", "msisdn,operator\n358401234567,dna|telia\n", &[bank]);
    assert_eq!(chosen(&table, "358401234567", "bank", "BANK"), "dna|telia");
    assert_eq!(chosen(&table, "358401234568", "bank", "BANK"), "telia");
}

#[test]
fn of_equal_prefixes_the_rule_with_more_conditions_wins_whatever_their_order() {
    let shop = RouteRule { accounts: vec!["shop".into()], ..rule(1, &["35840"], &["elisa"]) };
    let alarm = RouteRule { senders: vec!["ALARM".into()], ..rule(2, &["35840"], &["dna"]) };
    let both =
        RouteRule { accounts: vec!["shop".into()], ..RouteRule { line: 3, operators: vec!["alcom".into()], ..alarm.clone() } };
    for rules in [vec![shop.clone(), both.clone()], vec![both.clone(), shop.clone()]] {
        let table = table("35840,telia\n", "", &rules);
        assert_eq!(chosen(&table, "358401234567", "shop", "ALARM"), "alcom");
        assert_eq!(chosen(&table, "358401234567", "shop", "SHOP"), "elisa");
        assert_eq!(chosen(&table, "358401234567", "bank", "ALARM"), "telia");
    }
    let table = table("35840,telia\n", "", &[alarm, shop]);
    assert_eq!(chosen(&table, "358401234567", "shop", "ALARM"), "dna", "of as many conditions the rule written first");
}

#[test]
fn a_rule_that_does_not_hold_gives_way_to_the_next_and_then_to_shorter_prefixes() {
    let rules = [
        RouteRule { accounts: vec!["shop".into()], ..rule(1, &["3584012"], &["alcom"]) },
        RouteRule { senders: vec!["ALARM".into()], ..rule(2, &["35840"], &["dna"]) },
        RouteRule { accounts: vec!["bank".into()], ..rule(3, &["358", "46"], &["elisa"]) },
        rule(4, &[""], &["world"]),
    ];
    let table = table("", "", &rules);
    assert_eq!(chosen(&table, "358401234567", "shop", "ALARM"), "alcom");
    assert_eq!(chosen(&table, "358401234567", "bank", "ALARM"), "dna");
    assert_eq!(chosen(&table, "358401234567", "bank", "BANK"), "elisa");
    assert_eq!(chosen(&table, "358401234567", "game", "GAME"), "world");
    assert_eq!(chosen(&table, "46701234567", "bank", "BANK"), "elisa");
}

#[test]
fn a_sender_is_compared_exactly_but_for_its_plus() {
    let rules = [
        RouteRule { senders: vec!["+3584570001122".into(), "Shop".into()], ..rule(1, &[""], &["dna"]) },
        rule(2, &[""], &["world"]),
    ];
    let table = table("", "", &rules);
    for (sender, operator) in [
        ("3584570001122", "dna"),
        ("+3584570001122", "dna"),
        ("Shop", "dna"),
        ("SHOP", "world"),
        ("Shop ", "world"),
        ("358457000112", "world"),
        ("", "world"),
    ] {
        assert_eq!(chosen(&table, "46701234567", "shop", sender), operator, "{sender}");
    }
}

#[test]
fn what_is_not_a_number_has_no_route_even_where_everything_has_one() {
    let table = table("", "", &[rule(1, &[""], &["world"])]);
    assert_eq!(chosen(&table, "123456789012345", "shop", "SHOP"), "world");
    for destination in ["", "SHOP", "+358401234567", "12345678901234567"] {
        assert_eq!(chosen(&table, destination, "shop", "SHOP"), "", "{destination}");
    }
}

#[test]
fn a_hundred_thousand_prefixes_make_one_table() {
    let mut text = String::from("prefix,operators\n");
    for n in 0..100_000 {
        text += &format!("358{n:05},{}\n", Names::OPERATORS[n % 4]);
    }
    let table = table(&text, "", &[rule(1, &[""], &["world"])]);
    assert_eq!(table.prefixes(), 100_001);
    for n in (0..100_000).step_by(997) {
        assert_eq!(chosen(&table, &format!("358{n:05}123"), "shop", "SHOP"), Names::OPERATORS[n % 4]);
        assert_eq!(chosen(&table, &format!("359{n:05}123"), "shop", "SHOP"), "world");
    }
}

/// The longest prefix by looking at each.
fn by_linear_scan(prefixes: &BTreeMap<String, usize>, ported: &BTreeMap<String, usize>, number: &str) -> Option<&'static str> {
    let leads = |prefix: &str| match number.len() {
        ..=6 => prefix.is_empty() || prefix == number,
        _ => number.starts_with(prefix),
    };
    let scanned = prefixes.iter().filter(|(prefix, _)| leads(prefix)).max_by_key(|(prefix, _)| prefix.len());
    let found = ported.get(number).or(scanned.map(|(_, operator)| operator));
    found.map(|operator| Names::OPERATORS[*operator])
}

proptest! {
    // Few digits, so that prefixes overlap often.
    #[test]
    fn the_table_agrees_with_a_linear_scan(
        prefixes in proptest::collection::btree_map("[0-3]{1,9}", 0usize..5, 0..60),
        ported in proptest::collection::btree_map("[1-3][0-3]{0,8}", 0usize..5, 0..20),
        numbers in proptest::collection::vec("[0-3]{1,15}", 1..40),
        everything in proptest::bool::ANY,
    ) {
        let csv = |rows: &BTreeMap<String, usize>| {
            rows.iter().map(|(digits, at)| format!("{digits},{}\n", Names::OPERATORS[*at])).collect::<String>()
        };
        let mut scanned = prefixes.clone();
        let mut rules = Vec::new();
        if everything {
            scanned.insert(String::new(), 4);
            rules.push(rule(1, &[""], &["world"]));
        }
        let table = table(&csv(&prefixes), &csv(&ported), &rules);
        for number in numbers.iter().chain(ported.keys()).chain(prefixes.keys()) {
            let expected = by_linear_scan(&scanned, &ported, number).unwrap_or_default();
            prop_assert_eq!(chosen(&table, number, "shop", "SHOP"), expected, "{}", number);
        }
    }
}
