//! What a host can do to a session once it was let in: bounds, order of ends, and what it may not ask for.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sshoal_hostile::attacks::FLOODS;
use sshoal_hostile::ends::{ENDS, Told};
use sshoal_hostile::messages::{self, string};
use sshoal_hostile::server::{Cipher, Client, Manner, Server, Stage};
use sshoal_reactor::Scope;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Config, Error, Exit, Host, HostKeyPolicy, HostKeys, Kind, Output, OutputStream, Phase, Session,
    Timings,
};

/// Longer than anything here takes; only what hangs takes it.
const LIMIT: Duration = Duration::from_secs(60);

fn limit() -> Scope {
    Scope::root().child(Some(LIMIT))
}

const CIPHERS: [Cipher; 2] = [Cipher::Readable, Cipher::Hidden];

#[track_caller]
fn connect(server: &Server) -> Session {
    try_connect(server).unwrap()
}

fn try_connect(server: &Server) -> Result<Session, Error> {
    let mut known = KnownHosts::new();
    known.add_text(server.known_hosts().as_bytes(), "known_hosts");
    let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
    let config = Config::builder(keys)
        .user("anyone")
        .keepalive(None)
        .build()
        .unwrap();
    let address = server.address();
    let host = Host::new(address.ip().to_string()).unwrap();
    let host = host.with_port(address.port()).unwrap();
    Session::connect_in(&host, &config, &limit(), &mut Timings::default())
}

/// Runs a command on a server with this script, under each sort of cipher.
#[track_caller]
fn under_each_cipher(
    script: impl Fn(&mut Client) -> std::io::Result<()> + Clone + Send + Sync + 'static,
    check: impl Fn(Cipher, Result<Output, Error>),
) {
    for cipher in CIPHERS {
        // Else what other tests' floods have made would hold it up.
        sshoal_session::measured::save_work(Duration::MAX);
        let server = Server::start(cipher, script.clone());
        let session = connect(&server);
        assert_eq!(session.algorithms().unwrap().cipher_in, cipher.names()[0]);
        let output = session.command("anything").scope(&limit()).output();
        check(cipher, output);
    }
}

#[track_caller]
fn assert_failed(error: &Error, phase: Phase, kind: Kind) {
    assert_eq!((error.phase(), error.kind()), (phase, kind), "{error:?}");
}

fn data(bytes: &[u8]) -> Vec<u8> {
    messages::data(0, bytes)
}

fn exit_status(status: u32) -> Vec<u8> {
    messages::exit_status(0, status)
}

const EOF: &[u8] = &[96, 0, 0, 0, 0];
const CLOSE: &[u8] = &[97, 0, 0, 0, 0];

/// Everything, and the end of the stream right behind it, in one write: what came before the end counts.
#[test]
fn the_end_of_the_stream_right_behind_the_last_data_loses_nothing() {
    let script = |client: &mut Client| {
        client.accept_command(100_000)?;
        let mut bytes = Vec::new();
        for number in 0..100_u8 {
            bytes.extend(client.seal(&data(&[number; 2000])));
        }
        for message in [&exit_status(9), EOF, CLOSE] {
            bytes.extend(client.seal(message));
        }
        client.send_bytes(&bytes)?;
        client.end()
    };
    let expected: Vec<u8> = (0..100_u8).flat_map(|number| [number; 2000]).collect();
    under_each_cipher(script, |cipher, output| {
        let output = output.unwrap();
        assert!(
            output.stdout == expected,
            "{cipher:?}: {} bytes",
            output.stdout.len()
        );
        assert_eq!(output.exit, Exit::Status(9));
    });
}

