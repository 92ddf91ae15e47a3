//! Commands on all hosts: how they begin, how they end, and what one failure leaves of the others.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use sshoal::{Commands, End, Error, HostLogger, Kind, Launch, Phase, Pty, RunSpec, Shell, Started};

use super::{LONG, fleet_of, read, server};
use crate::support::{
    client::host,
    faults::Refused,
    sleepers::{clean_up, mark, sleeping},
    sshd::Sshd,
};

/// A server with a host between its two that refuses, and a run on all three that waits for a line.
fn one_refuses(octet: u8) -> Option<(Sshd, Refused, Started)> {
    let sshd = server(2)?;
    let refused = Refused::on(IpAddr::from(Ipv4Addr::new(127, 2, 79, octet)));
    let mut hosts = sshd.targets();
    hosts.insert(1, host(refused.address()));
    let run = fleet_of(&sshd, hosts).start("read -r line; echo \"<$line>\"");
    let run = run.expect("starts");
    let there = run.accepted(LONG);
    assert_eq!(
        (there.accepted, there.failed, there.waiting),
        (vec![0, 2], vec![1], vec![])
    );
    Some((sshd, refused, run))
}

/// Goal: who wants an error gets the first one once all hosts were tried, and the others run on to
/// their ends with all of their output. Method: commands that wait for a line that comes later.
#[test]
fn the_first_failure_is_told_once_all_were_tried_and_the_others_run_on() {
    let Some((_sshd, _refused, run)) = one_refuses(1) else {
        return;
    };
    let first = run.hosts().iter().find_map(|host| host.error());
    let first = first.expect("one has failed");
    assert_eq!(
        (first.phase(), first.kind()),
        (Phase::Connect, Kind::Refused)
    );
    for index in [0, 2] {
        assert!(!run.host(index).is_finished(), "it runs on");
        run.host(index).write_stdin(b"on\n").expect("is fed");
    }
    let failed = run.into_report().expect("reads").require_started();
    let failed = failed.expect_err("one has failed");
    assert_eq!(failed.outcomes().len(), 1);
    assert_eq!(failed.first().index(), 1);
    let said = |index: usize| failed.report()[index].stdout().text().expect("reads");
    assert_eq!([said(0), said(1), said(2)], ["<on>\n", "", "<on>\n"]);
}

/// Goal: nothing about a host that failed is missing, so that one loop serves for all hosts.
#[test]
fn a_host_that_failed_is_read_and_asked_like_any_other() {
    let Some((_sshd, _refused, run)) = one_refuses(2) else {
        return;
    };
    for host in run.hosts() {
        let is_failed = host.index() == 1;
        assert_eq!(host.write_stdin(b"on\n").is_err(), is_failed);
        assert_eq!(host.stdout().lines().count(), usize::from(!is_failed));
        assert_eq!(host.stderr().lines().count(), 0);
        assert_eq!(host.exit().is_none(), is_failed);
        assert!(host.is_finished());
        assert!(host.command().starts_with(b"read"), "it was to run it");
    }
    assert!(run.wait(LONG).is_complete());
    let report = run.into_report().expect("reads");
    assert!(report[1].stdout().is_empty() && report[1].stderr().is_empty());
    assert_eq!(report[1].command(), None, "it was not asked to run it");
}

/// Goal: one host's loss hides nobody's end from a wait. Method: the server's process for the second
/// of three hosts is killed under its command.
#[test]
fn a_wait_tells_every_hosts_end_though_one_was_lost() {
    let Some(sshd) = server(3) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let commands = [
        "echo a; exit 3",
        "echo b; kill -9 $PPID; read -r l",
        "echo c",
    ];
    let run = fleet.start(Commands::each(commands)).expect("starts");
    assert!(run.wait(LONG).is_complete());
    let end = |index: usize| run.host(index).end().expect("has ended");
    assert!(matches!(end(0), End::Exited(3)), "{:?}", end(0));
    let lost = matches!(end(1), End::Failed(Error::Disconnected { .. }));
    assert!(lost, "{:?}", end(1));
    assert!(matches!(end(2), End::Exited(0)), "{:?}", end(2));
    // A process that is killed at once may take its last words along.
    assert!(b"b\n".starts_with(&read(run.host(1))[..]));
    assert_eq!(read(run.host(0)), b"a\n");
    assert_eq!(read(run.host(2)), b"c\n");
}

/// Goal: a wait that takes the output is the host logger, in parallel-ssh's format, and leaves
/// nothing to read.
#[test]
fn a_wait_that_takes_the_output_feeds_the_host_logger() {
    let Some(sshd) = server(3) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let command = "echo out 1; printf 'err\\n' >&2; printf 'out 2'";
    let run = fleet.start(command).expect("starts");
    let mut log = Vec::new();
    let mut logger = HostLogger::new(&mut log);
    let waited = run.wait_with(LONG, |host, stream, bytes| {
        let logged = logger.output(host.host(), stream, bytes);
        logged.expect("writes to memory");
    });
    assert!(waited.expect("reads").is_complete());
    for host in run.hosts() {
        logger.end(host.host()).expect("writes to memory");
        assert_eq!(read(host), b"", "it was taken");
    }
    drop(logger);
    let log = String::from_utf8(log).expect("is text");
    let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
    let of = |host: &sshoal::Host| {
        ["out 1", "[err]\terr", "out 2"].map(|line| format!("[{}]\t{line}", host.name()))
    };
    let mut expected: Vec<_> = fleet.hosts().iter().flat_map(of).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}

