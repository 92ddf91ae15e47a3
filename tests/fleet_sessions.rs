//! Sessions over time, against OpenSSH: opened ahead, shared, kept, replaced when they died, closed.

mod support;

use std::sync::Arc;
use std::time::Duration;

use sshoal::{End, Fleet, FleetBuilder, Host, Kind, Phase, RunSpec};
use support::sessions::{LIMIT, config_for, host};
use support::sshd::Sshd;

/// Hosts of a fleet, each listed once; all are one server under addresses of its own.
const HOSTS: u32 = 5;

/// A server that logs what each connection does.
fn server() -> Option<Sshd> {
    Sshd::builder().addresses(HOSTS).start()
}

fn hosts(sshd: &Sshd) -> Vec<Host> {
    sshd.sockets().into_iter().map(host).collect()
}

fn fleet(sshd: &Sshd) -> FleetBuilder {
    let config = config_for(sshd).build().expect("a whole configuration");
    Fleet::builder(hosts(sshd), Arc::new(config)).connect_timeout(Some(LIMIT))
}

/// Sessions that the server has let in so far.
fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

#[test]
fn sessions_opened_ahead_serve_all_rounds() {
    let Some(sshd) = server() else { return };
    let fleet = fleet(&sshd).build().expect("a sound fleet");
    for reached in fleet.connect() {
        reached.into_result().expect("connects");
    }
    for round in 0..10 {
        let report = fleet.run(format!("echo {round}")).expect("runs").report();
        assert!(report.is_success());
        for outcome in report.outcomes() {
            assert_eq!(outcome.stdout().text().unwrap(), format!("{round}\n"));
        }
    }
    assert_eq!(logins(&sshd), HOSTS as usize);
}

/// Six runs at once over hosts that nothing is open to: one connection per host carries them all,
/// side by side, each with its own output.
#[test]
fn first_operations_at_once_open_one_connection_per_host() {
    let Some(sshd) = server() else { return };
    let fleet = Arc::new(fleet(&sshd).build().expect("a sound fleet"));
    let threads: Vec<_> = (0..6)
        .map(|n| {
            let fleet = fleet.clone();
            std::thread::spawn(move || {
                let report = fleet.run(format!("cat /proc/version; echo {n}"));
                let report = report.expect("runs").report();
                assert!(report.is_success());
                for outcome in report.outcomes() {
                    let text = outcome.stdout().text().unwrap();
                    assert!(text.ends_with(&format!("\n{n}\n")), "{text}");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(logins(&sshd), HOSTS as usize);
}

/// A command that another run starts beside one that hangs is not held up by it, and a command that
/// is given up does not take the session from the others.
#[test]
fn a_command_that_is_given_up_leaves_its_neighbours_alone() {
    let Some(sshd) = server() else { return };
    let fleet = fleet(&sshd).build().expect("a sound fleet");
    let hangs = fleet.run("sleep 1000").expect("runs");
    while hangs.handle().progress().running < HOSTS as usize {
        std::thread::yield_now();
    }
    let beside = fleet
        .run("read line; echo $line; sleep 1000")
        .expect("runs");
    while beside.handle().progress().running < HOSTS as usize {
        std::thread::yield_now();
    }
    assert!(fleet.run("true").expect("runs").report().is_success());
    beside.cancel();
    let ends = beside.report();
    assert_eq!(ends.counts().cancelled, HOSTS as usize);
    let handle = hangs.handle();
    assert_eq!(handle.progress().running, HOSTS as usize, "they go on");
    drop(hangs);
    assert!(fleet.run("true").expect("runs").report().is_success());
}

/// Commands that have not started get a fresh session; one that had is reported as lost.
#[test]
fn dead_sessions_are_replaced_for_commands_that_have_not_started() {
    let Some(sshd) = server() else { return };
    let fleet = fleet(&sshd).build().expect("a sound fleet");
    assert!(fleet.run("true").expect("runs").report().is_success());
    // The command's parent is the server's process for the session. Its line comes once the server
    // has answered that it started the command; without, the command is at times first.
    let command = RunSpec::new("read line; kill -9 $PPID").stdin("go\n");
    let report = fleet.run(command).expect("runs").report();
    for outcome in report.outcomes() {
        let End::Failed(error) = outcome.end() else {
            panic!("{}", outcome.end());
        };
        assert!(
            matches!(error.kind(), Kind::Closed | Kind::Reset),
            "{error:?}"
        );
        assert_eq!((error.phase(), outcome.attempts()), (Phase::Run, 1));
    }
    assert!(fleet.run("true").expect("runs").report().is_success());
    assert_eq!(logins(&sshd), 2 * HOSTS as usize);
    // And sessions that die while nobody looks.
    let report = fleet.run("echo $PPID").expect("runs").report();
    for outcome in report.outcomes() {
        let pid = outcome.stdout().text().unwrap();
        assert!(signal("-9", pid.trim()));
        while std::path::Path::new(&format!("/proc/{}/exe", pid.trim())).exists() {
            std::thread::yield_now();
        }
    }
    let report = fleet.run("true").expect("runs").report();
    assert!(report.is_success());
    assert_eq!(logins(&sshd), 3 * HOSTS as usize);
}

#[test]
fn idle_sessions_end_after_their_time_and_are_made_again() {
    let Some(sshd) = server() else { return };
    let after = Some(Duration::from_millis(50));
    let fleet = fleet(&sshd).idle_close(after).build().expect("sound");
    for round in 1..=2 {
        assert!(fleet.run("true").expect("runs").report().is_success());
        sshd.wait_for_ends(round * HOSTS as usize, LIMIT);
        assert_eq!(logins(&sshd), round * HOSTS as usize);
    }
    let farewells = sshd.log().matches("Received disconnect from").count();
    assert_eq!(farewells, 2 * HOSTS as usize, "in order");
}

#[test]
fn hosts_that_stay_keep_their_sessions() {
    let Some(sshd) = server() else { return };
    let mut fleet = fleet(&sshd).build().expect("a sound fleet");
    assert!(fleet.run("true").expect("runs").report().is_success());
    let mut hosts = hosts(&sshd);
    let gone = hosts.remove(1);
    hosts.reverse();
    hosts.push(gone.clone());
    hosts.push(gone);
    fleet.replace_hosts(hosts).expect("replaces");
    let report = fleet.run("true").expect("runs").report();
    assert_eq!(report.outcomes().len(), 6);
    assert!(report.is_success());
    // The second of the duplicate has a connection of its own.
    assert_eq!(logins(&sshd), HOSTS as usize + 1);
}

/// The server's processes are stopped: they take nothing and answer nothing, and a fleet is dropped
/// all the same; an explicit close ends within its bounded time.
#[test]
fn a_drop_does_not_wait_for_hosts() {
    let Some(sshd) = server() else { return };
    let fleets = [fleet(&sshd), fleet(&sshd)].map(|fleet| fleet.build().expect("sound"));
    let mut stopped = Vec::new();
    for fleet in &fleets {
        let report = fleet.run("echo $PPID").expect("runs").report();
        assert!(report.is_success());
        for outcome in report.outcomes() {
            let pid = outcome.stdout().text().unwrap().trim().to_owned();
            assert!(signal("-STOP", &pid));
            stopped.push(pid);
        }
    }
    let [dropped, closed] = fleets;
    drop(dropped);
    closed.close();
    for pid in stopped {
        assert!(signal("-CONT", &pid), "it was there to the end");
    }
}

fn signal(signal: &str, pid: &str) -> bool {
    let kill = std::process::Command::new("kill")
        .args([signal, pid])
        .status();
    kill.expect("kill runs").success()
}
