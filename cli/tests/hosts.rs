//! Whom: node sets, groups, inventories and what narrows them, through `sshoal hosts` and a dry run.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{output, sshoal, stderr, stdout};

/// A directory with an inventory of each form, and hosts files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (
            "inventory.ini",
            "bastion\n[web]\nweb[01:03].eu rack=a1\n[web:vars]\nansible_user=ops\nansible_port=2222\n\
             [db]\ndb[1:2] ansible_host=10.0.0.9\n[prod:children]\nweb\n",
        ),
        (
            "inventory.yml",
            "all:\n  children:\n    cache:\n      hosts:\n        cache[1:2]: {rack: b2}\n",
        ),
        (
            "own.toml",
            "[groups]\nedge = \"edge[1-3]!edge2\"\n[hosts.edge1]\nport = 2200\nvars = { rack = \"c3\" }\n",
        ),
        ("own.yaml", "groups:\n  own: own[1-2]\n"),
        ("groups", "adm: adm[0-1]\nall-adm: @adm,adm9\n"),
        ("groups.yaml", "roles:\n  gpu: 'gpu[1-2]'\n"),
        (
            "script.json",
            "{\"app\": [\"app1\"], \"_meta\": {\"hostvars\": {\"app1\": {\"rack\": 4}}}}",
        ),
        (
            "ssh_config",
            "Include more.d/*\nHost alias1 *.x\n  Port 22\n",
        ),
        (
            "hosts",
            "# first\nplain\nold:22 bob\nroot@n[1-2]:23 Compression=yes # set\n[::1]:24\n@web!web02.eu\n",
        ),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn program(folder: &Path, words: &[&str]) -> Command {
    let mut program = sshoal(folder);
    program.env_remove("XDG_CONFIG_HOME");
    program.current_dir(folder).args(words);
    program
}

/// Runs `sshoal hosts` and compares what it prints, a line or a blank between the hosts.
#[track_caller]
fn check(folder: &Path, words: &str, expected: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    let output = output(program(folder, &["hosts"]).args(&words));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words:?}: {}",
        stderr(&output)
    );
    let shown = stdout(&output);
    let shown = shown.lines().collect::<Vec<_>>().join(" ");
    assert_eq!(shown, expected, "{words:?}");
}

/// Expects a usage error of one line that says all of these.
#[track_caller]
fn refuse(folder: &Path, words: &[&str], said: &[&str]) {
    for action in ["hosts", "run"] {
        let mut program = program(folder, &[action]);
        program.args(words);
        if action == "run" {
            program.args(["-n", "true"]);
        }
        let output = output(&mut program);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            said.iter().all(|said| error.contains(said)),
            "{words:?}: {error}"
        );
    }
}

