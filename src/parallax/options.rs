//! Parallax's options, by name.
//!
//! The principal type is [`Options`].

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sshoal_session::ssh_config::{Local, SshConfig, quote};
use sshoal_session::{Config, Host, Resolver, Secret};

use super::error::Refused;

/// How hosts are reached, and what becomes of their output. Names and meanings are Parallax's.
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(super) limit: NonZeroUsize,
    pub(super) timeout: Option<Duration>,
    pub(super) outdir: Option<PathBuf>,
    pub(super) errdir: Option<PathBuf>,
    pub(super) localdir: Option<PathBuf>,
    pub(super) input: Vec<u8>,
    pub(super) slurp_bytes_max: Option<NonZeroU64>,
    ssh_key: Option<PathBuf>,
    ssh_options: Vec<String>,
    default_user: Option<String>,
    config_file: Option<PathBuf>,
    password: Option<Arc<Secret>>,
    verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            timeout: Some(TIMEOUT),
            outdir: None,
            errdir: None,
            localdir: None,
            input: Vec::new(),
            slurp_bytes_max: None,
            ssh_key: None,
            ssh_options: Vec::new(),
            default_user: None,
            config_file: None,
            password: None,
            verbose: false,
        }
    }
}

impl Options {
    /// Returns the defaults: 32 hosts at once, a minute each.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what the environment says, over the defaults: `PARALLAX_USER`, `PARALLAX_PAR`,
    /// `PARALLAX_OUTDIR`, `PARALLAX_VERBOSE` and `PARALLAX_OPTIONS`, of which each gives way to its
    /// like of `PSSH_`, and that to its like of `SSHOAL_`. [`hosts_from_env`](super::hosts_from_env)
    /// has `PARALLAX_HOSTS`.
    ///
    /// # Errors
    /// A variable that counts has a value that makes no sense.
    pub fn from_env() -> Result<Self, Refused> {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    fn from_variables(read: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Refused> {
        let of = |names: [&'static str; 3]| variable(&names, read);
        let text = |(name, value): (&'static str, OsString)| match value.into_string() {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(Refused::Variable {
                name,
                why: "it is not UTF-8",
            }),
        };
        let mut options = Self::default();
        if let Some(user) = of(["SSHOAL_USER", "PSSH_USER", "PARALLAX_USER"]) {
            options.default_user = Some(text(user)?.1);
        }
        if let Some(par) = of(["SSHOAL_PAR", "PSSH_PAR", "PARALLAX_PAR"]) {
            let (name, par) = text(par)?;
            let why = "write a whole number, at least 1";
            options.limit = (par.parse()).map_err(|_| Refused::Variable { name, why })?;
        }
        if let Some((_, folder)) = of(["SSHOAL_OUTDIR", "PSSH_OUTDIR", "PARALLAX_OUTDIR"]) {
            options.outdir = Some(folder.into());
        }
        if let Some(option) = of(["SSHOAL_OPTION", "PSSH_OPTIONS", "PARALLAX_OPTIONS"]) {
            options.ssh_options.push(text(option)?.1);
        }
        if let Some(verbose) = of(["SSHOAL_VERBOSE", "PSSH_VERBOSE", "PARALLAX_VERBOSE"]) {
            let (_, verbose) = text(verbose)?;
            let off = ["n", "no", "f", "false", "off", "0"];
            options.verbose = !off.contains(&verbose.to_lowercase().as_str());
        }
        Ok(options)
    }

    /// Sets how many hosts are worked on at once. Default: 32.
    pub fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the limit for each host, from its begin to its result; `None` is no limit. Default:
    /// 60 s.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the user of hosts that name none. Default: as ssh_config says, or the local user.
    pub fn default_user(mut self, user: impl Into<String>) -> Self {
        self.default_user = Some(user.into());
        self
    }

    /// Sets a private key to log in with (`IdentityFile`). Default: as ssh_config says.
    pub fn ssh_key(mut self, path: impl Into<PathBuf>) -> Self {
        self.ssh_key = Some(path.into());
        self
    }

    /// Adds ssh_config options, `KEY=VALUE`, which go before the file's; of a key, the first counts.
    pub fn ssh_options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.ssh_options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Sets an ssh_config file in place of the user's and the system's; `none` is none at all.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Sets the password of all hosts. Parallax asks for it, with `askpass`.
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(Arc::new(password));
        self
    }

