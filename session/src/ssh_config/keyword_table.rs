//! The rows of the table of options; see [`super::keyword`].

use super::algorithms::Family;
use super::checks;
use super::forward::Forward;
use super::keyword::{FLAG, Grammar, Key, Keyword, Support};

const fn honoured(names: &'static [&'static str], key: Key, grammar: Grammar) -> Keyword {
    Keyword {
        names,
        support: Support::Honoured,
        fine: &[],
        note: "",
        key: Some(key),
        grammar,
    }
}

const fn harmless(names: &'static [&'static str], grammar: Grammar, note: &'static str) -> Keyword {
    Keyword {
        support: Support::Harmless,
        note,
        key: None,
        ..honoured(names, Key::Tag, grammar)
    }
}

/// Taken as harmless by itself; others depend on it.
const fn known(
    names: &'static [&'static str],
    key: Key,
    grammar: Grammar,
    note: &'static str,
) -> Keyword {
    Keyword {
        key: Some(key),
        ..harmless(names, grammar, note)
    }
}

const fn refused(
    names: &'static [&'static str],
    key: Key,
    grammar: Grammar,
    fine: &'static [&'static str],
    note: &'static str,
) -> Keyword {
    Keyword {
        support: Support::Refused,
        fine,
        ..known(names, key, grammar, note)
    }
}

const fn refused_if_asked(
    names: &'static [&'static str],
    key: Key,
    grammar: Grammar,
    fine: &'static [&'static str],
    note: &'static str,
) -> Keyword {
    Keyword {
        support: Support::RefusedIfAsked,
        ..refused(names, key, grammar, fine, note)
    }
}

const fn obsolete(names: &'static [&'static str], note: &'static str) -> Keyword {
    Keyword {
        support: Support::Obsolete,
        ..harmless(names, Grammar::Anything, note)
    }
}

const fn structure(names: &'static [&'static str], grammar: Grammar) -> Keyword {
    Keyword {
        support: Support::Structure,
        ..harmless(names, grammar, "")
    }
}

const FORWARDING: &str = "forwarded ports serve other programs, not the command";
const CANONICAL: &str = "has an effect with CanonicalizeHostname only, which is refused";
const SHARING: &str = "every host gets a connection of its own";
const DISPLAY: &str = "nothing is shown on a display";
const GSSAPI: &str = "the GSSAPI methods are not offered; the others are";
const HOST_BASED: &str = "host-based authentication is not offered; the other methods are";
const NO_TERMINAL: &str = "there is no terminal to escape from";
const YES_NO_ASK: Grammar = Grammar::OneOf(&[
    ("yes", "yes"),
    ("no", "no"),
    ("true", "yes"),
    ("false", "no"),
    ("ask", "ask"),
]);

