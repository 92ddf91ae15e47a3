//! Environment variables: what the server accepts arrives, what it refuses is no failure.

mod support;

use sshoal::{ApiMisuse, Config, ConfigError, Error};
use support::{
    sessions::{config_for, connect_with},
    sshd::Sshd,
};

/// A server that accepts some names.
fn server() -> Option<Sshd> {
    Sshd::builder().config("AcceptEnv GOOD_* LANG").start()
}

#[test]
fn accepted_variables_arrive_byte_by_byte_and_others_are_left_out() {
    let Some(sshd) = server() else { return };
    let config = config_for(&sshd)
        .env("GOOD_A", "of the configuration")
        .env("GOOD_B", "overridden")
        .env("BAD_C", "refused");
    let session = connect_with(&sshd, config);
    let odd = b"a=b 'c' \"$d\"\n\xff\x80\t ".to_vec();
    let command = session
        .command("printf '%s|' \"$GOOD_A\" \"$GOOD_B\" \"$BAD_C\" \"$BAD_D\" \"$GOOD_E\"")
        .env("GOOD_B", "of the command")
        .env("BAD_D", "refused")
        .env("GOOD_E", odd.clone());
    let output = command.output().expect("runs");
    assert!(output.exit.is_success());
    let mut expected = b"of the configuration|of the command|||".to_vec();
    expected.extend(odd);
    expected.push(b'|');
    assert_eq!(output.stdout, expected);
    // The session's other commands have the configuration's alone.
    let output = session.command("echo \"$GOOD_B$GOOD_E\"").output();
    assert_eq!(output.expect("runs").stdout, b"overridden\n");
}

/// Many variables, most of them refused, one after the other, on several commands at once.
#[test]
fn refusals_do_not_mix_with_the_replies_of_other_commands() {
    let Some(sshd) = server() else { return };
    let mut config = config_for(&sshd);
    for number in 0..20 {
        let name = format!("{}_{number}", if number % 3 == 0 { "GOOD" } else { "BAD" });
        config = config.env(name, number.to_string());
    }
    let session = std::sync::Arc::new(connect_with(&sshd, config));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let session = session.clone();
            let run = move || session.command("echo $GOOD_18 $BAD_1 $GOOD_0").output();
            sshoal::spawn(run).expect("starts")
        })
        .collect();
    for thread in threads {
        let output = thread.join().expect("no panic").expect("runs");
        assert_eq!(output.stdout, b"18 0\n");
    }
}

#[test]
fn names_and_values_that_cannot_be_sent_are_refused() {
    let Some(sshd) = server() else { return };
    let session = connect_with(&sshd, config_for(&sshd));
    for (name, value, expected) in [
        ("", "x", ApiMisuse::VariableName),
        ("GOOD_A=B", "x", ApiMisuse::VariableName),
        ("GOOD_\0", "x", ApiMisuse::NulByte),
        ("GOOD_A", "x\0y", ApiMisuse::NulByte),
    ] {
        let output = session.command("true").env(name, value).output();
        match output.expect_err("is refused") {
            Error::ApiMisuse(why) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
        match Config::builder(config_keys())
            .user("me")
            .env(name, value)
            .build()
        {
            Err(ConfigError::Variable { name: told, why }) => {
                assert_eq!((told.as_str(), why), (name, expected));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        session
            .command("true")
            .output()
            .expect("runs")
            .exit
            .is_success()
    );
}

fn config_keys() -> std::sync::Arc<sshoal::HostKeys> {
    support::sessions::host_keys(sshoal::HostKeyPolicy::Strict, "")
}
