//! Parallax's four calls: [`call`], [`run`], [`copy`] and [`slurp`], with its options by name.
//!
//! Each takes hosts, works on at most 32 of them at once and gives each a minute, and returns when
//! all have ended: [`Results`], with a value or an [`Error`] for every host. How hosts are reached
//! is read from ssh_config, as `ssh` does, which is what Parallax runs.
//!
//! # Differences
//!
//! - Results are listed by host, in the order of the hosts, and are looked up by name as in
//!   Parallax. A host that is listed twice, or with two ports, has two results; Parallax keeps the
//!   last of a name.
//! - [`run`] fails for a host only where SSH failed. A command that exits with 255 has a result,
//!   which Parallax takes for a failure of ssh. One that a signal ended has a result, too.
//! - [`copy`] and [`slurp`] give paths, as Parallax's papers say and its code does not. They copy
//!   one file, with its permissions less the umask; folders are refused.
//! - The time limit holds by default. Parallax's papers say a minute; its code has no limit.
//! - A host with the name of this machine is a host like any other; Parallax runs the command
//!   without ssh there.
//! - Nothing is printed: `verbose`, `print_out`, `inline` and `inline_stdout` are for callers that
//!   print, `quiet` and `warn_message` have nothing to hush. `askpass` is [`Options::password`];
//!   `ssh_extra`, which is any argument for ssh, is [`Options::ssh_options`].
//! - The variables that Parallax's README promises are read, by [`Options::from_env`] and
//!   [`hosts_from_env`].
//!
//! # Examples
//!
//! ```no_run
//! use sshoal::parallax::{self, Options};
//!
//! let options = Options::from_env()?;
//! for (host, result) in &parallax::call(["web1", "web2"], "uptime", &options)? {
//!     match result {
//!         Ok(done) => println!("{host}: {}", String::from_utf8_lossy(done.stdout())),
//!         Err(error) => println!("{host}: {error}"),
//!     }
//! }
//! # Ok::<(), parallax::Refused>(())
//! ```

use std::path::{Path, PathBuf};

mod error;
mod folders;
mod hosts;
mod options;
mod results;
mod work;

pub use self::error::{Error, Refused};
pub use self::hosts::{AsHost, hosts_from_env};
pub use self::options::Options;
pub use self::results::{Done, Results};

/// Runs a command on the hosts and collects what it gives. Parks.
///
/// A command that ends with anything but exit status 0 is an error of its host.
///
/// # Errors
/// Nothing was run: the hosts or the options are no good.
pub fn call<H: AsHost>(
    hosts: impl IntoIterator<Item = H>,
    cmdline: impl Into<Vec<u8>>,
    options: &Options,
) -> Result<Results<Done>, Refused> {
    let results = run(hosts, cmdline, options)?;
    Ok(results.and_then(|done| match done.status() {
        Some(0) => Ok(done),
        _ => Err(Error::Unsuccessful(done)),
    }))
}

/// Runs a command on the hosts and collects what it gives. Parks.
///
/// An error of a host means that SSH failed; a command that ended has a result, whatever its exit
/// status.
///
/// # Errors
/// Nothing was run: the hosts or the options are no good.
pub fn run<H: AsHost>(
    hosts: impl IntoIterator<Item = H>,
    cmdline: impl Into<Vec<u8>>,
    options: &Options,
) -> Result<Results<Done>, Refused> {
    work::run(hosts::all(hosts)?, cmdline.into(), options)
}

/// Copies a file of this machine to the hosts; a result is its path there. Parks.
///
/// A `dst` that ends with `/` is a folder. A relative one begins in the user's home folder.
///
/// # Errors
/// Nothing was copied: the hosts or the options are no good.
pub fn copy<H: AsHost>(
    hosts: impl IntoIterator<Item = H>,
    src: impl AsRef<Path>,
    dst: impl Into<Vec<u8>>,
    options: &Options,
) -> Result<Results<Vec<u8>>, Refused> {
    work::copy(hosts::all(hosts)?, src.as_ref(), dst.into(), options)
}

/// Copies a file of each host to a folder of its own on this machine; a result is its path here.
/// Parks.
///
/// The path is `localdir/HOST/dst`; without [`Options::localdir`], `HOST/dst`. HOST is the host's
/// name; where that is listed more than once, it is the host with its user and port, and where that
/// is, too, `.1` and so on follows; a `/` in it is `%2F`. Folders are made where they are missing.
///
/// # Errors
/// Nothing was copied: the hosts or the options are no good, or `dst` is not a path within the
/// folder.
pub fn slurp<H: AsHost>(
    hosts: impl IntoIterator<Item = H>,
    src: impl Into<Vec<u8>>,
    dst: impl AsRef<Path>,
    options: &Options,
) -> Result<Results<PathBuf>, Refused> {
    work::slurp(hosts::all(hosts)?, src.into(), dst.as_ref(), options)
}
