//! Completions, manual pages and the configuration file.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::screen::Screen;
use support::{output, sshoal, stderr, stdout};

/// What `--help` of a sub-command says.
#[track_caller]
fn help(home: &Path, path: &[String]) -> String {
    let output = output(sshoal(home).args(path).arg("--help"));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The long flags that a help text lists.
fn flags(help: &str) -> Vec<String> {
    let is_flag = |line: &&str| {
        let indent = line.len() - line.trim_start().len();
        indent <= 6 && line.trim_start().starts_with('-')
    };
    let long = |line: &str| {
        let flag = line
            .split_whitespace()
            .find(|word| word.starts_with("--"))?;
        Some(flag.split(['[', '=']).next()?.to_owned())
    };
    help.lines().filter(is_flag).filter_map(long).collect()
}

/// The sub-commands that a help text lists.
fn below(help: &str) -> Vec<String> {
    let from = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = from.take_while(|line| line.starts_with("  "));
    let names = names.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every sub-command by its path, with its flags.
fn every() -> Vec<(Vec<String>, Vec<String>)> {
    let home = tempfile::tempdir().unwrap();
    let (mut every, mut todo) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = todo.pop() {
        let text = help(home.path(), &path);
        let subs = below(&text).into_iter();
        todo.extend(subs.map(|name| [path.as_slice(), &[name]].concat()));
        every.push((path, flags(&text)));
    }
    let is_there = |name: &str| every.iter().any(|(path, _)| path == &[name]);
    assert!(
        ["run", "script", "ping", "kill", "shell", "fs"]
            .iter()
            .all(|name| is_there(name))
    );
    every
}

#[track_caller]
fn completions(shell: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = output(sshoal(home.path()).args(["completions", shell]));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn completions_name_every_flag_of_every_sub_command() {
    let texts = [completions("bash"), completions("zsh"), completions("fish")];
    for (path, flags) in every() {
        // How each calls the function or condition of this sub-command.
        let last = path.last().map_or("sshoal", String::as_str);
        for text in &texts {
            assert!(text.contains(last), "{path:?} is missing");
        }
        for flag in flags {
            let bare = flag.trim_start_matches('-');
            for text in &texts[..2] {
                assert!(text.contains(&flag), "{path:?} {flag} is missing");
            }
            assert!(
                texts[2].contains(&format!("-l {bare}")),
                "{path:?} {flag} is missing"
            );
        }
    }
    for text in &texts {
        assert!(!text.contains("demo-fleet"), "what is hidden is shown");
    }
}

/// Goal: bash completes with it. Method: bash itself is asked what may follow.
#[test]
fn bash_completes_sub_commands_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sshoal");
    std::fs::write(&file, completions("bash")).unwrap();
    let complete = |words: &[&str]| {
        let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                      _sshoal sshoal \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script, "bash"])
            .arg(&file)
            .args(words);
        let output = bash.stderr(Stdio::inherit()).output().unwrap();
        stdout(&output)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(complete(&["sshoal", "sc"]), ["script"]);
    assert_eq!(
        complete(&["sshoal", "run", "--connect"]),
        ["--connect-timeout"]
    );
    assert_eq!(complete(&["sshoal", "kill", "--sig"]), ["--signal"]);
    assert_eq!(complete(&["sshoal", "fs", "chm"]), ["chmod"]);
    assert!(
        complete(&["sshoal", "script", "--stdi"]).is_empty(),
        "script has no --stdin"
    );
    assert_eq!(complete(&["sshoal", "completions", "f"]), ["fish"]);
}

/// As bash: fish itself is asked what may follow.
#[test]
fn fish_completes_sub_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sshoal.fish");
    std::fs::write(&file, completions("fish")).unwrap();
    let complete = |line: &str| {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]);
        fish.arg(&file).arg(line).env("HOME", dir.path());
        let output = fish.stderr(Stdio::inherit()).output().ok()?;
        let text = stdout(&output);
        let words = text.lines().map(|line| line.split('\t').next().unwrap());
        Some(words.map(str::to_owned).collect::<Vec<_>>())
    };
    if complete("").is_none() {
        println!("skipped: fish is not installed");
        return;
    }
    for (line, words) in [
        ("sshoal sc", "script"),
        ("sshoal run --connect", "--connect-timeout"),
        ("sshoal kill --sig", "--signal"),
        ("sshoal fs chm", "chmod"),
        ("sshoal script --stdi", ""),
        ("sshoal run --color ", "always auto never"),
        ("sshoal completions f", "fish"),
    ] {
        assert_eq!(complete(line).unwrap().join(" "), words, "{line}");
    }
}

