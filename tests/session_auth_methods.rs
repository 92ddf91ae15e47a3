//! Passwords, keyboard-interactive and what servers demand together, against sshd with PAM and accounts of its own.
//!
//! Attempts are counted on the server's side. Where accounts cannot be made (not root), the same is shown against a
//! scripted server in `session/tests/authentication.rs`.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sshoal::{
    Answers, AuthError, Challenge, Config, ConfigBuilder, Error, Host, HostKeyPolicy, Kind, Method,
    Phase, Secret,
};
use support::{
    account::ACCOUNT,
    sessions::{LIMIT, assert_failed, connect_with, fails, host, host_keys, identity},
    sshd::{Sshd, SshdBuilder},
};

const PASSWORD: &str = "open sesame";

/// PAM asks for the password once, and for nothing else.
const ONE_ROUND: [&str; 3] = [
    "auth required pam_unix.so nodelay",
    "account required pam_permit.so",
    "session required pam_permit.so",
];

/// PAM asks twice, as for a password and then a code.
const TWO_ROUNDS: [&str; 4] = [
    "auth required pam_unix.so nodelay",
    "auth required pam_unix.so nodelay",
    "account required pam_permit.so",
    "session required pam_permit.so",
];

fn sshd(pam: &[&str], methods: &str) -> SshdBuilder {
    Sshd::builder()
        .account(PASSWORD, pam)
        .config("UsePAM yes")
        .config(&format!("AuthenticationMethods {methods}"))
        .config("PasswordAuthentication yes")
        .config("KbdInteractiveAuthentication yes")
}

fn bare(sshd: &Sshd) -> ConfigBuilder {
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    Config::builder(keys).user(ACCOUNT)
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

#[track_caller]
fn is_let_in(sshd: &Sshd, config: ConfigBuilder) {
    let output = connect_with(sshd, config).command("echo in").output();
    assert_eq!(output.expect("runs").stdout, b"in\n");
}

#[track_caller]
fn is_denied(sshd: &Sshd, config: ConfigBuilder) -> String {
    let config = config.build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    match error {
        Error::Auth(AuthError::Denied { methods }) => methods,
        other => panic!("{other:?}"),
    }
}

/// How often the server has judged a method, whichever way, once so many connections ended.
#[track_caller]
fn judged(sshd: &Sshd, method: &str, connections: usize) -> usize {
    sshd.wait_for_ends(connections, LIMIT);
    let log = sshd.log();
    let lines = log.lines().filter(|line| {
        ["Failed ", "Accepted ", "Partial "]
            .iter()
            .any(|word| line.starts_with(&format!("{word}{method}")))
    });
    lines.count()
}

/// Gives the same answer to every prompt, and counts the rounds.
#[derive(Debug)]
struct Always {
    answer: Option<&'static str>,
    rounds: AtomicUsize,
}

impl Always {
    fn new(answer: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            answer,
            rounds: AtomicUsize::new(0),
        })
    }

    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Answers for Always {
    fn answer(&self, _host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        let prompts = challenge.prompts().iter();
        let answers = prompts.map(|prompt| {
            assert_eq!((prompt.text(), prompt.is_echoed()), ("Password: ", false));
            self.answer.map(secret)
        });
        answers.collect()
    }
}

#[test]
fn a_password_lets_in_and_a_wrong_one_is_tried_once() {
    let Some(sshd) = sshd(&ONE_ROUND, "password").start() else {
        return;
    };
    is_let_in(&sshd, bare(&sshd).password(secret(PASSWORD)));
    assert_eq!(judged(&sshd, "password", 1), 1, "{}", sshd.log());
    let methods = is_denied(&sshd, bare(&sshd).password(secret("mellon")));
    assert_eq!(methods, "password");
    assert_eq!(judged(&sshd, "password", 2), 2, "{}", sshd.log());
}

#[test]
fn keyboard_interactive_is_answered_by_the_callback_in_every_round() {
    let Some(sshd) = sshd(&TWO_ROUNDS, "keyboard-interactive").start() else {
        return;
    };
    let answers = Always::new(Some(PASSWORD));
    is_let_in(&sshd, bare(&sshd).answers(answers.clone()));
    assert!(answers.rounds() >= 2, "{}", answers.rounds());
    let wrong = Always::new(Some("mellon"));
    is_denied(&sshd, bare(&sshd).answers(wrong.clone()));
    sshd.wait_for_ends(2, LIMIT);
    let failed = sshd.log().matches("Failed keyboard-interactive").count();
    assert_eq!(failed, 1, "{}", sshd.log());
}

#[test]
fn a_password_answers_the_one_hidden_prompt() {
    let Some(sshd) = sshd(&ONE_ROUND, "keyboard-interactive").start() else {
        return;
    };
    is_let_in(&sshd, bare(&sshd).password(secret(PASSWORD)));
    assert!(sshd.log().contains("Accepted keyboard-interactive/pam"));
}

