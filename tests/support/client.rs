//! The library's side of the servers of this support: what to connect with, and to whom.

use std::{net::SocketAddr, path::Path, sync::Arc};

use sshoal::{
    Config, ConfigBuilder, Host, HostKeyPolicy, HostKeys, Identity, known_hosts::KnownHosts,
    parse_hosts_file,
};

use super::{fleet::EmbeddedFleet, sshd::Sshd};

/// Strict host keys by these lines of known_hosts, one key, and nothing of the user's own.
pub(crate) fn config(known_hosts: &str, key: &Path) -> ConfigBuilder {
    let mut known = KnownHosts::new();
    known.add_text(known_hosts.as_bytes(), "the test's known_hosts");
    assert!(known.bad_lines().is_empty(), "{:?}", known.bad_lines());
    let identity = Identity::load(key, None).expect("the support's keys are good");
    let host_keys = HostKeys::new(HostKeyPolicy::Strict, known);
    Config::builder(Arc::new(host_keys)).identity(Arc::new(identity))
}

/// A host by its address, as a line of a hosts file would name it.
pub(crate) fn host(socket: SocketAddr) -> Host {
    socket.to_string().parse().expect("an address is a host")
}

impl EmbeddedFleet {
    /// What lets in to every host of the fleet.
    pub(crate) fn config(&self) -> Arc<Config> {
        let known = std::fs::read_to_string(self.known_hosts_path()).expect("reads known_hosts");
        let config = config(&known, &self.key_path()).user("tester").build();
        Arc::new(config.expect("nothing is wrong with it"))
    }

    /// All hosts of the fleet, in its order.
    pub(crate) fn targets(&self) -> Vec<Host> {
        let text = std::fs::read(self.hosts_path()).expect("reads the hosts file");
        parse_hosts_file(text, "hosts").expect("the fleet's hosts are good")
    }
}

impl Sshd {
    /// What lets in to every address of the server; to be completed and built.
    pub(crate) fn config(&self) -> ConfigBuilder {
        config(&self.known_hosts(), &self.key_path()).user(self.user())
    }

    /// All addresses of the server as hosts, in its order.
    pub(crate) fn targets(&self) -> Vec<Host> {
        self.sockets().into_iter().map(host).collect()
    }
}
