//! Which loopback address belongs to which host of the fleet, and back.

use std::net::Ipv4Addr;

/// The most hosts that one fleet may have.
///
/// Far below what 127/8 holds; it keeps the lists that a fleet writes at a sane size.
pub const HOSTS_MAX: usize = 1_000_000;

/// Returns the loopback address of the host with this index: 127.1.0.1, 127.1.0.2 and so on.
///
/// Each /24 holds 250 hosts, so that no address ends in 0 or 255.
///
/// # Panics
///
/// If `index` is not below [`HOSTS_MAX`].
#[must_use]
pub fn address(index: usize) -> Ipv4Addr {
    assert!(
        index < HOSTS_MAX,
        "host index {index} is over the maximum of {HOSTS_MAX}"
    );
    let block = index / HOSTS_PER_BLOCK;
    let octet = |n: usize| u8::try_from(n).expect("HOSTS_MAX keeps every octet below 256");
    Ipv4Addr::new(
        127,
        octet(1 + block / 256),
        octet(block % 256),
        octet(1 + index % HOSTS_PER_BLOCK),
    )
}

/// Returns the index of the host with this address; `None` if no fleet can have it.
#[must_use]
pub fn index(address: Ipv4Addr) -> Option<usize> {
    let [first, second, third, fourth] = address.octets().map(usize::from);
    if first != 127 || second == 0 || fourth == 0 || fourth > HOSTS_PER_BLOCK {
        return None;
    }
    let index = ((second - 1) * 256 + third) * HOSTS_PER_BLOCK + fourth - 1;
    (index < HOSTS_MAX).then_some(index)
}

/// Hosts in each /24.
const HOSTS_PER_BLOCK: usize = 250;

const _: () = assert!(1 + (HOSTS_MAX - 1) / HOSTS_PER_BLOCK / 256 < 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_indices_are_each_others_inverse() {
        for i in (0..HOSTS_MAX)
            .step_by(97)
            .chain([0, 249, 250, 59_999, 63_999, HOSTS_MAX - 1])
        {
            assert_eq!(index(address(i)), Some(i));
        }
    }

    #[test]
    fn addresses_start_at_127_1_0_1_and_fill_250_per_block() {
        assert_eq!(address(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(address(249), Ipv4Addr::new(127, 1, 0, 250));
        assert_eq!(address(250), Ipv4Addr::new(127, 1, 1, 1));
        assert_eq!(address(59_999), Ipv4Addr::new(127, 1, 239, 250));
        assert_eq!(address(64_000), Ipv4Addr::new(127, 2, 0, 1));
    }

    #[test]
    fn foreign_addresses_have_no_index() {
        for a in [
            [127, 0, 0, 1],
            [127, 1, 0, 0],
            [127, 1, 0, 251],
            [126, 1, 0, 1],
            [127, 255, 0, 1],
        ] {
            assert_eq!(index(Ipv4Addr::from(a)), None, "{a:?}");
        }
    }
}
