//! Addresses as people type them.

use crate::message::Address;

/// Digits with or without `+` are a national or international number (1/1), up to six of them a short code (3/0), everything
/// else is a name (5/0).
pub fn address(typed: &str) -> Address {
    let digits = typed.strip_prefix('+').unwrap_or(typed);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let (ton, npi, shown) = match (is_number, digits.len()) {
        (true, 1..=6) => (3, 0, digits),
        (true, _) => (1, 1, digits),
        (false, _) => (5, 0, typed),
    };
    Address::new(ton, npi, shown.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_short_codes_and_names_get_their_types() {
        assert_eq!(address("+358401234567"), Address::new(1, 1, b"358401234567"));
        assert_eq!(address("13123"), Address::new(3, 0, b"13123"));
        assert_eq!(address("SHOP"), Address::new(5, 0, b"SHOP"));
    }
}
