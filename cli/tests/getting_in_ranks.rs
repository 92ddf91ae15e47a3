//! Which of several settings counts: the hosts file, the command line, `-O`, the environment, ssh_config, the defaults.
//! Nothing here is connected to but listeners of the tests' own that never say a word.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use support::openssh::Home;
use support::{output, stderr, stdout};

/// A home with an ssh_config.
fn home(config: &str) -> Home {
    let home = Home::new();
    home.write("config", config);
    home
}

/// What a dry run shows, with the ways.
#[track_caller]
fn shows(run: &mut Command, expected: &str) {
    let output = output(run.args(["-n", "-v", "true"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("{expected} true\n"));
}

/// What a run refuses: nothing is run, in one line.
#[track_caller]
fn refuses(run: &mut Command, parts: &[&str]) {
    let output = output(run);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(
        (message.lines().count(), stdout(&output)),
        (1, String::new()),
        "{message}"
    );
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

const CONFIG: &str = "\
Host h
  HostName real.example
  Port 5
  User file
  ProxyJump by-file
";

#[test]
fn users_and_ports_count_by_rank() {
    let home = home(CONFIG);
    let run = || {
        let mut run = home.run();
        run.args(["-H", "h", "-J", "none"]);
        run
    };
    shows(&mut run(), "file@h:5 (real.example)");
    shows(run().env("SSHOAL_USER", "env"), "env@h:5 (real.example)");
    let options = ["-O", "User=opt", "-O", "Port 6"];
    shows(
        run().env("SSHOAL_USER", "env").args(options),
        "opt@h:6 (real.example)",
    );
    shows(
        run().args(options).args(["-l", "typed"]),
        "typed@h:6 (real.example)",
    );
    let hosts = home.write("hosts", "h User=own Port=7 ProxyJump=none\n");
    let own = |spec: &str| {
        home.write("hosts", spec);
        let mut run = home.run();
        run.arg("-h")
            .arg(&hosts)
            .args(options)
            .args(["-l", "typed", "-J", "typed"]);
        run
    };
    shows(
        &mut own("h User=own Port=7 ProxyJump=none"),
        "own@h:7 (real.example)",
    );
    shows(
        &mut own("named@h:8 User=own Port=7"),
        "named@h:8 (real.example via typed)",
    );
    shows(
        &mut own("h HostName=h ProxyJump=a,b:9"),
        "typed@h:6 (via a,b:9)",
    );
}

#[test]
fn jump_hosts_and_files_count_by_rank() {
    let home = home(CONFIG);
    let run = || {
        let mut run = home.run();
        run.args(["-H", "h"]);
        run
    };
    shows(&mut run(), "file@h:5 (real.example via by-file)");
    shows(
        run().env("SSHOAL_JUMP", "by-env"),
        "file@h:5 (real.example via by-env)",
    );
    let option = ["-O", "ProxyJump=by-option"];
    shows(
        run().env("SSHOAL_JUMP", "by-env").args(option),
        "file@h:5 (real.example via by-option)",
    );
    shows(
        run().args(option).args(["-J", "typed"]),
        "file@h:5 (real.example via typed)",
    );
    let other = home.write("other", "Port 50\nUser other\n");
    shows(run().env("SSHOAL_SSH_CONFIG", &other), "other@h:50");
    shows(
        run()
            .env("SSHOAL_SSH_CONFIG", &other)
            .args(["-F", "none", "-l", "u"]),
        "u@h:22",
    );
}

#[test]
fn commands_of_match_run_only_where_they_may() {
    let home = home("Match exec \"true\"\n  Port 7\nHost *\n  User u\n");
    refuses(
        home.run().args(["-n", "-H", "h", "true"]),
        &["config:1", "Match", "\"true\""],
    );
    shows(home.run().args(["-H", "h", "--match-exec"]), "u@h:7");
    shows(
        home.run().args(["-H", "h"]).env("SSHOAL_MATCH_EXEC", "1"),
        "u@h:7",
    );
}

#[test]
fn an_agent_is_left_alone_by_rank() {
    let home = home("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let run = || {
        let mut run = home.run();
        run.env("SSH_AUTH_SOCK", "/no/such/agent")
            .args(["-H", &host]);
        run
    };
    let reached = |run: &mut Command| output(run.arg("true")).status.code();
    assert_eq!(reached(&mut run()), Some(4));
    let nothing = ["nothing to log in with"];
    refuses(run().args(["--no-agent", "true"]), &nothing);
    refuses(run().env("SSHOAL_NO_AGENT", "1").arg("true"), &nothing);
    let option = ["-O", "IdentityAgent=SSH_AUTH_SOCK"];
    assert_eq!(
        reached(run().env("SSHOAL_NO_AGENT", "1").args(option)),
        Some(4)
    );
    refuses(run().args(["--no-agent", "true"]).args(option), &nothing);
}

/// A key of the command line and one of `-O` add up; what the command line names has to be there.
#[test]
fn identities_add_up_and_have_to_be_there_where_they_are_named() {
    let home = home("IdentityFile /no/such/key/of/ssh_config\nIdentityAgent none\n");
    let run = || {
        let mut run = home.run();
        run.args(["-H", "h"]);
        run
    };
    refuses(run().arg("true"), &["nothing to log in with"]);
    let named = "IdentityFile=/no/such/key";
    refuses(
        run().args(["-O", named, "true"]),
        &["command line", "/no/such/key", "No such file"],
    );
    let hosts = home.write("hosts", "# fine\nh IdentityFile=/no/such/key\n");
    let place = format!("{}:2", hosts.display());
    refuses(
        home.run().arg("-h").arg(&hosts).arg("true"),
        &[&place, "/no/such/key", "No such file"],
    );
}

/// A host that takes connections and says nothing: how long it is waited for tells whose limit counts.
#[test]
fn connect_timeouts_count_by_rank() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let home = home("ConnectTimeout 90\nIdentityAgent none\n");
    let password = home.write("password", "secret\n");
    let check = |run: &mut Command| {
        let begun = Instant::now();
        let output = output(
            run.args(["-H", &host, "--password-file"])
                .arg(&password)
                .arg("true"),
        );
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{}",
            stderr(&output)
        );
        let part = "Connection timed out during banner exchange";
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(4));
    };
    check(home.run().env("SSHOAL_CONNECT_TIMEOUT", "1"));
    check(
        home.run()
            .env("SSHOAL_CONNECT_TIMEOUT", "90")
            .args(["-O", "ConnectTimeout=1"]),
    );
    check(
        home.run()
            .args(["-O", "ConnectTimeout=90", "--connect-timeout", "1"]),
    );
}

