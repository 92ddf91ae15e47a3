//! Expansion against folding, algebra, bounds, and choosing among candidates.

use proptest::prelude::*;

use super::*;
use crate::{expand, fold};

#[track_caller]
fn check(text: &str, names: &str) {
    let expanded = expand(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(expanded.join(" "), names, "{text}");
}

#[track_caller]
fn refuse(text: &str, message: &str) {
    let error = expand(text).expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn node_sets_expand_in_their_order() {
    check("", "");
    check("web1", "web1");
    check("web[1-3]", "web1 web2 web3");
    check("web[08-11]", "web08 web09 web10 web11");
    check("web[1-3,7].eu", "web1.eu web2.eu web3.eu web7.eu");
    check("n[0-10/4]", "n0 n4 n8");
    check("n[001-002,5]", "n001 n002 n5");
    check("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2");
    check("n[1-2][3-4]", "n13 n14 n23 n24");
    check("n1[2-3]", "n12 n13");
    check("n[1[0-2],20]", "n10 n11 n12 n20");
    check("n[[1-2]0,3[4,5[6-7]]]", "n10 n20 n34 n356 n357");
    check("n[ 1 - 2 , 4 ]", "n1 n2 n4");
    check("[1-3]", "1 2 3");
    check("10.0.[0-1].[1-2]", "10.0.0.1 10.0.0.2 10.0.1.1 10.0.1.2");
    check("root@web[1-2]:22", "root@web1:22 root@web2:22");
    check("web1:[22,2222]", "web1:22 web1:2222");
    check(
        "[::1]:22,a@[fe80::1%eth0]:22",
        "[::1]:22 a@[fe80::1%eth0]:22",
    );
    check("fe80::[1-2]", "fe80::1 fe80::2");
    check("b,a,b", "b a");
}

#[test]
fn algebra_goes_from_left_to_right() {
    check("a[1-5]!a3&a[1-4]^a9", "a1 a2 a4 a9");
    check("a1,a2!a2", "a1");
    check("a1!a1,a1", "a1");
    check("a[1-3]^a[3-5]", "a1 a2 a4 a5");
    check("a b\tc", "a b c");
    check("a[1-3],!a2", "a1 a3");
}

#[test]
fn what_is_no_node_set_is_named() {
    refuse("n[1-3", "a bracket of \"n[1-3\" is not closed");
    refuse("n1-3]", "a bracket of \"n1-3]\" closes nothing");
    let bad = |range: &str, why: &str| {
        refuse(
            &format!("n[{range}]"),
            &format!("bad range {range:?} in \"n[{range}]\": {why}"),
        );
    };
    let form = "a range is NUMBER or NUMBER-NUMBER, with /STEP after it if wanted";
    let padding = "both ends need the same number of digits, as in [01-99,100]";
    bad("", "there is nothing in it");
    bad("1-", form);
    bad("a-b", form);
    bad("-1", form);
    bad("1-2-3", form);
    bad("01:40", form);
    bad("+1", form);
    bad("01-100", padding);
    bad("1-010", padding);
    bad("10-1", "the first number is larger than the last");
    bad("1-5/0", "a step of 0 goes nowhere");
    bad("5/2", "a step follows a range, as in [0-10/2]");
    bad(
        "1-1000000000000000000",
        "the number has more than 18 digits",
    );
    bad("a[1]", "brackets in brackets stand among digits alone");
    refuse(
        "n!",
        "'!' in \"n!\" has nothing behind it; leave it out, or name hosts there",
    );
    refuse(
        "!n",
        "\"!n\" begins with '!'; write what it is put to before it, such as @*",
    );
    refuse(
        "@web",
        "there is no group \"web\"; name an inventory that has it with --inventory",
    );
    refuse(
        "web*",
        "\"web*\" has wildcards, and no inventory has hosts for them; name one with --inventory",
    );
}

#[test]
fn too_many_hosts_are_refused_before_they_are_made() {
    refuse(
        "web[1-1000000000000]",
        "\"web[1-1000000000000]\" stands for 1000000000000 hosts, and at most 1000000 are taken; \
         is a range too long?",
    );
    let squares = "n[1-999999999]".repeat(40);
    assert!(matches!(
        expand(&squares),
        Err(NodeSetError::TooMany {
            count: u64::MAX,
            ..
        })
    ));
    let nested = format!("n{}1{}", "[".repeat(9), "]".repeat(9));
    assert!(matches!(expand(&nested), Err(NodeSetError::TooDeep { .. })));
    let long = format!("{}[1-9]", "n".repeat(2000));
    assert!(matches!(expand(&long), Err(NodeSetError::TooLong { .. })));
    let inventory = Inventory::within(1000);
    let selector = inventory.selector();
    let together = selector.select("a[1-600],b[1-600]", Words::Hosts);
    assert!(matches!(
        together,
        Err(NodeSetError::TooMany { count: 1200, .. })
    ));
    let again = "a[1-1000]&".repeat(200) + "a1";
    let error = selector.select(&again, Words::Hosts);
    assert!(matches!(error, Err(NodeSetError::TooMuch { .. })));
}

#[test]
fn expressions_choose_among_candidates() {
    let inventory = Inventory::default();
    let selector = inventory.selector();
    let all = ["web1", "root@web2:2222", "root@web2", "db1", "[::1]:22"].map(str::to_owned);
    let check = |text: &str, expected: &str| {
        let chosen = selector.choose(text, Words::Either, &all);
        let chosen = chosen.unwrap_or_else(|error| panic!("{text}: {error}"));
        let chosen = all.iter().zip(chosen).filter(|(_, is)| *is);
        let chosen: Vec<&str> = chosen.map(|(spec, _)| spec.as_str()).collect();
        assert_eq!(chosen.join(" "), expected, "{text}");
    };
    check("web[1-9]", "web1 root@web2:2222 root@web2");
    check("root@web2", "root@web2");
    check("web*:db1", "web1 root@web2:2222 root@web2 db1");
    check("!web2", "web1 db1 [::1]:22");
    check("web*,!web1", "root@web2:2222 root@web2");
    check("web*:&*2", "root@web2:2222 root@web2");
    check("::1", "[::1]:22");
    check("elsewhere", "");
    check("", "");
}

/// Method: the hosts that Ansible 2.19 chooses by each of these patterns, in the order of the inventory.
#[test]
fn expressions_mean_what_they_mean_to_ansible() {
    let mut inventory = Inventory::default();
    let text = "lone\nspare:2222\n[web]\nweb[1:3]\ndbx\n[web-old]\nweb3\nlegacy\n[db]\ndb[1:2]\nweb2\n\
                [all-of-them:children]\nweb\ndb\n[ungrouped]\nlate\n[ungrouped:vars]\nrack=z\n";
    inventory.read(text.as_bytes(), "hosts.ini").unwrap();
    let selector = inventory.selector();
    let all = selector.all().unwrap();
    let check = |text: &str, expected: &str| {
        let chosen = selector.choose(text, Words::Either, &all);
        let chosen = chosen.unwrap_or_else(|error| panic!("{text}: {error}"));
        let chosen = all.iter().zip(chosen).filter(|(_, is)| *is);
        let chosen: Vec<&str> = chosen.map(|(name, _)| name.as_str()).collect();
        assert_eq!(chosen.join(" "), expected, "{text}");
    };
    // Who is left out stays out, wherever that is said.
    check("web:!web-old:db", "web1 web2 dbx db1 db2");
    check("!web-old,web,web3", "web1 web2 dbx");
    check("&db:web", "web2");
    check("web:!web1:&db:dbx", "web2");
    check("!web:!db", "lone spare legacy late");
    // Wildcards are about groups as well.
    check("web*", "web1 web2 web3 dbx legacy");
    check("lone:web*:!*-old", "lone web1 web2 dbx");
    check("*them:!d?", "web1 web3 dbx");
    // Who is in no group.
    check("ungrouped", "lone spare late");
    check("*:!ungrouped", "web1 web2 web3 dbx legacy db1 db2");
    assert_eq!(
        selector.settings("lone").unwrap().variables["rack"].text,
        "z"
    );
    assert_eq!(selector.strangers(), Vec::<String>::new());
    check(
        "web:!web-odl:!web[7-8]:!w?x:@db",
        "web1 web2 web3 dbx db1 db2",
    );
    assert_eq!(selector.strangers(), ["web-odl", "web[7-8]", "w?x"]);
    let refused = selector.choose("web:!~web[12]", Words::Either, &all);
    assert!(
        matches!(refused, Err(NodeSetError::Regex { .. })),
        "{refused:?}"
    );
    // Not Ansible's, and read as a node set.
    check("web3,web1^web3", "web1");
    check("web!web3^web3", "web1 web2 web3 dbx");
}

proptest! {
    #[test]
    fn folded_names_expand_to_themselves(
        names in prop::collection::vec("[a-c]{0,1}(0{0,2}[0-9]{1,2}[.-]?){0,3}[a-b]?", 0..60),
    ) {
        let mut names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let folded = fold(names.iter().map(String::as_str));
        let mut expanded = expand(&folded).unwrap();
        prop_assert_eq!(&fold(expanded.iter().map(String::as_str)), &folded);
        names.sort();
        names.dedup();
        expanded.sort();
        prop_assert_eq!(names, expanded);
    }

    #[test]
    fn sorted_numbers_come_back_in_order(mut numbers in prop::collection::btree_set(0_u32..3000, 0..80), width in 0_usize..5) {
        let extra = numbers.len() as u32;
        numbers.insert(extra);
        let names: Vec<String> = numbers.iter().map(|n| format!("web{n:0width$}.eu")).collect();
        let folded = fold(names.iter().map(String::as_str));
        prop_assert_eq!(expand(&folded).unwrap(), names);
    }

    #[test]
    fn no_text_is_too_odd(text in "[a-b0-9@:,!&^*? \\[\\]/%.-]{0,40}") {
        let inventory = Inventory::within(1000);
        let selector = inventory.selector();
        for words in [Words::Hosts, Words::Groups, Words::Either] {
            let _ = selector.choose(&text, words, &["a1".to_owned(), "b@a2:22".to_owned()]);
        }
        if let Ok(names) = selector.select(&text, Words::Hosts) {
            prop_assert!(names.len() <= 1000);
            let folded = fold(names.iter().map(String::as_str));
            let mut again = expand(&folded).unwrap();
            let mut names = names;
            again.sort();
            names.sort();
            prop_assert_eq!(again, names);
        }
    }
}
