//! Hosts that show a key or certificate that is not theirs, under every policy and for every type: how much they
//! learn is taken down behind the key exchange, and there is nothing.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "impostor/keys.rs"]
mod keys;
#[path = "impostor/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use keys::{Draft, KeyPair, TYPES};
use server::Server;
use sshoal_reactor::Scope;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Config, Error, Host, HostKeyPolicy, HostKeys, Kind, Phase, Session, Timings, host_key,
};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

const POLICIES: [HostKeyPolicy; 4] = [
    HostKeyPolicy::Strict,
    HostKeyPolicy::AcceptNew,
    HostKeyPolicy::Ask,
    HostKeyPolicy::DangerousAcceptAny,
];

fn config(policy: HostKeyPolicy, known: &str) -> Config {
    let mut hosts = KnownHosts::new();
    hosts.add_text(known.as_bytes(), "kh");
    let keys = Arc::new(HostKeys::new(policy, hosts));
    let builder = Config::builder(keys).user("anyone").keepalive(None);
    let builder = builder.host_key_alias("host");
    // A secret that waits, where one may be set at all.
    match policy {
        HostKeyPolicy::DangerousAcceptAny => builder.build().unwrap(),
        _ => builder
            .password("secret".to_owned().into())
            .build()
            .unwrap(),
    }
}

fn connect(server: &Server, config: &Config) -> Result<Session, Error> {
    let scope = Scope::root().child(Some(LIMIT));
    Session::connect_in(&host(server), config, &scope, &mut Timings::default())
}

fn host(server: &Server) -> Host {
    let host = Host::new(server.address().ip().to_string()).unwrap();
    host.with_port(server.address().port()).unwrap()
}

/// Connects to a server that shows `blob` and signs by `key`, and checks that it is told nothing behind the exchange.
#[track_caller]
fn refused(config: &Config, algorithm: &'static str, blob: &[u8], key: &KeyPair) -> Error {
    let server = Server::start(algorithm, blob.to_vec(), key.clone());
    let error = connect(&server, config).expect_err("is refused");
    assert_eq!(server.said_after_exchange(), [], "{algorithm}: {error:?}");
    error
}

/// Connects to a server that plays no further than the exchange, and checks that the client went on behind it.
#[track_caller]
fn taken(config: &Config, algorithm: &'static str, blob: &[u8], key: &KeyPair) {
    let server = Server::start(algorithm, blob.to_vec(), key.clone());
    let error = connect(&server, config).expect_err("the server goes");
    assert_eq!(error.phase(), Phase::Auth, "{algorithm}: {error:?}");
    assert_eq!(server.said_after_exchange(), [50], "{algorithm}");
}

#[track_caller]
fn assert_failed(error: &Error, phase: Phase, kind: Kind) {
    assert_eq!((error.phase(), error.kind()), (phase, kind), "{error:?}");
}

/// Another key of the same type, and of each other type that we would ask for.
#[test]
fn another_key_is_refused_under_every_policy_but_the_dangerous_one() {
    for kind in TYPES {
        let (good, bad) = (KeyPair::new(kind), KeyPair::new(kind));
        let known = format!("host {}\n", good.fields());
        for policy in POLICIES {
            let config = config(policy, &known);
            taken(&config, good.algorithm(), &good.blob(), &good);
            if policy == HostKeyPolicy::DangerousAcceptAny {
                taken(&config, bad.algorithm(), &bad.blob(), &bad);
                assert_eq!(config.host_keys().dangerous_count(), 1);
                continue;
            }
            let error = refused(&config, bad.algorithm(), &bad.blob(), &bad);
            assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
        }
    }
}

