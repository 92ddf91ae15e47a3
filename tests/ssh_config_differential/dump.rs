//! Both sides in one form: what `ssh -G` prints, and the same lines from our options.

use std::collections::BTreeMap;
use std::fmt::Display;

use sshoal_session::Host;
use sshoal_session::ssh_config::{
    AddressFamily, AgentSocket, AlgorithmList, ConfigPath, ForwardAgent, Given, LogLevel, Options,
    Proxy, PubkeyAuthentication, StrictHostKeyChecking, YesNoAsk,
};

/// Lines by keyword, in their order.
pub(crate) type Dump = BTreeMap<String, Vec<String>>;

/// Takes the lines of `ssh -G` apart.
pub(crate) fn read(text: &str) -> Dump {
    let mut dump = Dump::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = match keyword {
            "proxyjump" => &one_spelling(value),
            _ => value,
        };
        dump.entry(keyword.to_lowercase())
            .or_default()
            .push(value.to_owned());
    }
    dump
}

/// Writes jump hosts without what says nothing: ssh leaves all but the last as they were written.
fn one_spelling(hops: &str) -> String {
    let hop = |text: &str| {
        let text = text.strip_prefix("ssh://").unwrap_or(text);
        text.parse::<Host>().expect("names a host").to_string()
    };
    hops.split(',').map(hop).collect::<Vec<_>>().join(",")
}

/// Writes our options as ssh would; what nobody said is as in `default`, which is what ssh prints
/// for an empty file. `supported` are ssh's algorithms by keyword.
pub(crate) fn ours(options: &Options, default: &Dump, supported: &Dump) -> Dump {
    let mut dump = Dump::new();
    let mut lines = |keyword: &str, values: Option<Vec<String>>| {
        let values = values
            .or_else(|| default.get(keyword).cloned())
            .unwrap_or_default();
        dump.insert(keyword.to_owned(), values);
    };
    lines("hostname", one(options.host_name.value()));
    lines("port", one(options.port.value()));
    lines("user", one(options.user.value()));
    flags(options, &mut lines);
    words(options, &mut lines);
    choices(options, &mut lines);
    proxy(options, &mut lines);
    files(options, &mut lines);
    let mut list = |keyword: &str, list: &Option<Given<AlgorithmList>>| {
        let list = list.as_ref().map(|list| {
            let names = |dump: &Dump| -> Vec<String> {
                dump[keyword][0].split(',').map(str::to_owned).collect()
            };
            let (default, supported) = (names(default), names(supported));
            let default: Vec<&str> = default.iter().map(String::as_str).collect();
            let supported: Vec<&str> = supported.iter().map(String::as_str).collect();
            vec![list.value().apply(&default, &supported).join(",")]
        });
        lines(keyword, list);
    };
    list("ciphers", &options.ciphers);
    list("macs", &options.macs);
    list("kexalgorithms", &options.kex_algorithms);
    list("hostkeyalgorithms", &options.host_key_algorithms);
    list(
        "pubkeyacceptedalgorithms",
        &options.pubkey_accepted_algorithms,
    );
    list("casignaturealgorithms", &options.ca_signature_algorithms);
    dump
}

type Lines<'a> = dyn FnMut(&str, Option<Vec<String>>) + 'a;

fn one(value: impl Display) -> Option<Vec<String>> {
    Some(vec![value.to_string()])
}

fn flags(options: &Options, lines: &mut Lines<'_>) {
    let mut flag = |keyword: &str, flag: &Option<Given<bool>>| {
        let text = |flag: &Given<bool>| if *flag.value() { "yes" } else { "no" };
        lines(keyword, flag.as_ref().and_then(|flag| one(text(flag))));
    };
    flag("batchmode", &options.batch_mode);
    flag("checkhostip", &options.check_host_ip);
    flag("compression", &options.compression);
    flag("hashknownhosts", &options.hash_known_hosts);
    flag("identitiesonly", &options.identities_only);
    flag(
        "kbdinteractiveauthentication",
        &options.kbd_interactive_authentication,
    );
    flag(
        "nohostauthenticationforlocalhost",
        &options.no_host_authentication_for_localhost,
    );
    flag("passwordauthentication", &options.password_authentication);
    flag("tcpkeepalive", &options.tcp_keep_alive);
}

fn text<T>(given: &Option<Given<T>>, write: impl Fn(&T) -> String) -> Option<Vec<String>> {
    given.as_ref().map(|given| vec![write(given.value())])
}