/// zsh completes on a terminal alone: what it made of a line is shown by a function in the place of the
/// program.
#[test]
fn zsh_completes_sub_commands_flags_and_values() {
    if Command::new("zsh").arg("--version").output().is_err() {
        println!("skipped: zsh is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("_sshoal"), completions("zsh")).unwrap();
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-i"]).env("HOME", dir.path());
    let mut screen = Screen::start(&zsh);
    let folder = dir.path().display();
    screen.press(&format!(
        "fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u; bindkey '^I' complete-word\n"
    ));
    screen.press("sshoal() { print ra''n:$*; }; print rea''dy\n");
    screen.wait_for("ready");
    for (line, words) in [
        ("sc", "script"),
        ("run --connect", "run --connect-timeout"),
        ("kill --sig", "kill --signal"),
        ("fs chm", "fs chmod"),
        ("run --color al", "run --color always"),
        ("completions f", "completions fish"),
    ] {
        screen.press(&format!("sshoal {line}\t\n"));
        screen.wait_for(&format!("ran:{words}\r"));
    }
    screen.press("exit\n");
    assert_eq!(screen.end().0, Some(0));
}

#[test]
fn other_shells_read_their_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["zsh", "fish"] {
        let file = dir.path().join(shell);
        std::fs::write(&file, completions(shell)).unwrap();
        match Command::new(shell).arg("-n").arg(&file).output() {
            Ok(output) => assert!(output.status.success(), "{}", stderr(&output)),
            Err(_) => println!("skipped: {shell} is not installed"),
        }
    }
}

/// The manual pages in a directory of their own.
fn pages() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("deep/man1");
    let output = output(sshoal(home.path()).arg("man").arg(&dir));
    assert!(output.status.success(), "{}", stderr(&output));
    (home, dir)
}

#[test]
fn manual_pages_name_every_flag_and_their_variables() {
    let (_home, dir) = pages();
    let every = every();
    for (path, flags) in &every {
        let name = [&["sshoal".to_owned()], path.as_slice()].concat().join("-");
        let page = std::fs::read_to_string(dir.join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        let page = page.replace("\\-", "-");
        for flag in flags {
            assert!(page.contains(flag.as_str()), "{name} lacks {flag}");
            let variable = flag
                .trim_start_matches('-')
                .replace('-', "_")
                .to_uppercase();
            // Where flags of one name say other things, their variables have other names.
            let variable = match (name.as_str(), variable.as_str()) {
                ("sshoal-hosts", "COUNT") => "HOSTS_COUNT",
                (_, "EXCLUDE") if name != "sshoal-sync" => "EXCLUDE_HOSTS",
                (_, "GROUP") if !name.starts_with("sshoal-fs") => "GROUP_HOSTS",
                (_, "HOST_GROUP") => "GROUP_HOSTS",
                (_, other) => other,
            };
            let has_one = !["--help", "--version"].contains(&flag.as_str());
            let is_there = page.contains(&format!("SSHOAL_{variable}"));
            // `demo up` takes the demo's.
            assert!(
                is_there || !has_one || name == "sshoal-demo-up",
                "{name} {flag}: no variable"
            );
        }
    }
    let files = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(files, every.len(), "a page for each and no other");
}

#[test]
fn manual_pages_are_ones() {
    let (_home, dir) = pages();
    for file in std::fs::read_dir(&dir).unwrap() {
        let file = file.unwrap().path();
        let groff = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww"])
            .arg(&file)
            .output();
        let Ok(output) = groff else {
            println!("skipped: groff is not installed");
            return;
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            stderr(&output)
        );
        // Bold letters are printed twice, one upon the other.
        let text: Vec<char> = stdout(&output).chars().collect();
        let is_over = |at: usize| text.get(at + 1) == Some(&'\u{8}');
        let once = |at: &usize| text[*at] != '\u{8}' && !is_over(*at);
        let text: String = (0..text.len()).filter(once).map(|at| text[at]).collect();
        assert!(text.contains("SYNOPSIS"), "{}: {text}", file.display());
    }
}

/// A home directory with a configuration file in its usual place.
fn configured(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".config/sshoal");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config.toml"), text).unwrap();
    home
}

