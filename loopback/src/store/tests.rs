//! The tree of one host, and the budget that all share.

use super::*;

fn create() -> OpenFlags {
    OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE
}

fn put(tree: &Arc<Mutex<Tree>>, path: &str, bytes: &[u8]) -> Result<(), StatusCode> {
    let file = tree.lock().open(path, create(), &FileAttributes::empty())?;
    file.lock().write(Some(0), bytes)
}

fn get(tree: &Arc<Mutex<Tree>>, path: &str) -> Result<Vec<u8>, StatusCode> {
    let file = tree
        .lock()
        .open(path, OpenFlags::READ, &FileAttributes::empty())?;
    let bytes = file.lock().read(0, u32::MAX).to_vec();
    Ok(bytes)
}

fn names(tree: &Arc<Mutex<Tree>>, path: &str) -> Vec<String> {
    tree.lock()
        .list(path)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn hosts_do_not_see_each_others_files() {
    let store = Store::new(STORE_BYTES_MAX);
    put(&store.tree(1), "/tmp/a", b"one").unwrap();
    assert_eq!(get(&store.tree(1), "/tmp/a").unwrap(), b"one");
    assert_eq!(get(&store.tree(2), "/tmp/a"), Err(StatusCode::NoSuchFile));
}

#[test]
fn writes_anywhere_read_back_with_zeros_in_the_gaps() {
    let store = Store::new(STORE_BYTES_MAX);
    let tree = store.tree(0);
    let file = tree
        .lock()
        .open("/f", create(), &FileAttributes::empty())
        .unwrap();
    file.lock().write(Some(4), b"tail").unwrap();
    file.lock().write(Some(0), b"ab").unwrap();
    file.lock().write(None, b"!").unwrap();
    assert_eq!(get(&tree, "/f").unwrap(), b"ab\0\0tail!");
    assert_eq!(file.lock().read(6, 2), b"il");
    assert_eq!(file.lock().read(99, 2), b"");
}

#[test]
fn bounds_of_a_file_and_of_the_fleet_hold_and_are_given_back() {
    let store = Store::new(2000);
    let tree = store.tree(0);
    put(&tree, "/a", &[1; 1000]).unwrap();
    assert_eq!(put(&tree, "/b", &[1; 1000]), Err(StatusCode::Failure));
    tree.lock().remove("/a").unwrap();
    put(&tree, "/b", &[1; 1000]).unwrap();
    tree.lock().remove("/b").unwrap();
    assert_eq!(store.budget.used_bytes.load(Relaxed), 0);

    let big = Store::new(STORE_BYTES_MAX);
    let file = big
        .tree(0)
        .lock()
        .open("/f", create(), &FileAttributes::empty())
        .unwrap();
    assert_eq!(
        file.lock().write(Some(FILE_BYTES_MAX), b"x"),
        Err(StatusCode::Failure)
    );
    assert_eq!(
        file.lock().write(Some(u64::MAX), b"xy"),
        Err(StatusCode::Failure)
    );
    assert_eq!(file.lock().attrs().size, Some(0));
}

#[test]
fn an_open_file_outlives_its_name() {
    let store = Store::new(STORE_BYTES_MAX);
    let tree = store.tree(0);
    put(&tree, "/f", b"kept").unwrap();
    let file = tree
        .lock()
        .open("/f", OpenFlags::READ, &FileAttributes::empty())
        .unwrap();
    tree.lock().remove("/f").unwrap();
    assert_eq!(file.lock().read(0, 9), b"kept");
    drop(file);
    assert_eq!(store.budget.used_bytes.load(Relaxed), 0);
}

#[test]
fn rename_replaces_only_when_asked_and_moves_whole_directories() {
    let store = Store::new(STORE_BYTES_MAX);
    let tree = store.tree(0);
    put(&tree, "/tmp/new", b"new").unwrap();
    put(&tree, "/tmp/old", b"old").unwrap();
    let rename = |from, to, replace| tree.lock().rename(from, to, replace);
    assert_eq!(
        rename("/tmp/new", "/tmp/old", Replace::No),
        Err(StatusCode::Failure)
    );
    rename("/tmp/new", "/tmp/old", Replace::Yes).unwrap();
    assert_eq!(get(&tree, "/tmp/old").unwrap(), b"new");
    rename("/tmp", "/var", Replace::No).unwrap();
    assert_eq!(get(&tree, "/var/old").unwrap(), b"new");
    assert_eq!(
        rename("/var", "/var/in", Replace::No),
        Err(StatusCode::Failure)
    );
    assert_eq!(
        rename("/none", "/x", Replace::No),
        Err(StatusCode::NoSuchFile)
    );
    assert_eq!(names(&tree, "/"), ["home", "var"]);
}

#[test]
fn directories_list_their_own_names_and_go_only_when_empty() {
    let store = Store::new(STORE_BYTES_MAX);
    let tree = store.tree(0);
    let mkdir = |path| tree.lock().mkdir(path, &FileAttributes::empty());
    mkdir("/tmp/d").unwrap();
    assert_eq!(mkdir("/tmp/d"), Err(StatusCode::Failure));
    assert_eq!(mkdir("/no/d"), Err(StatusCode::NoSuchFile));
    put(&tree, "/tmp/d/f", b"x").unwrap();
    put(&tree, "/tmp/d.txt", b"x").unwrap();
    assert_eq!(names(&tree, "/tmp"), ["d", "d.txt"]);
    assert_eq!(names(&tree, "/tmp/d"), ["f"]);
    assert_eq!(tree.lock().rmdir("/tmp/d"), Err(StatusCode::Failure));
    assert_eq!(tree.lock().remove("/tmp/d"), Err(StatusCode::Failure));
    tree.lock().remove("/tmp/d/f").unwrap();
    tree.lock().rmdir("/tmp/d").unwrap();
    assert_eq!(tree.lock().rmdir("/"), Err(StatusCode::Failure));
}

#[test]
fn set_attrs_changes_permissions_times_and_size() {
    let store = Store::new(STORE_BYTES_MAX);
    let tree = store.tree(0);
    put(&tree, "/f", b"abcdef").unwrap();
    let wanted = FileAttributes {
        size: Some(3),
        permissions: Some(0o100_600),
        mtime: Some(77),
        ..FileAttributes::empty()
    };
    tree.lock().set_attrs("/f", &wanted).unwrap();
    let attrs = tree.lock().attrs("/f").unwrap();
    assert_eq!(
        (attrs.size, attrs.permissions, attrs.mtime),
        (Some(3), Some(0o100_600), Some(77))
    );
    assert_eq!(get(&tree, "/f").unwrap(), b"abc");
}
