//! Calls that give every flag to every sub-command.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::help::Flag;
use super::sshoal;

/// A home with what flags name, and a host that refuses.
pub(crate) struct Place {
    home: tempfile::TempDir,
    /// An address where nobody listens: bound, never listened on, and let go.
    pub(crate) refuses: String,
}

impl Place {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let refuses = socket.local_addr().unwrap().to_string();
        let place = Self { home, refuses };
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        write("hosts", &format!("{}\n", place.refuses));
        write(
            "inventory.toml",
            &format!("[groups]\nweb = \"{}\"\n", place.refuses),
        );
        write("config.toml", "");
        write("file", "text\n");
        std::fs::create_dir(place.path().join("tree")).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", "key"])
            .current_dir(place.path())
            .status();
        assert!(made.unwrap().success());
        place
    }

    /// The home.
    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// The sub-command with these flags, and with all else that it has to have.
    pub(crate) fn command(&self, action: &str, flags: &[String]) -> Command {
        let mut command = sshoal(self.path());
        command.current_dir(self.path()).args(action.split(' '));
        let mut positional = positional(action).to_vec();
        // It is of all runs, and not of one.
        positional.retain(|word| *word != "last" || !flags.iter().any(|flag| flag == "--list"));
        if !NO_HOSTS.contains(&action) {
            command.args(["-H", &self.refuses]);
            if !flags.iter().any(|flag| flag == "--identity") && action != "hosts" {
                command.args(["--identity", "key"]);
            }
        }
        command.args(flags).args(positional);
        command
    }

    /// A value that is taken, and does no harm.
    fn value(&self, action: &str, long: &str) -> &str {
        match long {
            "--config" => "config.toml",
            "--hosts" => "hosts",
            "--host" | "--nodes" | "--legacy" => &self.refuses,
            "--inventory" => "inventory.toml",
            "--inventory-cmd" => "cat hosts",
            "--group" | "--host-group" | "--limit" => "web",
            "--exclude" | "--exclude-hosts" => "nobody",
            "--host-glob" => "127.*",
            "--shard" => "1/1",
            "--user" => "somebody",
            "--ssh-config" | "--jump" => "none",
            "--option" => "ConnectTimeout=20",
            "--identity" => "key",
            "--password-file" | "--stdin" | "--from" => "file",
            "--host-key" => "strict",
            "--timeout" | "--connect-timeout" | "--deadline" => "60",
            "--rate" => "100",
            "--retries" | "--wave-pause" => "0",
            "--retry-on" => "connect",
            "--env" => "NAME=value",
            "--cd" => "/",
            "--shell" | "--interpreter" => "sh",
            "--outdir" => "out",
            "--errdir" => "err",
            "--jsonl" => "jsonl",
            "--events" => "events",
            "--failed-to" => "failed",
            "--ok-to" => "ok",
            "--color" => "never",
            "--max-output" | "--max-bytes" => "64Ki",
            "--gate" => "true",
            "--confirm-above" => "9",
            "--journal" => ".local/state/sshoal/runs",
            "--journal-keep" => "90",
            "--workers" => "2",
            "--signal" => "TERM",
            "--bandwidth" | "--min-rate" => "1k",
            "--links" => "skip",
            "--name" => "{host}",
            "--localdir" => "got",
            "--local-forward" | "--remote-forward" => "0:localhost:1",
            "--mode" => "0600",
            "--owner" => "0:0",
            "--match" => "text",
            "--par" | "--pick" | "--max-fail" | "--wave" | "--transfers" | "--count"
            | "--max-names" => "1",
            _ => panic!("{action}: which value does {long} take?"),
        }
    }
}

/// Sub-commands that take no hosts.
const NO_HOSTS: [&str; 6] = [
    "resume",
    "diff",
    "install-links",
    "completions",
    "man",
    "demo",
];

/// What has to stand behind the flags.
fn positional(action: &str) -> &'static [&'static str] {
    match action {
        "run" => &["true"],
        "demo" => &["--count", "1", "true"],
        "script" => &["file"],
        "kill" => &["pattern"],
        "put" => &["file", "/there"],
        "sync" => &["tree", "/there"],
        "get" => &["/there", "here"],
        "forward" => &["-L", "0:localhost:1"],
        "resume" => &["--journal", "runs", "last"],
        "diff" => &["--journal", "runs", "last", "last"],
        "completions" => &["bash"],
        "man" | "install-links" => &["made"],
        "fs write" | "fs append" => &["--from", "file", "/there"],
        "fs mv" | "fs ln" => &["/there", "/that"],
        "fs chmod" => &["0600", "/there"],
        "fs chown" => &["0", "/there"],
        "fs truncate" => &["/there", "64Ki"],
        "fs line" => &["/there", "text"],
        "ping" | "shell" | "hosts" => &[],
        "fs df" => &["/"],
        verb if verb.starts_with("fs ") => &["/there"],
        _ => panic!("what does {action} have to have?"),
    }
}

/// Flags that do not go with all the others of a sub-command, or change what it does.
const ALONE: [&str; 39] = [
    "--inline",
    "--inline-stdout",
    "--print",
    "--name",
    "--no-config",
    "--askpass",
    "--ask-sudo",
    "--password-file",
    "--dangerous-accept-any-host-key",
    "--verbose",
    "--send-input",
    "--gather-live",
    "--fuzzy",
    "--diff",
    "--no-journal",
    "--no-summary",
    "--no-kill-on-timeout",
    "--scp",
    "--tar",
    "--overwrite",
    "--keep",
    "--no-clobber",
    "--expand",
    "--fold",
    "--groups",
    "--sudo",
    "--resume",
    "--first",
    "--all",
    "--absent",
    "--create",
    "--list",
    "--dry-run",
    "--long",
    "--redo-failed",
    "--skip-started",
    "--raw",
    "--tty",
    "--bandwidth",
];

/// The calls that give every flag to a sub-command: those that go together in one, and the others
/// one by one.
pub(crate) fn calls(place: &Place, action: &str, flags: &[Flag]) -> Vec<Vec<String>> {
    let words = |flag: &Flag| {
        let value = flag
            .takes_value
            .then(|| place.value(action, &flag.long).to_owned());
        std::iter::once(flag.long.clone()).chain(value)
    };
    let is_alone = |flag: &&Flag| {
        let is_count_of_hosts = action == "hosts" && flag.long == "--count";
        // It is told otherwise by the positional words.
        let is_said = positional(action).contains(&flag.long.as_str());
        ALONE.contains(&flag.long.as_str()) || is_count_of_hosts || is_said
    };
    let mut calls = vec![
        flags
            .iter()
            .filter(|flag| !is_alone(flag))
            .flat_map(words)
            .collect(),
    ];
    for flag in flags.iter().filter(is_alone) {
        if positional(action).contains(&flag.long.as_str()) {
            calls.push(Vec::new());
            continue;
        }
        let companion = match flag.long.as_str() {
            "--ask-sudo" => Some("--sudo".to_owned()),
            "--tar" => Some("--recursive".to_owned()),
            "--first" | "--all" => Some("--match=text".to_owned()),
            _ => None,
        };
        calls.push(words(flag).chain(companion).collect());
    }
    calls
}
