//! Other hosts for a pool, with the sessions of those that stay.

use std::collections::HashMap;
use std::sync::Arc;

use sshoal_session::{Config, Host};

use crate::configs::Configs;
use crate::connector::Connected;
use crate::error::PoolError;
use crate::pool::{Pool, close_all};

/// An idle session, with its host's index in the list before.
type Idle = (usize, Arc<dyn Connected>);

impl Pool {
    /// Replaces the hosts; idle sessions to hosts that stay, wherever they are in the list, are
    /// kept, and the others are closed in order. Parks until these are closed, each within its
    /// bounded time.
    ///
    /// Runs under way go on with the hosts they began with, on sessions of their own that count
    /// apart from the pool's size. The default size follows the number of hosts.
    ///
    /// # Errors
    /// The host list is empty, or the pool has a configuration for each host, see
    /// [`Pool::replace_hosts_with`]. The pool is then as it was.
    pub fn replace_hosts(&mut self, hosts: impl Into<Vec<Host>>) -> Result<(), PoolError> {
        let hosts = hosts.into();
        match &self.engine.configs {
            Configs::One(config) => self.replace(hosts, Configs::One(Arc::clone(config))),
            Configs::Each(_) => Err(PoolError::ConfigCount {
                configs: 0,
                hosts: hosts.len(),
            }),
        }
    }

    /// As [`Pool::replace_hosts`], with a configuration for each of the hosts, in their order. A
    /// host stays if its configuration is the same `Arc` as before.
    ///
    /// # Errors
    /// The host list is empty, there is not one configuration for each host, or one of them has a
    /// limit of zero. The pool is then as it was.
    pub fn replace_hosts_with(
        &mut self,
        hosts: impl Into<Vec<Host>>,
        configs: impl Into<Vec<Arc<Config>>>,
    ) -> Result<(), PoolError> {
        self.replace(hosts.into(), Configs::Each(configs.into()))
    }

    fn replace(&mut self, hosts: Vec<Host>, configs: Configs) -> Result<(), PoolError> {
        let pool = self.with_hosts(hosts, configs)?;
        let before = std::mem::replace(self, pool).engine;
        let mut idle: HashMap<&Host, Vec<Idle>> = HashMap::new();
        for (index, session) in before.close() {
            let sessions = idle.entry(&before.hosts[index]).or_default();
            sessions.push((index, session));
        }
        for (index, host) in self.engine.hosts.iter().enumerate() {
            let Some(sessions) = idle.get_mut(host) else {
                continue;
            };
            let config = self.engine.configs.of(index);
            let same = |(old, _): &Idle| Arc::ptr_eq(before.configs.of(*old), config);
            let Some(at) = sessions.iter().position(same) else {
                continue;
            };
            let (old, session) = sessions.remove(at);
            match self.engine.adopt(index, session) {
                Some(refused) => sessions.push((old, refused)),
                None => before.release(),
            }
        }
        let rest = idle.into_values().flatten().map(|(_, session)| session);
        close_all(&before, rest.collect());
        // Places were given back there, and sessions came that may be idle only for so long here.
        before.hand_out();
        self.engine.hand_out();
        Ok(())
    }
}
