//! The ways in which a command can be told to be over, in every order that a host may choose.

use crate::messages::{close, data, eof, exit_signal, exit_status, extended, extended_of};
use crate::server::{Manner, Server};

/// What a client has to make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// This exit status.
    Status(u32),
    /// This signal.
    Signal(&'static str),
    /// Neither.
    Nothing,
    /// The connection ended before the command had.
    Lost,
}

/// One way: what is sent once the command was accepted, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// What is sent, word by word; a number is an exit status.
    words: &'static str,
    told: Told,
}

impl End {
    /// What is sent, in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        self.words
    }

    /// What a client has to make of it.
    #[must_use]
    pub fn told(&self) -> Told {
        self.told
    }

    /// Standard output and standard error.
    #[must_use]
    pub fn output(&self) -> [&'static str; 2] {
        ["out", "err"].map(|word| match self.words.split(' ').any(|one| one == word) {
            true => word,
            false => "",
        })
    }

    /// Starts a server that ends every command so.
    #[must_use]
    pub fn start(&self, manner: Manner) -> Server {
        let words = self.words;
        manner.start(move |client| {
            client.accept_command(100_000)?;
            client.send_all(words.split(' ').filter_map(message))?;
            match words.ends_with("leaves") {
                true => client.end(),
                false => Ok(()),
            }
        })
    }
}

fn message(word: &str) -> Option<Vec<u8>> {
    Some(match word {
        "out" => data(0, b"out"),
        "err" => extended(0, b"err"),
        "unknown" => extended_of(0, 7, b"unknown"),
        "signal" => exit_signal(0, "KILL", "killed"),
        "eof" => eof(0),
        "close" => close(0),
        "leaves" => return None,
        number => exit_status(0, number.parse().unwrap()),
    })
}

/// All ways.
pub const ENDS: &[End] = &[
    end("out 3 eof close", Told::Status(3)),
    end("out eof 3 close", Told::Status(3)),
    end("3 out eof close", Told::Status(3)),
    end("out 3 close", Told::Status(3)),
    end("out 3 err eof close", Told::Status(3)),
    end("out eof err 3 close", Told::Status(3)),
    end("0 eof close", Told::Status(0)),
    end("3 4 eof close", Told::Status(4)),
    end("1 4294967295 eof close", Told::Status(u32::MAX)),
    end("256 eof close", Told::Status(256)),
    end("signal eof close", Told::Signal("KILL")),
    end("out signal close", Told::Signal("KILL")),
    end("unknown out 3 err eof close", Told::Status(3)),
    end("out 3 eof unknown close", Told::Status(3)),
    end("eof close", Told::Nothing),
    end("close", Told::Nothing),
    end("out close", Told::Nothing),
    end("out eof close", Told::Nothing),
    end("3 eof close close", Told::Status(3)),
    end("3 eof eof close", Told::Status(3)),
    end("3 eof close leaves", Told::Status(3)),
    end("close leaves", Told::Nothing),
    end("out 3 leaves", Told::Lost),
    end("out eof leaves", Told::Lost),
    end("leaves", Told::Lost),
];

const fn end(words: &'static str, told: Told) -> End {
    End { words, told }
}
