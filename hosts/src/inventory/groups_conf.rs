//! ClusterShell's `groups.conf`: where groups are, and which commands know more of them
//! (groups.conf(5)).
//!
//! It only says so: whoever reads one reads the files, and runs the commands, that it names.

use std::fmt::Write;

use super::file::File;
use crate::error::{InventoryError, Place};

/// What a `groups.conf`, or a `.conf` file of one of its directories, says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupsConf {
    /// The source that a group without one belongs to.
    pub default: Option<String>,
    /// Directories whose `.conf` files have further sources, as they are written.
    pub conf_dirs: Vec<String>,
    /// Directories whose `.yaml` files have groups, as they are written.
    pub auto_dirs: Vec<String>,
    /// The sources that it has itself.
    pub sources: Vec<Upcalls>,
}

/// The commands of a source, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upcalls {
    /// What the source is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    map: String,
    all: Option<String>,
    list: Option<String>,
    reverse: Option<String>,
}

/// What a source can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Question<'a> {
    /// Which hosts a group has.
    Map(&'a str),
    /// Which hosts there are.
    All,
    /// Which groups there are.
    List,
    /// Which groups a host is in.
    Reverse(&'a str),
}

impl GroupsConf {
    /// Returns whether a file is one, by its name and its text.
    pub fn is_it(text: &str, origin: &str) -> bool {
        let name = origin.rsplit('/').next().unwrap_or(origin);
        let mut lines = text.lines().map(str::trim_end);
        match name.strip_suffix(".conf") {
            Some("groups") => true,
            Some(_) => lines.any(|line| line == "[Main]" || option(line, "map").is_some()),
            None => lines.any(|line| line == "[Main]"),
        }
    }

    /// Reads a text; `origin` names the file in errors.
    ///
    /// # Errors
    /// It is not written as `groups.conf(5)` says, or a source has no `map`.
    pub fn parse(text: impl AsRef<[u8]>, origin: &str) -> Result<Self, InventoryError> {
        let file = File(origin.into());
        let text = file.text(text.as_ref())?;
        let mut conf = Self::default();
        for section in sections(text, &file)? {
            if section.name == MAIN {
                conf.default = section.value("default").map(str::to_owned);
                let confdir = section.value("groupsdir").or(section.value("confdir"));
                let words = |text: Option<&str>| words(text.unwrap_or_default());
                let fault = |reason| file.error(section.line, reason);
                conf.conf_dirs = words(confdir).map_err(fault)?;
                conf.auto_dirs = words(section.value("autodir")).map_err(fault)?;
                continue;
            }
            // One section can be several sources.
            for name in section.name.split(',') {
                file.check_group(name, section.line)?;
                if name.contains(':') {
                    let reason = format!("{name:?} cannot name a source: a colon ends the name");
                    return Err(file.error(section.line, reason));
                }
                conf.sources.push(section.source(name, &file)?);
            }
        }
        Ok(conf)
    }
}

impl Upcalls {
    /// Returns the command that answers a question, for a shell, or nothing if there is none;
    /// `folder` is the directory that the file is in, in which the command is to run.
    ///
    /// # Errors
    /// What is asked about could be more than a word to a shell.
    ///
    /// # Examples
    /// ```
    /// use sshoal_hosts::{GroupsConf, Question};
    ///
    /// let text = "[slurm]\nmap: sinfo -h -o %N -p $GROUP\n";
    /// let conf = GroupsConf::parse(text, "slurm.conf")?;
    /// let slurm = &conf.sources[0];
    /// let map = slurm.command(Question::Map("debug"), "/etc/clustershell");
    /// assert_eq!(map.unwrap().unwrap(), "sinfo -h -o %N -p debug");
    /// assert_eq!(slurm.command(Question::All, "/"), Ok(None));
    /// assert!(slurm.command(Question::Map("x;reboot"), "/").is_err());
    /// # Ok::<(), sshoal_hosts::InventoryError>(())
    /// ```
    pub fn command(&self, question: Question<'_>, folder: &str) -> Result<Option<String>, String> {
        let (template, word) = match question {
            Question::Map(group) => (Some(&self.map), Some(("GROUP", group))),
            Question::All => (self.all.as_ref(), None),
            Question::List => (self.list.as_ref(), None),
            Question::Reverse(host) => (self.reverse.as_ref(), Some(("NODE", host))),
        };
        let Some(template) = template else {
            return Ok(None);
        };
        if let Some((_, word)) = word {
            check_word(word)?;
        }
        let value = |name: &str| match name {
            "CFGDIR" => Some(folder),
            "SOURCE" => Some(self.name.as_str()),
            _ => word.filter(|(own, _)| *own == name).map(|(_, word)| word),
        };
        Ok(Some(fill(template, value)))
    }
}

/// Puts `folder` in the place of `$CFGDIR`.
///
/// # Examples
/// ```
/// use sshoal_hosts::fill_cfgdir;
///
/// assert_eq!(fill_cfgdir("$CFGDIR/groups.d", "/etc/x"), "/etc/x/groups.d");
/// ```
pub fn fill_cfgdir(text: &str, folder: &str) -> String {
    fill(text, |name| (name == "CFGDIR").then_some(folder))
}

/// A section, with its options in the order of the file.
struct Section<'a> {
    name: &'a str,
    line: usize,
    /// Their names in lower case, their lines and their values.
    options: Vec<(String, usize, String)>,
}

