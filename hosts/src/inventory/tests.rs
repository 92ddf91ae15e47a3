//! Each form of a file, what is wrong with files, and who has the last word of a setting.

use proptest::prelude::*;

use super::*;
use crate::Words;

#[track_caller]
fn read(text: &str, origin: &str) -> Inventory {
    let mut inventory = Inventory::default();
    let read = inventory.read(text, origin);
    read.unwrap_or_else(|error| panic!("{error}"));
    inventory
}

#[track_caller]
fn check(inventory: &Inventory, text: &str, names: &str) {
    let selected = inventory.selector().select(text, Words::Hosts);
    let selected = selected.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(selected.join(" "), names, "{text}");
}

/// Compares what is said of a host: options, then variables.
#[track_caller]
fn check_said(inventory: &Inventory, host: &str, expected: &str) {
    let settings = inventory.selector().settings(host).unwrap();
    let said = |values: BTreeMap<String, Value>| {
        let values = values
            .into_iter()
            .map(|(key, value)| format!("{key}={}", value.text));
        values.collect::<Vec<_>>().join(" ")
    };
    let said = format!("{} | {}", said(settings.options), said(settings.variables));
    assert_eq!(said.trim(), expected, "{host}");
}

#[track_caller]
fn refuse(text: &str, origin: &str, message: &str) {
    let error = Inventory::default().read(text, origin);
    assert_eq!(error.expect_err(text).to_string(), message);
}

const OWN: &str = r#"
[vars]
site = "north"

[groups]
web = "web[01-03].eu"
db = ["db[1-2]", "replica"]
all-but-edge = "@web!@edge"

[groups.edge]
hosts = "@web!web02.eu"
port = 2222
vars = { role = "edge", site = "west" }

[hosts.lonely]
[hosts."web[01-02].eu"]
user = "deploy"
identity = "~/.ssh/web"
options = { Compression = "yes" }
vars = { site = "south" }
"#;

#[test]
fn our_own_form_has_groups_hosts_and_variables() {
    let inventory = read(OWN, "hosts.toml");
    check(&inventory, "@web", "web01.eu web02.eu web03.eu");
    check(&inventory, "@edge", "web01.eu web03.eu");
    check(&inventory, "@db&db*", "db1 db2");
    check(&inventory, "@*!@web", "lonely db1 db2 replica");
    check_said(
        &inventory,
        "web01.eu",
        "Compression=yes IdentityFile=~/.ssh/web Port=2222 User=deploy | role=edge site=south",
    );
    check_said(&inventory, "web03.eu", "Port=2222 | role=edge site=west");
    check_said(
        &inventory,
        "root@web03.eu:22",
        "Port=2222 | role=edge site=west",
    );
    check_said(&inventory, "elsewhere", "| site=north");
    let place = &inventory.selector().settings("web03.eu").unwrap().options["Port"].place;
    assert_eq!(place.to_string(), "hosts.toml:12");
    let yaml = "groups:\n  web: web[1-2]\n  db: [db1, '@web']\nhosts:\n  web1:\n    port: 22\n";
    let inventory = read(yaml, "hosts.yaml");
    check(&inventory, "@db", "db1 web1 web2");
    check_said(&inventory, "web1", "Port=22 |");
}

const INI: &str = r#"
# hosts without a group
bastion ansible_host=10.0.0.1 ansible_user='the admin' # who
[::1]:2200
deploy@mail:25

[web]
www[01:03].example.com
www-[a:c:2] rack="a 1"
db[1-2]

[web:vars]
ansible_port = 2222
tier = "front"  # a comment
url = http://x/#y
motd = here # and there
weight = 2 # a comment

[prod:children]
web
cache ; not a comment in a name
[cache]
[all:vars]
ansible_user=ops
tier=any
"#;

#[test]
fn ansible_in_ini_has_ranges_children_and_variables() {
    let inventory = read(
        &INI.replace("cache ; not a comment in a name", "cache"),
        "inventory",
    );
    check(
        &inventory,
        "@prod",
        "www01.example.com www02.example.com www03.example.com www-a www-c db1 db2",
    );
    check(&inventory, "@all!@prod", "bastion ::1 mail");
    check_said(
        &inventory,
        "www-a",
        "Port=2222 User=ops | ansible_port=2222 ansible_user=ops motd=here # and there rack=a 1 \
         tier=front url=http://x/#y weight=2",
    );
    check_said(
        &inventory,
        "bastion",
        "HostName=10.0.0.1 User=the admin | ansible_host=10.0.0.1 ansible_user=the admin tier=any",
    );
    check_said(
        &inventory,
        "::1",
        "Port=2200 User=ops | ansible_port=2200 ansible_user=ops tier=any",
    );
    check_said(
        &inventory,
        "mail",
        "Port=25 User=deploy | ansible_port=25 ansible_user=deploy tier=any",
    );
}

