//! Whatever a server says, before and after authentication, a session ends in time.
//!
//! The input is a script of the server: a byte for the cipher, then steps. The handshake is a real
//! one, so that what is sent after it is decrypted and reaches what reads it; each step harms the
//! next message before or after it is encrypted, sends one of its own, cuts one, or waits. Keys
//! are other ones in each run: what is found again depends on the script alone.

#![no_main]

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sshoal_reactor::Scope;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{Config, Host, HostKeyPolicy, HostKeys, Session, Timings};

#[path = "session/packets.rs"]
mod packets;
#[path = "session/server.rs"]
mod server;

use server::{HostKey, Script};

/// What all runs share: making a key or a listener takes longer than a run.
struct Shared {
    listener: TcpListener,
    key: HostKey,
    host: Host,
    config: Config,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
        let address = listener.local_addr().expect("is bound");
        let key = HostKey::generate();
        let mut known = KnownHosts::new();
        let line = key.known_hosts_line(&format!("[127.0.0.1]:{}", address.port()));
        known.add_text(line.as_bytes(), "known_hosts");
        let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
        let config = Config::builder(keys).user("anyone").keepalive(None);
        let host = Host::new("127.0.0.1").expect("is an address");
        Shared {
            key,
            host: host.with_port(address.port()).expect("is a port"),
            config: config.build().expect("is complete"),
            listener,
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let shared = shared();
    let script = Script::new(input);
    let begun = Instant::now();
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (stream, _) = shared.listener.accept()?;
            server::serve(stream, &shared.key, script)
        });
        talk(shared);
        // One that did not come to the connection would wait for ever.
        drop(TcpStream::connect(
            shared.listener.local_addr().expect("is bound"),
        ));
        let served = server.join().expect("a server does not panic");
        // Its errors are the client's leaving.
        drop(served);
        // The one that woke it, if it was not needed.
        shared.listener.set_nonblocking(true).expect("is a socket");
        while shared.listener.accept().is_ok() {}
        shared.listener.set_nonblocking(false).expect("is a socket");
    });
    assert!(begun.elapsed() < HANGS, "a call did not return in time");
});

/// Connects, runs two commands side by side, and closes.
fn talk(shared: &Shared) {
    let scope = Scope::root().child(Some(LIMIT));
    let Ok(session) = Session::connect_in(
        &shared.host,
        &shared.config,
        &scope,
        &mut Timings::default(),
    ) else {
        return;
    };
    let first = session.command("one").scope(&scope).spawn();
    let output = session.command("two").scope(&scope).output();
    if let Ok(output) = &output {
        assert!(output.stdout.len() + output.stderr.len() < 1 << 22);
    }
    if let Ok(child) = first {
        let mut buffer = [0; 512];
        while let Ok(Some((_, count))) = child.read(&mut buffer, &scope) {
            assert!(count <= buffer.len());
        }
        let _ = child.wait(&scope);
    }
    let _ = session.close();
}

/// A server that says nothing holds a run up for so long.
const LIMIT: Duration = Duration::from_millis(400);
/// More than all limits of a run together, on a machine that has other things to do.
const HANGS: Duration = Duration::from_secs(20);
