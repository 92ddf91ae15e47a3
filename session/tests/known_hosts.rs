//! Verdicts of known_hosts files: the table of cases against ssh, and generated files against
//! rules written down without an index.

#[path = "known_hosts/keys.rs"]
mod keys;
#[path = "known_hosts/naive.rs"]
mod naive;

use keys::{ecdsa, ed25519, expand, fields, rsa};
use proptest::prelude::*;
use sshoal_session::known_hosts::{BadLineReason, KnownHosts, Verdict};

/// Reads a file of lines in which `A`, `B` (Ed25519), `E` (ECDSA) and `R` (RSA) stand for keys.
fn known(lines: &[&str]) -> KnownHosts {
    let mut known = KnownHosts::new();
    known.add_text(text(lines).as_bytes(), "kh");
    known
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| expand(line) + "\n").collect()
}

/// Checks that key A is judged so, by the index and by the rules alike.
#[track_caller]
fn check(lines: &[&str], name: &str, port: u16, verdict: &Verdict) {
    let found = known(lines).check(name, port, &ed25519(1));
    assert_eq!(found, *verdict, "{lines:?} {name}:{port}");
    let found = naive::check(text(lines).as_bytes(), "kh", name, port, &ed25519(1));
    assert_eq!(found, *verdict, "{lines:?} {name}:{port}, naive");
}

fn changed(line: usize) -> Verdict {
    Verdict::Changed {
        file: "kh".into(),
        line,
    }
}

fn revoked(line: usize) -> Verdict {
    Verdict::Revoked {
        file: "kh".into(),
        line,
    }
}

/// Every row of the comparison of libssh2's verdicts with ssh's: ours are ssh's.
#[test]
fn verdicts_are_those_of_ssh_where_libssh2_differs() {
    // `@revoked` beside the same key, by name and by pattern, before and behind.
    check(&["@revoked h A", "h A"], "h", 22, &revoked(1));
    check(&["h A", "@revoked * A"], "h", 22, &revoked(2));
    check(&["[h]:2222 A", "@revoked * A"], "h", 2222, &revoked(2));
    // One key for the port, another for the plain name.
    check(&["[h]:2222 B", "h A"], "h", 2222, &changed(1));
    check(&["[h]:2222 A", "h B"], "h", 22, &changed(2));
    // Only the plain name is known.
    check(&["h A"], "h", 2222, &Verdict::Match);
    check(&["h B"], "h", 2222, &Verdict::Unknown);
    check(&["h A", "@revoked h A"], "h", 2222, &revoked(2));
    // Wildcards.
    check(&["*.ex.com A"], "a.ex.com", 22, &Verdict::Match);
    check(&["*.ex.com A"], "ex.com", 22, &Verdict::Unknown);
    check(&["web? A"], "web1", 22, &Verdict::Match);
    check(&["web? A"], "web12", 22, &Verdict::Unknown);
    check(&["[*.ex.com]:2222 A"], "a.ex.com", 2222, &Verdict::Match);
    check(&["[*.ex.com]:2222 A"], "a.ex.com", 22, &Verdict::Unknown);
    // Negation, wherever it stands.
    check(
        &["!bad.ex.com,*.ex.com A"],
        "bad.ex.com",
        22,
        &Verdict::Unknown,
    );
    check(
        &["*.ex.com,!bad.ex.com A"],
        "bad.ex.com",
        22,
        &Verdict::Unknown,
    );
    check(
        &["*.ex.com,!bad.ex.com A"],
        "good.ex.com",
        22,
        &Verdict::Match,
    );
    check(&["!h A"], "x", 22, &Verdict::Unknown);
    // Case.
    check(&["HOST A"], "host", 22, &Verdict::Match);
    check(&["host A"], "HOST", 22, &Verdict::Match);
    check(&["*.EX.com A"], "a.ex.COM", 22, &Verdict::Match);
    // A certificate authority is no host's key.
    check(&["@cert-authority * A"], "h", 22, &Verdict::Unknown);
    check(&["@cert-authority * B"], "h", 22, &Verdict::Unknown);
    // A malformed line first.
    check(
        &["h", "h ssh-ed25519", "h nonsense !", "@nonsense h A", "h A"],
        "h",
        22,
        &Verdict::Match,
    );
    // Known by another type only.
    check(&["h R"], "h", 22, &changed(1));
    check(&["h E", "h R"], "h", 22, &changed(2));
    // Two keys for one host.
    check(&["h B", "h A"], "h", 22, &Verdict::Match);
    check(&["h A", "h B"], "h", 22, &Verdict::Match);
}

