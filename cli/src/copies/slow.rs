//! Hosts whose copies move too slowly: they are looked at once in a window, and given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use sshoal::Scope;
use sshoal::transfer::Progress;

use crate::args::MinRate;

/// The hosts that are looked at.
#[derive(Debug)]
pub(super) struct Slow {
    min: MinRate,
    hosts: Mutex<HashMap<usize, Watched>>,
}

#[derive(Debug)]
struct Watched {
    scope: Scope,
    counters: Progress,
    /// How many bytes had moved when it was last looked at, while a file was under way.
    before: Option<u64>,
    is_slow: Arc<AtomicBool>,
}

impl Slow {
    /// Begins to look, until it is dropped.
    pub(super) fn watch(min: MinRate) -> std::io::Result<Arc<Self>> {
        let slow = Arc::new(Self {
            min,
            hosts: Mutex::default(),
        });
        let own = Arc::downgrade(&slow);
        let name = thread::Builder::new().name("min-rate".to_owned());
        name.spawn(move || look_again(&own, min.window))?;
        Ok(slow)
    }

    /// Looks at a host from here on; its copies end with `scope`.
    pub(super) fn add(&self, index: usize, scope: &Scope, counters: Progress) -> Arc<AtomicBool> {
        let is_slow = Arc::<AtomicBool>::default();
        let watched = Watched {
            scope: scope.clone(),
            counters,
            before: None,
            is_slow: is_slow.clone(),
        };
        self.lock().insert(index, watched);
        is_slow
    }

    /// Looks at a host no more.
    pub(super) fn remove(&self, index: usize) {
        self.lock().remove(&index);
    }

    fn look(&self) {
        let least = self.min.bytes_per_second as f64 * self.min.window.as_secs_f64();
        for host in self.lock().values_mut() {
            let bytes = host.counters.bytes();
            if bytes >= host.counters.bytes_expected() {
                // Nothing is under way, or it is only compared.
                host.before = None;
                continue;
            }
            let before = host.before.replace(bytes);
            if before.is_some_and(|before| ((bytes - before) as f64) < least) {
                host.is_slow.store(true, Ordering::Release);
                host.scope.cancel();
            }
        }
    }

    /// A leaf lock: nothing waits under it.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Watched>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_again(slow: &Weak<Slow>, window: Duration) {
    loop {
        thread::park_timeout(window);
        match slow.upgrade() {
            Some(slow) => slow.look(),
            None => return,
        }
    }
}
