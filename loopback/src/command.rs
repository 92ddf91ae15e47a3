//! What a host does for a command line: the pure part, text in and plan out.
//!
//! Nothing runs on the machine. A command line is split into words as a shell would split simple
//! ones (blanks, quotes, backslashes); `;`, `&&`, pipes and variables mean nothing here.

use std::borrow::Cow;
use std::time::Duration;

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this exit status.
    Status(u32),
    /// By the exit signal of this name.
    Signal(String),
    /// With neither.
    None,
}

/// What a host is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Answer at once.
    Reply {
        stdout: Vec<u8>,
        stderr: Vec<u8>,
        exit: Exit,
    },
    /// Wait, then end with status 0.
    Sleep(Duration),
    /// Copy standard input to standard output until its EOF.
    Cat,
    /// Send this many bytes of the pattern, over and over.
    Repeat {
        pattern: Cow<'static, [u8]>,
        bytes: u64,
    },
    /// Read standard input to its EOF, then print its length and hash.
    Hash,
}

impl Command {
    /// Returns what the host with index `host` does for this command line.
    pub(crate) fn parse(line: &[u8], host: usize) -> Self {
        let Some(words) = words(line) else {
            return Self::failure(2, "sh: unterminated quoted string\n".to_owned());
        };
        let Some((name, args)) = words.split_first() else {
            return Self::output(Vec::new());
        };
        match name.as_slice() {
            b"true" => Self::output(Vec::new()),
            b"false" => Self::failure(1, String::new()),
            b"echo" => Self::output(line_of(args)),
            // One of the words, in turn: hosts that say a few different things.
            b"turn" if !args.is_empty() => Self::output(line_of(&args[host % args.len()..][..1])),
            b"hostname" => Self::output(own_name(host)),
            b"uname" => Self::output(b"Linux sshoal-loopback 6.1.0 x86_64 GNU/Linux\n".to_vec()),
            b"cat" if args.is_empty() => Self::Cat,
            b"hash" if args.is_empty() => Self::Hash,
            b"nostatus" => Self::Reply {
                stdout: if args.is_empty() {
                    vec![]
                } else {
                    line_of(args)
                },
                stderr: vec![],
                exit: Exit::None,
            },
            b"stderr" => Self::Reply {
                stdout: vec![],
                stderr: line_of(args),
                exit: Exit::Status(0),
            },
            b"signal" => Self::signal(args),
            b"exit" => Self::exit(args),
            b"sleep" => Self::sleep(args),
            b"yes" => Self::repeat("yes", &b"y\n"[..], args.first()),
            // What no other host says.
            b"own" => Self::repeat("own", own_name(host), args.first()),
            b"head" if args.first().is_some_and(|a| a == b"-c") => {
                Self::repeat("head", &LINE[..], args.get(1))
            }
            _ => Self::failure(127, format!("sh: {}: command not found\n", text(name))),
        }
    }

    /// Returns whether the command takes standard input; others drop it.
    pub(crate) fn reads_input(&self) -> bool {
        matches!(self, Self::Cat | Self::Hash)
    }

    fn output(stdout: Vec<u8>) -> Self {
        Self::Reply {
            stdout,
            stderr: Vec::new(),
            exit: Exit::Status(0),
        }
    }

    fn failure(status: u32, message: String) -> Self {
        let stderr = message.into_bytes();
        Self::Reply {
            stdout: Vec::new(),
            stderr,
            exit: Exit::Status(status),
        }
    }

    fn signal(args: &[Vec<u8>]) -> Self {
        let Some(name) = args.first() else {
            return Self::failure(2, "signal: no name\n".to_owned());
        };
        let name = text(name).trim_start_matches("SIG").to_owned();
        Self::Reply {
            stdout: Vec::new(),
            stderr: Vec::new(),
            exit: Exit::Signal(name),
        }
    }

    fn exit(args: &[Vec<u8>]) -> Self {
        let Some(word) = args.first() else {
            return Self::output(Vec::new());
        };
        match text(word).parse() {
            Ok(status) => Self::failure(status, String::new()),
            Err(_) => Self::failure(2, format!("sh: exit: bad number: {}\n", text(word))),
        }
    }

    fn sleep(args: &[Vec<u8>]) -> Self {
        let word = args.first().map(|word| text(word)).unwrap_or_default();
        let seconds = word
            .parse::<f64>()
            .ok()
            .filter(|s| (0.0..=SLEEP_MAX_S).contains(s));
        match seconds {
            Some(seconds) => Self::Sleep(Duration::from_secs_f64(seconds)),
            None => Self::failure(1, format!("sleep: invalid time interval '{word}'\n")),
        }
    }

