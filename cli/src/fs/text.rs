//! What hosts tell of their files, as lines that no name can break.

use std::time::{Duration, UNIX_EPOCH};

use sshoal::sanitise::is_harmless;
use sshoal::transfer::sftp::{Attributes, FileSystemStat};

use crate::time::rfc3339;

/// How a list of names is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Mode, owner and size come first.
    pub(super) long: bool,
    /// And the time of the last change.
    pub(super) times: bool,
    /// Names are as they are, and end with NUL.
    pub(super) null: bool,
}

impl Form {
    /// Writes a name with what is known of it.
    pub(super) fn write(self, name: &[u8], about: Option<&Attributes>, out: &mut Vec<u8>) {
        if self.null {
            out.extend_from_slice(name);
            out.push(0);
            return;
        }
        if let Some(about) = about.filter(|_| self.long || self.times) {
            out.extend_from_slice(facts(about, self.times).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(shown(name).as_bytes());
        out.push(b'\n');
    }
}

/// Returns a name in one line: with `\xNN` for what is no plain character, and `\\` for `\`.
pub(super) fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if is_harmless(c) && !matches!(c, '\n' | '\t') => text.push(c),
                c => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Returns mode, owner and size, and the time of the last change if that is wanted; `?` for what the
/// host does not tell.
pub(super) fn facts(about: &Attributes, times: bool) -> String {
    let unknown = || "?".to_owned();
    let owner = about.owner.map(|(user, group)| format!("{user}:{group}"));
    let size = about.size.map(|size| size.to_string());
    let mut text = format!(
        "{} {} {}",
        about.mode.map_or_else(unknown, mode),
        owner.unwrap_or_else(unknown),
        size.unwrap_or_else(unknown),
    );
    if times {
        let time = about.times.map(|(_, modified)| {
            let at = UNIX_EPOCH + Duration::from_secs(modified.into());
            // SFTP has whole seconds.
            rfc3339(at).replace(".000Z", "Z")
        });
        text.push(' ');
        text.push_str(&time.unwrap_or_else(unknown));
    }
    text
}

/// Returns a mode as `ls` shows it.
fn mode(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o100_000 => '-',
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// Returns the room of a file system in one line, in bytes.
pub(super) fn room(room: &FileSystemStat) -> String {
    let bytes = |blocks: u64| blocks.saturating_mul(room.fragment_size);
    let used = room.blocks.saturating_sub(room.blocks_free);
    format!(
        "size {} used {} available {} files {} free {}",
        bytes(room.blocks),
        bytes(used),
        bytes(room.blocks_available),
        room.files,
        room.files_available,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_harmless_line() {
        assert_eq!(shown(b"plain \xc3\xbc"), "plain ü");
        assert_eq!(
            shown(b"a\nb\t\x1b[2J\\\xff"),
            "a\\x0ab\\x09\\x1b[2J\\\\\\xff"
        );
        assert_eq!(shown("\u{202e}x".as_bytes()), "\\xe2\\x80\\xaex");
        let mut out = Vec::new();
        let null = Form {
            null: true,
            ..Form::default()
        };
        null.write(b"a\nb", None, &mut out);
        Form::default().write(b"a\nb", None, &mut out);
        assert_eq!(out, b"a\nb\0a\\x0ab\n");
    }

    #[test]
    fn modes_are_as_ls_shows_them() {
        for (bits, expected) in [
            (0o100_644, "-rw-r--r--"),
            (0o041_777, "drwxrwxrwt"),
            (0o106_711, "-rws--s--x"),
            (0o105_600, "-rwS-----T"),
            (0o120_777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode(bits), expected);
        }
    }

    #[test]
    fn what_is_not_told_is_a_question() {
        assert_eq!(facts(&Attributes::default(), true), "? ? ? ?");
        let about = Attributes {
            size: Some(5),
            owner: Some((0, 4)),
            mode: Some(0o100_600),
            times: Some((0, 86_400)),
        };
        assert_eq!(facts(&about, true), "-rw------- 0:4 5 1970-01-02T00:00:00Z");
    }
}
