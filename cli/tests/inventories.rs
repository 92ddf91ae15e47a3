//! Inventories that are more than one file: ClusterShell's `groups.conf` with its files and commands,
//! and Ansible's variables beside an inventory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that fails fails its test, and what is skipped is told"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::{output, sshoal, stderr, stdout};

/// Writes files, and the folders that they are in.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn hosts(folder: &Path, words: &str) -> Command {
    let mut program = sshoal(folder);
    program.env_remove("XDG_CONFIG_HOME");
    program.current_dir(folder).arg("hosts");
    program.args(words.split(' '));
    program
}

/// Runs `sshoal hosts` and compares what it prints, a blank between the lines.
#[track_caller]
fn check(folder: &Path, words: &str, expected: &str) {
    let output = output(&mut hosts(folder, words));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words}: {}",
        stderr(&output)
    );
    let shown = stdout(&output);
    let shown = shown.lines().collect::<Vec<_>>().join(" ");
    assert_eq!(shown, expected, "{words}");
}

/// Expects a usage error of one line that says all of these.
#[track_caller]
fn refuse(folder: &Path, words: &str, said: &[&str]) {
    let output = output(&mut hosts(folder, words));
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{words}: {error}");
    let line = error.lines().last().unwrap();
    assert!(
        said.iter().all(|said| line.contains(said)),
        "{words}: {error}"
    );
}

const GROUPS: &[(&str, &str)] = &[
    (
        "groups.conf",
        "# where groups are\n[Main]\ndefault: local\nconfdir: $CFGDIR/groups.conf.d nowhere\n\
         autodir: $CFGDIR/groups.d $CFGDIR/groups.d\n\n[local]\n\
         map: echo map-$GROUP >> calls; sed -n 's/^$GROUP: \\(.*\\)/\\1/p' $CFGDIR/flat\n\
         list: sed -n 's/^\\([a-z]*\\):.*/\\1/p' flat\nall: cat all\n",
    ),
    (
        "flat",
        "web: web[1-2]\nweb: web4\ndb: db[1-2],@web\ngpu: gpu1\n",
    ),
    ("all", "web[1-4],db[1-2]\ngpu1\n"),
    (
        "groups.conf.d/slurm.conf",
        "[slurm,torque]\nmap = case $GROUP in\n  debug) echo n[1-4];;\n  small) echo n1 n2;;\n  *) exit 1;;\n  \
         esac\nlist = echo debug small\nreverse = [ $NODE = n1 ] && echo $SOURCE-debug || true\n",
    ),
    ("groups.conf.d/.hidden.conf", "no section\n"),
    ("groups.conf.d/other.txt", "no section\n"),
    (
        "groups.d/cluster.yaml",
        "roles:\n  adm: 'adm[0-1]'\n  io: 'io[1-2],@adm'\nracks:\n  adm: other\n  both: '@adm'\n",
    ),
];

/// Files, directories and commands of a `groups.conf`; a command runs once, and only where its group
/// is wanted.
#[test]
fn a_groups_conf_names_files_and_commands() {
    let folder = folder(GROUPS);
    let path = folder.path();
    let conf = path.join("groups.conf");
    let check = |words: &str, expected: &str| {
        check(
            path,
            &format!("--inventory {} {words}", conf.display()),
            expected,
        );
    };
    check("@db,@web", "db1 db2 web1 web2 web4");
    let calls = std::fs::read_to_string(path.join("calls")).unwrap();
    assert_eq!(calls, "map-db\nmap-web\n");
    check("@local:web!web4", "web1 web2");
    check("@slurm:debug,@torque:small -f", "n[1-4]");
    check("@roles:io", "io1 io2 adm0 adm1");
    check("@racks:both", "other");
    check("-f @*", "db[1-2],gpu1,web[1-4]");
    check("-f @slurm:*,@roles:*", "adm[0-1],io[1-2],n[1-4]");
    check("@g*,@slurm:s*", "gpu1 n1 n2");
    check("-w @* --limit web -f", "web[1-2,4]");
    check("--group db --exclude @web", "db1 db2");
    check(
        "--groups",
        "roles:adm: adm[0-1] roles:io: adm[0-1],io[1-2] racks:adm: other racks:both: other \
         slurm:debug: n[1-4] slurm:small: n[1-2] torque:debug: n[1-4] torque:small: n[1-2] \
         web: web[1-2,4] db: db[1-2],web[1-2,4] gpu: gpu1",
    );
    check(
        "--json web4",
        "{\"host\":\"web4\",\"user\":null,\"port\":null,\"groups\":[\"web\",\"db\"],\"options\":[],\
         \"variables\":{}}",
    );
}