#[track_caller]
fn dry_run(folder: &Path, words: &[&str]) -> Output {
    let output = output(program(folder, &["run", "-n", "-F", "none", "-l", "me"]).args(words));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

#[test]
fn node_sets_are_expanded_folded_and_counted() {
    let folder = folder();
    let check = |words: &str, expected: &str| check(folder.path(), words, expected);
    check("web[08-10].eu", "web08.eu web09.eu web10.eu");
    check("-w r[1-2]n[0-4/2]", "r1n0 r1n2 r1n4 r2n0 r2n2 r2n4");
    check("-w a2 a1", "a2 a1");
    check("--nodes a[1-5]!a3&a[1-4]^a9", "a1 a2 a4 a9");
    check("--expand a,b", "a b");
    check("-f web03 web1 web01 web02 db", "db,web[1,01-03]");
    check("--fold r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]");
    check("-c web[01-40,50].eu", "41");
    check("--count root@[::1]:22", "1");
    check("--count --json a[1-3]", "{\"count\":3}");
    check("-f --json a2 a1", "{\"count\":2,\"nodes\":\"a[1-2]\"}");
    check("-f -H a1 -w a2", "a[1-2]");
}

#[test]
fn inventories_of_every_form_have_groups() {
    let folder = folder();
    let check = |words: &str, expected: &str| check(folder.path(), words, expected);
    check(
        "--inventory inventory.ini --group web",
        "web01.eu web02.eu web03.eu",
    );
    check("--inventory inventory.ini --host-group prod!db -c", "3");
    check(
        "--inventory inventory.ini -w @prod&@web -f",
        "web[01-03].eu",
    );
    check("--inventory inventory.yml --group cache", "cache1 cache2");
    check("--inventory own.toml @edge", "edge1 edge3");
    check("--inventory own.yaml @own", "own1 own2");
    check("--inventory groups @all-adm", "adm0 adm1 adm9");
    check("--inventory groups.yaml @gpu,@roles:gpu", "gpu1 gpu2");
    check("--inventory script.json @app", "app1");
    check("--inventory-cmd cat<script.json @app", "app1");
    check(
        "--inventory own.toml --inventory groups @* -f",
        "adm[0-1,9],edge[1,3]",
    );
    check(
        "--inventory inventory.ini --groups",
        "web: web[01-03].eu db: db[1-2] prod: web[01-03].eu",
    );
    check("--inventory inventory.ini --groups db1", "db: db[1-2]");
    check(
        "--inventory own.toml --groups --json",
        "{\"count\":2,\"group\":\"edge\",\"nodes\":\"edge[1,3]\"}",
    );
}

#[test]
fn what_an_inventory_says_of_a_host_is_shown() {
    let folder = folder();
    check(
        folder.path(),
        "--inventory inventory.ini --json root@web01.eu db1",
        "{\"host\":\"web01.eu\",\"user\":\"root\",\"port\":null,\"groups\":[\"web\",\"prod\"],\
         \"options\":[\"Port=2222\"],\"variables\":{\"ansible_port\":\"2222\",\
         \"ansible_user\":\"ops\",\"rack\":\"a1\"}} \
         {\"host\":\"db1\",\"user\":null,\"port\":null,\"groups\":[\"db\"],\
         \"options\":[\"HostName=10.0.0.9\"],\"variables\":{\"ansible_host\":\"10.0.0.9\"}}",
    );
}

/// The file has each kind of line; then the same from standard input, where a group is not known.
#[test]
fn hosts_files_have_old_lines_and_node_sets() {
    let folder = folder();
    check(
        folder.path(),
        "-h hosts --inventory inventory.ini",
        "plain bob@old:22 root@n1:23 root@n2:23 [::1]:24 web01.eu web03.eu",
    );
    let dry = dry_run(
        folder.path(),
        &["-h", "hosts", "--inventory", "inventory.ini", "-v", "id"],
    );
    assert_eq!(
        stdout(&dry).matches("root@n2:23").count(),
        1,
        "{}",
        stdout(&dry)
    );
    let mut program = program(folder.path(), &["hosts", "-h", "-"]);
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let text = "a\n\n  # b\nc[1-2]\nx[1-2] bob\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("standard input:5:") && error.contains("USER@"),
        "{error}"
    );
}

#[test]
fn lists_are_narrowed_in_the_order_of_the_help() {
    let folder = folder();
    let check = |words: &str, expected: &str| check(folder.path(), words, expected);
    check("a[1-5] --exclude a2 --exclude-hosts a[4-9]", "a1 a3");
    check("root@a1:22 a2 --exclude a1", "a2");
    check("web1.eu web2.us db1.eu -g *.eu -g db*", "web1.eu db1.eu");
    check("web1.eu web2.us --host-glob web[!1].*", "web2.us");
    check(
        "--inventory inventory.ini --limit web:!web02.eu",
        "web01.eu web03.eu",
    );
    check(
        "--inventory inventory.ini --limit web:&prod,!*3.eu",
        "web01.eu web02.eu",
    );
    check(
        "--inventory inventory.ini -w @* --limit !prod",
        "bastion db1 db2",
    );
    check(
        "--inventory inventory.ini a web01.eu --limit all",
        "web01.eu",
    );
    check("a[1-5] --limit a[4-9]", "a4 a5");
    check("-H a -w a", "a a");
    check("-H a -w a --unique", "a");
    check("a[1-7] --shard 1/3", "a1 a4 a7");
    check("a[1-7] --shard 3/3", "a3 a6");
    check("a[1-7] --pick 9 --count", "7");
    check("a[1-700] --pick 9 --count", "9");
    check(
        "a[1-9] --exclude a1 -g a* --limit a[1-7] --shard 2/2 --pick 3",
        "a3 a5 a7",
    );
}

#[test]
fn a_word_of_a_limit_that_is_nobody_is_told() {
    let folder = folder();
    let words = "hosts --inventory inventory.ini --limit prod:!wbe1.eu:!ungrouped";
    let words: Vec<&str> = words.split(' ').collect();
    let told = output(&mut program(folder.path(), &words));
    assert_eq!(stdout(&told), "web01.eu\nweb02.eu\nweb03.eu\n");
    let expected = "sshoal: --limit \"prod:!wbe1.eu:!ungrouped\": \"wbe1.eu\" is no group and none of \
                    these hosts, and changes nothing\n";
    assert_eq!(stderr(&told), expected);
}

/// 20 times 3 of 50: that they are the same each time would be a chance of one in 10^85.
#[test]
fn a_pick_is_another_one_each_time_and_in_order() {
    let folder = folder();
    let picked = (0..20).map(|_| {
        let words = ["hosts", "n[01-50]", "--pick", "3"];
        let shown = stdout(&output(&mut program(folder.path(), &words)));
        let hosts: Vec<&str> = shown.lines().collect();
        assert_eq!(hosts.len(), 3);
        assert!(hosts.is_sorted(), "{hosts:?}");
        shown
    });
    let picked: std::collections::BTreeSet<String> = picked.collect();
    assert!(picked.len() > 1, "{picked:?}");
}

