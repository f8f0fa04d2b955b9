//! SMPP times: `YYMMDDhhmmsstnnp`, absolute or relative, and the dates of receipts (SMPP 5.0 section 4.7.23).

use std::time::Duration;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::Strictness;
use crate::message::Timestamp;

/// A time that is not one. Answer ESME_RINVSCHED or ESME_RINVEXPIRY, by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTime;

impl std::fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an SMPP time")
    }
}

impl std::error::Error for InvalidTime {}

/// Reads a `schedule_delivery_time`, `validity_period` or `final_date`, without terminator; `None` when it is empty.
///
/// Relative times count from `now`, calendar months and years included. A lenient reader also takes times without tenths and
/// offset (`YYMMDDhhmm`, `YYMMDDhhmmss`), which it reads as UTC.
///
/// # Errors
///
/// Another length, other characters, or a field out of range (month 13, hour 24, offset above 48 quarters).
pub fn parse(text: &[u8], now: Timestamp, strictness: Strictness) -> Result<Option<Timestamp>, InvalidTime> {
    match (text.len(), strictness) {
        (0, _) => Ok(None),
        (16, _) => {
            let tenths = decimal(&text[12..13])?;
            let quarters = decimal(&text[13..15])?;
            match text[15] {
                b'R' => relative(text, now, strictness).map(Some),
                sign @ (b'+' | b'-') if quarters <= 48 => {
                    let ahead = i64::from(quarters) * 15 * 60 * if sign == b'+' { 1 } else { -1 };
                    absolute(&text[..12], tenths, ahead).map(Some)
                }
                _ => Err(InvalidTime),
            }
        }
        (10 | 12, Strictness::Lenient) => absolute(text, 0, 0).map(Some),
        _ => Err(InvalidTime),
    }
}

/// `local` is `YYMMDDhhmm` or `YYMMDDhhmmss`; `ahead` is how many seconds it is ahead of UTC.
fn absolute(local: &[u8], tenths: u8, ahead: i64) -> Result<Timestamp, InvalidTime> {
    let seconds = local.get(10..12).map_or(Ok(0), decimal)?;
    let month = Month::try_from(decimal(&local[2..4])?).map_err(|_| InvalidTime)?;
    let date = Date::from_calendar_date(2000 + i32::from(decimal(&local[..2])?), month, decimal(&local[4..6])?);
    let time = Time::from_hms(decimal(&local[6..8])?, decimal(&local[8..10])?, seconds);
    let (Ok(date), Ok(time)) = (date, time) else { return Err(InvalidTime) };
    let utc = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() - ahead;
    let milliseconds = utc * 1000 + i64::from(tenths) * 100;
    u64::try_from(milliseconds).map(Timestamp).map_err(|_| InvalidTime)
}

fn relative(text: &[u8], now: Timestamp, strictness: Strictness) -> Result<Timestamp, InvalidTime> {
    let mut fields = [0u8; 6];
    for (field, digits) in fields.iter_mut().zip(text.chunks_exact(2)) {
        *field = decimal(digits)?;
    }
    let [years, months, days, hours, minutes, seconds] = fields;
    let within = months <= 12 && days <= 31 && hours <= 23 && minutes <= 59 && seconds <= 59 && &text[12..15] == b"000";
    // Clients write "000000480000000R" for two days; that is clear enough.
    if strictness == Strictness::Strict && !within {
        return Err(InvalidTime);
    }
    let months = u32::from(years) * 12 + u32::from(months);
    let start = if months == 0 { now } else { plus_months(now, months) };
    let hours = u64::from(days) * 24 + u64::from(hours);
    let seconds = (hours * 60 + u64::from(minutes)) * 60 + u64::from(seconds);
    Ok(start.plus(Duration::from_secs(seconds)))
}

/// The same day of a later month, or its last day where it is shorter.
fn plus_months(from: Timestamp, months: u32) -> Timestamp {
    let start = calendar(from, UtcOffset::UTC);
    let index = u32::from(u8::from(start.month())) - 1 + months;
    let year = start.year() + i32::try_from(index / 12).unwrap_or(i32::MAX / 2);
    let month = Month::January.nth_next(u8::try_from(index % 12).unwrap_or(0));
    let day = start.day().min(month.length(year));
    let Ok(date) = Date::from_calendar_date(year, month, day) else { return Timestamp::NEVER };
    let shifted = start.replace_date(date).unix_timestamp();
    u64::try_from(shifted * 1000).map_or(Timestamp::NEVER, |at| Timestamp(at + from.0 % 1000))
}

/// Two decimal digits, or one.
fn decimal(digits: &[u8]) -> Result<u8, InvalidTime> {
    digits.iter().try_fold(0u8, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + (digit - b'0')),
        _ => Err(InvalidTime),
    })
}

/// The last moment two digits of year can tell, 2099-12-31T23:59:59Z, in seconds; later times are written as this one.
const LAST_SECOND: i64 = 4_102_444_799;

/// Local date and time at an offset from UTC.
fn calendar(at: Timestamp, offset: UtcOffset) -> OffsetDateTime {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    let utc = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    utc.checked_to_offset(offset).unwrap_or(utc)
}

/// `YYMMDDhhmmsstnnp` in local time at `offset`, which is rounded towards zero to a quarter of an hour.
pub fn format_absolute(at: Timestamp, offset: UtcOffset) -> [u8; 16] {
    let quarters = offset.whole_minutes() / 15;
    let offset = UtcOffset::from_whole_seconds(i32::from(quarters) * 15 * 60).unwrap_or(UtcOffset::UTC);
    let mut text = [b'0'; 16];
    put_date(&mut text, calendar(at, offset), 6);
    text[12] = b'0' + u8::try_from(at.0 / 100 % 10).unwrap_or(0);
    put_two(&mut text[13..15], quarters.unsigned_abs().try_into().unwrap_or(0));
    text[15] = if quarters < 0 { b'-' } else { b'+' };
    text
}

/// A relative time, `0000DDhhmmss000R`: so long from the centre's present moment, at most 99 days, never less than a second.
pub fn format_relative(duration: std::time::Duration) -> [u8; 16] {
    const LONGEST: u64 = 99 * 86_400;
    let seconds = duration.as_secs().clamp(1, LONGEST);
    let fields = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let mut text = *b"000000000000000R";
    for (place, value) in fields.into_iter().enumerate() {
        let at = 4 + 2 * place;
        put_two(&mut text[at..at + 2], value.try_into().unwrap_or(0));
    }
    text
}

/// The first `fields` of year, month, day, hour, minute, second.
fn put_date(text: &mut [u8], at: OffsetDateTime, fields: usize) {
    let year = u8::try_from(at.year().rem_euclid(100)).unwrap_or(0);
    let values = [year, at.month().into(), at.day(), at.hour(), at.minute(), at.second()];
    for (place, value) in text.chunks_exact_mut(2).zip(values).take(fields) {
        put_two(place, value);
    }
}

fn put_two(place: &mut [u8], value: u8) {
    place[0] = b'0' + value / 10 % 10;
    place[1] = b'0' + value % 10;
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
