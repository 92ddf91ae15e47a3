//! Hosts whose `scp` attacks whoever receives a directory: nothing outside that directory changes, and each is told.

mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::PathBuf,
    time::Duration,
};

use sshoal::{
    Scope, Session,
    transfer::{CopyOptions, Error, Existing, Keep, Preserve, Scp, TreeOptions, TreeReport},
};
use support::{
    hostile_sftp::{bad_names, odd_names},
    programs::{before_others, program, with_programs},
    sessions::{connect, limit},
    sshd::Sshd,
    stage::Stage,
    trees::snapshot,
};

/// A server whose `scp` sends what it is told to, and takes no notice of answers.
struct Liar {
    _sshd: Sshd,
    programs: PathBuf,
    session: Session,
}

impl Liar {
    fn start() -> Option<Self> {
        let (sshd, programs) = with_programs(before_others)?;
        let session = connect(&sshd);
        Some(Self {
            _sshd: sshd,
            programs,
            session,
        })
    }

    /// Receives what a shell script sends; nothing outside may change by it.
    #[track_caller]
    fn script(&self, stage: &Stage, script: &str, options: &TreeOptions) -> TreeReport {
        program(&self.programs, "scp", script);
        let scope = limit();
        let scp = Scp::new(&self.session, &scope);
        let report = scp.receive_tree(b"root", &stage.inside(), options);
        stage.check(script);
        let shown = format!("{:?}", report.ended_early.as_ref().map(ToString::to_string));
        assert!(!shown.contains("\\u{1b}"), "{shown}");
        report
    }

    /// Receives these bytes.
    #[track_caller]
    fn bytes(&self, stage: &Stage, bytes: &[u8], options: &TreeOptions) -> TreeReport {
        let stream = self.programs.join("stream");
        fs::write(&stream, bytes).expect("writes");
        let script = format!("cat {}; cat >/dev/null", stream.display());
        self.script(stage, &script, options)
    }

    /// Receives these bytes from a host that ends behind them, when it has read so many answers.
    #[track_caller]
    fn cut(
        &self,
        stage: &Stage,
        (bytes, answers): (&[u8], u32),
        options: &TreeOptions,
    ) -> TreeReport {
        let stream = self.programs.join("stream");
        fs::write(&stream, bytes).expect("writes");
        let script = format!("cat {}; head -c {answers} >/dev/null", stream.display());
        self.script(stage, &script, options)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.programs);
    }
}

/// The root with something in it.
fn in_root(inner: &[&[u8]]) -> Vec<u8> {
    [b"D0755 0 root\n", &inner.concat()[..], b"E\n"].concat()
}

/// A file's record and bytes.
fn file(name: &[u8]) -> Vec<u8> {
    [b"C0644 4 ", name, b"\nevil\0"].concat()
}

fn is_protocol(report: &TreeReport) -> bool {
    matches!(report.ended_early, Some(Error::ScpProtocol { .. }))
}

