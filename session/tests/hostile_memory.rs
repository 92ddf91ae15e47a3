//! What a host can make libssh2 hold in memory (law S1): bounded, whatever it sends, and never reached by a host that
//! keeps to its windows.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use sshoal_hostile::messages::{data, string, to_channel};
use sshoal_hostile::server::{Cipher, Client, Server};
use sshoal_reactor::{JoinHandle, Scope};
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Child, Compression, Config, Error, Host, HostKeyPolicy, HostKeys, Kind, OutputStream, Phase,
    Session,
};

/// Longer than anything here takes; only what hangs takes it.
const LIMIT: Duration = Duration::from_secs(240);
/// A command's window (law S11).
const WINDOW: usize = 256 * 1024;
/// What a session with one command may take at its bound: 41 MiB, what libssh2 goes on with, and
/// malloc's own share.
const MEMORY_KIB_MAX: u64 = 96 * 1024;

const EOF: u8 = 96;
const CLOSE: u8 = 97;
const REQUEST: u8 = 98;
const SUCCESS: u8 = 99;
const FAILURE: u8 = 100;
/// A number that no message has.
const UNKNOWN: u8 = 200;

/// One test at a time: the memory that is measured is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

fn limit() -> Scope {
    Scope::root().child(Some(LIMIT))
}

#[track_caller]
fn connect(server: &Server) -> Session {
    let mut known = KnownHosts::new();
    known.add_text(server.known_hosts().as_bytes(), "known_hosts");
    let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
    let config = Config::builder(keys)
        .user("anyone")
        .keepalive(None)
        .compression(Compression::Yes)
        .build()
        .unwrap();
    let address = server.address();
    let host = Host::new(address.ip().to_string()).unwrap();
    let host = host.with_port(address.port()).unwrap();
    Session::connect(&host, &config).unwrap()
}

#[track_caller]
fn assert_limit(error: &Error) {
    let told = (error.phase(), error.kind());
    assert_eq!(told, (Phase::Run, Kind::Limit), "{error:?}");
}

/// Ends a command's channel.
fn end(client: &mut Client, channel: u32) -> io::Result<()> {
    let status = [&string(b"exit-status")[..], &[0], &[0; 4]].concat();
    client.send(&to_channel(REQUEST, channel, &status))?;
    client.send(&to_channel(EOF, channel, &[]))?;
    client.send(&to_channel(CLOSE, channel, &[]))
}

/// Waits until the client has taken in everything that was sent before.
fn await_taken_in(client: &mut Client, channel: u32) -> io::Result<()> {
    let question = [&string(b"keepalive@openssh.com")[..], &[1]].concat();
    client.send(&to_channel(REQUEST, channel, &question))?;
    client.await_message(FAILURE).map(drop)
}

/// Reads to the end of the output; returns how much there was.
fn read_all(child: &Child) -> Result<usize, Error> {
    let mut buffer = vec![0; 10_000];
    let mut read = 0;
    while let Some((stream, bytes)) = child.read(&mut buffer, &limit())? {
        assert_eq!(stream, OutputStream::Stdout);
        read += bytes;
    }
    Ok(read)
}

/// Waits for output on standard error, of which there is none: what comes meanwhile is taken in.
fn wait_for_errors(child: &Arc<Child>) -> JoinHandle<Result<usize, Error>> {
    let child = child.clone();
    sshoal_reactor::spawn(move || child.read_stderr(&mut [0], &limit())).unwrap()
}

/// The resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Runs `f`; asserts how much the process grew meanwhile.
#[track_caller]
fn within_memory<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let before = resident_kib();
    let result = f();
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "{what}: {grown} KiB more");
    result
}

