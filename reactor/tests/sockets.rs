//! Streams under the reactor: one registration, many waiters, nothing lost (laws R1 to R4).
//!
//! The whole file runs in both forms of the reactor's loop.
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use sshoal_reactor::{Hook, Interest, Scope, Stream, spawn, yield_now};
use support::{Numbers, alone, pair, pass_with_the_thread_form, stream, watchdog};

#[test]
fn r3_both_forms_pass_the_same_tests() {
    pass_with_the_thread_form("r3_both_forms_pass_the_same_tests");
}

/// What the process's epoll descriptors show as registered in edge mode for both directions and the
/// peer's end: the reactor's sources, and not what the scheduler and the poller keep for themselves.
fn registrations() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        let info = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let of_epoll = info
            .lines()
            .filter(|line| line.contains("events: 8000201f"));
        lines.extend(of_epoll.map(ToString::to_string));
    }
    lines
}

/// A descriptor is in one epoll set, in edge mode, and stays there untouched through a thousand
/// waits; it is out of it once the stream is gone.
#[test]
fn r1_a_descriptor_is_registered_once_for_its_life() {
    alone("r1_a_descriptor_is_registered_once_for_its_life", || {
        let guard = watchdog();
        spawn(|| ()).unwrap().join().unwrap();
        let before = registrations();
        let (here, there) = pair();
        let with = registrations();
        let added: Vec<_> = with.difference(&before).collect();
        assert_eq!(added.len(), 2, "{added:?}");
        let echo = spawn(move || {
            for _ in 0..1000 {
                let mut byte = [0];
                there.read(&mut byte, &Scope::root()).unwrap();
                there.write_all(&byte, &Scope::root()).unwrap();
            }
            there
        })
        .unwrap();
        for _ in 0..1000 {
            here.write_all(&[1], &guard).unwrap();
            assert_eq!(here.read(&mut [0; 8], &guard).unwrap(), 1);
        }
        let there = echo.join().unwrap();
        assert_eq!(registrations(), with);
        drop((here, there));
        assert_eq!(registrations(), before);
    });
}

/// Streams close with events in flight while others take their descriptor numbers: a new stream
/// is readable only once its own bytes came, and reads only those.
#[test]
fn r2_a_new_stream_gets_no_event_of_an_old_one() {
    let _guard = watchdog();
    let tasks = (0..8_u8).map(|task| {
        spawn(move || {
            let scope = watchdog();
            for round in 0..400_u16 {
                let (old, mut far) = {
                    let (near, far) = UnixStream::pair().unwrap();
                    (stream(near), far)
                };
                far.write_all(&[0xee; 64]).unwrap();
                drop((old, far));
                let (near, mut far) = UnixStream::pair().unwrap();
                let new = stream(near);
                new.wait(Interest::WRITE, &scope).unwrap();
                assert!(
                    !new.readiness().meets(Interest::READ),
                    "an event of another"
                );
                let tag = [task, round.to_le_bytes()[0], round.to_le_bytes()[1]];
                far.write_all(&tag).unwrap();
                let mut got = [0; 8];
                assert_eq!(new.read(&mut got, &scope).unwrap(), 3);
                assert_eq!(got[..3], tag);
            }
        })
        .unwrap()
    });
    tasks
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|task| task.join().unwrap());
}

/// Green and plain threads read one stream at the same time, each its share: a reader that waits
/// beside one that takes only a part is not forgotten, although no further event comes.
#[test]
fn r4_readers_of_one_stream_all_get_their_share() {
    const READERS: usize = 6;
    const SHARE: usize = 500;
    let guard = watchdog();
    for round in 0..60 {
        let (near, far) = pair();
        let read = |near: Arc<Stream>, guard: Scope, seed: u64| {
            move || {
                let mut numbers = Numbers::from(seed);
                let mut left = SHARE;
                while left > 0 {
                    let most = (1 + numbers.below(7)).min(left);
                    left -= near
                        .read(&mut [0; 8][..most], &guard)
                        .expect("a reader hangs");
                }
            }
        };
        let seeds = (0..READERS as u64).map(|reader| round * 10 + reader);
        let (green, plain): (Vec<_>, Vec<_>) = seeds.partition(|seed| seed % 2 == 0);
        let green = green
            .into_iter()
            .map(|seed| read(near.clone(), guard.clone(), seed));
        let green: Vec<_> = green.map(|reader| spawn(reader).unwrap()).collect();
        let plain = plain
            .into_iter()
            .map(|seed| read(near.clone(), guard.clone(), seed));
        let plain: Vec<_> = plain.map(std::thread::spawn).collect();
        far.write_all(&[7; READERS * SHARE], &guard).unwrap();
        green.into_iter().for_each(|reader| reader.join().unwrap());
        plain.into_iter().for_each(|reader| reader.join().unwrap());
    }
}

/// One way of the echo: writes in random pieces, and reads the same bytes back.
fn echo(near: &Arc<Stream>, far: &Arc<Stream>, seed: u64, scope: &Scope) {
    let sent = Numbers::from(seed).bytes(6000);
    let (writer, bytes, scope_of_writer) = (near.clone(), sent.clone(), scope.clone());
    let writer = spawn(move || {
        let (mut numbers, mut rest) = (Numbers::from(seed + 1), &bytes[..]);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + numbers.below(900)).min(rest.len()));
            writer.write_all(piece, &scope_of_writer).unwrap();
            rest = after;
        }
    });
    let (far, scope_of_echo) = (far.clone(), scope.clone());
    let back = spawn(move || {
        let mut buffer = [0; 700];
        let mut left = 6000;
        while left > 0 {
            let count = far.read(&mut buffer, &scope_of_echo).unwrap();
            far.write_all(&buffer[..count], &scope_of_echo).unwrap();
            left -= count;
        }
    });
    let mut got = Vec::new();
    let mut buffer = [0; 300];
    while got.len() < sent.len() {
        let count = near.read(&mut buffer, scope).unwrap();
        got.extend_from_slice(&buffer[..count]);
    }
    assert!(got == sent, "bytes changed on their way");
    writer.unwrap().join().unwrap();
    back.unwrap().join().unwrap();
}

