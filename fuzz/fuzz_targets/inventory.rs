//! Any bytes are refused as an inventory of any form, or have hosts within the bound, and groups and
//! settings of which all can be asked. The first byte says which form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sshoal_hosts::{GroupsConf, Inventory, Question, VarsOf, Words, ssh_config_includes};

const HOSTS_MAX: usize = 200;

fuzz_target!(|bytes: &[u8]| {
    let Some((form, text)) = bytes.split_first() else {
        return;
    };
    let origins = ["i", "i.toml", "i.yaml", "i.json", "i.ini"];
    let origin = origins[usize::from(*form) % origins.len()];
    let mut inventory = Inventory::within(HOSTS_MAX);
    let _ = ssh_config_includes(&String::from_utf8_lossy(text));
    if let Ok(conf) = GroupsConf::parse(text, "groups.conf") {
        for source in &conf.sources {
            // A name that a shell would take apart is never filled in.
            assert!(source.command(Question::Map("a b"), "/").is_err());
            assert!(matches!(
                source.command(Question::Map("a"), "/"),
                Ok(Some(_))
            ));
        }
    }
    let _ = Inventory::within(HOSTS_MAX).read_vars(VarsOf::Group("all"), text, origin);
    if let Err(error) = inventory.read(text, origin) {
        assert!(error.place.line > 0);
        assert!(!error.reason.is_empty());
        return;
    }
    let selector = inventory.selector();
    for group in inventory.groups() {
        let _ = selector.select(&format!("@{group}"), Words::Hosts);
        let _ = selector.select(group, Words::Groups);
    }
    let Ok(all) = selector.all() else {
        return;
    };
    assert!(all.len() <= HOSTS_MAX);
    for host in &all {
        let _ = selector.settings(host);
    }
    if let Ok(groups) = selector.groups_of_each(&all) {
        assert_eq!(groups.len(), all.len());
    }
});
