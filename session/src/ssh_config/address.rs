//! One spelling for each host: names in lowercase, addresses as the system writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns a name in the spelling that ssh looks it up by.
pub(super) fn canonical(name: &str) -> String {
    let (address, zone) = match name.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (name, None),
    };
    match (address.parse::<Ipv6Addr>(), zone) {
        (Ok(address), None) => return address.to_string(),
        (Ok(address), Some(zone)) => return format!("{address}%{zone}"),
        (Err(_), _) => {}
    }
    match ipv4(name) {
        Some(address) => address.to_string(),
        None => name.to_ascii_lowercase(),
    }
}

/// Reads the forms of inet_aton(3): one to four numbers, the last one for all bytes that remain,
/// in decimal, octal (`0…`) or hexadecimal (`0x…`).
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, before) = parts.split_last()?;
    if parts.len() > 4 || before.iter().any(|part| *part > 255) {
        return None;
    }
    let free_bits = 8 * (4 - before.len());
    if u64::from(*last) >= 1 << free_bits {
        return None;
    }
    let mut bits = u64::from(*last);
    for (at, part) in before.iter().enumerate() {
        bits |= u64::from(*part) << (24 - 8 * at);
    }
    u32::try_from(bits).ok().map(Ipv4Addr::from_bits)
}

fn part(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // `from_str_radix` alone would take a sign.
    let digits = digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then_some(digits)?;
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn every_host_has_one_spelling() {
        for (name, expected) in [
            ("Web1.Example", "web1.example"),
            ("::0001", "::1"),
            ("FE80::A%eth0", "fe80::a%eth0"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("1", "0.0.0.1"),
            ("256.1.1.1", "256.1.1.1"),
            ("1.2.3.4.5", "1.2.3.4.5"),
            ("1.2.3.", "1.2.3."),
            ("4294967295", "255.255.255.255"),
            ("4294967296", "4294967296"),
            ("10.16777216", "10.16777216"),
        ] {
            assert_eq!(canonical(name), expected, "{name}");
        }
    }
}
