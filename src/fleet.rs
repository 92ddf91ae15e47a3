//! The hosts of one program: what the pool does with sessions and transfer with files, joined.
//!
//! The principal type is [`Fleet`].

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sshoal_pool::connector::Connector;
use sshoal_pool::{
    Each, KeepOpen, OnTimeout, OpenAhead, Pool, PoolBuilder, PoolError, Reached, RetryOn, Run,
    RunError, RunSpec, Started, StopAfter,
};
use sshoal_pool::{Shells, ShellsError};
use sshoal_reactor::Scope;
use sshoal_session::{Config, Host, ShellSpec};
use sshoal_transfer::{
    Copied, CopyOptions, Error, LocalTree, RemoteFs, Source, TreeOptions, TreeReport,
};

mod copies;

/// The hosts of one program, with how to reach them.
///
/// Sessions stay open for what comes next, unless the builder says otherwise. All methods start
/// something on all hosts and return at once; what they return is an iterator over hosts as they
/// end, and cancels what is left when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    pool: Pool,
}

/// Makes a [`Fleet`]; [`FleetBuilder::build`] checks everything at once.
#[derive(Debug)]
#[must_use]
pub struct FleetBuilder {
    pool: PoolBuilder,
}

impl Fleet {
    /// Returns a builder of a fleet of these hosts; a host that is listed twice runs twice.
    pub fn builder(hosts: impl Into<Vec<Host>>, config: Arc<Config>) -> FleetBuilder {
        FleetBuilder {
            pool: Pool::builder(hosts, config).keep_open(KeepOpen::Yes),
        }
    }

    /// Starts a command on all hosts.
    ///
    /// # Errors
    /// There is not one command for each host, or it cannot be launched so; nothing is run then.
    pub fn run(&self, spec: impl Into<RunSpec>) -> Result<Run, RunError> {
        self.pool.run(spec)
    }

    /// Starts a command on all hosts, to be read, fed and waited for while it runs; see
    /// [`Pool::start`].
    ///
    /// # Errors
    /// As [`Fleet::run`].
    pub fn start(&self, spec: impl Into<RunSpec>) -> Result<Started, RunError> {
        self.pool.start(spec)
    }

    /// Starts a program on all hosts: a closure that is called once per host, on a green thread,
    /// with the host's session open; see [`Pool::each`].
    pub fn each<T, F>(&self, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.pool.each(program)
    }

    /// As [`Fleet::each`], and begins no more hosts after so many failures; see
    /// [`Pool::each_until`].
    pub fn each_until<T, F>(&self, stop_after: StopAfter, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.pool.each_until(stop_after, program)
    }

    /// As [`Fleet::each`], and tells how far each host has come; see [`Pool::each_told`].
    pub fn each_told<T, F>(&self, stop_after: Option<StopAfter>, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.pool.each_told(stop_after, program)
    }

    /// Starts copying to a file of all hosts; see [`transfer::put`](sshoal_transfer::put). What is
    /// sent is read once for all of them.
    pub fn put(
        &self,
        source: &Source,
        remote: impl Into<Vec<u8>>,
        options: &CopyOptions,
    ) -> Each<Result<Copied, Error>> {
        let (source, remote, options) = (source.clone(), remote.into(), options.clone());
        self.pool.each(move |host| {
            let options = options.for_host(host.index());
            sshoal_transfer::put(host.session(), &source, &remote, &options, host.scope())
        })
    }

    /// Starts copying a file of each host to where `local` says for it; see
    /// [`transfer::get`](sshoal_transfer::get). Two hosts must not be given one path.
    pub fn get(
        &self,
        remote: impl Into<Vec<u8>>,
        local: impl Fn(usize, &Host) -> PathBuf + Send + Sync + 'static,
        options: &CopyOptions,
    ) -> Each<Result<Copied, Error>> {
        let (remote, options) = (remote.into(), options.clone());
        self.pool.each(move |host| {
            let local = local(host.index(), host.host());
            let options = options.for_host(host.index());
            sshoal_transfer::get(host.session(), &remote, &local, &options, host.scope())
        })
    }