#[test]
fn variables_of_inventories_fill_templates() {
    let folder = folder();
    let words = [
        "--inventory",
        "inventory.ini",
        "--inventory",
        "own.toml",
        "-w",
        "@prod,edge1",
    ];
    let template = ["--template", "echo {rack} {ansible_user:raw} {host}"];
    let mut dry = program(folder.path(), &["run", "-n", "-F", "none", "-l", "me"]);
    let refused = output(dry.args(words).args(template));
    let error = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(
        error.contains("edge1") && error.contains("{ansible_user:raw}"),
        "{error}"
    );
    let words = [
        &words[..4],
        &["-w", "@prod,root@edge1", "--template", "echo {rack} {user}"],
    ]
    .concat();
    let dry = dry_run(folder.path(), &words);
    assert_eq!(
        stdout(&dry),
        "ops@web01.eu:2222 echo a1 ops\nops@web02.eu:2222 echo a1 ops\n\
         ops@web03.eu:2222 echo a1 ops\nroot@edge1:2200 echo c3 root\n"
    );
}

#[test]
fn the_users_own_inventory_is_read_where_none_is_named() {
    let folder = folder();
    let own = folder.path().join(".config/sshoal");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::rename(folder.path().join("own.toml"), own.join("hosts.toml")).unwrap();
    check(folder.path(), "@edge", "edge1 edge3");
    refuse(folder.path(), &["--unique"], &["no hosts", "-h FILE"]);
    refuse(
        folder.path(),
        &["--inventory", "groups", "-w", "@edge"],
        &["no group \"edge\""],
    );
    let elsewhere = output(program(folder.path(), &["hosts", "@edge"]).env("XDG_CONFIG_HOME", "/"));
    assert_eq!(elsewhere.status.code(), Some(2));
}

#[test]
fn an_ssh_config_and_what_it_includes_name_hosts() {
    let folder = folder();
    let more = folder.path().join(".ssh/more.d");
    std::fs::create_dir_all(&more).unwrap();
    std::fs::write(more.join("b"), "Host alias3 alias?\n").unwrap();
    std::fs::write(more.join("a"), "Include ~/.ssh/more.d/*\nHost alias2\n").unwrap();
    check(
        folder.path(),
        "--inventory ssh_config alias* -f",
        "alias[1-3]",
    );
}

#[test]
fn variables_of_the_environment_name_hosts_unless_the_command_line_does() {
    let folder = folder();
    let check = |words: &[&str], set: &[(&str, &str)], expected: &str| {
        let mut program = program(folder.path(), &["hosts"]);
        program.args(words).envs(set.iter().copied());
        let output = output(&mut program);
        let shown = stdout(&output).lines().collect::<Vec<_>>().join(" ");
        assert_eq!(shown, expected, "{words:?} {set:?}: {}", stderr(&output));
    };
    let inventory = ("SSHOAL_INVENTORY", "inventory.ini");
    check(&[], &[("SSHOAL_NODES", "a[1-2]")], "a1 a2");
    check(&["b"], &[("SSHOAL_NODES", "a[1-2]")], "b");
    check(
        &["-H", "b"],
        &[("SSHOAL_NODES", "a[1-2]"), ("SSHOAL_GROUP_HOSTS", "x")],
        "b",
    );
    check(
        &["-w", "b"],
        &[("SSHOAL_HOSTS", "none"), ("SSHOAL_HOST", "c")],
        "b",
    );
    check(&["-w", "b"], &[("PSSH_HOSTS", "none")], "b");
    check(&[], &[inventory, ("SSHOAL_GROUP_HOSTS", "db")], "db1 db2");
    check(&[], &[inventory, ("SSHOAL_LIMIT", "db")], "db1 db2");
    check(&["@x"], &[("SSHOAL_INVENTORY_CMD", "echo 'x: y1'")], "y1");
    check(
        &["--inventory", "groups", "@adm"],
        &[("SSHOAL_INVENTORY_CMD", "false")],
        "adm0 adm1",
    );
    check(
        &["a[1-3]"],
        &[("SSHOAL_EXCLUDE_HOSTS", "a1"), ("SSHOAL_UNIQUE", "1")],
        "a2 a3",
    );
    check(
        &["a[1-3]"],
        &[("SSHOAL_HOST_GLOB", "*2"), ("SSHOAL_PICK", "1")],
        "a2",
    );
    check(
        &["a[1-3]"],
        &[("SSHOAL_SHARD", "3/3"), ("SSHOAL_FOLD", "1")],
        "a3",
    );
    check(&["a[1-3]"], &[("SSHOAL_HOSTS_COUNT", "1")], "3");
    check(
        &["a"],
        &[("SSHOAL_HOSTS_COUNT", "1"), ("SSHOAL_JSON", "1")],
        "{\"count\":1}",
    );
    check(
        &[],
        &[inventory, ("SSHOAL_GROUPS", "1"), ("SSHOAL_LIMIT", "db")],
        "db: db[1-2]",
    );
    check(&["a"], &[("SSHOAL_EXPAND", "1")], "a");
}

