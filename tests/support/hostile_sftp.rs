//! An SFTP server that lies: sshd starts it in the place of its own, and it answers by a scenario.
//!
//! The test binary starts itself again for it. A test file that uses it declares `hostile_sftp!();` at its root.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Write},
    path::Path,
};

use super::sshd::{Sshd, SshdBuilder};

mod names;

pub(crate) use names::{PERMISSIONS, TARGETS_OUTSIDE, bad_names, odd_names};

/// Declares the test that the lying server runs in; without its variable it passes at once.
macro_rules! hostile_sftp {
    () => {
        #[test]
        fn hostile_sftp_child() {
            $crate::support::hostile_sftp::become_server_if_asked();
        }
    };
}
pub(crate) use hostile_sftp;

/// What the server lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Files of bad names.
    Files,
    /// Directories of bad names, each with a file in it.
    Directories,
    /// Links of many targets, each followed by a directory of the same name with a file in it.
    LinkThenThrough,
    /// The name `planted`, as a directory with a file in it.
    Planted,
    /// The name `planted`, as a file.
    PlantedFile,
    /// Files that are longer or shorter than they are said to be, without end.
    Sizes,
    /// Permissions with every id bit, and entries that are no files.
    Modes,
    /// A directory without an end.
    Endless,
    /// A directory in every directory.
    Deep,
    /// Lists of nothing but `.`.
    Dots,
    /// Lists of no names at all.
    Empty,
    /// Says of a pipe that it is a file, until it is open.
    Pipe,
    /// Files and directories with every bit of permissions, in octal in their names.
    Permissions,
    /// Names that are listed twice, as files, directories and links.
    Twice,
    /// A file of a size that no disk has, and of ten bytes.
    Boast,
    /// A directory without an end, of names that have no bytes.
    Blank,
    /// No lie: a file of a million bytes, of which a read gets 10,000 at most.
    Scant,
}

const LIES: [Lie; 17] = [
    Lie::Files,
    Lie::Directories,
    Lie::LinkThenThrough,
    Lie::Planted,
    Lie::PlantedFile,
    Lie::Sizes,
    Lie::Modes,
    Lie::Endless,
    Lie::Deep,
    Lie::Dots,
    Lie::Empty,
    Lie::Pipe,
    Lie::Permissions,
    Lie::Twice,
    Lie::Boast,
    Lie::Blank,
    Lie::Scant,
];

impl SshdBuilder {
    /// Has the server lie by SFTP; `dir` is for the script that starts the liar.
    pub(crate) fn lying(self, lie: Lie, dir: &Path) -> Self {
        let script = dir.join("liar.sh");
        let own = std::env::current_exe().expect("knows its own file");
        // The harness prints on standard output what is no SFTP: the server has descriptor 3, a pipe, for its own.
        let text = format!(
            "{ASKED}='{}' {VARIABLE}={lie:?} '{}' --exact hostile_sftp_child --nocapture 3>&1 >/dev/null 2>&1 | cat\n",
            dir.join("asked").display(),
            own.display()
        );
        fs::write(&script, text).expect("writes the script");
        self.config(&format!("Subsystem sftp /bin/sh {}", script.display()))
    }
}

/// Starts a server that lies so; `None` where the tests against sshd are switched off.
#[track_caller]
pub(crate) fn liar(lie: Lie, dir: &Path) -> Option<Sshd> {
    Sshd::builder().log_level("INFO").lying(lie, dir).start()
}

/// What a liar with this directory was asked: the paths to remove, in their order, and each `read`
/// of [`Lie::Scant`].
pub(crate) fn asked(dir: &Path) -> Vec<Vec<u8>> {
    let asked = fs::read(dir.join("asked")).unwrap_or_default();
    let paths = asked.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    paths.filter(|path| !path.is_empty()).collect()
}

/// Lies and ends the process, if this process was started to.
pub(crate) fn become_server_if_asked() {
    let Ok(name) = std::env::var(VARIABLE) else {
        return;
    };
    let lie = LIES
        .into_iter()
        .find(|lie| format!("{lie:?}") == name)
        .expect("is one of them");
    let to = fs::OpenOptions::new()
        .write(true)
        .open("/dev/fd/3")
        .expect("has descriptor 3");
    let mut server = Server {
        lie,
        to,
        listed: 0,
        opened: 0,
        ended: HashSet::new(),
    };
    // Standard input ends with the client.
    let _ = server.serve(&mut io::stdin().lock());
    std::process::exit(0);
}

struct Server {
    lie: Lie,
    to: fs::File,
    /// Answers to listings so far.
    listed: u64,
    /// Handles so far.
    opened: u64,
    /// Directories whose one answer was given.
    ended: HashSet<Vec<u8>>,
}

/// A name, what it is (as in `st_mode`), and the size that is told.
type Told = (Vec<u8>, u32, u64);

