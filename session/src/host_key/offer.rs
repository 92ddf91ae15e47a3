//! Which host key algorithms are offered to a host, and in which order (law S10).

use super::HostKeys;
use crate::algorithms::HOST_KEYS;
use crate::known_hosts::LookupName;

impl HostKeys {
    /// Returns the host key algorithms to offer to a host, as the text of a name list.
    ///
    /// Of the default list (`given` is `None`), those come first that the known keys and CAs of
    /// the host can answer, so that a host shows the key that is known. A list of the user's
    /// (`HostKeyAlgorithms`) is kept in its order. In both, certificates are left out where no
    /// `@cert-authority` line names the host, unless nothing else is in the user's list.
    ///
    /// May take milliseconds of CPU time where
    /// [`KnownHosts::has_hashed`](crate::known_hosts::KnownHosts::has_hashed) says so.
    pub fn algorithms_to_offer(&self, name: &LookupName, given: Option<&str>) -> String {
        match given {
            None => self.offer(name, HOST_KEYS, true),
            Some(given) => self.offer(name, given, false),
        }
    }

    /// As [`HostKeys::algorithms_to_offer`], of any list; `known_first` says whether it is to be
    /// ordered by what is known.
    pub(crate) fn offer(&self, name: &LookupName, list: &str, known_first: bool) -> String {
        let all = list.split(',').map(str::trim).filter(|n| !n.is_empty());
        let kept: Vec<&str> = if known_first {
            self.order(name, all)
        } else {
            let has_authority = self.known.has_authority(name);
            all.filter(|name| has_authority || !is_certificate(name))
                .collect()
        };
        match kept.is_empty() {
            true => list.to_owned(),
            false => kept.join(","),
        }
    }

    /// Orders host key algorithms for a host's key exchange: those of the keys known for it
    /// first, otherwise as given.
    ///
    /// Certificate algorithms come first of all if an `@cert-authority` line names the host, behind
    /// the keys known for its port if it names it without, and are left out otherwise.
    pub fn algorithm_order(&self, name: &str, port: u16, all: &[&str]) -> Vec<String> {
        let order = self.order(&LookupName::new(name, port), all.iter().copied());
        order.into_iter().map(str::to_owned).collect()
    }

    /// It is done for each host.
    fn order<'a>(&self, name: &LookupName, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut known = self.known.algorithms_known_for(name);
        if let Some(accepted) = self.accepted.lock().get(name) {
            known.push(accepted.key.algorithm());
        }
        let has_authority = self.known.has_authority(name);
        let certificate_rank = match self.known.keys_precede_authority(name) {
            true => 2,
            false => 0,
        };
        let rank = |algorithm: &str| match is_certificate(algorithm) {
            true => has_authority.then_some(certificate_rank),
            false if is_answered(algorithm, &known) => Some(1),
            false => Some(3),
        };
        let mut offered: Vec<(u8, &str)> = all.filter_map(|a| Some((rank(a)?, a))).collect();
        // Stable: what is of one rank stays in its order.
        offered.sort_by_key(|(rank, _)| *rank);
        offered
            .into_iter()
            .map(|(_, algorithm)| algorithm)
            .collect()
    }
}

fn is_certificate(algorithm: &str) -> bool {
    // Such as `ssh-ed25519-cert-v01@openssh.com`; two comparisons of bytes instead of a search.
    let name = algorithm.strip_suffix("@openssh.com");
    name.is_some_and(|name| {
        let digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
        digits.ends_with("-cert-v")
    })
}

/// Returns whether a key of one of these types signs by an algorithm; an RSA key signs by three
/// (RFC 8332).
fn is_answered(algorithm: &str, known: &[&str]) -> bool {
    match algorithm {
        "rsa-sha2-512" | "rsa-sha2-256" => known.contains(&"ssh-rsa"),
        other => known.contains(&other),
    }
}
