//! `Match localnetwork`: networks, and the addresses that this machine has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address and the number of its bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `address/bits`, or one address alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(max);
        let network = Self { address, bits };
        // Bits beyond the prefix are a mistake to ssh too.
        let clean = network.masked(address) == Some(to_bits(address));
        (bits <= max && clean).then_some(network)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let same_kind = self.address.is_ipv4() == address.is_ipv4();
        same_kind && self.masked(address) == self.masked(self.address)
    }

    /// The bits of an address that count; `None` if there are not as many.
    fn masked(&self, address: IpAddr) -> Option<u128> {
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let unused = width.checked_sub(self.bits)?;
        let bits = to_bits(address);
        Some(
            bits.checked_shr(unused)
                .and_then(|bits| bits.checked_shl(unused))
                .unwrap_or(0),
        )
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the addresses of this machine's interfaces; `None` where the system does not tell them
/// in a file (it does on Linux).
pub(super) fn own_addresses() -> Option<Vec<IpAddr>> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").ok()?;
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    Some(addresses_of(&v4, &v6))
}

/// Reads the kernel's tables: below an address, a `/32 host LOCAL` says that it is our own; the
/// first field of the other table is an address in hexadecimal.
fn addresses_of(v4: &str, v6: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut address = None;
    for line in v4.lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("|-- ") {
            address = text.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(address.map(IpAddr::V4));
        }
    }
    let fields = v6.lines().filter_map(|line| line.split_whitespace().next());
    let addresses = fields.filter_map(|field| u128::from_str_radix(field, 16).ok());
    found.extend(addresses.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_by_its_prefix() {
        let network = |text| Network::parse(text).unwrap();
        let holds = |text, address: &str| network(text).contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.1.2.3") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "fe80::1") && holds("fe80::/10", "fe80::1"));
        assert!(holds("1.2.3.4", "1.2.3.4") && !holds("1.2.3.4", "1.2.3.5"));
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "x/8",
            "::/129",
            "10.0.0.0/",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_kernels_tables_name_addresses() {
        let v4 = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     \
                  |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        let v6 = "fe800000000000000000000000000001 02 40 20 80     eth0\n";
        let found: Vec<_> = addresses_of(v4, v6)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.5", "fe80::1"]);
    }
}
