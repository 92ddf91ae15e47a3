//! Lists of algorithms in ssh's notation (ssh_config(5), `Ciphers`): names separated by commas,
//! with `+` to be added to the default, `^` to go before it, `-` to be taken out of it.

use std::sync::LazyLock;

use super::AlgorithmList;
use crate::config::ConfigError;
use crate::ffi::supported_algorithms;
use crate::known_hosts::glob;

/// Reads a list; a name that cannot be offered is an error.
pub(super) fn read(
    list: AlgorithmList,
    default: &str,
    asked: Option<&str>,
) -> Result<String, ConfigError> {
    combine(list, default, asked.unwrap_or("+"), supported(list))
}

fn combine(
    list: AlgorithmList,
    default: &str,
    asked: &str,
    supported: &[&str],
) -> Result<String, ConfigError> {
    let default = default.split(',').filter(|name| supported.contains(name));
    let (sign, names) = match asked.chars().next() {
        Some(sign @ ('+' | '-' | '^')) => (Some(sign), &asked[1..]),
        _ => (None, asked),
    };
    let names = names.split(',').filter(|name| !name.is_empty());
    let mut result: Vec<&str> = Vec::new();
    if sign == Some('-') {
        let names: Vec<_> = names.collect();
        let goes = |name: &&str| names.iter().any(|n| glob(n.as_bytes(), name.as_bytes()));
        result.extend(default.filter(|name| !goes(name)));
    } else {
        let mut named = Vec::new();
        for name in names {
            named.extend(offerable(list, name, supported)?);
        }
        match sign {
            Some('+') => result.extend(default.chain(named)),
            Some(_) => result.extend(named.into_iter().chain(default)),
            None => result.extend(named),
        }
    }
    let mut once = Vec::with_capacity(result.len());
    for name in result {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    if once.is_empty() {
        return Err(ConfigError::NoAlgorithm { list });
    }
    Ok(once.join(","))
}

/// Returns the algorithms that a name, or a pattern, stands for.
fn offerable<'a>(
    list: AlgorithmList,
    name: &str,
    supported: &[&'a str],
) -> Result<Vec<&'a str>, ConfigError> {
    let matching = supported.iter().copied();
    let matching: Vec<_> = matching
        .filter(|have| glob(name.as_bytes(), have.as_bytes()))
        .collect();
    if !matching.is_empty() {
        return Ok(matching);
    }
    Err(ConfigError::Algorithm {
        list,
        name: name.to_owned(),
        why: why_not(name),
    })
}

/// Says why a name cannot be offered.
fn why_not(name: &str) -> &'static str {
    let has = |part: &str| name.contains(part);
    if has("sha1") || name.starts_with("ssh-rsa") {
        "it rests on SHA-1, which libssh2 is built without"
    } else if has("md5") || has("ripemd") {
        "it rests on a broken hash, which libssh2 is built without"
    } else if ["3des", "blowfish", "cast128", "arcfour"]
        .iter()
        .any(|c| has(c))
    {
        "it is a weak cipher, which libssh2 is built without"
    } else if name.starts_with("ssh-dss") {
        "it is DSA, which libssh2 is built without"
    } else if has("mlkem") {
        "it takes OpenSSL 3.5 or later"
    } else if has(FINITE_FIELD) && over_aws_lc() {
        "libssh2 fails at it over AWS-LC; OpenSSL has it"
    } else if ["sntrup761", "umac-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|n| has(n))
    {
        "libssh2 does not have it"
    } else {
        "there is no such algorithm"
    }
}

/// Key exchanges that are not on a curve.
const FINITE_FIELD: &str = "diffie-hellman-";

/// Returns whether the linked crypto library is AWS-LC. Its `BN_rand` refuses the `bottom` of -1
/// with which libssh2 0.3.4 makes its half of these exchanges (`_libssh2_dh_key_pair`).
fn over_aws_lc() -> bool {
    openssl::version::version().contains("AWS-LC")
}

