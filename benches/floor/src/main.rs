//! The floor: what hosts cost with libssh2 and its crypto library alone, one blocking thread for each session.
//!
//! `sshoal-floor HOSTS USER KEY KNOWN_HOSTS THREADS ROUNDS COMMAND`
//!
//! HOSTS lists `address:port`; KEY is an unencrypted ed25519 key of OpenSSH's form, which is parsed once; KNOWN_HOSTS
//! has the one host key of all hosts in its first line. Each thread takes the next host: connect, key exchange, host
//! key, authentication, the command ROUNDS times, close. It prints `ok=N wall=S cpu=S bytes=N`, the time and the CPU
//! time of the whole process so far.

use std::{
    error::Error,
    fs,
    io::Read,
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use openssl::base64::decode_block;
use ssh2::{HostKeyType, Session};

mod signer;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What every session needs.
struct Login {
    user: String,
    host_key: Vec<u8>,
    command: String,
    rounds: usize,
}

fn main() -> Outcome<ExitCode> {
    let began = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [hosts, user, key, known, threads, rounds, command] = arguments.as_slice() else {
        return Err("usage: sshoal-floor HOSTS USER KEY KNOWN_HOSTS THREADS ROUNDS COMMAND".into());
    };
    let hosts: Vec<SocketAddr> = fs::read_to_string(hosts)?
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    signer::load(&fs::read_to_string(key)?)?;
    let login = Login {
        user: user.clone(),
        host_key: host_key(&fs::read_to_string(known)?)?,
        command: command.clone(),
        rounds: rounds.parse()?,
    };
    let threads: usize = threads.parse()?;
    let (next, good, bytes) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for _ in 0..threads.min(hosts.len()) {
            scope.spawn(|| {
                let mut buffer = vec![0; BUFFER_BYTES];
                while let Some(host) = hosts.get(next.fetch_add(1, Relaxed)) {
                    match visit(*host, &login, &mut buffer) {
                        Ok(read) => {
                            good.fetch_add(1, Relaxed);
                            bytes.fetch_add(read, Relaxed);
                        }
                        Err(error) => eprintln!("{host}: {error}"),
                    }
                }
            });
        }
    });
    let (good, bytes) = (good.into_inner(), bytes.into_inner());
    let (wall, cpu) = (began.elapsed().as_secs_f64(), signer::processor_seconds());
    println!("ok={good} wall={wall:.4} cpu={cpu:.4} bytes={bytes}");
    Ok(ExitCode::from(u8::from(good < hosts.len())))
}

/// Connects to one host and runs the command there; returns the bytes that it printed.
fn visit(host: SocketAddr, login: &Login, buffer: &mut [u8]) -> Outcome<usize> {
    let socket = TcpStream::connect(host)?;
    socket.set_nodelay(true)?;
    let mut session = Session::new()?;
    session.set_tcp_stream(socket);
    session.handshake()?;
    match session.host_key() {
        Some((key, HostKeyType::Ed25519)) if key == login.host_key => {}
        _ => return Err("another host key".into()),
    }
    signer::authenticate(&mut session, &login.user)?;
    let mut bytes = 0;
    for _ in 0..login.rounds {
        let mut channel = session.channel_session()?;
        channel.exec(&login.command)?;
        loop {
            let read = channel.read(buffer)?;
            if read == 0 {
                break;
            }
            bytes += read;
        }
        channel.close()?;
        channel.wait_close()?;
        if channel.exit_status()? != 0 {
            return Err("the command failed".into());
        }
    }
    Ok(bytes)
}

/// The key of a known_hosts text's first line, as it goes over the wire.
fn host_key(known_hosts: &str) -> Outcome<Vec<u8>> {
    let word = known_hosts.split_whitespace().nth(2);
    Ok(decode_block(word.ok_or("no key in known_hosts")?)?)
}

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;
