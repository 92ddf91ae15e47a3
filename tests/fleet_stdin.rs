//! Input broadcast to a fleet, against OpenSSH's sshd: bytes, files and streams, hosts that read all, some or none.

mod support;

use std::{
    io::{self, Read, Write},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use sshoal::{
    Commands, Detail, End, EndedBy, Ending, Event, Fleet, FleetBuilder, Input, Kind, Launch,
    Outcome, Phase, Pty, RunError, RunSpec, Sudo,
};
use support::{
    fleet::EmbeddedFleet,
    sessions::{assert_failed, config_for, host, random_bytes},
    sshd::{Sshd, SshdBuilder, current_user},
};

support::fleet::embedded_fleet!();

const CAT: &str = "sha256sum";

fn quiet(hosts: u32) -> SshdBuilder {
    Sshd::builder().addresses(hosts).log_level("INFO")
}

/// All addresses of a server, with a deadline for what hangs.
fn fleet(sshd: &Sshd) -> FleetBuilder {
    let config = config_for(sshd).build().expect("a whole configuration");
    let hosts: Vec<_> = sshd.sockets().into_iter().map(host).collect();
    Fleet::builder(hosts, Arc::new(config)).deadline(Some(Duration::from_secs(100)))
}

fn size(size: usize) -> NonZeroUsize {
    NonZeroUsize::new(size).expect("above zero")
}

/// What `sha256sum` says of these bytes.
fn sum(bytes: &[u8]) -> String {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha256sum runs");
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(bytes).expect("takes it");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    String::from_utf8(output.stdout).expect("is text")
}

#[track_caller]
fn said(outcome: &Outcome) -> String {
    assert!(
        matches!(outcome.end(), End::Exited(0)),
        "{:?}",
        outcome.end()
    );
    outcome.stdout().text().expect("reads").to_string()
}

/// Bytes that are read once, and how many were.
struct Counted {
    left: io::Cursor<Vec<u8>>,
    read: Arc<AtomicUsize>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.left.read(buffer)?;
        self.read.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

fn counted(bytes: &[u8]) -> (Input, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let left = io::Cursor::new(bytes.to_vec());
    let reader = Counted {
        left,
        read: Arc::clone(&read),
    };
    (Input::reader(reader), read)
}

#[test]
fn every_host_gets_bytes_files_and_streams_whole() {
    let Some(sshd) = quiet(6).start() else { return };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let bytes = random_bytes(1_500_000, 5);
    let path = sshd.scratch().join("input");
    std::fs::write(&path, &bytes).expect("writes a file");
    let expected = sum(&bytes);
    let (stream, read) = counted(&bytes);
    for input in [
        Input::bytes(bytes.clone()),
        Input::file(path),
        stream.clone(),
    ] {
        let run = fleet.run(RunSpec::new(CAT).stdin(input)).expect("begins");
        for outcome in run {
            assert_eq!(said(&outcome), expected);
        }
    }
    assert_eq!(
        read.load(Ordering::Relaxed),
        bytes.len(),
        "read once for all"
    );
    let again = fleet
        .run(RunSpec::new(CAT).stdin(stream))
        .expect_err("it was read");
    assert!(matches!(again, RunError::InputTaken), "{again:?}");
    let empty = fleet
        .run(RunSpec::new("cat; echo end").stdin(""))
        .expect("begins");
    for outcome in empty {
        assert_eq!(said(&outcome), "end\n");
    }
}

/// More than memory holds, over a pool of two: most hosts begin when its beginning has left the memory.
#[test]
fn hosts_that_begin_later_get_it_from_the_beginning() {
    let Some(sshd) = quiet(6).start() else { return };
    let fleet = fleet(&sshd).pool_size(size(2)).build().expect("a fleet");
    let bytes = random_bytes(9_000_000, 6);
    let expected = sum(&bytes);
    let path = sshd.scratch().join("input");
    std::fs::write(&path, &bytes).expect("writes a file");
    let (stream, read) = counted(&bytes);
    for input in [stream, Input::file(path)] {
        // The first two end at different times, and the third of them takes none.
        let commands = Commands::each([CAT, CAT, "true; echo none", CAT, CAT, CAT]);
        let report = fleet
            .run(RunSpec::new(commands).stdin(input))
            .expect("begins")
            .report();
        for (index, outcome) in report.outcomes().iter().enumerate() {
            let expected = if index == 2 { "none\n" } else { &expected };
            assert_eq!(said(outcome), expected, "host {index}");
        }
    }
    assert_eq!(read.load(Ordering::Relaxed), bytes.len());
}

/// Under rekeying every megabyte, with output as large as the input.
#[test]
fn input_and_output_go_side_by_side_under_rekeying() {
    let Some(sshd) = quiet(4).config("RekeyLimit 1M").start() else {
        return;
    };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let bytes = random_bytes(6_000_000, 7);
    let (stream, _) = counted(&bytes);
    for outcome in fleet
        .run(RunSpec::new("cat").stdin(stream))
        .expect("begins")
    {
        assert!(
            matches!(outcome.end(), End::Exited(0)),
            "{:?}",
            outcome.end()
        );
        let mut printed = Vec::new();
        outcome
            .stdout()
            .reader()
            .read_to_end(&mut printed)
            .expect("reads");
        assert!(printed == bytes, "{} bytes", printed.len());
    }
}

/// Of an endless stream, one host takes a little, one nothing, one does not exist as a user, and the last one enough.
#[test]
fn hosts_that_ended_or_failed_are_not_waited_for() {
    let Some(sshd) = quiet(4).start() else { return };
    let config = config_for(&sshd).build().expect("a whole configuration");
    let mut hosts: Vec<_> = sshd.sockets().into_iter().map(host).collect();
    hosts[2] = hosts[2].clone().with_user("no-such-user").expect("a user");
    let fleet = Fleet::builder(hosts, Arc::new(config)).deadline(Some(Duration::from_secs(100)));
    let fleet = fleet.build().expect("a fleet");
    let commands = Commands::each([
        "head -c 10",
        "exec <&-; echo none",
        "true",
        "head -c 30000000 | wc -c",
    ]);
    let spec = RunSpec::new(commands).stdin(Input::reader(io::repeat(b'x')));
    let report = fleet.run(spec).expect("begins").report();
    let outcomes = report.outcomes();
    assert_eq!(said(&outcomes[0]), "xxxxxxxxxx");
    assert_eq!(said(&outcomes[1]), "none\n");
    assert!(matches!(outcomes[2].end(), End::Failed(error) if error.phase() == Phase::Auth));
    assert_eq!(said(&outcomes[3]), "30000000\n");
    // And the sessions are good for more.
    let report = fleet.run("echo more").expect("begins").report();
    assert_eq!(said(&report.outcomes()[0]), "more\n");
}

/// An endless stream that says when it has given so much, and whether it gave too much before it might.
struct Watched {
    /// Its first read waits for this.
    begin: Receiver<()>,
    given: usize,
    reached: Option<Sender<()>>,
    /// Set when there is no bound any more.
    open: Arc<AtomicBool>,
    /// The most that was given before.
    most: Arc<AtomicUsize>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == 0 {
            self.begin.recv().map_err(io::Error::other)?;
        }
        self.given += buffer.len();
        if !self.open.load(Ordering::Acquire) {
            self.most.store(self.given, Ordering::Release);
        }
        if self.given > MEMORY
            && let Some(reached) = self.reached.take()
        {
            reached.send(()).map_err(io::Error::other)?;
        }
        buffer.fill(b'x');
        Ok(buffer.len())
    }
}

/// What an input has in memory.
const MEMORY: usize = 4 * 1024 * 1024;
/// What sshd and the pipe behind it take of an input that nobody reads, and a piece of ours.
const TAKEN: usize = 2 * 1024 * 1024 + 64 * 1024 + 3 * 64 * 1024;

/// One host does not read until it may: of an endless stream no more is read than memory and that host's channel hold.
#[test]
fn the_slowest_host_holds_the_stream_up_within_a_bound() {
    let Some(sshd) = quiet(2).start() else { return };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let gate = sshd.scratch().join("gate");
    let slow = format!(
        "echo; until [ -e {} ]; do sleep 0.01; done; head -c 20000000 | wc -c",
        gate.display()
    );
    let commands = Commands::each(["echo; cat >/dev/null".to_owned(), slow]);
    let (begin, begun) = channel();
    let (reached, is_reached) = channel();
    let (open, most) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let stream = Watched {
        begin: begun,
        given: 0,
        reached: Some(reached),
        open: Arc::clone(&open),
        most: Arc::clone(&most),
    };
    let spec = RunSpec::new(commands).stdin(Input::reader(stream));
    let mut events = fleet
        .run(spec.detail(Detail::Output))
        .expect("begins")
        .events();
    // Both have begun.
    let printed = |event: &Event| matches!(event, Event::Output { .. });
    assert_eq!(events.by_ref().filter(printed).take(2).count(), 2);
    begin.send(()).expect("the stream waits for it");
    is_reached.recv().expect("memory is filled");
    // Time for what should not happen: the fast host alone could take all of it.
    let session = support::sessions::connect(&sshd);
    for _ in 0..20 {
        session.command("true").output().expect("runs");
    }
    open.store(true, Ordering::Release);
    let most = most.load(Ordering::Acquire);
    assert!(
        (MEMORY..MEMORY + TAKEN).contains(&most),
        "{most} bytes were read"
    );
    std::fs::write(&gate, "").expect("opens the gate");
    let handle = events.handle();
    let slow = events.find_map(|event| match event {
        Event::Finished(outcome) if outcome.index() == 1 => Some(outcome),
        _ => None,
    });
    assert_eq!(said(&slow.expect("it ends")).trim(), "20000000");
    handle.cancel();
}

#[test]
fn a_stream_that_cannot_be_read_ends_no_input() {
    let Some(sshd) = quiet(2).start() else { return };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let whole = sshd.scratch().join("whole");
    let bytes = io::Cursor::new(vec![b'x'; 100_000]);
    struct Fire(bool);
    impl Read for Fire {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0, "a made-up panic");
            Err(io::Error::other("the disk is on fire"))
        }
    }
    for (panics, text) in [(false, "the disk is on fire"), (true, "panicked")] {
        let input = Input::reader(bytes.clone().chain(Fire(panics)));
        let command = format!("cat >/dev/null && touch {}", whole.display());
        for outcome in fleet
            .run(RunSpec::new(command).stdin(input))
            .expect("begins")
        {
            let End::Failed(error) = outcome.end() else {
                panic!("{:?}", outcome.end())
            };
            let by = EndedBy::Kill;
            assert_eq!(outcome.ending().copied(), Some(Ending::Ended { by }));
            assert_failed(error, Phase::Run, Kind::Io);
            let source = std::error::Error::source(error)
                .expect("has a source")
                .to_string();
            assert!(source.contains(text), "{source}");
        }
    }
    // The end of a channel is an end of input to the command, so it was ended first.
    assert!(!whole.exists());
    let missing = fleet.run(RunSpec::new("true").stdin(Input::file("/no/such/file")));
    let error = missing.expect_err("is not there");
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[test]
fn time_limits_are_what_they_are_without_input() {
    let Some(sshd) = quiet(1).start() else { return };
    let limit = Duration::from_millis(300);
    let fleet = fleet(&sshd)
        .command_timeout(Some(limit))
        .build()
        .expect("a fleet");
    for input in [
        Input::bytes(vec![0; 9_000_000]),
        Input::reader(io::repeat(0)),
    ] {
        for outcome in fleet
            .run(RunSpec::new("sleep 1000").stdin(input))
            .expect("begins")
        {
            match outcome.end() {
                End::Failed(sshoal::Error::TimedOut { phase, limit: told }) => {
                    assert_eq!((*phase, *told), (Phase::Run, limit));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn input_comes_after_sudo_and_its_end_is_typed_on_a_terminal() {
    let Some(sshd) = quiet(3).start() else { return };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let bytes = random_bytes(300_000, 9);
    if current_user() == "root" {
        let launch = Launch::new().sudo(Sudo::to("nobody"));
        let spec = RunSpec::new(CAT).launch(launch).stdin(bytes.clone());
        let expected = sum(&bytes);
        for outcome in fleet.run(spec).expect("begins") {
            assert_eq!(said(&outcome), expected);
        }
    }
    let launch = Launch::new().pty(Pty::default().mode(53, 0));
    let spec = RunSpec::new("cat; echo end")
        .launch(launch.clone())
        .stdin("a line\n");
    for outcome in fleet.run(spec).expect("begins") {
        assert_eq!(said(&outcome), "a line\r\nend\r\n");
    }
    for outcome in fleet
        .run(RunSpec::new("cat; echo end").launch(launch))
        .expect("begins")
    {
        assert_eq!(said(&outcome), "end\r\n");
    }
}

/// Both of the command's streams end before it reads: what waits for its end does not keep it from being fed.
#[test]
fn a_command_that_prints_nothing_more_is_fed_to_the_end() {
    let Some(sshd) = quiet(2).start() else { return };
    let fleet = fleet(&sshd).build().expect("a fleet");
    let bytes = random_bytes(5_000_000, 10);
    let file = |n: usize| sshd.scratch().join(format!("sum{n}"));
    let command = |n: usize| format!("exec >{} 2>&1; sha256sum", file(n).display());
    let commands = Commands::each([command(0), command(1)]);
    let (stream, _) = counted(&bytes);
    for outcome in fleet
        .run(RunSpec::new(commands).stdin(stream))
        .expect("begins")
    {
        assert_eq!(said(&outcome), "");
        let text = std::fs::read_to_string(file(outcome.index())).expect("was written");
        assert_eq!(text, sum(&bytes));
    }
}

/// Many hosts, a small pool: the stream is read once, and each host's copy is whole.
#[test]
fn hundreds_of_hosts_are_fed_by_one_stream() {
    let hosts = 300;
    let embedded = EmbeddedFleet::start(hosts);
    let fleet = Fleet::builder(embedded.targets(), embedded.config());
    let fleet = fleet.pool_size(size(40)).build().expect("a fleet");
    let bytes = random_bytes(100_000, 12);
    let (stream, read) = counted(&bytes);
    let report = fleet
        .run(RunSpec::new("cat").stdin(stream))
        .expect("begins")
        .report();
    assert_eq!(report.outcomes().len(), hosts);
    for outcome in report.outcomes() {
        assert!(
            matches!(outcome.end(), End::Exited(0)),
            "{:?}",
            outcome.end()
        );
        let mut printed = Vec::new();
        outcome
            .stdout()
            .reader()
            .read_to_end(&mut printed)
            .expect("reads");
        assert!(printed == bytes, "{} bytes", printed.len());
    }
    assert_eq!(read.load(Ordering::Relaxed), bytes.len());
}
