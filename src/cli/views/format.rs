//! Numbers, sizes and times as people read them at night.

use time::OffsetDateTime;
use time::macros::format_description;

/// A number in groups of three: 1,234,567.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of at most so many: 3/8; without a maximum the number alone.
pub(super) fn ratio<N: TryInto<u64>>(number: N, maximum: N) -> String {
    match maximum.try_into().unwrap_or(u64::MAX) {
        0 => count(number),
        maximum => format!("{}/{}", count(number), count(maximum)),
    }
}

/// Octets in the binary unit that leaves a short number: 512 B, 1.5 KiB, 64 MiB.
pub(super) fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = octets;
    let mut tenths = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if whole < 10 && tenths > 0 { format!("{whole}.{tenths} {}", UNITS[unit]) } else { format!("{whole} {}", UNITS[unit]) }
}

/// How long ago a moment was.
pub(super) fn age(now: u64, at: u64) -> String {
    span(now.saturating_sub(at))
}

/// A time in its fitting unit: 3 s, 2 min, 5 h, 3 d.
pub(super) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A moment in UTC: 2026-11-22 20:50:24Z.
pub(super) fn utc(at: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let moment = i64::try_from(at / 1_000).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_so_that_millions_are_seen() {
        assert_eq!([count(0u64), count(999u64), count(1_000u64), count(12_345_678u64)], ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([ratio(3usize, 8), ratio(3usize, 0)], ["3/8", "3"]);
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1_023, 1_024, 1_536, 64 << 20, (20 << 30) - 1, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "64 MiB", "19 GiB", "16777215 TiB"]);
    }

    #[test]
    fn times_have_one_unit() {
        let spans = [0, 3_999, 119_000, 120_000, 7_199_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(spans, ["0 s", "3 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
        assert_eq!(age(5_000, 9_000), "0 s");
        assert_eq!(utc(1_700_000_000_123), "2023-11-14 22:13:20Z");
    }
}
