//! The receipt text we write to applications (SMPP 3.4 appendix B).

use bytes::BufMut;

use super::State;
use crate::message::Timestamp;

/// The most of the message's own text that a receipt repeats.
const LONGEST_TEXT: usize = 20;

/// What a receipt says.
#[derive(Debug, Clone, Copy)]
pub struct ReceiptText<'a> {
    /// The id our response gave.
    pub id: &'a [u8],
    /// Parts submitted and parts delivered, 0 to 999.
    pub submitted_parts: u16,
    pub delivered_parts: u16,
    pub submitted: Timestamp,
    pub done: Timestamp,
    /// Seconds the dates are ahead of UTC.
    pub utc_offset: i32,
    pub state: State,
    /// The operator's `err` as it wrote it; empty for `000`.
    pub error: &'a [u8],
    /// The beginning of the message's text, cut here to 20 octets; usually empty, for the text is private.
    pub text: &'a [u8],
}

/// Appends the receipt text, at most about 180 octets.
pub fn write(receipt: &ReceiptText<'_>, out: &mut impl BufMut) {
    out.put_slice(b"id:");
    out.put_slice(receipt.id);
    out.put_slice(b" sub:");
    out.put_slice(&three_digits(receipt.submitted_parts));
    out.put_slice(b" dlvrd:");
    out.put_slice(&three_digits(receipt.delivered_parts));
    out.put_slice(b" submit date:");
    out.put_slice(&date(receipt.submitted, receipt.utc_offset));
    out.put_slice(b" done date:");
    out.put_slice(&date(receipt.done, receipt.utc_offset));
    out.put_slice(b" stat:");
    out.put_slice(receipt.state.word().as_bytes());
    out.put_slice(b" err:");
    out.put_slice(if receipt.error.is_empty() { b"000" } else { receipt.error });
    out.put_slice(b" text:");
    out.put_slice(&receipt.text[..receipt.text.len().min(LONGEST_TEXT)]);
}

fn three_digits(value: u16) -> [u8; 3] {
    let value = value.min(999);
    let [tens, units] = two_digits((value % 100) as u8);
    [b'0' + (value / 100) as u8, tens, units]
}

fn two_digits(value: u8) -> [u8; 2] {
    [b'0' + value / 10, b'0' + value % 10]
}

/// `YYMMDDhhmm` on a clock `utc_offset` seconds ahead of UTC; zeros when that clock is before 1970 or after 9999.
fn date(moment: Timestamp, utc_offset: i32) -> [u8; 10] {
    const DAY: u64 = 24 * 60 * 60;
    let mut digits = [b'0'; 10];
    let clock_face = (moment.0 / 1000).checked_add_signed(utc_offset.into());
    if let Some(seconds) = clock_face.filter(|seconds| seconds / DAY <= LAST_DAY) {
        let [year, month, day] = calendar((seconds / DAY) as u32);
        let minutes = (seconds % DAY / 60) as u32;
        let values = [year % 100, month, day, minutes / 60, minutes % 60];
        for (pair, value) in digits.as_chunks_mut().0.iter_mut().zip(values) {
            *pair = two_digits(value as u8);
        }
    }
    digits
}

/// 9999-12-31, in days since 1970-01-01.
const LAST_DAY: u64 = 2_932_896;

/// Year, month and day, so many days after 1970-01-01. Years are counted from March here, so that the leap day is the last of its
/// year, and in eras of 400, which all have the same number of days.
fn calendar(days: u32) -> [u32; 3] {
    /// From the 1st of March of the year 0 to 1970-01-01.
    const BEFORE_1970: u32 = 719_468;
    const ERA: u32 = 146_097;
    let days = days + BEFORE_1970;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months in a row have 153 days, whichever they begin with in March.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    [era * 400 + year + next_year, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::text::{Delivery, from_parts};
    use proptest::prelude::*;

    const NOON: Timestamp = Timestamp(1_704_448_800_000); // 2024-01-05 10:00 UTC

    fn receipt(state: State) -> ReceiptText<'static> {
        ReceiptText {
            id: b"0A1B2C",
            submitted_parts: 1,
            delivered_parts: 1,
            submitted: NOON,
            done: NOON.plus(std::time::Duration::from_secs(65)),
            utc_offset: 2 * 3600,
            state,
            error: b"",
            text: b"",
        }
    }

    fn written(receipt: &ReceiptText<'_>) -> String {
        let mut out = Vec::new();
        write(receipt, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn the_text_is_the_typical_one_in_local_time() {
        assert_eq!(
            written(&receipt(State::Delivered)),
            "id:0A1B2C sub:001 dlvrd:001 submit date:2401051200 done date:2401051201 stat:DELIVRD err:000 text:"
        );
    }

    #[test]
    fn the_operators_error_and_the_first_twenty_octets_are_repeated() {
        let text = written(&ReceiptText {
            submitted_parts: 12,
            delivered_parts: 0,
            error: b"0x1F",
            text: b"abcdefghijklmnopqrstuvwxyz",
            ..receipt(State::Undeliverable)
        });
        assert!(text.starts_with("id:0A1B2C sub:012 dlvrd:000 "), "{text}");
        assert!(text.ends_with("stat:UNDELIV err:0x1F text:abcdefghijklmnopqrst"), "{text}");
    }

    #[test]
    fn never_is_written_as_zeros() {
        let text = written(&ReceiptText { done: Timestamp::NEVER, ..receipt(State::Expired) });
        assert!(text.contains("done date:0000000000 "), "{text}");
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(days in 0..=LAST_DAY as u32) {
            let date = time::Date::from_julian_day(2_440_588 + days as i32).unwrap();
            let expected = [date.year() as u32, u8::from(date.month()).into(), date.day().into()];
            prop_assert_eq!(calendar(days), expected);
        }

        #[test]
        fn what_we_write_our_parser_reads(state in 0u8..10, minutes in 16_000_000u64..40_000_000) {
            let moment = Timestamp(minutes * 60_000);
            let state = State::from_number(state).unwrap();
            let text = written(&ReceiptText { done: moment, utc_offset: 0, ..receipt(state) });
            let read = from_parts(Delivery { esm_class: 4, text: text.as_bytes(), ..Delivery::default() }).unwrap();
            prop_assert_eq!(&read.id[..], b"0A1B2C");
            prop_assert_eq!(read.state, state);
            prop_assert_eq!(read.done.unwrap().seconds, minutes as i64 * 60);
        }
    }
}
