use crate::smpp::status::Class;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::text::{DefaultAlphabet, LongMessages};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c21wcGd3IGRlY295IA$Qv2eqVmpc3xUtCcpVCKcJnZ9IBIkQpXNb7p2KzG4O9Y";

/// Files in memory: content and mode.
#[derive(Default)]
struct Memory(HashMap<PathBuf, (Vec<u8>, u32)>);

impl Memory {
    fn with(mut self, path: &str, content: &str, mode: u32) -> Self {
        self.0.insert(PathBuf::from(path), (content.as_bytes().to_vec(), mode));
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let (content, _) = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        if content.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content.clone()) }
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(self.0.get(path).ok_or(io::ErrorKind::NotFound)?.1)
    }

    fn credential(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("/run/credentials").join(name))
    }
}

fn faults_with(text: &str, files: &Memory) -> Vec<String> {
    match parse(text, "conf/x.toml", files) {
        Ok(config) => config.warnings.iter().map(Fault::to_string).collect(),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    }
}

fn faults(text: &str) -> Vec<String> {
    faults_with(text, &Memory::default())
}

/// One account, one operator, one route: the least that is useful.
const SMALL: &str = r#"
[[account]]
system_id = "shop"
password = "secret12"

[[operator]]
name = "elisa"

[[operator.bind]]
address = "smsc.example.fi:2775"
system_id = "gw"
password = "secret12"

[[route]]
prefix = ""
operators = "elisa"
"#;

fn small() -> Config {
    parse(SMALL, "conf/x.toml", &Memory::default()).expect("the small configuration")
}

#[test]
fn one_account_one_operator_and_one_route_need_fifteen_lines() {
    assert!(SMALL.lines().filter(|line| !line.is_empty()).count() <= 15);
    let config = small();
    assert_eq!(&*config.node.name, "gw");
    assert_eq!(config.node.data_dir, Path::new("/var/lib/smppgw"));
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:2775");
    assert_eq!(config.metrics.listen.expect("on").to_string(), "127.0.0.1:9464");
    assert_eq!(config.control.mode, 0o660);
    assert_eq!((config.accounts[0].binds, config.accounts[0].window, config.accounts[0].rate), (10, 100, None));
    assert_eq!(config.accounts[0].default_validity, Duration::from_secs(48 * 3600));
    let operator = &config.operators[0];
    assert_eq!((operator.window, operator.long_messages, operator.alphabet), (10, LongMessages::Udh8, DefaultAlphabet::Gsm7));
    assert_eq!(operator.timers.enquire_link, Some(Duration::from_secs(30)));
    assert_eq!(operator.binds[0].address.to_string(), "smsc.example.fi:2775");
    assert_eq!(config.routing.rules[0].prefixes, ["".into()]);
}

#[test]
fn every_fault_is_shown_in_one_run_with_its_line_field_and_what_was_expected() {
    let text = r#"
[node]
name = "my gateway"

[[account]]
system_id = "shop"
password_hash = "plain"
window = 0
binds = "ten"
max_part = 3

[[operator]]
name = "elisa"
enquire_link = "30"

[[route]]
prefix = ["+358"]
operators = ["elsa"]
"#;
    assert_eq!(
        faults(text),
        [
            "conf/x.toml:3: node.name: expected 1..=16 letters and digits, found \"my gateway\"",
            "conf/x.toml:7: account.password_hash: expected a PHC string such as smppgw hash-password prints",
            "conf/x.toml:8: account.window: expected 1..=10000, found 0",
            "conf/x.toml:9: account.binds: expected 1..=1000, found \"ten\"",
            "conf/x.toml:10: account.max_part: unknown key; did you mean max_parts?",
            "conf/x.toml:12: warning: operator.name: no route leads to \"elisa\"",
            "conf/x.toml:12: operator.bind: expected at least one [[operator.bind]], found none",
            "conf/x.toml:14: operator.enquire_link: expected a duration of \"1s\" to \"1h\", found \"30\"",
            "conf/x.toml:16: route.operators: there is no operator \"elsa\"; did you mean \"elisa\"?",
            "conf/x.toml:17: route.prefix: expected digits without +, or \"\" for all, found \"+358\"",
        ]
    );
}

#[test]
fn a_text_that_is_not_toml_is_a_fault_with_its_line() {
    let faults = faults("[node]\nname = \"gw\nport = 1\n");
    assert!(!faults.is_empty() && faults[0].starts_with("conf/x.toml:2: "), "{faults:?}");
}

