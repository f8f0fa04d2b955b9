//! Message ids as operators write them.

use std::fmt::Write;

use smallvec::SmallVec;

use crate::receipt::ReceiptId;

/// How an operator writes its message ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum IdForm {
    #[default]
    Dec,
    /// Lower-case hexadecimal without leading zeros.
    Hex,
    /// Decimal with leading zeros, twenty digits.
    Padded,
    Uuid,
}

/// An id as characters; none is longer than a UUID.
pub type IdText = SmallVec<[u8; 40]>;

/// The number as the response gives it.
pub fn response_form(id: u64, form: IdForm) -> IdText {
    match form {
        IdForm::Dec => written(format_args!("{id}")),
        IdForm::Hex => written(format_args!("{id:x}")),
        IdForm::Padded => written(format_args!("{id:020}")),
        // Version 4, variant 1, with the number where the random bits would be.
        IdForm::Uuid => {
            let [high, middle, low] = [id >> 32, id >> 16 & 0xFFFF, id & 0xFFFF];
            written(format_args!("{high:08x}-{middle:04x}-4000-8000-00000000{low:04x}"))
        }
    }
}

/// The number as the receipt gives it.
pub fn receipt_form(id: u64, form: IdForm, receipt: ReceiptId) -> IdText {
    match receipt {
        ReceiptId::Same => response_form(id, form),
        ReceiptId::Hex => written(format_args!("{id:X}")),
        ReceiptId::Dec => written(format_args!("{id}")),
    }
}

/// Writes the ids of responses. They mostly follow each other, and then differ in a digit.
#[derive(Debug, Default)]
pub struct Writer {
    number: u64,
    form: IdForm,
    text: IdText,
}

impl Writer {
    /// Writes the number as the response gives it.
    #[inline]
    pub fn write(&mut self, number: u64, form: IdForm) {
        let follows = number == self.number.wrapping_add(1) && form == self.form && form != IdForm::Uuid;
        if !(follows && increment(&mut self.text, form)) {
            self.text = response_form(number, form);
        }
        self.number = number;
        self.form = form;
    }

    /// The number last written.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What was last written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Adds one to a number as written; false when it needs another digit.
fn increment(digits: &mut [u8], form: IdForm) -> bool {
    for digit in digits.iter_mut().rev() {
        match (*digit, form) {
            (b'9', IdForm::Hex) => *digit = b'a',
            (b'9' | b'f', _) => {
                *digit = b'0';
                continue;
            }
            _ => *digit += 1,
        }
        return true;
    }
    false
}

fn written(text: std::fmt::Arguments<'_>) -> IdText {
    let mut id = Characters(IdText::new());
    // Writing to memory does not fail.
    let _ = id.write_fmt(text);
    id.0
}

struct Characters(IdText);

impl Write for Characters {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_the_forms_operators_give_it() {
        let forms = [
            (IdForm::Dec, "1000000000000042"),
            (IdForm::Hex, "38d7ea4c6802a"),
            (IdForm::Padded, "00001000000000000042"),
            (IdForm::Uuid, "00038d7e-a4c6-4000-8000-00000000802a"),
        ];
        for (form, expected) in forms {
            assert_eq!(response_form(1_000_000_000_000_042, form).as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn the_receipt_may_write_it_otherwise_than_the_response() {
        assert_eq!(receipt_form(0xAB, IdForm::Dec, ReceiptId::Hex).as_slice(), b"AB");
        assert_eq!(receipt_form(0xAB, IdForm::Hex, ReceiptId::Dec).as_slice(), b"171");
        assert_eq!(receipt_form(0xAB, IdForm::Hex, ReceiptId::Same).as_slice(), b"ab");
    }

    proptest! {
        #[test]
        fn ids_in_a_row_are_written_like_single_ones(start in prop_oneof![0u64..120, 0xFF0..0x1010u64, 990_000..1_000_010u64, any::<u64>()]) {
            let forms = [IdForm::Dec, IdForm::Hex, IdForm::Padded, IdForm::Uuid];
            for form in forms {
                let mut writer = Writer::default();
                for number in (start..).take(30) {
                    writer.write(number, form);
                    let expected = response_form(number, form);
                    prop_assert_eq!(writer.text(), expected.as_slice());
                }
            }
        }
    }
}
