//! What is asked before and during a run: unknown host keys, passwords, one-time codes; and what happens where nobody
//! can be asked.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::Ipv4Addr;
use std::process::Command;

use support::openssh::account::ACCOUNT;
use support::openssh::sshd::{Sshd, current_user, known_hosts_line};
use support::openssh::{Home, section};
use support::screen::Screen;
use support::{detached, output, stderr, stdout};

/// A server and a home that has no key of its host yet.
fn unknown() -> Option<(Sshd, Home)> {
    let sshd = Sshd::start()?;
    let home = Home::new();
    home.write("config", &(section("web1", &sshd) + &everybody()));
    Some((sshd, home))
}

fn everybody() -> String {
    let user = current_user();
    format!("Host *\n  User {user}\n  IdentityAgent none\n  HashKnownHosts no\n")
}

/// How many connections to a server came as far as a user's name.
fn logins(sshd: &Sshd) -> usize {
    let log = sshd.log();
    log.matches("Accepted publickey").count() + log.matches("Accepted keyboard-").count()
}

#[test]
fn an_unknown_host_is_refused_by_strict_which_is_the_default() {
    let Some((sshd, home)) = unknown() else {
        return;
    };
    for more in [
        &[][..],
        &["--host-key", "strict"],
        &["-O", "StrictHostKeyChecking=yes"],
    ] {
        let run = output(home.run().args(more).args(["-H", "web1", "true"]));
        assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
        let part =
            "failed: host_key: Host key verification failed. No ssh-ed25519 host key is known";
        assert!(stderr(&run).contains(part), "{}", stderr(&run));
    }
    assert_eq!(
        (logins(&sshd), home.read("known_hosts")),
        (0, String::new())
    );
}

#[test]
fn accept_new_stores_a_key_and_no_acts_like_it_with_a_notice() {
    for said in ["accept-new", "no"] {
        let Some((sshd, home)) = unknown() else {
            return;
        };
        let option = format!("StrictHostKeyChecking={said}");
        let run = output(home.run().args(["-O", &option, "-H", "web1", "true"]));
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        assert_eq!(home.read("known_hosts"), sshd.known_hosts());
        let has_notice = stderr(&run).contains("acts as accept-new");
        assert_eq!(has_notice, said == "no", "{}", stderr(&run));
        // A changed key is refused all the same.
        let other = sshd.known_hosts().replace(&sshd.host_keys()[0], OTHER_KEY);
        home.write("known_hosts", &other);
        let run = output(home.run().args(["-O", &option, "-H", "web1", "true"]));
        assert_eq!(run.status.code(), Some(4));
        assert!(stderr(&run).contains("has changed"), "{}", stderr(&run));
    }
}

/// A key that nobody has the private half of.
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

#[test]
fn any_key_is_accepted_only_by_the_dangerous_flag() {
    let Some((_sshd, home)) = unknown() else {
        return;
    };
    let any = "--dangerous-accept-any-host-key";
    let run = output(home.run().args([any, "-H", "web1", "echo", "in"]));
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(stderr(&run).contains("DANGER"), "{}", stderr(&run));
    assert_eq!(home.read("known_hosts"), "");
}

/// Where nobody can be asked, `ask` is strict, and says so once for all hosts.
#[test]
fn ask_is_strict_without_a_terminal() {
    let Some((sshd, home)) = unknown() else {
        return;
    };
    let mut run = home.run();
    run.args(["--host-key", "ask", "-H", "web1 web1", "true"]);
    let run = output(&mut detached(&run));
    assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
    let message = stderr(&run);
    assert_eq!(
        message.matches("no terminal to ask on").count(),
        1,
        "{message}"
    );
    assert_eq!(
        message.matches("Host key verification failed").count(),
        2,
        "{message}"
    );
    assert_eq!(
        (logins(&sshd), home.read("known_hosts")),
        (0, String::new())
    );
}

