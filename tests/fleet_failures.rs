//! Failures of commands and of hosts, apart and counted, against real OpenSSH servers.

mod support;

use std::{
    error::Error as _,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
};

use sshoal::{
    Args, Commands, End, Failing, Fleet, Host, Kind, Phase, RunError, RunSpec, StopAfter,
    StopCause, Template,
};
use support::{client, faults::Refused, sshd::Sshd};

fn fleet(sshd: &Sshd, hosts: Vec<Host>) -> Fleet {
    let config = sshd.config().build().expect("is a configuration");
    Fleet::builder(hosts, config.into())
        .build()
        .expect("has hosts")
}

/// With `ssh`, both exit with 255.
#[test]
fn a_refused_port_is_not_an_exit_status_of_255() {
    let Some(sshd) = Sshd::start() else { return };
    let refused = Refused::on(IpAddr::from(Ipv4Addr::new(127, 2, 78, 1)));
    let hosts = vec![client::host(refused.address()), client::host(sshd.socket())];
    let report = fleet(&sshd, hosts).run("exit 255").unwrap().report();

    assert!(matches!(report[1].end(), End::Exited(255)));
    let none = (None, None, false);
    let words = |end: &End| (end.phase(), end.kind(), end.is_not_started());
    assert_eq!(words(report[1].end()), none);
    let unreached = (Some(Phase::Connect), Some(Kind::Refused), true);
    assert_eq!(words(report[0].end()), unreached);
    assert_eq!(report[0].command(), None, "it was never asked to run it");

    let (outcome, error) = report.first_error().unwrap();
    assert_eq!((outcome.index(), error.kind()), (0, Kind::Refused));
    let failed = report.require_started().unwrap_err();
    assert_eq!(failed.outcomes().len(), 1);
    assert!(failed.source().is_some());
    let failed = failed.into_report().require_success().unwrap_err();
    assert_eq!(failed.outcomes().len(), 2);
}

/// One host after the other: the second exits with 255, the third refuses. Where only hosts count
/// that were not reached, the run goes on to the third.
#[test]
fn a_run_stops_at_what_is_chosen_to_count_as_a_failure() {
    let Some(sshd) = Sshd::builder().addresses(4).start() else {
        return;
    };
    let refused = Refused::on(IpAddr::from(Ipv4Addr::new(127, 2, 78, 2)));
    let mut hosts = sshd.targets();
    hosts[2] = client::host(refused.address());
    let config = sshd.config().build().unwrap();
    let fleet = Fleet::builder(hosts, config.into()).pool_size(NonZeroUsize::MIN);
    let fleet = fleet.build().unwrap();
    let commands = Commands::each(["true", "exit 255", "true", "true"]);
    let begun = |stop_after| {
        let spec = RunSpec::new(commands.clone()).stop_after(stop_after);
        let report = fleet.run(spec).unwrap().report();
        assert_eq!(report.stopped_by(), Some(StopCause::Failures));
        let begun = report.outcomes().iter().filter(|o| o.attempts() > 0);
        let kinds = report.outcomes().iter().map(|o| o.end().kind());
        let not_run = kinds.filter(|kind| *kind == Some(Kind::NotRun)).count();
        let begun = begun.count();
        assert_eq!(begun + not_run, 4);
        begun
    };
    assert_eq!(begun(StopAfter::first()), 2);
    assert_eq!(begun(StopAfter::first().counting(Failing::NotStarted)), 3);
    assert_eq!(begun(StopAfter::failures(NonZeroUsize::new(2).unwrap())), 3);
}

/// The same host thrice: each entry has its own command and outcome, and the name finds all.
#[test]
fn duplicates_have_commands_and_outcomes_of_their_own() {
    let Some(sshd) = Sshd::start() else { return };
    let fleet = fleet(&sshd, vec![client::host(sshd.socket()); 3]);
    let commands = Commands::by(|listed| format!("echo {}", listed.index()));
    let report = fleet.run(commands).unwrap().report();
    let name = sshd.address().to_string();
    let said = |outcome: &sshoal::Outcome| outcome.stdout().text().unwrap();
    let all: Vec<String> = report.by_name(&name).map(said).collect();
    assert_eq!(all, ["0\n", "1\n", "2\n"]);
    assert_eq!(said(report.get(2).unwrap()), "2\n");
    let mut ended: Vec<usize> = report.in_completion_order().map(|o| o.index()).collect();
    ended.sort_unstable();
    assert_eq!(ended, [0, 1, 2]);
}

/// Values with all that a shell reads as something else, in three places of a template; the bytes
/// that the host was asked to run are in the outcome.
#[test]
fn arguments_reach_the_command_as_they_are_through_sshd() {
    let Some(sshd) = Sshd::builder().addresses(2).start() else {
        return;
    };
    let values: [&[u8]; 2] = [b"it's \"$HOME\" `id` \\ \n; exit 3 \xff \xc3", b"-n * ~ #"];
    let fleet = fleet(&sshd, sshd.targets());
    let template = Template::new("printf '%s|' {0} \"<{0}>\" '{0}' {n} {total} {port} {{}}");
    let template = template.args(values.map(|value| Args::new().arg(value)));
    let report = fleet.run(template).unwrap().report();
    for (outcome, value) in report.outcomes().iter().zip(values) {
        let (index, port) = (outcome.index(), sshd.port());
        let rest = format!("|{index}|2|{port}|{{}}|").into_bytes();
        let expected = [value, b"|<", value, b">|", value, &rest].concat();
        assert_eq!(outcome.stdout().bytes().unwrap(), expected, "{outcome:?}");
        let asked = outcome.command().unwrap();
        assert!(
            asked.starts_with(b"printf '%s|' '"),
            "{}",
            asked.escape_ascii()
        );
    }
}

/// Nothing reaches the server, not a connection even: parallel-ssh begins hosts before it counts.
#[test]
fn arguments_for_too_few_or_too_many_hosts_connect_to_none() {
    let Some(sshd) = Sshd::builder().addresses(3).start() else {
        return;
    };
    let fleet = fleet(&sshd, sshd.targets());
    let begun = sshd.log_mark();
    for count in [2, 4] {
        let args = (0..count).map(|n| format!("value{n}"));
        let refused = fleet.run(Template::new("touch {0}").args(args));
        assert!(matches!(
            refused,
            Err(RunError::ArgumentCount { arguments, hosts: 3 }) if arguments == count
        ));
        let refused = fleet.run(Commands::each(vec!["true"; count]));
        assert!(matches!(refused, Err(RunError::CommandCount { .. })));
    }
    let missing = Template::new("touch {0} {name}").args(["a", "b", "c"]);
    let error = fleet.run(missing).unwrap_err();
    assert_eq!(error.to_string(), "{name} of host 0, counted from 0");
    // A run that is no fault shows that the log tells of connections.
    assert!(fleet.run("true").unwrap().report().is_success());
    let log = sshd.log()[begun..].to_owned();
    assert_eq!(log.matches("Connection from ").count(), 3, "{log}");
}
