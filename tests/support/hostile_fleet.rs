//! Hostile servers in a child process of a test, so that what they take is not the client's.
//!
//! As with the embedded fleet, the test binary starts itself again. A test file that uses it declares
//! `hostile_fleet!();` at its root.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    ops::Range,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use sshoal_hostile::attacks::{Attack, FLOODS};
use sshoal_hostile::server::{Cipher, HostKey, Manner, Server};

/// Declares the test that the servers run in; without their variable it passes at once.
macro_rules! hostile_fleet {
    () => {
        #[test]
        fn hostile_fleet_child() {
            $crate::support::hostile_fleet::become_fleet_if_asked();
        }
    };
}
pub(crate) use hostile_fleet;

/// Running hostile servers; dropping this ends the process.
#[derive(Debug)]
pub(crate) struct HostileFleet {
    child: Child,
    /// The servers end when this closes, so also when the test is killed.
    stdin: Option<ChildStdin>,
    /// Kept open: a test harness that cannot print ends.
    _stdout: BufReader<ChildStdout>,
    known_hosts: String,
    hosts: Vec<(Attack, SocketAddr)>,
}

impl HostileFleet {
    /// Starts so many servers, which do the first `attacks` of [`FLOODS`] in turn.
    #[track_caller]
    pub(crate) fn start(count: usize, attacks: usize) -> Self {
        Self::start_some(count, 0..attacks)
    }

    /// Starts so many servers, which all do the same of [`FLOODS`].
    #[track_caller]
    pub(crate) fn doing(count: usize, attack: &str) -> Self {
        let place = FLOODS.iter().position(|flood| flood.name() == attack);
        let place = place.expect("an attack");
        Self::start_some(count, place..place + 1)
    }

    #[track_caller]
    fn start_some(count: usize, attacks: Range<usize>) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("knows its own file"))
            .args(["--exact", "hostile_fleet_child", "--nocapture"])
            .env(
                VARIABLE,
                format!("{count} {} {}", attacks.start, attacks.end),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("starts itself again");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (mut known_hosts, mut hosts) = (String::new(), Vec::new());
        let lines = stdout.by_ref().lines().map_while(Result::ok);
        for line in lines.take_while(|line| line != "ready") {
            // The test harness may have begun the line.
            let Some((_, server)) = line.split_once("server ") else {
                continue;
            };
            let (socket, known) = server.split_once(' ').expect("an address and a line");
            let attack = FLOODS[attacks.start + hosts.len() % attacks.len()];
            hosts.push((attack, socket.parse().expect("an address")));
            known_hosts.push_str(known);
            known_hosts.push('\n');
        }
        assert_eq!(hosts.len(), count, "not all servers came up");
        Self {
            child,
            stdin,
            _stdout: stdout,
            known_hosts,
            hosts,
        }
    }

    /// What each server does, and where it listens.
    pub(crate) fn hosts(&self) -> &[(Attack, SocketAddr)] {
        &self.hosts
    }

    /// Their lines of known_hosts.
    pub(crate) fn known_hosts(&self) -> &str {
        &self.known_hosts
    }
}

impl Drop for HostileFleet {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the servers and ends the process, if this process was started to be them.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn become_fleet_if_asked() {
    let Ok(numbers) = std::env::var(VARIABLE) else {
        return;
    };
    let mut numbers = numbers.split(' ').map(|number| number.parse());
    let mut number = || -> usize { numbers.next().expect("three").expect("numbers") };
    let (count, attacks) = (number(), number()..number());
    // In earnest they have machines of their own; here they are not to take this one from the sound hosts.
    let _ = rustix::process::nice(19);
    // One key for all: making keys takes longer than making servers.
    let manner = Manner::new(Cipher::Readable).host_key(HostKey::generate());
    let servers = FLOODS[attacks].iter().cycle().take(count);
    let servers: Vec<Server> = servers.map(|attack| attack.start(manner.clone())).collect();
    for server in &servers {
        println!(
            "server {} {}",
            server.address(),
            server.known_hosts().trim()
        );
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

/// Carries the numbers to the child.
const VARIABLE: &str = "SSHOAL_TEST_HOSTILE_FLEET";