/// Goal: every bad name is told, whether the host takes no for an answer or sends the file all the same. Method: all
/// of them in one stream without their bytes, as files and as directories; then each alone with its bytes behind it.
#[test]
fn bad_names_of_files_and_directories_lead_nowhere() {
    let Some(liar) = Liar::start() else { return };
    let in_line = |name: &Vec<u8>| !name.contains(&b'\n');
    let bad: Vec<_> = bad_names().into_iter().filter(in_line).collect();
    assert!(bad.len() >= 40);
    for begin in ["C0644 4 ", "D0755 0 "] {
        let records: Vec<_> = (bad.iter())
            .map(|name| [begin.as_bytes(), name, b"\n"].concat())
            .collect();
        let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
        let stage = Stage::new();
        let stream = in_root(&[&records.concat(), &file(b"good")]);
        let report = liar.bytes(&stage, &stream, &TreeOptions::new());
        assert!(report.ended_early.is_none(), "{report:?}");
        let told: Vec<_> = (report.failed.iter())
            .map(|entry| match &entry.error {
                Error::BadName { name } => name.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, bad);
        assert_eq!(snapshot(&stage.inside()).len(), 1);
    }
    for name in &bad_names() {
        let inner = [b"D0755 0 ".as_slice(), name, b"\n", &file(b"evil"), b"E\n"].concat();
        for stream in [in_root(&[&file(name)]), in_root(&[&inner])] {
            let stage = Stage::new();
            let report = liar.bytes(&stage, &stream, &TreeOptions::new());
            assert!(!report.is_success(), "{}: {report:?}", name.escape_ascii());
        }
    }
}

/// Names that look bad and are one name stay in the directory, but for a newline, which ends a line.
#[test]
fn odd_names_are_those_of_files_in_the_directory() {
    let Some(liar) = Liar::start() else { return };
    let in_line = |name: &Vec<u8>| !name.contains(&b'\n');
    let mut odd: Vec<_> = odd_names().into_iter().filter(in_line).collect();
    let files: Vec<_> = odd.iter().map(|name| file(name)).collect();
    let stage = Stage::new();
    let report = liar.bytes(&stage, &in_root(&[&files.concat()]), &TreeOptions::new());
    assert!(report.is_success(), "{report:?}");
    let names = fs::read_dir(stage.inside()).expect("lists");
    let names = names.map(|entry| entry.expect("is there").file_name().as_bytes().to_vec());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    odd.sort_unstable();
    assert_eq!(names, odd);
}

/// A name that comes twice is told, as a file and as a directory, and the first stays.
#[test]
fn a_name_that_comes_twice_is_told() {
    let Some(liar) = Liar::start() else { return };
    for second in ["C0644 4 a\n", "D0755 0 a\n"] {
        let stage = Stage::new();
        let stream = in_root(&[&file(b"a"), second.as_bytes()]);
        let report = liar.bytes(&stage, &stream, &TreeOptions::new());
        assert!(
            matches!(&report.failed[..], [one] if matches!(one.error, Error::NamedTwice { .. })),
            "{report:?}"
        );
        assert_eq!(fs::read(stage.inside().join("a")).expect("reads"), b"evil");
    }
}

/// A link that somebody planted here is not gone through, as a directory or as a file.
#[test]
fn a_link_planted_in_the_target_is_not_followed() {
    let Some(liar) = Liar::start() else { return };
    let stage = Stage::new();
    symlink("../out", stage.inside().join("planted")).expect("links");
    let stream = in_root(&[b"D0755 0 planted\n"]);
    let report = liar.bytes(&stage, &stream, &TreeOptions::new());
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::Local { .. })),
        "{report:?}"
    );
    let stream = in_root(&[b"D0755 0 planted\n", &file(b"file"), b"E\n"]);
    let report = liar.bytes(&stage, &stream, &TreeOptions::new());
    assert!(!report.is_success(), "{report:?}");
    for existing in [Existing::Fail, Existing::Keep, Existing::Overwrite] {
        let stage = Stage::new();
        let link = stage.inside().join("planted");
        symlink("../out/file", &link).expect("links");
        let replaced = existing == Existing::Overwrite;
        let options = TreeOptions::new().copy(CopyOptions::new().existing(existing));
        let stream = match replaced {
            true => in_root(&[&file(b"planted")]),
            false => in_root(&[b"C0644 4 planted\n"]),
        };
        let report = liar.bytes(&stage, &stream, &options);
        assert_eq!(report.files, u64::from(replaced), "{report:?}");
        assert_eq!(link.is_symlink(), !replaced);
    }
}

/// Somebody here swaps a directory for a link to outside and back while copies go on; a while in CI, 60 s in full.
#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let seconds = match std::env::var_os("SSHOAL_TREES") {
        Some(_) => 60,
        None => 2,
    };
    let Some(liar) = Liar::start() else { return };
    let stage = Stage::new();
    let place = stage.inside().join("planted");
    let scope = Scope::root().child(Some(Duration::from_secs(seconds)));
    let stream = in_root(&[b"D0755 0 planted\n", &file(b"file"), &file(b"evil"), b"E\n"]);
    let (mut copied, mut told) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while scope.check().is_ok() {
                let _ = fs::remove_dir_all(&place);
                let _ = symlink("../out", &place);
                std::thread::yield_now();
                let _ = fs::remove_file(&place);
                std::thread::yield_now();
            }
        });
        let stream_file = liar.programs.join("stream");
        fs::write(&stream_file, &stream).expect("writes");
        let script = format!("cat {}; cat >/dev/null", stream_file.display());
        program(&liar.programs, "scp", &script);
        while scope.check().is_ok() {
            let within = limit();
            let scp = Scp::new(&liar.session, &within);
            let report = scp.receive_tree(b"root", &stage.inside(), &TreeOptions::new());
            copied += report.files;
            told += report.failed.len();
        }
    });
    stage.check("a swapped directory");
    println!("{copied} files copied, {told} times refused");
    assert!(copied > 0 || told > 0, "nothing was tried");
}

