//! An SFTP server whose answers are honest but for those that a plan names: OpenSSH's, behind a process that changes
//! what it says.
//!
//! The test binary starts itself again for it. A test file that uses it declares `mangled_sftp!();` at its root.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::sshd::Sshd;

/// Declares the test that the server runs in; without its variable it passes at once.
macro_rules! mangled_sftp {
    () => {
        #[test]
        fn mangled_sftp_child() {
            $crate::support::mangled_sftp::become_server_if_asked();
        }
    };
}
pub(crate) use mangled_sftp;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mangle {
    /// A status of this number in its place.
    Status(u32),
    /// A handle of so many bytes in its place.
    Handle(usize),
    /// Data of so many bytes in its place.
    Data(usize),
    /// A list that says to have so many names, and has one that leads out.
    Names(u32),
    /// Attributes with every bit set in its place.
    Full,
    /// Attributes of a directory in its place.
    Directory,
    /// Attributes that tell nothing in its place.
    Nothing,
    /// Of attributes, these flags and what they stand for are left out.
    Without(u32),
    /// An extended answer of so many bytes, all of them the same.
    Extended(usize, u8),
    /// Under another number.
    Stray,
    /// It comes twice.
    Twice,
    /// Half of it, as a whole packet.
    Cut,
    /// Of a type that there is not.
    Unknown,
    /// A packet that says to have so many bytes, and the answer behind it.
    Length(u32),
    /// Text before it.
    Noise,
    /// A byte at a time, and all that follows.
    Slow,
    /// The server ends before it.
    Die,
    /// The server ends half way through it.
    DieWithin,
}

/// All that can be done to one answer.
pub(crate) const ALL: [Mangle; 36] = [
    Mangle::Status(0),
    Mangle::Status(1),
    Mangle::Status(2),
    Mangle::Status(3),
    Mangle::Status(4),
    Mangle::Status(8),
    Mangle::Status(u32::MAX),
    Mangle::Handle(0),
    Mangle::Handle(1),
    Mangle::Handle(257),
    Mangle::Data(0),
    Mangle::Data(1),
    Mangle::Data(280 * 1024),
    Mangle::Names(0),
    Mangle::Names(1),
    Mangle::Names(2),
    Mangle::Names(u32::MAX),
    Mangle::Full,
    Mangle::Directory,
    Mangle::Nothing,
    Mangle::Without(SIZE),
    Mangle::Without(MODE),
    Mangle::Without(OWNER | TIMES),
    Mangle::Extended(0, 0),
    Mangle::Extended(88, 0),
    Mangle::Extended(88, 0xff),
    Mangle::Stray,
    Mangle::Twice,
    Mangle::Cut,
    Mangle::Unknown,
    Mangle::Length(0),
    Mangle::Length(u32::MAX),
    Mangle::Noise,
    Mangle::Slow,
    Mangle::Die,
    Mangle::DieWithin,
];

/// The flags of attributes (draft-ietf-secsh-filexfer-02 §5).
pub(crate) const SIZE: u32 = 1;
pub(crate) const OWNER: u32 = 2;
pub(crate) const MODE: u32 = 4;
pub(crate) const TIMES: u32 = 8;

/// Which answers are mangled, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// None.
    Honest,
    /// The one of this number alone; the version's is 0.
    One(usize, Mangle),
    /// All with attributes.
    Attributes(Mangle),
    /// All to reads, and attributes tell no sizes.
    Untold(Mangle),
    /// The version is told to be this one.
    Version(u32),
}

/// A server that keeps to what [`Plan::go`] says last before it is started.
pub(crate) struct Mangled {
    pub(crate) sshd: Sshd,
    dir: tempfile::TempDir,
}

