//! The small languages inside the strings of a configuration.

use std::time::Duration;

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use ipnet::IpNet;
use time::UtcOffset;

use super::checked::{HostPort, TonNpi};
use super::limits;

const UNITS: [(&str, u64); 9] = [
    ("TiB", limits::TIB),
    ("GiB", limits::GIB),
    ("MiB", limits::MIB),
    ("KiB", limits::KIB),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// "64MiB" in octets. Units are binary (KiB) or decimal (KB); a bare number is octets.
pub fn size(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    digits(number.trim_end())?.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size in the largest binary unit that divides it.
pub fn show_size(size: u64) -> String {
    let unit = UNITS[..4].iter().find(|(_, factor)| size > 0 && size.is_multiple_of(*factor)).unwrap_or(&UNITS[8]);
    format!("{}{}", size / unit.1, unit.0)
}

/// A text of one or more ASCII digits.
pub fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())).then_some(text)
}

/// A text of `length` at most, printable ASCII without spaces at its ends: what fits an SMPP C-octet string.
pub fn printable(text: &str, length: usize) -> Option<&str> {
    let fits = text.len() <= length && text.trim() == text && text.bytes().all(|c| (0x20..0x7F).contains(&c));
    fits.then_some(text)
}

/// "host:port", with IPv6 addresses in brackets.
pub fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let port = digits(port)?.parse::<u16>().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let named = |host: &str| host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_".contains(&c));
    let valid = !host.is_empty() && host.len() <= 253 && (named(host) || text.starts_with('['));
    valid.then(|| HostPort { host: host.into(), port })
}

/// A network such as 10.0.0.0/8, or a single address.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

/// An offset from UTC: "+02:00", "-03:30" or "Z".
pub fn utc_offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let field = |text: &str, max: i8| digits(text).filter(|text| text.len() == 2)?.parse().ok().filter(|n: &i8| *n <= max);
    UtcOffset::from_hms(sign * field(hours, 14)?, sign * field(minutes, 59)?, 0).ok()
}

/// A command_status: "0x45" or "69".
pub fn status_code(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => digits(text)?.parse().ok(),
    }
}

/// "5/0": type of number and numbering plan.
pub fn ton_npi(text: &str) -> Option<TonNpi> {
    let (ton, npi) = text.split_once('/')?;
    Some(TonNpi { ton: digits(ton)?.parse().ok()?, npi: digits(npi)?.parse().ok()? })
}

/// File mode bits in octal: "0660".
pub fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(digits(text)?, 8).ok().filter(|mode| *mode <= 0o777)
}

/// Can this be the sender of a message: a number, a short code, or at most eleven printable characters?
pub fn is_sender(text: &str) -> bool {
    let number = digits(text.strip_prefix('+').unwrap_or(text)).is_some_and(|digits| digits.len() <= limits::ADDRESS);
    let name = !text.is_empty() && !text.starts_with('+') && printable(text, limits::ALPHANUMERIC).is_some();
    number || name
}

/// Why a text is no usable argon2id hash; `None` when it is one.
pub fn argon2id_fault(text: &str) -> Option<String> {
    let Ok(hash) = PasswordHash::new(text) else {
        return Some("expected a PHC string such as smppgw hash-password prints".to_owned());
    };
    if hash.algorithm.as_str() != "argon2id" {
        return Some(format!("expected argon2id, found {}", hash.algorithm));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Some("expected a PHC string with salt and hash".to_owned());
    }
    let Ok(params) = Params::try_from(&hash) else {
        return Some("expected valid argon2 parameters m, t and p".to_owned());
    };
    if params.m_cost() > limits::ARGON2_MEMORY || params.t_cost() > limits::ARGON2_PASSES {
        return Some(format!("expected at most m={},t={}", limits::ARGON2_MEMORY, limits::ARGON2_PASSES));
    }
    None
}

/// A duration as people write it.
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
