//! Authentication against servers that say whatever they like: what is sent, how often, and how it ends.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sshoal_hostile::messages::string;
use sshoal_hostile::server::{Cipher, Client, Server};
use sshoal_reactor::{Scope, is_green};
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Answers, AuthError, Challenge, Config, ConfigBuilder, Error, Host, HostKeyPolicy, HostKeys,
    Identity, Kind, Phase, Secret, Session, Timings,
};

/// Longer than anything here takes; only what hangs takes it.
const LIMIT: Duration = Duration::from_secs(60);

fn bare(server: &Server) -> ConfigBuilder {
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

fn connect(server: &Server, config: ConfigBuilder) -> Result<Session, Error> {
    let scope = Scope::root().child(Some(LIMIT));
    let config = config.build().unwrap();
    Session::connect_in(&host(server), &config, &scope, &mut Timings::default())
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

#[track_caller]
fn assert_denied(result: Result<Session, Error>, methods: &str) {
    let error = result.expect_err("does not connect");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Auth, Kind::Denied),
        "{error:?}"
    );
    assert_eq!(error.to_string(), format!("Permission denied ({methods})."));
}

/// The methods that clients asked for, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// Takes the next request; returns its method and what follows it.
    fn request(&self, client: &mut Client) -> io::Result<(String, Vec<u8>)> {
        let message = client.await_message(50)?;
        let mut rest = &message[1..];
        let [_user, _service, method] = std::array::from_fn(|_| take(&mut rest));
        let method = String::from_utf8(method).unwrap();
        self.0.lock().unwrap().push(method.clone());
        Ok((method, rest.to_vec()))
    }

    fn methods(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn take(bytes: &mut &[u8]) -> Vec<u8> {
    let (head, rest) = bytes.split_first_chunk().unwrap();
    let (taken, rest) = rest.split_at(u32::from_be_bytes(*head) as usize);
    *bytes = rest;
    taken.to_vec()
}

fn refusal(methods: &str, partial: u8) -> Vec<u8> {
    [&[51][..], &string(methods.as_bytes()), &[partial]].concat()
}

fn farewell(reason: u32, text: &str) -> Vec<u8> {
    let text = string(text.as_bytes());
    [&[1][..], &reason.to_be_bytes(), &text, &string(b"")].concat()
}

/// SSH_MSG_USERAUTH_INFO_REQUEST with so many hidden prompts.
fn challenge(prompts: usize) -> Vec<u8> {
    let count = u32::try_from(prompts).unwrap().to_be_bytes();
    let prompt = [&string(b"Code: ")[..], &[0]].concat();
    let head = [string(b"title"), string(b"tell"), string(b"")].concat();
    [&[60][..], &head, &count, &prompt.repeat(prompts)].concat()
}

/// Answers by a function.
struct By<F>(F);

impl<F: Fn(&Challenge) -> Option<Vec<Secret>> + Send + Sync> Answers for By<F> {
    fn answer(&self, _host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        (self.0)(challenge)
    }
}

fn by(f: impl Fn(&Challenge) -> Option<Vec<Secret>> + Send + Sync + 'static) -> Arc<dyn Answers> {
    Arc::new(By(f))
}

/// It lists everything and refuses everything, for ever: each secret goes there once.
#[test]
fn a_server_that_always_lists_all_gets_everything_once() {
    let seen = Seen::default();
    let server = Server::start_at_authentication(Cipher::Readable, {
        let seen = seen.clone();
        move |client| {
            loop {
                seen.request(client)?;
                client.send(&refusal(
                    "publickey,password,keyboard-interactive,hostbased",
                    0,
                ))?;
            }
        }
    });
    let answers = by(|_| None);
    let config = bare(&server).password(secret("sesame")).answers(answers);
    assert_denied(
        connect(&server, config),
        "publickey,password,keyboard-interactive,hostbased",
    );
    assert_eq!(seen.methods(), ["none", "keyboard-interactive", "password"]);
}

#[test]
fn a_method_that_is_not_listed_is_not_tried() {
    let seen = Seen::default();
    let server = Server::start_at_authentication(Cipher::Hidden, {
        let seen = seen.clone();
        move |client| {
            loop {
                seen.request(client)?;
                client.send(&refusal("publickey", 0))?;
            }
        }
    });
    assert_denied(
        connect(&server, bare(&server).password(secret("sesame"))),
        "publickey",
    );
    assert_eq!(seen.methods(), ["none"]);
}

/// Every refusal claims to be a partial success: nothing goes round and round.
#[test]
fn endless_partial_success_ends() {
    let seen = Seen::default();
    let server = Server::start_at_authentication(Cipher::Readable, {
        let seen = seen.clone();
        move |client| {
            loop {
                seen.request(client)?;
                client.send(&refusal("password,keyboard-interactive", 1))?;
            }
        }
    });
    let answers = by(|_| Some(Vec::new()));
    let config = bare(&server).password(secret("sesame")).answers(answers);
    assert_denied(connect(&server, config), "password,keyboard-interactive");
    let count = seen.methods().len();
    assert!(count < 40, "{count} requests");
}

/// The farewell and the end of the stream come right behind each other, and are seen together or not.
#[test]
fn too_many_failures_are_a_refusal_at_every_timing() {
    let seen = Seen::default();
    for round in 0..40 {
        let server = Server::start_at_authentication(Cipher::Readable, {
            let seen = seen.clone();
            move |client| {
                seen.request(client)?;
                client.send(&refusal("password", 0))?;
                seen.request(client)?;
                if round % 2 == 0 {
                    client.send(&refusal("password", 0))?;
                }
                client.send(&farewell(2, "Too many authentication failures"))?;
                client.end()
            }
        });
        assert_denied(
            connect(&server, bare(&server).password(secret("sesame"))),
            "password",
        );
    }
}

#[test]
fn another_farewell_is_told_without_its_escapes() {
    let server = Server::start_at_authentication(Cipher::Readable, |client| {
        client.await_message(50)?;
        client.send(&farewell(11, "maintenance\x1b[2J till noon"))
    });
    let error = connect(&server, bare(&server)).expect_err("does not connect");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Auth, Kind::Closed),
        "{error:?}"
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the host said: maintenance[2J till noon");
}

/// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ.
#[test]
fn a_demand_to_change_the_password_is_refused_by_name() {
    let seen = Seen::default();
    let server = Server::start_at_authentication(Cipher::Readable, {
        let seen = seen.clone();
        move |client| {
            seen.request(client)?;
            client.send(&refusal("password", 0))?;
            seen.request(client)?;
            client.send(&[&[60][..], &string(b"Change it"), &string(b"")].concat())
        }
    });
    let config = bare(&server).password(secret("sesame"));
    let error = connect(&server, config).expect_err("does not connect");
    assert!(
        matches!(error, Error::Auth(AuthError::PasswordExpired)),
        "{error:?}"
    );
    assert_eq!(error.kind(), Kind::Denied);
    assert_eq!(seen.methods(), ["none", "password"]);
}

/// A conversation of several rounds, one of them without prompts, each answered as it was asked.
#[test]
fn a_conversation_goes_on_for_as_long_as_the_server_asks() {
    let server = Server::start_at_authentication(Cipher::Readable, |client| {
        client.await_message(50)?;
        client.send(&refusal("keyboard-interactive", 0))?;
        client.await_message(50)?;
        for prompts in [1, 0, 3] {
            client.send(&challenge(prompts))?;
            let answer = client.await_message(61)?;
            let mut rest = &answer[1..];
            let (count, after) = rest.split_first_chunk().unwrap();
            rest = after;
            assert_eq!(u32::from_be_bytes(*count) as usize, prompts);
            for number in 0..prompts {
                assert_eq!(take(&mut rest), format!("answer {number}").as_bytes());
            }
            assert!(rest.is_empty());
        }
        client.send(&[52])
    });
    let answers = by(|challenge| {
        assert!(!is_green(), "called where it may not block");
        assert_eq!(
            (challenge.name(), challenge.instruction()),
            ("title", "tell")
        );
        let count = challenge.prompts().len();
        Some(
            (0..count)
                .map(|number| secret(&format!("answer {number}")))
                .collect(),
        )
    });
    connect(&server, bare(&server).answers(answers)).unwrap();
}

/// They wait for each other: all of them are asked at once, and none of them holds a scheduler thread.
#[test]
fn many_hosts_are_answered_side_by_side() {
    const HOSTS: usize = 12;
    let script = |client: &mut Client| {
        client.await_message(50)?;
        client.send(&refusal("keyboard-interactive", 0))?;
        client.await_message(50)?;
        client.send(&challenge(1))?;
        client.await_message(61)?;
        client.send(&[52])
    };
    let server = Arc::new(Server::start_at_authentication(Cipher::Readable, script));
    let meeting = Arc::new(Barrier::new(HOSTS));
    let answers = by(move |_| {
        meeting.wait();
        Some(vec![secret("123456")])
    });
    let threads: Vec<_> = (0..HOSTS)
        .map(|_| {
            let (server, answers) = (server.clone(), answers.clone());
            let connect = move || connect(&server, bare(&server).answers(answers)).map(drop);
            sshoal_reactor::spawn(connect).unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn endless_rounds_end_at_the_bound() {
    let server = Server::start_at_authentication(Cipher::Readable, |client| {
        client.await_message(50)?;
        client.send(&refusal("keyboard-interactive", 0))?;
        client.await_message(50)?;
        loop {
            client.send(&challenge(1))?;
            client.await_message(61)?;
        }
    });
    let answers = by(|_| Some(vec![secret("again")]));
    let error = connect(&server, bare(&server).answers(answers)).expect_err("does not connect");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Auth, Kind::Limit),
        "{error:?}"
    );
}

/// Challenges that lie about their prompts, are cut short or ask for nothing without end, as the first one and behind a
/// good one: the login fails by itself.
#[test]
fn challenges_that_make_no_sense_end_by_themselves() {
    let counting = |prompts: usize, told: u32| {
        let mut message = challenge(prompts);
        message[1 + 9 + 8 + 4..][..4].copy_from_slice(&told.to_be_bytes());
        message
    };
    let told = string("\x1b[2J\n".repeat(6_000).as_bytes());
    let long = [&[60][..], &told, &string(b""), &string(b""), &[0; 4]].concat();
    // What has neither name nor instruction may be anything: only as the first one is it told.
    let no_challenge = [
        vec![60],
        [&[60][..], &u32::MAX.to_be_bytes(), &[0; 40]].concat(),
    ];
    let challenges = [
        challenge(2_900),
        counting(1, 2),
        counting(1, 101),
        counting(1, 10_000),
        counting(1, 0x8000_0000),
        counting(1, u32::MAX),
        challenge(1)[..20].to_vec(),
        challenge(1)[..challenge(1).len() - 1].to_vec(),
        challenge(0),
        long,
    ];
    for odd in no_challenge.iter().chain(&challenges) {
        for good_first in [false, true] {
            if good_first && no_challenge.contains(odd) {
                continue;
            }
            let about = format!("{:?}…, good first: {good_first}", &odd[..odd.len().min(40)]);
            let odd = odd.clone();
            let server = Server::start_at_authentication(Cipher::Readable, move |client| {
                client.await_message(50)?;
                client.send(&refusal("keyboard-interactive", 0))?;
                client.await_message(50)?;
                if good_first {
                    client.send(&challenge(1))?;
                    client.await_message(61)?;
                }
                loop {
                    client.send(&odd)?;
                    client.await_message(61)?;
                }
            });
            let answers = by(|challenge| {
                let prompts = challenge.prompts().iter();
                Some(prompts.map(|_| secret("again")).collect())
            });
            let config = bare(&server).answers(answers);
            let error = connect(&server, config).expect_err("does not connect");
            assert_eq!(error.phase(), Phase::Auth, "{about}: {error:?}");
            assert_ne!(error.kind(), Kind::Timeout, "{about}: {error:?}");
        }
    }
}

/// Too many prompts, too few answers, and a panic: nothing is sent, and the password is tried instead.
#[test]
fn answers_that_do_not_fit_are_none() {
    let panics: Arc<dyn Answers> = by(|_| panic!("a defect of the caller"));
    let too_few: Arc<dyn Answers> = by(|_| Some(Vec::new()));
    let always: Arc<dyn Answers> =
        by(|challenge| Some(challenge.prompts().iter().map(|_| secret("x")).collect()));
    for (prompts, answers) in [(1, panics), (1, too_few), (33, always)] {
        let seen = Seen::default();
        let server = Server::start_at_authentication(Cipher::Readable, {
            let seen = seen.clone();
            move |client| {
                seen.request(client)?;
                client.send(&refusal("keyboard-interactive,password", 0))?;
                seen.request(client)?;
                client.send(&challenge(prompts))?;
                // The next message of the client is the next request: there was no answer.
                let next = client.receive()?;
                assert_eq!(next[0], 50);
                client.send(&[52])
            }
        });
        let config = bare(&server).answers(answers).password(secret("sesame"));
        connect(&server, config).unwrap();
    }
}

/// A conversation that is given up at its deadline leaves the caller free at once, while the one who was asked still
/// thinks. A busy machine may need a longer one to come that far.
#[test]
fn who_thinks_for_too_long_is_not_waited_for() {
    let server = Server::start_at_authentication(Cipher::Readable, |client| {
        client.await_message(50)?;
        client.send(&refusal("keyboard-interactive", 0))?;
        client.await_message(50)?;
        client.send(&challenge(1))
    });
    let (done, thinking) = std::sync::mpsc::channel::<()>();
    let thinking = Mutex::new(thinking);
    let answers = by(move |_| {
        let _ = thinking.lock().unwrap().recv();
        None
    });
    let config = bare(&server).answers(answers).build().unwrap();
    let limits = [300, 3_000, 30_000].map(Duration::from_millis);
    let mut errors = limits.into_iter().map(|limit| {
        let scope = Scope::root().child(Some(limit));
        let error = Session::connect_in(&host(&server), &config, &scope, &mut Timings::default());
        error.expect_err("does not connect")
    });
    let error = errors.find(|error| error.phase() >= Phase::Auth);
    let error = error.expect("comes to the authentication");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Auth, Kind::Timeout),
        "{error:?}"
    );
    drop(done);
}