/// Three servers, of which one is known and one has changed: one list, one question, and the run begins.
#[test]
fn unknown_keys_are_asked_about_once_and_stored() {
    let many = Sshd::builder()
        .first_address(Ipv4Addr::new(127, 2, 2, 1))
        .addresses(4);
    let Some(sshd) = many.start() else { return };
    let home = Home::new();
    let key = sshd.key_path();
    let hosts = format!(
        "Host 127.2.2.*\n  Port {}\n  IdentityFile {}\n",
        sshd.port(),
        key.display()
    );
    home.write(
        "config",
        &(hosts + &everybody() + "  StrictHostKeyChecking ask\n"),
    );
    let line =
        |index: usize, key: &str| known_hosts_line(sshd.addresses()[index], sshd.port(), key);
    let known = line(0, &sshd.host_keys()[0]) + &line(1, OTHER_KEY);
    home.write("known_hosts", &known);
    let list = "127.2.2.1 127.2.2.2 127.2.2.3 127.2.2.4 127.2.2.4";
    let mut screen = Screen::start(home.run().args(["-H", list, "echo", "in"]));
    screen.wait_for("127.2.2.3  ssh-ed25519  SHA256:");
    screen.wait_for("127.2.2.4  ssh-ed25519  SHA256:");
    screen.wait_for("Accept these 2 keys? (yes/no/[host]) ");
    assert_eq!(logins(&sshd), 0, "nobody is named before the question");
    screen.press("perhaps\n");
    screen.wait_for("Write yes, no, or the names");
    screen.press("yes\n");
    screen.wait_for("5 hosts in ");
    let (code, text) = screen.end();
    assert_eq!(code, Some(4), "{text}");
    assert_eq!(text.matches("has changed").count(), 1, "{text}");
    assert_eq!(logins(&sshd), 4, "{text}");
    let stored = home.read("known_hosts");
    let new = line(2, &sshd.host_keys()[0]) + &line(3, &sshd.host_keys()[0]);
    assert_eq!(stored, known + &new);
    // What is stored is not asked about again.
    let again = Screen::start(home.run().args(["-H", "127.2.2.3 127.2.2.4", "true"]));
    let (code, text) = again.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("Accept"), "{text}");
}

#[test]
fn no_runs_nothing_and_a_name_accepts_its_host_alone() {
    let many = Sshd::builder()
        .first_address(Ipv4Addr::new(127, 2, 3, 1))
        .addresses(2);
    let Some(sshd) = many.start() else { return };
    let home = Home::new();
    let key = sshd.key_path();
    let hosts = format!(
        "Host 127.2.3.*\n  Port {}\n  IdentityFile {}\n",
        sshd.port(),
        key.display()
    );
    home.write("config", &(hosts + &everybody()));
    let args = [
        "--host-key",
        "ask",
        "-H",
        "127.2.3.1 127.2.3.2",
        "echo",
        "in",
    ];
    for refusal in ["no\n", "\x04"] {
        let mut screen = Screen::start(home.run().args(args));
        screen.wait_for("Accept these 2 keys? (yes/no/[host]) ");
        screen.press(refusal);
        let (code, text) = screen.end();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("nothing was run"), "{text}");
        assert_eq!(
            (logins(&sshd), home.read("known_hosts")),
            (0, String::new())
        );
    }
    let mut screen = Screen::start(home.run().args(args));
    screen.wait_for("Accept these 2 keys? (yes/no/[host]) ");
    screen.press("127.2.3.2\n");
    let (code, text) = screen.end();
    assert_eq!(code, Some(4), "{text}");
    let line = known_hosts_line(sshd.addresses()[1], sshd.port(), &sshd.host_keys()[0]);
    assert_eq!((logins(&sshd), home.read("known_hosts")), (1, line));
}

/// The jump host's key is asked about first: what lies behind it cannot be looked at before.
#[test]
fn an_unknown_jump_host_is_asked_about_before_the_hosts_behind_it() {
    let Some((gate, home)) = unknown() else {
        return;
    };
    let inner = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 4, 1));
    let Some(inner) = inner.start() else { return };
    let config = section("gate", &gate) + &section("inner", &inner) + "  ProxyJump gate\n";
    home.write(
        "config",
        &(config + &everybody() + "  StrictHostKeyChecking ask\n"),
    );
    let mut screen = Screen::start(home.run().args(["-H", "inner", "true"]));
    screen.wait_for("gate  ssh-ed25519  SHA256:");
    screen.wait_for("Accept this key? (yes/no/[host]) ");
    screen.press("yes\n");
    screen.wait_for("inner  ssh-ed25519  SHA256:");
    screen.wait_for("Accept this key? (yes/no/[host]) ");
    screen.press("inner\n");
    let (code, text) = screen.end();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        home.read("known_hosts"),
        gate.known_hosts() + &inner.known_hosts()
    );
}

