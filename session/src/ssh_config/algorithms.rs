//! Lists of algorithms as options give them: a list of its own, or a change of the default.

use super::error::Fault;
use super::pattern::{Listed, glob, list};

/// A list of algorithms, kept as given; what it means depends on a default list.
///
/// # Examples
/// ```
/// use sshoal_session::ssh_config::{AlgorithmList, Change};
///
/// let list = AlgorithmList::parse("^aes256-ctr");
/// assert_eq!(list.change(), Change::First);
/// let default = ["aes128-ctr", "aes256-ctr"];
/// assert_eq!(list.apply(&default, &default), ["aes256-ctr", "aes128-ctr"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AlgorithmList {
    given: String,
    change: Change,
}

/// What a list of algorithms does to the default list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// Stands in its place.
    Replace,
    /// `+`: comes after it.
    Append,
    /// `-`: is taken out of it.
    Remove,
    /// `^`: comes before it.
    First,
}

/// Which names a list may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Cipher,
    Mac,
    Kex,
    /// Types of keys and signatures; patterns are taken too.
    Key,
    /// Those of the system's file, which may be for a later ssh.
    Any,
}

impl AlgorithmList {
    /// Takes a list as it is; names are not checked.
    pub fn parse(given: &str) -> Self {
        let change = match given.as_bytes().first() {
            Some(b'+') => Change::Append,
            Some(b'-') => Change::Remove,
            Some(b'^') => Change::First,
            _ => Change::Replace,
        };
        Self {
            given: given.to_owned(),
            change,
        }
    }

    /// Takes a list whose names ssh knows; a list that removes names may have any.
    pub(super) fn checked(given: &str, family: Family) -> Result<Self, Fault> {
        let algorithms = Self::parse(given);
        if algorithms.change == Change::Remove {
            return Ok(algorithms);
        }
        let expected = family.expected();
        let bad = |name: &str| Fault::BadValue {
            value: name.to_owned(),
            expected,
        };
        if algorithms.names().is_empty() {
            return Err(bad(given));
        }
        // As in ssh, nothing after an empty name is looked at.
        let names = algorithms.names().split(',');
        match names
            .take_while(|name| !name.is_empty())
            .find(|name| !family.knows(name))
        {
            Some(name) => Err(bad(name)),
            None => Ok(algorithms),
        }
    }

    /// Returns the list as it was given, with its sign.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Returns what the list does to the default.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Returns the names or patterns, separated by commas, without the sign.
    pub fn names(&self) -> &str {
        match self.change {
            Change::Replace => &self.given,
            _ => &self.given[1..],
        }
    }

    /// Returns the list that results, best first: only names that are supported, each once.
    ///
    /// Patterns stand for all supported names that they match. The result may be empty.
    pub fn apply<'a>(&self, default: &[&'a str], supported: &[&'a str]) -> Vec<&'a str> {
        let mut result = Vec::new();
        let mut add = |name: &'a str| {
            if supported.contains(&name) && !result.contains(&name) {
                result.push(name);
            }
        };
        let named = |pattern: &str| -> Vec<&'a str> {
            let matching = |name: &&&str| glob(pattern, name);
            supported.iter().filter(matching).copied().collect()
        };
        let all_named = || self.names().split(',').flat_map(named);
        match self.change {
            Change::Replace => all_named().for_each(add),
            Change::Append => default.iter().copied().chain(all_named()).for_each(add),
            Change::First => all_named().chain(default.iter().copied()).for_each(add),
            Change::Remove => {
                let kept = |name: &&&str| list(self.names(), name) != Listed::Yes;
                default.iter().filter(kept).copied().for_each(&mut add);
            }
        }
        result
    }
}

impl Family {
    fn expected(self) -> &'static str {
        match self {
            Self::Cipher => "cipher (ssh -Q cipher lists them)",
            Self::Mac => "MAC (ssh -Q mac lists them)",
            Self::Kex => "key exchange method (ssh -Q kex lists them)",
            Self::Any => "list of algorithms",
            Self::Key => "type of key or signature (ssh -Q HostKeyAlgorithms lists them)",
        }
    }

    fn knows(self, name: &str) -> bool {
        let known = |names: &[&str]| names.contains(&name);
        match self {
            Self::Cipher => known(&CIPHERS),
            Self::Mac => known(&MACS),
            Self::Kex => known(&KEX),
            Self::Any => true,
            Self::Key => known(&KEYS) || KEYS.iter().any(|key| list(name, key) != Listed::No),
        }
    }
}

const CIPHERS: [&str; 11] = [
    "3des-cbc",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "rijndael-cbc@lysator.liu.se",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
];

const MACS: [&str; 16] = [
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-md5",
    "hmac-md5-96",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
];

const KEX: [&str; 15] = [
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "mlkem768x25519-sha256",
];

const KEYS: [&str; 21] = [
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: [&str; 3] = ["b", "c", "a1"];
    const SUPPORTED: [&str; 5] = ["a1", "a2", "b", "c", "d"];

    #[track_caller]
    fn check(given: &str, expected: &[&str]) {
        assert_eq!(
            AlgorithmList::parse(given).apply(&DEFAULT, &SUPPORTED),
            expected,
            "{given}"
        );
    }

    #[test]
    fn a_list_replaces_or_changes_the_default() {
        check("d,b", &["d", "b"]);
        check("+d,b", &["b", "c", "a1", "d"]);
        check("-b,x", &["c", "a1"]);
        check("-a*,!c", &["b", "c"]);
        check("^d,c", &["d", "c", "b", "a1"]);
        check("a*,d,a1", &["a1", "a2", "d"]);
        check("+x", &["b", "c", "a1"]);
        check("x", &[]);
        check("-*", &[]);
    }

    #[test]
    fn unknown_names_are_refused_but_for_removal() {
        let check = |text, family| AlgorithmList::checked(text, family).is_ok();
        assert!(check("+aes128-ctr,3des-cbc", Family::Cipher));
        assert!(!check("aes128-ctr,arcfour", Family::Cipher));
        assert!(!check("", Family::Cipher) && !check("^", Family::Cipher));
        assert!(check("-arcfour", Family::Cipher));
        assert!(!check("aes*", Family::Cipher));
        assert!(check("ssh-*,rsa-sha2-512", Family::Key));
        assert!(!check("ssh-x*", Family::Key));
        assert!(check("hmac-sha1", Family::Mac) && !check("sha1", Family::Mac));
        assert!(check("curve25519-sha256", Family::Kex) && !check("curve", Family::Kex));
    }

    #[test]
    fn the_list_is_kept_as_given() {
        let list = AlgorithmList::parse("+a,b");
        assert_eq!((list.given(), list.names()), ("+a,b", "a,b"));
        assert_eq!(list.change(), Change::Append);
    }
}
