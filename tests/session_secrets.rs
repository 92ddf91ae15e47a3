//! Secrets leave no trace: not in a log, an error, a report of Debug, the process's arguments and environment, nor in
//! its memory, the stacks of threads left out, once everything that needed them is dropped.
//!
//! One test, alone in its process. The secrets stand here masked, so that the program itself does not hold them.

#![expect(
    clippy::print_stderr,
    reason = "figures and findings are for people to read"
)]

mod support;

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use sshoal::{
    Answers, Challenge, Config, ConfigBuilder, Host, HostKeyPolicy, Identity, Launch, Method,
    Secret, Session, Sudo,
};
use support::{
    account::ACCOUNT,
    sessions::{LIMIT, host, host_keys},
    sshd::Sshd,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const MASK: u8 = 0x5a;

/// The password of the account and the passphrase of the keys, masked.
const CANARY: [u8; 20] = [
    57, 59, 52, 59, 40, 35, 119, 53, 60, 119, 109, 60, 105, 63, 119, 41, 51, 52, 61, 41,
];

/// The first key's private part, masked.
const SEED: [u8; 32] = [
    251, 33, 46, 234, 108, 39, 83, 203, 153, 158, 120, 67, 147, 102, 193, 106, 110, 109, 119, 151,
    21, 255, 96, 195, 244, 224, 27, 79, 34, 152, 95, 241,
];

/// The password as accounts have it.
const HASH: &str = "$6$sshoaltest$iUIFZv5P20qIuxhSgsGXQ7PMHxt9YQyVE6ldE5b8QTYKJNrSbMtWyJrmJIPB7Xn9cu.QHHgHMFrUZxrB9oeCZ.";

/// Ed25519 in OpenSSH's format, 24 rounds of bcrypt.
const ED25519: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD5ccaNOr
zbr5229jrwxTWdAAAAGAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIN5pm74qtlKcJlUs
nN36viMzO8J1pl0Me+TvPV3xdvBgAAAAkLVZ1rszoorxJkD1Z0cBaPommXugQkK4tyUHiS
4JtvW6WfrWGg2o3ryKtzJPhnCB9GtpLC/4bSExF+VMTLy65Xz78MKxBKxjcloRU1DPiecx
2VeEJGz0LNSu5loYkCDbAcfBlcAXcVQFgEbeq/+ta4fdjkjBJyqC894qWIFKyej3TXS2RR
Ww5las09uDpL7ftw==
-----END OPENSSH PRIVATE KEY-----
";
const ED25519_PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN5pm74qtlKcJlUsnN36viMzO8J1pl0Me+TvPV3xdvBg sshoal test";

/// ECDSA in PKCS#8.
const ECDSA: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh/m5C09AgOxgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEF1HKnSraAMtMy+zRNEN/80EgZBY
VauTpZ8PxTl1Ukvb44ZV0eByipanBwA5S15NkvC1dGYIn47T1wurYDdH+EL1qN8U
svZD6btMSahqk8E2TDJ8lduvs8t2nxfnA2j8thkpW++f0bMqMo/ES3tr2DezZg/M
/Zl31p4vH+z20NoH22ol5HA0pC4oxx38RNo5XbzgvMt9/a2dGVX8pAqd25s3Tvw=
-----END ENCRYPTED PRIVATE KEY-----
";
const ECDSA_PUBLIC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEeNBDkvQ/rnTxTDTL+bn64eC7T+DBbZMv7DriSBkhKaBkG5Xch3WFuzcZ+ssUGq9Y7vApfhMS68dOdrBx8lmp8= ";

/// What the standard library gives a thread, with a page before it that nobody may touch.
const THREAD_STACK_BYTES: u64 = 2 * 1024 * 1024;

const PAM: [&str; 3] = [
    "auth required pam_unix.so nodelay",
    "account required pam_permit.so",
    "session required pam_permit.so",
];

/// The secret in clear, for as long as it is held.
fn canary() -> Secret {
    Secret::from(CANARY.iter().map(|byte| byte ^ MASK).collect::<Vec<u8>>())
}

/// One that is wrong, and contains the secret.
fn wrong() -> Secret {
    let mut bytes = Vec::with_capacity(CANARY.len() + 1);
    bytes.extend(CANARY.iter().map(|byte| byte ^ MASK));
    bytes.push(b'!');
    Secret::from(bytes)
}

/// Where a masked needle stands in clear.
fn find(haystack: &[u8], masked: &[u8]) -> Option<usize> {
    let is_here = |window: &[u8]| window.iter().zip(masked).all(|(a, b)| a ^ MASK == *b);
    haystack.windows(masked.len()).position(is_here)
}

/// Keeps everything that is traced, at every level.
#[derive(Clone, Default)]
struct Everything {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Fields(&mut self.text.lock().expect("no panic")));
        span::Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Fields(&mut self.text.lock().expect("no panic")));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = self.text.lock().expect("no panic");
        let _ = write!(text, "\n{}", event.metadata().target());
        event.record(&mut Fields(&mut text));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Typed;

impl Answers for Typed {
    fn answer(&self, _host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        Some(challenge.prompts().iter().map(|_| canary()).collect())
    }
}

