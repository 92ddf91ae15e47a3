//! What a directory of very many files takes in memory, walked once for all hosts, put and got.

mod support;

use std::fs;

use sshoal::transfer::{self, LocalTree, TreeOptions};
use support::{
    files::{bytes_of, sides},
    sessions::connect,
    sshd::Sshd,
    usage::resident_kib,
};

/// Empty files: 100,000 in full, with `SSHOAL_TREES=full`.
fn files() -> usize {
    match std::env::var_os("SSHOAL_TREES") {
        Some(_) => 100_000,
        None => 1_500,
    }
}

/// The walk holds a bounded number of bytes for each entry, and a copy either way a bounded number more.
#[test]
fn each_entry_takes_few_bytes() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let from = here.join("from");
    for number in 0..files() {
        let dir = from.join(format!("directory {}", number / 1_000));
        if number % 1_000 == 0 {
            fs::create_dir_all(&dir).expect("makes a directory");
        }
        fs::write(dir.join(format!("a file of number {number}")), "").expect("writes");
    }
    let options = TreeOptions::new();
    let before = resident_kib();
    let tree = LocalTree::walk(&from, &options).expect("walks");
    let walked = resident_kib();
    let scope = sshoal::Scope::root();
    let report = transfer::put_tree(&session, &tree, bytes_of(&there), &options, &scope);
    assert!(report.is_success(), "{report:?}");
    assert_eq!(report.files, files() as u64);
    let put = resident_kib();
    let back = here.join("back");
    let report = transfer::get_tree(&session, bytes_of(&there), &back, &options, &scope);
    assert!(report.is_success(), "{report:?}");
    assert_eq!(report.files, files() as u64);
    let got = resident_kib();
    let each = |kib: u64| kib * 1024 / files() as u64;
    println!(
        "{} entries: the walk holds {} bytes of each; {walked} KiB walked, {put} KiB put, {got} KiB got",
        tree.entries(),
        each(walked.saturating_sub(before)),
    );
    // Beside what is the same for any number of files: stacks, buffers, the channel.
    let bound = 40_960 + files() as u64;
    let more = got.saturating_sub(before);
    assert!(more < bound, "{more} KiB");
}
