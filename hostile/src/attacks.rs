//! What hostile servers do, by name and by the stage at which they begin; each goes on until the client goes.

use std::io;
use std::time::Duration;

use crate::client::Client;
use crate::messages::{any_kexinit, data, packet, string, to_channel};
use crate::server::{Manner, Server, Stage};

/// One thing that a host does.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    name: &'static str,
    stage: Stage,
    script: fn(&mut Client) -> io::Result<()>,
}

impl Attack {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How far the server plays along.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Starts a server that does it to each client.
    #[must_use]
    pub fn start(&self, manner: Manner) -> Server {
        manner.from(self.stage).start(self.script)
    }
}

/// All of them that fill memory, buffers or time; none merely waits.
pub const FLOODS: &[Attack] = &[
    attack("empty lines", Stage::Connected, |client| {
        bytes_forever(client, &b"\n".repeat(4096))
    }),
    attack("lines", Stage::Connected, |client| {
        bytes_forever(client, &b"this is no version\r\n".repeat(200))
    }),
    attack("bytes without a line", Stage::Connected, |client| {
        bytes_forever(client, &[b'x'; 4096])
    }),
    attack("a version without an end", Stage::Connected, |client| {
        client.send_bytes(b"SSH-2.0-")?;
        bytes_forever(client, &[b'x'; 4096])
    }),
    attack("offers of keys", Stage::Greeted, |client| {
        bytes_forever(client, &packet(&any_kexinit()).repeat(10))
    }),
    attack(
        "ignorable messages in the clear",
        Stage::Greeted,
        |client| {
            let offer = client.offer(client.cipher().names());
            client.send(&offer)?;
            bytes_forever(client, &packet(&filled(2)).repeat(4))
        },
    ),
    attack("unknown messages in the clear", Stage::Greeted, |client| {
        let offer = client.offer(client.cipher().names());
        client.send(&offer)?;
        bytes_forever(client, &packet(&filled(200)).repeat(4))
    }),
    attack("a packet of 2 GB", Stage::Greeted, |client| {
        client.send_bytes(&0x7fff_ffff_u32.to_be_bytes())?;
        bytes_forever(client, &[20; 4096])
    }),
    attack(
        "lists of extensions before the service",
        Stage::Keyed,
        |c| forever(c, &extensions()),
    ),
    attack("unknown messages before the service", Stage::Keyed, |c| {
        forever(c, &filled(200))
    }),
    attack("ignorable messages before the service", Stage::Keyed, |c| {
        forever(c, &filled(2))
    }),
    attack("banners", Stage::Authenticating, |client| {
        let words = [string(&[b'b'; 900]), string(b"")].concat();
        forever(client, &[&[53][..], &words].concat())
    }),
    attack(
        "unknown messages before logging in",
        Stage::Authenticating,
        |c| forever(c, &filled(200)),
    ),
    attack(
        "lists of extensions before logging in",
        Stage::Authenticating,
        |c| forever(c, &extensions()),
    ),
    attack(
        "key exchanges before logging in",
        Stage::Authenticating,
        |client| loop {
            client.exchange_keys_again()?;
        },
    ),
    attack("noise in a key exchange", Stage::LoggedIn, |client| {
        client.accept_command(100_000)?;
        let offer = client.offer(client.cipher().names());
        client.send(&offer)?;
        forever(client, &[&[2][..], &string(&[5; 3000])].concat())
    }),
    attack("unknown messages", Stage::LoggedIn, |client| {
        after_command(client, &filled(200))
    }),
    attack("ignorable messages", Stage::LoggedIn, |client| {
        after_command(client, &filled(2))
    }),
    attack("small ignorable messages", Stage::LoggedIn, |client| {
        after_command(client, &[2, 0, 0, 0, 0])
    }),
    attack("debug messages", Stage::LoggedIn, |client| {
        let words = [string(&[b'd'; 900]), string(b"")].concat();
        after_command(client, &[&[4, 0][..], &words].concat())
    }),
    attack("answers to no question", Stage::LoggedIn, |client| {
        after_command(client, &filled(81))
    }),
    attack("refusals of no question", Stage::LoggedIn, |client| {
        after_command(client, &[82])
    }),
    attack("lists of extensions", Stage::LoggedIn, |client| {
        after_command(client, &extensions())
    }),
    attack("data of no channel", Stage::LoggedIn, |client| {
        after_command(client, &data(77, &[7; 900]))
    }),
    attack("data beyond the window", Stage::LoggedIn, |client| {
        after_command(client, &data(0, &[7; 900]))
    }),
    attack("empty data", Stage::LoggedIn, |client| {
        after_command(client, &data(0, b""))
    }),
    attack("questions", Stage::LoggedIn, |client| {
        after_command(client, &question(1))
    }),
    attack("questions that want no answer", Stage::LoggedIn, |client| {
        after_command(client, &question(0))
    }),
    attack("agent channels", Stage::LoggedIn, |client| {
        after_command(client, &opening("auth-agent@openssh.com", &[]))
    }),
    attack("X11 channels", Stage::LoggedIn, |client| {
        after_command(client, &opening("x11", &address()))
    }),
    attack("forwarded channels", Stage::LoggedIn, |client| {
        after_command(client, &opening("forwarded-tcpip", &address().repeat(2)))
    }),
    attack("channels of no kind", Stage::LoggedIn, |client| {
        after_command(client, &opening("unheard-of", &[]))
    }),
    attack("requests on the channel", Stage::LoggedIn, |client| {
        let rest = [&string(b"unheard-of")[..], &[1]].concat();
        after_command(client, &to_channel(98, 0, &rest))
    }),
    attack("successes", Stage::LoggedIn, |client| {
        after_command(client, &to_channel(99, 0, &[]))
    }),
    attack("windows", Stage::LoggedIn, |client| {
        after_command(client, &to_channel(93, 0, &u32::MAX.to_be_bytes()))
    }),
    attack("key exchanges", Stage::LoggedIn, |client| {
        client.accept_command(100_000)?;
        loop {
            client.exchange_keys_again()?;
        }
    }),
    attack(
        "offers of keys within a session",
        Stage::LoggedIn,
        |client| {
            client.accept_command(100_000)?;
            let offer = client.offer(client.cipher().names());
            forever(client, &offer)
        },
    ),
    attack("new keys that nobody agreed on", Stage::LoggedIn, |c| {
        after_command(c, &[21])
    }),
];

