//! Commands by `sudo`: the real one, with a user of its own and PAM, and a made-up one that does what the real one does
//! not do on demand.
//!
//! The real one asks for passwords only where the tests may make an account: they are skipped elsewhere, with a message.

mod support;

use std::{ops::ControlFlow, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use sshoal::{
    Config, EndedBy, Ending, Error, Exit, HostKeyPolicy, Kind, Launch, Output, Phase, Pty, Secret,
    Session, Shell, Sudo, SudoError,
};
use support::{
    account::ACCOUNT,
    sessions::{
        assert_failed, config_for, connect_with, host_keys, limit, random_bytes, within_ms,
    },
    sleepers::{mark, sleeping},
    sshd::{Sshd, current_user},
};

const PASSWORD: &str = "it's $5 \\ \"open\"  sesame";
const ALL: &str = "ALL ALL=(ALL:ALL) ALL";
/// Each call is a first one, and nothing is written where the machine's own sudo would look.
const DEFAULTS: &str = "Defaults timestamp_timeout=0, lecture=never, !use_pty, !syslog";

fn secret(text: &str) -> Arc<Secret> {
    Arc::new(text.to_owned().into())
}

/// A session of a user who may do what `rules` say.
#[track_caller]
fn sudoer(rules: &[&str]) -> Option<(Sshd, Session)> {
    let rules = [&[DEFAULTS], rules].concat();
    let sshd = Sshd::builder()
        .sudoer(PASSWORD, &rules)
        .log_level("INFO")
        .config("UsePAM yes")
        .config("PasswordAuthentication yes")
        .start()?;
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    let password = PASSWORD.to_owned().into();
    let config = Config::builder(keys)
        .user(ACCOUNT)
        .password(password)
        .keepalive(None);
    let session = connect_with(&sshd, config);
    Some((sshd, session))
}

#[track_caller]
fn run(session: &Session, sudo: Sudo, command: &str) -> Result<Output, Error> {
    let launch = Launch::new().sudo(sudo);
    session
        .command(command)
        .launch(&launch)
        .scope(&limit())
        .output()
}

/// Checks that sudo did not begin the command, and that the session is as good as before.
#[track_caller]
fn is_refused(session: &Session, launch: &Launch, parts: &[&str]) {
    let command = session.command("echo ran").launch(launch).scope(&limit());
    let error = command.output().expect_err("sudo refuses");
    assert_failed(&error, Phase::Open, Kind::Denied);
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
    assert!(
        text.contains("sudo") && !text.contains("sshoal%"),
        "{text:?}"
    );
    assert!(
        session
            .command("true")
            .output()
            .expect("runs")
            .exit
            .is_success()
    );
}

#[test]
fn a_password_is_typed_where_sudo_asks_and_input_comes_after() {
    let Some((_sshd, session)) = sudoer(&[ALL]) else {
        return;
    };
    let sudo = Sudo::new().password(secret(PASSWORD));
    let output = run(&session, sudo.clone(), "id -un; printf err >&2; exit 3").expect("runs");
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"root\n"[..], &b"err"[..])
    );
    assert_eq!(output.exit, Exit::Status(3));
    let bytes = random_bytes(300_000, 11);
    let launch = Launch::new().sudo(sudo);
    let command = session
        .command("cat")
        .launch(&launch)
        .stdin(bytes.clone())
        .scope(&limit());
    assert!(command.output().expect("runs").stdout == bytes);
    // Without any, its end is there at once.
    let child = session
        .command("cat; echo end")
        .launch(&launch)
        .no_stdin()
        .scope(&limit())
        .spawn();
    let child = child.expect("starts");
    let mut buffer = [0; 64];
    assert_eq!(child.read_stdout(&mut buffer, &limit()).expect("reads"), 4);
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
}

