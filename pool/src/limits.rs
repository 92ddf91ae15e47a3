//! What this machine allows: found at start, met at run time, never a host's failure (P6).
//!
//! The principal type is [`LocalLimits`].

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sshoal_session::{AuthError, Error, Phase};

/// How many sessions this machine allows at once, by what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalLimits {
    descriptors: usize,
    maps: usize,
    memory: usize,
}

impl LocalLimits {
    /// Finds the limits as they are at this moment; a limit that cannot be read counts as none.
    pub fn find() -> Self {
        let soft = getrlimit(Resource::Nofile).current;
        let open = entries("/proc/self/fd").unwrap_or(DESCRIPTORS_SPARE);
        let maps_max = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let maps_max = maps_max.and_then(|text| text.trim().parse().ok());
        let maps = fs::read_to_string("/proc/self/maps").map_or(0, |text| text.lines().count());
        let memory = fs::read_to_string("/proc/meminfo").ok();
        Self {
            descriptors: soft.map_or(usize::MAX, |soft| descriptors(saturate(soft), open)),
            maps: maps_max.map_or(usize::MAX, |max| green_threads(max, maps)),
            memory: memory
                .and_then(|text| available_kib(&text))
                .map_or(usize::MAX, sessions_in),
        }
    }

    /// Returns the sessions that the limit of open files (`ulimit -n`, soft) leaves room for.
    pub fn by_descriptors(&self) -> usize {
        self.descriptors
    }

    /// Returns the sessions that `vm.max_map_count` leaves room for, at two memory maps for each.
    pub fn by_memory_maps(&self) -> usize {
        self.maps
    }

    /// Returns the sessions that half of the memory available has room for.
    pub fn by_memory(&self) -> usize {
        self.memory
    }

    /// Returns how many sessions may be live at once: the lowest of the limits, at least one.
    pub fn sessions_max(&self) -> usize {
        self.descriptors.min(self.maps).min(self.memory).max(1)
    }

    /// Returns why this machine does not allow so many sessions at once, a sentence for each limit
    /// that is too low, with how it is raised; none where they fit.
    pub fn shortages(&self, sessions: usize) -> Vec<String> {
        let limits = [
            (
                self.descriptors,
                "by the limit of open files: raise `ulimit -n` up to its hard limit, and that by \
                 limits.conf or LimitNOFILE= of the systemd unit",
            ),
            (
                self.maps,
                "by the limit of memory maps: raise it by sysctl vm.max_map_count, two for each \
                 session",
            ),
            (
                self.memory,
                "by half of the memory available, at 160 KiB for each",
            ),
        ];
        let short = limits
            .into_iter()
            .filter(|(allowed, _)| *allowed < sessions);
        short
            .map(|(allowed, why)| {
                format!(
                    "not {sessions} sessions at once but {}, {why}",
                    allowed.max(1)
                )
            })
            .collect()
    }
}

/// Raises the process's soft limit of open files to its hard limit; returns the limit then.
///
/// The library never does so by itself, because the limit is the whole process's. Call it before
/// a pool is built, since the default size follows the limit.
///
/// # Errors
/// The system refused.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )?;
    }
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Returns whether an error of a host that is not yet running its command comes from a limit of
/// this machine, so that the host can be tried again as if nothing had been.
pub(crate) fn is_local_limit(error: &Error) -> bool {
    if error.phase() >= Phase::Run && error.phase() != Phase::Local {
        return false;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(errno) = e.downcast_ref::<io::Error>().and_then(Errno::from_io_error) {
            return match errno {
                Errno::ADDRNOTAVAIL | Errno::AGAIN => match error {
                    Error::Connect { address, .. } => has_source_address(*address),
                    // An agent's backlog is full: many of our own handshakes are in it.
                    Error::Auth(AuthError::Agent { .. }) => errno == Errno::AGAIN,
                    _ => false,
                },
                other => is_exhaustion(other),
            };
        }
        cause = e.source();
    }
    // The resolver hides the cause when it gets no descriptor for its own files and sockets.
    matches!(error, Error::Resolve { .. })
        && fs::File::open("/dev/null").is_err_and(|e| is_descriptor_limit(&e))
}