const YAML: &str = "
all:
  vars: {ansible_user: ops, tier: any}
  hosts:
    bastion: {ansible_host: 10.0.0.1}
  children:
    prod:
      vars: {tier: prod, level: prod}
      children:
        web:
          hosts:
            www[01:02]:
              ansible_port: 2222
              list: [1, 2]
            www1: &common {ansible_ssh_private_key_file: ~/k, id: 007}
          vars: {tier: web}
        db:
          hosts:
            db1: {<<: *common, id: 8}
    spare:
";

#[test]
fn ansible_in_yaml_has_children_whose_word_is_the_last() {
    let inventory = read(YAML, "inventory.yml");
    check(&inventory, "@prod", "www01 www02 www1 db1");
    check(&inventory, "@spare", "");
    check(&inventory, "@*", "bastion www01 www02 www1 db1");
    let said = "Port=2222 User=ops | ansible_port=2222 ansible_user=ops level=prod tier=web";
    check_said(&inventory, "www01", said);
    let said = "IdentityFile=~/k User=ops | ansible_ssh_private_key_file=~/k ansible_user=ops \
                id=8 level=prod tier=prod";
    check_said(&inventory, "db1", said);
}

#[test]
fn a_scripts_json_has_groups_and_hostvars() {
    let text = r#"{"web": {"hosts": ["web1", "web2"], "vars": {"tier": "front"}},
        "db": ["db1"], "prod": {"children": ["web", "db"]}, "all": {"vars": {"site": 1}},
        "_meta": {"hostvars": {"web1": {"ansible_host": "10.0.0.1", "nested": {}}}}}"#;
    let inventory = read(text, "./inventory.py --list");
    check(&inventory, "@prod", "web1 web2 db1");
    let said = "HostName=10.0.0.1 | ansible_host=10.0.0.1 site=1 tier=front";
    check_said(&inventory, "web1", said);
    check_said(&inventory, "db1", "| site=1");
}

#[test]
fn clustershell_has_lines_and_sources() {
    let lines = read(
        "# groups\nadm: example0\noss: \"example[4-5],@adm\"\nall: x[1-2]\n",
        "groups",
    );
    check(&lines, "@oss", "example4 example5 example0");
    check(&lines, "@all", "x1 x2");
    let text = "roles:\n  adm: 'node[0-1]'\n  io: ['node[2-3]', '@adm']\nracks:\n  r1: node[0,2]\n  \
                r2: node[1,3]\n  adm: other\n";
    let yaml = read(text, "groups.yaml");
    check(&yaml, "@io", "node2 node3 node0 node1");
    check(&yaml, "@roles:io&@racks:r1", "node2 node0");
    check(&yaml, "@racks:r[1-2]", "node0 node2 node1 node3");
    check(&yaml, "@racks:adm,@adm", "other node0 node1");
    check(&yaml, "@r?!@r1", "node1 node3");
}

/// As `ansible-inventory` ranks them: `a` is the host's, `b` the file of all groups' above a group's own.
#[test]
fn files_of_variables_rank_as_in_ansible() {
    let text = "[web]\nweb1 a=host\nweb2\n[web:vars]\na=group\nb=group\nc=group\nd=group\n\
                [prod:children]\nweb\n[all:vars]\ne=all\nf=all\n";
    let mut inventory = read(text, "inv");
    for (of, text, origin) in [
        (
            VarsOf::Group("web"),
            "c: web\nd: web\n",
            "group_vars/web.yml",
        ),
        (
            VarsOf::Group("prod"),
            "d: prod\nlist: [1]\n",
            "group_vars/prod",
        ),
        (
            VarsOf::Group("all"),
            "a: all\nb: all\nd: all\ne: all\n",
            "group_vars/all/x.yaml",
        ),
        (
            VarsOf::Host("web2"),
            "{\"d\": \"own\", \"ansible_port\": 22}",
            "host_vars/web2.json",
        ),
    ] {
        inventory.read_vars(of, text, origin).unwrap();
    }
    check_said(&inventory, "web1", "| a=host b=all c=web d=web e=all f=all");
    check_said(
        &inventory,
        "web2",
        "Port=22 | a=all ansible_port=22 b=all c=web d=own e=all f=all",
    );
    check_said(&inventory, "elsewhere", "| a=all b=all d=all e=all f=all");
    let place = &inventory.selector().settings("web2").unwrap().options["Port"].place;
    assert_eq!(place.to_string(), "host_vars/web2.json:1");
}

