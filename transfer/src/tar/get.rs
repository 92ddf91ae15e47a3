//! A host's directory to this machine through the host's `tar`, which may send what it likes
//! (threats T6 to T8).

use std::path::Path;
use std::sync::Arc;

use sshoal_reactor::Scope;
use sshoal_session::Session;

use super::format::{self, BLOCK, Header, Kind, Member, Meta};
use super::pipe::Pipe;
use crate::error::{Error, Operation};
use crate::incoming::{Arrivals, Incoming, Told};
use crate::remote_path;
use crate::tree::beneath::Dir;
use crate::tree::name::is_one_name;
use crate::tree::options::TreeOptions;
use crate::tree::report::{TreeReport, WhySkipped};
use crate::tree::work::Course;

/// As [`get_tree`](crate::get_tree), in one stream. Parks.
pub(crate) fn get(
    session: &Session,
    remote: &[u8],
    local: &Path,
    options: &TreeOptions,
    scope: &Scope,
) -> TreeReport {
    let course = Course::new(scope);
    let remote = if remote.is_empty() { b"." } else { remote };
    let incoming = Incoming::new(local, options, (&course, options.copy.preserve));
    let result = incoming.and_then(|incoming| {
        let asked = (Operation::Read, remote);
        let pipe = Pipe::start(session, (PACK, &[&place(remote)]), asked, course.scope())?;
        pipe.close()?;
        incoming.run(|arrivals| {
            let mut getting = Getting {
                pipe,
                arrivals,
                course: &course,
                options,
                remote,
                root: None,
                open: Vec::new(),
                refused: Vec::new(),
            };
            let result = getting.run();
            getting.leave(0);
            if let Some(root) = getting.root.take() {
                incoming.finish(root);
            }
            result
        })
    });
    if let Err(error) = result {
        course.end(error);
    }
    course.into_report()
}

/// A path that `cd` takes for no option.
pub(super) fn place(remote: &[u8]) -> Vec<u8> {
    match remote.first() {
        Some(b'-') => [b"./", remote].concat(),
        _ => remote.to_vec(),
    }
}

/// One copy under way.
struct Getting<'a, 'i> {
    pipe: Pipe<'a>,
    arrivals: &'a mut Arrivals<'i>,
    course: &'a Course,
    options: &'a TreeOptions,
    remote: &'a [u8],
    root: Option<Arc<Dir>>,
    /// The directories beneath the root that lead to what came last.
    open: Vec<(Vec<u8>, Arc<Dir>)>,
    /// The last directory that was not taken, from the root on; nothing in it is.
    refused: Vec<u8>,
}

