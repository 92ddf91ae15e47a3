//! Copies whose paths differ by host: by list, template, function and name, checked before anything moves.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use sshoal::{
    Args, CopiesError, Fleet, Host, LocalPaths, Paths, PathsError, Template,
    transfer::{CopyOptions, Error, HostNames, HostNamesError, Keep, TreeOptions},
};
use support::{
    sshd::Sshd,
    trees::{plant, snapshot},
};

#[track_caller]
fn server(hosts: u32) -> Option<Sshd> {
    Sshd::builder()
        .addresses(hosts)
        .log_level("VERBOSE")
        .start()
}

#[track_caller]
fn fleet_of(sshd: &Sshd, hosts: Vec<Host>, at_once: usize) -> Fleet {
    let config = sshd.config().build().expect("a whole configuration");
    let size = NonZeroUsize::new(at_once).expect("not 0");
    let builder = Fleet::builder(hosts, Arc::new(config)).pool_size(size);
    builder.build().expect("the fleet is sound")
}

/// A folder of the test's own, with one for the hosts' side and one for ours.
#[track_caller]
fn sides(sshd: &Sshd) -> (PathBuf, PathBuf) {
    let (here, there) = (sshd.scratch().join("here"), sshd.scratch().join("there"));
    for dir in [&here, &there] {
        fs::create_dir(dir).expect("makes a directory");
    }
    (here, there)
}

fn text_of(path: &Path) -> String {
    let read = fs::read_to_string(path);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files beneath a directory, and what is in them.
fn files(root: &Path) -> BTreeMap<String, String> {
    let found = snapshot(root).into_iter();
    let plain = found.filter(|(_, (kind, ..))| *kind == 'f');
    plain
        .map(|(path, _)| (path.display().to_string(), text_of(&root.join(&path))))
        .collect()
}

fn listed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(path, text)| ((*path).into(), (*text).into()));
    owned.collect()
}

#[track_caller]
fn nobody_was_connected_to(sshd: &Sshd) {
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}

/// Goal: both paths differ by host, as parallel-ssh's `copy_args` have them, by arguments, by a list and by a
/// function, over SFTP and by `scp`. Method: files that tell for whom they are, there and back.
#[test]
fn both_paths_differ_by_host_by_template_list_and_function() {
    let Some(sshd) = server(3) else { return };
    let (here, there) = sides(&sshd);
    for (n, role) in ["web", "app", "db"].iter().enumerate() {
        fs::write(here.join(format!("{role} it's.conf")), format!("for {n}")).expect("writes");
    }
    let fleet = fleet_of(&sshd, sshd.targets(), 3);
    let roles = ["web", "app", "db"].map(|role| Args::new().named("role", role));
    let (local, remote) = (
        Template::new(format!("{}/{{role}} it's.conf", here.display())).args(roles.clone()),
        Template::new(format!("{}/{{n}} of {{total}}/{{role}}", there.display())).args(roles),
    );
    let copies = fleet.put_each(local, remote, &CopyOptions::new());
    let copies = copies.expect("are begun").visits();
    copies.join().expect("all are copied");
    let expected = [
        ("0 of 3/web", "for 0"),
        ("1 of 3/app", "for 1"),
        ("2 of 3/db", "for 2"),
    ];
    assert_eq!(files(&there), listed(&expected));
    let own = copies.host(1).value().and_then(|value| value.as_ref().ok());
    let own = own.expect("is copied");
    assert_eq!(own.local(), here.join("app it's.conf"));
    assert_eq!(
        own.remote(),
        format!("{}/1 of 3/app", there.display()).as_bytes()
    );
    assert_eq!((own.copied().bytes, own.copied().kept), (5, false));

    let from = Paths::each(["0 of 3/web", "1 of 3/app", "2 of 3/db"].map(|path| there.join(path)));
    let back = here.join("back");
    let (by_sftp, by_scp) = (back.clone(), back.clone());
    let to =
        Paths::by(move |listed| by_sftp.join(format!("{}-{}", listed.index(), listed.total())));
    let got = fleet.get_each(from.clone(), to, &CopyOptions::new());
    got.expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    let to = Paths::by(move |listed| by_scp.join(format!("scp-{}", listed.host().name())));
    let got = fleet.scp_get_each(from, to, Keep::default(), 100);
    got.expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    let mut expected: BTreeMap<String, String> = (0..3)
        .map(|n| (format!("{n}-3"), format!("for {n}")))
        .collect();
    for (n, address) in sshd.addresses().iter().enumerate() {
        expected.insert(format!("scp-{address}"), format!("for {n}"));
    }
    assert_eq!(files(&back), expected);
}

