//! A template is refused, or filled in: quoted values read back as they are, and nothing else of
//! the command depends on them.
//!
//! The input is a template and values, divided by bytes 0.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sshoal_pool::{Args, Commands, Listed, Template};
use sshoal_session::Host;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == 0);
    let template = parts.next().unwrap_or_default();
    let values: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    for value in &values {
        let quoted = sshoal_session::quote(value);
        assert_eq!(read_quoted(&quoted).as_deref(), Some(&**value));
    }
    let filled = |values: Vec<Vec<u8>>| {
        let host = Host::new("web1").expect("is a name");
        let commands = Commands::from(Template::new(template).args([Args::from(values)]));
        let listed = Listed::new((0, 1), &host, ("me", 22));
        commands.of(&listed).map(std::borrow::Cow::into_owned)
    };
    let Ok(command) = filled(values.clone()) else {
        return;
    };
    assert!(!command.contains(&0));
    // Plain words go wherever any value goes, but for what is put as it is.
    let plain = values.iter().map(|_| b"plain".to_vec()).collect();
    if !template.windows(4).any(|part| part == b":raw") {
        assert!(filled(plain).is_ok());
    }
});

/// What a POSIX shell makes of one word of plain bytes, single quotes and `\'`.
fn read_quoted(word: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), word);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\'' => {
                let end = rest.iter().position(|byte| *byte == b'\'')?;
                out.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
            }
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                out.push(*escaped);
                rest = after;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(*first),
            b'_' | b'-' | b'.' | b'/' | b':' | b'=' | b'+' | b',' | b'@' | b'%' | b'^' => {
                out.push(*first);
            }
            _ => return None,
        }
    }
    (!word.is_empty()).then_some(out)
}