impl Getting<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        let (mut block, mut meta) = (Box::new([0; BLOCK]), Meta::default());
        loop {
            self.pipe.fill(&mut block[..])?;
            let (header, rest) = format::read(&block, meta).map_err(|what| self.bad(what))?;
            meta = rest;
            match header {
                Header::End => break,
                Header::Meta { flag, size } => {
                    self.arrivals.count()?;
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    if size > META_BYTES_MAX {
                        return Err(self.bad("a name without an end"));
                    }
                    let mut body = vec![0; size.next_multiple_of(BLOCK)];
                    self.pipe.fill(&mut body)?;
                    let read = meta.read(flag, &body[..size]);
                    read.map_err(|what| self.bad(what))?;
                }
                Header::Member(member) => {
                    self.arrivals.count()?;
                    self.arrivals.expect(member.size)?;
                    self.member(&member)?;
                }
            }
        }
        if self.root.is_none() {
            return Err(self.bad("nothing"));
        }
        if let Some(error) = self.pipe.end()? {
            // It could not read all; what it could is here.
            self.course.fail(b"", error);
        }
        Ok(())
    }

    fn bad(&self, what: &'static str) -> Error {
        let remote = self.remote.to_vec();
        Error::TarFormat { remote, what }
    }

    fn member(&mut self, member: &Member) -> Result<(), Error> {
        let told = Told {
            mode: member.mode,
            times: u32::try_from(member.modified)
                .ok()
                .or(Some(u32::MAX))
                .map(|time| (time, time)),
        };
        let Some(names) = names(&member.path) else {
            let name = member.path.clone();
            self.course.fail(&member.path, Error::BadName { name });
            return self.pass_over(member.size);
        };
        let Some((name, parents)) = names.split_last() else {
            return self.root_itself(member, told);
        };
        let Some(dir) = self.enter(parents)? else {
            return self.pass_over(member.size);
        };
        if !self.arrivals.admits(&dir.path, name) {
            if member.kind == Kind::Directory {
                self.refused = remote_path::join(&dir.path, name);
            }
            return self.pass_over(member.size);
        }
        let path = remote_path::join(&dir.path, name);
        match member.kind {
            Kind::Directory => match self.arrivals.directory(&dir, name, told) {
                Some(child) => self.open.push((name.to_vec(), child)),
                None => self.refused = path,
            },
            Kind::File => return self.file((&dir, name), member.size, told),
            Kind::Link => self.arrivals.link(&dir, name, &member.link),
            Kind::Special => self.course.skip(&path, WhySkipped::Special),
            Kind::HardLink => {
                let error = self.bad("a second name of a file, which is not taken");
                self.course.fail(&path, error);
            }
            Kind::Foreign => {
                let error = self.bad("a sort of file that is not taken");
                self.course.fail(&path, error);
                return self.pass_over(member.size);
            }
        }
        Ok(())
    }

    fn root_itself(&mut self, member: &Member, told: Told) -> Result<(), Error> {
        if member.kind == Kind::Directory && self.root.is_none() {
            self.root = Some(self.arrivals.incoming().root(told)?);
            return Ok(());
        }
        let name = member.path.clone();
        self.course.fail(b"", Error::NamedTwice { name });
        self.pass_over(member.size)
    }

    /// Goes to a directory by the names that lead there; `None` where one of them is not taken.
    fn enter(&mut self, names: &[&[u8]]) -> Result<Option<Arc<Dir>>, Error> {
        let path = names.join(&b'/');
        let beneath = |path: &[u8], dir: &[u8]| {
            let rest = path.strip_prefix(dir);
            !dir.is_empty() && rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        if beneath(&path, &self.refused) {
            return Ok(None);
        }
        let common = self.open.iter().zip(names);
        let common = common
            .take_while(|((name, _), wanted)| name == *wanted)
            .count();
        self.leave(common);
        let mut dir = match (self.open.last(), &self.root) {
            (Some((_, dir)), _) => Arc::clone(dir),
            (None, Some(root)) => Arc::clone(root),
            // The host tells nothing of the directory itself.
            (None, None) => {
                let root = self.arrivals.incoming().root(UNTOLD)?;
                Arc::clone(self.root.insert(root))
            }
        };
        for name in &names[common..] {
            self.arrivals.count()?;
            let path = remote_path::join(&dir.path, name);
            let child = match self.options.leaves_out(&path) {
                true => None,
                false => self.arrivals.directory(&dir, name, UNTOLD),
            };
            let Some(child) = child else {
                self.refused = path;
                return Ok(None);
            };
            self.open.push((name.to_vec(), Arc::clone(&child)));
            dir = child;
        }
        Ok(Some(dir))
    }

    /// Leaves directories, down to so many.
    fn leave(&mut self, count: usize) {
        while self.open.len() > count {
            if let Some((_, dir)) = self.open.pop() {
                self.arrivals.incoming().finish(dir);
            }
        }
    }

    fn file(
        &mut self,
        (dir, name): (&Arc<Dir>, &[u8]),
        size: u64,
        told: Told,
    ) -> Result<(), Error> {
        let Some(mut taking) = self.arrivals.file(dir, name, (size, told))? else {
            return self.pass_over(size);
        };
        let mut left = size;
        while left > 0 {
            let data = self.pipe.data(left)?;
            if data.is_empty() {
                let (expected, arrived) = (size, size - left);
                let short = Error::Short { expected, arrived };
                self.course.fail(&taking.path(), short);
                return Err(self.pipe.ended());
            }
            left -= data.len() as u64;
            taking.write(data)?;
        }
        self.fill_up(size)?;
        taking.end(told);
        Ok(())
    }

    /// Reads what is not kept.
    fn pass_over(&mut self, size: u64) -> Result<(), Error> {
        let mut left = size;
        while left > 0 {
            let count = self.pipe.data(left)?.len() as u64;
            if count == 0 {
                return Err(self.pipe.ended());
            }
            left -= count;
        }
        self.fill_up(size)
    }

    fn fill_up(&mut self, size: u64) -> Result<(), Error> {
        let mut padding = [0; BLOCK];
        self.pipe.fill(&mut padding[..format::padding(size)])
    }
}