#[test]
fn one_stray_bracket_does_not_bury_its_fault_under_hundreds_that_follow_from_it() {
    let faults = faults(&format!("a = [[[[[\\[[# \n{}\n", "}".repeat(200)));
    assert!(faults.len() <= 20 && faults[0].starts_with("conf/x.toml:1: "), "{faults:?}");
}

#[test]
fn a_key_given_twice_is_a_fault_with_its_line() {
    let faults = faults("[node]\nname = \"a\"\nname = \"b\"\n");
    assert!(faults[0].starts_with("conf/x.toml:3: "), "{faults:?}");
}

#[test]
fn an_unknown_section_names_the_nearest_known_one() {
    assert_eq!(faults("[timer]\n"), ["conf/x.toml:1: timer: unknown key; did you mean timers?"]);
    assert_eq!(faults("[zebra]\n"), ["conf/x.toml:1: zebra: unknown key"]);
}

#[test]
fn a_single_table_where_a_list_belongs_is_a_fault() {
    assert_eq!(faults("[account]\nsystem_id = \"a\"\n"), ["conf/x.toml:1: account: expected [[account]], found a table"]);
}

#[test]
fn columns_count_characters() {
    let result = parse("[node]\n\"näme\" = 1\nname = 1\n", "x.toml", &Memory::default()).expect_err("two faults");
    assert_eq!(result.iter().map(|fault| (fault.line, fault.column)).collect::<Vec<_>>(), [(2, 1), (3, 8)]);
}

#[test]
fn no_fault_and_no_debug_output_shows_a_password() {
    let text = SMALL.replace("\"secret12\"", "31337");
    assert!(!faults(&text).join("\n").contains("31337"));
    let text = SMALL.replace("password = \"secret12\"", "password_hash = \"31337\"");
    assert!(!faults(&text).join("\n").contains("31337"));
    let text = SMALL.replace("\"secret12\"", "secret12");
    assert!(!faults(&text).join("\n").contains("secret12"), "a text that is not TOML");
    assert!(!format!("{:?}", small()).contains("secret12"));
    let text = SMALL.replacen("password = \"secret12\"", &format!("password_hash = '{HASH}'"), 1);
    let config = parse(&text, "x.toml", &Memory::default()).expect("checked");
    assert!(!format!("{config:?}").contains("argon2id"));
}

#[test]
fn passwords_in_the_clear_are_warned_about() {
    let warnings = faults(SMALL);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("conf/x.toml:4: warning: account.password: is in the clear"));
}

#[test]
fn a_password_file_is_read_without_its_line_end_and_relative_to_the_configuration() {
    let files = Memory::default().with("conf/gw.secret", "s3cret\n", 0o100600);
    let text = SMALL.replacen("password = \"secret12\"", "password_file = \"gw.secret\"", 1);
    let config = parse(&text, "conf/x.toml", &files).expect("checked");
    assert_eq!(config.accounts[0].credential, Credential::Clear(Secret::new("s3cret")));
}

#[test]
fn a_password_file_may_be_a_credential_of_the_service_manager() {
    let files = Memory::default().with("/run/credentials/gw.secret", "s3cret", 0o100400);
    let text = SMALL.replacen("password = \"secret12\"", "password_file = \"credential:gw.secret\"", 1);
    let config = parse(&text, "conf/x.toml", &files).expect("checked");
    assert_eq!(config.accounts[0].credential, Credential::Clear(Secret::new("s3cret")));
    let outside = text.replace("credential:gw", "credential:../gw");
    assert!(faults_with(&outside, &files)[0].contains("without /"));
}

#[test]
fn a_tls_key_may_be_a_credential_of_the_service_manager() {
    let tls = "[[listener]]\nname = 'tls'\naddress = '[::]:3550'\ntls = { certificate = 'c.pem', key = 'credential:tls.key' }";
    let files = Memory::default().with("conf/c.pem", "", 0o100644).with("/run/credentials/tls.key", "", 0o100400);
    let config = parse(&format!("{SMALL}{tls}"), "conf/x.toml", &files).expect("checked");
    let key = config.listeners[0].tls.as_ref().map(|tls| tls.key.clone());
    assert_eq!(key, Some(PathBuf::from("/run/credentials/tls.key")));
}

