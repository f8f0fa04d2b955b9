//! A foreign operator (the npm smpp package) with the habits operators have: forms of long messages and of ids, old and new versions of
//! the protocol, texts from handsets.

mod support;

use support::Daemon;
use support::foreign::{Client, Mo, NodeOperator};
use support::wire::{self, Part};

/// `[[operator]]` with these settings and binds of these types, and the prefix that it carries.
fn operator(name: &str, port: u16, prefix: &str, settings: &str, binds: &[&str]) -> String {
    let mut config = format!("[[operator]]\nname = \"{name}\"\nwindow = 10\n{settings}\n");
    for bind in binds {
        config.push_str(&format!(
            "[[operator.bind]]\naddress = \"127.0.0.1:{port}\"\ntype = \"{bind}\"\nsystem_id = \"gw\"\npassword = \"pw\"\n"
        ));
    }
    config + &format!("[[route]]\nprefix = [\"{prefix}\"]\noperators = [\"{name}\"]\n")
}

/// In GSM 7-bit two parts; with an 8-bit reference a euro sign (escape and code) stands where the first part would end.
fn euro_text() -> String {
    format!("{}€€€{}", "å".repeat(150), "ö".repeat(40))
}

/// In UCS-2 two parts; with an 8-bit reference a surrogate pair stands where the first would end.
fn emoji_text() -> String {
    format!("{}😀😀😀{}", "ж".repeat(64), "я".repeat(30))
}

