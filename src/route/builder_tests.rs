use super::table_tests::{Names, rule};
use super::*;

fn faults(build: impl FnOnce(&mut TableBuilder<'_>)) -> Vec<String> {
    let names = Names;
    let (mut operator, mut account) = (|name: &str| names.operator(name), |name: &str| names.account(name));
    let mut builder = TableBuilder::new(&mut operator, &mut account);
    build(&mut builder);
    builder.build().expect_err("a faulty table").iter().map(ToString::to_string).collect()
}

#[test]
fn every_fault_of_every_source_is_told_at_once() {
    let told = faults(|builder| {
        builder.prefixes(
            "prefixes.csv",
            &b"# routes\nprefix,operators\n+358,elisa\n46,nobody|telia|nobody2\n47,\n,elisa\n48,elisa||dna\n49,elisa|elisa\n"[..],
        );
        builder.ported("ported.csv", &b"0401234567,elisa\n358401234567,telia\n358401234567,dna\n358401234568,nobody\n"[..]);
        builder.rules("smppgw.toml", &[RouteRule { line: 80, ..RouteRule::default() }]);
        let unknown = RouteRule { accounts: vec!["ghost".into()], senders: vec!["+".into()], ..rule(90, &["3 5"], &["elisa"]) };
        builder.rules("smppgw.toml", &[unknown]);
    });
    assert_eq!(
        told,
        [
            "prefixes.csv:3: prefix: \"+358\": expected at most 16 digits, without + or spaces",
            "prefixes.csv:4: operators: unknown operator \"nobody\"",
            "prefixes.csv:4: operators: unknown operator \"nobody2\"",
            "prefixes.csv:5: operators: \"\": expected operators separated by |",
            "prefixes.csv:6: prefix: empty; for everything else write a [[route]] with prefix = [\"\"]",
            "prefixes.csv:7: operators: \"elisa||dna\": expected operators separated by |",
            "prefixes.csv:8: operators: operator \"elisa\" is listed twice",
            "ported.csv:1: msisdn: \"0401234567\": expected an international number in digits, without + or spaces",
            "ported.csv:3: msisdn: 358401234567 is listed twice",
            "ported.csv:4: operators: unknown operator \"nobody\"",
            "smppgw.toml:80: prefix: none; expected at least one, [\"\"] for everything else",
            "smppgw.toml:80: operators: \"\": expected operators separated by |",
            "smppgw.toml:90: account: unknown account \"ghost\"",
            "smppgw.toml:90: sender: \"+\": expected a name or a number",
            "smppgw.toml:90: prefix: \"3 5\": expected at most 16 digits, without + or spaces",
        ]
    );
}

#[test]
fn two_rules_for_the_same_prefix_account_and_sender_contradict_each_other() {
    let told = faults(|builder| {
        builder.prefixes("prefixes.csv", &b"35840,telia\n35840,elisa\n"[..]);
        let shop = RouteRule { accounts: vec!["shop".into()], ..rule(10, &["35840"], &["telia"]) };
        let both = RouteRule { line: 20, accounts: vec!["bank".into(), "shop".into()], ..shop.clone() };
        let sender = RouteRule { line: 30, senders: vec!["SHOP".into()], ..shop.clone() };
        builder.rules("smppgw.toml", &[shop, both, sender]);
        builder.rules("smppgw.toml", &[rule(40, &["35840"], &["dna"])]);
    });
    assert_eq!(
        told,
        [
            "prefixes.csv:2: prefix: \"35840\" already has a rule at prefixes.csv:1",
            "smppgw.toml:20: prefix: \"35840\" with account \"shop\" already has a rule at smppgw.toml:10",
            "smppgw.toml:40: prefix: \"35840\" already has a rule at prefixes.csv:2",
        ]
    );
}

#[test]
fn a_file_that_is_something_else_altogether_does_not_fill_the_memory_with_faults() {
    let told = faults(|builder| builder.prefixes("prefixes.csv", "x\n".repeat(5000).as_bytes()));
    assert_eq!(told.len(), 1001);
    assert_eq!(told[1000], "prefixes.csv:500: operators: 9000 more faults are not listed");
}

#[test]
fn an_input_that_cannot_be_read_is_a_fault() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    assert_eq!(faults(|builder| builder.ported("ported.csv", Broken)), ["ported.csv:1: msisdn: cannot be read: disk on fire"]);
}
