//! How a command is launched: variables, directory, shell, terminal, sudo and input, with real OpenSSH servers.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use support::openssh::account::ACCOUNT;
use support::openssh::sshd::{Sshd, current_user};
use support::openssh::{Home, section};
use support::screen::Screen;
use support::{detached, output, stderr, stdout};

/// One server under several names, and a home that knows it.
fn home(sshd: &Sshd, hosts: &[&str], user: &str) -> Home {
    let home = Home::new();
    let mut config: String = hosts.iter().map(|host| section(host, sshd)).collect();
    config.push_str(&format!("Host *\n  User {user}\n  IdentityAgent none\n"));
    home.write("config", &config);
    home.write("known_hosts", &sshd.known_hosts());
    home
}

fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

#[track_caller]
fn prints(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let text = stdout(output);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.join("\n"), expected, "{}", stderr(output));
}

#[test]
fn variables_directory_and_shell_come_from_flags_and_the_environment() {
    let Some(sshd) = quiet() else { return };
    let home = home(&sshd, &["one", "two"], &current_user());
    let mut program = home.run();
    program.args([
        "-P",
        "-H",
        "one two",
        "--env",
        "A=it's \"$HOME\" \\",
        "--env",
        "B=",
    ]);
    program.args([
        "--cd",
        "/usr/lib",
        "--shell",
        "bash",
        "echo \"$A|$B|$PWD|$0\" 'a   b'",
    ]);
    let line = "it's \"$HOME\" \\||/usr/lib|bash a   b";
    prints(&output(&mut program), &format!("one: {line}\ntwo: {line}"));
    let mut program = home.run();
    program
        .env("SSHOAL_ENV", "A=x")
        .env("SSHOAL_CD", "/usr")
        .env("SSHOAL_SHELL", "sh -e -c");
    program.args(["-P", "-H", "one", "echo $A $PWD; false; echo never"]);
    let failed = output(&mut program);
    assert_eq!(
        (failed.status.code(), stdout(&failed).as_str()),
        (Some(5), "one: x /usr\n")
    );
    let mut program = home.run();
    let lost = output(program.args(["-P", "-H", "one", "--cd", "/no/such", "echo one; echo two"]));
    assert_eq!(
        (lost.status.code(), stdout(&lost).as_str()),
        (Some(5), ""),
        "{}",
        stderr(&lost)
    );
    assert!(stderr(&lost).contains("exit 125"), "{}", stderr(&lost));
}

/// Runs with something on its standard input.
fn with_input(program: &mut Command, input: &[u8]) -> Output {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that reads none of it may have ended.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn input_goes_to_all_hosts_whole() {
    let Some(sshd) = quiet() else { return };
    let home = home(&sshd, &["one", "two", "three"], &current_user());
    let input: Vec<u8> = (0..600_000_u32)
        .flat_map(|n| (n % 1000).to_le_bytes())
        .collect();
    let file = home.write("input", "");
    std::fs::write(&file, &input).unwrap();
    let path = file.to_str().unwrap();
    let expected = "one: 2400000\nthree: 2400000\ntwo: 2400000";
    for flags in [&["-I"][..], &["--stdin", "-"], &["--stdin", path]] {
        let mut program = home.run();
        program.args(["-P", "-p", "2", "-H", "one two three"]);
        program.args(flags).args(["wc", "-c"]);
        prints(&with_input(&mut program, &input), expected);
    }
    // Without a flag it is nobody's, and the hosts' command reads none.
    let mut program = home.run();
    program.args(["-P", "-H", "one", "wc -c"]);
    prints(&with_input(&mut program, b"not for them"), "one: 0");
    // The hosts from there, the input from a file.
    let mut program = home.run();
    program.args(["-P", "-h", "-", "--stdin", path, "wc -c"]);
    prints(&with_input(&mut program, b"one\n"), "one: 2400000");
}

#[test]
fn a_terminal_is_like_the_users_own() {
    let Some(sshd) = quiet() else { return };
    let home = home(&sshd, &["one"], &current_user());
    let command = "test -t 0 && test -t 2 && stty size && echo $TERM >&2";
    let mut program = home.run();
    program
        .env("TERM", "screen")
        .args(["-P", "--tty", "-H", "one", command]);
    prints(&output(&mut detached(&program)), "one: 24 80\none: screen");
    let mut program = home.run();
    program.args(["-P", "-H", "one", "--tty", "stty size"]);
    let mut sized = Command::new("sh");
    sized
        .arg("-c")
        .arg("stty rows 33 columns 111; exec \"$@\"")
        .arg("sh");
    sized.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => sized.env(name, value),
            None => sized.env_remove(name),
        };
    }
    let (code, text) = Screen::start(&sized).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("33 111"), "{text}");
}

#[test]
fn sudo_changes_the_user() {
    if current_user() != "root" {
        return;
    }
    let Some(sshd) = quiet() else { return };
    let home = home(&sshd, &["one"], "root");
    let mut program = home.run();
    prints(
        &output(program.args(["-P", "-H", "one", "--sudo=nobody", "id -un"])),
        "one: nobody",
    );
    let mut program = home.run();
    prints(
        &output(program.args(["-P", "-H", "one", "--sudo", "id -un"])),
        "one: root",
    );
    let mut program = home.run();
    let failed = output(program.args(["-H", "one", "--sudo=no-such-user", "echo ran"]));
    assert_eq!(failed.status.code(), Some(4));
    let text = stderr(&failed);
    assert!(
        text.contains("open") && text.contains("unknown user"),
        "{text}"
    );
}

/// Asked for once on the terminal, typed where sudo asks, and shown nowhere.
#[test]
fn the_password_for_sudo_is_asked_for_once() {
    const PASSWORD: &str = "canary sesame";
    let rules = [
        "Defaults timestamp_timeout=0, lecture=never, !syslog",
        "ALL ALL=(ALL:ALL) ALL",
    ];
    let server = Sshd::builder().sudoer(PASSWORD, &rules).log_level("INFO");
    let server = server
        .config("UsePAM yes")
        .config("PasswordAuthentication yes");
    let Some(sshd) = server.start() else { return };
    let home = home(&sshd, &["one", "two"], ACCOUNT);
    let file = home.write("password", PASSWORD);
    let run = |typed: &str, words: &[&str]| {
        let mut program = home.run();
        program.env("NO_COLOR", "1").args([
            "-P",
            "-H",
            "one two",
            "--password-file",
            file.to_str().unwrap(),
        ]);
        program.args(["--sudo", "--ask-sudo"]).args(words);
        let mut screen = Screen::start(&program);
        screen.wait_for("Password for sudo: ");
        screen.press(&format!("{typed}\n"));
        let (code, text) = screen.end();
        assert_eq!(text.matches("Password for sudo").count(), 1, "{text}");
        assert!(!text.contains(typed) && !text.contains("sshoal%"), "{text}");
        (code, text)
    };
    let (code, text) = run(PASSWORD, &["id", "-un"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("one: root") && text.contains("two: root"),
        "{text}"
    );
    let (code, text) = run("mellon mellon", &["echo", "ran"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("the password for root was refused"), "{text}");
    // Without --ask-sudo nobody is asked, here or there.
    let mut program = home.run();
    program.args([
        "-H",
        "one",
        "--password-file",
        file.to_str().unwrap(),
        "--sudo",
        "id",
    ]);
    let refused = output(&mut program);
    assert_eq!(refused.status.code(), Some(4));
    assert!(
        stderr(&refused).contains("password is required"),
        "{}",
        stderr(&refused)
    );
}
