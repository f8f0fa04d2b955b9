use proptest::prelude::*;

use super::number::{InvalidNumber, NumberRules};
use crate::message::Address;

fn rules(country: &str) -> NumberRules {
    if country.is_empty() {
        NumberRules::international()
    } else {
        NumberRules::for_country(country).expect("a country of the metadata")
    }
}

fn normalised(rules: &NumberRules, ton: u8, text: &str) -> Result<(u8, String), InvalidNumber> {
    let address = rules.normalise(&Address::new(ton, 0, text.as_bytes()))?;
    if address.ton == 1 && address.digits.len() > 6 {
        assert_eq!(address.npi, 1, "an international number is of the E.164 plan");
    }
    Ok((address.ton, address.text().into_owned()))
}

fn international(number: &str) -> Result<(u8, String), InvalidNumber> {
    Ok((1, number.into()))
}

fn unchanged(ton: u8, number: &str) -> Result<(u8, String), InvalidNumber> {
    Ok((ton, number.into()))
}

#[test]
fn a_finnish_number_is_completed_from_every_form_applications_write() {
    let finland = rules("FI");
    for (ton, text) in [
        (0, "+358401234567"),
        (1, "+358401234567"),
        (0, "00358401234567"),
        (1, "00358401234567"),
        (2, "00358401234567"),
        (1, "358401234567"),
        (0, "358401234567"),
        (0, "0401234567"),
        (1, "0401234567"),
        (2, "0401234567"),
        (2, "401234567"),
        (2, "358401234567"),
        (0, "040 123 4567"),
        (0, "(040) 123-4567"),
        (0, "+358 (0)40.123.4567"),
        (0, "+3580401234567"),
        (0, "003580401234567"),
        (1, "3580401234567"),
        (0, "990358401234567"),
        (0, "994358401234567"),
        (0, "99511358401234567"),
        (5, "+358401234567"),
        (3, "+358401234567"),
    ] {
        assert_eq!(normalised(&finland, ton, text), international("358401234567"), "TON {ton} {text}");
    }
}

#[test]
fn short_old_finnish_numbers_are_completed_not_refused() {
    let finland = rules("FI");
    for (ton, text, number) in [
        (0, "0501234", "358501234"),
        (0, "04012345", "3584012345"),
        (0, "+358501234", "358501234"),
        (1, "358501234", "358501234"),
        (2, "501234", "358501234"),
        (0, "358501234", "358501234"),
        (0, "0501234567890", "358501234567890"),
    ] {
        assert_eq!(normalised(&finland, ton, text), international(number), "TON {ton} {text}");
    }
}

#[test]
fn short_codes_and_other_types_of_number_are_left_alone() {
    let finland = rules("FI");
    for (ton, text) in [(0, "13123"), (0, "173123"), (0, "112"), (1, "13123"), (2, "13123"), (3, "1234567"), (6, "16100")] {
        assert_eq!(normalised(&finland, ton, text), unchanged(ton, text), "TON {ton} {text}");
    }
}

#[test]
fn a_number_that_fits_no_form_is_left_alone_rather_than_guessed() {
    assert_eq!(normalised(&rules("FI"), 0, "401234567"), unchanged(0, "401234567"), "a zero forgotten, or Romania");
    assert_eq!(normalised(&rules(""), 0, "0401234567"), unchanged(0, "0401234567"));
    assert_eq!(normalised(&rules(""), 2, "0401234567"), unchanged(2, "0401234567"));
}

#[test]
fn without_a_country_international_forms_are_completed() {
    let none = rules("");
    for (ton, text) in [
        (0, "+358 40 123 4567"),
        (0, "00358401234567"),
        (1, "00358401234567"),
        (1, "358401234567"),
        (0, "358401234567"),
        (0, "+358 (0)40 123 4567"),
    ] {
        assert_eq!(normalised(&none, ton, text), international("358401234567"), "TON {ton} {text}");
    }
    assert_eq!(normalised(&none, 1, "0401234567"), Err(InvalidNumber::NotInternational));
}

#[test]
fn country_codes_that_are_also_finnish_operator_prefixes_stay_reachable() {
    let finland = rules("FI");
    for ton in [0, 1] {
        assert_eq!(normalised(&finland, ton, "994501234567"), international("994501234567"), "Azerbaijan with TON {ton}");
        assert_eq!(normalised(&finland, ton, "996700123456"), international("996700123456"), "Kyrgyzstan with TON {ton}");
        assert_eq!(normalised(&finland, ton, "995551123456"), international("995551123456"), "Georgia with TON {ton}");
    }
}