#[test]
fn input_is_the_commands_from_the_first_byte_where_nobody_asks() {
    let Some((_sshd, session)) = sudoer(&["ALL ALL=(ALL:ALL) NOPASSWD: ALL"]) else {
        return;
    };
    let bytes = random_bytes(300_000, 12);
    for sudo in [Sudo::new(), Sudo::new().password(secret(PASSWORD))] {
        let launch = Launch::new().sudo(sudo);
        let command = session
            .command("cat")
            .launch(&launch)
            .stdin(bytes.clone())
            .scope(&limit());
        let output = command.output().expect("runs");
        assert!(output.stdout == bytes);
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn a_wrong_password_is_told_and_costs_no_session() {
    let Some((_sshd, session)) = sudoer(&[ALL]) else {
        return;
    };
    let wrong = Sudo::to("root").password(secret("mellon"));
    let error = run(&session, wrong.clone(), "echo ran").expect_err("is refused");
    assert!(
        matches!(&error, Error::Sudo(SudoError::WrongPassword { user }) if user == "root"),
        "{error:?}"
    );
    is_refused(
        &session,
        &Launch::new().sudo(wrong.clone()),
        &["password for root"],
    );
    is_refused(
        &session,
        &Launch::new().sudo(wrong).pty(Pty::default()),
        &["password for root"],
    );
    let right = Sudo::new().password(secret(PASSWORD));
    assert_eq!(run(&session, right, "id -u").expect("runs").stdout, b"0\n");
}

#[test]
fn what_sudo_says_is_the_error() {
    let rules = ["Defaults passwd_tries=1", "root ALL=(ALL:ALL) ALL"];
    let Some((_sshd, session)) = sudoer(&rules) else {
        return;
    };
    let sudo = |user: &str| Launch::new().sudo(Sudo::to(user).password(secret(PASSWORD)));
    is_refused(&session, &sudo("root"), &["not in the sudoers file"]);
    is_refused(
        &session,
        &sudo("no-such-user"),
        &["unknown user", "no-such-user"],
    );
    let once = Launch::new().sudo(Sudo::new().password(secret("mellon")));
    is_refused(&session, &once, &["incorrect password"]);
    is_refused(
        &session,
        &Launch::new().sudo(Sudo::new()),
        &["password is required"],
    );
}

#[test]
fn a_terminal_serves_where_sudo_requires_one() {
    for own in ["Defaults requiretty", "Defaults requiretty, use_pty"] {
        let Some((_sshd, session)) = sudoer(&[own, ALL]) else {
            return;
        };
        let launch = Launch::new().sudo(Sudo::new().password(secret(PASSWORD)));
        is_refused(&session, &launch, &["must have a tty"]);
        let launch = launch.pty(Pty::default());
        let command = session
            .command("id -un; read line; echo \"got $line\"")
            .launch(&launch);
        let output = command
            .stdin("input\n")
            .scope(&limit())
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The terminal shows what is typed: the input, and nothing of the password.
        assert!(
            text.starts_with("root\r\n") || text.starts_with("input\r\nroot\r\n"),
            "{text:?}"
        );
        assert!(text.ends_with("got input\r\n"), "{text:?}");
        assert!(
            !text.contains("sesame") && !text.contains("sshoal%"),
            "{text:?}"
        );
    }
}

#[test]
fn variables_directory_and_shell_are_the_other_users() {
    let Some((_sshd, session)) = sudoer(&[ALL]) else {
        return;
    };
    let value: Vec<u8> = (1..=255).collect();
    let launch = Launch::new()
        .sudo(Sudo::to("nobody").password(secret(PASSWORD)))
        .env("ODD", value.clone())
        .dir("/usr/lib")
        .shell(Shell::parse("bash -c"));
    let command = "printf '%s|' \"$ODD\" \"$(pwd)\" \"$(id -un)\" \"$0\" 'it'\\''s'";
    let output = session
        .command(command)
        .launch(&launch)
        .output()
        .expect("runs");
    let expected = [&value[..], b"/usr/lib", b"nobody", b"bash", b"it's", b""].join(&b'|');
    assert!(output.stdout == expected, "{output:?}");
    // The home is root's, not that of the user who logged in.
    let launch = Launch::new()
        .sudo(Sudo::new().password(secret(PASSWORD)))
        .dir("~");
    let output = session
        .command("pwd")
        .launch(&launch)
        .output()
        .expect("runs");
    assert_eq!(output.stdout, b"/root\n");
    let output = session
        .command("pwd")
        .launch(&launch.dir("~/no such"))
        .output()
        .expect("runs");
    assert_eq!(
        (output.exit, &output.stdout[..]),
        (Exit::Status(125), &b""[..])
    );
}

/// Every argument and environment on the machine, while the command runs, and all that was sent.
#[test]
fn the_password_is_in_no_argument_environment_or_output() {
    let Some((_sshd, session)) = sudoer(&["Defaults lecture=always", ALL]) else {
        return;
    };
    let launch = Launch::new().sudo(Sudo::new().password(secret(PASSWORD)));
    let command = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true";
    let output = session
        .command(command)
        .launch(&launch)
        .scope(&limit())
        .output()
        .expect("runs");
    let holds = |bytes: &[u8]| bytes.windows(6).any(|part| part == b"sesame");
    assert!(output.stdout.windows(4).any(|part| part == b"sudo"));
    assert!(!holds(&output.stdout) && !holds(&output.stderr));
    let line = launch.wrap(command.as_bytes()).expect("can be launched");
    assert!(!holds(&line) && !holds(format!("{launch:?}").as_bytes()));
    // The lecture came before the command, and is kept.
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("lecture"),
        "{output:?}"
    );
}

/// Root needs no password of sudo's anywhere.
#[test]
fn root_runs_commands_as_others_without_a_password() {
    if current_user() != "root" {
        return;
    }
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect_with(&sshd, config_for(&sshd));
    let output = run(&session, Sudo::to("nobody"), "id -un; cat").expect("runs");
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"nobody\n"[..], &b""[..])
    );
    let numbered = run(&session, Sudo::to("#65534"), "id -u").expect("runs");
    assert_eq!(numbered.stdout, b"65534\n");
}

