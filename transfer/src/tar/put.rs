//! A directory to a host through the host's `tar`.

use std::collections::{HashMap, HashSet};

use sshoal_reactor::Scope;
use sshoal_session::Session;

use super::format::{self, Kind, Member};
use super::get::place;
use super::pipe::Pipe;
use crate::directories::Directories;
use crate::error::{Error, Operation};
use crate::limits::Governor;
use crate::options::{Existing, Parents, Preserve};
use crate::scp::{check_offered, cleaned, dress, tell_of_walk};
use crate::source::Source;
use crate::tree::local::{Entry, EntryKind, LocalTree};
use crate::tree::name::stays_beneath;
use crate::tree::options::{Itemise, Links, TreeOptions};
use crate::tree::report::{Action, TreeReport, WhySkipped};
use crate::tree::work::Course;
use crate::{part, remote_path};

/// As [`put_tree`](crate::put_tree), in one stream. Parks.
pub(crate) fn put(
    session: &Session,
    tree: &LocalTree,
    remote: &[u8],
    options: &TreeOptions,
    scope: &Scope,
) -> TreeReport {
    let course = Course::new(scope);
    let putting = Putting {
        session,
        tree,
        remote: if remote.is_empty() { b"." } else { remote },
        options,
        course: &course,
    };
    if let Err(error) = putting.run() {
        course.end(error);
    }
    course.into_report()
}

/// One copy under way.
struct Putting<'a> {
    session: &'a Session,
    tree: &'a LocalTree,
    remote: &'a [u8],
    options: &'a TreeOptions,
    course: &'a Course,
}

/// What is on its way: the entries that were packed, each with its size.
type Packed = HashMap<usize, u64>;

/// An archive that is being sent.
struct Packing<'a, 'p> {
    pipe: &'a mut Pipe<'p>,
    governor: &'a Governor,
    scope: &'a Scope,
    out: Vec<u8>,
    /// Bytes that have left `out`.
    sent: u64,
}

impl Packing<'_, '_> {
    /// Sends a member with its bytes. Without all of them what was sent is no archive, and the host
    /// throws it away.
    fn add(&mut self, member: &Member, source: Option<&Source>) -> Result<(), Error> {
        format::write(member, &mut self.out);
        let Some(source) = source else {
            return self.flush_if_full();
        };
        self.governor.begin(member.size);
        let mut offset = 0;
        while offset < member.size {
            let left = usize::try_from(member.size - offset).unwrap_or(usize::MAX);
            let (from, count) = (self.out.len(), left.min(SEND_BYTES));
            self.governor.pass(count, self.scope)?;
            self.out.resize(from + count, 0);
            let read = source.read_at(offset, &mut self.out[from..]);
            let path = source.path().unwrap_or_else(|| "".as_ref());
            read.map_err(Error::local(path))?;
            offset += count as u64;
            self.flush_if_full()?;
        }
        format::fill_up(member.size, &mut self.out);
        Ok(())
    }

    fn end(mut self) -> Result<(), Error> {
        let last = Member {
            path: b"end".to_vec(),
            kind: Kind::File,
            mode: 0o600,
            size: 0,
            modified: 0,
            link: Vec::new(),
        };
        format::write(&last, &mut self.out);
        let before = self.sent + self.out.len() as u64;
        format::end(before, &mut self.out);
        self.pipe.send(&self.out)
    }

    fn flush_if_full(&mut self) -> Result<(), Error> {
        if self.out.len() >= SEND_BYTES {
            self.pipe.send(&self.out)?;
            self.sent += self.out.len() as u64;
            self.out.clear();
        }
        Ok(())
    }
}

/// What the host said of the names that it gave.
#[derive(Debug, Default)]
struct Told {
    /// All is new, and had its name at once.
    whole: bool,
    made: HashSet<Vec<u8>>,
    stays: HashSet<Vec<u8>>,
    failed: HashMap<Vec<u8>, String>,
    is_all: bool,
}

