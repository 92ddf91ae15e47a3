//! Configurations of hosts with options of their own, as lines of a hosts file have them.

use std::sync::Arc;

use sshoal_session::ssh_config::{Local, SshConfig};
use sshoal_session::{
    Config, HostKeyPolicy, HostLine, Resolver, ResolverBuilder, parse_host_lines,
};

const FILE: &str = "\
Host gate
  Port 22
  ProxyJump none
Host *
  Port 2200
  User file
  ProxyJump gate
  StrictHostKeyChecking ask
  UserKnownHostsFile none
  GlobalKnownHostsFile none
";

fn resolver(options: &[&str]) -> ResolverBuilder {
    let mut config = SshConfig::builder(Local::default().with_user("me", 1000)).text(FILE);
    for option in options {
        config = config.option(*option);
    }
    Resolver::builder(config.load().expect("reads"))
}

fn lines(text: &str) -> Vec<HostLine> {
    parse_host_lines(text, "hosts").expect("reads")
}

fn configs(resolver: &Resolver, text: &str) -> Vec<Arc<Config>> {
    let config = |line: &HostLine| resolver.config_with(&line.host, &line.options);
    lines(text)
        .iter()
        .map(|line| config(line).expect("makes"))
        .collect()
}

#[test]
fn options_of_a_line_come_before_all_others_for_its_host_alone() {
    let resolver = resolver(&["User=typed", "ConnectTimeout=7"]).build();
    let text = "a Port=1 User=own ConnectTimeout=none ProxyJump=none\nb\n";
    let [own, other] = configs(&resolver, text).try_into().expect("two");
    assert_eq!(
        (own.user(), own.port(), own.connect_timeout()),
        ("own", 1, None)
    );
    assert!(own.jump_host().is_none());
    assert_eq!((other.user(), other.port()), ("typed", 2200));
    assert_eq!(
        other.connect_timeout().map(|limit| limit.as_secs()),
        Some(7)
    );
    // The jump host has neither the host's options nor those of the command line.
    let gate = other.jump_host().expect("is on the way");
    assert_eq!((gate.config().user(), gate.config().port()), ("file", 22));
}

/// Where an option stands makes no other configuration, nor does how a name is written.
#[test]
fn hosts_with_equal_options_share_a_configuration() {
    let resolver = resolver(&["ProxyJump=none"]).build();
    let text = "a Port=1\nb Port=1 # same\nC port=\"1\"\nd Port=2\na Port=1 User=x\n";
    let made = configs(&resolver, text);
    assert!(Arc::ptr_eq(&made[0], &made[1]) && Arc::ptr_eq(&made[0], &made[2]));
    assert!(!Arc::ptr_eq(&made[0], &made[3]) && !Arc::ptr_eq(&made[0], &made[4]));
}

#[test]
fn a_key_that_a_line_names_has_to_be_there() {
    let resolver = resolver(&["ProxyJump=none", "IdentityAgent=none"]).build();
    let at = |text: &str| {
        let line = lines(text).remove(0);
        resolver.config_with(&line.host, &line.options)
    };
    let error = at("a IdentityFile=/no/such/key\n")
        .expect_err("is not there")
        .to_string();
    assert!(
        error.starts_with("hosts:1: ") && error.contains("could not read identity /no/such/key"),
        "{error}"
    );
}

#[test]
fn ask_is_strict_unless_somebody_asks_and_never_in_batch_mode() {
    let policy = |resolver: Resolver| configs(&resolver, "a\n")[0].host_keys().policy();
    assert_eq!(policy(resolver(&[]).build()), HostKeyPolicy::Strict);
    let asks = |options: &[&str]| resolver(options).ask_policy(HostKeyPolicy::Ask).build();
    assert_eq!(policy(asks(&[])), HostKeyPolicy::Ask);
    assert_eq!(policy(asks(&["BatchMode=yes"])), HostKeyPolicy::Strict);
    assert_eq!(
        policy(asks(&["StrictHostKeyChecking=yes"])),
        HostKeyPolicy::Strict
    );
}

#[test]
fn weak_algorithms_make_a_configuration_of_its_own() {
    let resolver = resolver(&["ProxyJump=none"]).legacy(["OLD"]).build();
    let made = configs(&resolver, "old\nnew\nolder\n");
    assert!(!Arc::ptr_eq(&made[0], &made[1]));
    assert!(Arc::ptr_eq(&made[1], &made[2]));
}

#[test]
fn bad_options_are_named_by_file_and_line() {
    let resolver = resolver(&[]).build();
    for (text, parts) in [
        ("\na Port=x\n", "hosts:2: Port"),
        ("a Prot=1\n", "hosts:1: prot"),
        ("a Match=all\n", "hosts:1: Match"),
        ("a LocalForward=1\n", "hosts:1: LocalForward"),
    ] {
        let line = lines(text).remove(0);
        let error = resolver.config_with(&line.host, &line.options);
        let error = error.expect_err(text).to_string();
        assert!(error.starts_with(parts), "{error}");
    }
}
