//! Hosts whose `tar` attacks whoever gets a directory: nothing outside that directory changes, and each is told.

#[path = "transfer_tar_hostile/archive.rs"]
mod archive;
mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    time::Duration,
};

use archive::{Liar, ROOT, file, filled, header, leads_down, link, member, sum};
use sshoal::{
    Scope,
    transfer::{
        self, CopyOptions, Error, Existing, Links, LocalTree, Preserve, Stream, TreeOptions,
        TreeReport, WhySkipped,
    },
};
use support::{
    hostile_sftp::{TARGETS_OUTSIDE, bad_names, odd_names},
    programs::program,
    sessions::limit,
    stage::Stage,
    trees::snapshot,
};

/// Goal: every bad name is told, as a file, as a directory and as a directory that a file is in. Method: names that lead
/// nowhere out, `a/b` and the like, are good ones of an archive and are left out of the count.
#[test]
fn bad_names_of_files_and_directories_lead_nowhere() {
    let Some(liar) = Liar::start() else { return };
    let mut bad: Vec<_> = bad_names()
        .into_iter()
        .filter(|name| !leads_down(name))
        .collect();
    for more in [
        "./../evil",
        "././../evil",
        "./a/../evil",
        "a/./../../evil",
        "./..",
        "../in/../evil",
        "a/b/c/../../../../evil",
        "./a//../evil",
        "..//evil",
        "/../evil",
        "a/b/..",
        "x/\0/y",
        "./\0",
        "...//evil",
        "./a/.",
        ".//x",
        "a/b/./c",
        "../../in/x",
        "//x",
        "///",
    ] {
        bad.push(more.as_bytes().to_vec());
    }
    bad.sort_unstable();
    bad.dedup();
    assert!(bad.len() >= 40, "{}", bad.len());
    for flag in [b'0', b'5', b'2', b'1', b'3'] {
        let stage = Stage::new();
        let members: Vec<_> = (bad.iter())
            .map(|name| member(name, flag, if flag == b'0' { b"evil" } else { b"" }))
            .collect();
        let report = liar.members(
            &stage,
            &[&members.concat(), &file(b"./good")],
            &TreeOptions::new().links(Links::Copy),
        );
        assert!(report.ended_early.is_none(), "{report:?}");
        let told: Vec<_> = (report.failed.iter())
            .map(|entry| match &entry.error {
                Error::BadName { name } => name.clone(),
                other => panic!("{}: {other:?}", entry.path.escape_ascii()),
            })
            .collect();
        assert_eq!(told, bad, "{}", flag.escape_ascii());
        assert_eq!(snapshot(&stage.inside()).len(), 1);
    }
    for name in &bad {
        let stage = Stage::new();
        let within = [&name[..], b"/evil"].concat();
        let stream = [member(name, b'5', b""), file(&within)].concat();
        let report = liar.members(&stage, &[&stream], &TreeOptions::new());
        assert!(!report.is_success(), "{}: {report:?}", name.escape_ascii());
    }
}

/// Names that look bad and are one name stay in the directory.
#[test]
fn odd_names_are_those_of_files_in_the_directory() {
    let Some(liar) = Liar::start() else { return };
    let mut odd = odd_names();
    let files: Vec<_> = odd
        .iter()
        .map(|name| file(&[b"./", &name[..]].concat()))
        .collect();
    let stage = Stage::new();
    let report = liar.members(&stage, &[&files.concat()], &TreeOptions::new());
    assert!(report.is_success(), "{report:?}");
    let names = fs::read_dir(stage.inside()).expect("lists");
    let names = names.map(|entry| entry.expect("is there").file_name().as_bytes().to_vec());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    odd.sort_unstable();
    assert_eq!(names, odd);
}

