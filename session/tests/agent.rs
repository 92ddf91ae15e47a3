//! The agent client against a real `ssh-agent`, and against agents that lie.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use sshoal_session::agent::{AgentClient, AgentError, inner_signature, signature_flags};
use support::{KEY_TYPES, algorithms, keygen, public_blob, verify};
use tempfile::TempDir;

#[path = "identity/support.rs"]
mod support;

const DATA: &[u8] = b"what the server wants signed";

/// An `ssh-agent` in the foreground, ended when dropped.
struct Agent {
    child: Child,
    socket: PathBuf,
    folder: TempDir,
}

impl Agent {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("agent");
        let mut child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent (Debian package openssh-client)");
        // It prints how to reach it once the socket listens.
        let mut line = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .expect("ssh-agent starts");
        Self {
            child,
            socket,
            folder,
        }
    }

    fn client(&self) -> AgentClient<UnixStream> {
        AgentClient::new(UnixStream::connect(&self.socket).unwrap())
    }

    fn add(&self, path: &Path) {
        let status = Command::new("ssh-add")
            .arg("-q")
            .arg(path)
            .env("SSH_AUTH_SOCK", &self.socket)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Locks the agent (SSH_AGENTC_LOCK), which `ssh-add -x` would ask a terminal for.
    fn lock(&self) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream
            .write_all(&[0, 0, 0, 6, 22, 0, 0, 0, 1, b'x'])
            .unwrap();
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [0, 0, 0, 1, 6]);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn agent_error(error: &io::Error) -> &AgentError {
    error
        .get_ref()
        .and_then(|e| e.downcast_ref())
        .expect("an error of the agent's")
}

/// Every key type is listed by a real agent, signs there, and verifies here.
#[test]
fn lists_and_signs_with_every_key_type_of_a_real_agent() {
    let agent = Agent::start();
    assert!(agent.client().identities().unwrap().is_empty());
    for (sort, bits, _) in KEY_TYPES {
        agent.add(&keygen(agent.folder.path(), sort, bits, "", &[]));
    }
    let mut client = agent.client();
    let keys = client.identities().unwrap();
    assert_eq!(keys.len(), KEY_TYPES.len());
    for (key, (sort, bits, key_type)) in keys.iter().zip(KEY_TYPES) {
        assert_eq!(key.algorithm(), Some(key_type));
        assert_eq!(key.comment(), b"a comment");
        assert_eq!(
            key.blob(),
            public_blob(&agent.folder.path().join(format!("key_{sort}_{bits}_")))
        );
        for algorithm in algorithms(key_type) {
            let flags = signature_flags(algorithm).unwrap();
            let whole = client.sign(key.blob(), DATA, flags).unwrap();
            let inner = inner_signature(algorithm, &whole).unwrap();
            verify(key.blob(), algorithm, DATA, &inner);
        }
    }
    // Without flags the agent signs by SHA-1, and that does not pass for anything better.
    let rsa = keys
        .iter()
        .find(|key| key.algorithm() == Some("ssh-rsa"))
        .unwrap();
    let whole = client.sign(rsa.blob(), DATA, 0).unwrap();
    assert_eq!(
        inner_signature("rsa-sha2-512", &whole),
        Err(AgentError::AlgorithmMismatch {
            wanted: "rsa-sha2-512".into(),
            got: "ssh-rsa".into()
        })
    );
}

#[test]
fn refusals_leave_the_connection_usable() {
    let agent = Agent::start();
    let path = keygen(agent.folder.path(), "ed25519", "256", "", &[]);
    agent.add(&path);
    let mut client = agent.client();
    let other = public_blob(&keygen(agent.folder.path(), "ecdsa", "256", "", &[]));
    let unknown = client.sign(&other, DATA, 0).unwrap_err();
    assert_eq!(agent_error(&unknown), &AgentError::Refused);
    let long = client.sign(b"", &vec![0; 256 * 1024], 0).unwrap_err();
    assert!(
        matches!(agent_error(&long), AgentError::RequestTooLong { .. }),
        "{long}"
    );
    assert_eq!(client.identities().unwrap().len(), 1);

    agent.lock();
    assert!(
        client.identities().unwrap().is_empty(),
        "a locked agent shows no keys"
    );
    let locked = client.sign(&public_blob(&path), DATA, 0).unwrap_err();
    assert_eq!(locked.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(agent_error(&locked), &AgentError::Refused);
}

#[test]
fn an_agent_that_goes_away_is_an_error() {
    let agent = Agent::start();
    let mut client = agent.client();
    drop(agent);
    client.identities().unwrap_err();
}

/// A stream that swallows requests and plays a reply, a few bytes at a time.
struct Script {
    reply: VecDeque<u8>,
}

impl Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len().min(3);
        self.reply.read(&mut buf[..room])
    }
}

impl Write for Script {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len().min(3))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client(reply: impl Into<VecDeque<u8>>) -> AgentClient<Script> {
    AgentClient::new(Script {
        reply: reply.into(),
    })
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[track_caller]
fn check(reply: Vec<u8>, want: &AgentError) {
    let listed = client(reply).identities().unwrap_err();
    assert_eq!(agent_error(&listed), want);
}

#[test]
fn hostile_replies_are_errors() {
    check(
        vec![0xff, 0xff, 0xff, 0xff],
        &AgentError::ReplyTooLong { bytes: 0xffff_ffff },
    );
    check(
        vec![0, 4, 0, 1, 12],
        &AgentError::ReplyTooLong {
            bytes: 256 * 1024 + 1,
        },
    );
    check(framed(&[]), &AgentError::Malformed);
    check(framed(&[5]), &AgentError::Refused);
    check(
        framed(&[14, 0, 0, 0, 0]),
        &AgentError::UnexpectedReply { message: 14 },
    );
    check(framed(&[12]), &AgentError::Malformed);
    check(
        framed(&[12, 0, 0, 4, 1]),
        &AgentError::TooManyKeys { count: 1025 },
    );
    check(framed(&[12, 0, 0, 4, 0]), &AgentError::Malformed);
    check(
        framed(&[12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
        &AgentError::Malformed,
    );
    check(framed(&[12, 0, 0, 0, 0, 7]), &AgentError::Malformed);
    let cut = client(vec![0, 0, 0, 9, 12, 0]).identities().unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    let signature = client(framed(&[14, 0, 0, 0, 9, 1]))
        .sign(b"k", DATA, 0)
        .unwrap_err();
    assert_eq!(agent_error(&signature), &AgentError::Malformed);
}

#[test]
fn nothing_is_asked_after_a_reply_that_was_left_unread() {
    let mut client = client([&[0, 4, 0, 1, 12][..], &framed(&[12, 0, 0, 0, 0])].concat());
    client.identities().unwrap_err();
    let again = client.identities().unwrap_err();
    assert_eq!(agent_error(&again), &AgentError::OutOfStep);
}

#[test]
fn comments_are_bytes_and_debug_escapes_them() {
    let body = [
        &[12, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 0, 0, 0, 3][..],
        b"\x1b[\xff",
    ]
    .concat();
    let keys = client(framed(&body)).identities().unwrap();
    assert_eq!(
        (keys[0].blob(), keys[0].comment()),
        (&[1, 2][..], &b"\x1b[\xff"[..])
    );
    assert_eq!(keys[0].algorithm(), None);
    assert!(!format!("{keys:?}").contains('\x1b'));
}

proptest! {
    #[test]
    fn any_reply_is_read_without_panic(reply in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = client(reply.clone()).identities();
        let _ = client(framed(&reply)).identities();
        let _ = client(framed(&reply)).sign(b"key", DATA, 0);
    }
}