    /// Sets a folder for a file of each host's standard output, named as the host's folder is by
    /// [`slurp`](super::slurp). It is made if it is missing. Default: none.
    pub fn outdir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.outdir = Some(folder.into());
        self
    }

    /// Sets a folder for a file of each host's standard error, as [`Options::outdir`].
    pub fn errdir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.errdir = Some(folder.into());
        self
    }

    /// Sets the folder that [`slurp`](super::slurp) makes the hosts' folders in. Default: the
    /// current one.
    pub fn localdir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.localdir = Some(folder.into());
        self
    }

    /// Sets what every host's command reads on its standard input. Default: nothing.
    pub fn input_stream(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Sets how many bytes [`slurp`](super::slurp) takes of a host at most. Default: as many as the host says
    /// that the file has.
    pub fn slurp_bytes_max(mut self, bytes: NonZeroU64) -> Self {
        self.slurp_bytes_max = Some(bytes);
        self
    }

    /// Returns whether the environment asks for more to be said; this library prints nothing.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Makes the configuration of each host.
    pub(super) fn configs(&self, hosts: &[Host]) -> Result<Vec<Arc<Config>>, Refused> {
        let mut local = Local::of_this_process();
        // As the command does: the `HOME` of the environment counts.
        if let Some(home) = std::env::home_dir().as_ref().and_then(|home| home.to_str()) {
            local = local.with_home(home);
        }
        let mut ssh_config = SshConfig::builder(local);
        if let Some(key) = &self.ssh_key {
            let key = key.display().to_string().replace('%', "%%");
            ssh_config = ssh_config.option(format!("IdentityFile={}", quote(&key)));
        }
        for option in &self.ssh_options {
            ssh_config = ssh_config.option(option.as_str());
        }
        if let Some(user) = &self.default_user {
            ssh_config = ssh_config.option(format!("User={}", quote(user)));
        }
        if let Some(file) = &self.config_file {
            ssh_config = ssh_config.file(file);
        }
        let mut resolver = Resolver::builder(ssh_config.load()?).connect_timeout(self.timeout);
        if let Some(password) = &self.password {
            resolver = resolver.password(Secret::from(password.expose().to_vec()));
        }
        let resolver = resolver.build();
        let config = |host: &Host| {
            resolver.config(host).map_err(|source| Refused::Access {
                host: host.clone(),
                source: Box::new(source),
            })
        };
        hosts.iter().map(config).collect()
    }
}

/// Returns the first of these variables that is set to something.
pub(super) fn variable(
    names: &[&'static str],
    read: &dyn Fn(&str) -> Option<OsString>,
) -> Option<(&'static str, OsString)> {
    let value = |name: &&'static str| Some((*name, read(name).filter(|value| !value.is_empty())?));
    names.iter().find_map(value)
}

/// Hosts worked on at once.
const LIMIT: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not 0");
/// What each host is given.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn options(variables: &[(&str, &str)]) -> Result<Options, Refused> {
        Options::from_variables(&|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn without_variables_all_is_as_parallaxs_papers_say() {
        let options = options(&[("PARALLAX_PAR", "")]).unwrap();
        let numbers = (options.limit.get(), options.timeout);
        assert_eq!(numbers, (32, Some(Duration::from_secs(60))));
        assert!(options.outdir.is_none() && !options.is_verbose());
    }

    #[test]
    fn parallaxs_variables_count_below_psshs_and_those_below_ours() {
        let mut set = vec![
            ("PARALLAX_USER", "px"),
            ("PARALLAX_PAR", "3"),
            ("PARALLAX_OUTDIR", "/px"),
            ("PARALLAX_VERBOSE", "1"),
            ("PARALLAX_OPTIONS", "Port=3"),
        ];
        let seen = |set: &[(&str, &str)]| {
            let options = options(set).unwrap();
            let user = options.default_user.clone().unwrap();
            let folder = options.outdir.clone().unwrap().display().to_string();
            (
                user,
                options.limit.get(),
                folder,
                options.is_verbose(),
                options.ssh_options.concat(),
            )
        };
        let (px, ps, we) = ("px".to_owned(), "ps".to_owned(), "we".to_owned());
        assert_eq!(seen(&set), (px, 3, "/px".into(), true, "Port=3".into()));
        set.extend([
            ("PSSH_USER", "ps"),
            ("PSSH_PAR", "2"),
            ("PSSH_OUTDIR", "/ps"),
            ("PSSH_VERBOSE", "0"),
            ("PSSH_OPTIONS", "Port=2"),
        ]);
        assert_eq!(seen(&set), (ps, 2, "/ps".into(), false, "Port=2".into()));
        set.extend([
            ("SSHOAL_USER", "we"),
            ("SSHOAL_PAR", "1"),
            ("SSHOAL_OUTDIR", "/we"),
            ("SSHOAL_VERBOSE", "yes"),
            ("SSHOAL_OPTION", "Port=1"),
        ]);
        assert_eq!(seen(&set), (we, 1, "/we".into(), true, "Port=1".into()));
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named() {
        let error = options(&[("PSSH_PAR", "0"), ("PARALLAX_PAR", "1")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PSSH_PAR: write a whole number, at least 1"
        );
    }
}
