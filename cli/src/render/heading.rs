//! The heading above what several hosts have in common.

use super::fold::fold;
use super::status::Colors;
use crate::sanitise::one_line;

/// The names of hosts, and how they are written in a heading.
#[derive(Debug)]
pub(crate) struct Headings {
    /// By host, in input order.
    labels: Vec<String>,
    colors: Colors,
}

impl Headings {
    /// Begins with the hosts' labels in input order.
    pub(crate) fn new(labels: Vec<String>, colors: Colors) -> Self {
        Self { labels, colors }
    }

    /// Returns how many hosts there are.
    #[cfg(feature = "demo")]
    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// Returns the hosts, which are in input order, folded.
    pub(crate) fn folded(&self, hosts: &[usize]) -> String {
        let names = fold(hosts.iter().map(|index| self.labels[*index].as_str()));
        one_line(&names).into_owned()
    }

    /// Returns the hosts, which are in input order, folded and counted.
    pub(crate) fn names(&self, hosts: &[usize]) -> String {
        let names = self.folded(hosts);
        match hosts.len() {
            1 => names,
            count => format!("{names} ({count})"),
        }
    }

    /// Returns the three lines above what the hosts said.
    pub(crate) fn block(&self, text: &str) -> String {
        self.colored(CYAN, &format!("{RULE}\n{text}\n{RULE}")) + "\n"
    }

    /// Returns what begins and ends a colour, where there are colours.
    pub(crate) fn around(&self, color: Option<&'static str>) -> (&'static str, &'static str) {
        match (self.colors, color) {
            (Colors::On, Some(color)) => (color, PLAIN),
            _ => ("", ""),
        }
    }

    /// Returns the text in a colour, where there are colours; each of its lines by itself, so that
    /// a pager shows them all so.
    pub(crate) fn colored(&self, color: &str, text: &str) -> String {
        if self.colors == Colors::Off {
            return text.to_owned();
        }
        let lines = text.split('\n').map(|line| format!("{color}{line}{PLAIN}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

const RULE: &str = "---------------";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const PLAIN: &str = "\x1b[0m";
