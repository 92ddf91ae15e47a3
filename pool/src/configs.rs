//! How each host of a pool is reached: one configuration for all, or one for each.

use std::slice;
use std::sync::Arc;

use sshoal_session::Config;

/// The configurations of a pool's hosts; a pointer a host where they differ, none where not.
#[derive(Debug)]
pub(crate) enum Configs {
    One(Arc<Config>),
    /// In the order of the hosts.
    Each(Vec<Arc<Config>>),
}

impl Configs {
    /// Returns the configuration of a host.
    pub(crate) fn of(&self, host: usize) -> &Arc<Config> {
        match self {
            Self::One(config) => config,
            Self::Each(configs) => &configs[host],
        }
    }

    /// Returns how many hosts there have to be; `None` if any number will do.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::One(_) => None,
            Self::Each(configs) => Some(configs.len()),
        }
    }

    /// Returns every configuration, some more than once.
    pub(crate) fn iter(&self) -> slice::Iter<'_, Arc<Config>> {
        match self {
            Self::One(config) => slice::from_ref(config).iter(),
            Self::Each(configs) => configs.iter(),
        }
    }
}
