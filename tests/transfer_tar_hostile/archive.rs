//! Archives as no `tar` makes them, and a server that sends them.

use std::{fs, path::PathBuf};

use sshoal::{
    Session,
    transfer::{self, Stream, TreeOptions, TreeReport},
};

use super::support::{
    programs::{before_others, program, with_programs},
    sessions::{connect, limit},
    sshd::Sshd,
    stage::Stage,
};

/// A server whose `tar` sends what it is told to.
pub(crate) struct Liar {
    _sshd: Sshd,
    pub(crate) programs: PathBuf,
    pub(crate) session: Session,
}

impl Liar {
    pub(crate) fn start() -> Option<Self> {
        let (sshd, programs) = with_programs(before_others)?;
        let session = connect(&sshd);
        Some(Self {
            _sshd: sshd,
            programs,
            session,
        })
    }

    /// Gets what a shell script sends; nothing outside may change by it.
    #[track_caller]
    pub(crate) fn script(&self, stage: &Stage, script: &str, options: &TreeOptions) -> TreeReport {
        // What is asked first is whether it can do something; that may fail.
        let script = format!("case \"$*\" in *dev/null*) exit 1;; esac; {script}");
        program(&self.programs, "tar", &script);
        let options = options.clone().stream(Stream::Tar);
        let report = transfer::get_tree(&self.session, b"/", &stage.inside(), &options, &limit());
        stage.check(&script);
        report
    }

    /// Gets these members, with an end.
    #[track_caller]
    pub(crate) fn members(
        &self,
        stage: &Stage,
        members: &[&[u8]],
        options: &TreeOptions,
    ) -> TreeReport {
        let end = [0; 1024];
        self.bytes(
            stage,
            &[&ROOT(), &members.concat()[..], &end].concat(),
            options,
        )
    }

    #[track_caller]
    pub(crate) fn bytes(&self, stage: &Stage, bytes: &[u8], options: &TreeOptions) -> TreeReport {
        let stream = self.programs.join("stream");
        fs::write(&stream, bytes).expect("writes");
        self.script(stage, &format!("cat {}", stream.display()), options)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.programs);
    }
}

/// A header; of a longer name the begin alone.
pub(crate) fn header(name: &[u8], flag: u8, (mode, size): (u32, u64), link: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    let kept = name.len().min(100);
    block[..kept].copy_from_slice(&name[..kept]);
    block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000001\0");
    block[156] = flag;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar  \0");
    sum(block)
}

/// Gives a header its checksum.
pub(crate) fn sum(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What is not in blocks of 512 bytes, filled up.
pub(crate) fn filled(bytes: &[u8]) -> Vec<u8> {
    let mut filled = bytes.to_vec();
    filled.resize(bytes.len().next_multiple_of(512), 0);
    filled
}

/// A member of any name, with its bytes.
pub(crate) fn member(name: &[u8], flag: u8, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u64;
    let record = " path=";
    // The number counts itself.
    let own = record.len() + name.len() + 1;
    let mut length = own;
    while length != own + length.to_string().len() {
        length = own + length.to_string().len();
    }
    let record = [
        length.to_string().as_bytes(),
        record.as_bytes(),
        name,
        b"\n",
    ]
    .concat();
    let extended = header(b"x", b'x', (0o644, record.len() as u64), b"");
    let own = header(b"x", flag, (0o644, size), b"");
    [&extended, &filled(&record)[..], &own, &filled(body)].concat()
}

pub(crate) fn file(name: &[u8]) -> Vec<u8> {
    member(name, b'0', b"evil")
}

pub(crate) fn link(name: &[u8], flag: u8, target: &str) -> [u8; 512] {
    header(name, flag, (0o777, 0), target.as_bytes())
}

/// The directory itself.
#[expect(non_snake_case, reason = "a constant that is computed")]
pub(crate) fn ROOT() -> [u8; 512] {
    header(b"./", b'5', (0o755, 0), b"")
}

/// Paths that lead to a file beneath the directory, though they are no single name.
pub(crate) fn leads_down(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| *byte == b'/').collect::<Vec<_>>();
    if parts.len() > 1 && parts.last() == Some(&&b""[..]) {
        parts.pop();
    }
    if parts.first() == Some(&&b"."[..]) {
        parts.remove(0);
    }
    let is_name = |part: &&[u8]| {
        !matches!(*part, b"" | b"." | b"..") && part.len() < 256 && !part.contains(&0)
    };
    parts.iter().all(is_name)
}
