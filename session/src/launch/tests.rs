//! Launches as the shells of this machine read them.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::error::{Kind, Phase};

/// The shells of this machine, each with what starts it.
fn shells() -> Vec<(&'static str, Vec<&'static str>)> {
    let all = [
        ("dash", vec!["dash"]),
        ("bash", vec!["bash"]),
        ("busybox sh", vec!["busybox", "sh"]),
    ];
    let there = |shell: &(&str, Vec<&str>)| Command::new(shell.1[0]).arg("--help").output().is_ok();
    all.into_iter().filter(there).collect()
}

/// What a login shell makes of a line, as sshd would start it.
fn run(shell: &[&str], line: &[u8], home: &std::path::Path) -> (Option<i32>, Vec<u8>, String) {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(shell[0])
        .env("PATH", format!("{}:{path}", home.display()))
        .args(&shell[1..])
        .arg("-c")
        .arg(OsStr::from_bytes(line))
        .env("HOME", home)
        .env("SHELL", "/bin/sh")
        .env("CDPATH", "/:/usr")
        .current_dir(home)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), output.stdout, said)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(b"'\"$\\`\n\r\t !*?[]{}()<>|&;#~=%^,a-\xff\xc3\x01".to_vec());
    prop_oneof![
        prop::collection::vec(1_u8..=255, 0..60),
        prop::collection::vec(nasty, 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Variables, a directory with an odd name, and a shell in a shell, with what stands for sudo
    /// or without: `printf %s` of them gives their bytes back, by every shell that may be the login
    /// shell and every one that may run it.
    #[test]
    fn bytes_come_through_every_shell(
        values in prop::collection::vec(value(), 1..4),
        folder in value(),
    ) {
        let home = tempfile::tempdir().unwrap();
        let sudo = home.path().join("sudo");
        std::fs::write(&sudo, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n").unwrap();
        std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut folder: Vec<u8> = folder.into_iter().filter(|byte| *byte != b'/').collect();
        folder.push(b'd');
        std::fs::create_dir(home.path().join(OsStr::from_bytes(&folder))).unwrap();
        let mut command = b"pwd; printf '%s\\n' ".to_vec();
        let mut launch = Launch::new().dir([b"~/", &folder[..]].concat());
        for (number, value) in values.iter().enumerate() {
            launch = launch.env(format!("V{number}"), value.clone());
            command.extend_from_slice(format!("\"$V{number}\" ").as_bytes());
            command.extend_from_slice(&quote(value));
            command.push(b' ');
        }
        let place = home.path().canonicalize().unwrap().join(OsStr::from_bytes(&folder));
        let mut expected = [place.into_os_string().into_vec(), b"\n".to_vec()].concat();
        for value in &values {
            expected.extend([&value[..], b"\n", value, b"\n"].concat());
        }
        for (name, login) in shells() {
            for inner in [None, Some("sh"), Some("bash"), Some("busybox sh -c"), Some("$SHELL")] {
                let launch = match inner {
                    Some("busybox sh -c") if shells().len() < 3 => continue,
                    Some(inner) => launch.clone().shell(Shell::parse(inner)),
                    None => launch.clone(),
                };
                for launch in [launch.clone(), launch.sudo(Sudo::new())] {
                    let line = launch.wrap(&command).unwrap();
                    let (_, stdout, said) = run(&login, &line, home.path());
                    prop_assert_eq!(&stdout, &expected, "{} {:?}: {}", name, inner, said);
                }
            }
        }
    }
}

#[test]
fn this_machine_has_shells_to_ask() {
    let names: Vec<_> = shells().into_iter().map(|(name, _)| name).collect();
    println!("shells: {names:?}");
    assert!(
        names.contains(&"bash") || names.contains(&"dash"),
        "{names:?}"
    );
}

#[test]
fn nothing_around_a_command_is_its_bytes() {
    let odd = b" \xff'; #\n";
    assert_eq!(Launch::new().wrap(odd).unwrap(), odd);
    assert_eq!(Launch::new().pty(Pty::default()).wrap(odd).unwrap(), odd);
}

/// The defect of parallel-ssh: its quotes end at the command's own.
#[test]
fn a_shell_gets_the_command_whole() {
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new().shell(Shell::parse("bash -c"));
    let line = launch.wrap(b"echo 'a   b'; echo \"$0\"").unwrap();
    for (name, login) in shells() {
        assert_eq!(
            run(&login, &line, home.path()).1,
            b"a   b\nbash\n",
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_set_up_runs_nothing_and_has_a_status_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    for dir in ["no/such", "/no/such", "~/no/such", "-"] {
        for shell in [None, Some(Shell::new("sh"))] {
            let mut launch = Launch::new().env("A", "b").dir(dir);
            launch.parts_mut().shell = shell;
            let line = launch.wrap(b"echo one; echo two").unwrap();
            for (name, login) in shells() {
                let (status, stdout, said) = run(&login, &line, home.path());
                assert_eq!(
                    (status, &stdout[..]),
                    (Some(125), &b""[..]),
                    "{name} {dir}: {said}"
                );
                assert!(said.contains("cd:"), "{name} {dir}: {said}");
            }
        }
    }
    // A variable of bash's own.
    let line = Launch::new().env("UID", "5").wrap(b"echo one; echo two");
    let (status, stdout, said) = run(&["bash"], &line.unwrap(), home.path());
    assert_eq!((status, &stdout[..]), (Some(125), &b""[..]), "{said}");
}

#[test]
fn a_relative_directory_is_not_looked_for_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("lib")).unwrap();
    std::fs::create_dir(home.path().join("~me")).unwrap();
    let path = home.path().canonicalize().unwrap();
    for (dir, expected) in [("lib", "/lib"), ("~me", "/~me"), ("~", ""), (".", "")] {
        let line = Launch::new().dir(dir).wrap(b"pwd -P").unwrap();
        for (name, login) in shells() {
            let (_, stdout, said) = run(&login, &line, home.path());
            let expected = format!("{}{expected}\n", path.display());
            assert_eq!(
                String::from_utf8_lossy(&stdout),
                expected,
                "{name} {dir}: {said}"
            );
        }
    }
}

#[test]
fn what_cannot_be_passed_on_is_told() {
    let secret = |text: &str| Arc::new(text.to_owned().into());
    let typed = |text: &str| Launch::new().sudo(Sudo::new().password(secret(text)));
    for (launch, part) in [
        (Launch::new().env("", "x"), "no variable's name"),
        (Launch::new().env("1A", "x"), "\"1A\""),
        (Launch::new().env("A=B", "x"), "\"A=B\""),
        (Launch::new().env("A;B", "x"), "\"A;B\""),
        (Launch::new().env("A", "x\0"), "NUL"),
        (Launch::new().dir(""), "empty"),
        (Launch::new().dir("a\0"), "NUL"),
        (Launch::new().shell(Shell::new("")), "no shell"),
        (Launch::new().shell(Shell::new("-c")), "no shell"),
        (Launch::new().sudo(Sudo::to("")), "no user for sudo"),
        (Launch::new().sudo(Sudo::to("-u")), "no user for sudo"),
        (Launch::new().sudo(Sudo::to("a b")), "no user for sudo"),
        (typed(""), "cannot be typed"),
        (typed("a\nb"), "cannot be typed"),
        (typed("a\x15b").pty(Pty::default()), "cannot be typed"),
        (Launch::new().pty(Pty::new("", 80, 24)), "no terminal"),
    ] {
        let error = launch.wrap(b"true").unwrap_err();
        assert!(error.to_string().contains(part), "{error} lacks {part}");
        assert_eq!(
            (error.phase(), error.kind()),
            (Phase::Local, Kind::Internal)
        );
    }
    assert!(typed("a\x15b").wrap(b"true").is_ok());
}

#[test]
fn no_password_is_in_the_line_or_in_the_debug_text() {
    let secret = Arc::new("canary".to_owned().into());
    let launch = Launch::new().sudo(Sudo::to("postgres").password(secret));
    let line = String::from_utf8(launch.wrap(b"id").unwrap()).unwrap();
    assert!(line.starts_with("exec sudo -S -H -p "), "{line}");
    assert!(
        !line.contains("canary") && !format!("{launch:?}").contains("canary"),
        "{line}"
    );
    // Drawn for each value, and the same for all that is made with one.
    assert_eq!(launch.clone().wrap(b"id").unwrap(), line.as_bytes());
    assert_ne!(Sudo::new().ask(), Sudo::new().ask());
}
