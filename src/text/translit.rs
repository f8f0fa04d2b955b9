//! Typographic characters to their GSM 7-bit look-alikes, for accounts that ask for it (`transliterate`).
//!
//! One curly quote doubles the price of a text: UCS-2 takes 67 characters per part, GSM 7-bit 153.

use std::borrow::Cow;

use super::{Alphabet, Body, gsm7, ucs2};

/// What a typographic character is written as on a typewriter; `None` when it is not one.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}' | '\u{2032}' | '\u{2039}' | '\u{203A}' | '\u{B4}' | '`' => "'",
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' | '\u{2033}' | '«' | '»' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '\u{2026}' => "...",
        '\u{2044}' => "/",
        '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' => "\n",
        // Invisible: soft hyphen, zero width space, word joiner, byte order mark.
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// The text with typographic punctuation and spaces made plain, when that brings the whole of it into GSM 7-bit.
///
/// Otherwise unchanged: a text that travels as UCS-2 anyway gains nothing from losing its quotes. Letters are never replaced.
pub fn smart(text: &str) -> Cow<'_, str> {
    let mut typographic = false;
    for c in text.chars() {
        if gsm7::septets_of(c).is_none() {
            if plain(c).is_none() {
                return Cow::Borrowed(text);
            }
            typographic = true;
        }
    }
    if !typographic {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match plain(c) {
            Some(plain) => out.push_str(plain),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A UCS-2 body as GSM 7-bit when [`smart`] can bring it there.
pub fn to_gsm7(body: &Body) -> Option<Body> {
    if body.alphabet != Alphabet::Ucs2 {
        return None;
    }
    let text = ucs2::decode(&body.octets);
    let octets = gsm7::encode(&smart(&text))?;
    Some(Body { alphabet: Alphabet::Gsm7, octets: octets.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn typographic_punctuation_becomes_plain() {
        assert_eq!(smart("“Hei” – it’s 5\u{A0}€…"), "\"Hei\" - it's 5 €...");
        assert_eq!(smart("soft\u{AD}hyphen\tand `tick´"), "softhyphen and 'tick'");
    }

    #[test]
    fn a_text_that_stays_ucs2_keeps_its_quotes() {
        assert_eq!(smart("“šakki”"), "“šakki”");
        assert_eq!(smart("“😀”"), "“😀”");
    }

    #[test]
    fn a_plain_text_is_not_copied() {
        assert!(matches!(smart("Hyvää yötä"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_ucs2_body_becomes_gsm7_only_when_all_of_it_can() {
        assert_eq!(to_gsm7(&Body::from_text("it’s")).unwrap(), Body::from_text("it's"));
        assert_eq!(to_gsm7(&Body::from_text("žit’s")), None);
    }

    proptest! {
        #[test]
        fn every_changed_text_is_in_the_alphabet(text in any::<String>()) {
            if let Cow::Owned(changed) = smart(&text) {
                prop_assert!(gsm7::encode(&changed).is_some());
            }
        }
    }
}