#[test]
fn an_account_is_bound_to_a_certificate_only_where_one_is_asked_for() {
    let text = SMALL.replacen("password = \"secret12\"", "password = \"secret12\"\ncertificate = \"shop.example.fi\"", 1);
    let faulty = faults(&text);
    assert!(faulty.iter().any(|fault| fault.contains("account.certificate: expected a listener with client_ca")), "{faulty:?}");
    let nameless = text.replace("shop.example.fi", "no name");
    assert!(faults(&nameless).iter().any(|fault| fault.contains("the name in a client certificate")));
    let tls = "[[listener]]\nname = 'tls'\naddress = '[::]:3550'\ntls = { certificate = 'c', key = 'k', client_ca = 'ca' }";
    let files = ["c", "k", "ca"].iter().fold(Memory::default(), |files, name| files.with(&format!("conf/{name}"), "", 0o100600));
    assert!(parse(&format!("{text}{tls}"), "conf/x.toml", &files).is_ok());
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_about_and_a_missing_one_is_an_error() {
    let text = SMALL.replacen("password = \"secret12\"", "password_file = \"gw.secret\"", 1);
    let files = Memory::default().with("conf/gw.secret", "s3cret", 0o100644);
    assert!(faults_with(&text, &files)[0].contains("conf/gw.secret is readable by every user"));
    assert!(faults(&text)[0].contains("account.password_file: conf/gw.secret cannot be read"));
}

#[test]
fn an_account_has_exactly_one_kind_of_password() {
    let none = SMALL.replacen("password = \"secret12\"", "", 1);
    assert!(faults(&none)[0].contains("expected one of password_hash, password_file and password"));
    let two = SMALL.replacen("password =", &format!("password_hash = '{HASH}'\npassword ="), 1);
    assert!(faults(&two).iter().any(|fault| fault.contains("expected only one of password_hash and password")));
}

#[test]
fn a_hash_that_would_take_the_machine_is_refused() {
    assert_eq!(argon2id_fault(HASH), None);
    assert!(argon2id_fault(&HASH.replace("m=19456", "m=4194304")).is_some());
    assert!(argon2id_fault(&HASH.replace("argon2id", "argon2d")).is_some());
}

#[test]
fn hashes_that_take_different_times_are_warned_about() {
    let account = |name: &str, hash: &str| format!("[[account]]\nsystem_id = \"{name}\"\npassword_hash = '{hash}'\n");
    let with = |second: &str| faults(&format!("{SMALL}\n{}{}", account("a", HASH), account("b", second)));
    let told =
        |faults: Vec<String>| faults.into_iter().filter(|fault| fault.contains("account.password_hash")).collect::<Vec<_>>();
    assert_eq!(told(with(HASH)), Vec::<String>::new());
    let warnings = told(with(&HASH.replace("t=2", "t=3")));
    assert!(warnings.len() == 1 && warnings[0].contains("warning") && warnings[0].contains("m=19456,t=3,p=1"), "{warnings:?}");
}

#[test]
fn a_national_number_of_incoming_messages_is_warned_about() {
    let with = |number: &str| faults(&format!("{SMALL}\n[[inbound]]\nnumber = \"{number}\"\naccount = \"shop\"\n"));
    let warned = |number: &str| with(number).iter().any(|fault| fault.contains("warning: inbound.number"));
    assert!(warned("04570003344") && !warned("+3584570003344") && !warned("13123"));
}

#[test]
fn tls_files_must_exist() {
    let text =
        format!("{SMALL}\n[[listener]]\nname = \"tls\"\naddress = \"0.0.0.0:3550\"\ntls = {{ certificate = \"a.pem\" }}\n");
    let faults = faults(&text);
    assert!(faults.iter().any(|fault| fault.contains("listener.tls.certificate: conf/a.pem cannot be read")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("listener.tls.key: expected the path of a PEM file")), "{faults:?}");
}

#[test]
fn tls_of_a_bind_is_a_switch_or_a_table() {
    let with = |tls: &str| {
        let text = SMALL.replace("system_id = \"gw\"", &format!("system_id = \"gw\"\ntls = {tls}"));
        parse(&text, "x.toml", &Memory::default()).expect("checked").operators[0].binds[0].tls.clone()
    };
    assert_eq!(with("false"), None);
    assert_eq!(with("true"), Some(ClientTls::default()));
    let named = ClientTls { name: Some("smsc.example".into()), ..ClientTls::default() };
    assert_eq!(with("{ name = \"smsc.example\" }"), Some(named));
    let text = SMALL.replace("system_id = \"gw\"", "system_id = \"gw\"\ntls = { verify = false }");
    assert!(faults(&text).iter().any(|fault| fault.contains("operator.bind.tls.verify: unknown key")));
}

#[test]
fn names_and_addresses_are_unique() {
    let text = format!("{SMALL}\n{SMALL}");
    let faults = faults(&text);
    assert!(faults.iter().any(|fault| fault.contains("account.system_id: \"shop\" is already used in line 2")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("operator.name: \"elisa\" is already used in line 6")), "{faults:?}");
}

#[test]
fn an_inbound_rule_needs_an_account_that_exists() {
    let text = format!("{SMALL}\n[[inbound]]\nnumber = \"13123\"\naccount = \"shpo\"\n");
    assert!(faults(&text).iter().any(|fault| fault.contains("there is no account \"shpo\"; did you mean \"shop\"?")));
}

#[test]
fn an_account_that_no_route_serves_is_warned_about() {
    let text = SMALL.replace("operators = \"elisa\"", "operators = \"elisa\"\naccount = \"other\"");
    let text = format!("{text}\n[[account]]\nsystem_id = \"other\"\npassword_hash = '{HASH}'\n");
    assert!(faults(&text).iter().any(|fault| fault.contains("no route serves \"shop\"")));
}

#[test]
fn timers_of_a_session_come_from_its_section_or_the_common_one() {
    let text = SMALL.replace("name = \"elisa\"", "name = \"elisa\"\nenquire_link = \"0s\"\nresponse = \"9s\"");
    let text = text.replace("system_id = \"shop\"", "system_id = \"shop\"\ntimers = { inactivity = \"5m\" }");
    let config = parse(&format!("{text}\n[timers]\nresponse = \"7s\"\n"), "x.toml", &Memory::default()).expect("checked");
    assert_eq!((config.operators[0].timers.enquire_link, config.operators[0].timers.response.as_secs()), (None, 9));
    assert_eq!(config.accounts[0].timers.inactivity, Some(Duration::from_secs(300)));
    assert_eq!(config.accounts[0].timers.response.as_secs(), 7);
}

#[test]
fn status_classes_are_read_by_code_and_word() {
    let with = |table: &str| SMALL.replace("name = \"elisa\"", &format!("name = \"elisa\"\nstatus = {table}"));
    let text = with("{ \"0x0400\" = \"temporary\", 69 = \"permanent\" }");
    let config = parse(&text, "x.toml", &Memory::default()).expect("checked");
    assert_eq!(config.operators[0].status[&0x400], Class::Temporary);
    assert_eq!(config.operators[0].status[&69], Class::Permanent);
    let faults = faults(&with("{ \"0x0400\" = \"later\", \"0x00\" = \"bug\" }")).join("\n");
    assert!(faults.contains("operator.status.0x0400: expected ok | throttle | temporary"), "{faults}");
    assert!(faults.contains("operator.status.0x00: expected a command_status other than 0"), "{faults}");
}

#[test]
fn an_operator_without_tlvs_cannot_take_sar_or_payload() {
    let text = SMALL.replace("name = \"elisa\"", "name = \"elisa\"\ntlvs = false\nlong_messages = \"sar\"");
    assert!(faults(&text).iter().any(|fault| fault.contains("expected udh8 | udh16")));
}

#[test]
fn an_operator_of_smpp_3_3_has_no_tlvs() {
    let with = |more: &str| SMALL.replace("name = \"elisa\"", &format!("name = \"elisa\"\ninterface_version = \"3.3\"\n{more}"));
    let with = |more: &str| with(more).replace("[[operator.bind]]", "[[operator.bind]]\ntype = \"transmitter\"");
    let config = parse(&with(""), "x.toml", &Memory::default()).expect("checked");
    assert!(!config.operators[0].tlvs);
    let config = parse(&with("tlvs = true"), "x.toml", &Memory::default()).expect("a warning at most");
    assert!(!config.operators[0].tlvs);
}

#[test]
fn a_spool_holds_several_segments() {
    let fault = &faults("[spool]\nsegment_size = \"1GiB\"\nmax_size = \"2GiB\"\n")[0];
    assert_eq!(fault, "conf/x.toml:3: spool.max_size: expected at least 4GiB for these segments, found 2GiB");
}

#[test]
fn where_a_section_stands_is_no_part_of_its_meaning() {
    let moved = parse(&format!("# a comment\n\n{SMALL}"), "conf/x.toml", &Memory::default()).expect("checked");
    assert_ne!(moved.accounts[0].line.0, small().accounts[0].line.0);
    assert_eq!(moved.accounts, small().accounts);
    assert_ne!(parse(&SMALL.replace("12", "13"), "x", &Memory::default()).expect("checked").accounts, small().accounts);
}

#[test]
fn the_annotated_reference_is_a_good_configuration() {
    let config = parse(include_str!("../../conf/smppgw.toml"), "smppgw.toml", &Memory::default()).expect("checked");
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].field == "operator.bind.password");
}

