use proptest::prelude::*;
use time::macros::{datetime, offset};

use super::*;

fn at(moment: OffsetDateTime) -> Timestamp {
    Timestamp(u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).expect("after 1970"))
}

fn both(text: &str, now: Timestamp) -> [Result<Option<Timestamp>, InvalidTime>; 2] {
    [Strictness::Strict, Strictness::Lenient].map(|strictness| parse(text.as_bytes(), now, strictness))
}

#[test]
fn an_empty_time_is_not_given() {
    assert_eq!(both("", Timestamp(0)), [Ok(None); 2]);
}

#[test]
fn absolute_times_count_from_utc_by_quarters_of_an_hour() {
    let cases = [
        ("240105120000008+", datetime!(2024-01-05 10:00:00 UTC)),
        ("240105120000008-", datetime!(2024-01-05 14:00:00 UTC)),
        ("240229235959900+", datetime!(2024-02-29 23:59:59.9 UTC)),
        ("991231235959000+", datetime!(2099-12-31 23:59:59 UTC)),
        ("240101000000048+", datetime!(2023-12-31 12:00:00 UTC)),
    ];
    for (text, moment) in cases {
        assert_eq!(both(text, Timestamp(0)), [Ok(Some(at(moment))); 2], "{text}");
    }
}

#[test]
fn relative_times_count_from_now_by_the_calendar() {
    let now = at(datetime!(2024-01-31 10:00:00.123 UTC));
    let cases = [
        ("000000000000000R", datetime!(2024-01-31 10:00:00.123 UTC)),
        ("000007000000000R", datetime!(2024-02-07 10:00:00.123 UTC)),
        ("000100000000000R", datetime!(2024-02-29 10:00:00.123 UTC)),
        ("010100000000000R", datetime!(2025-02-28 10:00:00.123 UTC)),
        ("001200000000000R", datetime!(2025-01-31 10:00:00.123 UTC)),
        ("020610233429000R", datetime!(2026-08-11 09:34:29.123 UTC)),
    ];
    for (text, moment) in cases {
        assert_eq!(both(text, now), [Ok(Some(at(moment))); 2], "{text}");
    }
}

#[test]
fn what_is_out_of_range_is_no_time() {
    for text in [
        "240005120000000+",
        "241305120000000+",
        "240132120000000+",
        "230229120000000+",
        "240105240000000+",
        "240105126000000+",
        "240105120060000+",
        "240105120000049+",
        "240105120000000 ",
        "24010512000000x+",
        "2401051200000+",
        "x",
    ] {
        assert_eq!(both(text, Timestamp(0)), [Err(InvalidTime); 2], "{text}");
    }
}

#[test]
fn only_lenient_takes_times_without_offset_and_large_relative_fields() {
    let hour = at(datetime!(2024-01-05 12:34:00 UTC));
    for (text, lenient) in [
        ("2401051234", hour),
        ("240105123400", hour),
        ("000000480000000R", Timestamp(48 * 3600 * 1000)),
        ("000000000090000R", Timestamp(90 * 1000)),
    ] {
        assert_eq!(both(text, Timestamp(0)), [Err(InvalidTime), Ok(Some(lenient))], "{text}");
    }
}

#[test]
fn absolute_times_are_written_with_their_offset() {
    let moment = at(datetime!(2024-01-05 10:00:00.9 UTC));
    assert_eq!(&format_absolute(moment, offset!(+2)), b"240105120000908+");
    assert_eq!(&format_absolute(moment, offset!(-3:30)), b"240105063000914-");
    assert_eq!(&format_absolute(Timestamp::NEVER, UtcOffset::UTC)[..12], b"991231235959");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(tenths in 9_466_848_000u64..41_024_000_000, quarters in -48i32..=48) {
        let moment = Timestamp(tenths * 100);
        let offset = UtcOffset::from_whole_seconds(quarters * 900).expect("within a day");
        let text = format_absolute(moment, offset);
        prop_assert_eq!(parse(&text, Timestamp(0), Strictness::Strict), Ok(Some(moment)));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9+R-]{0,18}", noise: Vec<u8>, now: u64) {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            let _ = parse(text.as_bytes(), Timestamp(now), strictness);
            let _ = parse(&noise, Timestamp(now), strictness);
        }
        format_absolute(Timestamp(now), UtcOffset::UTC);
    }
}
