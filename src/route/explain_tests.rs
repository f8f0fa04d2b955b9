use super::table_tests::{Names, rule, table};
use super::*;
use crate::message::Address;

fn explained(table: &Table, number: &str, account: &str, sender: &str) -> Explanation {
    let rules = NumberRules::for_country("FI").expect("Finland is a country");
    let number = Address::new(0, 0, number.as_bytes());
    table.explain(&Question { number: &number, rules: &rules, account, sender }, &|key| Names.of(key))
}

fn sample() -> Table {
    let bank = RouteRule { accounts: vec!["bank".into()], ..rule(80, &["3584012"], &["dna"]) };
    let alarm = RouteRule { senders: vec!["ALARM".into()], ..rule(85, &["35840"], &["elisa"]) };
    let world = rule(90, &[""], &["world"]);
    table("prefix,operators,country\n35840,telia|elisa,FI\n", "358457000112,dna\n", &[bank, alarm, world])
}

#[test]
fn the_explanation_tells_every_rule_tried_and_why_it_was_passed_over() {
    let told = explained(&sample(), "040 123 4567", "shop", "SHOP").to_string();
    assert_eq!(
        told,
        "\
number      040 123 4567
account     shop
sender      SHOP
normalised  358401234567 (TON 1, NPI 1)
ported      not listed
prefix      3584012 -> dna (smppgw.toml:80): passed over, it is for account bank
prefix      35840 -> elisa (smppgw.toml:85): passed over, it is for sender ALARM
prefix      35840 FI -> telia|elisa (prefixes.csv:2): chosen
operators   telia, then elisa
"
    );
}

#[test]
fn a_ported_number_ends_the_explanation_before_any_prefix() {
    let told = explained(&sample(), "+358457000112", "", "").to_string();
    assert_eq!(
        told,
        "\
number      +358457000112
normalised  358457000112 (TON 1, NPI 1)
ported      to dna
operators   dna
"
    );
}

#[test]
fn a_refused_number_and_a_number_nobody_carries_are_told() {
    let refused = explained(&sample(), "SHOP", "", "");
    assert!(refused.to_string().contains("refused     other characters than digits"), "{refused}");
    assert_eq!(refused.operators, Vec::<String>::new());
    let table = table("358,elisa\n", "", &[]);
    assert!(explained(&table, "+46701234567", "", "").to_string().ends_with("operators   none: nobody carries this number\n"));
    assert!(explained(&table, "35840", "", "").to_string().ends_with("has all of its digits as prefix, or none\n"));
}

#[test]
fn as_json_each_step_has_its_name() {
    let json = crate::cli::route::render(&explained(&sample(), "+46701234567", "shop", ""), true);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["operators"], serde_json::json!(["world"]));
    assert_eq!(value["steps"][0], serde_json::json!({"step": "normalised", "digits": "46701234567", "ton": 1, "npi": 1}));
    assert_eq!(value["steps"][1], serde_json::json!({"step": "ported", "operators": []}));
    assert_eq!(value["steps"][2]["verdict"], "chosen");
    assert_eq!(value["steps"][2]["line"], 90);
}

#[test]
fn the_explanation_ends_where_the_choice_does() {
    let table = sample();
    for (number, account, sender) in [
        ("0401234567", "bank", "X"),
        ("0401234567", "shop", "ALARM"),
        ("0401234567", "shop", "X"),
        ("+358457000112", "", ""),
        ("13123", "", ""),
    ] {
        let rules = NumberRules::for_country("FI").expect("Finland is a country");
        let normalised = rules.normalise(&Address::new(0, 0, number.as_bytes())).expect("a number");
        let query = Query { destination: &normalised.digits, account, sender: sender.as_bytes() };
        let operators = table.choose(&query).map(|choice| choice.operators).unwrap_or_default();
        let names: Vec<String> = operators.iter().map(|key| Names.of(*key)).collect();
        assert_eq!(explained(&table, number, account, sender).operators, names, "{number}");
    }
}
