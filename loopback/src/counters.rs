//! What a fleet counts while it runs, and how it prints that.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A snapshot of what a fleet has counted; its `Display` is the line that the command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted from loopback peers.
    pub accepted: u64,
    /// Connections open at this moment.
    pub live: u64,
    /// Most connections open at once.
    pub peak: u64,
    /// Commands and subsystems accepted.
    pub execs: u64,
    /// Requests for the authentication method "none".
    pub auth_none: u64,
    /// Keys offered for publickey authentication, signed or not.
    pub auth_offered: u64,
    /// Publickey requests with a valid signature.
    pub auth_publickey: u64,
    /// Requests for password authentication.
    pub auth_password: u64,
    /// Bytes of command output sent.
    pub output_bytes: u64,
    /// File bytes received over SFTP.
    pub sftp_in_bytes: u64,
    /// File bytes sent over SFTP.
    pub sftp_out_bytes: u64,
    /// Connections that ended by an error, and failed accepts.
    pub errors: u64,
    /// Processor time of the process in user mode, in seconds; 0 where it cannot be read.
    pub user_s: f64,
    /// Processor time of the process in the kernel, in seconds; 0 where it cannot be read.
    pub sys_s: f64,
    /// Resident memory of the process, in KiB; 0 where it cannot be read.
    pub rss_kib: u64,
    /// Most resident memory of the process, in KiB; 0 where it cannot be read.
    pub rss_peak_kib: u64,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "counters accepted={} live={} peak={}",
            self.accepted, self.live, self.peak
        )?;
        write!(f, " execs={} auth_none={}", self.execs, self.auth_none)?;
        write!(
            f,
            " auth_offered={} auth_publickey={}",
            self.auth_offered, self.auth_publickey
        )?;
        write!(
            f,
            " auth_password={} output_bytes={}",
            self.auth_password, self.output_bytes
        )?;
        write!(f, " sftp_in_bytes={}", self.sftp_in_bytes)?;
        write!(
            f,
            " sftp_out_bytes={} errors={}",
            self.sftp_out_bytes, self.errors
        )?;
        write!(f, " user_s={:.2} sys_s={:.2}", self.user_s, self.sys_s)?;
        write!(
            f,
            " rss_kib={} rss_peak_kib={}",
            self.rss_kib, self.rss_peak_kib
        )
    }
}

/// The live counters. Relaxed everywhere: they count, and order nothing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: AtomicU64,
    pub(crate) live: AtomicU64,
    pub(crate) peak: AtomicU64,
    pub(crate) execs: AtomicU64,
    pub(crate) auth_none: AtomicU64,
    pub(crate) auth_offered: AtomicU64,
    pub(crate) auth_publickey: AtomicU64,
    pub(crate) auth_password: AtomicU64,
    pub(crate) output_bytes: AtomicU64,
    pub(crate) sftp_in_bytes: AtomicU64,
    pub(crate) sftp_out_bytes: AtomicU64,
    pub(crate) errors: AtomicU64,
}

impl Tally {
    /// Counts one accepted connection until the guard goes.
    pub(crate) fn connection(&self) -> LiveConnection<'_> {
        self.accepted.fetch_add(1, Relaxed);
        self.peak
            .fetch_max(self.live.fetch_add(1, Relaxed) + 1, Relaxed);
        LiveConnection(self)
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let (user_s, sys_s) = processor_seconds().unwrap_or_default();
        Counters {
            accepted: self.accepted.load(Relaxed),
            live: self.live.load(Relaxed),
            peak: self.peak.load(Relaxed),
            execs: self.execs.load(Relaxed),
            auth_none: self.auth_none.load(Relaxed),
            auth_offered: self.auth_offered.load(Relaxed),
            auth_publickey: self.auth_publickey.load(Relaxed),
            auth_password: self.auth_password.load(Relaxed),
            output_bytes: self.output_bytes.load(Relaxed),
            sftp_in_bytes: self.sftp_in_bytes.load(Relaxed),
            sftp_out_bytes: self.sftp_out_bytes.load(Relaxed),
            errors: self.errors.load(Relaxed),
            user_s,
            sys_s,
            rss_kib: status_kib("VmRSS:").unwrap_or(0),
            rss_peak_kib: status_kib("VmHWM:").unwrap_or(0),
        }
    }
}

/// Keeps one connection counted as live.
#[derive(Debug)]
pub(crate) struct LiveConnection<'a>(&'a Tally);

impl Drop for LiveConnection<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Relaxed);
    }
}

/// Reads user and kernel time of this process from `/proc`; the kernel counts in ticks of 10 ms.
fn processor_seconds() -> Option<(f64, f64)> {
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name may hold spaces and brackets; the fields count from its last bracket.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_S);
    Some((seconds()?, seconds()?))
}

fn status_kib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_falls_when_a_connection_ends_and_peak_stays() {
        let tally = Tally::default();
        let first = tally.connection();
        let second = tally.connection();
        drop(first);
        let third = tally.connection();
        drop((second, third));
        let counters = tally.snapshot();
        assert_eq!((counters.accepted, counters.live, counters.peak), (3, 0, 2));
    }

    #[test]
    fn the_line_names_every_counter_once() {
        let line = Counters {
            accepted: 7,
            ..Counters::default()
        }
        .to_string();
        assert!(
            line.starts_with("counters accepted=7 live=0 peak=0 execs=0 "),
            "{line}"
        );
        assert_eq!(line.matches('=').count(), 16, "{line}");
    }
}