#[test]
fn secrets_and_templates_are_left_out() {
    let mut inventory = read("[web]\nweb1\n", "inv");
    let text = "password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nx: 1\nurl: '{{ x }}/a'\n\
                ansible_host: '{{ inventory_hostname }}.eu'\n";
    inventory
        .read_vars(VarsOf::Group("all"), text, "all.yml")
        .unwrap();
    let whole = "$ANSIBLE_VAULT;1.1;AES256\n6162\n";
    inventory
        .read_vars(VarsOf::Host("web1"), whole, "vault")
        .unwrap();
    check_said(&inventory, "web1", "| x=1");
    assert_eq!(
        inventory.notices(),
        [
            "all.yml:6: ansible_host is a template of Ansible's, which is not filled in; it is left out",
            "vault: it is encrypted by ansible-vault, and left out"
        ]
    );
    let error = inventory
        .read_vars(VarsOf::Group("all"), "- a\n", "all.yml")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "all.yml:1: vars is a list, and has to be a table"
    );
}

#[test]
fn an_ssh_config_names_its_hosts() {
    let text =
        "# mine\nInclude more\nHost web1 web2 *.eu !x\n  Port 22\nhost=\"db\"\nMatch host a\n";
    let inventory = read(text, "config");
    check(&inventory, "@*", "web1 web2 db");
}

#[test]
fn hosts_one_a_line_are_an_inventory() {
    let inventory = read("web[1-2]\nroot@db:22 rack=a1#b\n", "command");
    check(&inventory, "@*", "web1 web2 db");
    check_said(
        &inventory,
        "db",
        "Port=22 User=root | ansible_port=22 ansible_user=root rack=a1",
    );
}

#[test]
fn files_add_up_and_the_later_one_has_the_word() {
    let mut inventory = read("[web]\nweb1 tier=a\n[web:vars]\nx=1\n", "one");
    inventory
        .read("[web]\nweb2\nweb1 tier=b\n[web:vars]\nx=2\n", "two")
        .unwrap();
    check(&inventory, "@web", "web1 web2");
    check_said(&inventory, "web1", "| tier=b x=2");
}

#[test]
fn groups_that_are_nowhere_defined_are_named() {
    refuse(
        "[prod:children]\nweb\nwbe\n[web]\nweb1\n",
        "i",
        "i:3: [prod:children] speaks of \"wbe\", which is no group here; add [wbe]",
    );
    refuse(
        "[web]\nweb1\n[wbe:vars]\na=b\n",
        "i",
        "i:3: [wbe:vars] speaks of \"wbe\", which is no group here; add [wbe]",
    );
    let mut known = read("[web]\nweb1\n", "one");
    known.read("[prod:children]\nweb\n", "two").unwrap();
    check(&known, "@prod", "web1");
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    refuse(
        "[web]\nweb[1:\n",
        "i",
        "i:2: a bracket of \"web[1:\" is not closed",
    );
    refuse(
        "web1 x\n",
        "i",
        "i:1: \"x\" follows a host, and is no NAME=VALUE",
    );
    refuse(
        "web1 x='y\n",
        "i",
        "i:1: a quote of \"web1 x='y\" is not closed",
    );
    refuse(
        "\n[web:childs]\n",
        "i",
        "i:2: \"childs\" is neither children nor vars, as in [web:children]",
    );
    refuse(
        "[web]\nw[1:1000000000000]\n",
        "i",
        "i:2: \"w[1:1000000000000]\" stands for 1000000000000 hosts, and at most 1000000 are \
         taken; is a range too long?",
    );
    refuse(
        "[web\n",
        "i.toml",
        "i.toml:1: no TOML: unclosed table, expected `]`",
    );
    refuse(
        "web = 1\n",
        "i.toml",
        "i.toml:1: \"web\" is none of vars, hosts and groups",
    );
    refuse(
        "[hosts.web1]\nuser = 'a'\nfoo = 1\n",
        "i.toml",
        "i.toml:3: \"foo\" is none of address, port, user, identity, options and vars; a variable \
         belongs into vars",
    );
    refuse(
        "a: [b\n",
        "i.yaml",
        "i.yaml:2: no YAML: while parsing a flow sequence, expected ',' or ']'",
    );
    refuse(
        "- a\n",
        "i.yaml",
        "i.yaml:1: the file is a list, and has to be a table",
    );
    refuse(
        "web:\n  hosts: [w1]\n  sons: {}\n",
        "i.yaml",
        "i.yaml:3: \"sons\" in the group \"web\" is none of hosts, children and vars",
    );
    refuse(
        "{\"a\": }",
        "x",
        "x:1: no JSON: expected value at line 1 column 7",
    );
    let mut inventory = Inventory::default();
    let error = inventory.read(b"web1\n\xff\n", "i").unwrap_err();
    assert_eq!(error.to_string(), "i:2: the file is not UTF-8");
}