/// A server whose `sudo` is this script, and the script's directory; in it `$ask` is the prompt, and the rest the
/// command.
#[track_caller]
fn made_up(script: &str) -> Option<(Sshd, Session, tempfile::TempDir)> {
    let dir = tempfile::tempdir().expect("makes a directory");
    let path = dir.path().join("sudo");
    let head = "#!/bin/sh\nask=; while [ \"$1\" != -- ]; do\n\
                [ \"$1\" = -p ] && ask=$(printf '%s' \"$2\" | sed 's/%%/%/g'); shift; done; shift\n";
    std::fs::write(&path, format!("{head}{script}\n")).expect("writes sudo");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("may be run");
    let set = format!("SetEnv SHLVL=5 PATH={}:/usr/bin:/bin", dir.path().display());
    let sshd = Sshd::builder().log_level("INFO").config(&set).start()?;
    let session = connect_with(&sshd, config_for(&sshd));
    Some((sshd, session, dir))
}

/// Keeps what it is given beyond an end of input.
const KEEP: &str = "IFS= read -r word; [ -z \"$word\" ] || : >\"${0%/*}/given\"";

/// Takes the password like sudo does, a byte at a time.
const CHECK: &str = "IFS= read -r word; [ \"$word\" = 'open sesame' ] || { echo no >&2; exit 1; }";

#[test]
fn a_prompt_in_pieces_is_found_and_removed() {
    let script = format!(
        "echo out; printf 'lecture\\nsshoal%%ask%%' >&2; i=1\n\
         while [ $i -le ${{#ask}} ]; do printf %s \"$ask\" | cut -c$i | tr -d '\\n' >&2; i=$((i + 1)); done\n\
         {CHECK}; printf after >&2; exec \"$@\""
    );
    let Some((_sshd, session, _dir)) = made_up(&script) else {
        return;
    };
    let sudo = Sudo::new().password(secret("open sesame"));
    let launch = Launch::new().sudo(sudo);
    let command = session
        .command("cat; echo err >&2")
        .launch(&launch)
        .stdin("input");
    let output = command.scope(&limit()).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\ninput");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "lecture\nsshoal%ask%aftererr\n"
    );
}

