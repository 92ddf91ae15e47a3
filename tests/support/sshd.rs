//! A real OpenSSH server for one test: own keys, own configuration, loopback addresses, a free port.
//!
//! `Sshd::start()` gives a running server, or `None` where `SSHOAL_TEST_SSHD=off` asks to skip. It serves the user who
//! runs the tests, root or not, by public key. Everything ends when the value is dropped.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{
    account::{Account, may_mount},
    keys::generate_key,
    process::{Guarded, Log},
};

/// One OpenSSH server on one or many addresses; as many daemons as that takes, all on the same port.
#[derive(Debug)]
pub(crate) struct Sshd {
    /// Dropped before the directory they read from.
    daemons: Vec<Guarded>,
    addresses: Vec<IpAddr>,
    port: u16,
    host_keys: Vec<String>,
    log: Log,
    dir: tempfile::TempDir,
}

impl Sshd {
    /// What the server shall be like; the defaults are one address and an ed25519 host key.
    pub(crate) fn builder() -> SshdBuilder {
        SshdBuilder {
            first: Ipv4Addr::new(127, 2, 0, 1),
            addresses: 1,
            also: Vec::new(),
            key_types: vec!["ed25519".to_owned()],
            log_level: "DEBUG3".to_owned(),
            low_priority: false,
            config: Vec::new(),
            account: None,
        }
    }

    /// Starts a server with the defaults; `None` where the tests against sshd are switched off.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        Self::builder().start()
    }

    /// The first address.
    pub(crate) fn address(&self) -> IpAddr {
        self.addresses[0]
    }

    /// Every address, each a host of its own to a client.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The port, the same on every address.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The first address with the port.
    pub(crate) fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address(), self.port)
    }

    /// Every address with the port.
    pub(crate) fn sockets(&self) -> Vec<SocketAddr> {
        let sockets = self.addresses.iter();
        sockets.map(|&ip| SocketAddr::new(ip, self.port)).collect()
    }

    /// The user the server lets in: the one who runs the tests.
    pub(crate) fn user(&self) -> String {
        current_user()
    }

    /// The private key that the server accepts (ed25519, OpenSSH format, not encrypted).
    pub(crate) fn key_path(&self) -> PathBuf {
        self.dir.path().join("user_key")
    }

    /// The accepted public key, as one line.
    pub(crate) fn public_key(&self) -> String {
        read(&self.dir.path().join("user_key.pub"))
    }

    /// Adds lines to the accepted keys; read by the server at the next authentication.
    pub(crate) fn authorize(&self, lines: &str) {
        let path = self.dir.path().join("authorized_keys");
        fs::write(&path, format!("{}\n{lines}\n", read(&path).trim_end())).expect("writes keys");
    }

    /// The host's public keys, `type base64`, in the order of the builder.
    pub(crate) fn host_keys(&self) -> &[String] {
        &self.host_keys
    }

    /// The text of a known_hosts file with every address and every host key.
    pub(crate) fn known_hosts(&self) -> String {
        let mut text = String::new();
        for address in &self.addresses {
            for key in &self.host_keys {
                text.push_str(&known_hosts_line(*address, self.port, key));
            }
        }
        text
    }

    /// A file that holds `known_hosts()`.
    pub(crate) fn known_hosts_path(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// A directory that lives as long as the server, free for the test's own files.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// What the server wrote to its log so far, over all daemons and connections.
    ///
    /// At the default level it names each packet: `receive packet: type 50` is an SSH_MSG_USERAUTH_REQUEST.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// How long the log is by now: what a later part of a test causes is `log()[mark..]`.
    pub(crate) fn log_mark(&self) -> usize {
        self.log.mark()
    }

    /// Waits until the log holds `text`; panics with the log when the time runs out.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str, limit: Duration) {
        assert!(
            self.log.wait_until(limit, |log| log.contains(text)),
            "{text:?} did not appear in the log of sshd:\n{}",
            self.log()
        );
    }

    /// Waits until `count` connections ended, so that the log of each is whole.
    #[track_caller]
    pub(crate) fn wait_for_ends(&self, count: usize, limit: Duration) {
        let ends = |log: &str| {
            let ended = |line: &&str| ENDS.iter().any(|end| line.starts_with(end));
            log.lines().filter(ended).count() >= count
        };
        assert!(
            self.log.wait_until(limit, ends),
            "{count} connections did not end:\n{}",
            self.log()
        );
    }

    /// Waits until a connection that began behind `mark` ended before authentication; returns the log behind it.
    #[track_caller]
    pub(crate) fn wait_for_early_end(&self, mark: usize, limit: Duration) -> String {
        let is_end = |line: &str| {
            ENDS.iter().any(|end| line.starts_with(end)) && line.ends_with("[preauth]")
        };
        let ended = |log: &str| log[mark..].lines().any(is_end);
        assert!(
            self.log.wait_until(limit, ended),
            "no connection ended:\n{}",
            self.log()
        );
        self.log()[mark..].to_owned()
    }

    /// The daemons, to stop or kill them in the middle of a test.
    pub(crate) fn daemons(&self) -> &[Guarded] {
        &self.daemons
    }
}

