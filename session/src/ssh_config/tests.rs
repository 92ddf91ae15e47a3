//! The rules of lookups, by small texts.

mod faults;
mod files;

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn local() -> Local {
    let variables = [("V".to_owned(), "/v".to_owned())];
    let local = Local::default().with_user("me", 1000).with_home("/home/me");
    local.with_host_name("here").with_environment(variables)
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn load(text: &str) -> SshConfig {
    SshConfig::builder(local()).text(text).load().unwrap()
}

fn lookup(text: &str, name: &str) -> Options {
    load(text).lookup(&host(name)).unwrap()
}

/// The error of loading a text or looking a host up in it, with its causes.
#[track_caller]
fn error(text: impl Into<Vec<u8>>, name: &str) -> String {
    let config = SshConfig::builder(local()).text(text).load();
    chain(
        &config
            .and_then(|config| config.lookup(&host(name)))
            .unwrap_err(),
    )
}

fn chain(error: &SshConfigError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn given(files: &[Given<ConfigPath>]) -> Vec<&str> {
    files.iter().map(|file| file.value().given()).collect()
}

#[test]
fn the_first_value_counts_by_rank() {
    let config = SshConfig::builder(local())
        .option("User=from-option")
        .option("user=too-late")
        .text("Port 1\nPort 2\nUser from-file\nBatchMode yes\n")
        .load()
        .unwrap();
    let options = config.lookup(&host("a")).unwrap();
    assert_eq!(options.user.value(), "from-option");
    assert_eq!(options.user.origin(), &Origin::CommandLine);
    assert_eq!(*options.port.value(), 1);
    assert_eq!(options.port.origin().to_string(), "ssh_config:1");
    assert_eq!(
        options.batch_mode.unwrap().origin().to_string(),
        "ssh_config:4"
    );
    let options = config.lookup(&host("root@a:22")).unwrap();
    assert_eq!(
        (options.user.value().as_str(), *options.port.value()),
        ("root", 22)
    );
    assert_eq!(options.user.origin(), &Origin::Host);
}

#[test]
fn nothing_said_is_nothing_but_host_port_and_user() {
    let options = lookup("", "Web1");
    let expected = Options {
        host_name: Given::new("web1".to_owned(), Origin::Host),
        port: Given::new(22, Origin::Default),
        user: Given::new("me".to_owned(), Origin::Default),
        ..Options::default()
    };
    assert_eq!(options, expected);
}

#[test]
fn sections_apply_by_host_and_match() {
    let text = "Host web* !web9\n Port 1\nMatch host target user deploy\n Port 2\n\
                Host x\n HostName target\n User deploy\nMatch host target user deploy\n Port 3\n\
                Match originalhost x\n Tag t\nMatch tagged t !localuser me\n BatchMode yes\n\
                Match tagged t\n BatchMode no\n";
    assert_eq!(*lookup(text, "web1").port.value(), 1);
    assert_eq!(*lookup(text, "web9").port.value(), 22);
    let options = lookup(text, "x");
    assert_eq!(*options.port.value(), 3);
    assert_eq!(options.batch_mode.map(Given::into_value), Some(false));
}

#[test]
fn a_final_match_reads_everything_again_with_the_new_name() {
    let text = "Host target\n Port 1\nHost a\n HostName target\nMatch final host target\n Tag f\n";
    let options = lookup(text, "a");
    assert_eq!(
        (*options.port.value(), options.tag.unwrap().value().as_str()),
        (1, "f")
    );
    // Without it, `Host` is held against the name as given alone.
    let text = "Host target\n Port 1\nHost a\n HostName target\nMatch canonical\n Tag f\n";
    let options = lookup(text, "a");
    assert_eq!((*options.port.value(), options.tag), (22, None));
}

#[test]
fn lists_add_up_as_in_ssh() {
    let text = "IdentityFile a\nIdentityFile none\nIdentityFile a\nIdentityFile b\n\
                SendEnv A LC_* LC_XY\nSendEnv -LC_?\nSetEnv X=1 X=2 Y=a=b\nSetEnv Z=1\n";
    let options = lookup(text, "h");
    assert_eq!(
        given(options.identity_files.as_deref().unwrap()),
        ["a", "b"]
    );
    let names: Vec<_> = options
        .send_env
        .iter()
        .map(|name| name.value().as_str())
        .collect();
    assert_eq!(names, ["A", "LC_XY"]);
    let set = |at: usize| options.set_env[at].value().clone();
    assert_eq!(options.set_env.len(), 2);
    assert_eq!(set(0), ("X".to_owned(), "1".to_owned()));
    assert_eq!(set(1), ("Y".to_owned(), "a=b".to_owned()));
    assert_eq!(
        lookup("IdentityFile none", "h").identity_files,
        Some(Vec::new())
    );
    let many: String = (0..101).map(|n| format!("IdentityFile k{n}\n")).collect();
    assert!(error(many, "h").contains(":101: IdentityFile: more than 100"));
}

#[test]
fn tokens_and_homes_are_replaced() {
    let text = "HostName %h.org\nHostKeyAlias Alias\nUser deploy\nPort 2222\n\
                IdentityFile ~/%h-%n-%k-%p-%r-%u-%L\nUserKnownHostsFile ${V}/kh none-such\n\
                CertificateFile %d/c\nRevokedHostKeys ~/r\nIdentityAgent $V\nForwardAgent ~/s\n";
    let options = lookup(text, "Web");
    let path = |file: &ConfigPath| file.path().display().to_string();
    assert_eq!(options.host_name.value(), "web.org");
    let identities = options.identity_files.unwrap();
    assert_eq!(
        path(identities[0].value()),
        "/home/me/web.org-Web-alias-2222-deploy-me-here"
    );
    let known = options.user_known_hosts_files.unwrap();
    assert_eq!(path(&known.value()[0]), "/v/kh");
    assert_eq!(path(options.certificate_files[0].value()), "/home/me/c");
    assert_eq!(
        options
            .revoked_host_keys
            .unwrap()
            .value()
            .as_ref()
            .map(path)
            .unwrap(),
        "/home/me/r"
    );
    assert_eq!(
        options.identity_agent.unwrap().value(),
        &AgentSocket::Path("/v".into())
    );
    let socket = ForwardAgent::Socket(Some("/home/me/s".into()));
    assert_eq!(options.forward_agent.unwrap().value(), &socket);
}

#[test]
fn agents_are_named_in_four_ways() {
    let agent = |text: &str| {
        let options = lookup(&format!("IdentityAgent {text}"), "h");
        options.identity_agent.unwrap().into_value()
    };
    assert_eq!(agent("none"), AgentSocket::None);
    assert_eq!(agent("SSH_AUTH_SOCK"), AgentSocket::FromEnvironment);
    assert_eq!(agent("$NOT_SET"), AgentSocket::None);
    assert_eq!(agent("${V}/a"), AgentSocket::Path("/v/a".into()));
}

#[test]
fn of_jump_and_command_the_first_counts() {
    let proxy = |text: &str| lookup(text, "h").proxy.map(Given::into_value);
    let jump = Some(Proxy::Jump(vec![host("u@a:1"), host("b")]));
    assert_eq!(proxy("ProxyJump u@a:1,b\nProxyCommand nc"), jump);
    assert_eq!(proxy("ProxyCommand none\nProxyJump a"), Some(Proxy::Direct));
    assert_eq!(
        proxy("ProxyJump none\nProxyCommand nc"),
        Some(Proxy::Direct)
    );
    let Some(Proxy::Command(command)) = proxy("ProxyCommand nc %h %p # x\nProxyJump a") else {
        panic!("no command");
    };
    assert_eq!(
        (command.command(), command.given()),
        ("nc h 22 # x", "nc %h %p # x")
    );
    assert_eq!(
        proxy("User x\nProxyJump %r@gate-%h"),
        Some(Proxy::Jump(vec![host("x@gate-h")]))
    );
    assert!(error("ProxyJump h", "h").contains("ssh_config:1: ProxyJump: h would be reached"));
    assert!(proxy("ProxyJump h:23").is_some());
}

#[test]
fn a_command_takes_no_value_that_a_shell_would_read() {
    let text = "User a$x\nProxyCommand nc -l %r %h\n";
    let said = error(text, "h");
    assert!(
        said.contains("ssh_config:2: ProxyCommand: %r is \"a$x\""),
        "{said}"
    );
    assert!(
        lookup("User a$x\nProxyCommand nc %h\n", "h")
            .proxy
            .is_some()
    );
}

#[test]
fn a_time_of_none_in_a_file_is_unsaid() {
    let time = |text: &str| lookup(text, "h").connect_timeout.map(Given::into_value);
    let ten = Some(Some(Duration::from_secs(10)));
    assert_eq!(time("ConnectTimeout none\nConnectTimeout 10"), ten);
    assert_eq!(time("ConnectTimeout none"), Some(None));
    assert_eq!(time("ConnectTimeout 0\nConnectTimeout 10"), Some(None));
    let config = SshConfig::builder(local()).option("ConnectTimeout=none");
    let config = config.text("ConnectTimeout 10").load().unwrap();
    let options = config.lookup(&host("h")).unwrap();
    assert_eq!(options.connect_timeout.map(Given::into_value), Some(None));
}

#[test]
fn one_configuration_serves_many_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&load("Port 1"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", name in "[a-zA-Z0-9.:]{1,9}") {
        let Ok(host) = name.parse::<Host>() else { return Ok(()) };
        if let Ok(config) = SshConfig::builder(local()).text(text).load() {
            let _ = config.lookup(&host);
        }
    }

    #[test]
    fn no_lines_of_known_words_panic(lines in proptest::collection::vec(line(), 0..20)) {
        let text = lines.concat();
        if let Ok(config) = SshConfig::builder(local()).text(text.as_str()).load() {
            let first = config.lookup(&host("web1"));
            let again = config.lookup(&host("web1"));
            prop_assert_eq!(first.ok(), again.ok());
        }
    }

    #[test]
    fn a_quoted_path_is_looked_up_as_itself(path in "[^\0\r\n%~$\u{c}][^\0\r\n%$\u{c}]{0,20}") {
        prop_assume!(!path.eq_ignore_ascii_case("none"));
        let text = format!("CertificateFile {}\n", quote(&path));
        let options = lookup(&text, "h");
        prop_assert_eq!(given(&options.certificate_files), [path.as_str()]);
    }
}

/// A line of a keyword and a value that often fits.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = keywords()
        .iter()
        .flat_map(|keyword| keyword.names)
        .copied()
        .collect();
    let value = prop_oneof![
        Just("yes".to_owned()),
        Just("none".to_owned()),
        Just("web*".to_owned()),
        Just("host web1 final".to_owned()),
        Just("%h %% ${V} ~/x".to_owned()),
        "[0-9a-z%~$#\"' ,:@=*!+^\\-]{1,12}",
    ];
    (proptest::sample::select(names), value).prop_map(|(name, value)| format!("{name} {value}\n"))
}