    fn repeat(name: &str, pattern: impl Into<Cow<'static, [u8]>>, count: Option<&Vec<u8>>) -> Self {
        let word = count.map(|word| text(word)).unwrap_or_default();
        match word.parse() {
            Ok(bytes) => Self::Repeat {
                pattern: pattern.into(),
                bytes,
            },
            Err(_) => Self::failure(1, format!("{name}: invalid number of bytes '{word}'\n")),
        }
    }
}

/// The 64-bit FNV-1a hash, fed piece by piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// Splits a command line into words; `None` if a quote stays open.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        other => word.push(other),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => match bytes.next()? {
                            escaped @ (b'"' | b'\\' | b'$' | b'`') => word.push(escaped),
                            other => word.extend([b'\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// The line by which a host names itself.
fn own_name(host: usize) -> Vec<u8> {
    format!("host-{host:04}\n").into_bytes()
}

/// Joins words by blanks and ends the line, as `echo` does.
fn line_of(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.push(b'\n');
    line
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// The longest `sleep`; a bound that keeps the arithmetic of timers safe.
const SLEEP_MAX_S: f64 = 1e8;

/// 64 bytes of text that `head -c` sends, over and over.
const LINE: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, stdout: &str, stderr: &str, exit: Exit) {
        let (stdout, stderr) = (stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec());
        assert_eq!(
            Command::parse(line.as_bytes(), 12),
            Command::Reply {
                stdout,
                stderr,
                exit
            }
        );
    }

    #[test]
    fn immediate_commands_give_their_output_and_exit() {
        check("echo hello   world", "hello world\n", "", Exit::Status(0));
        check("echo", "\n", "", Exit::Status(0));
        check(
            "echo 'a  b' \"c \\\" d\" e\\ f",
            "a  b c \" d e f\n",
            "",
            Exit::Status(0),
        );
        check("true", "", "", Exit::Status(0));
        check("  false ", "", "", Exit::Status(1));
        check("", "", "", Exit::Status(0));
        check("hostname -f", "host-0012\n", "", Exit::Status(0));
        check("exit 42", "", "", Exit::Status(42));
        check("exit", "", "", Exit::Status(0));
        check("signal SIGTERM", "", "", Exit::Signal("TERM".into()));
        check("turn a b c d e", "c\n", "", Exit::Status(0));
        check("nostatus", "", "", Exit::None);
        check("nostatus so far", "so far\n", "", Exit::None);
        check("stderr oh no", "", "oh no\n", Exit::Status(0));
    }

    #[test]
    fn bad_commands_say_why_on_stderr() {
        check(
            "reboot now",
            "",
            "sh: reboot: command not found\n",
            Exit::Status(127),
        );
        check(
            "cat /etc/passwd",
            "",
            "sh: cat: command not found\n",
            Exit::Status(127),
        );
        check(
            "echo 'a",
            "",
            "sh: unterminated quoted string\n",
            Exit::Status(2),
        );
        check(
            "sleep soon",
            "",
            "sleep: invalid time interval 'soon'\n",
            Exit::Status(1),
        );
        check(
            "sleep -1",
            "",
            "sleep: invalid time interval '-1'\n",
            Exit::Status(1),
        );
        check(
            "sleep NaN",
            "",
            "sleep: invalid time interval 'NaN'\n",
            Exit::Status(1),
        );
        check(
            "yes",
            "",
            "yes: invalid number of bytes ''\n",
            Exit::Status(1),
        );
        check("exit x", "", "sh: exit: bad number: x\n", Exit::Status(2));
    }

    #[test]
    fn longer_commands_become_plans() {
        let parse = |line: &str| Command::parse(line.as_bytes(), 0);
        assert_eq!(parse("cat"), Command::Cat);
        assert_eq!(parse("hash"), Command::Hash);
        assert_eq!(
            parse("sleep 0.25"),
            Command::Sleep(Duration::from_millis(250))
        );
        assert_eq!(
            parse("yes 5"),
            Command::Repeat {
                pattern: Cow::Borrowed(&b"y\n"[..]),
                bytes: 5
            }
        );
        assert_eq!(
            parse("head -c 9 /dev/zero"),
            Command::Repeat {
                pattern: Cow::Borrowed(&LINE[..]),
                bytes: 9
            }
        );
    }

    #[test]
    fn echo_keeps_bytes_that_are_not_text() {
        let stdout = b"\xff\xfe\n".to_vec();
        let plan = Command::Reply {
            stdout,
            stderr: Vec::new(),
            exit: Exit::Status(0),
        };
        assert_eq!(Command::parse(b"echo \xff\xfe", 0), plan);
    }

    #[test]
    fn fnv_matches_the_published_values() {
        let hash = |bytes: &[u8]| {
            let mut fnv = Fnv::new();
            fnv.update(bytes);
            fnv.value()
        };
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
