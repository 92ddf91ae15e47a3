//! What ssh_config says of the methods of authentication, in effect.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use sshoal::{Answers, Challenge, Host, Kind, Phase, Secret, Session};
use support::{
    sessions::assert_failed,
    ssh_config::{Client, chain, named, reaches, whereabouts},
    sshd::Sshd,
};

/// Answers everything with nothing.
struct Nothing(AtomicU32);

impl Answers for Nothing {
    fn answer(&self, _: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(
            challenge
                .prompts()
                .iter()
                .map(|_| Secret::from("x".to_owned()))
                .collect(),
        )
    }
}

#[test]
fn methods_are_those_of_the_file_in_its_order() {
    let Some(sshd) = Sshd::builder().config("PasswordAuthentication yes").start() else {
        return;
    };
    let client = Client::new();
    let tried = |text: &str| {
        let mark = sshd.log_mark();
        let text = format!("{text}\n{}", reaches(&sshd));
        let resolver = client
            .builder(&text)
            .password(Secret::from("wrong".to_owned()))
            .build();
        let config = resolver.config(&named("t")).expect("a configuration");
        let result = Session::connect(&named("t"), &config).map(drop);
        let log = sshd.log()[mark..].to_owned();
        let tried: Vec<String> = log
            .lines()
            .filter_map(|line| line.split(" method ").nth(1))
            .filter_map(|rest| rest.split(' ').next().map(str::to_owned))
            .filter(|method| method != "none")
            .collect();
        (
            result.is_ok(),
            tried.first().cloned(),
            tried.contains(&"password".to_owned()),
        )
    };
    let key = Some("publickey".to_owned());
    let password = Some("password".to_owned());
    assert_eq!(tried(""), (true, key.clone(), false));
    let both = "PreferredAuthentications gssapi-with-mic,hostbased,password,publickey";
    assert_eq!(tried(both), (true, password.clone(), true));
    assert_eq!(
        tried("PreferredAuthentications password"),
        (false, password.clone(), true)
    );
    assert_eq!(tried("PubkeyAuthentication no"), (false, password, true));
    assert_eq!(
        tried(&format!("PasswordAuthentication no\n{both}")),
        (true, key, false)
    );
}

#[test]
fn methods_that_are_not_there_are_told_by_file_and_line() {
    let client = Client::new();
    let said = client.refuses("\nPreferredAuthentications gssapi-with-mic,hostbased");
    assert!(
        said.contains(
            "config:2: PreferredAuthentications gssapi-with-mic,hostbased: libssh2 has publickey"
        ),
        "{said}"
    );
    let said = client.refuses(
        "PubkeyAuthentication no\nKbdInteractiveAuthentication no\nPasswordAuthentication no",
    );
    assert!(
        said.contains("config:3: PasswordAuthentication no: leaves no authentication method"),
        "{said}"
    );
    let said = client.refuses("PreferredAuthentications publickey\nPubkeyAuthentication no");
    assert!(
        said.contains("config:2: PubkeyAuthentication no: "),
        "{said}"
    );
}

/// Where nobody may be asked, nobody is: the method is not even begun.
#[test]
fn nobody_is_asked_in_batch_mode() {
    let builder = Sshd::builder().account(
        "right",
        &[
            "auth required pam_unix.so",
            "account required pam_permit.so",
        ],
    );
    let Some(sshd) = builder
        .config("UsePAM yes")
        .config("KbdInteractiveAuthentication yes")
        .start()
    else {
        return;
    };
    let client = Client::new();
    let ask = |text: &str| {
        let text = format!(
            "{text}\nUser {}\nIdentityFile none\n{}",
            support::account::ACCOUNT,
            whereabouts(&sshd)
        );
        let nothing = Arc::new(Nothing(AtomicU32::new(0)));
        let resolver = client.builder(&text).answers(nothing.clone()).build();
        let config = resolver.config(&named("t")).expect("a configuration");
        let error = Session::connect(&named("t"), &config).expect_err("is denied");
        assert_failed(&error, Phase::Auth, Kind::Denied);
        nothing.0.load(Ordering::Relaxed)
    };
    assert_eq!(ask(""), 1);
    assert_eq!(ask("BatchMode yes"), 0);
    assert_eq!(ask("KbdInteractiveAuthentication no"), 0);
}

/// A user's wish is told by file and line; what the system says for everybody is not.
#[test]
fn gssapi_is_refused_where_the_user_asks_for_it() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    for text in [
        "\nGSSAPIAuthentication yes",
        "Host t\n  GSSAPIAuthentication yes",
    ] {
        let said = client.refuses(text);
        assert!(
            said.contains(
                "config:2: GSSAPIAuthentication: \"yes\" is not supported: libssh2 has no GSSAPI"
            ),
            "{said}"
        );
    }
    let asked = Client::new().option("GSSAPIAuthentication=yes");
    assert!(
        asked
            .refuses("")
            .contains("command line: GSSAPIAuthentication: ")
    );
    client.write(
        "etc/ssh_config",
        "Host *\n  GSSAPIAuthentication yes\n  GSSAPIDelegateCredentials yes\n",
    );
    client.connect(&sshd, "");
    client.connect(&sshd, "GSSAPIAuthentication no");
    let taken_back = Client::new().option("GSSAPIAuthentication=no");
    taken_back.connect(&sshd, "GSSAPIAuthentication yes");
    let refused = client
        .config("GSSAPIAuthentication yes", "t")
        .expect_err("the user's goes before");
    assert!(chain(&refused).contains(".ssh/config:1: "));
}