/// How the last line of a connection begins in sshd's log, by who ended it and when.
const ENDS: [&str; 6] = [
    "Connection closed by ",
    "Connection reset by ",
    "Disconnected from ",
    "Disconnecting ",
    "Timeout before authentication ",
    "ssh_dispatch_run_fatal: ",
];

/// A line of a known_hosts file for one address, port and key (`type base64`).
pub(crate) fn known_hosts_line(address: IpAddr, port: u16, key: &str) -> String {
    match port {
        22 => format!("{address} {key}\n"),
        _ => format!("[{address}]:{port} {key}\n"),
    }
}

/// What a server shall be like.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct SshdBuilder {
    first: Ipv4Addr,
    addresses: u32,
    also: Vec<IpAddr>,
    key_types: Vec<String>,
    log_level: String,
    low_priority: bool,
    config: Vec<String>,
    account: Option<Account>,
}

impl SshdBuilder {
    /// So many addresses, counted up from the first one (default 1).
    pub(crate) fn addresses(mut self, count: u32) -> Self {
        self.addresses = count;
        self
    }

    /// The first address (default 127.2.0.1).
    pub(crate) fn first_address(mut self, first: Ipv4Addr) -> Self {
        self.first = first;
        self
    }

    /// One more address, such as `::1`.
    pub(crate) fn also_on(mut self, address: IpAddr) -> Self {
        self.also.push(address);
        self
    }

    /// The types of the host keys as ssh-keygen names them (default `ed25519` alone); `rsa` has 3072 bits.
    pub(crate) fn host_keys(mut self, types: &[&str]) -> Self {
        self.key_types = types.iter().map(|&kind| kind.to_owned()).collect();
        self
    }

    /// The level of the log (default `DEBUG3`, which names each packet; `INFO` for large fleets).
    pub(crate) fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// Gives way to the client for processor time, as servers on other machines do.
    pub(crate) fn low_priority(mut self) -> Self {
        self.low_priority = true;
        self
    }

    /// An account with a password, in clear or hashed (`$6$…`), beside those of the machine, and the lines of PAM's
    /// file for sshd; it is named [`ACCOUNT`](super::account::ACCOUNT).
    ///
    /// The server sees files of its own in place of the machine's, in a mount namespace of its own: that takes root,
    /// and where it is not allowed [`SshdBuilder::start`] gives `None`, as for tests that are switched off.
    pub(crate) fn account(mut self, password: &str, pam: &[&str]) -> Self {
        self.account = Some(Account::new(password, pam));
        self
    }

    /// As [`SshdBuilder::account`], of a user who is not root, with the lines of sudo's own configuration; PAM asks
    /// for the password once, sshd and sudo alike.
    pub(crate) fn sudoer(mut self, password: &str, sudoers: &[&str]) -> Self {
        self.account = Some(Account::with_sudo(password, sudoers));
        self
    }

    /// One line of sshd_config, put before ours: sshd takes the first value of a keyword.
    pub(crate) fn config(mut self, line: &str) -> Self {
        self.config.push(line.to_owned());
        self
    }

    /// Starts the server and waits until it listens; `None` where the tests against sshd are switched off.
    #[track_caller]
    pub(crate) fn start(self) -> Option<Sshd> {
        let program = program()?;
        if self.account.is_some() && !may_mount() {
            skip("accounts for tests take root and a mount namespace");
            return None;
        }
        make_privilege_separation_dir();
        let dir = tempfile::Builder::new()
            .prefix("sshoal-sshd-")
            .tempdir()
            .expect("makes a temporary directory");
        generate_key(&dir.path().join("user_key"), "ed25519");
        fs::copy(
            dir.path().join("user_key.pub"),
            dir.path().join("authorized_keys"),
        )
        .expect("copies the user key");
        fs::create_dir(dir.path().join("scratch")).expect("makes a directory");
        if let Some(account) = &self.account {
            account.write(dir.path());
        }
        let host_keys = self.key_types.iter().map(|kind| {
            let path = dir.path().join(format!("host_{kind}"));
            generate_key(&path, kind);
            let line = read(&path.with_extension("pub"));
            let words: Vec<_> = line.split_whitespace().take(2).collect();
            words.join(" ")
        });
        let host_keys: Vec<String> = host_keys.collect();
        let first = u32::from(self.first);
        let mut addresses: Vec<IpAddr> = (first..first + self.addresses)
            .map(|bits| Ipv4Addr::from(bits).into())
            .collect();
        addresses.extend(&self.also);

        // Another process can take the port between our look and the daemons' bind: then once more with another.
        let mut last_log = String::new();
        for _ in 0..PORT_TRIES {
            let Some(port) = free_port(&addresses) else {
                continue;
            };
            let log = Log::default();
            match self.daemons(&program, dir.path(), &addresses, port, &log) {
                Ok(daemons) => {
                    let sshd = Sshd {
                        daemons,
                        addresses,
                        port,
                        host_keys,
                        log,
                        dir,
                    };
                    fs::write(sshd.known_hosts_path(), sshd.known_hosts())
                        .expect("writes known_hosts");
                    return Some(sshd);
                }
                Err(text) => last_log = text,
            }
        }
        panic!("sshd does not listen on {addresses:?}; its last log:\n{last_log}");
    }