/// A link is sent, and then files through it, for each way out that there is; so is a second name of what is outside.
#[test]
fn links_that_lead_out_are_not_made_and_nothing_goes_through_them() {
    let Some(liar) = Liar::start() else { return };
    for links in [Links::Skip, Links::Copy] {
        for target in TARGETS_OUTSIDE {
            let stage = Stage::new();
            let options = TreeOptions::new().links(links);
            let members = [&link(b"./way", b'2', target)[..], &file(b"./way/file")];
            let report = liar.members(&stage, &members, &options);
            let why = match links {
                Links::Skip => WhySkipped::Link,
                Links::Copy => WhySkipped::LinkOutside,
            };
            assert_eq!(report.links, 0, "{target}");
            assert_eq!(report.skipped[0].why, why, "{target}");
            assert!(!stage.inside().join("way").is_symlink());
        }
        // One that leads to within is a link, and still nothing goes through it.
        let stage = Stage::new();
        let members = [
            &link(b"way", b'2', "dir")[..],
            &member(b"dir", b'5', b""),
            &file(b"way/x"),
        ];
        let report = liar.members(&stage, &members, &TreeOptions::new().links(links));
        let through = stage.inside().join("dir/x");
        assert!(!through.exists(), "{report:?}");
    }
    for target in ["../out/file", "/etc/passwd", "file", "./good", ""] {
        let stage = Stage::new();
        let members = [
            &file(b"good")[..],
            &link(b"second", b'1', target),
            &file(b"second"),
        ];
        let report = liar.members(&stage, &members, &TreeOptions::new().links(Links::Copy));
        assert!(!report.is_success(), "{target}");
        assert_eq!(snapshot(&stage.inside()).len(), 1, "{target}: {report:?}");
    }
}

/// A link that somebody planted here is not gone through, as a directory or as a file.
#[test]
fn a_link_planted_in_the_target_is_not_followed() {
    let Some(liar) = Liar::start() else { return };
    let stage = Stage::new();
    symlink("../out", stage.inside().join("planted")).expect("links");
    for members in [
        vec![member(b"planted", b'5', b""), file(b"planted/file")],
        vec![file(b"planted/file")],
        vec![file(b"./planted/deeper/file")],
    ] {
        let report = liar.members(&stage, &[&members.concat()], &TreeOptions::new());
        assert!(
            matches!(&report.failed[..], [one] if matches!(one.error, Error::Local { .. })),
            "{report:?}"
        );
    }
    for existing in [Existing::Fail, Existing::Keep, Existing::Overwrite] {
        let stage = Stage::new();
        let link = stage.inside().join("planted");
        symlink("../out/file", &link).expect("links");
        let options = TreeOptions::new().copy(CopyOptions::new().existing(existing));
        let report = liar.members(&stage, &[&file(b"planted")], &options);
        let replaced = existing == Existing::Overwrite;
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
    let members = [
        member(b"planted", b'5', b""),
        file(b"planted/file"),
        file(b"planted/evil"),
    ];
    let stream = [&ROOT()[..], &members.concat(), &[0; 1024]].concat();
    let stream_file = liar.programs.join("stream");
    fs::write(&stream_file, &stream).expect("writes");
    program(
        &liar.programs,
        "tar",
        &format!("cat {}", stream_file.display()),
    );
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
        while scope.check().is_ok() {
            let options = TreeOptions::new().stream(Stream::Tar);
            let inside = stage.inside();
            let report = transfer::get_tree(&liar.session, b"/", &inside, &options, &limit());
            copied += report.files;
            told += report.failed.len();
        }
    });
    stage.check("a swapped directory");
    println!("{copied} files copied, {told} times refused");
    assert!(copied > 0 || told > 0, "nothing was tried");
}

/// Files of fewer bytes than was said, or of more than are allowed, and sizes that are none.
#[test]
fn lies_about_sizes_are_bounded_and_told() {
    let Some(liar) = Liar::start() else { return };
    let options = TreeOptions::new();
    let stage = Stage::new();
    let short = header(b"short", b'0', (0o644, 9), b"");
    let report = liar.bytes(&stage, &[&ROOT()[..], &short, b"evil"].concat(), &options);
    let (expected, arrived) = (9, 4);
    assert!(
        matches!(report.failed[0].error, Error::Short { expected: e, arrived: a } if (e, a) == (expected, arrived)),
        "{report:?}"
    );
    assert!(report.ended_early.is_some(), "{report:?}");
    let huge = header(b"huge", b'0', (0o644, 0o77_777_777_777), b"");
    let all = options
        .clone()
        .bytes_max(NonZeroU64::new(1_000_000).expect("not zero"));
    for flag in [b'0', b'S', b'Z'] {
        let mut block = huge;
        block[156] = flag;
        let report = liar.members(&stage, &[&sum(block)], &all);
        assert!(
            matches!(
                report.ended_early,
                Some(Error::TreeTooLarge {
                    bytes_max: 1_000_000
                })
            ),
            "{report:?}"
        );
    }
    let one = CopyOptions::new().bytes_max(NonZeroU64::new(3).expect("not zero"));
    let members = [&file(b"large")[..], &member(b"small", b'0', b"abc")];
    let report = liar.members(&stage, &members, &options.clone().copy(one));
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::TooLarge { bytes_max: 3 })),
        "{report:?}"
    );
    assert_eq!(report.files, 1);
    for field in [
        &b"99999999999\0"[..],
        b"-0000000001\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut block = header(b"x", b'0', (0o644, 0), b"");
        block[124..136].copy_from_slice(field);
        let report = liar.members(&stage, &[&sum(block)], &options);
        assert!(
            matches!(report.ended_early, Some(Error::TarFormat { .. })),
            "{report:?}"
        );
    }
    assert_eq!(snapshot(&stage.inside()).len(), 1);
}

