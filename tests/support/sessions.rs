//! Sessions for tests: hosts, host keys and configurations for sshd and the embedded fleet.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{
    Config, ConfigBuilder, Error, Host, HostKeyPolicy, HostKeys, Identity, Kind, Phase, Scope,
    Session, Timings, known_hosts::KnownHosts,
};

use super::{account::ACCOUNT, fleet::EmbeddedFleet, sshd::Sshd};

/// Longer than anything here takes; only what hangs takes it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How much later than it should something may end where the machine stands still for a while: by much less than
/// [`LIMIT`], which is what it takes where nothing ends it.
pub(crate) const LATE: Duration = Duration::from_secs(30);

/// A scope that ends what hangs.
pub(crate) fn limit() -> Scope {
    Scope::root().child(Some(LIMIT))
}

/// A scope that ends after so many milliseconds.
pub(crate) fn within_ms(milliseconds: u64) -> Scope {
    Scope::root().child(Some(Duration::from_millis(milliseconds)))
}

/// The host at an address and port.
pub(crate) fn host(socket: SocketAddr) -> Host {
    let host = Host::new(socket.ip().to_string()).expect("an address is a name");
    host.with_port(socket.port()).expect("a port above zero")
}

/// Host keys by the text of a known_hosts file.
pub(crate) fn host_keys(policy: HostKeyPolicy, known: &str) -> Arc<HostKeys> {
    let mut hosts = KnownHosts::new();
    hosts.add_text(known.as_bytes(), "known_hosts");
    Arc::new(HostKeys::new(policy, hosts))
}

/// A key out of its file.
pub(crate) fn identity(path: &Path) -> Arc<Identity> {
    Arc::new(Identity::load(path, None).expect("loads the key"))
}

/// What a user of `sshd` would set: the key it accepts, and its host keys alone. Without signs of life, which would
/// wake a session that forgot to look.
pub(crate) fn config_for(sshd: &Sshd) -> ConfigBuilder {
    config_knowing(sshd, &sshd.known_hosts())
}

/// As [`config_for`], with another known_hosts text.
pub(crate) fn config_knowing(sshd: &Sshd, known: &str) -> ConfigBuilder {
    Config::builder(host_keys(HostKeyPolicy::Strict, known))
        .user(sshd.user())
        .identity(identity(&sshd.key_path()))
        .keepalive(None)
}

/// What a user of the embedded fleet would set; hosts are then named by address alone.
pub(crate) fn config_for_fleet(fleet: &EmbeddedFleet) -> ConfigBuilder {
    Config::builder(fleet_host_keys(fleet))
        .user("tester")
        .port(fleet.port())
        .identity(identity(&fleet.key_path()))
        .keepalive(None)
}

/// The fleet's host keys, strictly.
pub(crate) fn fleet_host_keys(fleet: &EmbeddedFleet) -> Arc<HostKeys> {
    let known = std::fs::read_to_string(fleet.known_hosts_path()).expect("reads known_hosts");
    host_keys(HostKeyPolicy::Strict, &known)
}

/// One host of the fleet.
pub(crate) fn fleet_host(fleet: &EmbeddedFleet, index: usize) -> Host {
    Host::new(fleet.address(index).to_string()).expect("an address is a name")
}

/// Connects to the server's first address.
#[track_caller]
pub(crate) fn connect(sshd: &Sshd) -> Session {
    connect_with(sshd, config_for(sshd))
}

/// Connects to the server's first address, configured as given.
#[track_caller]
pub(crate) fn connect_with(sshd: &Sshd, config: ConfigBuilder) -> Session {
    let config = config.build().expect("a whole configuration");
    Session::connect(&host(sshd.socket()), &config).expect("connects")
}

/// Connects within so many milliseconds; returns the error and how long it took.
#[track_caller]
pub(crate) fn fails(host: &Host, config: &Config, milliseconds: u64) -> (Error, Duration) {
    let begun = Instant::now();
    let scope = within_ms(milliseconds);
    let result = Session::connect_in(host, config, &scope, &mut Timings::default());
    (result.expect_err("does not connect"), begun.elapsed())
}

/// Has something hang in a phase within so many milliseconds; in longer ones as long as they are over before that phase,
/// which a busy machine may not come to in a short time. Returns the error, its limit and how long it took.
#[track_caller]
pub(crate) fn hangs_in(
    phase: Phase,
    milliseconds: u64,
    attempt: impl Fn(u64) -> Error,
) -> (Error, Duration, Duration) {
    let mut milliseconds = milliseconds;
    loop {
        let (limit, begun) = (Duration::from_millis(milliseconds), Instant::now());
        let error = attempt(milliseconds);
        let is_early = error.phase() < phase;
        let given_up = matches!(error, Error::TimedOut { .. } | Error::Cancelled { .. });
        if !is_early || !given_up || limit > LIMIT {
            return (error, limit, begun.elapsed());
        }
        milliseconds *= 4;
    }
}

/// Has one of five rounds be good: what else a machine does, such as standing still for a moment, it does not do in each.
#[track_caller]
pub(crate) fn one_of_five<T: std::fmt::Debug>(
    mut round: impl FnMut() -> T,
    is_good: impl Fn(&T) -> bool,
) {
    let mut all = Vec::new();
    while !all.last().is_some_and(&is_good) {
        assert!(all.len() < 5, "none is good: {all:?}");
        all.push(round());
    }
}

/// Asserts where and how something failed.
#[track_caller]
pub(crate) fn assert_failed(error: &Error, phase: Phase, kind: Kind) {
    let found = (error.phase(), error.kind());
    assert_eq!(found, (phase, kind), "{error:?}");
}

/// The resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Bytes without any order, the same for the same seed.
pub(crate) fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A server with a user who is not root but may do everything by sudo, with one more rule for sudo, and a session of
/// that user; `None` where no account can be made.
pub(crate) fn sudoer(rule: &str) -> Option<(Sshd, Session)> {
    let rules = [
        "Defaults timestamp_timeout=0, lecture=never, !use_pty, !syslog",
        "ALL ALL=(ALL:ALL) NOPASSWD: ALL",
        rule,
    ];
    let sshd = Sshd::builder()
        .sudoer("secret", &rules)
        .log_level("INFO")
        .config("UsePAM yes")
        .config("PasswordAuthentication yes")
        .start()?;
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    let config = Config::builder(keys)
        .user(ACCOUNT)
        .password("secret".to_owned().into());
    let session = connect_with(&sshd, config.keepalive(None));
    Some((sshd, session))
}
