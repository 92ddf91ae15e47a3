//! For those who come from parallel-ssh or Parallax: what each call and parameter is here.
//!
//! There is nothing in this module but its tables. That each behaviour is the same, and each
//! defect not here, is shown by the tests that `tests/parallel-ssh.md` in the repository lists.
//!
//! # parallel-ssh
//!
//! ## `ParallelSSHClient(hosts, …)`
//!
//! A client is a [`Fleet`]: hosts and an `Arc` of a [`Config`] that says how they are got into. A
//! `HostConfig` is a `Config` of its own, given by [`FleetBuilder::configs`]. Every option may
//! differ by host, and what a host's configuration says holds, "no" and 0 included.
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `hosts` | [`Fleet::builder`] | hosts are parsed, `"user@name:port".parse::<Host>()`; one that is listed twice runs twice, over a session of its own |
//! | `user` | [`ConfigBuilder::user`], [`Host::with_user`] | |
//! | `password` | [`ConfigBuilder::password`] | is no key's passphrase; tried once |
//! | `port` | [`ConfigBuilder::port`], [`Host::with_port`] | |
//! | `pkey` (path) | [`Identity::load`] with a passphrase, [`ConfigBuilder::identity`] | read and decrypted once for all hosts; `~` is the caller's to expand; a refused key gives way to what else is given |
//! | `pkey` (bytes) | [`Identity::parse`] | |
//! | `num_retries` | [`FleetBuilder::retries`] | attempts after the first; of connecting only, a refused login is never tried again |
//! | `retry_delay` | none | random and growing, 0.5 s to 30 s |
//! | `timeout` | [`FleetBuilder::connect_timeout`], [`FleetBuilder::command_timeout`], [`FleetBuilder::silence_timeout`], [`FleetBuilder::deadline`] | four limits with four meanings; what came until then is kept, and the command is ended, see [`FleetBuilder::on_timeout`] |
//! | `pool_size` (100) | [`FleetBuilder::pool_size`] (512) | sessions at once |
//! | `allow_agent` | [`ConfigBuilder::agent`], [`ConfigBuilder::agent_keys`] | |
//! | `identity_auth` | [`Resolver`] with ssh_config's `IdentityFile` | nothing is looked for unless a resolver is used |
//! | `host_config` | [`FleetBuilder::configs`] | checked when the fleet is made |
//! | `proxy_host`, `proxy_port`, `proxy_user`, `proxy_password`, `proxy_pkey` | [`Jump`], [`ConfigBuilder::jump`] | any number of hops; hosts share the jump host's sessions; no local port; nothing is taken from the target |
//! | `forward_ssh_agent` | [`ConfigBuilder::forward_agent`] | works |
//! | `keepalive_seconds` | [`ConfigBuilder::keepalive`], [`ConfigBuilder::keepalive_max`] | an answer is awaited, so that a lost host is told |
//! | `ipv6_only` | [`ConfigBuilder::address_family`] | |
//! | `compress` | [`ConfigBuilder::compression`] | |
//! | `keyboard_interactive` | [`ConfigBuilder::password`], [`ConfigBuilder::answers`] | answers to any prompt, for a fleet too |
//! | `cert_file` | [`ConfigBuilder::certificate`], [`Identity::with_certificate`] | the one beside a key's file is found |
//! | `gssapi_…` | none | ssh_config's `GSSAPIAuthentication yes` is refused by name |
//! | no host keys | [`HostKeys`], [`HostKeyPolicy`] | are checked, strictly unless you say otherwise |
//! | no ssh_config | [`Resolver`], [`ssh_config`] | |
//!
//! ## `HostConfig`
//!
//! Its options are those above, for one host, and these.
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `alias` | the [`Host`]'s own name, with [`ConfigBuilder::host_name`] | the name is what outcomes are found by, the other what is connected to |
//! | `private_key` | [`ConfigBuilder::identity`] | a bad one is told when it is loaded |
//! | `num_retries`, `retry_delay` | none | one number for the fleet; [`ConfigBuilder::connection_attempts`] counts those of one connect |
//! | `timeout` | [`ConfigBuilder::connect_timeout`] | |
//! | `auth_thread_pool` | none | hosts never hold each other up |
//!
//! ## Methods of `ParallelSSHClient`
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `run_command(cmd)` | [`Fleet::start`], [`Started::accepted`]; [`Fleet::run`] | `start` returns at once, and `accepted` once every host has taken its command; `run` gives outcomes as hosts end |
//! | `output` in host order | [`Started::hosts`]; [`Run::report`], [`Report::outcomes`] | a [`Run`] itself is in the order in which hosts end; so are [`Started::ended`] and [`Report::in_completion_order`] |
//! | `stop_on_errors=True` | [`Report::require_started`] | the error holds the report, so that no host's outcome is lost |
//! | `stop_on_errors=False` | [`HostRun::error`], [`End::Failed`] | an error is a value; the output of its host is empty, not missing |
//! | – | [`RunSpec::stop_after`] | begins no more hosts after failures; [`Failing::NotStarted`] counts what `stop_on_errors` looks at |
//! | `sudo`, `user` | [`RunSpec::launch`] with [`Launch::sudo`], [`Sudo`] | quoted; the password is fed when it is asked for, and the command's own input comes behind it |
//! | `shell` | [`Launch::shell`] with [`Shell::parse`] | quoted |
//! | `use_pty` | [`Launch::pty`] | with size and kind of terminal |
//! | – | [`Launch::env`], [`Launch::dir`] | |
//! | `host_args` of strings or tuples | [`Template::args`] | `{0}`, `{1}` in place of `%s`; counted and checked before anything runs; quoted unless `{0:raw}` |
//! | `host_args` of dicts | [`Template::args`] with [`Args::named`] | `{name}` in place of `%(name)s` |
//! | `%%` | `{{`, `}}` | in templates only |
//! | – | [`Commands::each`], [`Commands::by`] | whole commands by host, or by a function |
//! | `encoding` | [`OutputReader::text`], [`Collected::text`] | bytes, until you decode them, by another [`Encoding`] each time if you like; a bad byte loses nothing |
//! | `read_timeout` | [`OutputReader::idle_timeout`], [`OutputReader::total_timeout`] | two limits with two names; nothing is lost by them |
//! | `join(output, timeout)` | [`Started::wait`] | tells finished hosts from unfinished ones, any number of times |
//! | `join(consume_output=True)` | [`Started::wait_with`], [`Started::wait_with_lines`] | |
//! | `Timeout(…, finished, unfinished)` | [`Waited`] | is no error |
//! | `finished()` | [`Started::is_finished`] | |
//! | `get_last_output()`, `cmds` | keep the [`Started`], its hosts or the [`Report`] | they outlive the fleet |
//! | `connect_auth()` | [`Fleet::connect`] | |
//! | `copy_file` | [`Fleet::put`] | one file; written aside and renamed |
//! | `copy_remote_file` | [`Fleet::get`] | a function gives each host's local path |
//! | `copy_args` | [`Fleet::each`] with [`HostFiles::put`] or [`HostFiles::get`] | |
//! | `suffix_separator` | the function of [`Fleet::get`] | duplicates differ by index |
//! | `scp_send`, `scp_recv` | [`Fleet::each`] with [`HostFiles::scp_put`] or [`HostFiles::scp_get`] | nothing is overwritten on the host |
//! | `recurse` | none | one file |
//! | `open_shell()` | [`Fleet::shells`] | a host without one is an error in its place |
//! | `run_shell_commands(shells, cmds)` | [`Shells::run_all`] | in order on each shell |
//! | `join_shells(shells, timeout)` | [`Shells::join`] | [`Joined`] has those that failed, too |
//! | `client.hosts = …` | [`Fleet::replace_hosts`], [`Fleet::replace_hosts_with`] | sessions of those that stay are kept, wherever they are in the list |
//! | client goes out of scope | [`Fleet::close`], [`FleetBuilder::idle_close`] | closes in order; a drop gives up without a wait |
//!
//! ## `SSHClient`
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `SSHClient(host, …)` | [`Session::connect`] | from any thread |
//! | `run_command` | [`Session::command`], [`Command::output`], [`Command::spawn`] | [`Session::run`] is the shortest way, and [`Session::check`] makes a bad status an error |
//! | `open_session`, `execute` | [`Command::spawn`] | a [`Child`] |
//! | `read_output`, `read_stderr` | [`Child::read_stdout`], [`Child::read_stderr`], [`Child::read`] | |
//! | `read_output_buffer(callback=…)` | [`HostLogger::output`], or a loop over [`Child::read`] | |
//! | `wait_finished` | [`Child::wait`] | |
//! | `finished`, `get_exit_status` | [`Child::wait`] within a [`Scope`] | a status that never came is told: [`Exit::None`] |
//! | `close_channel` | drop of the [`Child`] | |
//! | `open_shell` | [`Session::shell`] | a terminal by [`ShellSpec::pty`] |
//! | `sftp_put`, `copy_file` | [`transfer::put`] | permissions go along less the umask; all of them, and times, by [`CopyOptions::preserve`] |
//! | `sftp_get`, `copy_remote_file` | [`transfer::get`] | |
//! | `scp_send`, `scp_recv` | [`Scp::send`], [`Scp::receive`] | |
//! | `mkdir(sftp, dir)` | [`Sftp::make_directory`] | copies make those on their way by themselves |
//! | `eagain`, `eagain_write`, `poll` | none | calls park, and need no loop |
//! | `disconnect`, `with` | [`Session::close`] | |
//!
//! ## `HostOutput` and the rest
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `host`, `alias` | [`HostRun::host`], [`Outcome::host`], and `index` of both | several of one name: [`Started::named`], [`Report::by_name`] |
//! | `stdout`, `stderr` | [`HostRun::stdout`], [`HostRun::stderr`]; [`Outcome::stdout`], [`Outcome::stderr`] | while the command runs and when the session is gone; each reader goes on where the last one stopped |
//! | lines | [`OutputReader::lines`] | [`Line::bytes`] without, [`Line::with_terminator`] with their ends |
//! | – | [`HostRun::output`] | both streams as they came |
//! | `exit_code` | [`HostRun::exit`], [`Outcome::end`] | a signal is [`End::Signaled`], no status [`End::NoStatus`]: neither is 0 or `None` |
//! | `exception` | [`HostRun::error`], [`End::Failed`] | with a phase and a kind |
//! | `fully_qualified_command` | [`HostRun::command`], [`Outcome::command`] | the bytes that the host was asked to run |
//! | `stdin.write`, `flush` | [`HostRun::write_stdin`], [`Child::write_stdin`], [`RunSpec::stdin`] | |
//! | no EOF | [`HostRun::close_stdin`], [`Child::close_stdin`] | a wait closes it, too: `cat` ends |
//! | – | [`HostRun::signal`], [`HostRun::close`] | |
//! | `encoding`, `read_timeout` set later | arguments of each reader | |
//! | `client` | none | a run keeps what it needs |
//! | `HostOutputBuffers`, `BufferData`, `ConcurrentRWBuffer` | none | bounded memory; more than 1 MiB of a host is in a file |
//! | `InteractiveShell.run`, `.close` | [`InteractiveShell::run`], [`InteractiveShell::join`] | [`InteractiveShell::expect`] waits for a prompt |
//! | `InteractiveShell.stdout`, `.stderr` | [`InteractiveShell::read`], [`InteractiveShell::read_stream`], [`Shells::read`] | |
//! | `InteractiveShell.exit_code` | [`InteractiveShell::exit`], [`Shells::exit`] | |
//! | `enable_host_logger()` | [`HostLogger`] | in the same format |
//! | `enable_logger`, `enable_debug_logger` | the feature `tracing`, [`Fleet::run`] with [`RunSpec::detail`] | |
//! | `LocalForwarder`, `TunnelServer` | [`forward_local`], [`Session::tunnel`] | |
//!
//! ## Exceptions
//!
//! [`Error::phase`] says how far a host had come, and [`Error::kind`] what went wrong.
//!
//! | parallel-ssh | here |
//! | --- | --- |
//! | `UnknownHostError`, `NoIPv6AddressFoundError` | [`Phase::Resolve`], [`Kind::UnknownHost`] |
//! | `ConnectionError`, `ConnectionRefusedError` | [`Phase::Connect`], [`Kind::Refused`], [`Kind::Unreachable`], [`Kind::Timeout`] |
//! | `SSHError`, raw `ssh2.exceptions` | [`Phase::Banner`], [`Phase::Kex`] |
//! | – | [`Phase::HostKey`] |
//! | `AuthenticationError` | [`Phase::Auth`], [`Kind::Denied`] |
//! | `ProxyError` | [`Error::Jump`], [`Error::Tunnel`], [`Error::ProxyCommand`] |
//! | `SessionError` | [`Phase::Open`], [`Phase::Run`] |
//! | `Timeout`, `gevent.Timeout` | [`Kind::Timeout`] with the phase and the limit; of reading, [`ReadError`] |
//! | `HostArgumentError`, `TypeError`, `KeyError` of `%` | [`RunError`], before anything runs |
//! | `UnicodeDecodeError` | [`ReadError::BadText`], which holds the line |
//! | `HostConfigError` | [`PoolError`], [`ConfigError`] |
//! | `PKeyFileError` | [`IdentityError`] |
//! | `SFTPError`, `SFTPIOError`, `SCPError` | [`transfer::Error`] |
//! | `ShellError` | [`ShellError`], [`ShellsError`] |
//! | `InvalidAPIUseError` | [`ApiMisuse`] |
//!
//! # Parallax
//!
//! [`parallax`] has the calls by their names; its page lists what differs.
//!
//! | Parallax | here, under `parallax` | beyond |
//! | --- | --- | --- |
//! | `call(hosts, cmdline, opts)` | [`parallax::call`] | [`Fleet::run`], [`Report::require_success`] |
//! | `run(hosts, cmdline, opts)` | [`parallax::run`] | [`Fleet::run`] |
//! | `copy(hosts, src, dst, opts)` | [`parallax::copy`] | [`Fleet::put`] |
//! | `slurp(hosts, src, dst, opts)` | [`parallax::slurp`] | [`Fleet::get`] |
//! | the dict of results | [`parallax::Results`] | [`Report`] |
//! | `(rc, out, err)` | [`parallax::Done`] | [`Outcome`] |
//! | `Error` | [`parallax::Error`] | [`End`] |
//! | `"h"`, `(h,)`, `(h, port)`, `(h, port, user)` | [`parallax::AsHost`] | [`Host`] |
//! | `Options.limit` (32) | [`parallax::Options::limit`] | [`FleetBuilder::pool_size`] |
//! | `timeout` | [`parallax::Options::timeout`] (60 s) | [`FleetBuilder::connect_timeout`], [`FleetBuilder::command_timeout`], [`FleetBuilder::deadline`] |
//! | `askpass` | [`parallax::Options::password`] | [`ConfigBuilder::password`] |
//! | `outdir`, `errdir` | [`parallax::Options::outdir`], [`parallax::Options::errdir`] | |
//! | `ssh_key` | [`parallax::Options::ssh_key`] | [`Identity`] |
//! | `ssh_options`, `ssh_extra` | [`parallax::Options::ssh_options`], [`parallax::Options::config_file`] | [`Resolver`] |
//! | `default_user` | [`parallax::Options::default_user`] | [`ConfigBuilder::user`] |
//! | `input_stream` | [`parallax::Options::input_stream`] | [`RunSpec::stdin`], [`HostRun::write_stdin`] |
//! | `localdir` | [`parallax::Options::localdir`] | |
//! | – | [`parallax::Options::slurp_bytes_max`] | [`CopyOptions::bytes_max`] |
//! | `recursive` | none: one file | |
//! | `verbose` | [`parallax::Options::is_verbose`], of the environment | |
//! | `quiet`, `print_out`, `inline`, `inline_stdout`, `warn_message` | none: nothing is printed | [`HostLogger`] |
//! | callbacks `finished`, `result` | none | [`Run::events`] |
//! | `PARALLAX_HOSTS` | [`parallax::hosts_from_env`] | |
//! | `PARALLAX_USER`, `PAR`, `OUTDIR`, `VERBOSE`, `OPTIONS` | [`parallax::Options::from_env`] | |

// The names of the tables, which rustdoc holds against the library.
#[cfg(doc)]
use crate::{
    ApiMisuse, Args, Child, Collected, Command, Commands, Config, ConfigBuilder, ConfigError,
    Encoding, End, Error, Exit, Failing, Fleet, FleetBuilder, Host, HostFiles, HostKeyPolicy,
    HostKeys, HostLogger, HostRun, Identity, IdentityError, InteractiveShell, Joined, Jump, Kind,
    Launch, Line, Outcome, OutputReader, Phase, PoolError, ReadError, Report, Resolver, Run,
    RunError, RunSpec, Scope, Session, Shell, ShellError, ShellSpec, Shells, ShellsError, Started,
    Sudo, Template, Waited, forward_local, parallax, ssh_config, transfer,
    transfer::{CopyOptions, Scp, sftp::Sftp},
};