/// Reads bytes as an archive, without taking anything: paths lead down, and numbers fit.
#[cfg(fuzzing)]
pub(crate) fn check(mut bytes: &[u8]) {
    let mut meta = Meta::default();
    while let Some((block, rest)) = bytes.split_first_chunk() {
        let Ok((header, kept)) = format::read(block, meta) else {
            return;
        };
        (meta, bytes) = (kept, rest);
        match header {
            Header::End => return,
            Header::Meta { flag, size } => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let Some(body) = bytes.get(..size) else {
                    return;
                };
                if size > META_BYTES_MAX || meta.read(flag, body).is_err() {
                    return;
                }
                let whole = size.next_multiple_of(BLOCK);
                bytes = bytes.get(whole..).unwrap_or_default();
            }
            Header::Member(member) => {
                assert!(member.mode <= 0o7777 && i64::try_from(member.size).is_ok());
                assert!(i64::try_from(member.modified).is_ok());
                for name in names(&member.path).into_iter().flatten() {
                    assert!(!name.contains(&b'/') && name != b".." && name != b".");
                }
                let whole = member.size.next_multiple_of(BLOCK as u64);
                let whole = usize::try_from(whole).unwrap_or(usize::MAX);
                bytes = bytes.get(whole..).unwrap_or_default();
            }
        }
    }
}

/// Takes a path apart: names that lead down from the root, and none for the root itself. `None` for
/// one that leads elsewhere.
fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut names: Vec<_> = path.split(|byte| *byte == b'/').collect();
    if names.first() == Some(&b".".as_slice()) {
        names.remove(0);
    }
    names.iter().all(|name| is_one_name(name)).then_some(names)
}

/// What a directory is taken for of which the host told nothing.
const UNTOLD: Told = Told {
    mode: 0o755,
    times: None,
};
/// Packs `$1`; files of several names once for each where `tar` can.
const PACK: &str = "unset CDPATH h; cd \"$1\" || exit 1; \
    tar --hard-dereference -c -f /dev/null -T /dev/null 2>/dev/null && h=--hard-dereference; \
    exec tar -c $h -f - .";
/// The longest name or target of a link, with what else a header tells.
const META_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_down_or_are_refused() {
        for (path, expected) in [
            ("./", Some(vec![])),
            (".", Some(vec![])),
            ("./a", Some(vec!["a"])),
            ("a", Some(vec!["a"])),
            ("./a/b/", Some(vec!["a", "b"])),
            ("...", Some(vec!["..."])),
            ("", None),
            ("/", None),
            ("/a", None),
            ("//a", None),
            ("a//b", None),
            ("a//", None),
            ("..", None),
            ("../a", None),
            ("a/..", None),
            ("a/./b", None),
            ("././a", None),
            ("a/../../b", None),
            ("a\0b", None),
        ] {
            let found = names(path.as_bytes());
            let expected = expected.map(|names| names.into_iter().map(str::as_bytes).collect());
            assert_eq!(found, expected, "{path:?}");
        }
    }
}
