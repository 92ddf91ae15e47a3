//! Makes configurations: deterministic by a seed, and made of all that ssh_config can have.

use std::fmt::Write as _;

/// A small generator of numbers (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("is small")
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A file and those that it includes, by their names below `.ssh`.
pub(crate) struct Case {
    pub(crate) main: String,
    pub(crate) included: Vec<(String, String)>,
    /// Options of the command line.
    pub(crate) options: Vec<String>,
}

pub(crate) fn case(random: &mut Random, directory: &str) -> Case {
    let mut included = Vec::new();
    for at in 0..random.below(4) {
        let name = format!("inc{at}.conf");
        // Only the first one includes, so that none includes itself.
        let text = file(
            random,
            if at == 1 { &["inc0.conf"] } else { &[] },
            directory,
        );
        included.push((name, text));
    }
    let names: Vec<String> = included.iter().map(|(name, _)| name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let main = file(random, &names, directory);
    let options = (0..random.below(3)).map(|_| {
        let (keyword, value) = option(random);
        let separator = random.pick(&["=", " ", " = "]);
        format!("{keyword}{separator}{value}")
    });
    let options = options.collect();
    Case {
        main,
        included,
        options,
    }
}

fn file(random: &mut Random, includes: &[&str], directory: &str) -> String {
    let mut text = String::new();
    for _ in 0..random.below(6) + 1 {
        if random.one_in(4) {
            let criteria = criteria(random);
            line(random, &mut text, "Match", &criteria);
        } else if !random.one_in(4) {
            let patterns = hosts(random);
            line(random, &mut text, "Host", &patterns);
        }
        for _ in 0..random.below(6) {
            match random.below(12) {
                0 => text.push_str(random.pick(&["\n", "# Port 1\n", "  \t\n", "   # x \"\n"])),
                1 if !includes.is_empty() => {
                    let name = match random.below(4) {
                        0 => format!(
                            "\"{directory}/{}\" {directory}/*.none",
                            random.pick(includes)
                        ),
                        1 => format!("~/.ssh/{directory}/inc?.conf"),
                        2 => format!("{directory}/{}", random.pick(includes)),
                        _ => format!("{directory}/missing {directory}/inc[01].*"),
                    };
                    line(random, &mut text, "Include", &name);
                }
                _ => {
                    let (keyword, value) = option(random);
                    line(random, &mut text, keyword, &value);
                }
            }
        }
    }
    if random.one_in(6) {
        text = text.trim_end_matches('\n').to_owned();
    }
    text
}

/// Writes a line in one of the ways that mean the same.
fn line(random: &mut Random, text: &mut String, keyword: &str, value: &str) {
    let keyword = match random.below(4) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.to_owned(),
    };
    let mut separator = random.pick(&[" ", " ", "\t", "=", " = ", "  =\t"]);
    let mut quote = "";
    if random.one_in(20) {
        // After a quote an equals sign is part of the value.
        (quote, separator) = ("\"", " ");
    }
    let indent = random.pick(&["", "", "  ", "\t"]);
    let end = random.pick(&["\n", "\n", "\r\n", "  \n"]);
    let _ = write!(
        text,
        "{indent}{quote}{keyword}{quote}{separator}{value}{end}"
    );
}

fn hosts(random: &mut Random) -> String {
    let all = [
        "*",
        "web*",
        "web1",
        "WEB*",
        "!web1",
        "!web*",
        "w?b1",
        "*.example.org",
        "!db.example.org",
        "10.0.0.?",
        "Web2",
        "\"web1\"",
        "target",
        "target.example.org",
        "::1",
        "?*",
        "!*",
    ];
    let count = random.below(3) + 1;
    let picked: Vec<_> = (0..count).map(|_| random.pick(&all)).collect();
    picked.join(random.pick(&[" ", "  ", "\t"])) + random.pick(&["", "", " # web1 *"])
}