    /// Starts work on the files of all hosts: a closure that is called once per host with its files
    /// open; see [`RemoteFs`].
    pub fn fs<T, F>(&self, work: F) -> Each<Result<T, Error>>
    where
        T: Send + 'static,
        F: Fn(&RemoteFs<'_>) -> Result<T, Error> + Send + Sync + 'static,
    {
        self.pool.each(move |host| {
            let files = RemoteFs::open(host.session(), host.scope())?;
            work(&files)
        })
    }

    /// Starts copying a directory to all hosts; see [`transfer::put_tree`](sshoal_transfer::put_tree).
    /// It was walked once, and what is sent is read once for hosts that are near each other.
    pub fn put_tree(
        &self,
        tree: &LocalTree,
        remote: impl Into<Vec<u8>>,
        options: &TreeOptions,
    ) -> Each<TreeReport> {
        let (tree, remote, options) = (tree.clone(), remote.into(), options.clone());
        self.pool.each(move |host| {
            let options = options.for_host(host.index());
            sshoal_transfer::put_tree(host.session(), &tree, &remote, &options, host.scope())
        })
    }

    /// Starts making a directory of all hosts equal to one here: as [`Fleet::put_tree`] with
    /// [`TreeOptions::sync`], so that equal files are not copied again.
    pub fn sync(
        &self,
        tree: &LocalTree,
        remote: impl Into<Vec<u8>>,
        options: &TreeOptions,
    ) -> Each<TreeReport> {
        self.put_tree(tree, remote, &options.clone().sync())
    }

    /// Starts copying a directory of each host to where `local` says for it; see
    /// [`transfer::get_tree`](sshoal_transfer::get_tree). Two hosts must not be given one path:
    /// [`HostNames`](sshoal_transfer::HostNames) gives each its own.
    pub fn get_tree(
        &self,
        remote: impl Into<Vec<u8>>,
        local: impl Fn(usize, &Host) -> PathBuf + Send + Sync + 'static,
        options: &TreeOptions,
    ) -> Each<TreeReport> {
        let (remote, options) = (remote.into(), options.clone());
        self.pool.each(move |host| {
            let local = local(host.index(), host.host());
            let options = options.for_host(host.index());
            sshoal_transfer::get_tree(host.session(), &remote, &local, &options, host.scope())
        })
    }

    /// Starts making a directory here equal to one of each host: as [`Fleet::get_tree`] with
    /// [`TreeOptions::sync`], so that equal files are not copied again.
    pub fn sync_from(
        &self,
        remote: impl Into<Vec<u8>>,
        local: impl Fn(usize, &Host) -> PathBuf + Send + Sync + 'static,
        options: &TreeOptions,
    ) -> Each<TreeReport> {
        self.get_tree(remote, local, &options.clone().sync())
    }

    /// Opens an interactive shell on every host, and waits until each has one or has failed. Parks.
    /// The shells hold their hosts' sessions until they end; see [`Pool::shells`].
    ///
    /// # Errors
    /// The pool has no room for all hosts at once; nothing is opened then.
    pub fn shells(&self, spec: &ShellSpec, scope: &Scope) -> Result<Shells, ShellsError> {
        self.pool.shells(spec, scope)
    }

    /// Starts opening the sessions of all hosts ahead of their use; see [`Pool::connect`].
    pub fn connect(&self) -> Each<()> {
        self.pool.connect()
    }

    /// Replaces the hosts, and keeps sessions to those that stay; see [`Pool::replace_hosts`].
    /// Parks.
    ///
    /// # Errors
    /// As [`Pool::replace_hosts`]; the fleet is then as it was.
    pub fn replace_hosts(&mut self, hosts: impl Into<Vec<Host>>) -> Result<(), PoolError> {
        self.pool.replace_hosts(hosts)
    }

    /// As [`Fleet::replace_hosts`], with a configuration for each host.
    ///
    /// # Errors
    /// As [`Pool::replace_hosts_with`]; the fleet is then as it was.
    pub fn replace_hosts_with(
        &mut self,
        hosts: impl Into<Vec<Host>>,
        configs: impl Into<Vec<Arc<Config>>>,
    ) -> Result<(), PoolError> {
        self.pool.replace_hosts_with(hosts, configs)
    }

    /// Returns the hosts in input order.
    pub fn hosts(&self) -> &[Host] {
        self.pool.hosts()
    }

    /// Returns the pool under the fleet.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Closes idle sessions in order, as [`Pool::close`] does. Parks.
    pub fn close(self) {
        self.pool.close();
    }
}

impl From<Pool> for Fleet {
    fn from(pool: Pool) -> Self {
        Self { pool }
    }
}

impl FleetBuilder {
    /// Sets how many sessions may be live at once. Default: as many as there are hosts, at most
    /// 512; see [`PoolBuilder::size`].
    pub fn pool_size(self, size: NonZeroUsize) -> Self {
        self.pool(|pool| pool.size(size))
    }

