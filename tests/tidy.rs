//! The repository's own rules, held against its files.

#[path = "tidy/tree.rs"]
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use tree::{code, files, has_word, read};

/// What each package may depend on among ours, in any section but the root's tests.
const DIRECTION: [(&str, &[&str]); 9] = [
    ("hosts/Cargo.toml", &[]),
    ("reactor/Cargo.toml", &[]),
    ("session/Cargo.toml", &["sshoal-reactor"]),
    ("pool/Cargo.toml", &["sshoal-reactor", "sshoal-session"]),
    ("transfer/Cargo.toml", &["sshoal-reactor", "sshoal-session"]),
    (
        "Cargo.toml",
        &[
            "sshoal-hosts",
            "sshoal-reactor",
            "sshoal-session",
            "sshoal-pool",
            "sshoal-transfer",
        ],
    ),
    ("cli/Cargo.toml", &["sshoal", "sshoal-loopback"]),
    ("loopback/Cargo.toml", &[]),
    ("hostile/Cargo.toml", &[]),
];

/// The only packages that may name these crates.
const CONFINED: [(&str, &[&str]); 11] = [
    ("may", &["reactor/Cargo.toml"]),
    ("polling", &["reactor/Cargo.toml"]),
    ("rayon", &["reactor/Cargo.toml"]),
    ("ssh2", &["session/Cargo.toml", "transfer/Cargo.toml"]),
    (
        "libssh2-sys",
        &["session/Cargo.toml", "transfer/Cargo.toml"],
    ),
    ("openssl", &["session/Cargo.toml", "hostile/Cargo.toml"]),
    ("clap", &["cli/Cargo.toml"]),
    ("anyhow", &["cli/Cargo.toml"]),
    ("russh", &["loopback/Cargo.toml"]),
    ("russh-sftp", &["loopback/Cargo.toml"]),
    ("tokio", &["loopback/Cargo.toml"]),
];

/// The files that may hold unsafe code, each with the folder of its name.
const UNSAFE: [&str; 5] = [
    "reactor/src/source.rs",
    "reactor/src/coroutine.rs",
    "reactor/src/overflow.rs",
    "session/src/ffi.rs",
    // The program that the benches compare with, no part of the product: it has nothing between it and libssh2.
    "benches/floor/src/signer.rs",
];

/// The roots of the crates without any unsafe code.
const SAFE_ROOTS: [&str; 8] = [
    "src/lib.rs",
    "hosts/src/lib.rs",
    "pool/src/lib.rs",
    "transfer/src/lib.rs",
    "hostile/src/lib.rs",
    "loopback/src/lib.rs",
    "loopback/src/main.rs",
    "cli/src/main.rs",
];

/// Where a plain thread may sleep, and why.
const SLEEPS: [(&str, &str); 0] = [];

/// The most lines that a source file may have.
const LINES_MAX: usize = 500;

/// Fails with all findings at once.
#[track_caller]
fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The dependencies of a manifest: section and name.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if section.ends_with("dependencies") && section != "workspace.dependencies" {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if !name.is_empty() && !name.starts_with('#') {
                found.push((section.clone(), name.to_owned()));
            }
        }
    }
    found
}

#[test]
fn packages_depend_downwards_only() {
    let mut findings = Vec::new();
    for (manifest, allowed) in DIRECTION {
        for (section, name) in dependencies(&read(manifest)) {
            let ours = name.starts_with("sshoal");
            // The root's tests and benches run against the embedded fleet, with all features, and
            // some of them on a runtime that the library knows nothing of. Hostile hosts are for
            // tests of every room, and for nothing else.
            let tests = section == "dev-dependencies"
                && (name == "sshoal-hostile"
                    || manifest == "Cargo.toml"
                        && ["sshoal", "sshoal-loopback", "tokio"].contains(&name.as_str()));
            if ours && !tests && !allowed.contains(&name.as_str()) {
                findings.push(format!("{manifest}: [{section}] {name}"));
            }
            let confined = CONFINED.iter().find(|(confined, _)| *confined == name);
            if !tests && confined.is_some_and(|(_, to)| !to.contains(&manifest)) {
                findings.push(format!(
                    "{manifest}: [{section}] {name} belongs to another room"
                ));
            }
        }
    }
    assert_none(
        &findings,
        "a dependency against the direction of ARCHITECTURE.md",
    );
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    let lacks = |manifest: &&str| !read(manifest).contains("[lints]\nworkspace = true");
    let findings: Vec<_> = DIRECTION
        .iter()
        .map(|(manifest, _)| *manifest)
        .filter(lacks)
        .collect();
    assert!(findings.is_empty(), "no workspace lints in {findings:?}");
}

#[test]
fn unsafe_code_stays_in_the_admitted_files() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let code = code(&file.text);
        let admitted = UNSAFE
            .iter()
            .any(|root| file.path == *root || file.path.starts_with(&root.replace(".rs", "/")));
        if has_word(&code, "unsafe") && !admitted {
            findings.push(format!("{}: unsafe", file.path));
        }
        // The macro hides an unsafe promise.
        if has_word(&code, "go") && code.contains("go!") {
            findings.push(format!("{}: go!", file.path));
        }
    }
    for root in SAFE_ROOTS {
        if !read(root).contains("#![forbid(unsafe_code)]") {
            findings.push(format!("{root}: no #![forbid(unsafe_code)]"));
        }
    }
    assert_none(&findings, "unsafe code outside of the admitted files");
}

