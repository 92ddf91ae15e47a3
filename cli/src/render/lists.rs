//! `--failed-to` and `--ok-to`: hosts files of the hosts that failed and of those that did not.
//!
//! A file is written anew at the run's end, in input order, so that the hosts file that was read
//! may be the one that is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit_code::Class;
use crate::record::Record;

/// Which hosts a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All but those that ended well, those that were not run too.
    Failed,
    /// Those that ended well.
    Good,
}

/// One of the files.
#[derive(Debug)]
pub(crate) struct List {
    wanted: Wanted,
    path: PathBuf,
    file: File,
    /// By host, in input order: its line of a hosts file, and whether it ended well.
    hosts: Vec<(String, bool)>,
}

impl List {
    /// Opens the file, which has to be there or to be made; what is in it stays for now. `lines`
    /// are the hosts' in input order.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub(crate) fn open(wanted: Wanted, path: &Path, lines: &[String]) -> Result<Self> {
        let mut options = File::options();
        let opened = options.write(true).create(true).truncate(false).open(path);
        let file = opened.with_context(|| what(wanted, path))?;
        Ok(Self {
            wanted,
            path: path.to_owned(),
            file,
            hosts: lines.iter().map(|line| (line.clone(), false)).collect(),
        })
    }

    /// Notes how a host ended.
    pub(crate) fn finished(&mut self, record: &Record) {
        let is_good = matches!(record.class(), Class::Good | Class::Differs);
        self.hosts[record.index].1 = is_good;
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What could not be written.
    pub(crate) fn end(mut self) -> Result<()> {
        let text = self.text();
        let written = self.write(&text);
        written.with_context(|| what(self.wanted, &self.path))
    }

    fn text(&self) -> String {
        let is_in = |is_good: bool| is_good == (self.wanted == Wanted::Good);
        let hosts = self.hosts.iter().filter(|(_, is_good)| is_in(*is_good));
        hosts.map(|(line, _)| format!("{line}\n")).collect()
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

fn what(wanted: Wanted, path: &Path) -> String {
    let flag = match wanted {
        Wanted::Failed => "--failed-to",
        Wanted::Good => "--ok-to",
    };
    format!("{flag}: cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ending;
    use crate::record::tests::{refused, sample};

    #[test]
    fn hosts_are_told_apart_by_their_end_in_input_order() {
        let dir = tempfile::tempdir().unwrap();
        let lines = ["a", "b Port=2", "c", "d"].map(str::to_owned);
        let ends = [
            (2, Ending::Exited(0)),
            (0, Ending::Exited(0)),
            (1, Ending::Failed(refused())),
        ];
        for (wanted, expected) in [(Wanted::Failed, "b Port=2\nd\n"), (Wanted::Good, "a\nc\n")] {
            let path = dir.path().join("list");
            std::fs::write(&path, "something longer than what is written\n").unwrap();
            let mut list = List::open(wanted, &path, &lines).unwrap();
            for (index, ending) in ends.clone() {
                let mut record = sample(ending);
                record.index = index;
                list.finished(&record);
            }
            list.end().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }
}
