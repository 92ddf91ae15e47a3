//! `--gather`: what several hosts said alike is shown once, under their names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::console::{Console, Sink};
use crate::record::{Ending, Record};
use crate::sanitise::one_line;

/// The different outputs of one run.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Hosts by what they said, with their positions in the input.
    said: HashMap<Arc<[u8]>, Vec<(usize, String)>>,
}

impl Merged {
    /// Adds a finished host, unless it failed and said nothing.
    pub(super) fn add(&mut self, record: &Record) {
        if record.stdout.is_empty() && !matches!(record.ending, Ending::Exited(_)) {
            return;
        }
        let host = (record.index, record.label.clone());
        match self.said.get_mut(record.stdout.as_slice()) {
            Some(hosts) => hosts.push(host),
            None => {
                self.said.insert(record.stdout.clone().into(), vec![host]);
            }
        }
    }

    /// Shows the outputs in the order of their first hosts.
    pub(super) fn show(self, console: &mut Console) {
        for (hosts, said) in self.groups() {
            console.end_line(Sink::Stdout);
            console.put(heading(&hosts).as_bytes());
            console.host_bytes(Sink::Stdout, &said);
        }
        console.end_line(Sink::Stdout);
    }

    fn groups(self) -> Vec<(Vec<String>, Arc<[u8]>)> {
        let mut groups: Vec<_> = self.said.into_iter().collect();
        groups
            .iter_mut()
            .for_each(|(_, hosts)| hosts.sort_unstable());
        groups.sort_unstable_by_key(|(_, hosts)| hosts[0].0);
        let names = |hosts: Vec<(usize, String)>| hosts.into_iter().map(|(_, label)| label);
        let named = groups
            .into_iter()
            .map(|(said, hosts)| (names(hosts).collect(), said));
        named.collect()
    }
}

fn heading(hosts: &[String]) -> String {
    let names = hosts.join(",");
    let count = match hosts.len() {
        1 => String::new(),
        count => format!(" ({count})"),
    };
    format!("{RULE}\n{}{count}\n{RULE}\n", one_line(&names))
}

const RULE: &str = "---------------";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{refused, sample};

    #[test]
    fn equal_outputs_are_one_in_the_order_of_the_hosts() {
        let mut merged = Merged::default();
        for (index, said) in [(3, "b"), (1, "a"), (2, "b"), (0, "b")] {
            let mut record = sample(Ending::Exited(0));
            record.index = index;
            record.label = format!("h{index}");
            record.stdout = said.into();
            merged.add(&record);
        }
        merged.add(&sample(Ending::Failed(refused())));
        let groups = merged.groups();
        let names: Vec<_> = groups.iter().map(|(names, _)| names.join(",")).collect();
        assert_eq!(names, ["h0,h2,h3", "h1"]);
        assert_eq!(&*groups[1].1, b"a");
        assert_eq!(
            heading(&groups[0].0),
            format!("{RULE}\nh0,h2,h3 (3)\n{RULE}\n")
        );
    }
}