/// Files that have fewer bytes than was said, more, or no end: none is stored, and each is told.
#[test]
fn lies_about_sizes_are_bounded_and_told() {
    let Some(liar) = Liar::start() else { return };
    let options = TreeOptions::new();
    let stage = Stage::new();
    // The request, the directory and the file are answered.
    let stream = b"D0755 0 root\nC0644 9 short\nevil";
    let report = liar.cut(&stage, (stream, 3), &options);
    assert_eq!(snapshot(&stage.inside()).len(), 0, "{report:?}");
    assert_eq!(report.failed[0].path, b"short");
    let (expected, arrived) = (9, 4);
    assert!(
        matches!(report.failed[0].error, Error::Short { expected: e, arrived: a } if (e, a) == (expected, arrived)),
        "{report:?}"
    );
    assert!(report.ended_early.is_some(), "{report:?}");
    let attack = |stream: &[u8], options: &TreeOptions| {
        let stage = Stage::new();
        let report = liar.bytes(&stage, stream, options);
        assert_eq!(snapshot(&stage.inside()).len(), 0, "{report:?}");
        report
    };
    let report = attack(b"D0755 0 root\nC0644 4 long\nevil and more\0E\n", &options);
    assert!(is_protocol(&report), "{report:?}");
    for size in [
        "9223372036854775808",
        "18446744073709551616",
        "-1",
        "0x10",
        "",
    ] {
        let stream = format!("D0755 0 root\nC0644 {size} x\nevil\0E\n");
        let report = attack(stream.as_bytes(), &options);
        assert!(!report.is_success(), "{size}: {report:?}");
    }
    let all = options
        .clone()
        .bytes_max(NonZeroU64::new(1_000_000).expect("not zero"));
    let report = attack(b"D0755 0 root\nC0644 4611686018427387904 x\n", &all);
    assert!(
        matches!(
            report.ended_early,
            Some(Error::TreeTooLarge {
                bytes_max: 1_000_000
            })
        ),
        "{report:?}"
    );
    let one = CopyOptions::new().bytes_max(NonZeroU64::new(3).expect("not zero"));
    let stage = Stage::new();
    let stream = in_root(&[b"C0644 4 large\n", b"C0644 3 small\nabc\0"]);
    let report = liar.bytes(&stage, &stream, &options.copy(one));
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::TooLarge { bytes_max: 3 })),
        "{report:?}"
    );
    assert_eq!(report.files, 1);
}

/// Nothing gets an id bit, whatever is kept, and nothing is for others to write.
#[test]
fn modes_are_masked() {
    let Some(liar) = Liar::start() else { return };
    for preserve in [Preserve::No, Preserve::Yes] {
        let stage = Stage::new();
        let options = TreeOptions::new().copy(CopyOptions::new().preserve(preserve));
        let stream = in_root(&[
            b"C7777 4 file\nevil\0",
            b"D6777 0 dir\nC4755 4 deeper\nevil\0E\n",
            b"C0000 0 none\n\0",
        ]);
        let report = liar.bytes(&stage, &stream, &options);
        assert!(report.is_success() && report.files == 3, "{report:?}");
        for name in ["file", "dir", "dir/deeper", "none"] {
            let about = fs::symlink_metadata(stage.inside().join(name)).expect("is there");
            let mode = about.permissions().mode();
            assert_eq!(mode & 0o7022, 0, "{preserve:?} {name}: {mode:o}");
        }
    }
    let stage = Stage::new();
    for mode in ["8888", "755", "07777", "-755", "0x55", ""] {
        let stream = format!("D0755 0 root\nC{mode} 4 x\nevil\0E\n");
        let report = liar.bytes(&stage, stream.as_bytes(), &TreeOptions::new());
        assert!(is_protocol(&report), "{mode}: {report:?}");
    }
    let scope = limit();
    let scp = Scp::new(&liar.session, &scope).keep(Keep::Nothing);
    fs::write(
        liar.programs.join("stream"),
        in_root(&[b"C4777 4 a\nevil\0"]),
    )
    .expect("writes");
    let report = scp.receive_tree(b"root", &stage.inside(), &TreeOptions::new());
    assert!(report.is_success(), "{report:?}");
    let about = fs::metadata(stage.inside().join("a")).expect("is there");
    assert_eq!(about.permissions().mode() & 0o7777, 0o600);
}

