//! The programs of `examples/`, run against OpenSSH's sshd.
//!
//! `cargo test` builds them; with this test alone, `cargo build --examples` comes first.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use support::sshd::Sshd;

/// A server of several hosts that can be told apart only by their addresses.
#[track_caller]
fn servers(count: u32) -> Option<Sshd> {
    Sshd::builder()
        .addresses(count)
        .log_level("VERBOSE")
        .start()
}

/// An ssh_config that names the server's addresses `web1`, `web2` and so on, and a host `broken`
/// where nobody listens.
fn ssh_config(sshd: &Sshd) -> PathBuf {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let nobody = free.local_addr().expect("is bound").port();
    let mut text = String::new();
    for (n, address) in (1..).zip(sshd.addresses()) {
        text += &format!("Host web{n}\n HostName {address}\n Port {}\n", sshd.port());
    }
    text += &format!("Host broken\n HostName 127.0.0.1\n Port {nobody}\n");
    let (known, key) = (sshd.known_hosts_path(), sshd.key_path());
    text += &format!(
        "Host *\n User {}\n IdentityFile {}\n IdentitiesOnly yes\n UserKnownHostsFile {}\n \
         GlobalKnownHostsFile none\n StrictHostKeyChecking yes\n",
        sshd.user(),
        key.display(),
        known.display()
    );
    let path = sshd.scratch().join("ssh_config");
    fs::write(&path, text).expect("writes the file");
    path
}

/// A file that lists all of the server's hosts.
fn hosts_file(sshd: &Sshd) -> PathBuf {
    let hosts = sshd.sockets().into_iter();
    let hosts = hosts.map(|socket| format!("{socket}\n"));
    let path = sshd.scratch().join("hosts");
    fs::write(&path, hosts.collect::<String>()).expect("writes the file");
    path
}

/// Runs an example; these arguments come as they are.
#[track_caller]
fn run(name: &str, args: &[&Path], environment: &[(&str, &Path)]) -> Output {
    let this = std::env::current_exe().expect("has a path");
    let profile = this.parent().and_then(Path::parent).expect("is in deps");
    let example = profile.join("examples").join(name);
    assert!(example.exists(), "run `cargo build --examples` first");
    let mut command = Command::new(example);
    command.args(args).envs(environment.iter().copied());
    command.output().expect("starts")
}

/// What an example that succeeds prints.
#[track_caller]
fn prints(name: &str, args: &[&Path], environment: &[(&str, &Path)]) -> String {
    let output = run(name, args, environment);
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).expect("is text")
}

/// The name of this machine, which all hosts of the server have.
fn hostname() -> String {
    let name = fs::read_to_string("/etc/hostname").expect("this machine has a name");
    name.trim().to_owned()
}

#[test]
fn fan_out_reads_a_file_of_every_host() {
    let Some(sshd) = servers(3) else { return };
    let config = ssh_config(&sshd);
    let hosts = ["web1", "web2", "web3"].map(Path::new);
    let printed = prints("rmote_fan_out", &[&[&*config], &hosts[..]].concat(), &[]);
    let name = hostname();
    assert_eq!(
        printed,
        format!("web1: {name}\nweb2: {name}\nweb3: {name}\n")
    );
    let failed = run("rmote_fan_out", &[&config, "broken".as_ref()], &[]);
    assert!(!failed.status.success(), "{failed:?}");
}

#[test]
fn many_calls_go_over_one_connection_of_each_host() {
    let Some(sshd) = servers(2) else { return };
    let config = ssh_config(&sshd);
    let args = [&*config, "web1".as_ref(), "web2".as_ref()];
    let printed = prints("rmote_many_calls", &args, &[]);
    let name = hostname();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    for (line, host) in lines.iter().zip(["web1", "web2"]) {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[..2], [host, &format!("hostname={name}")], "{line}");
        let uptime = words[2]
            .strip_prefix("uptime=")
            .and_then(|text| text.strip_suffix('s'));
        assert!(
            uptime.is_some_and(|text| text.parse::<f64>().is_ok()),
            "{line}"
        );
        let load = words[3].strip_prefix("load=");
        assert!(
            load.is_some_and(|text| text.parse::<f64>().is_ok()),
            "{line}"
        );
        assert_eq!(words[4], "kernel=Linux");
    }
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2);
}