/// Hosts that say next to nothing, a byte at a time or not at all, in every phase.
pub const SLOW: &[Attack] = &[
    attack("a version byte by byte", Stage::Connected, |client| {
        client.send_bytes(b"SSH-2.0-")?;
        loop {
            client.send_bytes(b"x")?;
            client.pause(SLOW_INTERVAL)?;
        }
    }),
    attack("silence behind the version", Stage::Greeted, silence),
    attack("an offer of keys byte by byte", Stage::Greeted, |client| {
        byte_by_byte(client, &packet(&any_kexinit()))
    }),
    attack("silence within the key exchange", Stage::Greeted, |c| {
        let offer = c.offer(c.cipher().names());
        c.send(&offer)
    }),
    attack("silence behind the keys", Stage::Keyed, silence),
    attack("silence where one logs in", Stage::Authenticating, silence),
    attack("banners now and then", Stage::Authenticating, |client| {
        let banner = [&[53][..], &string(b"wait"), &string(b"")].concat();
        loop {
            client.send(&banner)?;
            client.pause(SLOW_INTERVAL)?;
        }
    }),
    attack("a refusal byte by byte", Stage::Authenticating, |client| {
        client.await_message(50)?;
        let refusal = [&[51][..], &string(b"password,publickey"), &[0]].concat();
        let packet = client.seal(&refusal.repeat(40));
        byte_by_byte(client, &packet)
    }),
    attack("silence to the first command", Stage::LoggedIn, silence),
    attack("a channel byte by byte", Stage::LoggedIn, |client| {
        client.await_message(90)?;
        let numbers = [0, 0, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
        let packet = client.seal(&[&[91][..], &numbers, &[0; 3000]].concat());
        byte_by_byte(client, &packet)
    }),
    attack("output byte by byte", Stage::LoggedIn, |client| {
        client.accept_command(100_000)?;
        loop {
            let packet = client.seal(&data(0, b"x"));
            byte_by_byte(client, &packet)?;
        }
    }),
];

/// The time between two bytes of a slow host.
const SLOW_INTERVAL: Duration = Duration::from_millis(100);

const fn attack(
    name: &'static str,
    stage: Stage,
    script: fn(&mut Client) -> io::Result<()>,
) -> Attack {
    Attack {
        name,
        stage,
        script,
    }
}

fn silence(_: &mut Client) -> io::Result<()> {
    Ok(())
}

fn bytes_forever(client: &mut Client, bytes: &[u8]) -> io::Result<()> {
    loop {
        client.send_bytes(bytes)?;
    }
}

fn byte_by_byte(client: &mut Client, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        client.send_bytes(&[*byte])?;
        client.pause(SLOW_INTERVAL)?;
    }
    Ok(())
}

fn forever(client: &mut Client, message: &[u8]) -> io::Result<()> {
    loop {
        client.send_all((0..50).map(|_| message.to_vec()))?;
    }
}

fn after_command(client: &mut Client, message: &[u8]) -> io::Result<()> {
    client.accept_command(100_000)?;
    forever(client, message)
}

/// A message of this number with enough behind it.
fn filled(message: u8) -> Vec<u8> {
    [&[message][..], &string(&[7; 900])].concat()
}

/// SSH_MSG_EXT_INFO (RFC 8308 §2.3) with as many extensions as fit.
fn extensions() -> Vec<u8> {
    let one = [string(b"x"), string(b"")].concat();
    [&[7][..], &100_u32.to_be_bytes(), &one.repeat(100)].concat()
}

fn question(wants_answer: u8) -> Vec<u8> {
    [
        &[80][..],
        &string(b"keepalive@openssh.com"),
        &[wants_answer],
    ]
    .concat()
}

fn opening(kind: &str, rest: &[u8]) -> Vec<u8> {
    let numbers = [7, 100_000, 32_768_u32].map(u32::to_be_bytes).concat();
    [&[90][..], &string(kind.as_bytes()), &numbers, rest].concat()
}

fn address() -> Vec<u8> {
    [&string(b"127.0.0.1")[..], &[0, 0, 0, 22]].concat()
}
