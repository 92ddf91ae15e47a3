//! Hosts that misbehave while they carry connections for us: each tunnel ends, nothing waits for ever, nothing grows.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sshoal_hostile::messages::string;
use sshoal_hostile::server::{Cipher, Client, Server};
use sshoal_reactor::Scope;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Config, ConfigBuilder, Destination, Error, Host, HostKeyPolicy, HostKeys, Jump, Kind, Phase,
    Session, Tunnel,
};

/// Longer than anything here takes; only what hangs takes it.
const LIMIT: Duration = Duration::from_secs(60);

fn limit() -> Scope {
    Scope::root().child(Some(LIMIT))
}

fn config(server: &Server) -> ConfigBuilder {
    let mut known = KnownHosts::new();
    known.add_text(server.known_hosts().as_bytes(), "known_hosts");
    let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
    Config::builder(keys).user("anyone").keepalive(None)
}

fn host(server: &Server) -> Host {
    let address = server.address();
    let host = Host::new(address.ip().to_string()).unwrap();
    host.with_port(address.port()).unwrap()
}

#[track_caller]
fn connect(server: &Server) -> Session {
    Session::connect(&host(server), &config(server).build().unwrap()).unwrap()
}

fn tunnel(session: &Session) -> Result<Tunnel, Error> {
    let destination = Destination::Tcp("behind".into(), 22);
    session.tunnel(&destination, &limit())
}

/// A message to the client's first channel.
fn to_channel(message: u8, rest: &[u8]) -> Vec<u8> {
    [&[message, 0, 0, 0, 0][..], rest].concat()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    to_channel(94, &string(bytes))
}

const ADJUST: u8 = 93;
const EXTENDED: u8 = 95;
const EOF: u8 = 96;
const CLOSE: u8 = 97;

/// Waits for the opening of the client's first channel, and accepts it.
fn accept(client: &mut Client, window: u32) -> io::Result<()> {
    client.await_message(90)?;
    let numbers = [0, 0, window, 32_768].map(u32::to_be_bytes).concat();
    client.send(&[&[91][..], &numbers].concat())
}

/// Reads to the end; returns how much there was.
fn read_all(tunnel: &Tunnel) -> io::Result<usize> {
    let (mut buffer, mut read) = (vec![0; 10_000], 0);
    loop {
        match tunnel.read(&mut buffer, &limit())? {
            0 => return Ok(read),
            bytes => read += bytes,
        }
    }
}

/// Room that comes while a write is being tried, after it looked and before it waits, is used: there is nothing else
/// to come that would wake it. Short reads bring it at such moments.
#[test]
fn room_that_comes_at_any_moment_is_used() {
    const BYTES: usize = 5000;
    let server = Server::start(Cipher::Readable, |client| {
        client.accept_command(1)?;
        for _ in 0..BYTES {
            client.await_message(94)?;
            client.send(&to_channel(ADJUST, &1_u32.to_be_bytes()))?;
        }
        client.send(&to_channel(EOF, &[]))?;
        client.send(&to_channel(CLOSE, &[]))
    });
    for seed in 1..4 {
        let config = config(&server).inject_short_io(seed).build().unwrap();
        let session = Session::connect(&host(&server), &config).unwrap();
        let child = session.command("anything").spawn().unwrap();
        child.write_stdin(&[0; BYTES], &limit()).unwrap();
    }
}

/// A host asks, and never takes an answer: what is kept of them is bounded, also where output is read meanwhile.
#[test]
fn answers_that_a_host_does_not_take_end_at_the_bound() {
    let question = [&[80][..], &string(b"anything"), &[1]].concat();
    let x11 = [
        string(b"x11"),
        [0; 12].to_vec(),
        string(b"x"),
        [0; 4].to_vec(),
    ]
    .concat();
    let opening = [&[90][..], &x11].concat();
    for message in [question, opening] {
        let server = Server::start(Cipher::Readable, move |client| {
            client.accept_command(100_000)?;
            loop {
                let mut bytes = client.seal(&data(&[7; 1000]));
                for _ in 0..1000 {
                    bytes.extend(client.seal(&message));
                }
                client.send_bytes(&bytes)?;
            }
        });
        let session = connect(&server);
        let child = session.command("anything").spawn().unwrap();
        let mut buffer = vec![0; 10_000];
        let error = loop {
            match child.read(&mut buffer, &limit()) {
                Ok(read) => assert!(read.is_some()),
                Err(error) => break error,
            }
        };
        let told = (error.phase(), error.kind());
        assert_eq!(told, (Phase::Run, Kind::Limit), "{error:?}");
    }
}

/// The connection ends right behind the answer to an open: whoever got the tunnel is told, whichever of the two is
/// seen first.
#[test]
fn a_session_that_ends_right_behind_an_open_ends_the_tunnel() {
    let server = Server::start(Cipher::Readable, |client| {
        accept(client, 100_000)?;
        client.end()
    });
    for round in 0..200 {
        let session = connect(&server);
        let Ok(tunnel) = tunnel(&session) else {
            continue;
        };
        let within = Scope::root().child(Some(Duration::from_secs(20)));
        let read = tunnel.read(&mut [0], &within);
        let error = read.expect_err("the connection was lost");
        assert_ne!(error.kind(), io::ErrorKind::TimedOut, "{round}: {error:?}");
    }
}

