//! The files with all that they include, read once into sections.

use std::path::Path;
use std::sync::Arc;

use super::algorithms::Family;
use super::error::{Fault, FileFault, Origin, SshConfigError};
use super::files::{self, Guard};
use super::keyword::{self, Grammar, Keyword};
use super::line;
use super::local::Local;
use super::matching::{Criteria, HostPatterns};
use super::value::{self, Value};

/// A file's sections, in order.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) path: Arc<Path>,
    pub(super) sections: Vec<Section>,
}

/// The lines up to the next `Host` or `Match`.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) head: Head,
    /// Where the head stands.
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
    /// Whether there is an unknown option in it, which matters even if the section does not apply.
    pub(super) has_unknown: bool,
}

/// For which hosts a section is.
#[derive(Debug)]
pub(super) enum Head {
    /// The lines before any head: for all that the file is included for.
    Start,
    Host(HostPatterns),
    Match(Criteria),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) item: Item,
}

#[derive(Debug)]
pub(super) enum Item {
    Set(&'static Keyword, Value),
    /// The keyword in lowercase.
    Unknown(String),
    Include(Vec<Tree>),
}

/// Whose file it is, which decides about paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    User,
    System,
}

/// Reads files and what they include.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) local: &'a Local,
    /// Where the system's files are, for relative paths in them.
    pub(super) system_dir: &'a Path,
    /// Whether `Include` looks for files.
    pub(super) includes: bool,
    /// Files read so far.
    pub(super) files: usize,
    /// Whether some `Match final` asks for a second pass.
    pub(super) wants_final_pass: bool,
    /// Whether some option's name is to be ignored.
    pub(super) ignores_unknown: bool,
    /// The first unknown option.
    pub(super) first_unknown: Option<(Origin, String)>,
}

