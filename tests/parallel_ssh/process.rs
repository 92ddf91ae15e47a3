//! What using the library does to the rest of the process: nothing.

use std::fs;

use super::{fleet_of, server};

/// What the process may have changed for all of its code: signals, limits, folder, mask, environment.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    limits: String,
    folder: std::path::PathBuf,
    variables: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    mask: String,
    ignored: String,
    blocked: String,
}

fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").expect("reads our status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the status has it").trim().to_owned()
}

fn process() -> Process {
    Process {
        limits: fs::read_to_string("/proc/self/limits").expect("reads our limits"),
        folder: std::env::current_dir().expect("has a folder"),
        variables: std::env::vars_os().collect(),
        mask: status("Umask:"),
        ignored: status("SigIgn:"),
        blocked: status("SigBlk:"),
    }
}

/// Goal: a fleet that runs, feeds, fails and is closed changes nothing of its process but the
/// handlers of the two signals by which an overflow of a stack is told.
#[test]
fn a_fleet_changes_nothing_of_its_process() {
    const SEGV_AND_BUS: u64 = 1 << (11 - 1) | 1 << (7 - 1);
    // Those above are for real time, and two of them the C library's own for its threads.
    const STANDARD: u64 = (1 << 31) - 1;
    let Some(sshd) = server(3) else { return };
    let before = process();
    let fleet = fleet_of(&sshd, sshd.targets());
    let run = fleet.start("cat; exit 3").expect("starts");
    for host in run.hosts() {
        host.write_stdin(b"x").expect("is fed");
    }
    assert_eq!(run.into_report().expect("reads").outcomes().len(), 3);
    let each = fleet.each(|host| host.host().name().parse::<u32>().expect("is no number"));
    assert!(
        each.into_iter()
            .all(|visited| visited.into_result().is_err())
    );
    fleet.close();
    assert_eq!(process(), before);
    let caught = u64::from_str_radix(&status("SigCgt:"), 16).expect("is a number");
    assert_eq!(caught & STANDARD & !SEGV_AND_BUS, 0, "{caught:x}");
}