#[test]
fn mistakes_of_groups_are_named_where_they_stand() {
    let check = |text: &str, message: &str| {
        let inventory = read(text, "i.toml");
        let error = inventory
            .selector()
            .select("@a", Words::Hosts)
            .expect_err(text);
        assert_eq!(error.to_string(), message);
    };
    check(
        "groups.a = '@b'\ngroups.b = '@a'\n",
        "the group \"a\" is a member of itself, by way of a, b",
    );
    check(
        "groups.a = '@*'\n",
        "the group \"a\" is a member of itself, by way of a",
    );
    check(
        "[groups.a]\nhosts = 'x,@b'\n[groups.b]\nhosts = [\n'x',\n'y[1'\n]",
        "i.toml:6: in the group \"b\": a bracket of \"y[1\" is not closed",
    );
    check(
        "groups.a = '@c'\n",
        "i.toml:1: in the group \"a\": there is no group \"c\"; there are a",
    );
}

#[test]
fn aliases_of_aliases_come_to_an_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let again = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{again}]\n"));
    }
    let error = Inventory::default().read(&text, "bomb.yaml").unwrap_err();
    assert!(error.to_string().contains("aliases counted"), "{error}");
    let deep = "[".repeat(10_000);
    for origin in ["deep.yaml", "deep.json", "deep.toml"] {
        assert!(
            Inventory::default()
                .read(format!("a = {deep}"), origin)
                .is_err()
                || origin == "deep.yaml"
        );
    }
}

#[test]
fn hosts_that_are_named_too_often_are_refused() {
    let mut inventory = Inventory::within(100);
    let text = "a[1:100]\n".repeat(8);
    inventory.read(&text, "i").unwrap();
    check(&inventory, "@*&a7", "a7");
    let error = inventory.read("a1\n", "j").unwrap_err().to_string();
    assert!(
        error.starts_with("j:1:") && error.contains("too often"),
        "{error}"
    );
    let error = Inventory::within(100)
        .read("a[1:100]\nb\n", "i")
        .unwrap_err();
    assert!(error.to_string().starts_with("i:2:"), "{error}");
}

#[test]
fn groups_without_end_are_refused() {
    let mut text = String::new();
    for n in 0..2000 {
        text.push_str(&format!("g{n}: @g{}\n", n + 1));
    }
    let inventory = read(&(text + "g2000: x\n"), "groups");
    let error = inventory
        .selector()
        .select("@g0", Words::Hosts)
        .unwrap_err();
    assert!(matches!(&error, NodeSetError::Member { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_file_is_too_odd(
        text in "(\\[[a-c:]{0,6}\\]\n|[a-c0-9:@=\"'{}\\[\\], .&*!|>-]{0,20}\n|  ){0,8}",
        origin in prop::sample::select(vec!["x", "x.toml", "x.yaml", "x.json", "x.ini"]),
    ) {
        let mut inventory = Inventory::within(1000);
        if inventory.read(&text, origin).is_ok() {
            let selector = inventory.selector();
            if let Ok(all) = selector.all() {
                for host in all.iter().take(20) {
                    let _ = selector.settings(host);
                }
                let _ = selector.groups_of_each(&all);
            }
        }
    }
}
