//! What OpenSSH's sftp client gets from the hosts' files.

mod support;

use std::process::Output;

use support::{ChildFleet, feed, noise};

fn sftp(fleet: &ChildFleet, host: usize, batch: &str) -> Output {
    let mut command = fleet.client("sftp");
    command
        .arg("-i")
        .arg(fleet.file("user_ed25519"))
        .args(["-b", "-"]);
    command.arg(format!("x@{}", sshoal_loopback::address(host)));
    feed(command, batch.as_bytes())
}

#[test]
fn a_file_put_and_got_is_the_same_byte_for_byte() {
    let fleet = ChildFleet::start(&["--hosts", "2"]);
    let (source, target) = (fleet.file("source"), fleet.file("target"));
    let content = noise(5_000_001);
    std::fs::write(&source, &content).unwrap();
    let (from, to) = (source.display(), target.display());
    let out = sftp(&fleet, 1, &format!("put {from} /tmp/f\nget /tmp/f {to}\n"));
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(std::fs::read(&target).unwrap() == content);
    assert!(
        !sftp(&fleet, 0, &format!("get /tmp/f {to}\n"))
            .status
            .success()
    );
}

#[test]
fn directories_names_and_modes_work_from_a_real_client() {
    let fleet = ChildFleet::start(&["--hosts", "1"]);
    let source = fleet.file("source");
    std::fs::write(&source, "content").unwrap();
    let batch = format!(
        "mkdir d\nput {0} d/one\nput {0} d/two\nrename d/one d/two\nchmod 600 d/two\nls -l d\n\
         rm d/two\nrmdir d\npwd\nls\n",
        source.display()
    );
    let out = sftp(&fleet, 0, &batch);
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let listed: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with('-'))
        .collect();
    assert_eq!(listed.len(), 1, "{stdout}");
    assert!(
        listed[0].starts_with("-rw-------") && listed[0].ends_with("two"),
        "{stdout}"
    );
    assert!(
        stdout.contains("Remote working directory: /home"),
        "{stdout}"
    );
}

#[test]
fn a_file_over_the_bound_fails_without_ending_the_session() {
    let fleet = ChildFleet::start(&["--hosts", "1"]);
    let source = fleet.file("source");
    std::fs::File::create(&source)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let out = sftp(&fleet, 0, &format!("-put {} big\npwd\n", source.display()));
    assert!(String::from_utf8_lossy(&out.stderr).contains("Failure"));
    assert!(String::from_utf8_lossy(&out.stdout).contains("Remote working directory"));
}
