//! Keys and values that `-O` takes, and how it refuses the others.

use super::*;

fn parse(texts: &[&str]) -> Result<SshOptions> {
    let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
    SshOptions::parse(&texts, Some(Path::new("/home/u")))
}

#[track_caller]
fn check_error(text: &str, parts: &[&str]) {
    let message = parse(&[text]).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n'), "{message:?} is more than one line");
}

#[test]
fn takes_every_supported_key_in_any_case_and_both_spellings() {
    let options = parse(&[
        "port=2222",
        "USER root",
        "IdentityFile = ~/.ssh/id_a",
        "identityfile /keys/b",
        "IdentitiesOnly=yes",
        "UserKnownHostsFile=~/a \"/with space/b\"",
        "StrictHostKeyChecking accept-new",
        "ConnectTimeout=1m30",
    ])
    .unwrap();
    assert_eq!(
        options,
        SshOptions {
            port: Some(2222),
            user: Some("root".into()),
            identity_files: Some(vec!["/home/u/.ssh/id_a".into(), "/keys/b".into()]),
            identities_only: Some(true),
            known_hosts_files: Some(vec!["/home/u/a".into(), "/with space/b".into()]),
            host_key: Some(HostKeyChoice::AcceptNew),
            connect_timeout: Some(Some(Duration::from_secs(90))),
        }
    );
}

#[test]
fn the_first_value_of_a_key_counts() {
    assert_eq!(parse(&["Port=1", "Port=2"]).unwrap().port, Some(1));
}

#[test]
fn none_means_none() {
    let options = parse(&[
        "UserKnownHostsFile=none",
        "IdentityFile=none",
        "ConnectTimeout=none",
    ])
    .unwrap();
    assert_eq!(options.known_hosts_files, Some(vec![]));
    assert_eq!(options.identity_files, Some(vec![]));
    assert_eq!(options.connect_timeout, Some(None));
}

#[test]
fn weak_checking_is_told_apart() {
    let choice = |value: &str| {
        parse(&[&format!("StrictHostKeyChecking={value}")])
            .unwrap()
            .host_key
    };
    assert_eq!(choice("yes"), Some(HostKeyChoice::Strict));
    assert_eq!(choice("no"), Some(HostKeyChoice::WeakAsAcceptNew));
    assert_eq!(choice("off"), Some(HostKeyChoice::WeakAsAcceptNew));
}

#[test]
fn refuses_by_name_and_with_a_remedy() {
    check_error(
        "ProxyCommand=nc %h",
        &["ProxyCommand", "not supported", "UserKnownHostsFile"],
    );
    check_error("Port=0", &["Port", "\"0\"", "1 to 65535"]);
    check_error("Port=70000", &["Port", "\"70000\"", "1 to 65535"]);
    check_error("Port", &["Port", "KEY=VALUE"]);
    check_error("=22", &["KEY=VALUE"]);
    check_error("StrictHostKeyChecking=ask", &["ask", "accept-new"]);
    check_error("IdentitiesOnly=perhaps", &["IdentitiesOnly", "perhaps"]);
    check_error("ConnectTimeout=-1", &["ConnectTimeout", "-1"]);
    check_error("ConnectTimeout=99999999999999999999", &["ConnectTimeout"]);
    check_error("IdentityFile=~other/x", &["~other/x"]);
    check_error("IdentityFile=%d/x", &["%d/x", "not supported"]);
    check_error("User=a b", &["User", "more than one word"]);
    check_error("UserKnownHostsFile=\"a", &["quote"]);
}
