//! For those who come from parallel-ssh or Parallax: what each call and parameter is here.
//!
//! There is nothing in this module but its tables. A name with † is not in this version.
//!
//! # parallel-ssh
//!
//! ## `ParallelSSHClient(hosts, …)`
//!
//! A client is a [`Fleet`](crate::Fleet): hosts and an `Arc` of a [`Config`](crate::Config) that
//! says how they are got into. A `HostConfig` is a `Config` of its own, given by
//! [`FleetBuilder::configs`](crate::FleetBuilder::configs). Every option may differ by host, and
//! what a host's configuration says holds, "no" and 0 included.
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `hosts` | `Fleet::builder(hosts, config)` | hosts are parsed, `"user@name:port".parse::<Host>()`; one that is listed twice runs twice, over a session of its own |
//! | `user` | `ConfigBuilder::user`, `Host::with_user` | |
//! | `password` | `ConfigBuilder::password` | is no key's passphrase; tried once |
//! | `port` | `ConfigBuilder::port`, `Host::with_port` | |
//! | `pkey` (path) | `Identity::load(path, passphrase)`, `ConfigBuilder::identity` | read and decrypted once for all hosts |
//! | `pkey` (bytes) | `Identity::parse(bytes, passphrase)` | |
//! | `num_retries` | `FleetBuilder::retries` | attempts after the first; of connecting only, a refused login is never tried again |
//! | `retry_delay` | none | random and growing, 0.5 s to 30 s |
//! | `timeout` | `connect_timeout`, `command_timeout`, `deadline` of `FleetBuilder` | three limits with three meanings; what came until then is kept |
//! | `pool_size` (100) | `FleetBuilder::pool_size` (512) | sessions at once |
//! | `allow_agent` | `ConfigBuilder::agent` | |
//! | `identity_auth` | `Resolver` with ssh_config's `IdentityFile` | nothing is looked for unless a resolver is used |
//! | `host_config` | `FleetBuilder::configs` | checked when the fleet is made |
//! | `proxy_host`, `proxy_port`, `proxy_user`, `proxy_password`, `proxy_pkey` | `Jump`, `ConfigBuilder::jump` | any number of hops; hosts share the jump host's sessions; no local port |
//! | `forward_ssh_agent` | `ConfigBuilder::forward_agent` | works |
//! | `keepalive_seconds` | `ConfigBuilder::keepalive` | an answer is awaited, so that a lost host is told |
//! | `ipv6_only` | `ConfigBuilder::address_family` | |
//! | `compress` | `ConfigBuilder::compression` | |
//! | `keyboard_interactive` | `ConfigBuilder::answers` | answers to any prompt, for a fleet too |
//! | no host keys | `HostKeys`, `HostKeyPolicy` | are checked, strictly unless you say otherwise |
//! | no ssh_config | `Resolver` | |
//!
//! ## Methods of `ParallelSSHClient`
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `run_command(cmd)` | `Pool::start` †; `Fleet::run` | `start` returns when you ask it to, once hosts have accepted the command; `run` gives outcomes as hosts end |
//! | `output` in host order | `Run::report`, `Report::outcomes` | `Run` itself is in the order in which hosts end; so is `Report::in_completion_order` |
//! | `stop_on_errors=True` | `Report::require_started` | the error holds the report, so that no host's outcome is lost |
//! | `stop_on_errors=False` | `Fleet::run` | an error is an outcome: `End::Failed`; its output is empty, not missing |
//! | – | `RunSpec::stop_after` | begins no more hosts after failures; `Failing::NotStarted` counts what `stop_on_errors` looks at |
//! | `sudo`, `user`, `shell` | `Launch::sudo` †, `Launch::shell` † | quoted; the password is fed when it is asked for |
//! | `use_pty` | `Launch::pty` † | with size and kind of terminal |
//! | `host_args` of strings or tuples | `Template::args` | `{0}`, `{1}` in place of `%s`; counted and checked before anything runs; quoted unless `{0:raw}` |
//! | `host_args` of dicts | `Template::args` with `Args::named` | `{name}` in place of `%(name)s` |
//! | `%%` | `{{`, `}}` | in templates only |
//! | – | `Commands::each`, `Commands::by` | whole commands by host, or by a function |
//! | `encoding` | `Collected::bytes`, `Collected::text` | bytes, until you decode them; a bad byte loses nothing |
//! | `read_timeout` | `idle_timeout` †, `total_timeout` † of a host's reader | two limits with two names |
//! | `join(output, timeout)` | `Started::wait` † | tells finished hosts from unfinished ones, any number of times |
//! | `join(consume_output=True)` | `Started::wait_with` † | |
//! | `finished()` | `Started::is_finished` † | |
//! | `get_last_output()` | keep the `Started` † or the `Report` | |
//! | `connect_auth()` | `Pool::connect` † | |
//! | `copy_file` | `Fleet::put` | one file; written aside and renamed |
//! | `copy_remote_file` | `Fleet::get` | a function gives each host's local path |
//! | `copy_args` | a closure: `Fleet::each` with `transfer::put` or `get` | |
//! | `scp_send`, `scp_recv` | `Fleet::put`, `Fleet::get` | by SFTP |
//! | `open_shell()` | `Fleet::shells` † | |
//! | `run_shell_commands(shells, cmds)` | `Shells::run` † | in order on each shell |
//! | `join_shells(shells, timeout)` | `Shells::join` † | |
//! | `client.hosts = …` | another `Fleet` | |
//! | client goes out of scope | `Fleet::close` | closes in order; a drop gives up without a wait |
//!
//! ## `SSHClient`
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `SSHClient(host, …)` | `Session::connect(&host, &config)` | from any thread |
//! | `run_command` | `session.command(cmd).output()`, `.spawn()` | |
//! | `open_session`, `execute` | `Command::spawn` | a `Child` |
//! | `read_output`, `read_stderr` | `Child::read_stdout`, `Child::read_stderr`, `Child::read` | |
//! | `wait_finished` | `Child::wait` | |
//! | `finished`, `get_exit_status` | `Child::wait` within a `Scope` | a status that never came is told: `Exit::None` |
//! | `close_channel` | drop of the `Child` | |
//! | `open_shell` | `Session::shell` † | |
//! | `sftp_put`, `copy_file`, `scp_send` | `transfer::put` | |
//! | `sftp_get`, `copy_remote_file`, `scp_recv` | `transfer::get` | |
//! | `mkdir(sftp, dir)` | `Session::sftp` | opens, renames and removes files; folders † |
//! | `eagain`, `poll` | none | calls park, and need no loop |
//! | `disconnect`, `with` | `Session::close` | |
//!
//! ## `HostOutput` and the rest
//!
//! | parallel-ssh | here | difference |
//! | --- | --- | --- |
//! | `host`, `alias` | `Outcome::host`, `Outcome::index` | several outcomes of one name: `Report::by_name` |
//! | `stdout`, `stderr` | `Outcome::stdout`, `Outcome::stderr` | whole, and readable after the session is gone; while the command runs: `HostRun::stdout` † |
//! | `exit_code` | `Outcome::end` | a signal is `End::Signaled`, no status `End::NoStatus`: neither is 0 or `None` |
//! | `exception` | `End::Failed(error)` | with a phase and a kind |
//! | `fully_qualified_command` | `Outcome::command` | the bytes that the host was asked to run |
//! | `stdin.write`, `flush` | `HostRun::write_stdin` †, `Child::write_stdin` | |
//! | no EOF | `HostRun::close_stdin` †, `Child::close_stdin` | `cat` ends |
//! | `encoding`, `read_timeout` set later | arguments of each read | |
//! | `HostOutputBuffers`, `BufferData` | none | bounded memory; more than 1 MiB of a host is in a file |
//! | `InteractiveShell.run`, `.close` | `InteractiveShell::run` †, `join` † | |
//! | `enable_host_logger()` | `HostLogger` † | |
//! | `enable_logger`, `enable_debug_logger` | `tracing` | |
//! | `LocalForwarder`, `TunnelServer` | `forward_local`, `Session::tunnel` | |
//!
//! ## Exceptions
//!
//! [`Error::phase`](crate::Error::phase) says how far a host had come, and
//! [`Error::kind`](crate::Error::kind) what went wrong.
//!
//! | parallel-ssh | here |
//! | --- | --- |
//! | `UnknownHostError`, `NoIPv6AddressFoundError` | `Phase::Resolve`, `Kind::UnknownHost` |
//! | `ConnectionError`, `ConnectionRefusedError` | `Phase::Connect`, `Kind::Refused`, `Unreachable`, `Timeout` |
//! | `SSHError`, raw `ssh2.exceptions` | `Phase::Banner`, `Phase::Kex` |
//! | – | `Phase::HostKey` |
//! | `AuthenticationError` | `Phase::Auth`, `Kind::Denied` |
//! | `ProxyError` | `Error::Jump`, `Error::Tunnel`, `Error::ProxyCommand` |
//! | `SessionError` | `Phase::Open`, `Phase::Run` |
//! | `Timeout`, `gevent.Timeout` | `Kind::Timeout` with the phase and the limit |
//! | `HostArgumentError`, `TypeError`, `KeyError` of `%` | [`RunError`](crate::RunError), before anything runs |
//! | `HostConfigError` | [`PoolError`](crate::PoolError), [`ConfigError`](crate::ConfigError) |
//! | `PKeyFileError` | [`IdentityError`](crate::IdentityError) |
//! | `SFTPError`, `SFTPIOError`, `SCPError` | [`transfer::Error`](crate::transfer::Error) |
//! | `ShellError` | `ShellError` † |
//! | `InvalidAPIUseError` | [`ApiMisuse`](crate::ApiMisuse) |
//!
//! # Parallax
//!
//! [`parallax`](crate::parallax) has the calls by their names; its page lists what differs.
//!
//! | Parallax | here, under `parallax` | beyond |
//! | --- | --- | --- |
//! | `call(hosts, cmdline, opts)` | `call` | `Fleet::run`, `Report::require_success` |
//! | `run(hosts, cmdline, opts)` | `run` | `Fleet::run` |
//! | `copy(hosts, src, dst, opts)` | `copy` | `Fleet::put` |
//! | `slurp(hosts, src, dst, opts)` | `slurp` | `Fleet::get` |
//! | the dict of results | `Results` | `Report` |
//! | `(rc, out, err)` | `Done` | `Outcome` |
//! | `Error` | `Error` | `End` |
//! | `"h"`, `(h,)`, `(h, port)`, `(h, port, user)` | `AsHost` | `Host` |
//! | `Options.limit` (32) | `Options::limit` | `FleetBuilder::pool_size` |
//! | `timeout` | `Options::timeout` (60 s) | `connect_timeout`, `command_timeout`, `deadline` |
//! | `askpass` | `Options::password` | `ConfigBuilder::password` |
//! | `outdir`, `errdir` | `Options::outdir`, `Options::errdir` | |
//! | `ssh_key` | `Options::ssh_key` | `Identity` |
//! | `ssh_options`, `ssh_extra` | `Options::ssh_options`, `Options::config_file` | `Resolver` |
//! | `default_user` | `Options::default_user` | `ConfigBuilder::user` |
//! | `input_stream` | `Options::input_stream` | `HostRun::write_stdin` † |
//! | `localdir` | `Options::localdir` | |
//! | `recursive` | none: one file | |
//! | `verbose` | `Options::is_verbose`, of the environment | |
//! | `quiet`, `print_out`, `inline`, `inline_stdout`, `warn_message` | none: nothing is printed | |
//! | callbacks `finished`, `result` | none | `Run::events` |
//! | `PARALLAX_HOSTS` | `hosts_from_env` | |
//! | `PARALLAX_USER`, `PAR`, `OUTDIR`, `VERBOSE`, `OPTIONS` | `Options::from_env` | |