/// Two hundred bytes on the wire that libssh2 inflates into a block of 66 KB and keeps.
#[test]
fn packets_that_inflate_end_at_the_bound() {
    let _alone = alone();
    let server = Server::start_compressed(|client| {
        client.accept_command(100_000)?;
        loop {
            let packet = client.seal_inflatable(UNKNOWN, 150);
            assert!(packet.len() < 500);
            client.send_bytes(&packet)?;
        }
    });
    let session = connect(&server);
    let compression = session.algorithms().unwrap().compression_in;
    assert_eq!(compression, "zlib@openssh.com");
    let child = session.command("anything").spawn().unwrap();
    within_memory("inflated packets", || {
        let error = child.wait(&limit()).expect_err("a flood has no end");
        assert_limit(&error);
    });
}

/// Messages that carry next to nothing, and that libssh2 keeps for ever: their number is bounded, also where one byte
/// of output is read between tens of thousands of them.
#[test]
fn small_messages_between_bytes_of_output_end_at_the_bound() {
    let _alone = alone();
    let floods = [
        (Cipher::Readable, "an unknown message", vec![UNKNOWN]),
        (Cipher::Hidden, "an unknown message", vec![UNKNOWN]),
        (Cipher::Readable, "an answer to no question", vec![81]),
        (Cipher::Readable, "a success", to_channel(SUCCESS, 0, &[])),
        (Cipher::Readable, "empty data", data(0, b"")),
    ];
    for (cipher, name, message) in floods {
        let (sender, receiver) = mpsc::channel();
        let server = Server::start(cipher, move |client| {
            client.accept_command(100_000)?;
            let mut sent = 0;
            loop {
                let junk = std::iter::repeat_n(message.clone(), 20_000);
                let result = client.send_all(junk.chain([data(0, b"x")]));
                sender.send(sent).unwrap();
                result?;
                sent += 20_000;
            }
        });
        let session = connect(&server);
        let child = session.command("anything").spawn().unwrap();
        within_memory(name, || {
            let error = read_all(&child).expect_err("a flood has no end");
            assert_limit(&error);
        });
        drop((session, server));
        let sent = receiver.iter().last().unwrap();
        // What does not stay in memory ends by the time that it takes: on a slow machine earlier, on a fast one later.
        assert!((20_000..4_000_000).contains(&sent), "{name}: {sent}");
    }
}

/// A host that sends a byte a packet keeps to its window; whoever reads late gets all of it.
#[test]
fn a_window_full_of_single_bytes_waits_for_its_reader() {
    let _alone = alone();
    for cipher in [Cipher::Readable, Cipher::Hidden] {
        let (sender, receiver) = mpsc::channel();
        let server = Server::start(cipher, move |client| {
            client.accept_command(100_000)?;
            client.send_all((0..WINDOW).map(|_| data(0, b"x")))?;
            let taken_in = await_taken_in(client, 0);
            sender.send(taken_in.is_ok()).unwrap();
            end(client, 0)
        });
        let session = connect(&server);
        let child = Arc::new(session.command("anything").spawn().unwrap());
        within_memory("a window of single bytes", || {
            let other = wait_for_errors(&child);
            if !receiver.recv_timeout(LIMIT).unwrap() {
                panic!("{cipher:?}: {:?}", other.join());
            }
            assert_eq!(read_all(&child).unwrap(), WINDOW, "{cipher:?}");
            assert_eq!(other.join().unwrap().unwrap(), 0);
            assert!(child.wait(&limit()).unwrap().is_success());
        });
    }
}