/// The right key, which the impostor has only seen: the exchange's signature is made by another.
#[test]
fn the_right_key_without_its_private_half_is_refused_under_every_policy() {
    for kind in TYPES {
        let (good, bad) = (KeyPair::new(kind), KeyPair::new(kind));
        let ca = KeyPair::new("ed25519");
        let certificate = Draft::new(&good).signed_by(&ca);
        let known = format!(
            "host {}\n@cert-authority host {}\n",
            good.fields(),
            ca.fields()
        );
        for policy in POLICIES {
            let config = config(policy, &known);
            for (algorithm, blob) in [
                (good.algorithm(), good.blob()),
                (good.certificate_algorithm(), certificate.clone()),
            ] {
                let error = refused(&config, algorithm, &blob, &bad);
                assert_eq!(error.phase(), Phase::Kex, "{algorithm}: {error:?}");
            }
        }
    }
}

/// A certificate of the host's CA is taken; one of another CA over the impostor's key is not.
#[test]
fn another_cas_certificate_is_refused_under_every_policy_but_the_dangerous_one() {
    for kind in TYPES {
        let (good, bad) = (KeyPair::new(kind), KeyPair::new(kind));
        for ca_kind in TYPES {
            let [ca, other] = [(); 2].map(|()| KeyPair::new(ca_kind));
            // A plain key is known too, so that accept-new has something to hold against.
            let known = format!(
                "@cert-authority host {}\nhost {}\n",
                ca.fields(),
                good.fields()
            );
            let algorithm = good.certificate_algorithm();
            for policy in POLICIES {
                let config = config(policy, &known);
                taken(&config, algorithm, &Draft::new(&good).signed_by(&ca), &good);
                taken(&config, algorithm, &Draft::new(&bad).signed_by(&ca), &bad);
                let forged = Draft::new(&bad).signed_by(&other);
                if policy == HostKeyPolicy::DangerousAcceptAny {
                    taken(&config, algorithm, &forged, &bad);
                    continue;
                }
                let error = refused(&config, algorithm, &forged, &bad);
                assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
            }
        }
    }
}

/// What a certificate can say that makes it none for the host; its plain key, which is new, is what is left of it, as
/// with ssh.
#[test]
fn certificates_that_are_not_for_the_host_are_refused() {
    let [ca, key] = [(); 2].map(|()| KeyPair::new("ed25519"));
    let [expired, early, other, user, critical] = [(); 5].map(|()| Draft::new(&key));
    let expired = Draft {
        valid: (0, 1_000_000_000),
        ..expired
    };
    let early = Draft {
        valid: (u64::MAX - 1, u64::MAX),
        ..early
    };
    let other = Draft {
        principals: vec!["other", "*", "HOST"],
        ..other
    };
    let user = Draft { kind: 1, ..user };
    let critical = Draft {
        critical: vec!["x@y"],
        ..critical
    };
    for (draft, words) in [
        (expired, "expired"),
        (early, "not yet valid"),
        (other, "not a listed principal"),
        (user, "not a host certificate"),
        (critical, "critical option x@y"),
    ] {
        check_useless(&key, &draft, &ca, words);
    }
    let weak = Draft {
        weak: true,
        ..Draft::new(&key)
    };
    check_useless(
        &key,
        &weak,
        &KeyPair::new("rsa"),
        "disallowed algorithm ssh-rsa",
    );
}

#[track_caller]
fn check_useless(key: &KeyPair, draft: &Draft<'_>, ca: &KeyPair, words: &str) {
    let known = format!("@cert-authority host {}\n", ca.fields());
    let (algorithm, blob) = (key.certificate_algorithm(), draft.signed_by(ca));
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::Ask] {
        let error = refused(&config(policy, &known), algorithm, &blob, key);
        assert_failed(&error, Phase::HostKey, Kind::HostKeyUnknown);
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    taken(
        &config(HostKeyPolicy::AcceptNew, &known),
        algorithm,
        &blob,
        key,
    );
}