/// Goal: a run is its hosts' as they were: those that are replaced are read, fed and waited for to
/// their ends.
#[test]
fn hosts_that_were_replaced_are_still_fed_and_read() {
    let Some(sshd) = server(3) else { return };
    let mut fleet = fleet_of(&sshd, sshd.targets());
    let run = fleet.start("read -r line; echo \"<$line>\"");
    let run = run.expect("starts");
    assert!(run.accepted(LONG).is_complete());
    let none = fleet.replace_hosts(Vec::new());
    assert!(none.is_err() && fleet.hosts().len() == 3, "{none:?}");
    fleet.replace_hosts(&sshd.targets()[..1]).expect("replaces");
    assert!(fleet.run("true").expect("starts").report().is_success());
    for host in run.hosts() {
        host.write_stdin(b"on\n").expect("is fed");
        assert_eq!(read(host), b"<on>\n");
    }
    assert_eq!(run.into_report().expect("reads").outcomes().len(), 3);
}

/// Goal: replaced hosts come with configurations of their own, as many as there are hosts; else the
/// fleet is as it was. Method: a user that the server does not have.
#[test]
fn hosts_are_replaced_with_their_configurations_or_not_at_all() {
    let Some(sshd) = server(2) else { return };
    let mut fleet = fleet_of(&sshd, sshd.targets());
    assert!(fleet.run("true").expect("starts").report().is_success());
    let of = |config: sshoal::ConfigBuilder| Arc::new(config.build().expect("is whole"));
    let usual = of(sshd.config());
    let stranger = of(sshd.config().user("nobody-of-this-name"));
    let short = fleet.replace_hosts_with(sshd.targets(), [usual.clone()]);
    assert!(short.is_err(), "one for two");
    assert!(fleet.run("true").expect("starts").report().is_success());
    let replaced = fleet.replace_hosts_with(sshd.targets(), [usual, stranger]);
    replaced.expect("one for each");
    let report = fleet.run("true").expect("starts").report();
    assert!(report[0].is_success());
    let end = report[1].end();
    assert_eq!(
        (end.phase(), end.kind()),
        (Some(Phase::Auth), Some(Kind::Denied))
    );
}

/// Goal: without a launch, a command's bytes are what the host is asked to run: nothing is a
/// placeholder in it, and no encoding is imposed on it.
#[test]
fn a_plain_command_is_run_byte_for_byte() {
    let Some(sshd) = server(2) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let command = b"printf '%s|' '%s {0} %% {}' \"it's\" 'gr\xfcn'".to_vec();
    let report = fleet.run(command.clone()).expect("starts").report();
    for outcome in report.outcomes() {
        assert_eq!(outcome.command(), Some(&command[..]));
        let stdout = outcome.stdout().bytes().expect("reads");
        assert_eq!(&stdout[..], b"%s {0} %% {}|it's|gr\xfcn|");
    }
}

/// Goal: quotes, spaces and newlines of a command come through a chosen shell, where parallel-ssh's
/// `echo 'a   b'` prints `a`; and the outcome has the very bytes.
#[test]
fn quotes_and_spaces_come_through_a_chosen_shell() {
    let Some(sshd) = server(1) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let command = "echo 'a   b' \"it's \\\"$((1 + 1))\\\"\" `echo x` '\\' '\n' $0";
    let launch = Launch::new().shell(Shell::parse("bash -c"));
    let spec = RunSpec::new(command).launch(launch.clone());
    let report = fleet.run(spec).expect("starts").report();
    let stdout = report[0].stdout().text().expect("reads");
    assert_eq!(stdout, "a   b it's \"2\" x \\ \n bash\n");
    let wrapped = launch.wrap(command.as_bytes()).expect("can be wrapped");
    assert_eq!(report[0].command(), Some(&wrapped[..]));
}

/// Goal: giving a host up ends its command where that has a terminal, and leaves it where it has
/// none. Method: the processes are looked for, and the one that is left is ended by the test.
#[test]
fn giving_up_ends_what_has_a_terminal_and_leaves_what_has_none() {
    let Some(sshd) = server(1) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let [with, without] = [mark(), mark()];
    let terminal = Launch::new().pty(Pty::default());
    let plain = RunSpec::new(format!("echo $$; exec sleep {without}"));
    let on_terminal = RunSpec::new(format!("echo $$; exec sleep {with}")).launch(terminal);
    for (spec, ends) in [(plain, false), (on_terminal, true)] {
        let run = fleet.start(spec).expect("starts");
        let line = run.host(0).stdout().idle_timeout(LONG).lines().next();
        let line = line.expect("a line").expect("is read");
        let pid = String::from_utf8(line.into_bytes()).expect("is text");
        run.host(0).close();
        let outcome = run.host(0).wait(LONG).expect("has ended");
        assert!(matches!(outcome.end(), End::Cancelled { .. }));
        if ends {
            // One that nobody has waited for yet has no command line.
            let gone =
                format!("while grep -q . /proc/{pid}/cmdline 2>/dev/null; do sleep 0.02; done");
            assert!(fleet.run(gone).expect("starts").report().is_success());
        }
    }
    assert_eq!((sleeping(&with), sleeping(&without)), (0, 1));
    clean_up(&without);
}