#[test]
fn a_broken_host_is_an_error_among_results() {
    let Some(sshd) = servers(2) else { return };
    let config = ssh_config(&sshd);
    let hosts = ["web1", "broken", "web2"].map(Path::new);
    let printed = prints("rmote_isolation", &[&[&*config], &hosts[..]].concat(), &[]);
    let name = hostname();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], format!("web1: {name} Linux"));
    assert!(
        lines[1].starts_with("broken: ERROR - connect: "),
        "{printed}"
    );
    assert_eq!(lines[2], format!("web2: {name} Linux"));
}

#[test]
fn two_rounds_take_one_connection_of_each_host() {
    let Some(sshd) = servers(2) else { return };
    let config = ssh_config(&sshd);
    let logs = sshd.scratch().join("logs");
    fs::create_dir(&logs).expect("makes a directory");
    for name in ["a.log", "b.log", ".c.log", "d.log.1", "e log.log"] {
        fs::write(logs.join(name), "").expect("writes");
    }
    let args = [&*config, "web1".as_ref(), "web2".as_ref()];
    let printed = prints("rmote_rounds", &args, &[("LOGS", &logs)]);
    let name = hostname();
    assert_eq!(
        printed,
        format!("hostnames: {name} {name}\nweb1: 3 log files\nweb2: 3 log files\n")
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2);
}

#[test]
fn one_host_alone_does_everything_over_one_connection() {
    let Some(sshd) = servers(1) else { return };
    let config = ssh_config(&sshd);
    let printed = prints("one_host", &[&config, "web1".as_ref()], &[]);
    assert_eq!(
        printed,
        "run: from the host (exit 3)\n\
         get: 8 bytes\n\
         scp: remote file /by-scp.txt already exists\n\
         there: /by-scp.txt\nthere: /copy.txt\nthere: /notes.txt\n\
         shell: 2 lines\n\
         shell: exit 4\n"
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[test]
fn a_command_runs_on_one_host_and_on_all() {
    let Some(sshd) = servers(3) else { return };
    let (hosts, known, key) = (hosts_file(&sshd), sshd.known_hosts_path(), sshd.key_path());
    let one = sshd.socket().to_string();
    let command = Path::new("echo out; exit 3");
    let output = run("run_command", &[one.as_ref(), &known, &key, command], &[]);
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(3), b"out\n".as_slice())
    );
    let output = run(
        "fleet_run",
        &[&hosts, &known, &key, "echo out".as_ref()],
        &[],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text.matches(": ok\nout\n").count(), 3, "{text}");
}

#[test]
fn a_file_goes_to_all() {
    let Some(sshd) = servers(2) else { return };
    let (hosts, known, key) = (hosts_file(&sshd), sshd.known_hosts_path(), sshd.key_path());
    let (local, remote) = (sshd.scratch().join("local"), sshd.scratch().join("remote"));
    fs::write(&local, "12345").expect("writes");
    let printed = prints("fleet_put", &[&hosts, &known, &key, &local, &remote], &[]);
    assert_eq!(printed.matches(": 5 bytes\n").count(), 2, "{printed}");
    assert_eq!(fs::read(&remote).expect("reads"), b"12345");
}

#[test]
fn copies_are_watched_while_they_go_on_and_joined() {
    let Some(sshd) = servers(3) else { return };
    let (hosts, known, key) = (hosts_file(&sshd), sshd.known_hosts_path(), sshd.key_path());
    let (local, remote) = (sshd.scratch().join("local"), sshd.scratch().join("remote"));
    fs::write(&local, "12345").expect("writes");
    let args: [&Path; 5] = [&hosts, &known, &key, &local, &remote];
    let printed = prints("fleet_copies", &args, &[]);
    let (watched, logged): (Vec<_>, Vec<_>) = printed
        .lines()
        .partition(|line| line.ends_with(" bytes") && !line.starts_with('['));
    assert_eq!(watched.last(), Some(&"3/3 copies, 15 bytes"), "{printed}");
    assert_eq!(logged.len(), 3, "{printed}");
    for address in sshd.addresses() {
        let copy = format!("{}_{address}", local.display());
        assert_eq!(fs::read(&copy).expect("is there"), b"12345");
        let line = format!(
            "[{address}]\tCopied local file {copy} from remote destination {address}:{}",
            remote.display()
        );
        assert!(logged.contains(&line.as_str()), "{printed}");
    }
    fs::remove_file(&local).expect("removes");
    let failed = run("fleet_copies", &args, &[]);
    assert!(!failed.status.success(), "{failed:?}");
}