fn words(options: &Options, lines: &mut Lines<'_>) {
    let seconds = |none: &'static str| {
        move |time: &Option<std::time::Duration>| {
            time.map_or(none.to_owned(), |time| time.as_secs().to_string())
        }
    };
    lines(
        "connecttimeout",
        text(&options.connect_timeout, seconds("none")),
    );
    lines(
        "serveraliveinterval",
        text(&options.server_alive_interval, seconds("0")),
    );
    lines(
        "serveralivecountmax",
        text(&options.server_alive_count_max, u32::to_string),
    );
    lines(
        "connectionattempts",
        text(&options.connection_attempts, u32::to_string),
    );
    lines(
        "requiredrsasize",
        text(&options.required_rsa_size, u32::to_string),
    );
    lines(
        "numberofpasswordprompts",
        text(&options.number_of_password_prompts, u32::to_string),
    );
    lines("bindaddress", text(&options.bind_address, String::clone));
    lines(
        "bindinterface",
        text(&options.bind_interface, String::clone),
    );
    lines("hostkeyalias", text(&options.host_key_alias, String::clone));
    lines(
        "preferredauthentications",
        text(&options.preferred_authentications, |m| m.join(",")),
    );
}

fn choices(options: &Options, lines: &mut Lines<'_>) {
    let yes_no_ask = |value: &YesNoAsk| match value {
        YesNoAsk::Yes => "true".to_owned(),
        YesNoAsk::No => "false".to_owned(),
        _ => "ask".to_owned(),
    };
    lines(
        "updatehostkeys",
        text(&options.update_host_keys, yes_no_ask),
    );
    lines(
        "verifyhostkeydns",
        text(&options.verify_host_key_dns, yes_no_ask),
    );
    lines(
        "addressfamily",
        text(&options.address_family, |family| match family {
            AddressFamily::Inet => "inet".to_owned(),
            AddressFamily::Inet6 => "inet6".to_owned(),
            _ => "any".to_owned(),
        }),
    );
    lines(
        "pubkeyauthentication",
        text(&options.pubkey_authentication, |value| match value {
            PubkeyAuthentication::No => "false".to_owned(),
            PubkeyAuthentication::Unbound => "unbound".to_owned(),
            PubkeyAuthentication::HostBound => "host-bound".to_owned(),
            _ => "true".to_owned(),
        }),
    );
    lines(
        "stricthostkeychecking",
        text(&options.strict_host_key_checking, |value| match value {
            StrictHostKeyChecking::Yes => "true".to_owned(),
            StrictHostKeyChecking::AcceptNew => "accept-new".to_owned(),
            StrictHostKeyChecking::No => "false".to_owned(),
            _ => "ask".to_owned(),
        }),
    );
    lines(
        "loglevel",
        text(&options.log_level, |level| match level {
            LogLevel::Debug1 => "DEBUG".to_owned(),
            level => format!("{level:?}").to_uppercase(),
        }),
    );
    lines(
        "identityagent",
        text(&options.identity_agent, |agent| match agent {
            AgentSocket::FromEnvironment => "SSH_AUTH_SOCK".to_owned(),
            AgentSocket::Path(path) => path.display().to_string(),
            _ => "none".to_owned(),
        }),
    );
    lines(
        "forwardagent",
        text(&options.forward_agent, |forward| match forward {
            ForwardAgent::Yes => "yes".to_owned(),
            ForwardAgent::Socket(Some(path)) => path.display().to_string(),
            _ => "no".to_owned(),
        }),
    );
}

fn proxy(options: &Options, lines: &mut Lines<'_>) {
    let proxy = options.proxy.as_ref().map(Given::value);
    lines(
        "proxyjump",
        match proxy {
            Some(Proxy::Jump(hops)) => Some(vec![
                hops.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            ]),
            _ => None,
        },
    );
    lines(
        "proxycommand",
        match proxy {
            Some(Proxy::Command(command)) => one(command.given()),
            _ => None,
        },
    );
}

fn files(options: &Options, lines: &mut Lines<'_>) {
    let given = |files: &[Given<ConfigPath>]| -> Vec<String> {
        files
            .iter()
            .map(|file| file.value().given().to_owned())
            .collect()
    };
    lines("identityfile", options.identity_files.as_deref().map(given));
    lines("certificatefile", Some(given(&options.certificate_files)));
    let revoked = options.revoked_host_keys.as_ref();
    lines(
        "revokedhostkeys",
        revoked.map(|file| {
            file.value()
                .iter()
                .map(|file| file.given().to_owned())
                .collect()
        }),
    );
    let line = |files: &Option<Given<Vec<ConfigPath>>>, write: fn(&ConfigPath) -> String| {
        let files = files.as_ref()?.value();
        let words: Vec<_> = files.iter().map(write).collect();
        one(if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(" ")
        })
    };
    let global = line(&options.global_known_hosts_files, |file| {
        file.given().to_owned()
    });
    lines("globalknownhostsfile", global);
    let user = line(&options.user_known_hosts_files, |file| {
        file.path().display().to_string()
    });
    lines("userknownhostsfile", user);
    let names = options.send_env.iter().map(|name| name.value().clone());
    lines("sendenv", Some(names.collect()));
    let values = options.set_env.iter().map(|given| {
        let (name, value) = given.value();
        format!("{name}={value}")
    });
    lines("setenv", Some(values.collect()));
}
