//! The calls of Parallax against real OpenSSH servers.

mod support;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use sshoal::{
    Exit, Kind,
    parallax::{self, Error, Options, Refused},
};
use support::{faults::Refused as Refuses, faults::Silent, sshd::Sshd};

/// A server of so many addresses that adds nothing to what commands write to standard error.
fn quiet(addresses: u32) -> Option<Sshd> {
    Sshd::builder()
        .addresses(addresses)
        .log_level("INFO")
        .start()
}

/// Options that reach the hosts of a server and read nothing of the user's.
fn options(sshd: &Sshd) -> Options {
    let (key, known) = (sshd.key_path(), sshd.known_hosts_path());
    Options::new()
        .config_file("none")
        .ssh_key(key)
        .default_user(sshd.user())
        .ssh_options([
            format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=none".to_owned(),
            "IdentityAgent=none".to_owned(),
            format!("Port={}", sshd.port()),
        ])
}

/// One host ends well, one does not, one by a signal, one with 255, and one refuses: `call` has a
/// value for the first alone, `run` an error for the last alone. Unreachable is told apart from 255.
#[test]
fn call_fails_on_a_bad_status_and_run_only_where_ssh_did() {
    let Some(sshd) = quiet(4) else {
        return;
    };
    let refuses = Refuses::on(IpAddr::from(Ipv4Addr::new(127, 2, 77, 1)));
    let closed = refuses.address();
    let mut hosts: Vec<(String, u16)> = Vec::new();
    hosts.extend(
        sshd.sockets()
            .iter()
            .map(|at| (at.ip().to_string(), at.port())),
    );
    hosts.push((closed.ip().to_string(), closed.port()));
    let command = "set -- $SSH_CONNECTION; echo at $3; echo err >&2; \
        case $3 in *.1) exit 0;; *.2) exit 3;; *.3) exit 255;; *.4) kill -9 $$;; esac";
    let options = options(&sshd);

    let ran = parallax::run(hosts.clone(), command, &options).unwrap();
    let exits: Vec<Option<Exit>> = ran
        .iter()
        .map(|(_, r)| Some(r.as_ref().ok()?.exit().clone()))
        .collect();
    let signal = Exit::Signal {
        name: "KILL".into(),
        message: String::new(),
    };
    let status = |status| Some(Exit::Status(status));
    assert_eq!(
        exits,
        [status(0), status(3), status(255), Some(signal), None]
    );
    for ((name, _), result) in hosts
        .iter()
        .zip(ran.iter().map(|(_, result)| result))
        .take(4)
    {
        let done = result.as_ref().unwrap();
        assert_eq!(done.stdout(), format!("at {name}\n").as_bytes());
        assert_eq!(done.stderr(), b"err\n");
    }
    let refused = ran.at(4).unwrap().as_ref().unwrap_err();
    assert!(
        matches!(refused, Error::Ssh(e) if e.kind() == Kind::Refused),
        "{refused:?}"
    );
    assert!(refused.is_ssh() && refused.done().is_none());

    let called = parallax::call(hosts.clone(), command, &options).unwrap();
    let words: Vec<String> = called
        .iter()
        .map(|(_, result)| match result {
            Ok(done) => format!("{:?}", done.status()),
            Err(error) => error.to_string(),
        })
        .collect();
    let expected = [
        "Some(0)",
        "exit 3",
        "exit 255",
        "signal KILL",
        "connect failed",
    ];
    assert_eq!(words, expected);
    let bad = called.get(&hosts[1].0).unwrap().as_ref().unwrap_err();
    assert!(!bad.is_ssh());
    assert_eq!(bad.done().unwrap().stderr(), b"err\n");
}