/// Goal: what is wrong with paths is told by the call that would begin the copies, with both numbers or both hosts,
/// and nobody is connected to.
#[test]
fn paths_that_cannot_be_are_refused_before_anything_moves() {
    let Some(sshd) = server(2) else { return };
    let (here, there) = sides(&sshd);
    fs::write(here.join("file"), "x").expect("writes");
    let fleet = fleet_of(&sshd, sshd.targets(), 2);
    let (file, options) = (here.join("file"), CopyOptions::new());
    let count = |error: &CopiesError| match error {
        CopiesError::Local(PathsError::Count { paths, hosts }) => Some(("local", *paths, *hosts)),
        CopiesError::Remote(PathsError::Count { paths, hosts }) => Some(("remote", *paths, *hosts)),
        CopiesError::Remote(PathsError::ArgumentCount { arguments, hosts }) => {
            Some(("arguments", *arguments, *hosts))
        }
        _ => None,
    };
    let few = fleet.put_each(Paths::each([&file]), &there, &options);
    assert_eq!(count(&few.expect_err("one path")), Some(("local", 1, 2)));
    let many = fleet.put_each(&file, Paths::each(["a", "b", "c"]), &options);
    assert_eq!(
        count(&many.expect_err("three paths")),
        Some(("remote", 3, 2))
    );
    let many = Template::new("{0}").args(["a", "b", "c"]);
    let many = fleet.get_each(many, "out", &options);
    assert_eq!(
        count(&many.expect_err("three lists")),
        Some(("arguments", 3, 2))
    );
    let missing = fleet.get_each(Template::new("{role}"), "out", &options);
    let missing = missing.expect_err("no such argument");
    assert!(matches!(
        missing,
        CopiesError::Remote(PathsError::Argument { .. })
    ));

    let names: Vec<String> = fleet.hosts().iter().map(Host::to_string).collect();
    for (first, second) in [
        ("out", "out"),
        ("out", "./out//"),
        ("out", "out/f"),
        ("out/", "out/a"),
    ] {
        let exact = Paths::each([here.join(first), here.join(second)]);
        let both = fleet.get_each("/etc/a", exact, &options);
        let both = both.expect_err("one path for two").to_string();
        let names_both = names.iter().all(|name| both.contains(name.as_str()));
        assert!(names_both && both.contains("would both write"), "{both}");
        assert!(both.contains("/out"), "{both}");
    }
    let nameless = fleet.get_each("/", Paths::each(["a/", "b/"]), &options);
    assert!(matches!(nameless, Err(CopiesError::NoName { remote, .. }) if remote == b"/"));
    let apart = Paths::each(["out", "out2"].map(|name| here.join(name)));
    drop(
        fleet
            .get_tree_each("/no/such", apart, &TreeOptions::new())
            .expect("are begun"),
    );
    assert!(!here.join("out").exists());
}

