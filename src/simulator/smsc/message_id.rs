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
}