#[test]
fn mistakes_of_a_groups_conf_are_named() {
    let files = [
        ("a.conf", "[Main]\ndefault: nobody\n"),
        ("b.conf", "[Main]\n[b]\nlist: echo x\n"),
        (
            "c.conf",
            "[Main]\nautodir: .\n[c]\nmap: echo '[1'; exit 3\n",
        ),
        ("d.conf", "[Main]\nconfdir: .\n[e]\nmap: echo ok\n"),
        (
            "e/groups.conf",
            "[Main]\n[e]\nmap: echo 'a['\n[f]\nmap: echo $GROUP\n",
        ),
    ];
    let folder = folder(&files);
    let refuse = |words: &str, said: &[&str]| refuse(folder.path(), words, said);
    refuse(
        "--inventory a.conf x",
        &["a.conf", "\"nobody\"", "no source"],
    );
    refuse("--inventory b.conf x", &["b.conf:2", "no map"]);
    refuse(
        "--inventory c.conf @x",
        &["source \"c\"", "c.conf:3", "exit status: 3"],
    );
    // The directory has files of which each is a mistake of another kind.
    refuse("--inventory d.conf x", &["b.conf:2"]);
    refuse(
        "--inventory e/groups.conf @e:x",
        &["source \"e\"", "bracket"],
    );
    for name in ["$(reboot)", "x;reboot", "a|b", "-x", "it's"] {
        refuse(
            &format!("--inventory e/groups.conf @f:{name}"),
            &["source \"f\"", "not put into a command"],
        );
    }
    refuse("--inventory e/groups.conf @g:x", &["no group \"g:x\""]);
}

/// What ClusterShell's own program says of the same files.
#[test]
fn a_groups_conf_means_what_clustershell_means_by_it() {
    let folder = folder(GROUPS);
    let conf = folder.path().join("groups.conf");
    let nodeset = |expression: &str| {
        let mut nodeset = Command::new("nodeset");
        nodeset.args(["-e", expression]).current_dir(folder.path());
        nodeset
            .env("CLUSTERSHELL_CFGDIR", folder.path())
            .env("HOME", folder.path());
        nodeset.env_remove("XDG_CONFIG_HOME").output()
    };
    if nodeset("x").is_err() {
        println!("skipped: nodeset (package clustershell) is not installed");
        return;
    }
    for expression in [
        "@web",
        "@db",
        "@db!@web",
        "@local:gpu,@roles:adm",
        "@slurm:small",
        "@torque:debug",
        "@roles:io",
        "@racks:both",
        "@*",
        "@slurm:*",
        "@roles:*&adm1",
    ] {
        let theirs = nodeset(expression).unwrap();
        assert!(theirs.status.success(), "{expression}: {}", stderr(&theirs));
        let theirs: BTreeSet<String> = stdout(&theirs)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let words = format!("--inventory {} {expression}", conf.display());
        let ours = stdout(&output(&mut hosts(folder.path(), &words)));
        let ours: BTreeSet<String> = ours.lines().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{expression}");
    }
}