#[test]
fn a_line_whose_type_is_not_its_keys_is_bad() {
    let right = fields(&ed25519(1));
    let base64 = right.split_once(' ').unwrap().1;
    for wrong in [
        "ssh",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "SSH-ED25519",
        "ssh-ed25519-x",
    ] {
        let mut known = KnownHosts::new();
        known.add_text(format!("h {wrong} {base64}").as_bytes(), "kh");
        assert_eq!(
            known.check("h", 22, &ed25519(1)),
            Verdict::Unknown,
            "{wrong}"
        );
        assert_eq!(known.bad_lines()[0].reason(), BadLineReason::Key);
    }
}

#[test]
fn addresses_and_ports_are_looked_up_as_ssh_writes_them() {
    check(&["::1 A"], "::1", 22, &Verdict::Match);
    check(&["[::1]:2222 A"], "::1", 2222, &Verdict::Match);
    check(&["[::1]:2222 A"], "::1", 22, &Verdict::Unknown);
    check(&["a,h,127.0.0.1 A"], "127.0.0.1", 22, &Verdict::Match);
    check(&["[h]:22 A"], "h", 22, &Verdict::Unknown);
}

#[test]
fn reads_lines_as_ssh_does() {
    check(&["  h\t  A"], "h", 22, &Verdict::Match);
    check(&["# h A", "", "   "], "h", 22, &Verdict::Unknown);
    let good = format!("h {}", fields(&ed25519(1)));
    for ending in ["\r", " comment", "\tcomment\r", "\0junk", "\r\n\r\n"] {
        let mut known = KnownHosts::new();
        known.add_text(format!("{good}{ending}").as_bytes(), "kh");
        assert_eq!(
            known.check("h", 22, &ed25519(1)),
            Verdict::Match,
            "{ending:?}"
        );
    }
    for ending in ["=", "A", "#comment", "\x0c"] {
        let mut known = KnownHosts::new();
        known.add_text(format!("{good}{ending}").as_bytes(), "kh");
        assert_eq!(
            known.check("h", 22, &ed25519(1)),
            Verdict::Unknown,
            "{ending:?}"
        );
        assert_eq!(known.bad_lines().len(), 1, "{ending:?}");
    }
}

/// The one case in which ssh takes a key and we do not: it skips a marker that a tab ends.
#[test]
fn a_marker_that_a_tab_ends_is_honoured() {
    check(&["@revoked\th A", "h A"], "h", 22, &revoked(1));
}

#[test]
fn bad_lines_are_told_by_file_and_number() {
    let long = format!("{} A", "h".repeat(70_000));
    let known = known(&["h A", &long, "@x h A", "|1|x|y A", "h nothing"]);
    let told: Vec<_> = known.bad_lines().iter().map(ToString::to_string).collect();
    let expected = [
        "kh:2: line too long",
        "kh:3: unknown marker",
        "kh:4: bad host names",
        "kh:5: bad key",
    ];
    assert_eq!(told, expected);
    assert_eq!(known.len(), 1);
}

#[test]
fn known_algorithms_come_in_file_order_without_revoked_ones() {
    let known = known(&[
        "h R",
        "*,!x A",
        "h B",
        "h E",
        "@revoked h E",
        "@cert-authority h E",
    ]);
    assert_eq!(known.known_algorithms("H", 22), ["ssh-rsa", "ssh-ed25519"]);
    assert_eq!(
        known.known_algorithms("h", 2222),
        ["ssh-ed25519"],
        "the pattern knows the port"
    );
    assert!(known.known_algorithms("x", 22).is_empty());
}

