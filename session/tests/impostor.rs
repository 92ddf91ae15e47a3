//! Hosts that show a key or certificate that is not theirs, under every policy and for every type: how much they
//! learn is taken down behind the key exchange, and there is nothing.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "hostile_session/cipher.rs"]
mod cipher;
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

/// Every fault of a certificate, of which a host with a new key has one; the dangerous policy takes any key, but no
/// certificate that is damaged and none that is revoked.
#[test]
fn certificates_with_a_fault_are_refused() {
    let [ca, key] = [(); 2].map(|()| KeyPair::new("ed25519"));
    let known = format!("@cert-authority host {}\n", ca.fields());
    let draft = || Draft::new(&key);
    let unknown = [
        (
            "expired",
            Draft {
                valid: (0, 1_000_000_000),
                ..draft()
            },
            "expired",
        ),
        (
            "early",
            Draft {
                valid: (u64::MAX - 1, u64::MAX),
                ..draft()
            },
            "not yet valid",
        ),
        (
            "names",
            Draft {
                principals: vec!["other", "*", "HOST"],
                ..draft()
            },
            "principal",
        ),
        (
            "user",
            Draft { kind: 1, ..draft() },
            "not a host certificate",
        ),
        (
            "critical",
            Draft {
                critical: vec!["x@y"],
                ..draft()
            },
            "critical option x@y",
        ),
        (
            "sha-1",
            Draft {
                weak: true,
                ..Draft::new(&key)
            },
            "disallowed algorithm ssh-rsa",
        ),
    ];
    let rsa = KeyPair::new("rsa");
    let known_rsa = format!("@cert-authority host {}\n", rsa.fields());
    for (name, draft, words) in unknown {
        let (signer, known) = if draft.weak {
            (&rsa, &known_rsa)
        } else {
            (&ca, &known)
        };
        let blob = draft.signed_by(signer);
        for policy in [HostKeyPolicy::Strict, HostKeyPolicy::Ask] {
            let error = refused(
                &config(policy, known),
                key.certificate_algorithm(),
                &blob,
                &key,
            );
            assert_failed(&error, Phase::HostKey, Kind::HostKeyUnknown);
            assert!(error.to_string().contains(words), "{name}: {error}");
        }
        // As with ssh, such a certificate leaves a plain key that is new.
        taken(
            &config(HostKeyPolicy::AcceptNew, known),
            key.certificate_algorithm(),
            &blob,
            &key,
        );
    }
    let mut damaged = draft().signed_by(&ca);
    *damaged.last_mut().unwrap() ^= 1;
    let mut unknown_type = Draft { kind: 3, ..draft() }.signed_by(&ca);
    for blob in [&mut damaged, &mut unknown_type] {
        for policy in POLICIES {
            let error = refused(
                &config(policy, &known),
                key.certificate_algorithm(),
                blob,
                &key,
            );
            assert_failed(&error, Phase::HostKey, Kind::Protocol);
        }
    }
    for revoked in [&ca, &key] {
        let known = format!("{known}@revoked * {}\n", revoked.fields());
        for policy in POLICIES {
            let blob = draft().signed_by(&ca);
            let error = refused(
                &config(policy, &known),
                key.certificate_algorithm(),
                &blob,
                &key,
            );
            assert_failed(&error, Phase::HostKey, Kind::HostKeyRevoked);
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