/// Goal: whatever order records come in, nothing hangs and nothing is taken for what it is not. Method: a table.
#[test]
fn what_is_no_tree_is_told() {
    let Some(liar) = Liar::start() else { return };
    let kept = TreeOptions::new().copy(CopyOptions::new().preserve(Preserve::Yes));
    for stream in [
        &b""[..],
        b"D0755 0 root\n",
        b"D0755 0 root\nD0755 0 a\nE\n",
        b"E\n",
        b"D0755 0 root\nE\nE\n",
        b"D0755 0 root\nE\nC0644 4 x\nevil\0",
        b"D0755 0 root\nE\nD0755 0 ../out\nE\n",
        b"C0644 4 root\nevil\0",
        b"D0755 0 root\nE \n",
        b"D0755 0 root\nL../out\n",
        b"D0755 0 root\n\n",
        b"D0755 0 root\n\0\0\0",
        b"D0755 0 root\nT1 0 1 0\nE\n",
        b"D0755 0 root\nT1 0 1 0\nT1 0 1 0\nC0644 0 x\n\0E\n",
        b"D0755 0 root\nT-1 0 1 0\nE\n",
        b"D0755 0 root\nT1 0 1\nE\n",
        b"D0755 0 root\nT1 1000000 1 0\nE\n",
        b"D0755 0 root\nT99999999999999999999 0 1 0\nE\n",
        b"D0755 0 root\nTx 0 1 0\nE\n",
        b"D0755 0 root\nC0644 4 x\nevil\x01could not read it\n",
        b"D0755 0 root\nC0644 4 x\nevilX",
        b"D0755 0 root\n\x02\x1b]0;owned\x07 fatal\n",
        b"\x01root: Permission denied\n",
        b"Welcome to this host!\nD0755 0 root\nE\n",
    ] {
        let stage = Stage::new();
        let report = liar.cut(&stage, (stream, 0), &kept);
        let shown = stream.escape_ascii();
        assert!(report.ended_early.is_some(), "{shown}: {report:?}");
        assert_eq!(report.files, 0, "{shown}: {report:?}");
    }
    // Times that no clock here shows are no reason to fail.
    let stage = Stage::new();
    let stream = in_root(&[
        b"T9223372036854775807 0 9223372036854775807 999999\n",
        &file(b"x"),
    ]);
    let report = liar.bytes(&stage, &stream, &kept);
    assert!(report.is_success(), "{report:?}");
}

/// What never ends is ended here: names, depths, warnings, lines, complaints and bytes behind the end.
#[test]
fn what_has_no_end_is_bounded_and_told() {
    let Some(liar) = Liar::start() else { return };
    let thousand = NonZeroUsize::new(1_000).expect("not zero");
    let options = TreeOptions::new().entries_max(thousand);
    let attack = |script: &str| {
        let stage = Stage::new();
        let report = liar.script(&stage, script, &options);
        (report, snapshot(&stage.inside()).len())
    };
    let many = |report: &TreeReport| {
        matches!(
            report.ended_early,
            Some(Error::TooManyEntries { entries_max: 1_000 })
        )
    };
    let loop_of = |text: &str| {
        format!("printf 'D0755 0 root\\n'; i=0; while printf \"{text}\"; do i=$((i+1)); done")
    };
    let (report, entries) = attack(&loop_of("C0644 0 f$i\\n\\0"));
    assert!(many(&report) && entries <= 1_000, "{report:?}");
    let (report, entries) = attack(&loop_of("D0755 0 d$i\\nE\\n"));
    assert!(many(&report) && entries <= 1_000, "{report:?}");
    let (report, entries) = attack(&loop_of("D0755 0 deep\\n"));
    assert!(many(&report), "{report:?}");
    assert_eq!(entries, 64);
    assert!(
        report
            .failed
            .iter()
            .any(|entry| matches!(entry.error, Error::TooDeep { .. }))
    );
    let (report, _) = attack(&loop_of("\\001no $i\\n"));
    assert!(many(&report), "{:?}", report.ended_early);
    for script in [
        "printf 'D0755 0 root\\n\\001'; yes | tr -d '\\n'",
        "printf 'D0755 0 root\\nC0644 4 '; yes | tr -d '\\n'",
        "printf 'D0755 0 root\\nE\\n'; yes",
        "yes >&2",
        "printf 'D0755 0 root\\n'; yes no >&2",
    ] {
        let (report, entries) = attack(script);
        assert!(is_protocol(&report) && entries == 0, "{script}: {report:?}");
    }
    let (report, _) = attack("printf 'D0755 0 root\\n\\002'; yes | tr -d '\\n'");
    assert!(
        matches!(report.ended_early, Some(Error::Scp { .. })),
        "{report:?}"
    );
}