/// Who logs in where, by a dry run.
#[track_caller]
fn login(program: &mut Command) -> String {
    let output = output(program.args(["-n", "true"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).replace(" true\n", ";")
}

/// Rank: the command line, then `-O`, then the environment, then the configuration file.
#[test]
fn the_configuration_file_ranks_below_the_environment() {
    let home = configured("user = 'file'\nhost = ['one two']\n[run]\noption = ['Port=99']\n");
    let run = || {
        let mut program = sshoal(home.path());
        program.arg("run");
        program
    };
    assert_eq!(login(&mut run()), "file@one:99;file@two:99;");
    assert_eq!(
        login(run().env("SSHOAL_USER", "env")),
        "env@one:99;env@two:99;"
    );
    assert_eq!(
        login(run().env("SSHOAL_USER", "env").args(["-l", "me"])),
        "me@one:99;me@two:99;"
    );
    assert_eq!(
        login(run().args(["-O", "User=opt"])),
        "opt@one:22;opt@two:22;"
    );
    assert_eq!(login(run().args(["-H", "three"])), "file@three:99;");
    assert_eq!(login(run().env("SSHOAL_HOST", "four")), "file@four:99;");
    assert_eq!(
        login(run().args(["--no-config", "-l", "me", "-H", "h"])),
        "me@h:22;"
    );
    assert_eq!(
        login(
            run()
                .env("SSHOAL_NO_CONFIG", "1")
                .args(["-l", "me", "-H", "h"])
        ),
        "me@h:22;"
    );
}

#[test]
fn another_configuration_file_can_be_named() {
    let home = configured("user = 'usual'\n");
    let other = home.path().join("other.toml");
    std::fs::write(&other, "user = 'other'\nidentity = ['~/key']\n").unwrap();
    std::fs::write(home.path().join("key"), "").unwrap();
    let run = || {
        let mut program = sshoal(home.path());
        program.args(["run", "-H", "h"]);
        program
    };
    assert_eq!(login(&mut run()), "usual@h:22;");
    assert_eq!(login(run().arg("--config").arg(&other)), "other@h:22;");
    assert_eq!(login(run().env("SSHOAL_CONFIG", &other)), "other@h:22;");
    let typed = login(
        run()
            .env("SSHOAL_NO_CONFIG", "1")
            .arg("--config")
            .arg(&other),
    );
    assert_eq!(typed, "other@h:22;");
    let xdg = home.path().join("xdg");
    std::fs::create_dir_all(xdg.join("sshoal")).unwrap();
    std::fs::write(xdg.join("sshoal/config.toml"), "user = 'xdg'").unwrap();
    assert_eq!(login(run().env("XDG_CONFIG_HOME", &xdg)), "xdg@h:22;");
    std::fs::remove_file(home.path().join("key")).unwrap();
    let refused = output(run().arg("--config").arg(&other).arg("true"));
    assert!(
        stderr(&refused).contains("cannot read the identity"),
        "{}",
        stderr(&refused)
    );
}

#[track_caller]
fn check_refused(text: &str, words: &[&str], part: &str) {
    let home = configured(text);
    let output = output(sshoal(home.path()).args(words).args(["-H", "h", "true"]));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(part), "{said:?} lacks {part:?}");
}

#[test]
fn what_is_wrong_with_the_file_is_told_by_file_and_line() {
    check_refused(
        "\nusr = 'x'\n",
        &["run"],
        "/.config/sshoal/config.toml:2: no sub-command has a flag",
    );
    check_refused(
        "[put]\nlong = 1\n",
        &["run"],
        "config.toml:2: put has no flag --long",
    );
    check_refused(
        "par = 'many'",
        &["run"],
        "config.toml:1: invalid value 'many'",
    );
    check_refused("par = = 3", &["run"], "config.toml:1: ");
    check_refused(
        "",
        &["run", "--config", "/no/such"],
        "/no/such: No such file",
    );
    check_refused(
        "",
        &["run", "--config", "x", "--no-config"],
        "contradict each other",
    );
    // What needs no settings works beside a broken file.
    let home = configured("= nonsense");
    for words in [
        &["--version"][..],
        &["run", "--help"],
        &["completions", "bash"],
    ] {
        assert!(
            output(sshoal(home.path()).args(words)).status.success(),
            "{words:?}"
        );
    }
}