/// Nothing gets an id bit, whatever is kept, and what is no file is not made.
#[test]
fn modes_are_masked_and_devices_are_not_made() {
    let Some(liar) = Liar::start() else { return };
    for preserve in [Preserve::No, Preserve::Yes] {
        let stage = Stage::new();
        let options = TreeOptions::new().copy(CopyOptions::new().preserve(preserve));
        let members = [
            header(b"file", b'0', (0o7777, 0), b""),
            header(b"dir", b'5', (0o6777, 0), b""),
            header(b"dir/deeper", b'7', (0o4755, 0), b""),
            header(b"character", b'3', (0o666, 0), b""),
            header(b"block", b'4', (0o666, 0), b""),
            header(b"pipe", b'6', (0o666, 0), b""),
        ];
        let report = liar.members(&stage, &[&members.concat()], &options);
        assert!(report.is_success() && report.files == 2, "{report:?}");
        assert_eq!(report.skipped.len(), 3, "{report:?}");
        assert!(
            report
                .skipped
                .iter()
                .all(|entry| entry.why == WhySkipped::Special)
        );
        for name in ["file", "dir", "dir/deeper"] {
            let about = fs::symlink_metadata(stage.inside().join(name)).expect("is there");
            let mode = about.permissions().mode();
            assert_eq!(mode & 0o7022, 0, "{preserve:?} {name}: {mode:o}");
        }
        assert_eq!(snapshot(&stage.inside()).len(), 3);
    }
}

/// Goal: what is no archive is told, and what came whole before it is kept. Method: a table of streams.
#[test]
fn what_is_no_archive_is_told() {
    let Some(liar) = Liar::start() else { return };
    let root = &ROOT()[..];
    let mut wrong = header(b"x", b'0', (0o644, 0), b"");
    wrong[0] ^= 1;
    let extended = |body: &[u8]| {
        let header = header(b"x", b'x', (0o644, body.len() as u64), b"");
        [root, &header, &filled(body)].concat()
    };
    for stream in [
        Vec::new(),
        vec![0; 1024],
        root.to_vec(),
        root[..100].to_vec(),
        [root, &[b'x'; 512]].concat(),
        [root, &wrong].concat(),
        [root, &header(b"x", b'L', (0o644, 1 << 30), b"")].concat(),
        [root, &header(b"x", b'x', (0o644, 70_000), b"")].concat(),
        extended(b"path=x\n"),
        extended(b"999 path=x\n"),
        extended(b"99999999999999999999 path=x\n"),
        extended(b"0 path=x\n"),
        extended(b"10 size=-1\n"),
    ] {
        let stage = Stage::new();
        let report = liar.bytes(&stage, &stream, &TreeOptions::new());
        assert!(
            report.ended_early.is_some(),
            "{} bytes: {report:?}",
            stream.len()
        );
    }
    let stage = Stage::new();
    let good = [root, &file(b"good")[..], &wrong].concat();
    let report = liar.bytes(&stage, &good, &TreeOptions::new());
    assert!(
        report.ended_early.is_some() && report.files == 1,
        "{report:?}"
    );
    // Names that come twice, files where directories are to be, and files with holes.
    let holes = b"22 GNU.sparse.major=1\n";
    let sparse = [
        &header(b"x", b'x', (0o644, holes.len() as u64), b"")[..],
        &filled(holes),
        &header(b"holes", b'0', (0o644, 4), b""),
        &filled(b"evil"),
    ]
    .concat();
    let members = [&file(b"a")[..], &file(b"a"), &file(b"a/b"), &sparse, root];
    let report = liar.members(&Stage::new(), &members, &TreeOptions::new());
    assert_eq!((report.files, report.failed.len()), (1, 4), "{report:?}");
    assert!(report.ended_early.is_none(), "{report:?}");
}

