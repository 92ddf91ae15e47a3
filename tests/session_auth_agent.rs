//! Keys that an agent holds: which are offered, what is left out, and what an agent may do wrong.

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use sshoal::{
    AgentKeys, AuthError, Config, ConfigBuilder, Error, HostKeyPolicy, Identity, Kind, Phase,
    Session,
};
use support::{
    agent::Agent,
    fleet::EmbeddedFleet,
    keys::keygen,
    sessions::{
        LIMIT, assert_failed, connect_with, fails, fleet_host, fleet_host_keys, host, host_keys,
        identity,
    },
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

fn bare(sshd: &Sshd) -> ConfigBuilder {
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    Config::builder(keys).user(sshd.user())
}

fn key(sshd: &Sshd, name: &str, kind: &str) -> PathBuf {
    let path = sshd.scratch().join(name);
    keygen(&path, kind, "");
    path
}

#[track_caller]
fn is_let_in(sshd: &Sshd, config: ConfigBuilder) {
    let output = connect_with(sshd, config).command("echo in").output();
    assert_eq!(output.expect("runs").stdout, b"in\n");
}

/// An agent full of other keys before the right one, and a server that allows two failures.
#[test]
fn keys_that_are_named_are_offered_before_an_agents_others() {
    let Some(sshd) = Sshd::builder().config("MaxAuthTries 2").start() else {
        return;
    };
    let agent = Agent::start(&sshd.scratch(), "agent");
    for number in 0..5 {
        agent.add(&key(&sshd, &format!("other{number}"), "ed25519"));
    }
    agent.add(&sshd.key_path());
    let config = bare(&sshd).agent(&agent.socket);
    let all = config.clone().build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &all, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    // By its public key alone: the private one is the agent's.
    let public = sshd.scratch().join("named.pub");
    std::fs::write(&public, sshd.public_key()).expect("writes the public key");
    let public = Arc::new(Identity::load_public(&public).expect("reads the public key"));
    assert!(!public.has_private_key());
    let mark = sshd.log_mark();
    is_let_in(&sshd, config.clone().identity(public.clone()));
    is_let_in(
        &sshd,
        config
            .identity(public)
            .agent_keys(AgentKeys::IdentitiesOnly),
    );
    assert!(
        !sshd.log()[mark..].contains("Failed publickey"),
        "{}",
        sshd.log()
    );
}

/// What an agent holds is asked for again: a fleet outlives its keys.
#[test]
fn a_key_that_was_added_later_is_found() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd.scratch(), "agent");
    let config = bare(&sshd).agent(&agent.socket);
    let config = config.build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    agent.add(&sshd.key_path());
    let begun = Instant::now();
    while let Err(error) = Session::connect(&host(sshd.socket()), &config) {
        assert!(begun.elapsed() < LIMIT, "{error:?}");
    }
}

/// What an agent of our own answers to a request; the real agent's answers otherwise.
type Answer = fn(request: &[u8]) -> Option<Vec<u8>>;

/// Stands between sshoal and a real agent.
fn stand_between(dir: &Path, agent: &Agent, answer: Answer) -> PathBuf {
    let socket = dir.join("between");
    let listener = UnixListener::bind(&socket).expect("binds a socket");
    let real = agent.socket.clone();
    // Ends with the process: it has nothing that would outlive it.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let real = UnixStream::connect(&real).expect("the agent listens");
            thread::spawn(move || pass_on(client, real, answer));
        }
    });
    socket
}

fn pass_on(mut client: UnixStream, mut real: UnixStream, answer: Answer) -> Option<()> {
    loop {
        let request = message(&mut client)?;
        let reply = match answer(&request) {
            Some(reply) => reply,
            None => {
                send(&mut real, &request)?;
                message(&mut real)?
            }
        };
        send(&mut client, &reply)?;
    }
}