/// What is commented out in the reference is said to be the default: uncommenting it must change nothing. Lines whose comment
/// is no single `key = value`, and examples without a default, are left alone.
#[test]
fn the_defaults_in_the_annotated_reference_are_the_defaults() {
    let text = include_str!("../../conf/smppgw.toml");
    let examples = [
        "password",
        "tls",
        "allow_from",
        "certificate",
        "workers",
        "status",
        "prefixes",
        "ported",
        "account",
        "sender",
        "keyword",
    ];
    let uncommented = text.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|rest| rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)));
        let example = |setting: &str| examples.iter().any(|example| setting.starts_with(example));
        setting
            .filter(|setting| !example(setting) && !setting.starts_with("name = \"tls\"") && !setting.contains("0.0.0.0:3550"))
            .unwrap_or(line)
    });
    let uncommented: String = uncommented.map(|line| format!("{line}\n")).collect();
    let with_defaults = parse(&uncommented, "smppgw.toml", &Memory::default()).expect("checked");
    assert_eq!(with_defaults, parse(text, "smppgw.toml", &Memory::default()).expect("checked"));
    assert!(
        uncommented.lines().filter(|line| line.starts_with('#')).count()
            < text.lines().filter(|l| l.starts_with('#')).count() - 40
    );
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_lowercase() || c == b'_' || c.is_ascii_digit())
}