impl Mangled {
    /// Starts one that is honest; `None` where the tests against sshd are switched off.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("makes a folder");
        let script = dir.path().join("server.sh");
        let own = std::env::current_exe().expect("knows its own file");
        // The harness prints on standard output what is no SFTP: the server has descriptor 3, a pipe, for its own.
        let text = format!(
            "{VARIABLE}='{}' '{}' --exact mangled_sftp_child --nocapture 3>&1 >/dev/null 2>&1 | cat\n",
            dir.path().display(),
            own.display()
        );
        fs::write(&script, text).expect("writes the script");
        let subsystem = format!("Subsystem sftp /bin/sh {}", script.display());
        let sshd = Sshd::builder()
            .log_level("INFO")
            .config(&subsystem)
            .start()?;
        let mangled = Self { sshd, dir };
        mangled.plan(Plan::Honest);
        Some(mangled)
    }

    /// Sets what the servers do that are started from here on.
    pub(crate) fn plan(&self, plan: Plan) {
        let text = match plan {
            Plan::Honest => "honest".to_owned(),
            Plan::One(which, mangle) => format!("one {which} {}", place(mangle)),
            Plan::Attributes(mangle) => format!("attributes 0 {}", place(mangle)),
            Plan::Untold(mangle) => format!("untold 0 {}", place(mangle)),
            Plan::Version(version) => format!("version {version} 0"),
        };
        fs::write(self.dir.path().join("plan"), text).expect("writes the plan");
    }

    /// How many answers the last server gave.
    pub(crate) fn answers(&self) -> usize {
        let count = fs::read_to_string(self.dir.path().join("answers"));
        count.map_or(0, |count| count.trim().parse().expect("is a number"))
    }
}

fn place(mangle: Mangle) -> usize {
    let place = ALL.iter().position(|known| *known == mangle);
    place.expect("is one of all")
}

/// Serves and ends the process, if this process was started to.
pub(crate) fn become_server_if_asked() {
    let Ok(dir) = std::env::var(VARIABLE) else {
        return;
    };
    let dir = Path::new(&dir);
    // Standard input, which ends with the client, is the real server's.
    let mut server = Command::new(program())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts the server");
    let out = fs::OpenOptions::new()
        .write(true)
        .open("/dev/fd/3")
        .expect("has descriptor 3");
    let _ = answer(&mut server, out, dir);
    let _ = server.kill();
    std::process::exit(0);
}

/// Hands on what the server says, but for what the plan names.
fn answer(server: &mut Child, mut out: fs::File, dir: &Path) -> io::Result<()> {
    let plan = fs::read_to_string(dir.join("plan"))?;
    let words: Vec<&str> = plan.split(' ').collect();
    let number = |at: usize| -> usize { words[at].parse().expect("is a number") };
    let mut from = server.stdout.take().expect("is a pipe");
    let (mut count, mut slow) = (0, false);
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut packet)?;
        let mangle = match words[0] {
            "one" if count == number(1) => Some(ALL[number(2)]),
            "attributes" if packet[0] == ATTRS => Some(ALL[number(2)]),
            "untold" if packet[0] == ATTRS => Some(Mangle::Without(SIZE)),
            "untold" if packet[0] == DATA || is_end(&packet) => Some(ALL[number(2)]),
            "version" if count == 0 => {
                let version = u32::try_from(number(1)).expect("fits");
                packet[1..5].copy_from_slice(&version.to_be_bytes());
                None
            }
            _ => None,
        };
        count += 1;
        // Never half written, for who reads it meanwhile.
        let own = dir.join(std::process::id().to_string());
        fs::write(&own, count.to_string())?;
        fs::rename(&own, dir.join("answers"))?;
        let bytes = match mangle {
            None => whole(&packet),
            Some(Mangle::Die) => return Ok(()),
            Some(Mangle::DieWithin) => {
                let bytes = whole(&packet);
                return out.write_all(&bytes[..bytes.len() / 2]);
            }
            Some(mangle) => {
                slow |= mangle == Mangle::Slow;
                mangled(&packet, mangle)
            }
        };
        match slow {
            true => (bytes.chunks(1)).try_for_each(|byte| out.write_all(byte))?,
            false => out.write_all(&bytes)?,
        }
    }
}