/// Goal: a local source that cannot be read is told with its path and host before any host is reached.
#[test]
fn a_source_that_cannot_be_read_is_told_before_any_host_is_reached() {
    let Some(sshd) = server(2) else { return };
    let (here, there) = sides(&sshd);
    fs::write(here.join("file"), "x").expect("writes");
    let fleet = fleet_of(&sshd, sshd.targets(), 2);
    for unread in ["missing", "."] {
        let local = Paths::each([here.join("file"), here.join(unread)]);
        let error = fleet.put_each(local.clone(), there.join("a"), &CopyOptions::new());
        let error = error.expect_err("the second cannot be read");
        let CopiesError::Source { host, source } = &error else {
            panic!("{error}");
        };
        assert_eq!(**host, fleet.hosts()[1]);
        assert!(matches!(&**source, Error::Local { path, .. } if *path == here.join(unread)));
        assert!(
            fleet
                .scp_put_each(local, there.join("a"), Keep::default())
                .is_err()
        );
    }
    let no_tree = fleet.put_tree_each(here.join("file"), there.join("t"), &TreeOptions::new());
    assert!(matches!(no_tree, Err(CopiesError::Source { .. })));
    nobody_was_connected_to(&sshd);
    assert!(files(&there).is_empty());
}

/// Goal: by default what comes from hosts has a name for each, from which the host can be told again; `/` at the end
/// keeps the file's name; a host that is listed twice has two names.
#[test]
fn by_default_each_host_has_a_name_that_can_be_read_back() {
    let Some(sshd) = server(2) else { return };
    let (here, there) = sides(&sshd);
    fs::write(there.join("app.log"), "log").expect("writes");
    let hosts = [sshd.targets(), vec![sshd.targets()[0].clone()]].concat();
    let fleet = fleet_of(&sshd, hosts, 3);
    let remote = there.join("app.log");
    let [a, b] = [0, 1].map(|n| sshd.addresses()[n].to_string());
    let get = |to: &str| {
        let to = format!("{}/{to}", here.display());
        let got = fleet.get_each(&remote, to, &CopyOptions::new());
        got.expect("are begun")
            .visits()
            .join()
            .expect("all are copied");
    };
    get("plain");
    get("kept/");
    let again = format!("{a}#2");
    let names = [&a, &again, &b];
    let plain = names.map(|name| (name.clone(), "log".to_owned()));
    assert_eq!(files(&here.join("plain")), plain.into());
    let kept = names.map(|name| (format!("{name}/app.log"), "log".to_owned()));
    assert_eq!(files(&here.join("kept")), kept.into());
    for name in names {
        let (host, _) = HostNames::host_of(name.as_bytes()).expect("is one of ours");
        assert!(host == a.as_bytes() || host == b.as_bytes());
    }
    let parallel = LocalPaths::named(here.join("x"), HostNames::Pssh);
    let twice = fleet.get_each(&remote, parallel, &CopyOptions::new());
    let twice = twice
        .expect_err("a preset gives one path to two")
        .to_string();
    assert_eq!(twice.matches(a.as_str()).count(), 3, "{twice}");
}

/// Goal: the names that other programs give, with parallel-ssh's separator as it is set, for files and directories.
#[test]
fn presets_name_as_other_programs_do() {
    let Some(sshd) = server(2) else { return };
    let (here, there) = sides(&sshd);
    fs::create_dir(there.join("dir")).expect("makes a directory");
    fs::write(there.join("dir/f"), "x").expect("writes");
    let fleet = fleet_of(&sshd, sshd.targets(), 2);
    let parallel = |separator: &str| HostNames::ParallelSsh {
        separator: separator.into(),
    };
    for (names, base, expected) in [
        (parallel("_"), "out", "out_HOST"),
        (parallel("."), "out", "out.HOST"),
        (parallel("-"), "", "f-HOST"),
        (HostNames::Pssh, "", "HOST/f"),
        (HostNames::Clush, "", "f.HOST"),
    ] {
        let base = format!("{}/file/{base}", here.display());
        let local = LocalPaths::named(base, names.clone());
        let got = fleet.get_each(there.join("dir/f"), local, &CopyOptions::new());
        got.expect("are begun")
            .visits()
            .join()
            .expect("all are copied");
        for address in sshd.addresses() {
            let path = expected.replace("HOST", &address.to_string());
            assert_eq!(text_of(&here.join("file").join(path)), "x", "{names:?}");
        }
    }
    let local = LocalPaths::named(here.join("tree"), parallel("_"));
    let got = fleet.get_tree_each(there.join("dir"), local, &TreeOptions::new());
    got.expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    let got = fleet.get_tree_each(there.join("dir"), here.join("trees"), &TreeOptions::new());
    got.expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    for address in sshd.addresses() {
        assert_eq!(text_of(&here.join(format!("tree_{address}/f"))), "x");
        assert_eq!(text_of(&here.join(format!("trees/{address}/f"))), "x");
    }
    let long = LocalPaths::named(here.join("x".repeat(250)), parallel("_"));
    let long = fleet.get_each("/etc/hosts", long, &CopyOptions::new());
    assert!(matches!(
        long,
        Err(CopiesError::Names(HostNamesError::NoName { .. }))
    ));
}

