//! The lines that are typed, and where each goes.

use std::io::BufRead;
use std::sync::Arc;

use sshoal::{Host, Scope, Shells};

use crate::complain;
use crate::sanitise::one_line;

/// The side of the keyboard.
pub(super) struct Keyboard {
    shells: Arc<Shells>,
    names: Names,
    /// By host: whether it takes lines, as far as is known.
    takes: Vec<bool>,
}

/// How hosts can be addressed, in input order.
struct Names(Vec<[String; 2]>);

/// Where a line goes.
#[derive(Debug, PartialEq, Eq)]
enum Goes<'a> {
    ToAll(&'a [u8]),
    /// To these hosts.
    To(Vec<usize>, &'a [u8]),
    /// Nobody is called so.
    Nowhere(String),
}

impl Keyboard {
    pub(super) fn new(shells: Arc<Shells>, hosts: &[Host], labels: Vec<String>) -> Self {
        let takes = shells.iter().map(|(_, shell)| shell.is_ok()).collect();
        let names = hosts
            .iter()
            .zip(labels)
            .map(|(host, label)| [label, host.name().to_owned()]);
        let names = Names(names.collect());
        Self {
            shells,
            names,
            takes,
        }
    }

    /// Sends lines until there are no more, and ends the shells' input then.
    pub(super) fn serve(mut self) {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    complain(&format!("cannot read what is typed: {error}"));
                    break;
                }
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            self.send(&line);
        }
        for (_, shell) in self.shells.iter() {
            // One that is lost has ended.
            let _ = shell.map(|shell| shell.end_input());
        }
    }

    /// Sends one line on, and says once which hosts take no more.
    fn send(&mut self, line: &[u8]) {
        let scope = Scope::root();
        let sent: Vec<(usize, bool)> = match self.names.goes(line) {
            Goes::Nowhere(name) => {
                complain(&format!(
                    "no host is called {name:?}; the line went nowhere"
                ));
                return;
            }
            Goes::ToAll(line) => {
                let sent = self.shells.run_all(&[line], &scope);
                sent.iter().map(Result::is_ok).enumerate().collect()
            }
            Goes::To(hosts, line) => {
                let one = |index: usize| {
                    let shell = self.shells.shell(index);
                    (
                        index,
                        shell.is_ok_and(|shell| shell.run(line, &scope).is_ok()),
                    )
                };
                hosts.into_iter().map(one).collect()
            }
        };
        for (index, is_sent) in sent {
            if !is_sent && std::mem::replace(&mut self.takes[index], false) {
                let [label, _] = &self.names.0[index];
                complain(&one_line(&format!("{label}: its shell has ended")));
            }
        }
    }
}

impl Names {
    /// Returns where a line goes.
    fn goes<'a>(&self, line: &'a [u8]) -> Goes<'a> {
        match line {
            [b'@', b'@', ..] => return Goes::ToAll(&line[1..]),
            [b'@', ..] => {}
            _ => return Goes::ToAll(line),
        }
        let end = line
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[1..end]).into_owned();
        let named = |(index, names): (usize, &[String; 2])| names.contains(&name).then_some(index);
        let hosts: Vec<usize> = self.0.iter().enumerate().filter_map(named).collect();
        match hosts.is_empty() {
            true => Goes::Nowhere(name),
            false => Goes::To(hosts, line[end..].trim_ascii_start()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_to_all_or_to_those_that_are_named() {
        let names = [["web1:2222", "web1"], ["web1:23", "web1"], ["db", "db"]];
        let names = Names(names.map(|both| both.map(str::to_owned)).to_vec());
        let check = |line: &str, goes| assert_eq!(names.goes(line.as_bytes()), goes, "{line:?}");
        check("uptime", Goes::ToAll(b"uptime"));
        check("", Goes::ToAll(b""));
        check("mail a@b", Goes::ToAll(b"mail a@b"));
        check("@@file", Goes::ToAll(b"@file"));
        check("@db  df -h", Goes::To(vec![2], b"df -h"));
        check("@db", Goes::To(vec![2], b""));
        check("@web1 ls", Goes::To(vec![0, 1], b"ls"));
        check("@web1:23 ls", Goes::To(vec![1], b"ls"));
        check("@web9 ls", Goes::Nowhere("web9".to_owned()));
        check("@ ls", Goes::Nowhere(String::new()));
    }
}