/// A thousand socket pairs echo byte for byte, most from green threads, some from plain ones.
#[test]
fn r4_a_thousand_pairs_echo_every_byte() {
    let guard = watchdog();
    let run = |seed: u64| {
        let guard = guard.clone();
        move || {
            let (near, far) = pair();
            echo(&near, &far, seed, &guard);
        }
    };
    let green: Vec<_> = (0..984).map(|seed| spawn(run(seed)).unwrap()).collect();
    let plain: Vec<_> = (984..1000)
        .map(|seed| std::thread::spawn(run(seed)))
        .collect();
    green.into_iter().for_each(|task| task.join().unwrap());
    plain.into_iter().for_each(|task| task.join().unwrap());
}

/// The last bytes and the end of the stream come in one event; a short read must not hide it.
#[test]
fn r4_an_end_that_comes_with_the_last_bytes_is_seen() {
    let guard = watchdog();
    for _ in 0..500 {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = stream(near);
        far.write_all(b"last").unwrap();
        drop(far);
        let mut buffer = [0; 64];
        assert_eq!(near.read(&mut buffer, &guard).unwrap(), 4);
        assert_eq!(near.read(&mut buffer, &guard).unwrap(), 0);
    }
}

/// Goal: over TCP, where a read that comes short spares the next one, no end is missed. Method: the
/// peer's last bytes and its end come at all distances from each other, while the reader reads.
#[test]
fn r4_an_end_behind_a_short_read_over_tcp_is_seen() {
    const ROUNDS: usize = 300;
    let guard = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        for round in 0..ROUNDS {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"la").unwrap();
            (0..round % 97 * 40).for_each(|_| std::hint::spin_loop());
            socket.write_all(b"st").unwrap();
            (0..round % 89 * 40).for_each(|_| std::hint::spin_loop());
        }
    });
    let client = spawn(move || {
        for _ in 0..ROUNDS {
            let stream = Stream::connect(address, &guard).unwrap();
            let (mut got, mut buffer) = (0, [0; 64]);
            loop {
                match stream.read(&mut buffer, &guard).unwrap() {
                    0 => break,
                    count => got += count,
                }
            }
            assert_eq!(got, 4);
        }
    });
    client.unwrap().join().unwrap();
    server.join().unwrap();
}

/// The green form alone is told of the end with the bytes, so in the other each read is tried.
#[cfg(target_os = "linux")]
#[test]
fn r4_a_read_that_comes_short_over_tcp_spares_the_next() {
    let guard = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut spared = 0;
    for _ in 0..100 {
        let near = Stream::connect(address, &guard).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(b"four").unwrap();
        assert_eq!(near.read(&mut [0; 64], &guard).unwrap(), 4);
        spared += usize::from(!near.readiness().meets(Interest::READ));
        far.write_all(b"more").unwrap();
        assert_eq!(near.read(&mut [0; 4], &guard).unwrap(), 4);
        assert!(near.readiness().meets(Interest::READ), "it came whole");
        drop(far);
        assert_eq!(near.read(&mut [0; 4], &guard).unwrap(), 0);
    }
    assert_eq!(spared > 0, std::env::var_os(support::FORM).is_none());
}

#[test]
fn a_shutdown_wakes_all_who_wait() {
    let guard = watchdog();
    let (near, _far) = pair();
    let waits: Vec<_> = (0..20)
        .map(|_| {
            let (near, scope) = (near.clone(), guard.clone());
            spawn(move || near.read(&mut [0; 8], &scope).unwrap()).unwrap()
        })
        .collect();
    near.shutdown();
    waits
        .into_iter()
        .for_each(|wait| assert_eq!(wait.join().unwrap(), 0));
}

#[test]
fn connects_over_tcp_and_says_why_it_cannot() {
    let guard = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = [0; 5];
        socket.read_exact(&mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
    });
    let client = spawn(move || {
        let stream = Stream::connect(address, &guard).unwrap();
        stream.write_all(b"hello", &guard).unwrap();
        let (mut got, mut buffer) = (Vec::new(), [0; 2]);
        loop {
            match stream.read(&mut buffer, &guard).unwrap() {
                0 => return got,
                count => got.extend_from_slice(&buffer[..count]),
            }
        }
    });
    assert_eq!(client.unwrap().join().unwrap(), b"hello");
    server.join().unwrap();
    // A socket that has the address and does not listen: nobody answers there.
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&silent, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&silent).unwrap()).unwrap();
    let refused = Stream::connect(address, &watchdog()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// The hook hears of each event before the waiters do.
#[test]
fn a_hook_is_called_before_the_waiters_are_woken() {
    struct Count(AtomicUsize);
    impl Hook for Count {
        fn ready(&self, readiness: Interest) {
            if readiness.meets(Interest::READ) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let guard = watchdog();
    let (near, far) = pair();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let hook: Arc<dyn Hook> = count.clone();
    near.set_hook(Arc::downgrade(&hook));
    for round in 1..=50 {
        far.write_all(&[1], &guard).unwrap();
        near.wait(Interest::READ, &guard).unwrap();
        assert!(count.0.load(Ordering::SeqCst) >= round);
        near.read(&mut [0; 8], &guard).unwrap();
        while near.try_read(&mut [0; 8]).is_ok() {
            yield_now();
        }
    }
}