impl Section<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(own, ..)| own == name);
        found
            .map(|(_, _, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn source(&self, name: &str, file: &File) -> Result<Upcalls, InventoryError> {
        let own = |key: &str| self.value(key).map(str::to_owned);
        let Some(map) = own("map") else {
            let reason =
                format!("the source {name:?} has no map, which is how its groups are read");
            return Err(file.error(self.line, reason));
        };
        Ok(Upcalls {
            name: name.to_owned(),
            place: file.place(self.line),
            map,
            all: own("all"),
            list: own("list"),
            reverse: own("reverse"),
        })
    }
}

/// Divides a text as Python's configparser does: `key: value` or `key = value`, comments on lines of
/// their own, and lines that are indented go on with the value before them.
fn sections<'a>(text: &'a str, file: &File) -> Result<Vec<Section<'a>>, InventoryError> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let said = line.trim();
        if said.is_empty() || said.starts_with(['#', ';']) {
            continue;
        }
        let goes_on = line.starts_with(char::is_whitespace);
        let last = sections.last_mut();
        if let Some((_, _, value)) = last.and_then(|last| last.options.last_mut())
            && goes_on
        {
            // Writing to a string does not fail.
            let _ = write!(value, "\n{said}");
            continue;
        }
        if let Some(name) = said
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        {
            if sections.iter().any(|section| section.name == name) {
                return Err(file.error(number, format!("the section {name:?} is there twice")));
            }
            if name == "DEFAULT" {
                return Err(file.error(number, "the section DEFAULT is not read; write it out"));
            }
            sections.push(Section {
                name,
                line: number,
                options: Vec::new(),
            });
            continue;
        }
        let parts = said.find([':', '=']).map(|at| said.split_at(at));
        let Some((section, (key, value))) = sections.last_mut().zip(parts) else {
            let reason =
                format!("{said:?} is neither a [section] nor an option of one, KEY: VALUE");
            return Err(file.error(number, reason));
        };
        let key = key.trim().to_ascii_lowercase();
        if section.options.iter().any(|(own, ..)| *own == key) {
            return Err(file.error(number, format!("{key:?} is there twice")));
        }
        section
            .options
            .push((key, number, value[1..].trim().to_owned()));
    }
    Ok(sections)
}

/// Returns the value if a line is this option.
fn option<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?.trim_start();
    rest.strip_prefix([':', '='])
}

/// Divides a list of directories at blanks outside of quotes.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err(format!("a quote of {text:?} is not closed")),
        None => Ok(words),
    }
}

/// Fills `$NAME` and `${NAME}` in; what has no value stays as it is, and `$$` is one `$`.
fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = behind.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let braced = behind
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = behind.find(|c| !letters(c)).unwrap_or(behind.len());
        let (name, after) = braced.unwrap_or_else(|| behind.split_at(end));
        match value(name) {
            Some(value) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('$');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Checks that a word is one to a shell, within quotes of each kind and outside of them: it is put
/// into a command as it is.
fn check_word(word: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:+/=%-".contains(c);
    match !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        true => Ok(()),
        false => Err(format!(
            "{word:?} is not put into a command: only letters, digits and _.:+/=%- are, no - first"
        )),
    }
}