/// What the linked libssh2 has, without what is not an algorithm, not checked or broken.
pub(crate) fn supported(list: AlgorithmList) -> &'static [&'static str] {
    use ssh2::MethodType::{CryptCs, HostKey, Kex, MacCs};
    type Names = LazyLock<Vec<&'static str>>;
    static KEX: Names = LazyLock::new(|| {
        let mut names = supported_algorithms(Kex);
        names.retain(|name| !name.starts_with("ext-info-") && !name.starts_with("kex-strict-"));
        names.retain(|name| !name.starts_with(FINITE_FIELD) || !over_aws_lc());
        names
    });
    static HOST_KEYS: Names = LazyLock::new(|| {
        let mut names = supported_algorithms(HostKey);
        // Certificates are checked by us, those of the types that we know.
        let ours = |name: &str| super::HOST_KEYS.split(',').any(|own| own == name);
        names.retain(|name| !name.contains("-cert-v0") || ours(name));
        names
    });
    static CIPHERS: Names = LazyLock::new(|| supported_algorithms(CryptCs));
    static MACS: Names = LazyLock::new(|| supported_algorithms(MacCs));
    match list {
        AlgorithmList::Kex => &KEX,
        AlgorithmList::HostKey => &HOST_KEYS,
        AlgorithmList::Cipher => &CIPHERS,
        AlgorithmList::Mac => &MACS,
        AlgorithmList::Compression => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAVE: &[&str] = &["a-1", "a-2", "b-1", "b-2", "weak"];
    const DEFAULT: &str = "a-1,absent,a-2,b-1";

    fn read(asked: &str) -> Result<String, String> {
        let read = combine(AlgorithmList::Cipher, DEFAULT, asked, HAVE);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn signs_add_put_first_and_take_out() {
        for (asked, expected) in [
            ("+", "a-1,a-2,b-1"),
            ("b-2,a-1", "b-2,a-1"),
            ("+weak", "a-1,a-2,b-1,weak"),
            ("+a-2,b-2", "a-1,a-2,b-1,b-2"),
            ("^b-1", "b-1,a-1,a-2"),
            ("^weak,a-2", "weak,a-2,a-1,b-1"),
            ("-a-1", "a-2,b-1"),
            ("-a-*", "b-1"),
            ("-never-heard-of", "a-1,a-2,b-1"),
            ("b-*", "b-1,b-2"),
            ("+b-?", "a-1,a-2,b-1,b-2"),
        ] {
            assert_eq!(read(asked).as_deref(), Ok(expected), "{asked}");
        }
        assert_eq!(
            read("-*"),
            Err("no cipher is left to be offered".to_owned())
        );
        assert_eq!(read(""), Err("no cipher is left to be offered".to_owned()));
    }

    #[test]
    fn names_that_cannot_be_offered_are_named_with_the_reason() {
        for (asked, name, why) in [
            ("a-1,nonsense", "nonsense", "no such algorithm"),
            ("+c-*", "c-*", "no such algorithm"),
            ("hmac-sha1", "hmac-sha1", "SHA-1"),
            ("^ssh-rsa", "ssh-rsa", "SHA-1"),
            ("+3des-cbc", "3des-cbc", "built without"),
            ("ssh-dss", "ssh-dss", "DSA"),
            ("umac-64@openssh.com", "umac-64@openssh.com", "libssh2"),
        ] {
            let error = read(asked).expect_err("cannot be offered");
            assert!(error.contains(&format!(" {name} ")), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }

    /// The linked libssh2 has every algorithm of the default lists but the post-quantum exchange and,
    /// over AWS-LC, those in finite fields; and of the weak ones no more than is written here.
    #[test]
    fn libssh2_has_the_defaults_and_few_weak_ones() {
        let sorted = |list| {
            let mut names = supported(list).to_vec();
            names.sort_unstable();
            names
        };
        let absent =
            |n: &str| n.starts_with("mlkem") || over_aws_lc() && n.starts_with(FINITE_FIELD);
        let default = |names: &'static str| names.split(',').filter(|n| !absent(n));
        for (list, names) in [
            (AlgorithmList::Kex, super::super::KEX),
            (AlgorithmList::HostKey, super::super::HOST_KEYS),
            (AlgorithmList::Cipher, super::super::CIPHERS),
            (AlgorithmList::Mac, super::super::MACS),
        ] {
            let have = sorted(list);
            for name in default(names) {
                assert!(have.contains(&name), "{name}");
            }
            let more = have
                .iter()
                .filter(|name| !names.split(',').any(|n| n == **name));
            for name in more {
                let known = name.ends_with("-cbc")
                    || name.starts_with("mlkem")
                    || [
                        "rijndael-cbc@lysator.liu.se",
                        "chacha20-poly1305@openssh.com",
                    ]
                    .contains(name);
                assert!(known, "{list}: {name}");
            }
        }
    }
}