struct Form {
    name: &'static str,
    prefix: &'static str,
    ids: [&'static str; 2],
    receipt_id: &'static str,
}

/// Every form of long messages, each with another way to write ids.
const FORMS: [Form; 4] = [
    Form { name: "udh8", prefix: "35840", ids: ["dec", "same"], receipt_id: "same" },
    Form { name: "udh16", prefix: "35841", ids: ["dec", "hex"], receipt_id: "hex" },
    Form { name: "sar", prefix: "35844", ids: ["hex", "dec"], receipt_id: "dec" },
    Form { name: "payload", prefix: "35845", ids: ["hex", "same"], receipt_id: "same" },
];

fn assert_form(form: &str, parts: &[Part]) {
    let wanted = if form == "payload" { 1 } else { 2 };
    assert_eq!(parts.len(), wanted, "{form}");
    for part in parts {
        let header = part.split().0;
        match form {
            "udh8" => assert_eq!(header[..3], [5, 0x00, 3]),
            "udh16" => assert_eq!(header[..3], [6, 0x08, 4]),
            _ => assert!(header.is_empty(), "{form}: {header:02x?}"),
        }
        assert_eq!((part.sar.is_some(), part.in_payload), (form == "sar", form == "payload"), "{form}");
        assert_eq!(part.tlvs, if form == "sar" { 3 } else { usize::from(part.in_payload) }, "{form}");
        if form != "payload" {
            part.assert_fits();
        }
    }
}

#[test]
fn long_texts_reach_each_operator_in_its_own_form_and_receipts_match_however_they_write_ids() {
    let port = support::free_port();
    let mut operators = Vec::new();
    let mut config = support::config(port, &[("unused", support::free_port())]);
    let mut texts = Vec::new();
    for form in &FORMS {
        let smsc = NodeOperator::start(&["--id", form.ids[0], "--receipt-id", form.ids[1]]);
        let settings = format!("long_messages = \"{}\"\nreceipt_id = \"{}\"", form.name, form.receipt_id);
        config.push_str(&operator(form.name, smsc.port, form.prefix, &settings, &["transceiver"]));
        operators.push(smsc);
        texts.push((format!("{}1111111", form.prefix), euro_text()));
        texts.push((format!("{}2222222", form.prefix), emoji_text()));
    }
    let daemon = Daemon::start(&config);
    let told = Client::Node.submit(port, &texts, &[]);
    for receipt in &told.receipts {
        let counts = if receipt.text.contains("sub:001") { "sub:001 dlvrd:001" } else { "sub:002 dlvrd:002" };
        assert!(receipt.stat == "DELIVRD" && receipt.text.contains(counts), "{}", receipt.text);
        assert_eq!(receipt.receipted_message_id.as_ref(), Some(&receipt.id));
    }
    let (mut given, mut receipted) =
        (told.submitted.clone(), told.receipts.iter().map(|receipt| receipt.id.clone()).collect::<Vec<_>>());
    given.sort_unstable();
    receipted.sort_unstable();
    assert_eq!(given, receipted);
    for (form, smsc) in FORMS.iter().zip(&mut operators) {
        let count = if form.name == "payload" { 2 } else { 4 };
        let messages = wire::messages(&smsc.parts(count));
        for (number, text) in [("1111111", euro_text()), ("2222222", emoji_text())] {
            let message = &messages[&format!("{}{number}", form.prefix)];
            assert_eq!(message.text, text, "{}", form.name);
            assert_form(form.name, &message.parts);
        }
    }
    assert!(daemon.stop());
    for smsc in operators {
        assert_eq!(smsc.stop(), 0, "nothing was sent twice");
    }
}

/// Two accounts share the short code; a second operator is not needed.
fn with_inbound(port: u16, operator: &NodeOperator) -> String {
    let mut config = support::config(port, &[("node", operator.port)]);
    config.push_str(
        r#"
[[account]]
system_id = "shop"
password = "secret"
country = "FI"
[[inbound]]
number = "13123"
account = "app"
[[inbound]]
number = "13123"
keyword = "KYLLÄ"
account = "shop"
"#,
    );
    config
}

fn mo(text: &str) -> Mo {
    Mo { source: "358401234567".into(), dest: "13123".into(), text: text.into() }
}

#[test]
fn texts_from_handsets_reach_the_account_of_their_keyword_whole() {
    let mut operator = NodeOperator::start(&[]);
    let port = support::free_port();
    let daemon = Daemon::start(&with_inbound(port, &operator));
    operator.wait("bound");
    let (source, number) = ("358401234567", "13123");
    let accented = "åäöÅÄÖ€[]{}~^";
    assert_eq!(operator.send_mo(source, number, accented, None), 0);
    assert_eq!(operator.send_mo(source, number, "Moi 😀", None), 0);
    assert_eq!(operator.send_mo(source, number, "kyllä, kiitos", None), 0);
    // In two parts, the second first; the header belongs to one of two messages only when the reference says so.
    assert_eq!(operator.send_mo(source, number, "jatkuu €", Some("050003770202")), 0);
    assert_eq!(operator.send_mo(source, number, "toinen viesti ", Some("050003780201")), 0);
    assert_eq!(operator.send_mo(source, number, "KYLLÄ se ", Some("050003770201")), 0);
    assert_eq!(operator.send_mo(source, number, "loppui 😀", Some("050003780202")), 0);

    let mut app = Client::Node.receive(port, "app", 3, &[]).mo;
    app.sort_by(|a, b| a.text.cmp(&b.text));
    assert_eq!(app, [mo("Moi 😀"), mo("toinen viesti loppui 😀"), mo(accented)]);
    let mut shop = Client::Node.receive(port, "shop", 2, &[]).mo;
    shop.sort_by(|a, b| a.text.cmp(&b.text));
    assert_eq!(shop, [mo("KYLLÄ se jatkuu €"), mo("kyllä, kiitos")]);
    // Nobody's number: refused, so that the operator may tell the handset.
    assert_ne!(operator.send_mo(source, "19999", "hei", None), 0);
    assert!(daemon.stop());
    operator.stop();
}

#[test]
fn a_text_that_the_operator_refuses_for_good_ends_in_a_receipt_that_says_so() {
    // ESME_RINVDSTADR
    let mut operator = NodeOperator::start(&["--status", "11"]);
    let port = support::free_port();
    let daemon = Daemon::start(&support::config(port, &[("node", operator.port)]));
    for client in [Client::Smpplib, Client::NetSmpp, Client::Node] {
        let told = client.submit(port, &[("358401234567".to_owned(), "Hyvää päivää".to_owned())], &[]);
        assert_eq!(operator.parts(1).len(), 1);
        assert_eq!((&told.receipts[0].id, told.receipts[0].stat.as_str()), (&told.submitted[0], "REJECTD"), "{client:?}");
    }
    assert!(daemon.stop());
    assert_eq!(operator.stop(), 0, "nothing was sent twice");
}

const NUMBER: &str = "358401234567";

/// A client's long text, and what came of it at an operator that is bound to as `version`.
struct Story {
    daemon: Daemon,
    smsc: NodeOperator,
    port: u16,
}

impl Story {
    fn begin(version: &str, binds: &[&str]) -> Story {
        let mut smsc = NodeOperator::start(&[]);
        let port = support::free_port();
        let mut config = support::config(port, &[("unused", support::free_port())]);
        config.push_str(&operator("node", smsc.port, "35840", &format!("interface_version = \"{version}\""), binds));
        config.push_str("[[inbound]]\nnumber = \"13123\"\naccount = \"app\"\n");
        let daemon = Daemon::start(&config);
        let octet = u64::from_str_radix(&version.replace('.', ""), 16).expect("a version");
        for _ in binds {
            assert_eq!(smsc.wait("bound")["interface_version"], octet);
        }
        Story { daemon, smsc, port }
    }