fn criteria(random: &mut Random) -> String {
    let negated = |random: &mut Random| if random.one_in(3) { "!" } else { "" };
    if random.one_in(5) {
        let before = random.pick(&["", "", "final ", "canonical ", "!final "]);
        return format!("{before}{}all", negated(random));
    }
    let mut text = String::new();
    for _ in 0..random.below(3) + 1 {
        let not = negated(random);
        let separator = random.pick(&[" ", " ", "=", " = "]);
        let list = match random.below(8) {
            0 => {
                let _ = write!(
                    text,
                    "{not}{} ",
                    random.pick(&["final", "canonical", "FINAL"])
                );
                continue;
            }
            1 | 2 => (
                "host",
                random.pick(&["web*", "WEB1", "*.org,!db*", "10.*", "target*,web2"]),
            ),
            3 => (
                "originalhost",
                random.pick(&["web*", "*,!web1", "Web2", "db*", "::*"]),
            ),
            4 | 5 => (
                "user",
                random.pick(&["deploy", "root", "*,!deploy", "a*,d*", "me@x"]),
            ),
            6 => (
                "localuser",
                random.pick(&["*", "!*", "nobody-at-all", "r*,*"]),
            ),
            _ => (
                "exec",
                random.pick(&["true", "false", "\"test %p = 22\"", "\"test %h = web1\""]),
            ),
        };
        let _ = write!(text, "{not}{}{separator}{} ", list.0, list.1);
    }
    text.trim_end().to_owned() + random.pick(&["", "", "", " # comment"])
}

/// One option and a value that ssh and we take.
pub(crate) fn option(random: &mut Random) -> (&'static str, String) {
    let flag = random.pick(&["yes", "no", "Yes", "true", "FALSE"]);
    match random.below(5) {
        0 => {
            let keyword = random.pick(&FLAGS);
            (keyword, flag.to_owned())
        }
        1 => {
            let (keyword, values) = LISTS[random.below(LISTS.len())];
            (keyword, random.pick(values).to_owned())
        }
        2 => {
            let (keyword, names) = ALGORITHMS[random.below(ALGORITHMS.len())];
            let count = random.below(3) + 1;
            let names: Vec<_> = (0..count).map(|_| random.pick(names)).collect();
            let sign = random.pick(&["", "+", "-", "^"]);
            (keyword, format!("{sign}{}", names.join(",")))
        }
        3 => {
            let (keyword, pieces) = PATHS[random.below(PATHS.len())];
            (keyword, path(random, pieces))
        }
        _ => {
            let (keyword, values) = VALUES[random.below(VALUES.len())];
            (keyword, random.pick(values).to_owned())
        }
    }
}

/// Paths with tokens, in one of the ways to quote them; one or several.
fn path(random: &mut Random, most: usize) -> String {
    if random.one_in(10) {
        return random.pick(&["none", "NONE"]).to_owned();
    }
    let count = random.below(most) + 1;
    let one = |random: &mut Random| {
        let begin = random.pick(&["~/", "/k/", "${HOME}/", "%d/", "~/.ssh/", "~root/", "rel/"]);
        let pieces = [
            "%%", "%h", "%n", "%p", "%r", "%u", "%i", "%L", "%l", "%k", "id", "${V}", "a b", "#",
            "%C", "k_", "$V",
        ];
        let mut text = begin.to_owned();
        for _ in 0..random.below(3) + 1 {
            text.push_str(random.pick(&pieces));
        }
        match random.below(3) {
            0 if !text.contains(' ') => text,
            1 => format!("'{text}'"),
            2 if text.contains(' ') => text.replace(' ', "\\ "),
            _ => format!("\"{text}\""),
        }
    };
    let paths: Vec<_> = (0..count).map(|_| one(random)).collect();
    paths.join(" ")
}

const FLAGS: [&str; 21] = [
    "BatchMode",
    "CheckHostIP",
    "HashKnownHosts",
    "IdentitiesOnly",
    "KbdInteractiveAuthentication",
    "ChallengeResponseAuthentication",
    "NoHostAuthenticationForLocalhost",
    "PasswordAuthentication",
    "PubkeyAuthentication",
    "StrictHostKeyChecking",
    "TCPKeepAlive",
    "UpdateHostKeys",
    "ForwardAgent",
    "HostbasedAuthentication",
    "ExitOnForwardFailure",
    "VisualHostKey",
    "ForwardX11",
    "StdinNull",
    "PermitLocalCommand",
    "GatewayPorts",
    "KeepAlive",
];

const KEYS: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "rsa-sha2-512",
    "ecdsa-sha2-*",
    "ssh-*",
    "rsa-sha2-256",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-*",
];