/// The server takes either; a wrong password goes to the first of them alone.
#[test]
fn a_wrong_password_is_not_tried_by_a_second_method() {
    let Some(sshd) = sshd(&ONE_ROUND, "any").start() else {
        return;
    };
    let methods = is_denied(&sshd, bare(&sshd).password(secret("mellon")));
    assert_eq!(methods, "publickey,password,keyboard-interactive");
    let tries = judged(&sshd, "password", 1) + judged(&sshd, "keyboard-interactive", 1);
    assert_eq!(tries, 1, "{}", sshd.log());
}

/// Who does not answer is not counted as having failed, and the next method is tried.
#[test]
fn an_unanswered_challenge_gives_way_to_the_next_method() {
    let Some(sshd) = sshd(&ONE_ROUND, "any").start() else {
        return;
    };
    let answers = Always::new(None);
    let config = bare(&sshd)
        .answers(answers.clone())
        .identity(identity(&sshd.key_path()))
        .methods([Method::KeyboardInteractive, Method::PublicKey]);
    is_let_in(&sshd, config);
    assert_eq!(answers.rounds(), 1);
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    // SSH_MSG_USERAUTH_INFO_RESPONSE: nothing was answered.
    assert!(
        !sshd.log().contains("receive packet: type 61"),
        "{}",
        sshd.log()
    );
}

/// The server demands two rounds of its own: the password is given in the first, and who answers is asked in the next.
#[test]
fn the_password_goes_before_those_who_answer_and_once() {
    let Some(sshd) = sshd(&ONE_ROUND, "keyboard-interactive,keyboard-interactive").start() else {
        return;
    };
    let answers = Always::new(Some(PASSWORD));
    let config = bare(&sshd).answers(answers.clone());
    is_let_in(&sshd, config.password(secret(PASSWORD)));
    assert!(
        sshd.log().contains("Partial keyboard-interactive"),
        "{}",
        sshd.log()
    );
    let asked = answers.rounds();
    let alone = Always::new(Some(PASSWORD));
    is_let_in(&sshd, bare(&sshd).answers(alone.clone()));
    assert!(
        asked >= 1 && asked < alone.rounds(),
        "{asked} of {}",
        alone.rounds()
    );
}

#[test]
fn a_key_and_a_password_are_given_where_both_are_demanded() {
    let Some(sshd) = sshd(&ONE_ROUND, "publickey,password").start() else {
        return;
    };
    let key = identity(&sshd.key_path());
    let both = bare(&sshd).identity(key.clone()).password(secret(PASSWORD));
    is_let_in(&sshd, both);
    assert!(sshd.log().contains("Partial publickey"), "{}", sshd.log());
    // Right as it is, the key alone does not let in, and the password alone is not asked for.
    assert_eq!(
        is_denied(&sshd, bare(&sshd).identity(key.clone())),
        "password"
    );
    let tried = judged(&sshd, "password", 2);
    let alone = is_denied(&sshd, bare(&sshd).password(secret(PASSWORD)));
    assert_eq!(alone, "publickey");
    assert_eq!(judged(&sshd, "password", 3), tried, "{}", sshd.log());
    let wrong = bare(&sshd).identity(key).password(secret("mellon"));
    assert_eq!(is_denied(&sshd, wrong), "password");
    assert_eq!(judged(&sshd, "password", 4), tried + 1, "{}", sshd.log());
}

#[test]
fn a_key_and_a_code_are_given_where_both_are_demanded() {
    let Some(sshd) = sshd(&ONE_ROUND, "publickey,keyboard-interactive").start() else {
        return;
    };
    let answers = Always::new(Some(PASSWORD));
    let config = bare(&sshd).identity(identity(&sshd.key_path()));
    is_let_in(&sshd, config.answers(answers.clone()));
    assert!(answers.rounds() >= 1);
}

/// Partial success costs no failure: the strictest server lets in who makes none.
#[test]
fn demands_are_met_without_a_single_failure() {
    let methods = "publickey,password publickey,keyboard-interactive";
    let Some(sshd) = sshd(&ONE_ROUND, methods).config("MaxAuthTries 1").start() else {
        return;
    };
    let key = identity(&sshd.key_path());
    is_let_in(&sshd, bare(&sshd).identity(key).password(secret(PASSWORD)));
    assert!(!sshd.log().contains("Failed "), "{}", sshd.log());
}

#[test]
fn methods_are_tried_in_the_order_that_is_set_and_no_others() {
    let Some(sshd) = sshd(&ONE_ROUND, "any").start() else {
        return;
    };
    let both = bare(&sshd)
        .identity(identity(&sshd.key_path()))
        .password(secret(PASSWORD));
    is_let_in(
        &sshd,
        both.clone().methods([Method::Password, Method::PublicKey]),
    );
    assert_eq!(judged(&sshd, "publickey", 1), 0, "{}", sshd.log());
    let keyless = both.password(secret("mellon")).methods([Method::Password]);
    is_denied(&sshd, keyless);
    assert_eq!(judged(&sshd, "publickey", 2), 0, "{}", sshd.log());
    assert_eq!(
        judged(&sshd, "keyboard-interactive", 2),
        0,
        "{}",
        sshd.log()
    );
}