    /// Starts one daemon per sixteen addresses; the log of the first that does not listen is the error.
    fn daemons(
        &self,
        program: &str,
        dir: &Path,
        addresses: &[IpAddr],
        port: u16,
        log: &Log,
    ) -> Result<Vec<Guarded>, String> {
        let chunks = addresses.chunks(ADDRESSES_PER_DAEMON).enumerate();
        let daemons = chunks.map(|(number, addresses)| {
            let path = dir.join(format!("sshd_config.{number}"));
            fs::write(&path, self.config_text(dir, addresses, port)).expect("writes the config");
            let args = [Path::new("-D"), "-e".as_ref(), "-f".as_ref(), &path];
            let daemon = if let Some(account) = &self.account {
                let mounts = account.mounts(dir);
                let mounted = ["--mount", "sh", "-c", &mounts, program].map(Path::new);
                Guarded::start("unshare", &[mounted.as_slice(), &args].concat(), log)
            } else if self.low_priority {
                let nice = ["-n", "10", program].map(Path::new);
                Guarded::start("nice", &[nice.as_slice(), &args].concat(), log)
            } else {
                Guarded::start(program, &args, log)
            };
            (daemon, addresses.len())
        });
        let daemons: Vec<_> = daemons.collect();
        for (daemon, count) in &daemons {
            let listens = |log: &str| log.matches("Server listening on ").count() == *count;
            if !daemon.log().wait_until(START_LIMIT, listens) {
                return Err(daemon.log().text());
            }
        }
        Ok(daemons.into_iter().map(|(daemon, _)| daemon).collect())
    }

    /// The configuration of one daemon: the test's lines, then ours.
    fn config_text(&self, dir: &Path, addresses: &[IpAddr], port: u16) -> String {
        let mut text = String::new();
        for line in &self.config {
            text.push_str(line);
            text.push('\n');
        }
        for address in addresses {
            let socket = SocketAddr::new(*address, port);
            text.push_str(&format!("ListenAddress {socket}\n"));
        }
        for kind in &self.key_types {
            text.push_str(&format!(
                "HostKey {}\n",
                dir.join(format!("host_{kind}")).display()
            ));
        }
        let keys = dir.join("authorized_keys");
        text.push_str(&format!(
            "AuthorizedKeysFile {}\nLogLevel {}\n",
            keys.display(),
            self.log_level
        ));
        // Of MaxStartups sshd takes the last value.
        let keyword = |line: &str| line.split(' ').next().map(str::to_owned);
        let own: Vec<_> = self.config.iter().map(|line| keyword(line)).collect();
        for line in COMMON.lines().filter(|line| !own.contains(&keyword(line))) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// What every server of ours has in common.
///
/// SHLVL: Debian's bash reads `.bashrc` for commands that sshd runs unless this says that it is a nested shell.
const COMMON: &str = "\
AddressFamily any
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 1000
MaxSessions 100
LoginGraceTime 120
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
SetEnv SHLVL=5
Subsystem sftp internal-sftp
";

/// sshd listens on no more sockets than this and leaves the rest out.
const ADDRESSES_PER_DAEMON: usize = 16;
/// How long a daemon may take until it listens; only a broken one takes it.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How many ports are tried.
const PORT_TRIES: usize = 10;

/// Tells that a test is left out.
#[track_caller]
fn skip(why: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Written past the test harness, which shows captured output of failed tests only.
    let caller = std::panic::Location::caller();
    let text = format!("skipped by {why}: {caller}, {count} in this process\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where sshd is; `None` where `SSHOAL_TEST_SSHD=off` skips the tests against it.
#[track_caller]
pub(crate) fn program() -> Option<String> {
    if std::env::var_os("SSHOAL_TEST_SSHD").is_some_and(|value| value == "off") {
        skip("SSHOAL_TEST_SSHD=off");
        return None;
    }
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
    let found = places.iter().find(|path| Path::new(path).exists());
    let found = found.expect(
        "no sshd found: install the package `openssh-server`, \
         or skip the tests against it with SSHOAL_TEST_SSHD=off",
    );
    Some((*found).to_owned())
}

/// sshd refuses to start as root without this directory, which the system makes only where the service runs.
pub(crate) fn make_privilege_separation_dir() {
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").expect("makes /run/sshd");
    }
}

/// A port on which every address can be bound at this moment.
fn free_port(addresses: &[IpAddr]) -> Option<u16> {
    let first = TcpListener::bind((addresses[0], 0)).expect("binds a loopback address");
    let port = first
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    let rest = addresses.iter().skip(1);
    let rest: Result<Vec<_>, _> = rest.map(|&ip| TcpListener::bind((ip, port))).collect();
    rest.ok().map(|_| port)
}

/// The name of the user who runs the tests.
pub(crate) fn current_user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
