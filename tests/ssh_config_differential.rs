//! Generated configurations against `ssh -G`, which reads them by the code of OpenSSH.

#[path = "ssh_config_differential/differences.rs"]
mod differences;
#[path = "ssh_config_differential/dump.rs"]
mod dump;
#[path = "ssh_config_differential/generate.rs"]
mod generate;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use differences::{explained, is_no_host, refused_by_one};
use dump::Dump;
use generate::{Case, Random};
use sshoal_session::Host;
use sshoal_session::ssh_config::{
    Fault, Local, MatchExec, Options, SshConfig, SshConfigError, keywords,
};

/// What both sides know of this machine.
struct World {
    dir: tempfile::TempDir,
    local: Local,
    /// The home directory that ssh takes from the password file, whatever `HOME` says.
    passwd_home: String,
    default: Dump,
    supported: Dump,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        std::fs::create_dir(dir.path().join(".ssh")).expect("makes .ssh");
        let home = dir.path().display().to_string();
        let passwd_home = Local::of_this_process().home().to_owned();
        let environment = environment(&home).map(|(name, value)| (name.to_owned(), value));
        let local = Local::of_this_process()
            .with_home(&home)
            .with_environment(environment);
        let mut world = Self {
            dir,
            local,
            passwd_home,
            default: Dump::new(),
            supported: Dump::new(),
        };
        let empty = world.write("empty", "");
        let printed = world.ssh(&empty, &[], &host("nobody-asks-for-this"));
        world.default = dump::read(&printed.expect("ssh -G takes an empty file"));
        for (keyword, query) in [
            ("ciphers", "cipher"),
            ("macs", "mac"),
            ("kexalgorithms", "kex"),
            ("hostkeyalgorithms", "HostKeyAlgorithms"),
            ("pubkeyacceptedalgorithms", "PubkeyAcceptedAlgorithms"),
            ("casignaturealgorithms", "sig"),
        ] {
            let output = Command::new("ssh")
                .args(["-Q", query])
                .output()
                .expect("ssh runs");
            let names = String::from_utf8(output.stdout).expect("names are ASCII");
            let names: Vec<_> = names.lines().collect();
            world
                .supported
                .insert(keyword.to_owned(), vec![names.join(",")]);
        }
        world
    }

    /// Writes a file below `.ssh` that only we can write.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(".ssh").join(name);
        std::fs::create_dir_all(path.parent().expect("has a directory")).expect("makes it");
        let _ = std::fs::remove_file(&path);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        std::io::Write::write_all(&mut file.expect("creates the file"), text.as_bytes())
            .expect("writes the file");
        path
    }

    /// Asks ssh; an error is what it says of the configuration.
    fn ssh(&self, file: &Path, options: &[String], host: &Host) -> Result<String, String> {
        let mut command = Command::new("ssh");
        command
            .env_clear()
            .envs(environment(&self.dir.path().display().to_string()));
        command.arg("-G").arg("-F").arg(file);
        if let Some(user) = host.user() {
            command.args(["-l", user]);
        }
        if let Some(port) = host.port() {
            command.arg("-p").arg(port.to_string());
        }
        for option in options {
            command.arg("-o").arg(option);
        }
        command.arg(host.name()).stdin(Stdio::null());
        let output = command.output().expect("ssh runs (Debian: openssh-client)");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    /// Asks us, as ssh reads everything for each host.
    fn ours(
        &self,
        file: &Path,
        options: &[String],
        host: &Host,
    ) -> Result<Options, SshConfigError> {
        let builder = SshConfig::builder(self.local.clone()).match_exec(MatchExec::Run);
        let builder = options
            .iter()
            .fold(builder, |builder, option| builder.option(option));
        builder.file(file).load()?.lookup(host)
    }

    /// Puts one word in place of the home directories of both sides, where a path begins with one.
    fn homeless(&self, text: &str) -> String {
        let own = self.dir.path().display().to_string();
        let word = |word: &str| {
            let homes = [own.as_str(), self.passwd_home.trim_end_matches('/')];
            let rest = homes.iter().find_map(|home| word.strip_prefix(home));
            match rest.filter(|rest| rest.starts_with('/')) {
                Some(rest) => format!("HOME{rest}"),
                None => word.to_owned(),
            }
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

fn environment(home: &str) -> impl Iterator<Item = (&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    [
        ("HOME", home.to_owned()),
        ("PATH", path),
        ("SHELL", "/bin/sh".to_owned()),
        ("V", "/v".to_owned()),
    ]
    .into_iter()
}

fn host(text: &str) -> Host {
    text.parse().expect("names a host")
}

/// The hosts that every configuration is asked for.
fn hosts() -> Vec<Host> {
    [
        "web1",
        "deploy@Web2:2022",
        "db.example.org",
        "10.0.0.1",
        "::1",
    ]
    .map(host)
    .into()
}

/// How many of `full` cases to try: all if the variable says so, or the number that it says.
fn cases(default: usize) -> usize {
    std::env::var("SSHOAL_SSH_CONFIG_CASES").map_or(default, |n| n.parse().expect("is a number"))
}

fn seed() -> u64 {
    std::env::var("SSHOAL_SSH_CONFIG_SEED").map_or(20_260_101, |n| n.parse().expect("is a number"))
}

/// Method: each case is a file, up to three that it includes and options of a command line; two of
/// the hosts are looked up by both sides, and every option that we honour is compared.
#[test]
fn says_what_ssh_says() {
    let (cases, seed) = (cases(200), seed());
    println!("seed {seed}, {cases} cases");
    let world = &*WORLD;
    let mut said = 0;
    let mut findings: Vec<String> = Vec::new();
    for number in 0..cases {
        let before = findings.len();
        let mut random = Random::new(seed.wrapping_add(number as u64));
        let directory = format!("case{number}");
        let case = generate::case(&mut random, &directory);
        let file = write_case(world, &directory, &case);
        let mut all = hosts();
        let picked = [all.remove(random.below(5)), all.remove(random.below(4))];
        for host in &picked {
            let ours = world.ours(&file, &case.options, host);
            let theirs = world.ssh(&file, &case.options, host);
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    let theirs = dump::read(theirs);
                    let different = compare(world, ours, &theirs);
                    said += theirs.len();
                    findings.extend(different.map(|line| format!("case {number}, {host}: {line}")));
                }
                // `%h.example.org` of an address.
                (Err(ours), Ok(_)) if is_no_host(ours) => {}
                (Err(ours), Ok(_)) => {
                    findings.push(format!("case {number}, {host}: we refuse: {}", chain(ours)));
                }
                (Ok(_), Err(theirs)) => {
                    findings.push(format!("case {number}, {host}: ssh refuses: {theirs}"));
                }
                (Err(_), Err(_)) => {}
            }
        }
        if findings.len() > before {
            println!("=== case {number}\n{}", shown(&case));
        }
        // Enough to see what they have in common.
        if findings.len() > 9 {
            break;
        }
    }
    assert!(findings.is_empty(), "seed {seed}:\n{}", findings.join("\n"));
    println!("{cases} cases, {said} lines of ssh -G");
}

fn write_case(world: &World, directory: &str, case: &Case) -> PathBuf {
    for (name, text) in &case.included {
        world.write(&format!("{directory}/{name}"), text);
    }
    world.write(&format!("{directory}/main"), &case.main)
}

fn shown(case: &Case) -> String {
    let included = case.included.iter();
    let included: Vec<_> = included
        .map(|(name, text)| format!("--- {name}\n{text}"))
        .collect();
    let options = &case.options;
    format!(
        "options {options:?}\n--- main\n{}\n{}",
        case.main,
        included.join("\n")
    )
}

/// The lines that differ, if there are any.
fn compare(world: &World, options: &Options, theirs: &Dump) -> Option<String> {
    let mut found = Vec::new();
    for (keyword, ours) in dump::ours(options, &world.default, &world.supported) {
        let ours: Vec<_> = ours.iter().map(|line| world.homeless(line)).collect();
        let theirs = theirs.get(&keyword).cloned().unwrap_or_default();
        let theirs: Vec<_> = theirs.iter().map(|line| world.homeless(line)).collect();
        if ours != theirs && !explained(&keyword, &ours, &theirs, options) {
            found.push(format!("{keyword}: we say {ours:?}, ssh {theirs:?}"));
        }
    }
    (!found.is_empty()).then(|| found.join("\n  "))
}

/// An error with its causes.
fn chain(error: &SshConfigError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Values of every kind, fitting and not.
const VALUES: [&str; 44] = [
    "yes",
    "No",
    "true",
    "ask",
    "auto",
    "force",
    "none",
    "NONE",
    "always",
    "0",
    "22",
    "-1",
    "+5",
    "65536",
    "99999999999",
    "1m30s",
    "1x",
    "5 5",
    "yes no",
    "none a",
    "a none",
    "a",
    "a b c",
    "a,b",
    "\"\"",
    "\"a b\"",
    "'a",
    "a\"",
    "# only",
    "yes # and",
    "= yes",
    "/p/%h",
    "/p/%t",
    "%",
    "~/x",
    "${V}",
    "${NOT_SET}",
    "${",
    "$V",
    "A=1",
    "aes128-ctr",
    "+ssh-rsa",
    "^hmac-sha1,x",
    "-x*",
];

/// Method: every keyword with every value, in a section that applies and in one that does not;
/// values that sshoal refuses because it has not what they ask for count as taken.
#[test]
fn refuses_what_ssh_refuses() {
    let world = &*WORLD;
    let all: Vec<(&str, &str, bool)> = keywords()
        .iter()
        .flat_map(|keyword| keyword.names)
        .flat_map(|name| VALUES.iter().map(move |value| (*name, *value)))
        .flat_map(|(name, value)| [(name, value, true), (name, value, false)])
        .collect();
    // Each 17th, or as many more as there are more cases.
    let step = (17 * 200 / cases(200).max(1)).max(1);
    let mut findings = Vec::new();
    let mut refused = 0;
    for (name, value, applies) in all.iter().step_by(step) {
        let head = if *applies { "" } else { "Host other\n" };
        let file = world.write("refusal", &format!("{head}{name} {value}\n"));
        let theirs = world.ssh(&file, &[], &host("web1"));
        // An option of later versions.
        if theirs
            .as_ref()
            .is_err_and(|said| said.contains("Bad configuration option"))
        {
            continue;
        }
        let ours = match world.ours(&file, &[], &host("web1")) {
            Err(SshConfigError::Option { source, .. })
                if matches!(*source, Fault::Refused { .. }) =>
            {
                Ok(())
            }
            other => other.map(drop),
        };
        refused += usize::from(theirs.is_err());
        let explained = refused_by_one(name, value);
        match (ours, theirs) {
            (Ok(()), Err(theirs)) if !explained => {
                findings.push(format!(
                    "{name} {value} ({applies}): ssh refuses: {}",
                    theirs.trim()
                ));
            }
            (Err(ours), Ok(_)) if !explained => {
                findings.push(format!(
                    "{name} {value} ({applies}): we refuse: {}",
                    chain(&ours)
                ));
            }
            _ => {}
        }
    }
    println!(
        "{} lines, {refused} of them refused by ssh",
        all.len() / step
    );
    assert!(
        findings.is_empty(),
        "{} differ:\n{}",
        findings.len(),
        findings.join("\n")
    );
}