    /// Sets the limit for everything until a command is accepted, of each attempt; `None` is no
    /// limit. Default: each host's configuration's, which is 10 s unless set.
    pub fn connect_timeout(self, timeout: Option<Duration>) -> Self {
        self.pool(|pool| pool.connect_timeout(timeout))
    }

    /// Sets the limit for a host as a whole, connecting and command or program together; `None` is no
    /// limit, which is the default. See [`PoolBuilder::host_timeout`].
    pub fn host_timeout(self, timeout: Option<Duration>) -> Self {
        self.pool(|pool| pool.host_timeout(timeout))
    }

    /// Sets the limit for a command itself; `None` is no limit, which is the default.
    pub fn command_timeout(self, timeout: Option<Duration>) -> Self {
        self.pool(|pool| pool.command_timeout(timeout))
    }

    /// Sets for how long a command may print nothing; `None` is no limit, which is the default.
    pub fn silence_timeout(self, timeout: Option<Duration>) -> Self {
        self.pool(|pool| pool.silence_timeout(timeout))
    }

    /// Sets what becomes of a command whose time is over. Default: [`OnTimeout::End`].
    pub fn on_timeout(self, on_timeout: OnTimeout) -> Self {
        self.pool(|pool| pool.on_timeout(on_timeout))
    }

    /// Sets how long a command that is ended has between `SIGTERM` and `SIGKILL`. Default: 2 s.
    pub fn end_grace(self, grace: Duration) -> Self {
        self.pool(|pool| pool.end_grace(grace))
    }

    /// Sets the limit for each run as a whole; `None` is no limit, which is the default.
    pub fn deadline(self, deadline: Option<Duration>) -> Self {
        self.pool(|pool| pool.deadline(deadline))
    }

    /// Sets a configuration for each host, in the order of the hosts, in place of the one for all;
    /// hosts with the same options should share one `Arc`. See [`PoolBuilder::configs`].
    pub fn configs(self, configs: impl Into<Vec<Arc<Config>>>) -> Self {
        self.pool(|pool| pool.configs(configs))
    }

    /// Sets how often a host is tried again that could not be connected to. Default: 0. A refused
    /// user and a command that may have been started are never tried again; see
    /// [`PoolBuilder::retries`].
    pub fn retries(self, retries: u32) -> Self {
        self.pool(|pool| pool.retries(retries))
    }

    /// Sets in which phases a failure may be tried again. Default: all before the host key.
    pub fn retry_on(self, phases: RetryOn) -> Self {
        self.pool(|pool| pool.retry_on(phases))
    }

    /// Sets how many connections a second are begun at most; `None` is no limit, which is the
    /// default. See [`PoolBuilder::rate`].
    pub fn rate(self, per_second: Option<NonZeroU32>) -> Self {
        self.pool(|pool| pool.rate(per_second))
    }

    /// Sets whether sessions stay open for what comes next. Default: [`KeepOpen::Yes`].
    pub fn keep_open(self, keep_open: KeepOpen) -> Self {
        self.pool(|pool| pool.keep_open(keep_open))
    }

    /// Sets whether a kept session's next channel is opened while the session is idle, so that the
    /// next command takes one round trip in place of two. Default: [`OpenAhead::No`].
    pub fn open_ahead(self, open_ahead: OpenAhead) -> Self {
        self.pool(|pool| pool.open_ahead(open_ahead))
    }

    /// Sets how long a session may be idle before it is closed; `None` is for as long as the fleet
    /// lasts, which is the default.
    pub fn idle_close(self, after: Option<Duration>) -> Self {
        self.pool(|pool| pool.idle_close(after))
    }

    /// Sets what opens the sessions. Default: this process does, over SSH.
    pub fn connector(self, connector: Arc<dyn Connector>) -> Self {
        self.pool(|pool| pool.connector(connector))
    }

    /// Sets anything else of the pool under the fleet.
    pub fn pool(self, set: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        Self {
            pool: set(self.pool),
        }
    }

    /// Makes the fleet. Nothing is connected to.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn build(self) -> Result<Fleet, PoolError> {
        Ok(Fleet {
            pool: self.pool.build()?,
        })
    }
}
