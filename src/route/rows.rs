//! CSV rows with the line numbers a person sees in an editor.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};

use super::fault::Faults;

/// Calls `each(line, fields, faults)` for every row, the fields in the order of `columns`; absent ones are empty.
///
/// Lines beginning with `#` and blank lines are skipped; space around fields is not part of them. The first row may name the
/// columns, which then may stand in any order among others; without names the columns are taken in the order of `columns`.
pub(super) fn read_rows<const N: usize>(
    source: &str,
    input: impl Read,
    columns: [&'static str; N],
    faults: &mut Faults,
    mut each: impl FnMut(u32, [&[u8]; N], &mut Faults),
) {
    // The reader's own positions begin at the comments before a row, and count "\r\n" late. With "\n" as the terminator ("\r" is
    // trimmed as space) and a final one assured, the line after a row is always one past it.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(input.chain(&b"\n"[..]));
    let mut places: [Option<usize>; N] = std::array::from_fn(Some);
    let mut record = ByteRecord::new();
    let mut first = true;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                return faults.add(source, line_number(reader.position()), columns[0], format!("cannot be read: {error}"));
            }
        }
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        let line = line_number(reader.position()).saturating_sub(1);
        if std::mem::take(&mut first) && record.iter().any(|field| field == columns[0].as_bytes()) {
            places = columns.map(|column| record.iter().position(|field| field == column.as_bytes()));
            continue;
        }
        each(line, places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default()), faults);
    }
}

fn line_number(position: &csv::Position) -> u32 {
    u32::try_from(position.line()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u32, String, String)> {
        let mut rows = Vec::new();
        read_rows(
            "test.csv",
            text.as_bytes(),
            ["prefix", "operators"],
            &mut Faults::default(),
            |line, [prefix, operators], _| {
                let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
                rows.push((line, text(prefix), text(operators)));
            },
        );
        rows
    }

    #[test]
    fn line_numbers_count_comments_and_blank_lines() {
        let expected = vec![(3, "358".into(), "elisa".into()), (6, "46".into(), "world".into())];
        let text = "# head\n\n358,elisa\n# more\n\n46,world";
        assert_eq!(rows(text), expected);
        assert_eq!(rows(&text.replace('\n', "\r\n")), expected);
        assert_eq!(rows(&format!("{text}\n\n# tail\n")), expected);
    }

    #[test]
    fn named_columns_may_stand_in_any_order_among_others() {
        assert_eq!(rows("holder,operators,prefix\nElisa,elisa|dna,35850\n"), vec![(2, "35850".into(), "elisa|dna".into())]);
    }

    #[test]
    fn unnamed_columns_are_taken_in_order_and_missing_fields_are_empty() {
        assert_eq!(rows(" 358 , elisa ,FI\n46"), vec![(1, "358".into(), "elisa".into()), (2, "46".into(), String::new())]);
    }

    #[test]
    fn a_quoted_field_may_hold_a_comma() {
        assert_eq!(rows("\"358\",\"a,b\"\r\n"), vec![(1, "358".into(), "a,b".into())]);
    }
}