#[test]
fn other_countries_follow_their_own_customs() {
    for (country, ton, text, number) in [
        ("SE", 0, "070-123 45 67", "46701234567"),
        ("NO", 0, "91 23 45 67", "4791234567"),
        ("NO", 0, "4791234567", "4791234567"),
        ("DK", 0, "20123456", "4520123456"),
        ("EE", 0, "51234567", "37251234567"),
        ("LV", 0, "21234567", "37121234567"),
        ("RU", 0, "8 (916) 123-45-67", "79161234567"),
        ("RU", 0, "79161234567", "79161234567"),
        ("RU", 0, "810358401234567", "358401234567"),
        ("US", 0, "(212) 555-0123", "12125550123"),
        ("US", 0, "1-212-555-0123", "12125550123"),
        ("US", 0, "011358401234567", "358401234567"),
        ("IT", 0, "391 234 5678", "393912345678"),
        ("IT", 0, "393331234567", "393331234567"),
        ("IT", 0, "+39 06 1234 5678", "390612345678"),
        ("HU", 0, "06 20 123 4567", "36201234567"),
        ("GB", 0, "+44 (0)7700 900123", "447700900123"),
        ("AX", 0, "0457 000 1122", "3584570001122"),
        ("fi", 0, "0401234567", "358401234567"),
    ] {
        assert_eq!(normalised(&rules(country), ton, text), international(number), "{country} TON {ton} {text}");
    }
}

#[test]
fn what_cannot_be_a_number_is_refused_with_the_status_for_destinations() {
    let finland = rules("FI");
    for (ton, text, why) in [
        (0, "", InvalidNumber::Empty),
        (0, "+", InvalidNumber::Empty),
        (0, " - ", InvalidNumber::Empty),
        (5, "SHOP", InvalidNumber::NotDigits),
        (0, "040x123", InvalidNumber::NotDigits),
        (0, "358+401234567", InvalidNumber::NotDigits),
        (0, "++358401234567", InvalidNumber::NotDigits),
        (3, "*100#", InvalidNumber::NotDigits),
        (0, "+13123", InvalidNumber::TooShort),
        (1, "3584012345678901", InvalidNumber::TooLong),
        (0, "04012345678901", InvalidNumber::TooLong),
        (3, "1234567890123456", InvalidNumber::TooLong),
        (0, "+0401234567", InvalidNumber::NotInternational),
        (0, "000358401234567", InvalidNumber::NotInternational),
    ] {
        assert_eq!(normalised(&finland, ton, text), Err(why), "TON {ton} {text}");
    }
    assert!(finland.normalise(&Address::new(0, 0, b"\xff\x00")).is_err());
}

#[test]
fn an_unknown_country_is_told() {
    assert!(NumberRules::for_country("XX").is_none());
    assert!(NumberRules::for_country("").is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_number_or_a_refusal_and_a_normalised_number_stays_as_it_is(
        ton in 0u8..8,
        digits in proptest::collection::vec(proptest::sample::select(b"0012345678999+- x".to_vec()), 0..30),
        country in proptest::sample::select(vec!["", "FI", "NO", "US", "RU", "HK"]),
    ) {
        let rules = rules(country);
        if let Ok(first) = rules.normalise(&Address::new(ton, 0, &digits)) {
            prop_assert!(first.digits.len() <= 15 && first.digits.iter().all(u8::is_ascii_digit));
            if first.ton == 1 && first.npi == 1 {
                prop_assert_eq!(rules.normalise(&first), Ok(first.clone()));
            }
        }
    }

    #[test]
    fn every_finnish_mobile_number_comes_out_the_same_from_all_its_forms(
        start in proptest::sample::select(vec!["40", "41", "44", "45", "46", "50"]),
        rest in "[0-9]{4,8}",
    ) {
        let finland = rules("FI");
        let number = format!("{start}{rest}");
        for (ton, text) in [
            (0, format!("0{number}")),
            (1, format!("358{number}")),
            (0, format!("+358{number}")),
            (0, format!("+3580{number}")),
            (0, format!("00358{number}")),
            (2, number.clone()),
        ] {
            prop_assert_eq!(normalised(&finland, ton, &text), international(&format!("358{number}")));
        }
    }
}

#[test]
fn a_number_somebody_writes_down_is_read_as_applications_of_the_country_would_write_it() {
    let readings = |country: &str, text: &str| {
        let readings = rules(country).readings(text.as_bytes());
        readings.map(|all| all.iter().map(|number| number.text().into_owned()).collect::<Vec<_>>())
    };
    for text in ["+358 40 1234567", "00358401234567", "0401234567", "401234567", "040-123 45 67"] {
        assert!(readings("FI", text).unwrap().contains(&"358401234567".to_owned()), "{text}");
    }
    assert!(!readings("", "0401234567").unwrap().contains(&"358401234567".to_owned()));
    assert_eq!(readings("FI", "13123"), Ok(vec!["13123".into(), "13123".into()]));
    assert_eq!(readings("FI", "call me"), Err(InvalidNumber::NotDigits));
}