impl Putting<'_> {
    fn run(&self) -> Result<(), Error> {
        check_offered("tar", self.options)?;
        tell_of_walk(self.tree, self.options, self.course);
        let scope = self.course.scope();
        let governor = Governor::enter(&self.options.copy, scope)?;
        let remote = place(self.remote);
        let mut pipe = self.start(&remote)?;
        let packed = self.pack(&mut pipe, &governor)?;
        pipe.close()?;
        let told = told(&mut pipe)?;
        if let Some(error) = pipe.end()? {
            return Err(error);
        }
        if !told.is_all {
            return Err(pipe.failed("it ended in the middle".to_owned()));
        }
        let there = self.account(&packed, (&told, &governor));
        if self.options.copy.preserve == Preserve::Yes {
            let directories = Directories::open(self.session, scope)?;
            dress(self.tree, (&directories, self.course), |index, entry| {
                there.contains(&index).then(|| self.path(entry))
            })?;
        }
        Ok(())
    }

    fn path(&self, entry: &Entry) -> Vec<u8> {
        match &entry.path[..] {
            [] => self.remote.to_vec(),
            path => remote_path::join(self.remote, path),
        }
    }

    /// Starts the command that unpacks.
    fn start(&self, remote: &[u8]) -> Result<Pipe<'_>, Error> {
        let end = remote.iter().rposition(|byte| *byte != b'/');
        let bare = end.map_or(&remote[..1], |end| &remote[..=end]);
        let parent = match self.options.copy.parents {
            Parents::Make => remote_path::parent(bare).unwrap_or_default(),
            Parents::Expect => b"",
        };
        let how: &[u8] = match self.options.copy.existing {
            Existing::Overwrite => b"over",
            Existing::Keep | Existing::Fail => b"link",
        };
        let flag: &[u8] = match self.options.copy.preserve {
            Preserve::Yes => b"",
            Preserve::No => b"-m",
        };
        let inside = part::name_beside(&remote_path::join(remote, b"in"));
        let words: [&[u8]; 9] = [
            remote,
            &inside,
            &part::name_beside(bare),
            parent,
            how,
            flag,
            MERGE.as_bytes(),
            NAME.as_bytes(),
            FALL_BACK.as_bytes(),
        ];
        let asked = (Operation::Write, self.remote);
        Pipe::start(self.session, (UNPACK, &words), asked, self.course.scope())
    }

    /// Sends all in one archive: what goes to the target under `t`, and then a file `end`.
    fn pack(&self, pipe: &mut Pipe<'_>, governor: &Governor) -> Result<Packed, Error> {
        let umask = umask(pipe)?;
        let mut packed = Packed::new();
        let mut packing = Packing {
            pipe,
            governor,
            scope: self.course.scope(),
            out: Vec::with_capacity(2 * SEND_BYTES),
            sent: 0,
        };
        for (index, entry) in self.tree.all().iter().enumerate() {
            let (member, source) = match self.member((index, entry), umask) {
                Ok(Some(member)) => member,
                Ok(None) => continue,
                Err(error) => {
                    self.course.fail(&entry.path, error);
                    continue;
                }
            };
            packing.add(&member, source.as_ref())?;
            packed.insert(index, member.size);
        }
        packing.end()?;
        Ok(packed)
    }

    /// What an entry is in the archive, if it is to be in it.
    fn member(
        &self,
        (index, entry): (usize, &Entry),
        umask: u32,
    ) -> Result<Option<(Member, Option<Source>)>, Error> {
        let mut member = Member {
            path: remote_path::join(b"t", &entry.path),
            kind: Kind::Directory,
            mode: self.permissions(entry) & !umask,
            size: 0,
            modified: u64::try_from(entry.times.1).unwrap_or(0),
            link: Vec::new(),
        };
        match &entry.kind {
            EntryKind::Directory => {
                // Ours to fill until it is dressed.
                member.mode |= 0o700;
            }
            EntryKind::Link { target } => {
                let why = match self.options.links {
                    Links::Skip => WhySkipped::Link,
                    Links::Copy if !stays_beneath(target, entry.depth) => WhySkipped::LinkOutside,
                    Links::Copy => {
                        (member.kind, member.link) = (Kind::Link, target.clone());
                        return Ok(Some((member, None)));
                    }
                };
                self.course.skip(&entry.path, why);
                return Ok(None);
            }
            EntryKind::File { .. } => {
                let source = self.tree.source(index)?;
                (member.kind, member.size) = (Kind::File, source.size());
                return Ok(Some((member, Some(source))));
            }
        }
        Ok(Some((member, None)))
    }

    /// What an entry is to have, less the host's umask.
    fn permissions(&self, entry: &Entry) -> u32 {
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        match (self.options.copy.permissions, self.options.copy.preserve) {
            (Some(permissions), _) if is_file => permissions,
            (_, Preserve::Yes) => entry.permissions,
            (_, Preserve::No) if is_file => entry.permissions & 0o777,
            (_, Preserve::No) => 0o777,
        }
    }

    /// Reports what became of all that was packed; returns the directories that are there.
    fn account(&self, packed: &Packed, (told, governor): (&Told, &Governor)) -> HashSet<usize> {
        let mut there = HashSet::new();
        for (index, entry) in self.tree.all().iter().enumerate() {
            let Some(size) = packed.get(&index) else {
                continue;
            };
            // Of a directory that could not be made, it alone is told.
            if index != 0 && !there.contains(&entry.parent) {
                continue;
            }
            let failed = told.failed.get(&entry.path);
            if let Some(message) = failed {
                let (remote, message) = (self.path(entry), message.clone());
                let operation = match entry.kind {
                    EntryKind::Directory => Operation::MakeDirectory,
                    _ => Operation::Rename,
                };
                let error = Error::Command {
                    operation,
                    remote,
                    message,
                };
                self.course.fail(&entry.path, error);
                continue;
            }
            match &entry.kind {
                EntryKind::Directory => {
                    there.insert(index);
                    if told.whole || told.made.contains(&entry.path) {
                        self.done(entry, Action::MakeDirectory, |report| {
                            report.directories += 1;
                        });
                    }
                }
                _ if told.stays.contains(&entry.path) => self.stays(entry),
                EntryKind::File { .. } => {
                    governor.end();
                    self.done(entry, Action::Copy, |report| {
                        report.files += 1;
                        report.bytes += size;
                    });
                }
                EntryKind::Link { .. } => {
                    self.done(entry, Action::Link, |report| report.links += 1);
                }
            }
        }
        there
    }

    fn stays(&self, entry: &Entry) {
        if self.options.copy.existing == Existing::Keep {
            self.course.note(|report| report.kept += 1);
        } else {
            let path = self.path(entry);
            self.course.fail(&entry.path, Error::Exists { path });
        }
    }

    fn done(&self, entry: &Entry, action: Action, count: impl FnOnce(&mut TreeReport)) {
        self.course.note(|report| {
            count(report);
            if self.options.itemise == Itemise::Yes {
                report.change(&entry.path, action);
            }
        });
    }
}