const ALGORITHMS: [(&str, &[&str]); 7] = [
    (
        "Ciphers",
        &[
            "aes128-ctr",
            "aes256-gcm@openssh.com",
            "3des-cbc",
            "aes256-cbc",
        ],
    ),
    (
        "MACs",
        &[
            "hmac-sha1",
            "hmac-md5",
            "umac-64@openssh.com",
            "hmac-sha2-256-etm@openssh.com",
        ],
    ),
    (
        "KexAlgorithms",
        &[
            "curve25519-sha256",
            "diffie-hellman-group1-sha1",
            "ecdh-sha2-nistp256",
        ],
    ),
    ("HostKeyAlgorithms", &KEYS),
    ("PubkeyAcceptedAlgorithms", &KEYS),
    ("PubkeyAcceptedKeyTypes", &KEYS),
    (
        "CASignatureAlgorithms",
        &[
            "ssh-ed25519",
            "rsa-sha2-512",
            "ecdsa-sha2-nistp256",
            "ssh-rsa",
        ],
    ),
];

/// Options of paths, and how many they take.
const PATHS: [(&str, usize); 5] = [
    ("IdentityFile", 1),
    ("CertificateFile", 1),
    ("UserKnownHostsFile", 3),
    ("IdentityAgent", 1),
    ("RevokedHostKeys", 1),
];

const LISTS: [(&str, &[&str]); 5] = [
    (
        "SendEnv",
        &[
            "LANG LC_*",
            "A",
            "-LC_*",
            "-A B",
            "-* C",
            "B B",
            "# none",
            "-L*",
        ],
    ),
    (
        "SetEnv",
        &["A=1", "B=\"2 3\" A=4", "C=", "A=1 A=2", "'D=x y'"],
    ),
    (
        "IdentityFile",
        &["~/.ssh/id_a", "~/.ssh/id_b", "none", "'~/.ssh/id c'"],
    ),
    ("CertificateFile", &["~/.ssh/c-cert.pub", "/c"]),
    (
        "GlobalKnownHostsFile",
        &["/etc/kh", "/a /b", "none", "\"/with space\" /c # d"],
    ),
];

const VALUES: [(&str, &[&str]); 29] = [
    (
        "HostName",
        &[
            "target",
            "%h.example.org",
            "Target",
            "10.0.0.7",
            "web1",
            "%h",
            "::0001",
        ],
    ),
    ("Port", &["2222", "22", "65535", "2200"]),
    ("User", &["deploy", "root", "\"me@x\"", "alice"]),
    ("AddressFamily", &["any", "inet", "INET6"]),
    ("BindAddress", &["127.0.0.1", "\"here\""]),
    ("BindInterface", &["lo", "eth0"]),
    ("Compression", &["yes", "no", "YES"]),
    ("ConnectTimeout", &["10", "1m30", "none", "0", "2h"]),
    ("ConnectionAttempts", &["1", "5"]),
    ("ServerAliveInterval", &["15", "1m", "none", "0"]),
    ("ServerAliveCountMax", &["1", "9"]),
    ("NumberOfPasswordPrompts", &["0", "7"]),
    ("RequiredRSASize", &["2048", "3072"]),
    ("HostKeyAlias", &["alias", "Alias.Org"]),
    ("LogLevel", &["QUIET", "error", "Verbose", "FATAL", "info"]),
    (
        "PreferredAuthentications",
        &["publickey", "password,publickey", "hostbased"],
    ),
    ("PubkeyAuthentication", &["unbound", "host-bound"]),
    (
        "StrictHostKeyChecking",
        &["ask", "accept-new", "off", "ACCEPT-NEW"],
    ),
    ("UpdateHostKeys", &["ask", "no"]),
    ("VerifyHostKeyDNS", &["ask", "no", "false"]),
    (
        "ProxyJump",
        &[
            "gate",
            "me@gate:2200,10.0.0.9",
            "none",
            "ssh://me@gate:22",
            "[::7]:22",
        ],
    ),
    (
        "ProxyCommand",
        &[
            "nc %h %p",
            "none",
            "exec -a 'x y' nc %h # no comment",
            "= nc %n",
        ],
    ),
    (
        "IdentityAgent",
        &["none", "SSH_AUTH_SOCK", "$V", "${V}/s", "~/agent"],
    ),
    ("IgnoreUnknown", &["New*", "newoption,other"]),
    ("ControlMaster", &["auto", "no"]),
    ("Protocol", &["2", "2,1"]),
    ("RekeyLimit", &["1G 1h", "default none"]),
    ("AddKeysToAgent", &["yes", "confirm 5m", "1h"]),
    ("IPQoS", &["af21 cs1", "0x10"]),
];