/// The stream ends in the middle of the output: all that came whole is read, then the loss is told.
#[test]
fn output_before_the_end_of_the_stream_is_read_in_small_pieces() {
    let script = |client: &mut Client| {
        client.accept_command(100_000)?;
        let mut bytes = Vec::new();
        for number in 0..60_u8 {
            bytes.extend(client.seal(&data(&[number; 1000])));
        }
        let half = client.seal(&data(&[99; 1000]));
        bytes.extend(&half[..500]);
        client.send_bytes(&bytes)?;
        client.end()
    };
    for cipher in CIPHERS {
        let server = Server::start(cipher, script);
        let session = connect(&server);
        let child = session.command("anything").spawn().unwrap();
        let (mut read, mut buffer) = (0, [0; 77]);
        let error = loop {
            match child.read(&mut buffer, &limit()) {
                Ok(Some((OutputStream::Stdout, bytes))) => read += bytes,
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(read, 60_000, "{cipher:?}");
        assert_failed(&error, Phase::Run, Kind::Closed);
    }
}

/// The order and number of what ends a channel is the host's to choose; whatever was told is told on.
#[test]
fn ends_in_any_order_are_understood() {
    for (end, cipher) in ENDS
        .iter()
        .flat_map(|end| CIPHERS.map(|cipher| (end, cipher)))
    {
        let server = end.start(Manner::new(cipher));
        let session = connect(&server);
        let output = session.command("anything").scope(&limit()).output();
        let about = format!("{:?} under {cipher:?}: {output:?}", end.words());
        let Ok(output) = output else {
            assert_eq!(end.told(), Told::Lost, "{about}");
            assert_failed(&output.unwrap_err(), Phase::Run, Kind::Closed);
            continue;
        };
        match (&output.exit, end.told()) {
            (Exit::Status(status), Told::Status(told)) => assert_eq!(*status, told, "{about}"),
            (Exit::Signal { name, .. }, Told::Signal(told)) => assert_eq!(name, told, "{about}"),
            (Exit::None, Told::Nothing) => {}
            _ => panic!("{about}"),
        }
        let [stdout, stderr] = end.output().map(str::as_bytes);
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (stdout, stderr),
            "{about}"
        );
    }
}

/// Each flood, at the stage where it begins: the session ends by itself, in bounded memory, with an error that names the
/// stage. `SSHOAL_FLOODS=full` has them under ciphers that hide lengths as well, where small packets cost more.
#[test]
fn floods_that_nobody_asked_for_end_at_the_bound() {
    let full = std::env::var_os("SSHOAL_FLOODS").is_some_and(|floods| floods == "full");
    let ciphers = if full { &CIPHERS[..] } else { &CIPHERS[..1] };
    let each = FLOODS
        .iter()
        .flat_map(|flood| ciphers.iter().map(move |cipher| (flood, *cipher)));
    for (flood, cipher) in each {
        let server = flood.start(Manner::new(cipher));
        // Else what the floods before it have made would hold it up.
        sshoal_session::measured::save_work(Duration::MAX);
        let (before, begun) = (resident_kib(), Instant::now());
        // Nobody reads, but somebody waits.
        let waited = try_connect(&server).and_then(|session| {
            let child = session.command("anything").scope(&limit()).spawn()?;
            child.wait(&limit())
        });
        let error = waited.expect_err("a flood has no end");
        let (grown, took) = (resident_kib().saturating_sub(before), begun.elapsed());
        let about = format!(
            "{} under {cipher:?} after {took:?}, {grown} KiB: {error:?}",
            flood.name()
        );
        println!("{about}");
        let expected: &[Phase] = match flood.stage() {
            Stage::Connected => &[Phase::Banner, Phase::Kex],
            Stage::Greeted => &[Phase::Kex],
            Stage::Keyed => &[Phase::Kex, Phase::Auth],
            Stage::Authenticating => &[Phase::Auth],
            _ => &[Phase::Open, Phase::Run],
        };
        assert!(expected.contains(&error.phase()), "{about}");
        assert!(
            matches!(error.kind(), Kind::Limit | Kind::Protocol),
            "{about}"
        );
        assert!(grown < 48 * 1024, "{about}");
        assert!(took < LIMIT / 2, "{about}");
    }
}

/// The host begins a key exchange and goes on to send what it may not, in pieces that end anywhere: an error and no
/// more, whichever the client's state.
#[test]
fn noise_within_a_later_key_exchange_is_an_error_and_no_more() {
    for piece in [1, 7, 100, 1000, 4000, 20_000] {
        let script = move |client: &mut Client| {
            client.accept_command(100_000)?;
            let offer = client.offer(client_names(client));
            client.send(&offer)?;
            let noise = [&[2][..], &string(&[5; 3000])].concat();
            let mut bytes = Vec::new();
            for _ in 0..200 {
                bytes.extend(client.seal(&noise));
            }
            bytes
                .chunks(piece)
                .try_for_each(|piece| client.send_bytes(piece))?;
            loop {
                client.send(&noise)?;
            }
        };
        under_each_cipher(script, |cipher, output| {
            let error = output.expect_err("a flood has no end");
            assert_eq!(error.phase(), Phase::Run, "{piece} {cipher:?}: {error:?}");
            assert_ne!(error.kind(), Kind::Timeout, "{piece} {cipher:?}: {error:?}");
        });
    }
}

fn client_names(client: &Client) -> [&'static str; 2] {
    client.cipher().names()
}

/// Keys are changed twenty times in the middle of the output, and nothing is lost.
#[test]
fn key_exchanges_in_the_middle_of_the_output_lose_nothing() {
    let script = |client: &mut Client| {
        client.accept_command(1_000_000)?;
        for number in 0..20_u8 {
            client.send(&data(&[number; 5000]))?;
            let offer = client.offer(client_names(client));
            client.send(&offer)?;
            client.exchange_keys(&offer)?;
        }
        [&exit_status(0), EOF, CLOSE]
            .iter()
            .try_for_each(|message| client.send(message))
    };
    let expected: Vec<u8> = (0..20_u8).flat_map(|number| [number; 5000]).collect();
    under_each_cipher(script, |cipher, output| {
        let output = output.unwrap();
        assert!(output.stdout == expected, "{cipher:?}");
        assert!(output.exit.is_success());
    });
}

/// A later key exchange may not change the cipher, which would change where packets end (law S3): the client offers
/// what is in use and nothing else.
#[test]
fn a_later_key_exchange_cannot_change_the_cipher() {
    let (sender, receiver) = mpsc::channel();
    let script = move |client: &mut Client| {
        client.accept_command(100_000)?;
        let other = match client.cipher() == Cipher::Readable {
            true => ["aes256-ctr", "hmac-sha2-512-etm@openssh.com"],
            false => ["aes256-gcm@openssh.com", "hmac-sha2-256"],
        };
        client.send(&client.offer(other))?;
        let theirs = client.await_message(20)?;
        sender.send(names(&theirs)).unwrap();
        client.end()
    };
    under_each_cipher(script, |cipher, output| {
        let error = output.expect_err("nothing in common");
        assert_failed(&error, Phase::Run, Kind::Closed);
        let offered = receiver.recv_timeout(LIMIT).unwrap();
        let [name, mac] = cipher.names();
        assert_eq!(offered[2..4], [name, name]);
        if cipher == Cipher::Hidden {
            assert_eq!(offered[4..6], [mac, mac]);
        }
    });
}

/// The lists of a KEXINIT, in its order.
fn names(message: &[u8]) -> Vec<String> {
    let mut rest = &message[17..];
    let mut names = Vec::new();
    for _ in 0..10 {
        let (length, after) = rest.split_first_chunk().unwrap();
        let (name, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        names.push(String::from_utf8(name.to_vec()).unwrap());
        rest = after;
    }
    names
}

/// Channels that only a client may ask for: none is opened, and the command goes on. libssh2 refuses those it knows
/// and passes over the others.
#[test]
fn channels_that_a_host_opens_are_not_opened() {
    let (sender, receiver) = mpsc::channel();
    let script = move |client: &mut Client| {
        client.accept_command(100_000)?;
        let address = [&string(b"127.0.0.1")[..], &[0, 0, 0, 22]].concat();
        for (kind, rest) in [
            ("auth-agent@openssh.com", vec![]),
            ("x11", address.clone()),
            ("forwarded-tcpip", address.repeat(2)),
            ("session", vec![]),
            ("unheard-of", vec![]),
        ] {
            let numbers = [7, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
            client.send(&[&[90][..], &string(kind.as_bytes()), &numbers, &rest].concat())?;
        }
        // The answer to this comes after all others.
        client.send(&[&[80][..], &string(b"keepalive@openssh.com"), &[1]].concat())?;
        let mut answers = Vec::new();
        loop {
            match client.receive()?[0] {
                81 | 82 => break,
                answer => answers.push(answer),
            }
        }
        sender.send(answers).unwrap();
        [&exit_status(0), EOF, CLOSE]
            .iter()
            .try_for_each(|message| client.send(message))
    };
    under_each_cipher(script, |_, output| {
        assert!(output.unwrap().exit.is_success());
        let answers = receiver.recv_timeout(LIMIT).unwrap();
        assert!(!answers.contains(&91), "{answers:?}");
        assert!(answers.contains(&92), "{answers:?}");
    });
}

/// A server may refuse a command; the next one is none the worse.
#[test]
fn a_refused_command_is_denied_and_the_session_goes_on() {
    let server = Server::start(Cipher::Readable, |client| {
        client.await_message(90)?;
        let numbers = [0, 0, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
        client.send(&[&[91][..], &numbers].concat())?;
        client.await_message(98)?;
        client.send(&[100, 0, 0, 0, 0])?;
        client.await_message(97)?;
        client.send(CLOSE)?;
        client.await_message(90)?;
        // The client's second channel has the number 1.
        let numbers = [1, 0, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
        client.send(&[&[91][..], &numbers].concat())?;
        client.await_message(98)?;
        for message in [99, 96, 97] {
            client.send(&[message, 0, 0, 0, 1])?;
        }
        Ok(())
    });
    let session = connect(&server);
    let error = session
        .command("first")
        .scope(&limit())
        .output()
        .expect_err("is refused");
    assert_failed(&error, Phase::Open, Kind::Denied);
    let second = session.command("second").scope(&limit()).output().unwrap();
    assert_eq!(second.exit, Exit::None);
}

/// A farewell in the middle of a command is a connection that the host closed.
#[test]
fn a_farewell_is_the_end_of_the_connection() {
    let script = |client: &mut Client| {
        client.accept_command(100_000)?;
        client.send(&data(b"so far"))?;
        let text = [string(b"maintenance"), string(b"")].concat();
        client.send(&[&[1, 0, 0, 0, 11][..], &text].concat())?;
        client.end()
    };
    under_each_cipher(script, |_, output| {
        let error = output.expect_err("the host left");
        assert_failed(&error, Phase::Run, Kind::Closed);
    });
}

/// A packet that is not of whole blocks: an error, and the process goes on.
#[test]
fn an_uneven_packet_is_an_error_and_no_more() {
    let script = |client: &mut Client| {
        client.accept_command(100_000)?;
        client.send_uneven(&data(b"uneven"))?;
        client.end()
    };
    under_each_cipher(script, |cipher, output| {
        if let Err(error) = output {
            assert_eq!(error.phase(), Phase::Run, "{cipher:?}: {error:?}");
            assert_ne!(error.kind(), Kind::Timeout, "{cipher:?}: {error:?}");
        }
    });
}

/// Random bytes in place of packets: an error and no more.
#[test]
fn garbage_in_place_of_packets_is_an_error_and_no_more() {
    for seed in 1..60_u64 {
        let script = move |client: &mut Client| {
            client.accept_command(100_000)?;
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut garbage = Vec::new();
            // A length that can be read and believed, now and then.
            garbage.extend((state as u32 % 40_000).to_be_bytes());
            for _ in 0..5000 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                garbage.extend(state.to_le_bytes());
            }
            client.send_bytes(&garbage)?;
            client.end()
        };
        under_each_cipher(script, |cipher, output| {
            let error = output.expect_err("is garbage");
            assert_eq!(error.phase(), Phase::Run, "{seed} {cipher:?}: {error:?}");
            assert_ne!(error.kind(), Kind::Timeout, "{seed} {cipher:?}: {error:?}");
        });
    }
}

/// The resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