const VARS: &[(&str, &str)] = &[
    (
        "prod/hosts",
        "[web]\nweb1 rack=inline\nweb2\n[web:vars]\nrack=group\ntier=group\nsite=group\n[db]\ndb1\n",
    ),
    (
        "prod/group_vars/all.yml",
        "site: all\nansible_user: ops\nlist: [1, 2]\n",
    ),
    ("prod/group_vars/web/10-first.yml", "tier: first\n"),
    (
        "prod/group_vars/web/20-second",
        "tier: second\nurl: 'http://{{ tier }}'\n",
    ),
    ("prod/group_vars/web/.hidden.yml", "- no table\n"),
    ("prod/group_vars/web/old.yml~", "- no table\n"),
    ("prod/group_vars/web/notes.txt", "- no table\n"),
    ("prod/group_vars/web/more/30.json", "{\"more\": 1}"),
    ("prod/group_vars/web.yml", "tier: never\n"),
    ("prod/group_vars/nobody.yml", "- no table\n"),
    (
        "prod/host_vars/web1.yaml",
        "ansible_port: 2222\nansible_host: 10.0.0.1\n",
    ),
    ("prod/host_vars/db1", "$ANSIBLE_VAULT;1.1;AES256\n6162\n"),
    ("prod/host_vars/nobody", "- no table\n"),
    ("own.toml", "[groups]\nweb = \"web1\"\n"),
    ("bad/hosts", "[web]\nweb1\n"),
    ("bad/host_vars/web1.yml", "a: 1\nb\n"),
];

/// The files that Ansible reads, in its order, and no other; what they say fills templates and is the
/// way in.
#[test]
fn variables_beside_an_inventory_are_read_as_ansible_reads_them() {
    let folder = folder(VARS);
    let path = folder.path();
    check(
        path,
        "--inventory prod/hosts --json web1 web2",
        "{\"host\":\"web1\",\"user\":null,\"port\":null,\"groups\":[\"web\"],\
         \"options\":[\"HostName=10.0.0.1\",\"Port=2222\",\"User=ops\"],\"variables\":{\
         \"ansible_host\":\"10.0.0.1\",\"ansible_port\":\"2222\",\"ansible_user\":\"ops\",\"more\":\"1\",\
         \"rack\":\"inline\",\"site\":\"all\",\"tier\":\"second\"}} \
         {\"host\":\"web2\",\"user\":null,\"port\":null,\"groups\":[\"web\"],\
         \"options\":[\"User=ops\"],\"variables\":{\"ansible_user\":\"ops\",\"more\":\"1\",\
         \"rack\":\"group\",\"site\":\"all\",\"tier\":\"second\"}}",
    );
    let secret = output(&mut hosts(path, "--inventory prod/hosts db1"));
    let notice = stderr(&secret);
    assert!(
        notice.contains("host_vars/db1") && notice.contains("ansible-vault"),
        "{notice}"
    );
    let mut dry = sshoal(path);
    dry.current_dir(path)
        .args(["run", "-n", "-F", "none", "--inventory", "prod/hosts"]);
    let dry = output(dry.args(["--group", "web", "--template", "echo {tier} {rack}"]));
    assert_eq!(
        stdout(&dry),
        "ops@web1:2222 echo second inline\nops@web2:22 echo second group\n",
        "{}",
        stderr(&dry)
    );
    // Of other programs' inventories they are not.
    let own = "--inventory own.toml --json @web";
    std::fs::create_dir(path.join("group_vars")).unwrap();
    std::fs::write(path.join("group_vars/web"), "- no table\n").unwrap();
    check(
        path,
        own,
        "{\"host\":\"web1\",\"user\":null,\"port\":null,\"groups\":[\"web\"],\"options\":[],\"variables\":{}}",
    );
    refuse(
        path,
        "--inventory bad/hosts web1",
        &["bad/host_vars/web1.yml:"],
    );
}

#[test]
fn folders_of_variables_without_end_are_refused() {
    let folder = folder(&[("hosts", "[web]\nweb1\n"), ("group_vars/web/a", "x: 1\n")]);
    let inside = folder.path().join("group_vars/web/loop");
    std::os::unix::fs::symlink(".", &inside).unwrap();
    refuse(folder.path(), "--inventory hosts web1", &["too deep"]);
}
