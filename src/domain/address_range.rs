//! Networks of IP addresses, as in `10.0.0.0/8` (RFC 4632 section 3.1).

use std::net::IpAddr;

/// A network by its first address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Reads an address or a network. An IPv4 address written as IPv6 means the former.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((first, prefix)) = text.split_once('/') else {
            return Some(Self::single(text.parse().ok()?));
        };
        let first: IpAddr = first.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        (prefix <= bits(first)).then_some(Self { first, prefix })
    }

    /// One address.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        let first = address.to_canonical();
        Self {
            first,
            prefix: bits(first),
        }
    }

    /// Whether the address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let address = address.to_canonical();
        let below = u32::from(bits(self.first).saturating_sub(self.prefix));
        let network = |address| number(address).checked_shr(below).unwrap_or(0);
        address.is_ipv4() == self.first.is_ipv4() && network(address) == network(self.first)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("192.0.2.128/25", "::ffff:192.0.2.200", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ] {
            let range = AddressRange::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range:?}");
            assert!(!range.contains(outside.parse().unwrap()), "{range:?}");
        }
        for wrong in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "[::1]",
        ] {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong:?}");
        }
    }
}