/// A name twice, alone and with its port, and with a user: each has a result of its own, and the
/// name finds all of them.
#[test]
fn hosts_are_names_ports_and_users_and_none_hides_another() {
    let Some(sshd) = Sshd::start() else { return };
    let (name, user) = (sshd.address().to_string(), sshd.user());
    let port = Some(sshd.port());
    let hosts = [
        (name.as_str(), None, None),
        (name.as_str(), port, None),
        (name.as_str(), port, Some(user.as_str())),
        (name.as_str(), None, Some("no-such-user")),
    ];
    let results = parallax::call(hosts, "echo \"$SSH_CONNECTION\"", &options(&sshd)).unwrap();
    assert_eq!(results.len(), 4);
    let good = results
        .all(&name)
        .filter(|(_, result)| result.is_ok())
        .count();
    assert_eq!((results.all(&name).count(), good), (4, 3));
    let denied = results.at(3).unwrap().as_ref().unwrap_err();
    assert!(
        matches!(denied, Error::Ssh(e) if e.kind() == Kind::Denied),
        "{denied:?}"
    );
    assert!(results.get(&name).unwrap().is_ok() && results.get("other").is_none());
}

/// A file to all hosts and back: three hosts of one server, one of them twice, in folders apart.
#[test]
fn copy_and_slurp_give_paths_and_a_folder_for_each_host() {
    let Some(sshd) = Sshd::builder().addresses(3).start() else {
        return;
    };
    let (here, there) = (tempfile::tempdir().unwrap(), sshd.scratch());
    let local = here.path().join("it's here");
    fs::write(&local, b"bytes \0\xff\n").unwrap();
    fs::set_permissions(&local, fs::Permissions::from_mode(0o755)).unwrap();
    let mut hosts: Vec<String> = sshd.addresses().iter().map(ToString::to_string).collect();
    hosts.push(hosts[0].clone());
    let options = options(&sshd).localdir(here.path().join("local"));

    let folder = format!("{}/", there.display());
    let copied = parallax::copy(hosts.clone(), &local, folder, &options).unwrap();
    let remote = there.join("it's here");
    for (host, path) in &copied {
        let path = path
            .as_ref()
            .unwrap_or_else(|error| panic!("{host}: {error:?}"));
        assert_eq!(path, remote.as_os_str().as_encoded_bytes());
    }
    assert_eq!(fs::read(&remote).unwrap(), b"bytes \0\xff\n");
    let executable = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o100 != 0;
    assert!(executable(&remote), "its permissions go along");

    let source = remote.as_os_str().as_encoded_bytes();
    let slurped = parallax::slurp(hosts.clone(), source, "sub/name", &options).unwrap();
    let folders = [
        hosts[0].clone(),
        hosts[1].clone(),
        hosts[2].clone(),
        format!("{}.1", hosts[0]),
    ];
    for (folder, (_, path)) in folders.iter().zip(&slurped) {
        let expected = here.path().join("local").join(folder).join("sub/name");
        assert_eq!(path.as_ref().unwrap(), &expected);
        assert_eq!(fs::read(expected).unwrap(), b"bytes \0\xff\n");
    }

    let missing = parallax::slurp(&hosts[..1], "/no/such/file", "x", &options).unwrap();
    assert!(
        matches!(missing.at(0), Some(Err(Error::Copy(_)))),
        "{missing:?}"
    );
    let outside = parallax::slurp(hosts, source, "../x", &options);
    assert!(matches!(outside, Err(Refused::Path { .. })));
}

#[test]
fn commands_read_the_input_and_their_output_is_written_to_folders() {
    let Some(sshd) = quiet(2) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (outdir, errdir) = (folder.path().join("a/out"), folder.path().join("err"));
    let options = options(&sshd).input_stream(vec![0xff; 300_000]);
    let options = options.outdir(&outdir).errdir(&errdir);
    let hosts: Vec<String> = sshd.addresses().iter().map(ToString::to_string).collect();
    let results = parallax::call(hosts.clone(), "wc -c; echo oops >&2", &options).unwrap();
    for (name, (host, result)) in hosts.iter().zip(&results) {
        assert_eq!(host.name(), name);
        let done = result.as_ref().unwrap();
        assert_eq!(String::from_utf8_lossy(done.stdout()).trim(), "300000");
        assert_eq!(fs::read(outdir.join(name)).unwrap(), done.stdout());
        assert_eq!(fs::read(errdir.join(name)).unwrap(), b"oops\n");
    }
}

