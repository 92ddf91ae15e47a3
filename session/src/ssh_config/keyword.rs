//! The one table of options: name, arguments, and what is done with it.

use super::algorithms::Family;
use super::forward::Forward;
use super::keyword_table::TABLE;

/// An option that something is done with; the others are only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    AddressFamily,
    BatchMode,
    BindAddress,
    BindInterface,
    CanonicalizeHostname,
    CaSignatureAlgorithms,
    CertificateFile,
    ChannelTimeout,
    CheckHostIp,
    Ciphers,
    ClearAllForwardings,
    Compression,
    ConnectTimeout,
    ConnectionAttempts,
    ForkAfterAuthentication,
    ForwardAgent,
    GlobalKnownHostsFile,
    GssapiAuthentication,
    GssapiDelegateCredentials,
    HashKnownHosts,
    HostKeyAlgorithms,
    HostKeyAlias,
    HostName,
    IdentitiesOnly,
    IdentityAgent,
    IdentityFile,
    IgnoreUnknown,
    KbdInteractiveAuthentication,
    KexAlgorithms,
    KnownHostsCommand,
    LocalCommand,
    LogLevel,
    Macs,
    NoHostAuthenticationForLocalhost,
    NumberOfPasswordPrompts,
    PasswordAuthentication,
    PermitLocalCommand,
    Pkcs11Provider,
    Port,
    PreferredAuthentications,
    ProxyCommand,
    ProxyJump,
    ProxyUseFdpass,
    PubkeyAcceptedAlgorithms,
    PubkeyAuthentication,
    RefuseConnection,
    RemoteCommand,
    RemoteForward,
    RequestTty,
    RequiredRsaSize,
    RevokedHostKeys,
    SendEnv,
    ServerAliveCountMax,
    ServerAliveInterval,
    SessionType,
    SetEnv,
    StrictHostKeyChecking,
    Tag,
    TcpKeepAlive,
    Tunnel,
    UpdateHostKeys,
    User,
    UserKnownHostsFile,
    VerifyHostKeyDns,
}

impl Key {
    /// One more than the last one's number.
    pub(super) const COUNT: usize = Self::VerifyHostKeyDns as usize + 1;
}

/// What is done with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// Its value is handed on.
    Honoured,
    /// Taken and left alone: it changes nothing about running commands.
    Harmless,
    /// An error if the value that holds for a host is none of [`Keyword::fine`].
    Refused,
    /// As [`Support::Refused`] where the user says it, in a file of theirs or on the command line;
    /// left alone in the system's file, where distributions say it for everybody.
    RefusedIfAsked,
    /// ssh itself leaves it alone.
    Obsolete,
    /// Divides the file into parts.
    Structure,
}

/// One option of ssh_config(5), as the table has it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Keyword {
    /// Its name, and then the other ones that it has or had.
    pub names: &'static [&'static str],
    /// What is done with it.
    pub support: Support,
    /// The values that are taken where others are refused.
    pub fine: &'static [&'static str],
    /// Why it is harmless, or what to do where it is refused.
    pub note: &'static str,
    pub(super) key: Option<Key>,
    pub(super) grammar: Grammar,
}

impl Keyword {
    /// Returns its name as ssh_config(5) writes it.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Returns whether its value makes no difference.
    pub(super) fn is_left_alone(&self) -> bool {
        self.support == Support::Harmless && self.key.is_none()
    }
}

/// A check of a word, and what the word should be.
pub(super) type Check = (fn(&str) -> bool, &'static str);

/// What follows a keyword.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grammar {
    Host,
    Match,
    Include,
    /// One of these, in any case: what is written, and what it means.
    OneOf(&'static [(&'static str, &'static str)]),
    /// A time in seconds or with units, or `none`.
    Time,
    /// 0 to 2^31 - 1.
    Number,
    Port,
    /// One word.
    Word,
    /// Up to 32 words, or `none`.
    KnownHosts,
    /// The rest of the line.
    Command,
    Jump,
    Algorithms(Family),
    /// A socket: a path, or a name that stands for one.
    Agent,
    /// `yes`, `no`, or a socket.
    ForwardAgent,
    SendEnv,
    SetEnv,
    /// Words, at least this many and at most that many.
    Words(usize, usize),
    /// One word that passes a check, and what it should be.
    Checked(fn(&str) -> bool, &'static str),
    AddKeys,
    RekeyLimit,
    IpQos,
    /// Words, of which `none` stands alone, and which may have to pass a check.
    WordsOrNone(Option<Check>),
    /// A forwarded port.
    Forward(Forward),
    /// Hosts with ports, or `any` or `none` alone.
    Destinations,
    /// Whatever there is.
    Anything,
}

pub(super) const FLAG: Grammar = Grammar::OneOf(&[
    ("yes", "yes"),
    ("no", "no"),
    ("true", "yes"),
    ("false", "no"),
]);

/// Returns every option that is known, in the order of ssh_config(5).
pub fn keywords() -> &'static [Keyword] {
    &TABLE
}

/// Finds an option by its name in lowercase.
pub(super) fn find(lowercase: &str) -> Option<&'static Keyword> {
    let is = |name: &&'static str| name.eq_ignore_ascii_case(lowercase);
    TABLE.iter().find(|keyword| keyword.names.iter().any(is))
}

/// Finds the option that a key belongs to.
pub(super) fn of(key: Key) -> &'static Keyword {
    let found = TABLE.iter().find(|keyword| keyword.key == Some(key));
    found.expect("every key has a row in the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_row_and_every_name_one_meaning() {
        let mut names = Vec::new();
        let mut keys = [0; Key::COUNT];
        for keyword in keywords() {
            for name in keyword.names {
                let name = name.to_ascii_lowercase();
                assert!(!names.contains(&name), "{name} twice");
                names.push(name);
            }
            if let Some(key) = keyword.key {
                keys[key as usize] += 1;
                assert_eq!(of(key).name(), keyword.name());
            }
            let said = !keyword.note.is_empty();
            let silent = matches!(keyword.support, Support::Honoured | Support::Structure);
            assert!(said || silent, "{} has no reason", keyword.name());
            let refused = matches!(keyword.support, Support::Refused | Support::RefusedIfAsked);
            assert!(
                keyword.key.is_some() || !refused,
                "{} is never seen",
                keyword.name()
            );
        }
        assert!(keys.iter().all(|rows| *rows == 1), "{keys:?}");
    }
}
