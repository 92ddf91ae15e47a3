//! What a worker has to know before its first host: how hosts are got into, and the secrets.
//!
//! The principal type is [`Brief`], which holds the orders that every worker is begun with.

use std::collections::HashMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use sshoal::{Launch, Passphrases, Pty, Secret, Sudo};

use super::outbox::Outbox;
use super::wire::Order;
use crate::plan::Access;

/// How hosts are got into, without the secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Both sides are one program, or do not work together.
    version: String,
    options: Vec<String>,
    legacy: Vec<String>,
    config_file: Option<Vec<u8>>,
    match_exec: bool,
    home: Option<Vec<u8>>,
    /// In place of `ConnectTimeout`.
    connect_timeout: Option<Limit>,
    accept_new: bool,
    accepts_any: bool,
    /// Whether there is somebody to ask.
    pub(super) answers: bool,
    /// Host keys that the user accepted before the run: names and keys.
    pub(super) accepted: Vec<(String, String)>,
    sudo: Option<SudoPlan>,
    pty: Option<(String, u32, u32)>,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Limit {
    limit: Option<Duration>,
}

/// The user whom commands run as, and the marks that the run wrapped them with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SudoPlan {
    user: String,
    marks: [u8; 32],
}

/// Secrets that were asked for, for those that are not asked again.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) password: Option<Secret>,
    /// By key; empty for a key that nobody has a passphrase for.
    pub(crate) passphrases: Vec<(PathBuf, Secret)>,
}

/// How commands are launched, as far as a session has to know.
#[derive(Debug, Default)]
pub(crate) struct FarLaunch {
    /// The user, with the marks of the run's own.
    pub(crate) sudo: Option<(String, Sudo)>,
    pub(crate) sudo_password: Option<Arc<Secret>>,
    /// Type, columns and rows.
    pub(crate) pty: Option<(String, u32, u32)>,
}

/// All that workers are begun with.
#[derive(Debug)]
pub(crate) struct Brief {
    plan: Plan,
    secrets: Secrets,
    sudo_password: Option<Arc<Secret>>,
}

impl Brief {
    /// Puts together what was weighed and asked for.
    pub(crate) fn new(
        access: &Access,
        secrets: Secrets,
        launch: FarLaunch,
        accepted: Vec<(String, String)>,
    ) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let sudo = launch.sudo.and_then(|(user, sudo)| {
            let marks = sudo.marks()?;
            Some(SudoPlan { user, marks })
        });
        Self {
            plan: Plan {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                options: access.options.clone(),
                legacy: access.legacy.clone(),
                config_file: access.config_file.as_ref().map(bytes),
                match_exec: access.match_exec,
                home: access.home.as_ref().map(bytes),
                connect_timeout: access.connect_timeout.map(|limit| Limit { limit }),
                accept_new: access.accept_new,
                accepts_any: access.dangerous_accept_any_host_key,
                answers: access.codes,
                accepted,
                sudo,
                pty: launch.pty,
            },
            secrets,
            sudo_password: launch.sudo_password,
        }
    }

    /// Refuses what a worker could not read once more.
    ///
    /// # Errors
    /// Fails with what to do.
    pub(super) fn check(&self) -> Result<()> {
        let Some(file) = &self.plan.config_file else {
            return Ok(());
        };
        let file = PathBuf::from(std::ffi::OsString::from_vec(file.clone()));
        match std::fs::metadata(&file) {
            Ok(facts) if !facts.is_file() => bail!(
                "-F {}: with --workers it is read by every worker; name a file that can be read \
                 again",
                file.display()
            ),
            // There is none (`none`), or it was read.
            _ => Ok(()),
        }
    }

    /// Returns whether there is somebody to answer what hosts ask.
    pub(super) fn answers(&self) -> bool {
        self.plan.answers
    }

    /// Tells a worker; the secrets first, so that it has them when it begins.
    pub(super) fn tell(&self, outbox: &Outbox) {
        if let Some(password) = &self.secrets.password {
            outbox.push_secret(&Order::Password, password.expose());
        }
        if let Some(password) = &self.sudo_password {
            outbox.push_secret(&Order::SudoPassword, password.expose());
        }
        for (key, passphrase) in &self.secrets.passphrases {
            let key = key.as_os_str().as_bytes().to_vec();
            outbox.push_secret(&Order::Passphrase { key }, passphrase.expose());
        }
        outbox.push(&Order::Begin(Box::new(self.plan.clone())), b"");
    }
}

impl Plan {
    /// Returns whether it comes from this very program.
    pub(super) fn is_ours(&self) -> bool {
        self.version == env!("CARGO_PKG_VERSION")
    }

    /// Returns how hosts are got into.
    pub(super) fn access(&self) -> Access {
        let path = |bytes: &Vec<u8>| PathBuf::from(std::ffi::OsString::from_vec(bytes.clone()));
        Access {
            options: self.options.clone(),
            legacy: self.legacy.clone(),
            config_file: self.config_file.as_ref().map(path),
            match_exec: self.match_exec,
            home: self.home.as_ref().map(path),
            connect_timeout: self.connect_timeout.map(|limit| limit.limit),
            accept_new: self.accept_new,
            dangerous_accept_any_host_key: self.accepts_any,
            codes: self.answers,
            ..Access::default()
        }
    }

    /// Returns what a session has to know of the launch.
    pub(super) fn launch(&self, sudo_password: Option<Secret>) -> Launch {
        let mut launch = Launch::new();
        if let Some(plan) = &self.sudo {
            let mut sudo = Sudo::to(plan.user.as_str()).with_marks(plan.marks);
            if let Some(password) = sudo_password {
                sudo = sudo.password(Arc::new(password));
            }
            launch = launch.sudo(sudo);
        }
        match &self.pty {
            Some((term, columns, rows)) => launch.pty(Pty::new(term.as_str(), *columns, *rows)),
            None => launch,
        }
    }
}

/// Notes what is answered for keys, to tell workers.
pub(crate) struct Noting<P> {
    asked: P,
    noted: Arc<Mutex<HashMap<PathBuf, Secret>>>,
}

/// What a [`Noting`] has noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted(Arc<Mutex<HashMap<PathBuf, Secret>>>);

impl Noted {
    /// Asks `asked`, and notes what it answers.
    pub(crate) fn of<P>(&self, asked: P) -> Noting<P> {
        Noting {
            asked,
            noted: Arc::clone(&self.0),
        }
    }

    /// Takes what was noted.
    pub(crate) fn take(&self) -> Vec<(PathBuf, Secret)> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.drain().collect()
    }
}

impl<P: Passphrases> Passphrases for Noting<P> {
    fn passphrase(&self, key: &Path, tries: u32) -> Option<Secret> {
        let answer = self.asked.passphrase(key, tries)?;
        let copy = Secret::from(answer.expose().to_vec());
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one is the right one, or none is.
        noted.insert(key.to_owned(), copy);
        Some(answer)
    }
}

/// The passphrases that a worker was told.
#[derive(Debug, Default)]
pub(super) struct Told(pub(super) HashMap<PathBuf, Secret>);

impl Passphrases for Told {
    fn passphrase(&self, key: &Path, tries: u32) -> Option<Secret> {
        let told = self.0.get(key).filter(|_| tries == 0)?;
        Some(Secret::from(told.expose().to_vec()))
    }
}
