//! Any text is refused or stands for hosts within the bound, whose node set stands for them again;
//! and it chooses among hosts only those that are there.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use sshoal_hosts::{Inventory, Words, fold, glob};

const HOSTS_MAX: usize = 2000;

fuzz_target!(|text: &str| {
    let mut inventory = Inventory::within(HOSTS_MAX);
    let groups = "a: n[1-3],@b\nb: m[08-11]!m09\nloop: @loop\n";
    inventory.read(groups, "groups").expect("has groups");
    let selector = inventory.selector();
    let candidates = ["n1", "root@n2:22", "m08", "[::1]:22"].map(str::to_owned);
    for words in [Words::Hosts, Words::Groups, Words::Either] {
        if let Ok(chosen) = selector.choose(text, words, &candidates) {
            assert_eq!(chosen.len(), candidates.len());
        }
    }
    let _ = glob(text, text);
    let Ok(names) = selector.select(text, Words::Hosts) else {
        return;
    };
    assert!(names.len() <= HOSTS_MAX);
    let folded = fold(names.iter().map(String::as_str));
    let names: BTreeSet<String> = names.into_iter().collect();
    // A name of the text may hold what an expression reads otherwise, such as an @ that is first.
    if names.iter().any(|name| name.starts_with('@')) {
        return;
    }
    let again = selector
        .select(&folded, Words::Hosts)
        .expect("is a node set");
    assert_eq!(again.len(), names.len());
    assert_eq!(fold(again.iter().map(String::as_str)), folded);
    assert_eq!(again.into_iter().collect::<BTreeSet<_>>(), names);
});
