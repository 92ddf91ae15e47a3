//! Archives that are read, written and cut short.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

/// Reads an archive's members with their bytes, as `get` does.
fn read_all(mut archive: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, &'static str> {
    let (mut members, mut meta) = (Vec::new(), Meta::default());
    let mut take = |count: usize| -> Result<&[u8], &'static str> {
        let taken = archive.get(..count).ok_or("too short")?;
        archive = &archive[count..];
        Ok(taken)
    };
    loop {
        let block = take(BLOCK)?.try_into().expect("is a block");
        let (header, rest) = read(block, meta)?;
        meta = rest;
        let size = match &header {
            Header::End => return Ok(members),
            Header::Meta { size, .. } => *size,
            Header::Member(member) => member.size,
        };
        let count = usize::try_from(size).map_err(|_| "too large")?;
        let body = take(count.checked_add(padding(size)).ok_or("too large")?)?[..count].to_vec();
        match header {
            Header::Meta { flag, .. } => meta.read(flag, &body)?,
            Header::Member(member) => members.push((member, body)),
            Header::End => {}
        }
    }
}

fn archive(members: &[(Member, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (member, body) in members {
        write(member, &mut out);
        out.extend_from_slice(body);
        fill_up(body.len() as u64, &mut out);
    }
    let before = out.len() as u64;
    end(before, &mut out);
    out
}

fn file(path: &[u8], size: u64) -> Member {
    Member {
        path: path.to_vec(),
        kind: Kind::File,
        mode: 0o644,
        size,
        modified: 1_700_000_000,
        link: Vec::new(),
    }
}

#[test]
fn large_numbers_and_long_names_come_back() {
    for size in [0, 0o77_777_777_777, 0o100_000_000_000, i64::MAX as u64] {
        let mut out = Vec::new();
        write(&file(&[b'x'; 300], size), &mut out);
        let block = out[out.len() - BLOCK..].try_into().expect("is a block");
        let (header, _) = read(block, Meta::default()).expect("reads");
        assert!(
            matches!(header, Header::Member(member) if member.size == size),
            "{size}"
        );
    }
}

#[test]
fn extended_headers_are_read_or_refused() {
    let mut meta = Meta::default();
    let records = b"12 path=a\nb\n30 mtime=1350244992.023960108\n17 SCHILY.dev=42\n11 size=12\n";
    meta.read(b'x', records).expect("reads");
    assert_eq!(meta.path.as_deref(), Some(&b"a\nb"[..]));
    assert_eq!((meta.modified, meta.size), (Some(1_350_244_992), Some(12)));
    for records in [
        &b"path=a\n"[..],
        b"8 path=a\n",
        b"11 path=a\n",
        b"99999999999 path=a\n",
        b"0 path=a\n",
        b"3 \n",
        b"7 path\n",
        b"-1 path=a\n",
        b"10 size=-1\n",
        b"10 path=aa",
        b"10",
    ] {
        assert!(
            meta.read(b'x', records).is_err(),
            "{}",
            records.escape_ascii()
        );
    }
}

#[test]
fn headers_that_are_none_are_refused() {
    let mut good = Vec::new();
    write(&file(b"a", 5), &mut good);
    let good: [u8; BLOCK] = good.try_into().expect("is a block");
    assert!(read(&good, Meta::default()).is_ok());
    let changed = |field: std::ops::Range<usize>, text: &[u8]| {
        let mut block = good;
        block[field.start..field.start + text.len()].copy_from_slice(text);
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[CHECKSUM].copy_from_slice(sum.as_bytes());
        read(&block, Meta::default())
    };
    for size in [
        &b"-0000000001\0"[..],
        b"0000000008\0 ",
        b"\xff\xff",
        b"\x80\x01",
        b"0 0",
    ] {
        assert!(changed(SIZE, size).is_err(), "{}", size.escape_ascii());
    }
    let mut wrong = good;
    wrong[0] ^= 1;
    assert!(read(&wrong, Meta::default()).is_err());
}

/// The system's own `tar` reads what is written, and what it writes is read.
#[test]
fn the_systems_tar_agrees() {
    let scratch = tempfile::tempdir().expect("makes a folder");
    let long = [b"d/".as_slice(), &[b'y'; 200]].concat();
    let mut members: Vec<_> = [
        &b"plain"[..],
        b"a b\nc",
        b"\xff\xfe",
        b"-rf",
        &[b'x'; 100],
        &long,
    ]
    .iter()
    .map(|path| (file(path, path.len() as u64), path.to_vec()))
    .collect();
    for (path, kind, link) in [("e", Kind::Directory, ""), ("l", Kind::Link, "plain")] {
        let (path, link) = (path.as_bytes().to_vec(), link.as_bytes().to_vec());
        let member = Member {
            path,
            kind,
            link,
            ..file(b"", 0)
        };
        members.push((member, Vec::new()));
    }
    let tar = |words: &[&str]| {
        let mut command = Command::new("tar");
        command.args(words).current_dir(scratch.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().expect("runs tar")
    };
    let mut child = tar(&["-x", "-p", "-o", "-f", "-"]);
    let mut input = child.stdin.take().expect("has an input");
    input.write_all(&archive(&members)).expect("writes");
    drop(input);
    assert!(child.wait().expect("ends").success());
    for format in ["gnu", "ustar", "pax", "posix", "v7"] {
        let mut words = vec!["-c", "-f", "-"];
        let format = format!("--format={format}");
        words.extend([&format, "."]);
        if format.ends_with("v7") || format.ends_with("ustar") {
            words.insert(0, "--exclude=y*");
        }
        let output = tar(&words).wait_with_output().expect("ends");
        let found = read_all(&output.stdout).expect("reads");
        for (member, body) in &members {
            let path = [b"./".as_slice(), &member.path].concat();
            let same = found
                .iter()
                .find(|(found, _)| found.path.trim_suffix_slash() == path);
            let Some((found, bytes)) = same else {
                assert!(path.len() > 99, "{format} has no {}", path.escape_ascii());
                continue;
            };
            assert_eq!(
                (found.kind, &found.link, bytes),
                (member.kind, &member.link, body)
            );
            if found.kind == Kind::File {
                assert_eq!((found.mode, found.modified), (member.mode, member.modified));
            }
        }
    }
}

trait Trimmed {
    fn trim_suffix_slash(&self) -> &[u8];
}

impl Trimmed for Vec<u8> {
    fn trim_suffix_slash(&self) -> &[u8] {
        self.strip_suffix(b"/").unwrap_or(self)
    }
}

fn member() -> impl Strategy<Value = (Member, Vec<u8>)> {
    let byte = 1_u8..;
    let name = prop::collection::vec(byte, 1..300);
    let kind = prop_oneof![Just(Kind::File), Just(Kind::Directory), Just(Kind::Link)];
    let body = prop::collection::vec(any::<u8>(), 0..1200);
    (
        name.clone(),
        kind,
        0_u32..0o10_000,
        0..i64::MAX as u64,
        name,
        body,
    )
        .prop_map(|(path, kind, mode, modified, link, body)| {
            let body = if kind == Kind::File { body } else { Vec::new() };
            let link = if kind == Kind::Link { link } else { Vec::new() };
            let size = body.len() as u64;
            (
                Member {
                    path,
                    kind,
                    mode,
                    size,
                    modified,
                    link,
                },
                body,
            )
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(members in prop::collection::vec(member(), 0..6)) {
        let archive = archive(&members);
        prop_assert_eq!(archive.len() % (20 * BLOCK), 0);
        prop_assert_eq!(read_all(&archive).expect("reads"), members);
    }

    /// No bytes make the reader panic, with checksums that are right or not.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), BLOCK..4 * BLOCK),
        flag in prop::sample::select(b"0125LKxgS7\0".to_vec()),
        size in 0_u64..1500,
        right in any::<bool>(),
    ) {
        if right {
            let block: &mut [u8; BLOCK] = (&mut bytes[..BLOCK]).try_into().expect("is a block");
            block[FLAG] = flag;
            number(block, SIZE, size);
            let sum = format!("{:06o}\0 ", checksum(block));
            block[CHECKSUM].copy_from_slice(sum.as_bytes());
        }
        if let Ok(members) = read_all(&bytes) {
            prop_assert!(members.iter().all(|(member, _)| member.mode <= 0o7777));
        }
    }
}