    fn texts() -> Vec<(String, String)> {
        vec![(NUMBER.to_owned(), euro_text())]
    }

    fn end(mut self) {
        let message = wire::messages(&self.smsc.parts(2)).remove(NUMBER).expect("the message");
        assert_eq!(message.text, euro_text());
        assert!(message.parts.iter().all(|part| part.tlvs == 0), "no TLV is needed");
        assert!(self.daemon.stop());
        assert_eq!(self.smsc.stop(), 0, "nothing was sent twice");
    }
}

#[test]
fn a_client_of_smpp_3_3_gets_short_ids_and_no_tlvs() {
    let story = Story::begin("3.4", &["transceiver"]);
    let version = ["--interface-version", "0x33"];
    // SMPP 3.3 has no transceiver: two sessions.
    let submitted = Client::Node.submit(story.port, &Story::texts(), &["--transmit", version[0], version[1]]).submitted;
    let receipt = Client::Node.receive(story.port, "app", 1, &version).receipts.remove(0);
    let digits = receipt.id.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(receipt.id.len() <= 8 && digits, "an id of SMPP 3.3: {}", receipt.id);
    assert_eq!((submitted, receipt.stat.as_str()), (vec![receipt.id], "DELIVRD"));
    assert_eq!(receipt.receipted_message_id, None, "SMPP 3.3 has no TLVs");
    story.end();
}

#[test]
fn a_client_of_smpp_5_0_gets_its_receipts() {
    let story = Story::begin("3.4", &["transceiver"]);
    let told = Client::Node.submit(story.port, &Story::texts(), &["--interface-version", "0x50"]);
    assert_eq!(told.submitted, [told.receipts[0].id.as_str()]);
    assert_eq!(told.receipts[0].receipted_message_id.as_ref(), Some(&told.submitted[0]));
    story.end();
}

#[test]
fn operators_of_smpp_3_3_and_5_0_are_bound_to_as_such() {
    for (version, binds) in [("3.3", &["transmitter", "receiver"][..]), ("5.0", &["transceiver"])] {
        let mut story = Story::begin(version, binds);
        let told = Client::Node.submit(story.port, &Story::texts(), &[]);
        assert_eq!(told.submitted, [told.receipts[0].id.as_str()], "to SMPP {version}");
        assert_eq!(told.receipts[0].stat, "DELIVRD", "to SMPP {version}");
        assert_eq!(story.smsc.send_mo(NUMBER, "13123", "kyllä", None), 0);
        assert_eq!(Client::Node.receive(story.port, "app", 1, &[]).mo, [mo("kyllä")], "from SMPP {version}");
        story.end();
    }
}
