//! From what was said to typed options, group by group, and the values that are refused.

use super::chosen::Chosen;
use super::error::{Fault, Origin, SshConfigError};
use super::evaluate::Walk;
use super::keyword::{self, Key, Support};
use super::options::{
    AddressFamily, Given, LogLevel, Options, Proxy, PubkeyAuthentication, StrictHostKeyChecking,
    YesNoAsk,
};
use super::tokens::Tokens;
use super::typed::{Typed, said};

type Result<T> = std::result::Result<T, SshConfigError>;

/// Makes the options of a host; `name` is the one to connect to.
pub(super) fn options(walk: &Walk<'_, '_>, name: Given<String>) -> Result<Options> {
    let chosen = &walk.chosen;
    refuse(chosen)?;
    let alias = chosen.word(Key::HostKeyAlias);
    let alias = alias.map(|(text, place)| Given::new(text.to_ascii_lowercase(), place.origin()));
    let host = name.value().clone();
    let tokens = Tokens {
        local: walk.local,
        host: &host,
        original: walk.asked.name(),
        alias: alias
            .as_ref()
            .map_or(walk.asked.name(), |alias| alias.value()),
        port: walk.port(),
        user: walk.user(),
        jump: "",
    };
    let mut typed = Typed { chosen, tokens };
    let mut options = Options {
        host_name: name,
        port: typed.port(walk),
        user: typed.user(walk)?,
        host_key_alias: alias.clone(),
        ..typed.way(walk)?
    };
    let jump = jumps(options.proxy.as_ref());
    typed.tokens.jump = &jump;
    typed.authentication(&mut options)?;
    typed.host_keys(&mut options)?;
    Ok(options)
}

impl Typed<'_> {
    /// How the host is reached, and what the connection is like.
    fn way(&self, walk: &Walk<'_, '_>) -> Result<Options> {
        let proxy = self.proxy()?;
        check_loop(self, walk, proxy.as_ref())?;
        Ok(Options {
            address_family: self.choice(Key::AddressFamily, |word| match word {
                "inet" => AddressFamily::Inet,
                "inet6" => AddressFamily::Inet6,
                _ => AddressFamily::Any,
            }),
            bind_address: self.text(Key::BindAddress),
            bind_interface: self.text(Key::BindInterface),
            ciphers: self.algorithms(Key::Ciphers),
            compression: self.flag(Key::Compression),
            connect_timeout: self.time(Key::ConnectTimeout),
            connection_attempts: self.attempts()?,
            kex_algorithms: self.algorithms(Key::KexAlgorithms),
            log_level: self.choice(Key::LogLevel, log_level),
            macs: self.algorithms(Key::Macs),
            proxy,
            send_env: said(&self.chosen.send_env, str::to_owned),
            server_alive_count_max: self.number(Key::ServerAliveCountMax),
            server_alive_interval: self.time(Key::ServerAliveInterval),
            set_env: said(&self.chosen.set_env, |text| {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                (name.to_owned(), value.to_owned())
            }),
            tag: self.text(Key::Tag),
            tcp_keep_alive: self.flag(Key::TcpKeepAlive),
            ..Options::default()
        })
    }

    /// Who the user is to the host.
    fn authentication(&self, options: &mut Options) -> Result<()> {
        options.batch_mode = self.flag(Key::BatchMode);
        options.certificate_files = self.files(Key::CertificateFile, &self.chosen.certificates)?;
        options.forward_agent = self.forward_agent()?;
        options.identities_only = self.flag(Key::IdentitiesOnly);
        options.identity_agent = self.identity_agent()?;
        options.identity_files = match self.chosen.identities.as_slice() {
            [] => None,
            files => Some(self.files(Key::IdentityFile, files)?),
        };
        options.kbd_interactive_authentication = self.flag(Key::KbdInteractiveAuthentication);
        options.number_of_password_prompts = self.number(Key::NumberOfPasswordPrompts);
        options.password_authentication = self.flag(Key::PasswordAuthentication);
        options.preferred_authentications = self.methods();
        options.pubkey_accepted_algorithms = self.algorithms(Key::PubkeyAcceptedAlgorithms);
        options.pubkey_authentication = self.choice(Key::PubkeyAuthentication, |word| match word {
            "no" => PubkeyAuthentication::No,
            "unbound" => PubkeyAuthentication::Unbound,
            "host-bound" => PubkeyAuthentication::HostBound,
            _ => PubkeyAuthentication::Yes,
        });
        options.required_rsa_size = self.number(Key::RequiredRsaSize);
        Ok(())
    }

    /// Who the host is to the user.
    fn host_keys(&self, options: &mut Options) -> Result<()> {
        options.ca_signature_algorithms = self.algorithms(Key::CaSignatureAlgorithms);
        options.check_host_ip = self.flag(Key::CheckHostIp);
        options.global_known_hosts_files = self.known_hosts(Key::GlobalKnownHostsFile)?;
        options.hash_known_hosts = self.flag(Key::HashKnownHosts);
        options.host_key_algorithms = self.algorithms(Key::HostKeyAlgorithms);
        options.no_host_authentication_for_localhost =
            self.flag(Key::NoHostAuthenticationForLocalhost);
        options.revoked_host_keys = self.revoked()?;
        options.strict_host_key_checking =
            self.choice(Key::StrictHostKeyChecking, |word| match word {
                "yes" => StrictHostKeyChecking::Yes,
                "no" => StrictHostKeyChecking::No,
                "accept-new" => StrictHostKeyChecking::AcceptNew,
                _ => StrictHostKeyChecking::Ask,
            });
        options.update_host_keys = self.choice(Key::UpdateHostKeys, yes_no_ask);
        options.user_known_hosts_files = self.known_hosts(Key::UserKnownHostsFile)?;
        options.verify_host_key_dns = self.choice(Key::VerifyHostKeyDns, yes_no_ask);
        Ok(())
    }
}