impl Server {
    fn serve(&mut self, from: &mut impl Read) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length)?;
            let mut packet = vec![0; u32::from_be_bytes(length) as usize];
            from.read_exact(&mut packet)?;
            let answer = self.answer(&packet);
            let length = u32::try_from(answer.len()).expect("answers are short");
            self.to
                .write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
        }
    }

    fn answer(&mut self, packet: &[u8]) -> Vec<u8> {
        if packet[0] == INIT {
            return [&[VERSION][..], &3_u32.to_be_bytes()].concat();
        }
        let id = &packet[1..5];
        let argument = string(&packet[5..]);
        let (kind, body) = match packet[0] {
            STAT | LSTAT => (ATTRS, self.told_unopened(argument)),
            FSTAT => (ATTRS, self.told_of(argument)),
            // The handle is a number and the end of the path.
            OPEN | OPENDIR => {
                self.opened += 1;
                let tail = &argument[argument.len().saturating_sub(200)..];
                (
                    HANDLE,
                    field(&[&self.opened.to_be_bytes()[..], tail].concat()),
                )
            }
            READDIR => self.list(argument),
            READ => self.read(argument, &packet[9 + argument.len()..]),
            READLINK => {
                let number = argument.iter().rposition(|byte| !byte.is_ascii_digit());
                let digits = &argument[number.map_or(0, |at| at + 1)..];
                let number: usize = String::from_utf8_lossy(digits).parse().unwrap_or(0);
                let target = TARGETS_OUTSIDE[number % TARGETS_OUTSIDE.len()];
                (NAME, names(&[(target.into(), LINK, 0)]))
            }
            REMOVE | RMDIR => {
                note_asked(argument);
                (STATUS, status(0))
            }
            CLOSE => (STATUS, status(0)),
            _ => (STATUS, status(8)),
        };
        [&[kind][..], id, &body].concat()
    }

    /// What a path is said to be: where the lie is about files, all but the root are some.
    fn told_unopened(&self, path: &[u8]) -> Vec<u8> {
        match self.lie {
            Lie::Sizes | Lie::Permissions | Lie::Boast | Lie::Scant if !path.ends_with(b"root") => {
                self.told_of(path)
            }
            _ => attributes(DIRECTORY | 0o755, 0),
        }
    }

    /// What an open file is said to be.
    fn told_of(&self, path: &[u8]) -> Vec<u8> {
        match self.lie {
            Lie::Sizes if path.ends_with(b"long") => attributes(FILE | 0o644, 10),
            Lie::Sizes if path.ends_with(b"short") => attributes(FILE | 0o644, 1_000_000),
            Lie::Sizes if path.ends_with(b"huge") => attributes(FILE | 0o644, u64::MAX),
            // Of its size nothing is told.
            Lie::Sizes => [&4_u32.to_be_bytes()[..], &(FILE | 0o644).to_be_bytes()].concat(),
            Lie::Modes => attributes(FILE | 0o7777, EVIL.len() as u64),
            Lie::Permissions => {
                let digits = path.iter().rev().take_while(|byte| byte.is_ascii_digit());
                let octal = |(place, digit): (u32, &u8)| u32::from(digit - b'0') << (3 * place);
                let mode: u32 = (0..).zip(digits).map(octal).sum();
                attributes(FILE | mode, EVIL.len() as u64)
            }
            Lie::Boast => attributes(FILE | 0o644, 1 << 62),
            Lie::Scant => attributes(FILE | 0o644, SCANT_BYTES),
            Lie::Pipe => attributes(0o010_644, EVIL.len() as u64),
            _ => attributes(FILE | 0o644, EVIL.len() as u64),
        }
    }

    fn read(&self, path: &[u8], rest: &[u8]) -> (u8, Vec<u8>) {
        let offset = u64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
        let most = u32::from_be_bytes(rest[8..12].try_into().expect("four bytes"));
        let end = match self.lie {
            Lie::Sizes if path.ends_with(b"short") => 10,
            Lie::Sizes => u64::MAX,
            Lie::Scant => SCANT_BYTES,
            _ => EVIL.len() as u64,
        };
        if offset >= end {
            return (STATUS, status(1));
        }
        let most = match self.lie {
            Lie::Scant => {
                note_asked(b"read");
                most.min(10_000)
            }
            _ => most.min(32_768),
        };
        let count = u64::from(most).min(end - offset) as usize;
        let begin = offset as usize % EVIL.len();
        let data = EVIL.iter().cycle().skip(begin).take(count);
        let data: Vec<u8> = data.copied().collect();
        (DATA, field(&data))
    }

    fn list(&mut self, path: &[u8]) -> (u8, Vec<u8>) {
        self.listed += 1;
        let is_root = path.ends_with(b"root");
        let file = |name: &[u8]| (name.to_vec(), FILE | 0o644, EVIL.len() as u64);
        let mut all: Vec<Told> = bad_names()
            .into_iter()
            .chain(odd_names())
            .map(|name| file(&name))
            .collect();
        let told = match self.lie {
            Lie::Endless => {
                let name = |n| format!("{}-{n}", self.listed).into_bytes();
                return (
                    NAME,
                    names(&(0..100).map(|n| file(&name(n))).collect::<Vec<_>>()),
                );
            }
            Lie::Blank => return (NAME, blank()),
            Lie::Dots => return (NAME, names(&[(b".".to_vec(), DIRECTORY, 0)])),
            Lie::Empty => return (NAME, names(&[])),
            _ if !self.ended.insert(path.to_vec()) => return (STATUS, status(1)),
            Lie::Deep => vec![(b"d".to_vec(), DIRECTORY | 0o755, 0)],
            _ if !is_root => vec![file(b"evil")],
            Lie::Files => all,
            Lie::Directories => {
                for told in &mut all {
                    told.1 = DIRECTORY | 0o777;
                }
                all
            }
            Lie::LinkThenThrough => {
                let pair = |n: usize| {
                    let name = format!("link{n}").into_bytes();
                    [
                        (name.clone(), LINK | 0o777, 0),
                        (name, DIRECTORY | 0o777, 0),
                    ]
                };
                (0..TARGETS_OUTSIDE.len()).flat_map(pair).collect()
            }
            Lie::Planted => vec![(b"planted".to_vec(), DIRECTORY | 0o777, 0)],
            Lie::PlantedFile => vec![file(b"planted")],
            Lie::Sizes => [&b"long"[..], b"short", b"huge", b"untold"]
                .map(file)
                .into(),
            Lie::Modes => {
                let kinds = [
                    FILE, DIRECTORY, 0o010_000, 0o020_000, 0o060_000, 0o140_000, 0,
                ];
                let told =
                    |(n, kind): (usize, &u32)| (format!("mode{n}").into_bytes(), kind | 0o7777, 9);
                kinds.iter().enumerate().map(told).collect()
            }
            Lie::Pipe => vec![file(b"pipe")],
            Lie::Permissions => permissions(),
            Lie::Twice => twice(),
            Lie::Boast => vec![file(b"boast")],
            Lie::Scant => vec![file(b"scant")],
        };
        (NAME, names(&told))
    }
}