/// Returns whether an error of a file says that the process or the system has no descriptor left.
pub(crate) fn is_descriptor_limit(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

fn is_exhaustion(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
    )
}

/// Tells used-up ports from an address that this machine can never reach, for which `connect`
/// has the same error: a UDP socket takes the same route and needs none of the TCP ports.
fn has_source_address(to: SocketAddr) -> bool {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    match UdpSocket::bind(any).and_then(|socket| socket.connect(to)) {
        Ok(()) => true,
        Err(e) => Errno::from_io_error(&e).is_some_and(is_exhaustion),
    }
}

fn saturate(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn entries(folder: &str) -> io::Result<usize> {
    Ok(fs::read_dir(folder)?.count())
}

/// One descriptor a session; a sixteenth and some are left to the caller, the resolver and agents.
fn descriptors(soft: usize, open: usize) -> usize {
    soft.saturating_sub(open + DESCRIPTORS_SPARE + soft / 16)
}

/// Two maps a green thread; a tenth is left to allocators and libraries.
fn green_threads(maps_max: usize, maps: usize) -> usize {
    (maps_max - maps_max / 10).saturating_sub(maps) / 2
}

fn available_kib(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn sessions_in(available_kib: usize) -> usize {
    available_kib / 2 / SESSION_KIB
}

/// Descriptors left to others, whatever the limit.
const DESCRIPTORS_SPARE: usize = 16;
/// Resident memory of a session with some output, generously.
const SESSION_KIB: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_room_for_others() {
        assert_eq!(descriptors(1024, 10), 934);
        assert_eq!(descriptors(64, 10), 34);
        assert_eq!(
            descriptors(16, 10),
            0,
            "at least one is for `sessions_max` to say"
        );
        assert_eq!(green_threads(65_530, 200), 29_388);
        assert_eq!(sessions_in(3_200), 10);
    }

    #[test]
    fn names_each_limit_that_is_too_low() {
        let limits = LocalLimits {
            descriptors: 934,
            maps: 29_388,
            memory: 0,
        };
        let said = limits.shortages(5000);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("not 5000 sessions at once but 934, by the limit of open files")
        );
        assert!(said[1].starts_with("not 5000 sessions at once but 1, by half of the memory"));
        assert_eq!(limits.shortages(40_000).len(), 3);
        assert!(limits.shortages(0).is_empty());
    }

    #[test]
    fn finds_something_on_this_machine() {
        let found = LocalLimits::find();
        assert!(found.sessions_max() >= 1);
        assert!(found.sessions_max() <= found.by_descriptors().max(1));
    }

    #[track_caller]
    fn check(error: &Error, expected: bool) {
        assert_eq!(is_local_limit(error), expected, "{error:?}");
    }

    #[test]
    fn tells_limits_of_this_machine_from_failures_of_a_host() {
        let local = |errno: Errno, phase| Error::Local {
            phase,
            source: errno.into(),
        };
        check(&local(Errno::MFILE, Phase::Connect), true);
        check(&local(Errno::NOMEM, Phase::Auth), true);
        check(&local(Errno::NOSPC, Phase::Connect), false);
        check(&local(Errno::MFILE, Phase::Run), false);
        let connect = |errno: Errno, address: &str| Error::Connect {
            address: address.parse().unwrap(),
            source: errno.into(),
        };
        check(&connect(Errno::CONNREFUSED, "127.0.0.1:22"), false);
        check(&connect(Errno::ADDRNOTAVAIL, "127.0.0.1:22"), true);
        check(&connect(Errno::MFILE, "127.0.0.1:22"), true);
        let resolve = Error::Resolve {
            name: "x".into(),
            source: io::Error::other("no"),
        };
        check(&resolve, false);
    }
}
