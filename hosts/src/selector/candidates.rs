//! Hosts to choose from, by their specs and by their names.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::glob::glob;
use crate::names::NameSet;

/// The hosts to choose from.
pub(super) struct Candidates {
    /// The specs.
    pub(super) all: Rc<NameSet>,
    /// By name and by spec, the specs that are meant.
    by_name: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Candidates {
    pub(super) fn new(specs: &[String]) -> Self {
        let (mut all, mut by_name) = (
            NameSet::default(),
            HashMap::<Arc<str>, Vec<Arc<str>>>::new(),
        );
        for spec in specs {
            if all.contains(spec) {
                continue;
            }
            let spec: Arc<str> = spec.as_str().into();
            all.insert(Arc::clone(&spec));
            let name = bare(&spec);
            by_name
                .entry(name.into())
                .or_default()
                .push(Arc::clone(&spec));
            if name != &*spec {
                by_name.entry(Arc::clone(&spec)).or_default().push(spec);
            }
        }
        Self {
            all: Rc::new(all),
            by_name,
        }
    }

    /// Returns the candidates that names stand for.
    pub(super) fn of(&self, names: &NameSet) -> NameSet {
        let specs = names.iter().filter_map(|name| self.by_name.get(name));
        specs.flatten().collect()
    }

    /// Returns the names that match a shell pattern.
    pub(super) fn matching(&self, pattern: &str) -> NameSet {
        self.by_name
            .keys()
            .filter(|name| glob(pattern, name))
            .collect()
    }
}

/// Returns the name of a spec, `[user@]host[:port]`.
pub(super) fn bare(spec: &str) -> &str {
    let rest = spec.rsplit_once('@').map_or(spec, |(_, rest)| rest);
    if let Some((address, _)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match rest.split_once(':') {
        // Several colons are an IPv6 address's.
        Some((name, port)) if !port.contains(':') => name,
        _ => rest,
    }
}