#[test]
fn source_files_are_short_and_say_what_they_are_for() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines", file.path));
        }
        if !file.text.starts_with("//! ") {
            findings.push(format!("{}: does not begin with //!", file.path));
        }
        if file.path.ends_with("/mod.rs") && !file.path.ends_with("tests/support/mod.rs") {
            findings.push(format!("{}: is a mod.rs", file.path));
        }
    }
    assert_none(&findings, "files against the house style");
}

#[test]
fn no_test_is_ignored_and_nothing_sleeps() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let code = code(&file.text);
        if code.contains("#[ignore") {
            findings.push(format!("{}: an ignored test", file.path));
        }
        let sleeps = code.contains("thread::sleep") || code.contains("thread::{sleep");
        if sleeps && !SLEEPS.iter().any(|(path, _)| *path == file.path) {
            findings.push(format!("{}: a plain thread sleeps", file.path));
        }
    }
    assert_none(
        &findings,
        "tests left out, or waits for time instead of an event",
    );
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // Put together here, so that this file is no finding.
    let paths = ["root", "work", "farm"].map(|name| format!("/{name}/"));
    let mut findings = Vec::new();
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            if paths.iter().any(|path| line.contains(path)) {
                findings.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    assert_none(&findings, "paths of one machine");
}

#[test]
fn the_lowest_rust_version_is_stated_once() {
    let manifest = read("Cargo.toml");
    let stated = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("rust-version = \""));
        lines
            .map(|version| version.trim_end_matches('"').to_owned())
            .collect()
    };
    let versions = stated(&manifest);
    assert_eq!(versions.len(), 1, "Cargo.toml states {versions:?}");
    for (member, _) in DIRECTION
        .iter()
        .filter(|(member, _)| *member != "Cargo.toml")
    {
        assert!(
            stated(&read(member)).is_empty(),
            "{member} states a version of its own"
        );
    }
    for paper in ["README.md", "CONTRIBUTING.md"] {
        for said in read(paper).split("Rust 1.").skip(1) {
            let said: String = said.chars().take_while(char::is_ascii_digit).collect();
            assert_eq!(
                format!("1.{said}"),
                versions[0],
                "{paper} names another version"
            );
        }
    }
    assert!(read("README.md").contains(&format!("Rust {}", versions[0])));
}

#[test]
fn the_readme_has_exactly_two_set_up_commands() {
    let readme = read("README.md");
    let commands: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("scripts/"))
        .collect();
    assert_eq!(commands, ["scripts/demo.sh", "scripts/test.sh"]);
}

/// Takes each law `**X1**` of ARCHITECTURE.md, looks for its row in tests/README.md, and each test of a row in the tree.
#[test]
fn every_law_has_a_test_that_exists() {
    let mut findings = Vec::new();
    let rows = rows(&read("tests/README.md"));
    for line in read("ARCHITECTURE.md")
        .lines()
        .filter(|line| !line.contains("Not built yet"))
    {
        for law in laws(line) {
            if rows.get(&law).is_none_or(BTreeSet::is_empty) {
                findings.push(format!("{law} has no test in tests/README.md"));
            }
        }
    }
    findings.extend(missing_tests(&rows));
    assert_none(&findings, "laws and tests that do not meet");
}

/// Takes each numbered row of the table of parallel-ssh's behaviours, and each test of it in the tree.
#[test]
fn every_behaviour_of_parallel_ssh_has_a_test_that_exists() {
    let table = read("tests/parallel-ssh.md");
    let rows = rows(&table);
    let mut findings = missing_tests(&rows);
    let numbered = rows.iter().filter(|(number, _)| {
        let rest = number.strip_prefix(['B', 'D']).unwrap_or_default();
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit())
    });
    let mut count = 0;
    for (number, tests) in numbered {
        count += 1;
        if tests.is_empty() {
            findings.push(format!("{number} has no test"));
        }
    }
    assert!(count > 60, "{count} rows found");
    assert_none(&findings, "behaviours without a test");
}

/// The tests of rows that are not in the tree.
fn missing_tests(rows: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut findings = Vec::new();
    for (subject, tests) in rows {
        for test in tests {
            let (path, name) = test.split_once("::").unwrap_or((test, ""));
            let in_tree = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            let text = std::fs::read_to_string(in_tree).unwrap_or_default();
            let function = format!("fn {name}(");
            let found = name.is_empty()
                || text.contains(&function)
                || (path.starts_with("benches/") && text.contains(&format!("\"{name}")));
            if text.is_empty() || !found {
                findings.push(format!("{subject}: {test} is not in the tree"));
            }
        }
    }
    findings
}

/// The laws that a line states: `**G1**` and the like.
fn laws(line: &str) -> Vec<String> {
    let bold = line.split("**").skip(1).step_by(2);
    let is_law = |word: &&str| {
        let number = word.strip_prefix(['G', 'R', 'S', 'P']).unwrap_or_default();
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
    };
    bold.filter(is_law).map(str::to_owned).collect()
}

/// The rows of the tables: the first cell, and each `path` or `path::test` in the last.
fn rows(table: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut rows: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else {
            continue;
        };
        let tests = last
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains(".rs"));
        rows.entry((*first).to_owned())
            .or_default()
            .extend(tests.map(str::to_owned));
    }
    rows
}

#[test]
fn comments_and_literals_are_no_code() {
    let source = "a // unsafe\n\"unsafe \\\" unsafe\" b /* unsafe /* x */ unsafe */ 'u' '\\'' r#\"unsafe\"# fn f<'a>() {}";
    let code = code(source);
    assert!(!has_word(&code, "unsafe"), "{code}");
    assert!(
        code.contains(" b ") && code.contains("fn f<'a>() {}"),
        "{code}"
    );
    assert!(has_word("x unsafe {", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