/// The limit is of the host as a whole: what reaching it took is no longer there for the command.
#[test]
fn each_host_has_its_time_and_no_more() {
    let Some(sshd) = Sshd::start() else { return };
    let silent = Silent::on(IpAddr::from(Ipv4Addr::new(127, 2, 77, 2)));
    let limit = Duration::from_secs(2);
    let options = options(&sshd).timeout(Some(limit));
    let hosts = [
        (sshd.address().to_string(), sshd.port()),
        (silent.address().ip().to_string(), silent.address().port()),
    ];
    let begun = Instant::now();
    let results = parallax::run(hosts, "echo begun; sleep 1000", &options).unwrap();
    assert!(begun.elapsed() >= limit && begun.elapsed() < Duration::from_secs(30));
    for (host, result) in &results {
        match result {
            Err(Error::Ssh(sshoal::Error::TimedOut { limit: named, .. })) => {
                assert_eq!(*named, limit, "{host}");
            }
            other => panic!("{host}: {other:?}"),
        }
    }
}

#[test]
fn no_more_hosts_are_worked_on_at_once_than_the_limit() {
    let Some(sshd) = Sshd::builder().addresses(6).start() else {
        return;
    };
    let lock = sshd.scratch().join("lock");
    let one = Options::limit(options(&sshd), NonZeroUsize::MIN);
    let command = format!("mkdir {0} && rmdir {0}", lock.display());
    let hosts: Vec<String> = sshd.addresses().iter().map(ToString::to_string).collect();
    let results = parallax::call(hosts, command, &one).unwrap();
    let good = results.iter().filter(|(_, result)| result.is_ok()).count();
    assert_eq!(good, 6, "{results:?}");
}

#[test]
fn what_cannot_be_is_refused_before_any_host_is_reached() {
    let options = || Options::new().config_file("none");
    let none: [&str; 0] = [];
    let refused = parallax::call(none, "true", &options()).unwrap_err();
    assert!(matches!(refused, Refused::Pool(_)), "{refused:?}");
    let refused = parallax::call(["a b"], "true", &options()).unwrap_err();
    assert!(matches!(refused, Refused::Host(_)), "{refused:?}");
    let bad = options().ssh_options(["NoSuchOption=1"]);
    let refused = parallax::call(["a"], "true", &bad).unwrap_err();
    assert!(matches!(refused, Refused::SshConfig(_)), "{refused:?}");
    let bad = options().ssh_key("/no/such/key");
    let refused = parallax::call(["a"], "true", &bad).unwrap_err();
    assert!(matches!(refused, Refused::Access { .. }), "{refused:?}");
}

/// The example, with the variables that Parallax's README names. `cargo test` builds it; with this
/// test alone, `cargo build --examples` comes first.
#[test]
fn the_example_runs_by_parallaxs_variables() {
    let Some(sshd) = Sshd::builder().addresses(2).start() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".ssh");
    fs::create_dir(&folder).unwrap();
    let file = format!(
        "Host *\n Port {}\n IdentityFile {}\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n",
        sshd.port(),
        sshd.key_path().display(),
        sshd.known_hosts_path().display(),
    );
    fs::write(folder.join("config"), file).unwrap();
    let hosts: String = sshd
        .addresses()
        .iter()
        .map(|at| format!("{at}\n"))
        .collect();
    fs::write(home.path().join("hosts"), &hosts).unwrap();
    let profile = std::env::current_exe().unwrap();
    let example = profile
        .parent()
        .unwrap()
        .with_file_name("examples/parallax");
    assert!(example.exists(), "run `cargo build --examples` first");
    let mut program = Command::new(example);
    program
        .env("HOME", home.path())
        .env_remove("SSH_AUTH_SOCK")
        .env("PARALLAX_HOSTS", home.path().join("hosts"))
        .env("PARALLAX_USER", sshd.user())
        .env("PARALLAX_PAR", "1")
        .env("PARALLAX_OUTDIR", home.path().join("out"))
        .arg("echo hello");
    let output = Command::output(&mut program).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected: String = hosts
        .lines()
        .map(|host| format!("{host}: hello\n"))
        .collect();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said, expected);
    assert_eq!(fs::read_dir(home.path().join("out")).unwrap().count(), 2);
}