#[test]
fn what_is_wrong_is_refused_before_any_connection() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "[groups]\nweb = 'w[1'\n").unwrap();
    std::fs::write(folder.path().join("bad"), "a\nweb[9-1]\n").unwrap();
    let refuse = |words: &[&str], said: &[&str]| refuse(folder.path(), words, said);
    refuse(
        &["-w", "web[1-1000000000000]"],
        &["web[1-1000000000000]", "1000000000000 hosts"],
    );
    refuse(
        &["-w", "n[1-9]n[1-999999]n[1-999999]"],
        &["at most 1000000"],
    );
    refuse(&["-w", "web[1"], &["-w", "not closed"]);
    refuse(&["-w", "web$"], &["-w", "'$'"]);
    refuse(&["-w", ""], &["empty"]);
    refuse(&["-w", "a!a"], &["\"a!a\" stands for no host"]);
    refuse(&["-w", "@web"], &["group \"web\"", "--inventory"]);
    refuse(&["-H", "web[1-2]"], &["-H", "-w"]);
    refuse(&["-h", "bad"], &["bad:2", "9-1", "larger"]);
    refuse(&["--inventory", "groups"], &["-w '@*'", "--group"]);
    refuse(
        &["--inventory", "nowhere", "-w", "a"],
        &["nowhere", "inventory"],
    );
    refuse(&["--inventory", "-", "-w", "a"], &["-h -"]);
    refuse(
        &["--inventory", "bad.toml", "--group", "web"],
        &["bad.toml:2", "\"web\"", "not closed"],
    );
    refuse(
        &["--inventory-cmd", "exit 3", "-w", "a"],
        &["exit 3", "exit status: 3"],
    );
    refuse(
        &["--inventory", "groups", "--group", "amd"],
        &["\"amd\"", "adm"],
    );
    refuse(
        &["-w", "a", "--exclude", "a"],
        &["--exclude", "none of 1 host"],
    );
    refuse(&["-w", "a", "-g", "b*"], &["-g", "none"]);
    refuse(&["-w", "a", "--limit", "b"], &["--limit", "none"]);
    refuse(
        &["-w", "a", "--limit", "a!"],
        &["--limit", "nothing behind"],
    );
    refuse(
        &["-w", "a", "--limit", "a:!~b"],
        &["--limit", "\"~b\"", "regular expression"],
    );
    refuse(&["-w", "a", "--shard", "2/2"], &["--shard 2/2", "none"]);
    refuse(&["-w", "a", "--shard", "0/2"], &["--shard", "I/N"]);
    refuse(&["-w", "a", "--pick", "0"], &["--pick", "at least 1"]);
    refuse(&["-w", "a", "--pick", "-1"], &["--pick", "at least 1"]);
    let both = output(&mut program(folder.path(), &["hosts", "-f", "-c", "a"]));
    assert_eq!(both.status.code(), Some(2));
    assert!(stderr(&both).contains("--fold"), "{}", stderr(&both));
}

#[test]
fn help_names_every_flag_and_where_names_are_taken_another_one() {
    let home = tempfile::tempdir().unwrap();
    let help = |words: &[&str]| stdout(&output(sshoal(home.path()).args(words).arg("--help")));
    let whom = [
        "-h, --hosts",
        "-H, --host",
        "-w, --nodes",
        "--inventory",
        "--inventory-cmd",
        "--exclude",
        "-g, --host-glob",
        "--group",
        "--limit",
        "--pick",
        "--shard",
        "--unique",
    ];
    for action in ["run", "put", "get", "forward", "hosts"] {
        let help = help(&[action]);
        assert!(whom.iter().all(|flag| help.contains(flag)), "{help}");
    }
    let own = help(&["hosts"]);
    let flags = [
        "--expand",
        "-f, --fold",
        "-c, --count",
        "--groups",
        "--json",
        "Examples:",
    ];
    assert!(flags.iter().all(|flag| own.contains(flag)), "{own}");
    let sync = help(&["sync"]);
    assert!(
        sync.contains("--exclude-hosts <NODESET>") && sync.contains("--exclude <GLOB>"),
        "{sync}"
    );
    assert!(help(&["fs"]).contains("--host-group <G>"));
}