/// Refuses what changes the outcome of a run and is not supported.
fn refuse(chosen: &Chosen<'_>) -> Result<()> {
    let is = |key, word: &str| chosen.word(key).is_some_and(|(said, _)| said == word);
    let no_forwarding = is(Key::ClearAllForwardings, "yes");
    let by_command = chosen
        .word(Key::ProxyCommand)
        .is_some_and(|(command, _)| !command.eq_ignore_ascii_case("none"));
    for keyword in keyword::keywords() {
        let Some(key) = keyword.key else { continue };
        match keyword.support {
            Support::Refused => {}
            Support::RefusedIfAsked if chosen.is_asked(key) => {}
            _ => continue,
        }
        let Some((value, place)) = chosen.get(key) else {
            continue;
        };
        // These do nothing in ssh unless another one lets them.
        let idle = match key {
            Key::RemoteForward | Key::Tunnel => no_forwarding,
            Key::LocalCommand => !is(Key::PermitLocalCommand, "yes"),
            Key::ProxyUseFdpass => !by_command,
            _ => false,
        };
        let text = value.text();
        if idle
            || keyword
                .fine
                .iter()
                .any(|fine| text.eq_ignore_ascii_case(fine))
        {
            continue;
        }
        let fault = Fault::Refused {
            value: text,
            remedy: keyword.note,
        };
        return Err(SshConfigError::option(
            place.origin(),
            keyword.name(),
            fault,
        ));
    }
    Ok(())
}

/// Refuses a last jump host that is the host itself, as ssh does.
fn check_loop(typed: &Typed<'_>, walk: &Walk<'_, '_>, proxy: Option<&Given<Proxy>>) -> Result<()> {
    let Some((Proxy::Jump(hops), origin)) = proxy.map(|proxy| (proxy.value(), proxy.origin()))
    else {
        return Ok(());
    };
    let itself = hops.last().is_some_and(|last| {
        last.name() == typed.tokens.host
            && last.port().unwrap_or(super::evaluate::DEFAULT_PORT) == walk.port()
            && last.user().unwrap_or(walk.user()) == walk.user()
    });
    if !itself {
        return Ok(());
    }
    let host = typed.tokens.host.to_owned();
    let fault = Fault::JumpLoop { host };
    Err(SshConfigError::option(origin.clone(), "ProxyJump", fault))
}

/// Writes the jump hosts as `%j` has them.
fn jumps(proxy: Option<&Given<Proxy>>) -> String {
    match proxy.map(Given::value) {
        Some(Proxy::Jump(hops)) => {
            let hops: Vec<_> = hops.iter().map(ToString::to_string).collect();
            hops.join(",")
        }
        _ => String::new(),
    }
}

fn yes_no_ask(word: &str) -> YesNoAsk {
    match word {
        "yes" => YesNoAsk::Yes,
        "ask" => YesNoAsk::Ask,
        _ => YesNoAsk::No,
    }
}

fn log_level(word: &str) -> LogLevel {
    match word {
        "QUIET" => LogLevel::Quiet,
        "FATAL" => LogLevel::Fatal,
        "ERROR" => LogLevel::Error,
        "VERBOSE" => LogLevel::Verbose,
        "DEBUG1" => LogLevel::Debug1,
        "DEBUG2" => LogLevel::Debug2,
        "DEBUG3" => LogLevel::Debug3,
        _ => LogLevel::Info,
    }
}

/// Where a value of the host itself or of an option comes from.
pub(super) fn origin_of(from_host: bool, chosen: Option<Origin>) -> Origin {
    match chosen {
        _ if from_host => Origin::Host,
        Some(origin) => origin,
        None => Origin::Default,
    }
}