/// What never ends is ended here: names, depths, headers of headers, complaints, and bytes behind the end.
#[test]
fn what_has_no_end_is_bounded_and_told() {
    let Some(liar) = Liar::start() else { return };
    let thousand = NonZeroUsize::new(1_000).expect("not zero");
    let options = TreeOptions::new().entries_max(thousand);
    let many = |report: &TreeReport| {
        matches!(
            report.ended_early,
            Some(Error::TooManyEntries { entries_max: 1_000 })
        )
    };
    for repeated in [
        file(b"a"),
        link(b"x", b'g', "").to_vec(),
        link(b"l", b'2', "/").to_vec(),
    ] {
        let stage = Stage::new();
        let stream = liar.programs.join("repeated");
        fs::write(&stream, [&ROOT()[..], &repeated].concat()).expect("writes");
        let script = format!("while cat {}; do :; done", stream.display());
        let report = liar.script(&stage, &script, &options);
        assert!(many(&report), "{:?}", report.ended_early);
        assert!(snapshot(&stage.inside()).len() <= 1);
    }
    let stage = Stage::new();
    let deep: Vec<u8> = b"d/".repeat(2_000);
    let wide: Vec<_> = (0..2_000)
        .map(|number| file(format!("{number}/x").as_bytes()))
        .collect();
    let report = liar.members(
        &stage,
        &[&file(&[&deep[..], b"x"].concat())],
        &TreeOptions::new(),
    );
    assert!(
        matches!(report.failed[0].error, Error::TooDeep { .. }),
        "{report:?}"
    );
    assert_eq!(snapshot(&stage.inside()).len(), 64);
    let report = liar.members(&Stage::new(), &[&wide.concat()], &options);
    assert!(
        many(&report) && report.directories <= 500,
        "{:?}",
        report.ended_early
    );
    let stage = Stage::new();
    let end = [&ROOT()[..], &[0; 1024]].concat();
    fs::write(liar.programs.join("end"), end).expect("writes");
    let whole = format!("cat {}", liar.programs.join("end").display());
    for script in [format!("{whole}; yes"), format!("yes >&2; {whole}")] {
        let report = liar.script(&stage, &script, &options);
        let Some(Error::Command { message, .. }) = &report.ended_early else {
            panic!("{report:?}")
        };
        assert!(message.starts_with("it "), "{message}");
    }
}

/// Goal: a host that lies while a directory is put to it makes the copy fail, and no more. Method: programs that answer
/// what no shell answers, name what was never sent, say too much, or end at once.
#[test]
fn a_host_that_lies_while_it_is_given_a_directory_is_told() {
    let Some(liar) = Liar::start() else { return };
    let source = tempfile::tempdir().expect("makes a directory");
    for name in ["a", "b"] {
        fs::write(source.path().join(name), "bytes").expect("writes");
    }
    let tree = LocalTree::walk(source.path(), &TreeOptions::new()).expect("walks");
    let options = TreeOptions::new().stream(Stream::Tar);
    for (script, whole) in [
        ("echo not octal", false),
        ("exit 0", false),
        ("echo 0022; exit 0", false),
        ("echo 0022; cat >/dev/null; exit 0", false),
        (
            "echo 0022; cat >/dev/null; printf 'R\\0E\\0'; exit 3",
            false,
        ),
        ("echo 0022; cat >/dev/null; yes", false),
        (
            "echo 0022; cat >/dev/null; printf 'k../../x\\0f/etc/passwd\\0no\\0E\\0'",
            true,
        ),
    ] {
        // The shell itself is the liar's.
        program(
            &liar.programs,
            "sh",
            &format!("case \"$2\" in umask*) {script};; *) exec /bin/sh \"$@\";; esac"),
        );
        let report = transfer::put_tree(&liar.session, &tree, b"/nowhere", &options, &limit());
        assert_eq!(report.is_success(), whole, "{script}: {report:?}");
        if !whole {
            assert!(
                report.ended_early.is_some() && report.files == 0,
                "{script}: {report:?}"
            );
        }
    }
}