/// Goal: a local file is opened once for all hosts that share it: it may be gone before the last of them begins.
/// Method: one session at a time, and the file is removed once the copies are begun.
#[test]
fn a_file_that_hosts_share_is_opened_once_for_all_of_them() {
    let Some(sshd) = server(3) else { return };
    let (here, there) = sides(&sshd);
    for name in ["a", "b"] {
        fs::write(here.join(name), name.repeat(100_000)).expect("writes");
    }
    let fleet = fleet_of(&sshd, sshd.targets(), 1);
    let local = Paths::each(["a", "b", "a"].map(|name| here.join(name)));
    let remote = Template::new(format!("{}/{{n}}/", there.display()));
    let copies = fleet.put_each(local, remote, &CopyOptions::new());
    let copies = copies.expect("are begun").visits();
    for name in ["a", "b"] {
        fs::remove_file(here.join(name)).expect("removes");
    }
    copies.join().expect("all are copied");
    let names: Vec<String> = files(&there).into_keys().collect();
    assert_eq!(
        names,
        ["0/a", "1/b", "2/a"],
        "behind a slash the name is kept"
    );
}

/// Goal: far more local files than are kept open arrive all the same, each on its host.
#[test]
fn more_local_files_than_are_kept_open_arrive() {
    let Some(sshd) = server(1) else { return };
    let (here, there) = sides(&sshd);
    let count = 70;
    for n in 0..count {
        fs::write(here.join(n.to_string()), format!("for {n}")).expect("writes");
    }
    let fleet = fleet_of(&sshd, vec![sshd.targets()[0].clone(); count], 6);
    let local = Template::new(format!("{}/{{n}}", here.display()));
    let copies = fleet.put_each(local, format!("{}/", there.display()), &CopyOptions::new());
    let copies = copies.expect("are begun").visits();
    copies.join().expect("all are copied");
    let expected = (0..count).map(|n| (n.to_string(), format!("for {n}")));
    assert_eq!(files(&there), expected.collect());
}

/// Goal: directories differ by host on both sides, whatever is in them; each local one is walked once.
#[test]
fn directories_differ_by_host_there_and_back() {
    let Some(sshd) = server(3) else { return };
    let (here, there) = sides(&sshd);
    plant(&here.join("one"), 20, 10_000);
    plant(&here.join("two"), 3, 10);
    let fleet = fleet_of(&sshd, sshd.targets(), 3);
    let local = Paths::each(["one", "two", "one"].map(|name| here.join(name)));
    let remote = Paths::each(["x/a", "y", "z"].map(|name| there.join(name)));
    let options = TreeOptions::new();
    let put = fleet.put_tree_each(local, remote.clone(), &options);
    let put = put.expect("are begun").visits();
    put.join().expect("all are copied");
    let back = Paths::by({
        let here = here.clone();
        move |listed| here.join(format!("back/{}", listed.index()))
    });
    let got = fleet.get_tree_each(remote, back, &options);
    got.expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    let plain = |root: PathBuf| -> Vec<_> {
        let found = snapshot(&root).into_iter();
        let files = found.filter(|(_, about)| about.0 == 'f');
        files.map(|(path, about)| (path, about.3)).collect()
    };
    for (n, name) in ["one", "two", "one"].iter().enumerate() {
        let back = plain(here.join(format!("back/{n}")));
        assert!(back == plain(here.join(name)), "host {n}");
    }
}