#[test]
fn the_password_is_given_to_no_other_prompt() {
    let script = format!("printf 'Password: ' >&2; {KEEP}; : >\"${{0%/*}}/over\"");
    let Some((sshd, session, dir)) = made_up(&script) else {
        return;
    };
    let launch = Launch::new().sudo(Sudo::new().password(secret("open sesame")));
    let command = session
        .command("true")
        .launch(&launch)
        .scope(&within_ms(3_000));
    let error = command.output().expect_err("nobody answers");
    assert_failed(&error, Phase::Open, Kind::Timeout);
    // It reads the end of its input, and nothing before.
    let over = format!("until [ -e {0}/over ]; do :; done", dir.path().display());
    let waited = session
        .command(over)
        .scope(&limit())
        .output()
        .expect("runs");
    assert!(waited.exit.is_success());
    assert!(!dir.path().join("given").exists());
    drop((sshd, session));
    // Nor is it given to a command that repeats the prompt once it has begun.
    let script = "printf '%s' \"$ask\" >\"${0%/*}/ask\"; exec \"$@\"";
    let Some((_sshd, session, dir)) = made_up(script) else {
        return;
    };
    let command = format!("cat {}/ask >&2; cat", dir.path().display());
    let command = session.command(command).launch(&launch).stdin("in");
    let output = command.scope(&limit()).output().expect("runs");
    assert_eq!(output.stdout, b"in");
    assert!(output.stderr.starts_with(b"sshoal%ask%"), "{output:?}");
}

/// Goal: what runs as root is ended for a user who may not signal root. Method: real sudo, with and without a
/// password and with a process between; commands that end, and ones that take no notice.
#[test]
fn a_command_of_another_user_is_ended_by_sudo() {
    for (rules, password) in [
        (vec![ALL], true),
        (vec!["ALL ALL=(ALL:ALL) NOPASSWD: ALL"], false),
        (vec!["Defaults use_pty", ALL], true),
    ] {
        let Some((_sshd, session)) = sudoer(&rules) else {
            return;
        };
        for (user, trap, by) in [
            ("root", "", EndedBy::Term),
            ("root", "trap '' TERM; ", EndedBy::Kill),
            ("nobody", "trap '' TERM; ", EndedBy::Kill),
        ] {
            let sudo = match password {
                true => Sudo::to(user).password(secret(PASSWORD)),
                false => Sudo::to(user),
            };
            let (mark, launch) = (mark(), Launch::new().sudo(sudo));
            let command = format!("{trap}sleep {mark} & echo ready; sleep {mark}");
            let command = session.command(command).launch(&launch).scope(&limit());
            let child = command.spawn().expect("starts");
            let mut buffer = [0; 16];
            let read = child.read_stdout(&mut buffer, &limit()).expect("prints");
            assert_eq!(&buffer[..read], b"ready\n");
            let grace = match by {
                EndedBy::Kill => Duration::from_millis(300),
                _ => Duration::from_secs(20),
            };
            let ending = child.end(grace, &limit(), &mut |_, _| ControlFlow::Continue(()));
            let context = format!("{rules:?} {user} {trap}");
            assert_eq!(ending, Ending::Ended { by }, "{context}");
            assert_eq!(sleeping(&mark), 0, "{context}");
        }
    }
}

#[test]
fn it_is_given_once() {
    let script = format!(
        "printf %s \"$ask\" >&2; IFS= read -r word; printf %s \"$ask\" >&2; {KEEP}; : >\"${{0%/*}}/over\""
    );
    let Some((_sshd, session, dir)) = made_up(&script) else {
        return;
    };
    let launch = Launch::new().sudo(Sudo::new().password(secret("open sesame")));
    is_refused(&session, &launch, &["password for root"]);
    let over = format!("until [ -e {0}/over ]; do :; done", dir.path().display());
    assert!(
        session
            .command(over)
            .scope(&limit())
            .output()
            .expect("runs")
            .exit
            .is_success()
    );
    assert!(!dir.path().join("given").exists());
}

#[test]
fn a_missing_sudo_and_a_silent_one_are_told() {
    let set = "SetEnv SHLVL=5 PATH=/no/such";
    let Some(sshd) = Sshd::builder().log_level("INFO").config(set).start() else {
        return;
    };
    let session = connect_with(&sshd, config_for(&sshd));
    let launch = Launch::new().sudo(Sudo::new());
    let error = session
        .command("true")
        .launch(&launch)
        .output()
        .expect_err("is not there");
    assert_failed(&error, Phase::Open, Kind::Denied);
    assert!(error.to_string().contains("not found"), "{error}");
    let Some((_sshd, session, _dir)) = made_up("exit 1") else {
        return;
    };
    is_refused(&session, &launch, &["it said nothing"]);
    let Some((_sshd, session, _dir)) = made_up("exec yes >&2") else {
        return;
    };
    let error = session
        .command("true")
        .launch(&launch)
        .scope(&limit())
        .output();
    assert_failed(&error.expect_err("is too much"), Phase::Open, Kind::Limit);
}
