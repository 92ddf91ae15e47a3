//! Any text is refused or read, and then gives the same options for a host each time.
//!
//! The input is text: a first line with a host and options of a command line divided by tabs, then
//! the file. What a lookup gives is also held against small rules: a quoted word is that word, and
//! what stands in a command came through the check.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sshoal_session::Host;
use sshoal_session::ssh_config::{Local, Proxy, SshConfig, quote};

static LOCAL: LazyLock<Local> = LazyLock::new(|| {
    let variables = [("V".to_owned(), "/v".to_owned())];
    let local = Local::default().with_user("me", 7).with_home("/home/me");
    let addresses = vec!["10.0.0.1".parse().expect("is an address")];
    let local = local
        .with_host_name("here.example")
        .with_addresses(addresses);
    local.with_environment(variables)
});

fuzz_target!(|input: &str| {
    let (head, text) = input.split_once('\n').unwrap_or((input, ""));
    let mut words = head.split('\t');
    let host = words.next().and_then(|name| name.parse::<Host>().ok());
    let host = host.unwrap_or_else(|| Host::new("web1").expect("names a host"));
    let load = |text: &str| {
        let builder = SshConfig::builder(LOCAL.clone()).text(text);
        words
            .clone()
            .fold(builder, |builder, option| builder.option(option))
            .load()
    };
    quoting(head);
    let Ok(config) = load(text) else { return };
    let Ok(options) = config.lookup(&host) else {
        return;
    };
    assert_eq!(config.lookup(&host).ok().as_ref(), Some(&options));
    // What is said by nobody cannot change what was said by somebody.
    let with_comment = load(&format!("{text}\n# a comment\n\n")).expect("is read with a comment");
    assert_eq!(with_comment.lookup(&host).ok().as_ref(), Some(&options));
    assert!(Host::new(options.host_name.value().as_str()).is_ok());
    assert_ne!(*options.port.value(), 0);
    if let Some(Proxy::Command(command)) = options.proxy.as_ref().map(|proxy| proxy.value()) {
        assert!(command.given().contains('%') || command.command() == command.given());
    }
});

/// A quoted word reads back as itself.
fn quoting(word: &str) {
    if word.contains(['\0', '\r', '%', '$', '~', '\x0c']) || word.eq_ignore_ascii_case("none") {
        return;
    }
    let text = format!("CertificateFile {}", quote(word));
    let config = SshConfig::builder(LOCAL.clone()).text(text).load();
    let Ok(config) = config else {
        assert!(
            word.is_empty() || word.len() > 60_000 / 2,
            "{word:?} is refused"
        );
        return;
    };
    let host = Host::new("a").expect("names a host");
    let options = config.lookup(&host).expect("has no tokens");
    assert_eq!(options.certificate_files[0].value().given(), word);
}
