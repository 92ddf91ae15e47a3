//! Hosts as ssh_config says: a home and a system directory of their own, and what a `Resolver` makes of them.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sshoal::{
    Config, Error, Host, Resolver, ResolverBuilder, ResolverError, Session,
    ssh_config::{Local, SshConfig},
};

use super::sshd::{Sshd, current_user};

/// A user with a home, on a machine with files of the whole system.
#[derive(Debug)]
pub(crate) struct Client {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
    options: Vec<String>,
}

impl Client {
    /// A home with an empty `.ssh`; no environment.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        for name in [".ssh", "etc"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).expect("makes a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("is ours");
        }
        Self {
            dir,
            environment: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an option of the command line.
    pub(crate) fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the home, readable by its owner alone; returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let _ = fs::remove_file(&path);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        std::io::Write::write_all(&mut file.expect("creates the file"), text.as_bytes())
            .expect("writes the file");
        path
    }

    /// What this machine and its user are to ssh_config.
    pub(crate) fn local(&self) -> Local {
        Local::of_this_process()
            .with_home(self.dir.path().display().to_string())
            .with_environment(self.environment.clone())
    }

    /// Begins a resolver of `~/.ssh/config` with this text, and of `etc/ssh_config`.
    pub(crate) fn builder(&self, text: &str) -> ResolverBuilder {
        self.write(".ssh/config", text);
        let ssh_config = SshConfig::builder(self.local()).system_dir(self.dir.path().join("etc"));
        let options = self.options.iter();
        let ssh_config = options.fold(ssh_config, |builder, option| builder.option(option));
        let ssh_config = ssh_config
            .load()
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        Resolver::builder(ssh_config)
    }

    /// The configuration of a host by this text.
    pub(crate) fn config(&self, text: &str, host: &str) -> Result<Arc<Config>, ResolverError> {
        self.builder(text).build().config(&named(host))
    }

    /// Connects to a host by this text, which has to make a configuration.
    #[track_caller]
    pub(crate) fn try_connect(&self, text: &str, host: &str) -> Result<Session, Error> {
        let config = self.config(text, host);
        let config = config.unwrap_or_else(|error| panic!("{}", chain(&error)));
        Session::connect(&named(host), &config)
    }

    /// Connects to the host `t` by this text, before what [`reaches`] says of the server.
    #[track_caller]
    pub(crate) fn connect(&self, sshd: &Sshd, text: &str) -> Session {
        let session = self.try_connect(&format!("{text}\n{}", reaches(sshd)), "t");
        session.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// As [`Client::connect`], where it has to fail.
    #[track_caller]
    pub(crate) fn fails(&self, sshd: &Sshd, text: &str) -> Error {
        let result = self.try_connect(&format!("{text}\n{}", reaches(sshd)), "t");
        result.expect_err("does not connect")
    }

    /// The words of what keeps the host `t` from having a configuration by this text.
    #[track_caller]
    pub(crate) fn refuses(&self, text: &str) -> String {
        chain(&self.config(text, "t").expect_err("is refused"))
    }
}

/// What reaches the server as any host, by its key and known hosts.
pub(crate) fn reaches(sshd: &Sshd) -> String {
    let key = sshd.key_path();
    format!("{}  IdentityFile {}\n", whereabouts(sshd), key.display())
}

/// As [`reaches`], without a key.
pub(crate) fn whereabouts(sshd: &Sshd) -> String {
    format!(
        "Host *\n  HostName {}\n  Port {}\n  User {}\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n",
        sshd.address(),
        sshd.port(),
        current_user(),
        sshd.known_hosts_path().display(),
    )
}

/// A host by its name.
#[track_caller]
pub(crate) fn named(host: &str) -> Host {
    host.parse().expect("names a host")
}

/// What a command prints.
#[track_caller]
pub(crate) fn said(session: &Session, command: &str) -> String {
    let output = session.command(command).output().expect("runs");
    String::from_utf8(output.stdout).expect("is text")
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