/// Eight commands whose output nobody reads, and each fills its window, a quarter of it byte by byte.
#[test]
fn eight_commands_that_nobody_reads_are_read_later() {
    const COMMANDS: u32 = 8;
    let _alone = alone();
    let (sender, receiver) = mpsc::channel();
    let server = Server::start(Cipher::Readable, move |client| {
        for channel in 0..COMMANDS {
            client.await_message(90)?;
            let numbers = [channel, channel, 100_000, 32_768];
            client.send(&[&[91][..], &numbers.map(u32::to_be_bytes).concat()].concat())?;
            client.await_message(REQUEST)?;
            client.send(&to_channel(SUCCESS, channel, &[]))?;
        }
        for channel in 0..COMMANDS {
            let small = WINDOW / 4;
            client.send_all((0..small).map(|_| data(channel, b"x")))?;
            let large = (WINDOW - small) / 1024;
            client.send_all((0..large).map(|_| data(channel, &[b'y'; 1024])))?;
        }
        let taken_in = await_taken_in(client, 0);
        sender.send(taken_in.is_ok()).unwrap();
        (0..COMMANDS).try_for_each(|channel| end(client, channel))
    });
    let session = connect(&server);
    let commands = (0..COMMANDS).map(|_| session.command("anything").spawn().unwrap());
    let children: Vec<_> = commands.map(Arc::new).collect();
    let other = wait_for_errors(&children[0]);
    if !receiver.recv_timeout(LIMIT).unwrap() {
        panic!("{:?}", other.join());
    }
    for child in &children {
        assert_eq!(read_all(child).unwrap(), WINDOW);
    }
    assert_eq!(other.join().unwrap().unwrap(), 0);
}

/// A million bytes in as many packets, to a reader that takes one at a time: nothing of it adds up.
#[test]
fn a_million_single_bytes_are_read_one_by_one() {
    const BYTES: usize = 1_000_000;
    let _alone = alone();
    let server = Server::start(Cipher::Readable, |client| {
        client.accept_command(100_000)?;
        let (mut left, mut window) = (BYTES, WINDOW);
        while left > 0 {
            while window == 0 {
                let grant = client.await_message(93)?;
                window += u32::from_be_bytes(grant[5..9].try_into().unwrap()) as usize;
            }
            let bytes = window.min(left);
            client.send_all((0..bytes).map(|_| data(0, b"x")))?;
            (left, window) = (left - bytes, window - bytes);
        }
        end(client, 0)
    });
    let session = connect(&server);
    let child = session.command("anything").spawn().unwrap();
    let mut read = 0;
    within_memory("a million single bytes", || {
        while child.read(&mut [0], &limit()).unwrap().is_some() {
            read += 1;
        }
    });
    assert_eq!(read, BYTES);
}

/// libssh2 keeps the answers to global questions for ever; a session that asked a hundred thousand times goes on.
#[test]
fn answers_of_a_long_life_do_not_end_a_session() {
    let _alone = alone();
    let server = Server::start(Cipher::Readable, |client| {
        client.accept_command(100_000)?;
        client.send_all((0..100_000).map(|_| vec![82]))?;
        client.send(&data(0, b"still here"))?;
        end(client, 0)
    });
    let session = connect(&server);
    let output = session
        .command("anything")
        .scope(&limit())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"still here");
}

/// What a host may send is a matter of the window, whatever room a reader has.
#[test]
fn a_large_buffer_does_not_widen_the_window() {
    let _alone = alone();
    let (sender, receiver) = mpsc::channel();
    let server = Server::start(Cipher::Readable, move |client| {
        client.accept_command(100_000)?;
        // Everything that the client has granted so far stands before its answer.
        let question = [&string(b"keepalive@openssh.com")[..], &[1]].concat();
        client.send(&data(0, b"x"))?;
        client.send(&to_channel(REQUEST, 0, &question))?;
        let mut window = WINDOW - 1;
        loop {
            let message = client.receive()?;
            match message[0] {
                93 => window += u32::from_be_bytes(message[5..9].try_into().unwrap()) as usize,
                FAILURE => break,
                _ => {}
            }
        }
        sender.send(window).unwrap();
        end(client, 0)
    });
    let session = connect(&server);
    let child = session.command("anything").spawn().unwrap();
    let mut buffer = vec![0; 64 << 20];
    while child.read(&mut buffer, &limit()).unwrap().is_some() {}
    let window = receiver.recv_timeout(LIMIT).unwrap();
    assert!((WINDOW / 2..=2 * WINDOW).contains(&window), "{window}");
}