/// The dangerous policy takes any key, but no certificate that is damaged and none that is revoked.
#[test]
fn damaged_and_revoked_certificates_are_refused_under_every_policy() {
    let [ca, key] = [(); 2].map(|()| KeyPair::new("ed25519"));
    let known = format!("@cert-authority host {}\n", ca.fields());
    let algorithm = key.certificate_algorithm();
    let good = Draft::new(&key).signed_by(&ca);
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let of_no_kind = Draft {
        kind: 3,
        ..Draft::new(&key)
    }
    .signed_by(&ca);
    for policy in POLICIES {
        for blob in [&damaged, &of_no_kind] {
            let error = refused(&config(policy, &known), algorithm, blob, &key);
            assert_failed(&error, Phase::HostKey, Kind::Protocol);
        }
        for revoked in [&ca, &key] {
            let known = format!("{known}@revoked * {}\n", revoked.fields());
            let error = refused(&config(policy, &known), algorithm, &good, &key);
            assert_failed(&error, Phase::HostKey, Kind::HostKeyRevoked);
        }
    }
}

/// A certificate where a plain key was agreed on, and the other way round, and a key of another type.
#[test]
fn a_key_of_another_sort_than_agreed_is_refused_under_every_policy() {
    let ca = KeyPair::new("ed25519");
    for kind in TYPES {
        let key = KeyPair::new(kind);
        let other = KeyPair::new(if kind == "rsa" { "nistp256" } else { "rsa" });
        let known = format!(
            "host {}\n@cert-authority host {}\n",
            key.fields(),
            ca.fields()
        );
        let [plain, signed] = [key.blob(), Draft::new(&key).signed_by(&ca)];
        let [others, others_signed] = [other.blob(), Draft::new(&other).signed_by(&ca)];
        for policy in POLICIES {
            let config = config(policy, &known);
            for (algorithm, blob, signer) in [
                (key.algorithm(), &signed, &key),
                (key.algorithm(), &others, &other),
                (key.certificate_algorithm(), &plain, &key),
                (key.certificate_algorithm(), &others_signed, &other),
            ] {
                let error = refused(&config, algorithm, blob, signer);
                assert_eq!(error.phase(), Phase::Kex, "{algorithm}: {error:?}");
            }
        }
    }
}

/// Law S10: who has no CA for the host does not even ask for certificates.
#[test]
fn certificates_are_asked_for_only_where_a_ca_is_known() {
    let [ca, key] = [(); 2].map(|()| KeyPair::new("ed25519"));
    let blob = Draft::new(&key).signed_by(&ca);
    for known in ["", "@cert-authority other ", "host "] {
        let known = if known.is_empty() {
            String::new()
        } else {
            format!("{known}{}\n", ca.fields())
        };
        let config = config(HostKeyPolicy::AcceptNew, &known);
        let error = refused(&config, key.certificate_algorithm(), &blob, &key);
        assert_failed(&error, Phase::Kex, Kind::NoCommonAlgorithm);
    }
}

/// A look at a key sends nothing behind the exchange; what was accepted then is known, and what was not is not.
#[test]
fn a_probe_learns_the_key_and_tells_nothing() {
    let [key, other] = [(); 2].map(|()| KeyPair::new("ed25519"));
    let config = config(HostKeyPolicy::Ask, "");
    let probe = |key: &KeyPair| {
        let server = Server::start(key.algorithm(), key.blob(), key.clone());
        let scope = Scope::root().child(Some(LIMIT));
        let seen = host_key::probe(&host(&server), &config, &scope);
        assert_eq!(server.said_after_exchange(), []);
        seen
    };
    let seen = probe(&key).unwrap();
    assert!(!seen.is_known());
    assert_eq!((seen.name(), seen.algorithm()), ("host", "ssh-ed25519"));
    assert!(seen.fingerprint().starts_with("SHA256:") && seen.fingerprint().len() == 50);
    assert_eq!(seen.public_key(), key.fields());
    let error = refused(&config, key.algorithm(), &key.blob(), &key);
    assert_failed(&error, Phase::HostKey, Kind::HostKeyUnknown);
    assert!(config.host_keys().accept(&[seen])[0].is_ok());
    taken(&config, key.algorithm(), &key.blob(), &key);
    assert!(probe(&key).unwrap().is_known());
    for error in [
        probe(&other).unwrap_err(),
        refused(&config, other.algorithm(), &other.blob(), &other),
    ] {
        assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
    }
}