/// A jump host that takes every user and leaves at each open costs a few sessions, and then an error, with no limit in
/// time to help.
#[test]
fn a_jump_host_that_leaves_at_each_open_is_not_tried_for_ever() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let counted = sessions.clone();
    let server = Server::start(Cipher::Readable, move |client| {
        counted.fetch_add(1, Ordering::Relaxed);
        client.await_message(90)?;
        client.end()
    });
    let builder = config(&server).connect_timeout(None);
    let jump = Jump::new(host(&server), Arc::new(builder.clone().build().unwrap()));
    let behind = builder.jump(Arc::new(jump)).build().unwrap();
    let error = Session::connect(&"behind".parse().unwrap(), &behind).expect_err("has no way");
    assert!(matches!(&error, Error::Jump { .. }), "{error:?}");
    let sessions = sessions.load(Ordering::Relaxed);
    assert!((1..=8).contains(&sessions), "{sessions} sessions");
}

/// What a host does with a tunnel that it has made, against the protocol or at its edge.
#[test]
fn a_tunnel_ends_whatever_the_host_does_with_it() {
    #[track_caller]
    fn check(name: &str, messages: Vec<Vec<u8>>, expected: impl Fn(io::Result<usize>) -> bool) {
        for cipher in [Cipher::Readable, Cipher::Hidden] {
            let messages = messages.clone();
            let server = Server::start(cipher, move |client| {
                accept(client, 100_000)?;
                messages.iter().try_for_each(|message| client.send(message))
            });
            let session = connect(&server);
            let tunnel = tunnel(&session).unwrap();
            let begun = Instant::now();
            let read = read_all(&tunnel);
            let told = format!(
                "{name} under {cipher:?}: {read:?} after {:?}",
                begun.elapsed()
            );
            assert!(begun.elapsed() < LIMIT / 2 && expected(read), "{told}");
            // Nobody takes it any more, and nobody waits for that.
            let _ = tunnel.write_all(&[0; 1000], &limit());
        }
    }
    let ends = || [to_channel(EOF, &[]), to_channel(CLOSE, &[])];
    let is = |bytes| move |read: io::Result<usize>| matches!(read, Ok(read) if read == bytes);
    check("an early close", vec![to_channel(CLOSE, &[])], is(0));
    check("ends", ends().to_vec(), is(0));
    let mut beyond = vec![data(&[1; 30_000]); 100];
    beyond.extend(ends());
    check("more than the window", beyond, |read| {
        read.is_ok_and(|read| (200_000..=3_000_000).contains(&read))
    });
    let mut late = ends().to_vec();
    late.insert(1, data(b"late"));
    check("data after the end", late, |read| {
        read.is_ok_and(|read| read <= 4)
    });
    let errors = [&1_u32.to_be_bytes()[..], &string(b"no tunnel has this")].concat();
    let mut other = vec![data(b"x"), to_channel(EXTENDED, &errors)];
    other.extend(ends());
    check("another stream", other, is(1));
    let room = to_channel(ADJUST, &u32::MAX.to_be_bytes());
    check("room beyond 4 GiB", vec![room.clone(), room], |read| {
        read.is_err()
    });
    let mut strays: Vec<_> = [91, 92, 99, 100]
        .map(|message| to_channel(message, &[0; 12]))
        .into();
    strays.push([&[94, 0, 0, 0, 9][..], &string(b"of no channel")].concat());
    strays.push(data(b"well"));
    strays.extend(ends());
    check("answers to nothing", strays, is(4));
}

/// An answer to an open that is for another channel is none: an error, and the next open finds none either.
#[test]
fn an_answer_for_another_channel_opens_nothing() {
    let server = Server::start(Cipher::Readable, |client| {
        client.await_message(90)?;
        let numbers = [77, 0, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
        client.send(&[&[91][..], &numbers].concat())
    });
    let session = connect(&server);
    let destination = Destination::Tcp("behind".into(), 22);
    for _ in 0..2 {
        let within = Scope::root().child(Some(Duration::from_millis(300)));
        let error = session.tunnel(&destination, &within).expect_err("not open");
        assert_eq!(error.phase(), Phase::Open, "{error:?}");
    }
}

/// Channels that the host opens unasked are refused, and the tunnel beside them goes on.
#[test]
fn channels_opened_unasked_leave_the_tunnel_as_it_is() {
    let server = Server::start(Cipher::Readable, |client| {
        accept(client, 100_000)?;
        let address = [&string(b"127.0.0.1")[..], &[0, 0, 0, 22]].concat();
        let numbers = [7, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
        for _ in 0..500 {
            for kind in [
                "forwarded-tcpip",
                "x11",
                "auth-agent@openssh.com",
                "session",
            ] {
                let kind = string(kind.as_bytes());
                client.send(&[&[90][..], &kind, &numbers, &address.repeat(2)].concat())?;
            }
        }
        for _ in 0..1500 {
            let refused = client.receive()?;
            assert_eq!(refused[0], 92, "{refused:?}");
        }
        client.send(&data(b"well"))?;
        client.send(&to_channel(EOF, &[]))
    });
    let session = connect(&server);
    assert_eq!(read_all(&tunnel(&session).unwrap()).unwrap(), 4);
}

/// A host that never closes what we have closed: its session is given up at the bound, as soon as the carrier sees it.
#[test]
fn channels_that_a_host_does_not_close_end_at_the_bound() {
    let server = Server::start(Cipher::Readable, |client| {
        loop {
            let open = client.await_message(90)?;
            let kind = u32::from_be_bytes(open[1..5].try_into().unwrap()) as usize;
            let sender = &open[5 + kind..9 + kind];
            let numbers = [0, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
            client.send(&[&[91][..], sender, &numbers].concat())?;
        }
    });
    let session = connect(&server);
    let opened = (0..3000).take_while(|_| tunnel(&session).is_ok()).count();
    assert!((1024..2500).contains(&opened), "{opened}");
    assert!(!session.is_open());
}