/// Reads the host's umask, in octal, with which it begins.
fn umask(pipe: &mut Pipe<'_>) -> Result<u32, Error> {
    let mut digits = String::new();
    loop {
        let mut byte = [0];
        pipe.fill(&mut byte)?;
        match byte[0] {
            b'\n' => break,
            digit @ b'0'..=b'7' if digits.len() < 8 => digits.push(char::from(digit)),
            _ => return Err(pipe.failed("what answers is no shell".to_owned())),
        }
    }
    let umask = u32::from_str_radix(&digits, 8);
    let umask = umask.map_err(|_| pipe.failed("what answers is no shell".to_owned()))?;
    Ok(umask & 0o777)
}

/// Reads what the host says of names: words with a NUL behind each.
fn told(pipe: &mut Pipe<'_>) -> Result<Told, Error> {
    let mut all = Vec::new();
    loop {
        let data = pipe.data(u64::MAX)?;
        if data.is_empty() {
            break;
        }
        all.extend_from_slice(data);
        if all.len() > TOLD_BYTES_MAX {
            return Err(pipe.failed("it says more than was asked for".to_owned()));
        }
    }
    let (mut told, mut words) = (Told::default(), all.split(|byte| *byte == 0));
    while let Some(word) = words.next() {
        match word {
            [b'R'] => told.whole = true,
            [b'E'] => told.is_all = true,
            [b'+', path @ ..] => drop(told.made.insert(plain(path))),
            [b'k', path @ ..] => drop(told.stays.insert(plain(path))),
            [b'f', path @ ..] => {
                let message = cleaned(words.next().unwrap_or_default());
                told.failed.insert(plain(path), message);
            }
            // The nothing behind the last NUL.
            _ => {}
        }
    }
    Ok(told)
}