const MAIN: &str = "Main";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONF: &str = "\
# groups
[Main]
default: local
confdir: /etc/x/groups.conf.d '$CFGDIR/my groups'
autodir= $CFGDIR/groups.d
[local, other]
map: sed -n 's/^$GROUP:\\(.*\\)/\\1/p' $f ${CFGDIR}/a
  | cat $$
; a comment
list: echo $SOURCE $GROUPS $NODE";

    #[test]
    fn sections_name_directories_and_commands() {
        let conf = GroupsConf::parse(CONF.replace("local, other", "local,other"), "groups.conf");
        let conf = conf.unwrap();
        assert_eq!(conf.default.as_deref(), Some("local"));
        assert_eq!(
            conf.conf_dirs,
            ["/etc/x/groups.conf.d", "$CFGDIR/my groups"]
        );
        assert_eq!(conf.auto_dirs, ["$CFGDIR/groups.d"]);
        let [local, other] = conf.sources.as_slice() else {
            panic!("{conf:?}");
        };
        let map = local.command(Question::Map("web"), "/c").unwrap().unwrap();
        assert_eq!(map, "sed -n 's/^web:\\(.*\\)/\\1/p' $f /c/a\n| cat $");
        let list = other.command(Question::List, "/c").unwrap().unwrap();
        assert_eq!(list, "echo other $GROUPS $NODE");
        assert_eq!(local.command(Question::Reverse("x"), "/c"), Ok(None));
        assert_eq!(other.place.to_string(), "groups.conf:6");
    }

    #[test]
    fn mistakes_are_named_with_file_and_line() {
        let refuse = |text: &str, message: &str| {
            let error = GroupsConf::parse(text, "g").expect_err(text);
            assert_eq!(error.to_string(), message);
        };
        refuse(
            "map: x\n",
            "g:1: \"map: x\" is neither a [section] nor an option of one, KEY: VALUE",
        );
        refuse(
            "[a]\nmap\n",
            "g:2: \"map\" is neither a [section] nor an option of one, KEY: VALUE",
        );
        refuse(
            "[a]\nall: x\n",
            "g:1: the source \"a\" has no map, which is how its groups are read",
        );
        refuse("[a]\nmap: x\nMap: y\n", "g:3: \"map\" is there twice");
        refuse(
            "[a]\nmap: x\n[a]\n",
            "g:3: the section \"a\" is there twice",
        );
        refuse(
            "[Main]\nautodir: 'x\n",
            "g:1: a quote of \"'x\" is not closed",
        );
        refuse(
            "[a:b]\nmap: x\n",
            "g:1: \"a:b\" cannot name a source: a colon ends the name",
        );
    }

    #[test]
    fn other_files_are_told_apart() {
        assert!(GroupsConf::is_it("", "/etc/clustershell/groups.conf"));
        assert!(GroupsConf::is_it("# x\n[Main]\n", "mine"));
        assert!(GroupsConf::is_it("[slurm]\nmap = x\n", "slurm.conf"));
        assert!(!GroupsConf::is_it("[web:vars]\nmap = x\n", "hosts"));
        assert!(!GroupsConf::is_it("Host x\n", "ssh.conf"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[[a-b,:]{0,4}\\]\n|[a-b$:={}' #;]{0,12}\n|map: [$A-Z{}]{0,12}\n){0,6}") {
            if let Ok(conf) = GroupsConf::parse(&text, "x.conf") {
                for source in conf.sources {
                    prop_assert!(source.command(Question::Map("g"), "/").unwrap().is_some());
                }
            }
        }

        /// A shell must not see more than the word that it was, quoted or not.
        #[test]
        fn no_word_is_more_than_one_for_a_shell(word in "[ -~]{1,3}") {
            if check_word(&word).is_ok() {
                prop_assert!(!word.contains(['\'', '"', '$', '`', '\\', ' ', ';', '&', '|', '<', '>', '*', '?', '[', '(', '~', '#', '!']));
            }
        }
    }
}