#[test]
fn the_demo_is_a_good_configuration() {
    let files = Memory::default().with("conf/prefixes.csv", "", 0o100644).with("conf/ported.csv", "", 0o100644);
    let config = parse(include_str!("../../conf/demo.toml"), "conf/demo.toml", &files).expect("checked");
    assert_eq!(config.node.data_dir, Path::new("conf/../data/demo"));
    assert!(config.warnings.iter().all(|warning| warning.field.ends_with(".password")), "{:?}", config.warnings);
    assert!(config.listeners.iter().all(|listener| listener.address.ip().is_loopback()));
    assert_eq!(config.operators.iter().flat_map(|operator| &operator.binds).map(|bind| bind.count).sum::<usize>(), 10);
}

#[test]
fn small_languages_are_read() {
    assert_eq!(values::size("64MiB"), Some(64 << 20));
    assert_eq!(values::size("1 KB"), Some(1000));
    assert_eq!(values::size("17"), Some(17));
    assert_eq!([values::size("MiB"), values::size("-1B"), values::size("99999999999TiB")], [None; 3]);
    assert_eq!(values::host_port("[::1]:2775").expect("valid").to_string(), "[::1]:2775");
    assert_eq!(
        [values::host_port("::1:2775"), values::host_port("a:0"), values::host_port(":1"), values::host_port("a")],
        [const { None }; 4]
    );
    assert_eq!(values::utc_offset("-03:30").expect("valid").whole_minutes(), -210);
    assert_eq!([values::utc_offset("+2"), values::utc_offset("02:00"), values::utc_offset("+02:60")], [None; 3]);
    assert_eq!((values::status_code("0x45"), values::status_code("69"), values::status_code("0x+5")), (Some(69), Some(69), None));
    assert_eq!([values::mode("0660"), values::mode("rw"), values::mode("7777")], [Some(0o660), None, None]);
    assert!(values::is_sender("SHOP") && values::is_sender("+358401234567") && values::is_sender("13123"));
    assert!(!values::is_sender("TOO LONG A NAME") && !values::is_sender("") && !values::is_sender("+SHOP"));
}

#[test]
fn the_nearest_name_is_near() {
    assert_eq!(nearest("enqire_link", ["enquire_link", "inactivity"]), Some("enquire_link"));
    assert_eq!(nearest("foo", ["enquire_link", "inactivity"]), None);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*|([a-z\\[\\]=\"{},\n .0-9]|account|operator|bind|tls|route){0,60}") {
        let _ = parse(&text, "x.toml", &Memory::default());
    }

    #[test]
    fn a_damaged_configuration_is_read_or_refused(at in 0..SMALL.len(), with in any::<u8>()) {
        let mut text = SMALL.as_bytes().to_vec();
        text[at] = with & 0x7F;
        let _ = parse(&String::from_utf8_lossy(&text), "x.toml", &Memory::default());
    }

    #[test]
    fn a_size_shown_is_the_size_read(size in any::<u64>()) {
        prop_assert_eq!(values::size(&values::show_size(size)), Some(size));
    }
}