/// A path as `find` tells it, without each `.`.
fn plain(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/');
    let parts: Vec<_> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    parts.join(&b'/')
}

/// `$1` is the target, `$2` a directory for what arrives within it, `$3` one beside it, `$4` what it
/// is in, if that is to be made, `$5` `over` or `link`, `$6` a flag, and the others are scripts.
///
/// It prints the umask; then, when all has arrived, what it gave names to. The scripts come to their
/// shells in variables: `find` would put names in the place of the `{}` in them.
const UNPACK: &str = r#"umask; unset CDPATH; there() { [ -e "$1" ] || [ -h "$1" ]; }; if [ -d "$1" ]; then s=$2; else if there "$1"; then echo "Not a directory" >&2; exit 1; fi; s=$3; [ -z "$4" ] || mkdir -p "$4" || exit 1; fi; gone() { rm -rf "$s"; }; mkdir -m 700 "$s" || exit 1; trap gone 0; trap "exit 1" 1 2 13 15; tar -x -p -o $6 -f - -C "$s" || exit 1; if [ ! -f "$s/end" ]; then echo "not all arrived" >&2; exit 1; fi; sync -f "$s/t" 2>/dev/null || sync; if [ ! -d "$1" ]; then if mv -T "$s/t" "$1" 2>/dev/null; then printf "R\0E\0"; exit 0; fi; if mkdir "$1"; then printf "+\0"; elif [ ! -d "$1" ]; then exit 1; fi; fi; T=$(cd "$1" && pwd && echo .) || exit 1; T=${T%??}; M=$7; F=$8; G=$9; export M F G; (cd "$s/t" && find . -type d -exec sh -c "eval \"\$M\"" sh "$T" "$5" {} +) || exit 1; printf "E\0""#;
/// For each directory: makes it in `$1`, and has what is in it named.
const MERGE: &str = r#"T=$1; how=$2; shift 2; r=0; for d do if [ -d "$T/$d" ]; then :; elif e=$(mkdir "$T/$d" 2>&1); then printf "+%s\0" "$d"; elif [ ! -d "$T/$d" ]; then printf "f%s\0%s\0" "$d" "$e"; continue; fi; (cd "$d" && find . ! -name . -prune ! -type d -exec sh -c "eval \"\$F\"" sh "$T/$d" "$how" "$d" {} +) || r=1; done; exit $r"#;
/// Moves files to `$1`, or links them there, many at once; where that fails, looks at each. One that
/// has but one name was not linked.
const NAME: &str = r#"T=$1; how=$2; d=$3; shift 3; if [ "$how" = over ]; then mv -f "$@" "$T/" 2>/dev/null && exit 0; for f do if [ -e "$f" ] || [ -h "$f" ]; then e=$(mv -f "$f" "$T/" 2>&1) || printf "f%s\0%s\0" "$d/$f" "$e"; fi; done; exit 0; fi; ln -P "$@" "$T/" 2>/dev/null || ln "$@" "$T/" 2>/dev/null && exit 0; find "$@" -prune -links 1 -exec sh -c "eval \"\$G\"" sh "$T" "$d" {} +"#;
/// Files that could not be linked: something has the name, or there are no hard links; then the name
/// is taken by an empty file, made only where nothing stands, and the copy renamed over that.
const FALL_BACK: &str = r#"T=$1; d=$2; shift 2; there() { [ -e "$1" ] || [ -h "$1" ]; }; for f do if there "$T/$f"; then printf "k%s\0" "$d/$f"; elif [ -h "$f" ]; then e=$(mv -n "$f" "$T/" 2>&1) || printf "f%s\0%s\0" "$d/$f" "$e"; elif e=$(set -C; (: >"$T/$f") 2>&1); then e=$(mv -f "$f" "$T/" 2>&1) || { rm -f "$T/$f"; printf "f%s\0%s\0" "$d/$f" "$e"; }; elif there "$T/$f"; then printf "k%s\0" "$d/$f"; else printf "f%s\0%s\0" "$d/$f" "$e"; fi; done; exit 0"#;
/// Bytes sent at once.
const SEND_BYTES: usize = 128 * 1024;
/// What a host may say of names.
const TOLD_BYTES_MAX: usize = 64 * 1024 * 1024;
