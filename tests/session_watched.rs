//! How far a session is, told while it is made.

mod support;

use sshoal::{Kind, Phase, Scope, Session, Timings};
use support::{client, sshd::Sshd};

/// Connects with the server's key known and the user's key accepted, then without the one, then without the other:
/// what was reached is told, and nothing beyond it.
#[test]
fn a_session_tells_each_phase_that_is_done() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(strict) = Sshd::builder().config("PubkeyAuthentication no").start() else {
        return;
    };
    let unknown = client::config("", &sshd.key_path()).user(sshd.user());
    let known = [Phase::Connect, Phase::Kex, Phase::HostKey];
    for (server, config, reached, kind) in [
        (
            &sshd,
            sshd.config(),
            &[known[0], known[1], known[2], Phase::Auth][..],
            None,
        ),
        (&sshd, unknown, &known[..2], Some(Kind::HostKeyUnknown)),
        (&strict, strict.config(), &known[..], Some(Kind::Denied)),
    ] {
        let (host, config) = (client::host(server.socket()), config.build().unwrap());
        let (scope, mut timings, mut told) = (Scope::root(), Timings::default(), Vec::new());
        let mut tell = |phase| told.push(phase);
        let session = Session::connect_watched(&host, &config, &scope, &mut timings, &mut tell);
        assert_eq!(session.err().map(|error| error.kind()), kind);
        assert_eq!(told, reached);
    }
}