/// What a security key's agent says goes to the server as the protocol has it: algorithm, signature, flags, counter
/// (PROTOCOL.u2f in OpenSSH's sources).
#[test]
fn a_security_keys_signature_keeps_its_flags_and_counter() {
    const NAME: &[u8] = b"sk-ssh-ed25519@openssh.com";
    let blob = [string(NAME), string(&[7; 32]), string(b"ssh:")].concat();
    let signature = [&string(NAME)[..], &string(&[9; 64]), &[1, 0, 0, 0, 42]].concat();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let agent = UnixListener::bind(&socket).unwrap();
    let (listed, signed) = (blob.clone(), signature.clone());
    std::thread::spawn(move || {
        for mut stream in agent.incoming().flatten() {
            let mut head = [0; 5];
            while stream.read_exact(&mut head).is_ok() {
                let length = u32::from_be_bytes(*head.first_chunk().unwrap()) as usize;
                let mut rest = vec![0; length - 1];
                stream.read_exact(&mut rest).unwrap();
                let reply = match head[4] {
                    11 => [&[12, 0, 0, 0, 1][..], &string(&listed), &string(b"")].concat(),
                    _ => [&[14][..], &string(&signed)].concat(),
                };
                stream.write_all(&string(&reply)).unwrap();
            }
        }
    });
    let expected = (blob.clone(), signature);
    let server = Server::start_at_authentication(Cipher::Readable, move |client| {
        let seen = Seen::default();
        let (method, rest) = seen.request(client)?;
        assert_eq!((method.as_str(), rest[0]), ("publickey", 0));
        let named = [string(NAME), string(&expected.0)].concat();
        assert_eq!(rest[1..], named);
        client.send(&[&[60][..], &named].concat())?;
        let (_, rest) = seen.request(client)?;
        assert_eq!(rest[0], 1);
        assert_eq!(rest[1..], [named, string(&expected.1)].concat());
        client.send(&[52])
    });
    let line = format!(
        "sk-ssh-ed25519@openssh.com {} me@here",
        STANDARD.encode(&blob)
    );
    let identity = Identity::public(line.as_bytes(), "id_ed25519_sk.pub").unwrap();
    let config = bare(&server).agent(&socket).identity(Arc::new(identity));
    connect(&server, config).unwrap();
}