fn message(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn send(stream: &mut UnixStream, body: &[u8]) -> Option<()> {
    let head = u32::try_from(body.len()).ok()?.to_be_bytes();
    stream.write_all(&[&head[..], body].concat()).ok()
}

/// The server would take either key; the agent will not sign with the first.
#[test]
fn a_key_that_the_agent_refuses_gives_way_to_the_next() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd.scratch(), "agent");
    let first = key(&sshd, "first", "ecdsa");
    let public = std::fs::read_to_string(first.with_extension("pub")).expect("reads");
    sshd.authorize(&public);
    agent.add(&first);
    agent.add(&sshd.key_path());
    // SSH_AGENTC_SIGN_REQUEST by an ECDSA key, and SSH_AGENT_FAILURE.
    let socket = stand_between(&sshd.scratch(), &agent, |request| {
        let by_ecdsa = request
            .windows(10)
            .take(30)
            .any(|word| word == b"ecdsa-sha2");
        (request[0] == 13 && by_ecdsa).then(|| vec![5])
    });
    is_let_in(&sshd, bare(&sshd).agent(&socket));
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    // Where nothing else is left, the agent's refusal is what is told.
    agent.clear();
    agent.add(&first);
    let alone = bare(&sshd).agent(&socket).build().expect("whole");
    let (error, _) = fails(&host(sshd.socket()), &alone, 30_000);
    let by_agent = matches!(error, Error::Auth(AuthError::Agent { .. }));
    assert!(by_agent, "{error:?}");
}

/// An agent that cannot be asked is no reason to leave a password or a key untried.
#[test]
fn an_agent_that_is_gone_gives_way_to_other_methods() {
    let Some(sshd) = Sshd::start() else { return };
    let socket = Agent::start(&sshd.scratch(), "agent").socket.clone();
    let public = sshd.scratch().join("other.pub");
    keygen(&sshd.scratch().join("other"), "ed25519", "");
    let public = Arc::new(Identity::load_public(&public).expect("reads the public key"));
    let config = bare(&sshd).agent(&socket).identity(public);
    is_let_in(&sshd, config.identity(identity(&sshd.key_path())));
}

/// A restarted agent is found behind the same socket, with the connections to the former one dead.
#[test]
fn an_agent_that_was_started_again_signs() {
    let Some(sshd) = Sshd::start() else { return };
    let first = Agent::start(&sshd.scratch(), "agent");
    first.add(&sshd.key_path());
    let config = bare(&sshd).agent(&first.socket).build().expect("whole");
    Session::connect(&host(sshd.socket()), &config).expect("connects");
    let socket = first.socket.clone();
    drop(first);
    let gone = Instant::now();
    while UnixStream::connect(&socket).is_ok() {
        assert!(gone.elapsed() < LIMIT, "the agent does not end");
        thread::yield_now();
    }
    let _ = std::fs::remove_file(&socket);
    let second = Agent::start(&sshd.scratch(), "agent");
    second.add(&sshd.key_path());
    Session::connect(&host(sshd.socket()), &config).expect("connects again");
}

/// Sessions by the hundred ask one agent at once, and each gets its signature.
#[test]
fn one_agent_signs_for_a_whole_fleet_at_once() {
    let hosts = std::env::var("SSHOAL_AUTH_HOSTS").map_or(200, |text| {
        text.parse().expect("SSHOAL_AUTH_HOSTS is a number")
    });
    let fleet = EmbeddedFleet::start(hosts);
    let agent = Agent::start(fleet.dir(), "agent");
    agent.add(&fleet.key_path());
    let builder = Config::builder(fleet_host_keys(&fleet)).user("tester");
    let builder = builder.port(fleet.port()).agent(&agent.socket);
    let config = Arc::new(builder.build().expect("a whole configuration"));
    let begun = Instant::now();
    let threads: Vec<_> = (0..fleet.hosts())
        .map(|index| {
            let (host, config) = (fleet_host(&fleet, index), config.clone());
            let connect = move || {
                let scope = support::sessions::limit();
                let mut timings = sshoal::Timings::default();
                Session::connect_in(&host, &config, &scope, &mut timings).map(drop)
            };
            sshoal::spawn(connect).expect("starts")
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic").expect("connects");
    }
    eprintln!("{hosts} signatures by one agent in {:?}", begun.elapsed());
    assert_eq!(fleet.count("auth_publickey"), fleet.hosts() as u64);
}
