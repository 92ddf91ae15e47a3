//! Two hosts with files of their own: two OpenSSH servers, each with its own directory to begin in.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use super::openssh::sshd::{Sshd, current_user};
use super::openssh::{Home, section};
use super::sshoal;

/// Two servers, `one` and `two`, a host `dead` where none listens, and a home that knows them.
pub(crate) struct TwoHosts {
    _servers: [Sshd; 2],
    dirs: [tempfile::TempDir; 2],
    home: Home,
}

impl TwoHosts {
    /// Starts them; `None` where the tests against sshd are switched off.
    pub(crate) fn start() -> Option<Self> {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let start = |last: u8, dir: &tempfile::TempDir| {
            let sftp = format!("Subsystem sftp internal-sftp -d {}", dir.path().display());
            let server = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 0, last));
            server.log_level("INFO").config(&sftp).start()
        };
        let (one, two) = (start(1, &dirs[0])?, start(2, &dirs[1])?);
        let home = Home::new();
        // Nobody listens on this port of the address: it is the other server's.
        let dead = section("dead", &one).replace("127.2.0.1", "127.2.0.9");
        let config = format!(
            "{}{}{dead}Host *\n  User {}\n  IdentityAgent none\n",
            section("one", &one),
            section("two", &two),
            current_user()
        );
        home.write("config", &config);
        home.write("known_hosts", &(one.known_hosts() + &two.known_hosts()));
        Some(Self {
            _servers: [one, two],
            dirs,
            home,
        })
    }

    /// Where the files of a host are, 0 or 1.
    pub(crate) fn dir(&self, host: usize) -> &Path {
        self.dirs[host].path()
    }

    /// `sshoal fs` on these hosts, with a deadline for what hangs.
    pub(crate) fn fs(&self, hosts: &str, words: &[&str]) -> Command {
        let mut command = fs(&self.home);
        command.args(["-q", "-H", hosts]).args(words);
        command
    }
}

/// `sshoal fs` at home, with a deadline for what hangs.
pub(crate) fn fs(home: &Home) -> Command {
    at_home(home, "fs")
}

/// A sub-command at home, with a deadline for what hangs.
pub(crate) fn at_home(home: &Home, action: &str) -> Command {
    let file = home.path("config");
    let mut command = sshoal(file.ancestors().nth(2).unwrap());
    command.args([action, "--deadline", "100"]);
    command
}
