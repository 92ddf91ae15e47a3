//! A name of its own for each host's folder or file.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use sshoal_session::Host;

/// Returns a name for each host: its own; with its user and port where that name is listed more
/// than once; with `.1` and so on where even that is. It is one name of a file system: what cannot
/// stand in one is written as `%XX`.
pub(super) fn names(hosts: &[Host]) -> Vec<String> {
    let mut listed: HashMap<&str, usize> = HashMap::new();
    for host in hosts {
        *listed.entry(host.name()).or_default() += 1;
    }
    let mut taken: HashSet<String> = HashSet::with_capacity(hosts.len());
    let name = |host: &Host| {
        let plain = match listed[host.name()] {
            1 => host.name().to_owned(),
            _ => host.to_string(),
        };
        let plain = file_name(&plain);
        let numbered = (1..).map(|n: usize| format!("{plain}.{n}"));
        let mut free = std::iter::once(plain.clone()).chain(numbered);
        let name = free.find(|name| taken.insert(name.clone()));
        name.expect("numbers do not end")
    };
    hosts.iter().map(name).collect()
}

/// Users may have a `/` in their names, and a host may be called `..`.
fn file_name(plain: &str) -> String {
    match plain {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => plain.replace('/', "%2F"),
    }
}

/// Returns whether a path leads to something within the folder that it begins in.
pub(super) fn is_within(path: &Path) -> bool {
    let mut components = path.components();
    let named = components
        .clone()
        .any(|part| matches!(part, Component::Normal(_)));
    named && components.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_hosts_have_one_name() {
        let listed = ["a", "b:22", "a:9", "a", "c", "c", "c.1", "u@c"];
        let hosts: Vec<Host> = listed.iter().map(|host| host.parse().unwrap()).collect();
        let expected = ["a", "b", "a:9", "a.1", "c", "c.1", "c.1.1", "u@c"];
        assert_eq!(names(&hosts), expected);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let listed = ["..", ".", "../u@c", "c", "../u@c"];
        let hosts: Vec<Host> = listed.iter().map(|host| host.parse().unwrap()).collect();
        let expected = ["%2E%2E", "%2E", "..%2Fu@c", "c", "..%2Fu@c.1"];
        assert_eq!(names(&hosts), expected);
    }

    #[test]
    fn a_path_within_a_folder_does_not_leave_it() {
        assert!(
            ["a", "a/b", "./a"]
                .iter()
                .all(|path| is_within(Path::new(path)))
        );
        let out = ["", ".", "/a", "../a", "a/../../b", "a/.."];
        assert!(!out.iter().any(|path| is_within(Path::new(path))));
    }
}