#[test]
fn batch_mode_is_never_asked() {
    let Some((sshd, home)) = unknown() else {
        return;
    };
    let args = [
        "-O",
        "BatchMode=yes",
        "--host-key",
        "ask",
        "-H",
        "web1",
        "true",
    ];
    let (code, text) = Screen::start(home.run().args(args)).end();
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("Host key verification failed"), "{text}");
    assert_eq!(logins(&sshd), 0);
    let args = ["-O", "BatchMode=yes", "-A", "-H", "web1", "true"];
    let refused = output(home.run().args(args));
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("BatchMode"),
        "{}",
        stderr(&refused)
    );
}

const PASSWORD: &str = "open sesame";

/// A server that asks so many times, and a home that knows it; `None` where accounts cannot be made.
fn with_account(times: usize) -> Option<(Sshd, Home)> {
    let pam = [
        "auth required pam_unix.so nodelay",
        "account required pam_permit.so",
        "session required pam_permit.so",
    ];
    let sshd = Sshd::builder()
        .account(PASSWORD, &pam)
        .config("UsePAM yes")
        .config(&format!(
            "AuthenticationMethods {}",
            vec!["keyboard-interactive"; times].join(",")
        ))
        .config("KbdInteractiveAuthentication yes")
        .start()?;
    let home = Home::new();
    let (address, port) = (sshd.address(), sshd.port());
    home.write(
        "config",
        &format!("Host web*\n  HostName {address}\n  Port {port}\n  User {ACCOUNT}\n  IdentityAgent none\n"),
    );
    home.write("known_hosts", &sshd.known_hosts());
    Some((sshd, home))
}

#[test]
fn a_password_file_answers_the_one_hidden_prompt() {
    let Some((_sshd, home)) = with_account(1) else {
        return;
    };
    let with = |password: &str| {
        let file = home.write("password", password);
        let mut run = home.run();
        run.arg("--password-file")
            .arg(file)
            .args(["-P", "-H", "web1", "echo", "in"]);
        output(&mut detached(&run))
    };
    let run = with("open sesame\nand nothing of this line\n");
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert_eq!(stdout(&run), "web1: in\n");
    let run = with("mellon\n");
    assert_eq!(run.status.code(), Some(4));
    let part = "failed: auth: Permission denied (keyboard-interactive).";
    assert!(stderr(&run).contains(part), "{}", stderr(&run));
}

/// The password is asked for once, and what is asked besides host by host, with the name of each.
#[test]
fn what_the_password_does_not_answer_is_asked_on_the_terminal() {
    let Some((sshd, home)) = with_account(2) else {
        return;
    };
    let args = [
        "-A",
        "--connect-timeout",
        "60",
        "-H",
        "web1 web2",
        "echo",
        "in",
    ];
    let mut screen = Screen::start(home.run().args(args));
    screen.wait_for("Password for the fleet: ");
    screen.press(&format!("{PASSWORD}\n"));
    for _ in 0..2 {
        screen.wait_for("(web");
        screen.wait_for(") Password: ");
        screen.press(&format!("{PASSWORD}\n"));
    }
    let (code, text) = screen.end();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches("Password for the fleet").count(), 1, "{text}");
    assert!(
        text.contains("(web1) ") && text.contains("(web2) "),
        "{text}"
    );
    assert!(!text.contains(PASSWORD), "{text}");
    assert_eq!(logins(&sshd), 2);
}

#[test]
fn what_the_password_does_not_answer_fails_without_a_terminal() {
    let Some((_sshd, home)) = with_account(2) else {
        return;
    };
    let file = home.write("password", PASSWORD);
    let mut run: Command = home.run();
    run.arg("--password-file")
        .arg(file)
        .args(["-H", "web1", "true"]);
    let run = output(&mut detached(&run));
    assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
    assert!(stderr(&run).contains("failed: auth: "), "{}", stderr(&run));
}
