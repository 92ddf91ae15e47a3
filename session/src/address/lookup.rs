//! Look-ups of names: on the few threads for blocking calls (law G7), one for all who ask for the
//! same name at the same time.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use sshoal_reactor::sync::Event;
use sshoal_reactor::{Scope, Stop, blocking_within};

/// What a look-up gave.
type Found = Result<Vec<SocketAddr>, Failure>;

/// An error of the resolver, for each of those who asked.
#[derive(Debug, Clone)]
enum Failure {
    /// The system's, by its number: a want of descriptors is known by it.
    System(i32),
    Other(io::ErrorKind, String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::System(number),
            None => Self::Other(error.kind(), error.to_string()),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::System(number) => Self::from_raw_os_error(number),
            Failure::Other(kind, text) => Self::new(kind, text),
        }
    }
}

/// A look-up under way.
#[derive(Default)]
struct Lookup {
    /// Set before `done`, or never: then whoever asked first has given up, and another must ask.
    found: Mutex<Option<Found>>,
    done: Event,
}

type Key = (String, u16);

static UNDER_WAY: LazyLock<Mutex<HashMap<Key, Arc<Lookup>>>> = LazyLock::new(Mutex::default);

/// Looks a name up. Parks.
pub(super) fn ask(
    name: &str,
    port: u16,
    scope: &Scope,
) -> Result<io::Result<Vec<SocketAddr>>, Stop> {
    share(name, port, scope, |name, port| {
        (name, port).to_socket_addrs().map(Iterator::collect)
    })
}

fn share(
    name: &str,
    port: u16,
    scope: &Scope,
    resolve: fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
) -> Result<io::Result<Vec<SocketAddr>>, Stop> {
    loop {
        let key = (name.to_owned(), port);
        let (lookup, first) = {
            let mut under_way = UNDER_WAY.lock();
            match under_way.get(&key) {
                Some(lookup) => (lookup.clone(), false),
                None => {
                    let lookup = Arc::<Lookup>::default();
                    under_way.insert(key.clone(), lookup.clone());
                    (lookup, true)
                }
            }
        };
        if first {
            let ending = Ending {
                key,
                lookup: lookup.clone(),
            };
            let looked = blocking_within(scope, move || {
                let found = resolve(&ending.key.0, ending.key.1);
                let found = found.map_err(Failure::from);
                *ending.lookup.found.lock() = Some(found);
            })?;
            if let Err(panic) = looked {
                return Ok(Err(io::Error::other(panic)));
            }
        } else {
            lookup.done.wait(scope)?;
        }
        let found = lookup.found.lock().clone();
        if let Some(found) = found {
            return Ok(found.map_err(io::Error::from));
        }
    }
}

/// Ends a look-up when it is dropped: made, withdrawn before a thread took it, or in a panic.
struct Ending {
    key: Key,
    lookup: Arc<Lookup>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        UNDER_WAY.lock().remove(&self.key);
        self.lookup.done.set();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use sshoal_reactor::{sleep, spawn};

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static GO_ON: LazyLock<Event> = LazyLock::new(Event::new);

    fn slow(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        ASKED.fetch_add(1, Ordering::Relaxed);
        GO_ON.wait(&Scope::root()).unwrap();
        match name {
            "nowhere" => Err(io::Error::other("no such name")),
            _ => Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]),
        }
    }

    /// Waits until so many wait for a look-up, or have begun it.
    fn waits_is(name: &str, count: usize) {
        let key = (name.to_owned(), 22);
        // The list and the look-up itself hold it too.
        let holds = || UNDER_WAY.lock().get(&key).map_or(0, Arc::strong_count);
        while holds() < count + 2 || ASKED.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(1));
        }
    }

    /// A thousand ask for two names: two look-ups are made. Those who give up take nothing from the
    /// others.
    #[test]
    fn equal_names_share_one_look_up() {
        let scope = Scope::root().child(Some(Duration::from_secs(60)));
        let ask = |name: &'static str, scope: &Scope| {
            let scope = scope.clone();
            spawn(move || share(name, 22, &scope, slow)).unwrap()
        };
        let leader = scope.child(None);
        let first = ask("here", &leader);
        waits_is("here", 1);
        let others: Vec<_> = (0..500).map(|_| ask("here", &scope)).collect();
        let lost: Vec<_> = (0..500).map(|_| ask("nowhere", &scope)).collect();
        waits_is("here", 501);
        waits_is("nowhere", 500);
        leader.cancel();
        assert_eq!(first.join().unwrap().unwrap_err(), Stop::Cancelled);
        GO_ON.set();
        for other in others {
            let found = other.join().unwrap().unwrap().unwrap();
            assert_eq!(found, [(Ipv4Addr::LOCALHOST, 22).into()]);
        }
        for lost in lost {
            let error = lost.join().unwrap().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "no such name");
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
        assert!(UNDER_WAY.lock().is_empty());
    }
}
