//! Copies whose paths differ by host, over SFTP and by `scp`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sshoal_pool::{Paths, Reached};
use sshoal_reactor::blocking;
use sshoal_transfer::{
    Copied, CopyOptions, Error, Keep, LocalTree, Scp, TreeOptions, TreeReport, get, get_tree, put,
    put_tree,
};

use super::Fleet;
use crate::copies::plan::{Plan, What};
use crate::copies::sources::Sources;
use crate::copies::{CopiesError, FailedTree, FileCopies, HostCopy, LocalPaths, TreeCopies, Way};

impl Fleet {
    /// Starts copying a local file to each host, with both paths the same for all hosts or of its own
    /// for each: by a list, a [`Template`](crate::Template) or a function; see [`Paths`]. Parks while
    /// local files are looked at.
    ///
    /// A remote path that ends in `/` gets the local file's name. Hosts that share a local file have
    /// it read once for all of them. [`Each::visits`](crate::Each::visits) has a handle for each host.
    ///
    /// # Errors
    /// There is not a path for each host, or a local file cannot be read; nothing is copied then, and
    /// no host is connected to.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn f(fleet: &sshoal::Fleet) -> Result<(), Box<dyn std::error::Error>> {
    /// use sshoal::{Template, transfer::CopyOptions};
    ///
    /// let local = Template::new("conf/{0}.conf").args(["web", "web", "db"]);
    /// let copies = fleet.put_each(local, "/etc/app.conf", &CopyOptions::new())?.visits();
    /// copies.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_each(
        &self,
        local: impl Into<Paths>,
        remote: impl Into<Paths>,
        options: &CopyOptions,
    ) -> Result<FileCopies, CopiesError> {
        let plan = Plan::put(&self.pool, What::File, (&local.into(), &remote.into()))?;
        let sources = Sources::open(&plan, self.hosts())?;
        let options = options.clone();
        Ok(self.copy_each(plan, Way::Put, move |host, (_, remote)| {
            let options = options.for_host(host.index());
            sources.with(host.index(), |source| {
                put(host.session(), source, remote, &options, host.scope())
            })
        }))
    }

    /// Starts copying a file of each host to this machine, with both paths the same for all hosts or
    /// of its own for each. Does not wait.
    ///
    /// A `local` that is one path is a directory with a name for each host, from which the host can be
    /// told again; see [`LocalPaths`].
    ///
    /// # Errors
    /// There is not a path for each host, or two hosts would write one file; nothing is copied then,
    /// and no host is connected to.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn f(fleet: &sshoal::Fleet) -> Result<(), Box<dyn std::error::Error>> {
    /// use sshoal::transfer::CopyOptions;
    ///
    /// // To `logs/web1/app.log`, `logs/web2/app.log` and so on.
    /// for copy in fleet.get_each("/var/log/app.log", "logs/", &CopyOptions::new())? {
    ///     let copy = copy.into_result()??;
    ///     println!("{}: {} bytes", copy.local().display(), copy.copied().bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_each(
        &self,
        remote: impl Into<Paths>,
        local: impl Into<LocalPaths>,
        options: &CopyOptions,
    ) -> Result<FileCopies, CopiesError> {
        let plan = Plan::get(&self.pool, What::File, (&remote.into(), &local.into()))?;
        let options = options.clone();
        Ok(
            self.copy_each(plan, Way::Get, move |host, (local, remote)| {
                let options = options.for_host(host.index());
                get(host.session(), remote, local, &options, host.scope())
            }),
        )
    }

    /// As [`Fleet::put_each`], by each host's `scp`: nothing that is there is overwritten; see
    /// [`Scp::send`].
    ///
    /// # Errors
    /// As [`Fleet::put_each`].
    pub fn scp_put_each(
        &self,
        local: impl Into<Paths>,
        remote: impl Into<Paths>,
        keep: Keep,
    ) -> Result<FileCopies, CopiesError> {
        let plan = Plan::put(&self.pool, What::File, (&local.into(), &remote.into()))?;
        Sources::open(&plan, self.hosts())?;
        Ok(
            self.copy_each(plan, Way::ScpPut, move |host, (local, remote)| {
                let scp = Scp::new(host.session(), host.scope()).keep(keep);
                scp.send(local, remote)
            }),
        )
    }

    /// As [`Fleet::get_each`], by each host's `scp`, at most `bytes_max` bytes of a file; see
    /// [`Scp::receive`]. Local directories are made where they are not there.
    ///
    /// # Errors
    /// As [`Fleet::get_each`].
    pub fn scp_get_each(
        &self,
        remote: impl Into<Paths>,
        local: impl Into<LocalPaths>,
        keep: Keep,
        bytes_max: u64,
    ) -> Result<FileCopies, CopiesError> {
        let plan = Plan::get(&self.pool, What::File, (&remote.into(), &local.into()))?;
        Ok(
            self.copy_each(plan, Way::ScpGet, move |host, (local, remote)| {
                make_parent(local)?;
                let scp = Scp::new(host.session(), host.scope()).keep(keep);
                scp.bytes_max(bytes_max).receive(remote, local)
            }),
        )
    }

    /// Starts copying the content of a local directory to a directory of each host, with both paths
    /// the same for all hosts or of its own for each. Parks while local directories are walked, each
    /// once.
    ///
    /// # Errors
    /// There is not a path for each host, or a local directory cannot be read; nothing is copied then,
    /// and no host is connected to.
    pub fn put_tree_each(
        &self,
        local: impl Into<Paths>,
        remote: impl Into<Paths>,
        options: &TreeOptions,
    ) -> Result<TreeCopies, CopiesError> {
        let plan = Plan::put(&self.pool, What::Tree, (&local.into(), &remote.into()))?;
        let trees = self.walk(&plan, options)?;
        let options = options.clone();
        Ok(self.copy_trees(plan, Way::Put, move |host, (_, remote)| {
            let (tree, options) = (&trees[host.index()], options.for_host(host.index()));
            put_tree(host.session(), tree, remote, &options, host.scope())
        }))
    }

    /// Starts copying the content of a directory of each host to a directory of this machine, with
    /// both paths the same for all hosts or of its own for each. Does not wait.
    ///
    /// A `local` that is one path is a directory in which each host has one, from whose name the host
    /// can be told again; see [`LocalPaths`].
    ///
    /// # Errors
    /// There is not a path for each host, or two hosts would write one directory, or one into
    /// another's; nothing is copied then, and no host is connected to.
    pub fn get_tree_each(
        &self,
        remote: impl Into<Paths>,
        local: impl Into<LocalPaths>,
        options: &TreeOptions,
    ) -> Result<TreeCopies, CopiesError> {
        let plan = Plan::get(&self.pool, What::Tree, (&remote.into(), &local.into()))?;
        let options = options.clone();
        Ok(
            self.copy_trees(plan, Way::Get, move |host, (local, remote)| {
                let options = options.for_host(host.index());
                get_tree(host.session(), remote, local, &options, host.scope())
            }),
        )
    }

    fn copy_each(
        &self,
        plan: Plan,
        way: Way,
        copy: impl Fn(&Reached<'_>, (&Path, &[u8])) -> Result<Copied, Error> + Send + Sync + 'static,
    ) -> FileCopies {
        self.pool.each(move |host| {
            let (local, remote) = plan.of(host.index());
            let copied = copy(host, (local, remote))?;
            Ok(HostCopy {
                local: local.to_path_buf(),
                remote: remote.to_vec(),
                is_kept: copied.kept,
                copied,
                way,
            })
        })
    }

    fn copy_trees(
        &self,
        plan: Plan,
        way: Way,
        copy: impl Fn(&Reached<'_>, (&Path, &[u8])) -> TreeReport + Send + Sync + 'static,
    ) -> TreeCopies {
        self.pool.each(move |host| {
            let (local, remote) = plan.of(host.index());
            let report = copy(host, (local, remote));
            let (local, remote) = (local.to_path_buf(), remote.to_vec());
            match report.is_success() {
                true => Ok(HostCopy {
                    local,
                    remote,
                    copied: report,
                    way,
                    is_kept: false,
                }),
                false => Err(FailedTree {
                    local,
                    remote,
                    report: report.into(),
                }),
            }
        })
    }

    /// Walks the directory of each host, those that hosts share once. Parks.
    fn walk(&self, plan: &Plan, options: &TreeOptions) -> Result<Vec<LocalTree>, CopiesError> {
        let paths: Vec<PathBuf> = plan.locals().map(PathBuf::from).collect();
        let options = options.clone();
        let walked = blocking(move || {
            let mut known: HashMap<PathBuf, LocalTree> = HashMap::new();
            let mut trees = Vec::with_capacity(paths.len());
            for (index, path) in paths.into_iter().enumerate() {
                let tree = match known.get(&path) {
                    Some(tree) => tree.clone(),
                    None => {
                        let tree = LocalTree::walk(&path, &options)
                            .map_err(|error| (index, Box::new(error)))?;
                        known.entry(path).or_insert(tree).clone()
                    }
                };
                trees.push(tree);
            }
            Ok(trees)
        });
        let walked = walked.unwrap_or_else(|panic| {
            let source = io::Error::other(panic);
            let path = PathBuf::new();
            Err((0, Box::new(Error::Local { path, source })))
        });
        walked.map_err(|(index, source)| CopiesError::Source {
            host: self.hosts()[index].clone().into(),
            source,
        })
    }
}

/// Makes the directory that a path is in. Parks.
fn make_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent().map(PathBuf::from) else {
        return Ok(());
    };
    let own = parent.clone();
    let made = blocking(move || fs::create_dir_all(own));
    let made = made.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    made.map_err(|source| Error::Local {
        path: parent,
        source,
    })
}
