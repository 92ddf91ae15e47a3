//! The work on the hosts, and what is written to this machine's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sshoal_pool::{Each, PoolError, Reached};
use sshoal_reactor::{Scope, blocking};
use sshoal_session::{Error as SshError, Exit, Host};
use sshoal_transfer::{CopyOptions, Source};

use super::error::{Error, Refused};
use super::folders;
use super::options::Options;
use super::results::{Done, Results};
use crate::Fleet;

pub(super) fn run(
    hosts: Vec<Host>,
    command: Vec<u8>,
    options: &Options,
) -> Result<Results<Done>, Refused> {
    let files: Vec<_> = [(&options.outdir, false), (&options.errdir, true)]
        .into_iter()
        .filter_map(|(folder, is_stderr)| Some((folder.clone()?, is_stderr)))
        .collect();
    for (path, _) in &files {
        fs::create_dir_all(path).map_err(|source| {
            let path = path.clone();
            Refused::Folder { path, source }
        })?;
    }
    let names = Arc::new(folders::names(&hosts));
    let (input, timeout) = (options.input.clone(), options.timeout);
    over(hosts, options, move |host| {
        let done = command_on(host, &command, &input, timeout)?;
        for (folder, is_stderr) in &files {
            let path = folder.join(&names[host.index()]);
            let bytes = if *is_stderr {
                done.stderr()
            } else {
                done.stdout()
            };
            write(path, bytes.to_vec())?;
        }
        match done.exit() {
            Exit::None => Err(Error::NoStatus(done)),
            _ => Ok(done),
        }
    })
}

fn command_on(
    host: &Reached<'_>,
    command: &[u8],
    input: &[u8],
    timeout: Option<Duration>,
) -> Result<Done, Error> {
    let scope = left(host, timeout);
    let mut command = host.command(command).scope(&scope);
    if !input.is_empty() {
        command = command.stdin(input);
    }
    let output = command.output();
    let output = output.map_err(|error| Error::Ssh(with_limit(error, timeout)))?;
    Ok(Done::new(output.exit, output.stdout, output.stderr))
}

pub(super) fn copy(
    hosts: Vec<Host>,
    source: &Path,
    mut target: Vec<u8>,
    options: &Options,
) -> Result<Results<Vec<u8>>, Refused> {
    if target.is_empty() || target.ends_with(b"/") {
        let name = source.file_name().ok_or_else(|| Refused::Path {
            path: source.to_owned(),
        })?;
        target.extend_from_slice(name.as_encoded_bytes());
    }
    let (source, timeout) = (Source::file(source)?, options.timeout);
    over(hosts, options, move |host| {
        let scope = left(host, timeout);
        let options = CopyOptions::new();
        let copied = sshoal_transfer::put(host.session(), &source, &target, &options, &scope);
        copied.map_err(|error| copy_error(error, timeout))?;
        Ok(target.clone())
    })
}

pub(super) fn slurp(
    hosts: Vec<Host>,
    source: Vec<u8>,
    target: &Path,
    options: &Options,
) -> Result<Results<PathBuf>, Refused> {
    if !folders::is_within(target) {
        let path = target.to_owned();
        return Err(Refused::Path { path });
    }
    let folder = options.localdir.clone().unwrap_or_default();
    let own = |name: &String| folder.join(name).join(target);
    let paths: Vec<PathBuf> = folders::names(&hosts).iter().map(own).collect();
    let timeout = options.timeout;
    let mut copy_options = CopyOptions::new();
    if let Some(bytes) = options.slurp_bytes_max {
        copy_options = copy_options.bytes_max(bytes);
    }
    over(hosts, options, move |host| {
        let path = paths[host.index()].clone();
        make_folder_of(&path)?;
        let scope = left(host, timeout);
        let copied = sshoal_transfer::get(host.session(), &source, &path, &copy_options, &scope);
        copied.map_err(|error| copy_error(error, timeout))?;
        Ok(path)
    })
}

/// Does something on all hosts, and waits for its end.
fn over<T: Send + 'static>(
    hosts: Vec<Host>,
    options: &Options,
    program: impl Fn(&Reached<'_>) -> Result<T, Error> + Send + Sync + 'static,
) -> Result<Results<T>, Refused> {
    let configs = options.configs(&hosts)?;
    let first = Arc::clone(configs.first().ok_or(PoolError::NoHosts)?);
    let fleet = Fleet::builder(hosts, first)
        .configs(configs)
        .pool_size(options.limit)
        .keep_open(crate::KeepOpen::No)
        .connect_timeout(options.timeout)
        .build()?;
    let each: Each<_> = fleet.each(program);
    let result = |visited: crate::Visited<Result<T, Error>>| {
        let host = visited.host().clone();
        let result = match visited.into_result() {
            Ok(result) => result,
            Err(error) => Err(Error::Ssh(error)),
        };
        (host, result)
    };
    Ok(Results::new(
        each.in_order().into_iter().map(result).collect(),
    ))
}

/// Returns the scope of what is left of a host's time.
fn left(host: &Reached<'_>, timeout: Option<Duration>) -> Scope {
    let left = timeout.map(|limit| limit.saturating_sub(host.reached_after()));
    host.scope().child(left)
}

/// Names the whole limit, of which something was left.
fn with_limit(error: SshError, timeout: Option<Duration>) -> SshError {
    match (error, timeout) {
        (SshError::TimedOut { phase, .. }, Some(limit)) => SshError::TimedOut { phase, limit },
        (error, _) => error,
    }
}

fn copy_error(error: sshoal_transfer::Error, timeout: Option<Duration>) -> Error {
    match error {
        sshoal_transfer::Error::Session(error) => Error::Ssh(with_limit(error, timeout)),
        error => Error::Copy(error),
    }
}

fn make_folder_of(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path).to_owned();
    local(folder, |folder| fs::create_dir_all(folder))
}

fn write(path: PathBuf, bytes: Vec<u8>) -> Result<(), Error> {
    local(path, move |path| fs::write(path, bytes))
}

/// Does something with a file on a thread that may block (G7).
fn local(
    path: PathBuf,
    work: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let own = path.clone();
    let done = blocking(move || work(&own));
    let done = done.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    done.map_err(|source| Error::Local { path, source })
}
