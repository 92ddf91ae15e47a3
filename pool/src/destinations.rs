//! Which hosts of a pool are one destination: the same name or address, and the same port.

use std::collections::HashMap;
use std::sync::Arc;

use sshoal_session::Host;

use crate::configs::Configs;

/// Returns the destination of each host, counted from 0 in the order in which they are met.
pub(crate) fn number(hosts: &[Host], configs: &Configs) -> Arc<[u32]> {
    let mut numbers: HashMap<(String, u16), u32> = HashMap::with_capacity(hosts.len());
    let number = |(index, host): (usize, &Host)| {
        let port = host.port().unwrap_or_else(|| configs.of(index).port());
        // Names of hosts know no case (RFC 4343 §2).
        let name = host.name().to_ascii_lowercase();
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry((name, port)).or_insert(next)
    };
    hosts.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sshoal_session::known_hosts::KnownHosts;
    use sshoal_session::{Config, HostKeyPolicy, HostKeys};

    use super::*;

    #[test]
    fn a_destination_is_a_name_and_a_port_whoever_logs_in() {
        let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, KnownHosts::new()));
        let config = |port| {
            let builder = Config::builder(Arc::clone(&keys)).user("u").port(port);
            Arc::new(builder.build().unwrap())
        };
        let names = ["a", "b:22", "A", "root@a:22", "a", "a:2222"];
        let hosts: Vec<Host> = names.map(|name| name.parse().unwrap()).into();
        let one = number(&hosts, &Configs::One(config(22)));
        assert_eq!(*one, [0, 1, 0, 0, 0, 2]);
        let ports = [22, 22, 22, 9, 2222, 9].map(config);
        let each = number(&hosts, &Configs::Each(ports.into()));
        assert_eq!(*each, [0, 1, 0, 0, 2, 2]);
    }
}