/// Every way of authentication with the secret, successful and failed; returns what was printed about it.
fn use_the_secret(sshd: &Sshd) -> String {
    let mut printed = String::new();
    let bare = || {
        let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
        let config = Config::builder(keys).user(ACCOUNT);
        config.connect_timeout(Some(LIMIT))
    };
    let mut connect = |config: ConfigBuilder, is_right: bool| {
        let config = config.build().expect("a whole configuration");
        let _ = write!(printed, "{config:?}");
        let result = Session::connect(&host(sshd.socket()), &config);
        assert_eq!(result.is_ok(), is_right, "{result:?}");
        if let Ok(session) = &result {
            let output = session.command("true").output().expect("runs");
            let _ = write!(printed, "{output:?}");
        }
        let _ = write!(printed, "{result:?}");
        if let Err(error) = result {
            let _ = write!(printed, "{error} {:?}", std::error::Error::source(&error));
        }
    };
    for key in [ED25519, ECDSA] {
        let identity = Identity::parse(key.as_bytes(), Some(&canary())).expect("decrypts");
        connect(bare().identity(Arc::new(identity)), true);
        let error = Identity::parse(key.as_bytes(), Some(&wrong())).expect_err("is another");
        connect(
            bare().methods([Method::PublicKey]).password(canary()),
            false,
        );
        let _ = error.to_string();
    }
    let by = |method| bare().methods([method]);
    connect(by(Method::Password).password(canary()), true);
    connect(by(Method::Password).password(wrong()), false);
    connect(by(Method::KeyboardInteractive).password(canary()), true);
    connect(by(Method::KeyboardInteractive).password(wrong()), false);
    connect(
        by(Method::KeyboardInteractive).answers(Arc::new(Typed)),
        true,
    );
    printed
}

/// The same for sudo, right and wrong, on another server; returns what was printed about it.
fn give_it_to_sudo() -> String {
    let rules = [
        "Defaults timestamp_timeout=0, lecture=never, !syslog",
        "ALL ALL=(ALL:ALL) ALL",
    ];
    let sshd = Sshd::builder()
        .sudoer(HASH, &rules)
        .config("UsePAM yes")
        .config("PasswordAuthentication yes")
        .start()
        .expect("as the other one");
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    let config = Config::builder(keys).user(ACCOUNT).password(canary());
    let config = config.build().expect("a whole configuration");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let mut printed = String::new();
    for (secret, is_right) in [(canary(), true), (wrong(), false)] {
        let launch = Launch::new().sudo(Sudo::new().password(Arc::new(secret)));
        let result = session.command("id -un").launch(&launch).output();
        assert_eq!(result.is_ok(), is_right, "{result:?}");
        let line = launch.wrap(b"id -un").expect("can be launched");
        let line = String::from_utf8_lossy(&line);
        let _ = write!(printed, "{launch:?} {result:?} {line}");
    }
    printed
}

/// The places of this process's memory that it can write to and that hold a needle, but for the stacks of threads:
/// there a call's locals stay until the next call overwrites them, which `SECURITY.md` says.
fn remains(masked: &[u8]) -> Vec<String> {
    let memory = File::open("/proc/self/mem").expect("opens the memory");
    let maps = File::open("/proc/self/maps").expect("opens the list of maps");
    let mut found = Vec::new();
    let mut guard_end = 0;
    for line in BufReader::new(maps).lines() {
        let line = line.expect("reads a map");
        let (range, rest) = line.split_once(' ').expect("a range and what is there");
        let (start, end) = range.split_once('-').expect("two ends");
        let [start, end] =
            [start, end].map(|number| u64::from_str_radix(number, 16).expect("a number"));
        if rest.starts_with("---p") {
            guard_end = end;
        }
        if !rest.starts_with("rw") {
            continue;
        }
        let is_stack = guard_end == start && end - start == THREAD_STACK_BYTES;
        let mut bytes = vec![0; usize::try_from(end - start).expect("fits")];
        // Parts that were never touched cannot be read, and hold nothing.
        let read = memory.read_at(&mut bytes, start).unwrap_or(0);
        let mut from = 0;
        while let Some(at) = find(&bytes[from..read], masked) {
            from += at + 1;
            let place = format!("{line} at {:#x}", start + from as u64 - 1);
            match is_stack {
                true => eprintln!("on a thread's stack: {place}"),
                false => found.push(place),
            }
        }
        // The copy must not be found in a later map.
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
    found
}

#[test]
fn secrets_leave_no_trace() {
    let Some(sshd) = Sshd::builder()
        .account(HASH, &PAM)
        .config("UsePAM yes")
        .config("PasswordAuthentication yes")
        .config("KbdInteractiveAuthentication yes")
        .start()
    else {
        return;
    };
    sshd.authorize(ED25519_PUBLIC);
    sshd.authorize(ECDSA_PUBLIC);
    let everything = Everything::default();
    tracing::subscriber::set_global_default(everything.clone()).expect("is the first");
    {
        // The search finds what is there: else nothing below would mean anything.
        let held = canary();
        assert!(!remains(&CANARY).is_empty());
        drop(held);
    }
    let printed = use_the_secret(&sshd) + &give_it_to_sudo();
    let logged = everything.text.lock().expect("no panic").clone();
    let read = |name| std::fs::read(format!("/proc/self/{name}")).expect("reads");
    for (what, text) in [
        ("printed", printed.into_bytes()),
        ("logged", logged.into_bytes()),
        ("arguments", read("cmdline")),
        ("environment", read("environ")),
    ] {
        assert!(find(&text, &CANARY).is_none(), "{what}");
        assert!(find(&text, &SEED).is_none(), "{what}");
    }
    assert_eq!(remains(&CANARY), [""; 0], "the password or passphrase");
    assert_eq!(remains(&SEED), [""; 0], "the private key");
}