#[test]
fn several_files_are_one_and_name_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let (user, global) = (dir.path().join("user"), dir.path().join("global"));
    std::fs::write(&user, text(&["h B"])).unwrap();
    std::fs::write(&global, text(&["", "@revoked g A", "h E", "g A"])).unwrap();
    let known = KnownHosts::load([&user, &dir.path().join("missing"), &global]).unwrap();
    let Verdict::Revoked { file, line } = known.check("g", 22, &ed25519(1)) else {
        panic!()
    };
    assert_eq!((file, line), (global.clone(), 2));
    let Verdict::Changed { file, line } = known.check("h", 22, &ed25519(1)) else {
        panic!()
    };
    assert_eq!((file, line), (global, 3));
    let error = KnownHosts::load([dir.path()]).unwrap_err();
    assert!(
        error.to_string().contains(dir.path().to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn a_file_past_the_bound_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((64 << 20) + 1).unwrap();
    let error = KnownHosts::load([file.path()]).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::FileTooLarge);
}

#[test]
fn ten_thousand_hashed_lines_are_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let key = fields(&ed25519(2));
    let line = |i: u32| {
        let salt: Vec<u8> = i.to_be_bytes().repeat(5);
        format!("{} {key}\n", naive::hash(&salt, format!("h{i}").as_bytes()))
    };
    let mut known = KnownHosts::new();
    known.add_text((0..10_000).map(line).collect::<String>().as_bytes(), "kh");
    shared(&known);
    assert!(known.has_hashed());
    std::thread::scope(|scope| {
        for i in (0..10_000).step_by(2_500) {
            let known = &known;
            scope.spawn(move || {
                let name = format!("H{i}");
                assert_eq!(known.check(&name, 22, &ed25519(2)), Verdict::Match);
                assert!(matches!(known.check(&name, 22, &ed25519(1)), Verdict::Changed { line, .. } if line == i + 1));
                assert_eq!(known.known_algorithms(&name, 22), ["ssh-ed25519"]);
                assert_eq!(known.check(&name, 2222, &ed25519(1)), Verdict::Unknown);
            });
        }
    });
}

/// Lines of few names, keys and patterns, so that they meet.
fn lines() -> impl Strategy<Value = String> {
    let name = "(!?[abA][ab*?]{0,2}|\\[[ab*]\\]:(22|2222)|\\*)";
    let plain = proptest::collection::vec(name, 1..4).prop_map(|names| names.join(","));
    let hashed = (any::<[u8; 20]>(), "([ab]{1,2}|\\[[ab]\\]:2222)")
        .prop_map(|(salt, name)| naive::hash(&salt, name.as_bytes()));
    let names = prop_oneof![4 => plain, 1 => hashed];
    let key = (0..4_u8, 1..3_u8).prop_map(|(kind, number)| match kind {
        0 => fields(&ecdsa(number)),
        1 => fields(&rsa(number)),
        2 => fields(&ed25519(number)),
        _ => "ssh-ed25519 AAAA".to_owned(),
    });
    let marker = prop_oneof![
        5 => Just(""), 1 => Just("@revoked "), 1 => Just("@cert-authority "), 1 => Just("@x ")
    ];
    let line =
        (marker, names, key).prop_map(|(marker, names, key)| format!("{marker}{names} {key}"));
    let line = prop_oneof![9 => line, 1 => "[ -~]{0,20}"];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_index_agrees_with_the_rules(
        text in lines(),
        name in "[abA]{1,2}",
        port in prop_oneof![Just(22), Just(2222)],
        kind in 0..3_u8,
    ) {
        let key = match kind { 0 => ecdsa(1), 1 => rsa(1), _ => ed25519(1) };
        let mut known = KnownHosts::new();
        known.add_text(text.as_bytes(), "kh");
        let expected = naive::check(text.as_bytes(), "kh", &name, port, &key);
        prop_assert_eq!(known.check(&name, port, &key), expected.clone());
        // The second time the hashes are kept.
        prop_assert_eq!(known.check(&name, port, &key), expected);
    }

    #[test]
    fn any_bytes_are_read(text in any::<Vec<u8>>(), name in any::<String>(), port in any::<u16>()) {
        let mut known = KnownHosts::new();
        known.add_text(&text, "kh");
        prop_assert_eq!(
            known.check(&name, port, &text),
            naive::check(&text, "kh", &name, port, &text)
        );
    }
}
