//! Who a connection is counted as. Pure.

use core::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the /64 an IPv6 address is in: whoever has one address of a /64 has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpAddr);

impl Source {
    pub fn of(peer: IpAddr) -> Source {
        match peer.to_canonical() {
            IpAddr::V6(address) => Source(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into()),
            v4 => Source(v4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_of_one_64_are_one_source_and_those_of_ipv4_are_each_their_own() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"), "mapped into IPv6 it is the same");
    }
}
