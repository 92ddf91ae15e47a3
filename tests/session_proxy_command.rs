//! Sessions over a command's standard input and output, against sshd.

mod support;

use std::time::Duration;

use sshoal::{Error, Exit, Kind, Phase, ProxyCommand, ProxyCommandError, Session};
use support::{
    sessions::{config_for, host, random_bytes},
    sshd::Sshd,
};

/// A command that every Debian with OpenSSH has: ssh itself, through the same sshd.
fn through_ssh(sshd: &Sshd) -> ProxyCommand {
    let socket = sshd.socket();
    ProxyCommand::new(format!(
        "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={} -i {} \
         -p {} -W '[%h]:%p' %r@{}",
        sshd.known_hosts_path().display(),
        sshd.key_path().display(),
        socket.port(),
        socket.ip(),
    ))
}

#[test]
fn every_byte_goes_through_a_command() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let config = config_for(&sshd).proxy_command(through_ssh(&sshd));
    let config = config.build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let bytes = random_bytes(3_000_000, 3);
    let output = session.command("cat").stdin(bytes.clone()).output();
    let output = output.expect("runs");
    assert_eq!(output.exit, Exit::Status(0));
    assert!(output.stdout == bytes, "bytes differ");
    session.close().expect("closes");
}

#[test]
fn a_command_that_fails_is_quoted() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let command = ProxyCommand::new("sh -c 'echo no way to %h >&2; exit 1'");
    let config = config_for(&sshd).proxy_command(command).build();
    let error = Session::connect(&host(sshd.socket()), &config.expect("builds"));
    let error = error.expect_err("fails");
    let said = format!("no way to {}", sshd.address());
    match &error {
        Error::ProxyCommand(ProxyCommandError::Ended { said: text }) => assert_eq!(*text, said),
        other => panic!("{other:?}"),
    }
    assert_eq!((error.phase(), error.kind()), (Phase::Connect, Kind::Io));
}

/// A command that hangs, and will not end when told to, is given up in time and then killed.
#[test]
fn a_command_that_hangs_is_given_up_and_killed() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let file = sshd.scratch().join("pid");
    let command = format!(
        "sh -c 'trap \"\" HUP; echo $$ > {}; while :; do sleep 1; done'",
        file.display()
    );
    for seconds in [2, 30] {
        let config = config_for(&sshd)
            .connect_timeout(Some(Duration::from_secs(seconds)))
            .proxy_command(ProxyCommand::new(command.clone()))
            .build();
        let error = Session::connect(&host(sshd.socket()), &config.expect("builds"));
        let error = error.expect_err("times out");
        assert_eq!(
            (error.phase(), error.kind()),
            (Phase::Banner, Kind::Timeout)
        );
        // On a busy machine it may have been killed before it came to that.
        if file.exists() {
            break;
        }
    }
    let pid = std::fs::read_to_string(&file).expect("it wrote its number");
    let pid: i32 = pid.trim().parse().expect("is a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("is not 0");
    let begun = std::time::Instant::now();
    while rustix::process::test_kill_process(pid).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it still runs");
        std::thread::yield_now();
    }
}

/// A host list must not be a way into the local shell.
#[test]
fn a_user_that_is_shell_code_starts_nothing() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let file = sshd.scratch().join("touched");
    let config = config_for(&sshd)
        .user(format!("$(touch {})", file.display()))
        .proxy_command(ProxyCommand::new("nc -l %r %h %p"))
        .build();
    let error = Session::connect(&host(sshd.socket()), &config.expect("builds"));
    let error = error.expect_err("is refused");
    assert!(
        matches!(
            &error,
            Error::ProxyCommand(ProxyCommandError::Unsafe { .. })
        ),
        "{error:?}"
    );
    assert!(!file.exists());
}
