//! Whole fleets for tests: every host of a server with what lets in to all of them.

use std::{path::Path, sync::Arc};

use sshoal::{Config, ConfigBuilder, Host, HostKeyPolicy, parse_hosts_file};

pub(crate) use super::sessions::host;
use super::{
    fleet::EmbeddedFleet,
    sessions::{config_for, config_for_fleet, host_keys, identity},
    sshd::Sshd,
};

/// Strict host keys by the text of a known_hosts file, one key, and nothing of the user's own.
pub(crate) fn config(known_hosts: &str, key: &Path) -> ConfigBuilder {
    Config::builder(host_keys(HostKeyPolicy::Strict, known_hosts)).identity(identity(key))
}

impl EmbeddedFleet {
    /// What lets in to every host of the fleet.
    pub(crate) fn config(&self) -> Arc<Config> {
        let config = config_for_fleet(self).build();
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
        config_for(self)
    }

    /// All addresses of the server as hosts, in its order.
    pub(crate) fn targets(&self) -> Vec<Host> {
        self.sockets().into_iter().map(host).collect()
    }
}
