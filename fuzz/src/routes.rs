//! Any octets are a table of routes or have faults, each at a line that exists; a plain table means what it says.

use std::collections::BTreeMap;

use smppgw::message::OperatorKey;
use smppgw::route::{Query, Table, TableBuilder};

const OPERATORS: [&str; 3] = ["elisa", "telia", "dna"];
/// Faults listed at most, with the one that says how many are not.
const FAULTS: usize = 1001;

/// The first octet says which table it is: of prefixes or of ported numbers.
pub fn run(data: &[u8]) {
    let Some((&which, text)) = data.split_first() else { return };
    let ported = which & 1 == 1;
    let lines = text.iter().filter(|octet| **octet == b'\n').count() as u32 + 1;
    match build(text, ported) {
        Ok(table) => as_written(&table, text, ported),
        Err(faults) => {
            assert!((1..=FAULTS).contains(&faults.len()));
            assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{faults:?}");
        }
    }
}

fn build(text: &[u8], ported: bool) -> Result<Table, Vec<smppgw::route::Fault>> {
    let mut operator = |name: &str| key(name);
    let mut account = |_: &str| None;
    let mut builder = TableBuilder::new(&mut operator, &mut account);
    if ported {
        builder.ported("table.csv", text);
    } else {
        builder.prefixes("table.csv", text);
    }
    builder.build()
}

fn key(name: &str) -> Option<OperatorKey> {
    OPERATORS.iter().position(|known| *known == name).map(|at| OperatorKey(at as u16))
}

/// What stands in plain rows (`digits,operator`) is what a number that begins so, or is that number, gets.
fn as_written(table: &Table, text: &[u8], ported: bool) {
    let plain = |line: &[u8]| -> Option<(String, OperatorKey)> {
        let (digits, name) = std::str::from_utf8(line).ok()?.split_once(',')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
        is_number.then_some((digits.to_owned(), key(name)?))
    };
    let rows: Option<BTreeMap<String, OperatorKey>> = text.split(|octet| *octet == b'\n').map(plain).collect();
    for (digits, operator) in rows.iter().flatten() {
        let chosen = table.choose(&Query { destination: digits.as_bytes(), account: "shop", sender: b"SHOP" });
        let chosen = chosen.unwrap_or_else(|| panic!("nothing for {digits}"));
        assert_eq!((chosen.operators, chosen.prefix.is_none()), (&[*operator][..], ported), "{digits}");
    }
}