impl Reader<'_> {
    /// Reads a file; `None` if there is none.
    pub(super) fn file(
        &mut self,
        path: &Path,
        whose: Whose,
        guard: Guard,
    ) -> Result<Option<Tree>, SshConfigError> {
        self.file_at(path, whose, guard, 0)
    }

    /// Reads a file's text; `path` names it in errors.
    pub(super) fn text(
        &mut self,
        path: &Path,
        text: &[u8],
        whose: Whose,
    ) -> Result<Tree, SshConfigError> {
        self.text_at(path, text, whose, 0)
    }

    fn file_at(
        &mut self,
        path: &Path,
        whose: Whose,
        guard: Guard,
        depth: usize,
    ) -> Result<Option<Tree>, SshConfigError> {
        match files::read(path, guard)? {
            Some(text) => self.text_at(path, &text, whose, depth).map(Some),
            None => Ok(None),
        }
    }

    fn text_at(
        &mut self,
        path: &Path,
        text: &[u8],
        whose: Whose,
        depth: usize,
    ) -> Result<Tree, SshConfigError> {
        let mut tree = Tree {
            path: path.into(),
            sections: vec![Section::new(Head::Start, 0)],
        };
        for (at, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            if at >= LINES_MAX {
                let fault = FileFault::TooManyLines { max: LINES_MAX };
                return Err(SshConfigError::file(path, fault));
            }
            let origin = || Origin::File {
                path: Arc::clone(&tree.path),
                line: at + 1,
            };
            let line = bytes_to_line(bytes)
                .map_err(|fault| (String::new(), fault))
                .and_then(line::divide)
                .map_err(|(keyword, fault)| at_keyword(origin(), &keyword, fault))?;
            let Some(line) = line else { continue };
            let read = self.line(&line, (whose, depth), origin);
            match read? {
                Read::Head(head) => tree.sections.push(Section::new(head, at + 1)),
                Read::Nothing => {}
                Read::Item(item) => {
                    let section = tree.sections.last_mut().expect("begins with one");
                    section.has_unknown |= item.has_unknown();
                    section.entries.push(Entry { line: at + 1, item });
                }
            }
        }
        Ok(tree)
    }

    fn line(
        &mut self,
        line: &line::Line<'_>,
        (whose, depth): (Whose, usize),
        origin: impl Fn() -> Origin,
    ) -> Result<Read, SshConfigError> {
        let Some(keyword) = keyword::find(&line.keyword) else {
            line::arguments(line.rest)
                .map_err(|fault| at_keyword(origin(), &line.keyword, fault))?;
            // The system's file is for the ssh that is installed, which may know more.
            if whose == Whose::System {
                return Ok(Read::Nothing);
            }
            let first = || (origin(), line.keyword.clone());
            self.first_unknown.get_or_insert_with(first);
            return Ok(Read::Item(Item::Unknown(line.keyword.clone())));
        };
        let fail = |fault| SshConfigError::option(origin(), keyword.name(), fault);
        let words = || line::arguments(line.rest);
        match keyword.grammar {
            Grammar::Host => {
                let patterns = words().and_then(HostPatterns::new).map_err(fail)?;
                Ok(Read::Head(Head::Host(patterns)))
            }
            Grammar::Match => {
                let criteria = words()
                    .and_then(|_| Criteria::parse(line.rest))
                    .map_err(fail)?;
                self.wants_final_pass |= criteria.wants_final_pass();
                Ok(Read::Head(Head::Match(criteria)))
            }
            Grammar::Include => {
                let mut trees = Vec::new();
                for word in words().map_err(fail)? {
                    let pattern = self.include_path(&word, whose).map_err(fail)?;
                    if !self.includes {
                        continue;
                    }
                    for path in files::list(&pattern, FILES_MAX) {
                        self.files += 1;
                        self.check_bounds(depth + 1).map_err(fail)?;
                        trees.extend(self.file_at(&path, whose, Guard::Private, depth + 1)?);
                    }
                }
                Ok(Read::Item(Item::Include(trees)))
            }
            grammar => {
                let grammar = match (grammar, whose) {
                    (Grammar::Algorithms(_), Whose::System) => Grammar::Algorithms(Family::Any),
                    _ => grammar,
                };
                let value = value::parse(grammar, line.rest, keyword.key, self.local);
                self.ignores_unknown |= keyword.key == Some(keyword::Key::IgnoreUnknown);
                match value {
                    Ok(Some(value)) => Ok(Read::Item(Item::Set(keyword, value))),
                    Ok(None) => Ok(Read::Nothing),
                    // A later ssh may take more values of what makes no difference here.
                    Err(_) if keyword.is_left_alone() && whose == Whose::System => {
                        Ok(Read::Nothing)
                    }
                    Err(fault) => Err(fail(fault)),
                }
            }
        }
    }

    /// Makes an absolute pattern of what `Include` names.
    fn include_path(&self, word: &str, whose: Whose) -> Result<String, Fault> {
        let refuse = |why| Fault::Include {
            path: word.to_owned(),
            why,
        };
        if word.is_empty() {
            return Err(Fault::EmptyValue);
        }
        // Later versions of ssh read tokens here, which would make every host's files others.
        if word.contains('%') || word.contains("${") {
            return Err(refuse(
                "tokens and environment variables are not supported in Include",
            ));
        }
        match (word.as_bytes()[0], whose) {
            (b'/', _) => Ok(word.to_owned()),
            (b'~', Whose::User) => self.local.expand_tilde(word),
            (b'~', Whose::System) => Err(refuse("the system's files are nobody's home")),
            (_, Whose::User) => self.local.expand_tilde(&format!("~/.ssh/{word}")),
            (_, Whose::System) => Ok(format!("{}/{word}", self.system_dir.display())),
        }
    }

    /// Notes what matters to all of the configuration about an option of a command line.
    pub(super) fn note(&mut self, item: &Item) {
        match item {
            Item::Unknown(name) => {
                let first = || (Origin::CommandLine, name.clone());
                self.first_unknown.get_or_insert_with(first);
            }
            Item::Set(keyword, _) => {
                self.ignores_unknown |= keyword.key == Some(keyword::Key::IgnoreUnknown);
            }
            Item::Include(_) => {}
        }
    }

    fn check_bounds(&self, depth: usize) -> Result<(), Fault> {
        let (what, max) = if depth > DEPTH_MAX {
            ("files include each other to a depth of", DEPTH_MAX)
        } else if self.files > FILES_MAX {
            ("files are included,", FILES_MAX)
        } else {
            return Ok(());
        };
        Err(Fault::TooManyIncludes { what, max })
    }
}