/// Whether this is the end of a file or of a list.
fn is_end(packet: &[u8]) -> bool {
    packet[0] == STATUS && packet[5..9] == 1_u32.to_be_bytes()
}

fn mangled(packet: &[u8], mangle: Mangle) -> Vec<u8> {
    let id = &packet[1..5];
    let other = |kind: u8, body: &[u8]| whole(&[&[kind][..], id, body].concat());
    match mangle {
        Mangle::Status(code) => {
            let text = field(b"\x1b[2J no\n");
            other(
                STATUS,
                &[&code.to_be_bytes()[..], &text, &field(b"")].concat(),
            )
        }
        Mangle::Handle(bytes) => other(HANDLE, &field(&vec![b'h'; bytes])),
        Mangle::Data(bytes) => other(DATA, &field(&vec![b'd'; bytes])),
        Mangle::Names(count) => {
            let one = [
                field(b"../\x1b[2J\n"),
                field(b"a line"),
                attributes(u32::MAX >> 28),
            ];
            let names = if count == 0 { Vec::new() } else { one.concat() };
            other(NAME, &[&count.to_be_bytes()[..], &names].concat())
        }
        Mangle::Full => other(ATTRS, &attributes(u32::MAX >> 28)),
        Mangle::Directory => other(
            ATTRS,
            &[&MODE.to_be_bytes()[..], &[0, 0, 0x41, 0xed]].concat(),
        ),
        Mangle::Nothing => other(ATTRS, &attributes(0)),
        Mangle::Without(flags) if packet[0] == ATTRS => other(ATTRS, &without(&packet[5..], flags)),
        Mangle::Without(_) => whole(packet),
        Mangle::Extended(bytes, byte) => other(EXTENDED_REPLY, &vec![byte; bytes]),
        Mangle::Stray => {
            let mut stray = packet.to_vec();
            stray[1] ^= 0x80;
            whole(&stray)
        }
        Mangle::Twice => whole(packet).repeat(2),
        Mangle::Cut => whole(&packet[..packet.len() / 2]),
        Mangle::Unknown => other(99, &packet[5..]),
        Mangle::Length(length) => [&length.to_be_bytes()[..], packet].concat(),
        Mangle::Noise => [b"Last login: Sat\n".to_vec(), whole(packet)].concat(),
        Mangle::Slow | Mangle::Die | Mangle::DieWithin => whole(packet),
    }
}

fn whole(packet: &[u8]) -> Vec<u8> {
    field(packet)
}

fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("is short");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Attributes with these flags, all bits of which are set.
fn attributes(flags: u32) -> Vec<u8> {
    let words = [(SIZE, 2), (OWNER, 2), (MODE, 1), (TIMES, 2)];
    let count: usize = (words.iter())
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, count)| count)
        .sum();
    [flags.to_be_bytes().to_vec(), vec![0xff; 4 * count]].concat()
}

/// Attributes without what these flags stand for.
fn without(told: &[u8], flags: u32) -> Vec<u8> {
    let own = u32::from_be_bytes(told[..4].try_into().expect("four bytes"));
    let mut left = (own & !flags).to_be_bytes().to_vec();
    let mut rest = &told[4..];
    for (flag, bytes) in [(SIZE, 8), (OWNER, 8), (MODE, 4), (TIMES, 8)] {
        if own & flag != 0 {
            let (field, behind) = rest.split_at(bytes);
            if flags & flag == 0 {
                left.extend(field);
            }
            rest = behind;
        }
    }
    left
}

/// OpenSSH's server as a program of its own, wherever it is.
fn program() -> &'static str {
    let places = [
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
        "/usr/lib/ssh/sftp-server",
        "/usr/libexec/sftp-server",
    ];
    let found = places.into_iter().find(|place| Path::new(place).exists());
    found.expect("sftp-server is there (Debian: openssh-sftp-server)")
}

const VARIABLE: &str = "SSHOAL_TEST_MANGLED_SFTP";
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;
