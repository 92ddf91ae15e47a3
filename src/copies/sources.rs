//! The local files of copies by host: each checked before anything moves, and read once for all
//! hosts that share it.
//!
//! The principal type is [`Sources`].

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sshoal_reactor::blocking;
use sshoal_session::Host;
use sshoal_transfer::{Error, Source};

use super::CopiesError;
use super::plan::Plan;

/// The local files of copies by host.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Each host's file among them.
    of: Vec<usize>,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    state: Mutex<State>,
}

/// A leaf lock's: nothing waits under it.
#[derive(Debug)]
struct State {
    open: Option<Source>,
    /// Hosts that have not ended with it.
    hosts: usize,
}

impl Sources {
    /// Opens the file of each host; of very many, all are opened once, and again when they are
    /// needed. Parks.
    pub(crate) fn open(plan: &Plan, hosts: &[Host]) -> Result<Self, CopiesError> {
        let mut known: HashMap<PathBuf, usize> = HashMap::new();
        let mut paths: Vec<(PathBuf, usize)> = Vec::new();
        let mut count: Vec<usize> = Vec::new();
        let number = |(index, path): (usize, &std::path::Path)| {
            let number = known.entry(path.to_path_buf()).or_insert_with(|| {
                paths.push((path.to_path_buf(), index));
                count.push(0);
                paths.len() - 1
            });
            count[*number] += 1;
            *number
        };
        let of = plan.locals().enumerate().map(number).collect();
        let listed = paths.clone();
        let opened = blocking(move || open_all(&listed));
        let opened = opened.unwrap_or_else(|panic| {
            let source = io::Error::other(panic);
            let path = PathBuf::new();
            Err((0, Box::new(Error::Local { path, source })))
        });
        let opened = opened.map_err(|(index, source)| CopiesError::Source {
            host: hosts[index].clone().into(),
            source,
        })?;
        let files = paths.into_iter().zip(opened).zip(count);
        let files = files.map(|(((path, _), open), hosts)| File {
            path,
            state: Mutex::new(State { open, hosts }),
        });
        Ok(Self {
            of,
            files: files.collect(),
        })
    }

    /// Does something with a host's file, which is closed with the last host that has it. Parks.
    pub(crate) fn with<T>(
        &self,
        host: usize,
        work: impl FnOnce(&Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let file = &self.files[self.of[host]];
        let done = file.get().and_then(|source| work(&source));
        let closed = {
            let mut state = file.lock();
            state.hosts = state.hosts.saturating_sub(1);
            match state.hosts {
                0 => state.open.take(),
                _ => None,
            }
        };
        drop(closed);
        done
    }
}

impl File {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the file, which is opened if it is not open. Parks.
    fn get(&self) -> Result<Source, Error> {
        if let Some(source) = self.lock().open.clone() {
            return Ok(source);
        }
        let path = self.path.clone();
        let opened = blocking(move || Source::file(path));
        let opened = opened.unwrap_or_else(|panic| {
            let source = io::Error::other(panic);
            let path = self.path.clone();
            Err(Error::Local { path, source })
        })?;
        // Another host may have opened it meanwhile: then that one is shared.
        Ok(self.lock().open.get_or_insert(opened).clone())
    }
}

/// A file that cannot be opened, by the first host that it is for.
type Unopened = (usize, Box<Error>);

/// Opens files, each with the first host that it is for; keeps so many open.
fn open_all(paths: &[(PathBuf, usize)]) -> Result<Vec<Option<Source>>, Unopened> {
    let open = |(number, (path, index)): (usize, &(PathBuf, usize))| match Source::file(path) {
        Ok(source) => Ok((number < OPEN_MAX).then_some(source)),
        Err(error) => Err((*index, error.into())),
    };
    paths.iter().enumerate().map(open).collect()
}

/// Files that are kept open before their hosts' turn.
const OPEN_MAX: usize = 64;