/// All of them, in the order of ssh_config(5), the obsolete ones last.
// One row a line, as tables are read.
#[rustfmt::skip]
pub(super) const TABLE: [Keyword; 113] = [
    structure(&["Host"], Grammar::Host),
    structure(&["Match"], Grammar::Match),
    harmless(&["AddKeysToAgent"], Grammar::AddKeys, "keys are never added to the agent"),
    honoured(&["AddressFamily"], Key::AddressFamily, Grammar::OneOf(&[("any", "any"), ("inet", "inet"), ("inet6", "inet6")])),
    honoured(&["BatchMode"], Key::BatchMode, FLAG),
    honoured(&["BindAddress"], Key::BindAddress, Grammar::Word),
    honoured(&["BindInterface"], Key::BindInterface, Grammar::Word),
    harmless(&["CanonicalDomains"], Grammar::WordsOrNone(Some((checks::domain, "domain"))), CANONICAL),
    harmless(&["CanonicalizeFallbackLocal"], FLAG, CANONICAL),
    refused(&["CanonicalizeHostname"], Key::CanonicalizeHostname, Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("always", "always")]), &["no"], "set HostName for the host, or -O CanonicalizeHostname=no"),
    harmless(&["CanonicalizeMaxDots"], Grammar::Number, CANONICAL),
    harmless(&["CanonicalizePermittedCNAMEs"], Grammar::WordsOrNone(Some((checks::cname_rule, "rule: write it as *.from:*.to"))), CANONICAL),
    honoured(&["CASignatureAlgorithms"], Key::CaSignatureAlgorithms, Grammar::Algorithms(Family::Key)),
    honoured(&["CertificateFile"], Key::CertificateFile, Grammar::Word),
    refused(&["ChannelTimeout"], Key::ChannelTimeout, Grammar::Words(1, usize::MAX), &["none"], "set a time limit for commands instead, and -O ChannelTimeout=none"),
    honoured(&["CheckHostIP"], Key::CheckHostIp, FLAG),
    honoured(&["Ciphers"], Key::Ciphers, Grammar::Algorithms(Family::Cipher)),
    known(&["ClearAllForwardings"], Key::ClearAllForwardings, FLAG, "takes back RemoteForward and Tunnel"),
    honoured(&["Compression"], Key::Compression, Grammar::OneOf(&[("yes", "yes"), ("no", "no")])),
    honoured(&["ConnectionAttempts"], Key::ConnectionAttempts, Grammar::Number),
    honoured(&["ConnectTimeout"], Key::ConnectTimeout, Grammar::Time),
    harmless(&["ControlMaster"], Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("auto", "auto"), ("ask", "ask"), ("autoask", "autoask")]), SHARING),
    harmless(&["ControlPath"], Grammar::Word, SHARING),
    harmless(&["ControlPersist"], Grammar::Checked(checks::flag_or_time, "yes, no or a time"), SHARING),
    harmless(&["DynamicForward"], Grammar::Forward(Forward::Dynamic), FORWARDING),
    harmless(&["EnableEscapeCommandline"], FLAG, NO_TERMINAL),
    harmless(&["EnableSSHKeysign"], FLAG, "host-based authentication is not offered"),
    harmless(&["EscapeChar"], Grammar::Checked(checks::escape, "escape character (c, ^C or none)"), NO_TERMINAL),
    harmless(&["ExitOnForwardFailure"], FLAG, FORWARDING),
    harmless(&["FingerprintHash"], Grammar::OneOf(&[("md5", "md5"), ("sha1", "sha1"), ("sha256", "sha256"), ("sha384", "sha384"), ("sha512", "sha512")]), "fingerprints are SHA256 always"),
    refused(&["ForkAfterAuthentication"], Key::ForkAfterAuthentication, FLAG, &["no"], "sshoal stays in the foreground; -O ForkAfterAuthentication=no"),
    honoured(&["ForwardAgent"], Key::ForwardAgent, Grammar::ForwardAgent),
    harmless(&["ForwardX11"], FLAG, DISPLAY),
    harmless(&["ForwardX11Timeout"], Grammar::Time, DISPLAY),
    harmless(&["ForwardX11Trusted"], FLAG, DISPLAY),
    harmless(&["GatewayPorts"], FLAG, FORWARDING),
    honoured(&["GlobalKnownHostsFile"], Key::GlobalKnownHostsFile, Grammar::KnownHosts),
    refused_if_asked(&["GSSAPIAuthentication"], Key::GssapiAuthentication, FLAG, &["no"], "libssh2 has no GSSAPI; remove the line, or -O GSSAPIAuthentication=no, and log in by key or password"),
    harmless(&["GSSAPIClientIdentity"], Grammar::Word, GSSAPI),
    refused_if_asked(&["GSSAPIDelegateCredentials"], Key::GssapiDelegateCredentials, FLAG, &["no"], "no credentials can be passed on; -O GSSAPIDelegateCredentials=no"),
    harmless(&["GSSAPIKexAlgorithms"], Grammar::Checked(checks::gssapi_kex, "list of GSSAPI key exchange methods"), GSSAPI),
    harmless(&["GSSAPIKeyExchange"], FLAG, GSSAPI),
    harmless(&["GSSAPIRenewalForcesRekey"], FLAG, GSSAPI),
    harmless(&["GSSAPIServerIdentity"], Grammar::Word, GSSAPI),
    harmless(&["GSSAPITrustDns"], FLAG, GSSAPI),
    honoured(&["HashKnownHosts"], Key::HashKnownHosts, FLAG),
    harmless(&["HostbasedAcceptedAlgorithms", "HostbasedKeyTypes"], Grammar::Algorithms(Family::Key), HOST_BASED),
    harmless(&["HostbasedAuthentication"], FLAG, HOST_BASED),
    honoured(&["HostKeyAlgorithms"], Key::HostKeyAlgorithms, Grammar::Algorithms(Family::Key)),
    honoured(&["HostKeyAlias"], Key::HostKeyAlias, Grammar::Word),
    honoured(&["HostName"], Key::HostName, Grammar::Word),
    honoured(&["IdentitiesOnly"], Key::IdentitiesOnly, FLAG),
    honoured(&["IdentityAgent"], Key::IdentityAgent, Grammar::Agent),
    honoured(&["IdentityFile", "IdentityFile2"], Key::IdentityFile, Grammar::Word),
    honoured(&["IgnoreUnknown"], Key::IgnoreUnknown, Grammar::Word),
    structure(&["Include"], Grammar::Include),
    harmless(&["IPQoS"], Grammar::IpQos, "marks packets only"),
    honoured(&["KbdInteractiveAuthentication", "ChallengeResponseAuthentication", "SKeyAuthentication", "TISAuthentication"], Key::KbdInteractiveAuthentication, FLAG),
    harmless(&["KbdInteractiveDevices"], Grammar::Word, "the server chooses the device"),
    honoured(&["KexAlgorithms"], Key::KexAlgorithms, Grammar::Algorithms(Family::Kex)),
    refused(&["KnownHostsCommand"], Key::KnownHostsCommand, Grammar::Command, &["none"], "write its output to a file and name it in GlobalKnownHostsFile, and -O KnownHostsCommand=none"),
    refused(&["LocalCommand"], Key::LocalCommand, Grammar::Command, &["none"], "no local command is run; -O PermitLocalCommand=no"),
    harmless(&["LocalForward"], Grammar::Forward(Forward::Local), FORWARDING),
    known(&["LogLevel"], Key::LogLevel, Grammar::OneOf(&[("QUIET", "QUIET"), ("SILENT", "QUIET"), ("FATAL", "FATAL"), ("ERROR", "ERROR"), ("INFO", "INFO"), ("VERBOSE", "VERBOSE"), ("DEBUG", "DEBUG1"), ("DEBUG1", "DEBUG1"), ("DEBUG2", "DEBUG2"), ("DEBUG3", "DEBUG3")]), "chooses what ssh logs of itself"),
    harmless(&["LogVerbose"], Grammar::WordsOrNone(None), "chooses what ssh logs of itself"),
    honoured(&["MACs"], Key::Macs, Grammar::Algorithms(Family::Mac)),
    honoured(&["NoHostAuthenticationForLocalhost"], Key::NoHostAuthenticationForLocalhost, FLAG),
    honoured(&["NumberOfPasswordPrompts"], Key::NumberOfPasswordPrompts, Grammar::Number),
    harmless(&["ObscureKeystrokeTiming"], Grammar::Checked(checks::keystrokes, "yes, no or interval:MILLISECONDS"), "there are no keystrokes"),
    honoured(&["PasswordAuthentication"], Key::PasswordAuthentication, FLAG),
    known(&["PermitLocalCommand"], Key::PermitLocalCommand, FLAG, "has an effect with LocalCommand only, which is then refused"),
    harmless(&["PermitRemoteOpen"], Grammar::Destinations, FORWARDING),
    refused(&["PKCS11Provider", "SmartcardDevice"], Key::Pkcs11Provider, Grammar::Word, &["none"], "load the token into the agent with ssh-add -s, and -O PKCS11Provider=none"),
    honoured(&["Port"], Key::Port, Grammar::Port),
    honoured(&["PreferredAuthentications"], Key::PreferredAuthentications, Grammar::Word),
    honoured(&["ProxyCommand"], Key::ProxyCommand, Grammar::Command),
    honoured(&["ProxyJump"], Key::ProxyJump, Grammar::Jump),
    refused(&["ProxyUseFdpass"], Key::ProxyUseFdpass, FLAG, &["no"], "use a ProxyCommand that copies bytes, and -O ProxyUseFdpass=no"),
    honoured(&["PubkeyAcceptedAlgorithms", "PubkeyAcceptedKeyTypes"], Key::PubkeyAcceptedAlgorithms, Grammar::Algorithms(Family::Key)),
    honoured(&["PubkeyAuthentication", "DSAAuthentication"], Key::PubkeyAuthentication, Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("unbound", "unbound"), ("host-bound", "host-bound")])),
    refused(&["RefuseConnection"], Key::RefuseConnection, Grammar::Words(1, usize::MAX), &[], "the configuration forbids this host"),
    harmless(&["RekeyLimit"], Grammar::RekeyLimit, "keys are exchanged again when the host asks for it"),
    refused(&["RemoteCommand"], Key::RemoteCommand, Grammar::Command, &["none"], "sshoal runs the command that it is given; -O RemoteCommand=none"),
    refused(&["RemoteForward"], Key::RemoteForward, Grammar::Forward(Forward::Remote), &[], "nothing listens on the host; -O ClearAllForwardings=yes"),
    refused(&["RequestTTY"], Key::RequestTty, Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("force", "force"), ("auto", "auto")]), &["yes", "no", "auto"], "commands run without a terminal; -O RequestTTY=no"),
    honoured(&["RequiredRSASize", "RSAMinSize"], Key::RequiredRsaSize, Grammar::Number),
    honoured(&["RevokedHostKeys"], Key::RevokedHostKeys, Grammar::Word),
    harmless(&["SecurityKeyProvider"], Grammar::Word, "security keys sign through the agent only"),
    honoured(&["SendEnv"], Key::SendEnv, Grammar::SendEnv),
    honoured(&["ServerAliveCountMax"], Key::ServerAliveCountMax, Grammar::Number),
    honoured(&["ServerAliveInterval", "ProtocolKeepAlives", "SetupTimeOut"], Key::ServerAliveInterval, Grammar::Time),
    refused(&["SessionType"], Key::SessionType, Grammar::OneOf(&[("none", "none"), ("subsystem", "subsystem"), ("default", "default")]), &["default"], "sshoal runs commands; -O SessionType=default"),
    honoured(&["SetEnv"], Key::SetEnv, Grammar::SetEnv),
    harmless(&["StdinNull"], FLAG, "commands get input only when sshoal is told to give them some"),
    harmless(&["StreamLocalBindMask"], Grammar::Checked(checks::mask, "octal mask"), FORWARDING),
    harmless(&["StreamLocalBindUnlink"], FLAG, FORWARDING),
    honoured(&["StrictHostKeyChecking"], Key::StrictHostKeyChecking, Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("off", "no"), ("ask", "ask"), ("accept-new", "accept-new")])),
    harmless(&["SyslogFacility"], Grammar::OneOf(&[("DAEMON", "DAEMON"), ("USER", "USER"), ("AUTH", "AUTH"), ("AUTHPRIV", "AUTHPRIV"), ("LOCAL0", "LOCAL0"), ("LOCAL1", "LOCAL1"), ("LOCAL2", "LOCAL2"), ("LOCAL3", "LOCAL3"), ("LOCAL4", "LOCAL4"), ("LOCAL5", "LOCAL5"), ("LOCAL6", "LOCAL6"), ("LOCAL7", "LOCAL7")]), "nothing is sent to syslog"),
    honoured(&["Tag"], Key::Tag, Grammar::Word),
    honoured(&["TCPKeepAlive", "KeepAlive"], Key::TcpKeepAlive, FLAG),
    refused(&["Tunnel"], Key::Tunnel, Grammar::OneOf(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no"), ("point-to-point", "point-to-point"), ("ethernet", "ethernet")]), &["no"], "no tunnel device is opened; -O Tunnel=no"),
    harmless(&["TunnelDevice"], Grammar::Checked(checks::tunnel, "pair of tunnel devices"), "has an effect with Tunnel only, which is refused"),
    known(&["UpdateHostKeys"], Key::UpdateHostKeys, YES_NO_ASK, "keys that hosts tell of are not stored"),
    harmless(&["UseKeychain"], FLAG, "is for the keychain of macOS, whose ssh alone has it"),
    honoured(&["User"], Key::User, Grammar::Word),
    honoured(&["UserKnownHostsFile"], Key::UserKnownHostsFile, Grammar::KnownHosts),
    refused_if_asked(&["VerifyHostKeyDNS"], Key::VerifyHostKeyDns, YES_NO_ASK, &["no", "ask"], "host keys are not looked up in the DNS; add them to known_hosts, and -O VerifyHostKeyDNS=no"),
    harmless(&["VersionAddendum"], Grammar::Words(1, usize::MAX), "is for the eyes of the host only"),
    harmless(&["VisualHostKey"], FLAG, "no key is drawn"),
    harmless(&["WarnWeakCrypto"], Grammar::Words(1, usize::MAX), "is about a warning of ssh"),
    harmless(&["XAuthLocation"], Grammar::Word, DISPLAY),
    obsolete(&["Protocol", "Cipher", "FallBackToRsh", "GlobalKnownHostsFile2", "RhostsAuthentication", "UserKnownHostsFile2", "UseRoaming", "UseRsh", "UsePrivilegedPort"], "was taken out of ssh"),
    obsolete(&["AFSTokenPassing", "KerberosAuthentication", "KerberosTGTPassing", "RSAAuthentication", "RhostsRSAAuthentication", "CompressionLevel"], "is not supported by ssh"),
];