/// What a line says.
enum Read {
    Nothing,
    Head(Head),
    Item(Item),
}

impl Section {
    fn new(head: Head, line: usize) -> Self {
        Self {
            head,
            line,
            entries: Vec::new(),
            has_unknown: false,
        }
    }
}

impl Item {
    fn has_unknown(&self) -> bool {
        let within = |tree: &Tree| tree.sections.iter().any(|section| section.has_unknown);
        match self {
            Self::Set(..) => false,
            Self::Unknown(_) => true,
            Self::Include(trees) => trees.iter().any(within),
        }
    }
}

/// Reads one option of a command line.
pub(super) fn command_line(text: &str, local: &Local) -> Result<Option<Item>, SshConfigError> {
    option(text, &Origin::CommandLine, local, str::to_owned)
}

/// Reads one option of a host's own, which is a single word where it stands: what ssh takes whole,
/// quotes and all, has them taken off.
pub(super) fn own(
    text: &str,
    origin: &Origin,
    local: &Local,
) -> Result<Option<Item>, SshConfigError> {
    option(text, origin, local, |rest| {
        let words = line::arguments(rest).unwrap_or_default();
        words.join(" ")
    })
}

/// Reads one option that stands alone; `whole` says what commands are made of.
fn option(
    text: &str,
    origin: &Origin,
    local: &Local,
    whole: impl Fn(&str) -> String,
) -> Result<Option<Item>, SshConfigError> {
    let fail = |keyword: &str, fault| at_keyword(origin.clone(), keyword, fault);
    let line = bytes_to_line(text.as_bytes())
        .map_err(|fault| (String::new(), fault))
        .and_then(line::divide)
        .map_err(|(keyword, fault)| fail(&keyword, fault))?;
    let Some(line) = line else { return Ok(None) };
    let Some(keyword) = keyword::find(&line.keyword) else {
        return Ok(Some(Item::Unknown(line.keyword)));
    };
    if keyword.support == keyword::Support::Structure {
        return Err(fail(&line.keyword, Fault::NotOnCommandLine));
    }
    // A quote that is open is told by the parser.
    let is_whole = matches!(keyword.grammar, Grammar::Command | Grammar::Jump)
        && line::arguments(line.rest).is_ok();
    let rest = match is_whole {
        true => whole(line.rest),
        false => line.rest.to_owned(),
    };
    let value = value::parse(keyword.grammar, &rest, keyword.key, local);
    let value = value.map_err(|fault| fail(&line.keyword, fault))?;
    Ok(value.map(|value| Item::Set(keyword, value)))
}

/// An error at a keyword, by its name in the manual where it has one.
fn at_keyword(origin: Origin, keyword: &str, fault: Fault) -> SshConfigError {
    let name = keyword::find(keyword).map_or(keyword, |known| known.name());
    let name = if name.is_empty() { "line" } else { name };
    SshConfigError::option(origin, name, fault)
}

fn bytes_to_line(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > LINE_BYTES_MAX {
        return Err(Fault::LineTooLong {
            max: LINE_BYTES_MAX,
        });
    }
    // Comments may be in any encoding.
    if bytes.trim_ascii_start().starts_with(b"#") {
        return Ok("");
    }
    let text = str::from_utf8(bytes).map_err(|_| Fault::NotText)?;
    if text.contains('\0') {
        return Err(Fault::NotText);
    }
    Ok(text)
}

/// Room for hundreds of patterns, and nothing like a binary file.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Ten lines for each of ten thousand hosts.
const LINES_MAX: usize = 200_000;
/// How deep ssh lets files include each other.
const DEPTH_MAX: usize = 16;
/// How many files may be included in all.
const FILES_MAX: usize = 4096;