#[test]
fn faults_of_ssh_config_are_named_by_file_and_line() {
    let check = |config: &str, parts: &[&str]| {
        let home = home(config);
        refuses(home.run().args(["-H", "h", "true"]), parts);
    };
    check("# fine\n\nPort many\n", &["config:3: Port", "\"many\""]);
    check(
        "Host other\n  Prot 22\n",
        &["config:2: prot", "unknown option"],
    );
    check("Host h\n  ProxyJump a@b@@:0\n", &["config:2: ProxyJump"]);
    check(
        "User h\nHost h\n  ProxyCommand nc %z\n",
        &["config:3: ProxyCommand", "%z"],
    );
    let home = home("");
    refuses(
        home.run()
            .args(["-F", "/no/such/config", "-H", "h", "true"]),
        &["/no/such/config"],
    );
}

#[test]
fn faults_of_a_hosts_files_options_are_named_by_file_and_line() {
    let check = |line: &str, parts: &[&str]| {
        let home = home("");
        let hosts = home.write("hosts", &format!("# fine\nweb1 Port=22\n{line}\n"));
        let place = format!("{}:3", hosts.display());
        for more in [&[][..], &["-n"]] {
            let mut run = home.run();
            let run = run
                .arg("-h")
                .arg(&hosts)
                .args(more)
                .args(["-O", "IdentityAgent=/x", "true"]);
            refuses(run, &[&[place.as_str()], parts].concat());
        }
    };
    check("web2 Prot=22", &["prot", "unknown option"]);
    check("web2 Port=0", &["Port", "\"0\"", "1 to 65535"]);
    check("web2 Port=", &["Port", "no value"]);
    check("web2 Compression=perhaps", &["Compression", "perhaps"]);
    check("web2 Host=web3", &["host", "hosts file"]);
    check("web2 IdentityFile=\"~/my key", &["quote"]);
    check("web2 bob Port=1 more", &["\"more\"", "KEY=VALUE"]);
    check("web2 User=a;b", &["User", "';'"]);
    check("web2 ProxyCommand='nc %z'", &["ProxyCommand", "%z"]);
}

/// Weak algorithms are for the hosts that are named, and names are held against the host list's.
#[test]
fn bad_names_of_legacy_hosts_are_refused() {
    let home = home("");
    refuses(
        home.run().args(["-H", "h", "--legacy", "a;b", "true"]),
        &["--legacy", "a;b"],
    );
}