/// As many names without a byte as an answer holds, of which nothing is told.
fn blank() -> Vec<u8> {
    [&20_000_u32.to_be_bytes()[..], &vec![0; 12 * 20_000]].concat()
}

/// A file and a directory of each of the permissions.
fn permissions() -> Vec<Told> {
    let kinds = [("file", FILE), ("dir", DIRECTORY)];
    let all = kinds.into_iter().flat_map(|(name, kind)| {
        PERMISSIONS.map(|mode| (format!("{name} {mode:o}").into_bytes(), kind | mode, 9))
    });
    all.collect()
}

/// Names that are there twice, of one type and of two.
fn twice() -> Vec<Told> {
    let all = [
        ("file", FILE),
        ("file", FILE),
        ("dir", DIRECTORY),
        ("dir", FILE),
        ("link", LINK),
        ("link", FILE),
        ("FILE", FILE),
    ];
    let told = |(name, kind): (&str, u32)| (name.as_bytes().to_vec(), kind | 0o644, 9);
    all.map(told).into()
}

fn string(from: &[u8]) -> &[u8] {
    let length = u32::from_be_bytes(from[..4].try_into().expect("four bytes"));
    &from[4..4 + length as usize]
}

fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("is short");
    [&length.to_be_bytes()[..], bytes].concat()
}

fn status(code: u32) -> Vec<u8> {
    [&code.to_be_bytes()[..], &field(b""), &field(b"")].concat()
}

/// Size, permissions and times.
fn attributes(mode: u32, size: u64) -> Vec<u8> {
    let flags = 1_u32 | 4 | 8;
    let times = 1_u32.to_be_bytes();
    [
        &flags.to_be_bytes()[..],
        &size.to_be_bytes(),
        &mode.to_be_bytes(),
        &times,
        &times,
    ]
    .concat()
}

fn names(all: &[Told]) -> Vec<u8> {
    let count = u32::try_from(all.len()).expect("are few");
    let mut answer = count.to_be_bytes().to_vec();
    for (name, mode, size) in all {
        answer.extend(field(name));
        answer.extend(field(b"-rwsrwsrwt 1 root root a line for people"));
        answer.extend(attributes(*mode, *size));
    }
    answer
}

/// What every file holds.
pub(crate) const EVIL: &[u8] = b"evil bytes";

/// How large the file of [`Lie::Scant`] is.
pub(crate) const SCANT_BYTES: u64 = 1_000_000;

/// Writes down a path that was to be removed.
fn note_asked(path: &[u8]) {
    let log = std::env::var_os(ASKED).expect("has a place to write it");
    let log = fs::OpenOptions::new().append(true).create(true).open(log);
    let line = [path, b"\0"].concat();
    log.and_then(|mut log| log.write_all(&line))
        .expect("writes it");
}

const ASKED: &str = "SSHOAL_TEST_HOSTILE_ASKED";
const VARIABLE: &str = "SSHOAL_TEST_HOSTILE_SFTP";
const INIT: u8 = 1;
const VERSION: u8 = 2;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const RMDIR: u8 = 15;
const STAT: u8 = 17;
const READLINK: u8 = 19;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
