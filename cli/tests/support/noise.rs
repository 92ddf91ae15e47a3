//! Bytes that terminals act on, and where they may arrive.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::output;
use super::screen::shell_line;

/// Bytes that are no text, the same ones in each run: of a linear congruential generator.
pub(crate) fn noise(lines: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    let mut bytes = Vec::new();
    for _ in 0..lines {
        for _ in 0..next() % 40 {
            // Those that terminals act on come often.
            let byte = match next() % 4 {
                0 => [0x1b, b'[', 0x9b, b'\r', 0xc2, b']', 0x07, 0x08][next() % 8],
                _ => (next() % 256) as u8,
            };
            bytes.push(if byte == b'\n' { 0x1b } else { byte });
        }
        bytes.push(b'\n');
    }
    bytes
}

/// The objects of a file of JSON lines.
#[track_caller]
pub(crate) fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The bytes of a string of an object.
pub(crate) fn bytes(object: &Value, key: &str, encoding: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text = object[key].as_str().unwrap();
    match object[encoding].as_str().unwrap() {
        "utf-8" => text.as_bytes().to_vec(),
        _ => base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap(),
    }
}

/// Everything that a terminal got from a program, with the line ends that it had.
pub(crate) fn on_a_terminal(program: &Command) -> Vec<u8> {
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &shell_line(program),
        "/dev/null",
    ]);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let shown = output(script.current_dir(program.get_current_dir().unwrap()));
    let mut text = Vec::with_capacity(shown.stdout.len());
    for (at, byte) in shown.stdout.iter().enumerate() {
        if !(*byte == b'\r' && shown.stdout.get(at + 1) == Some(&b'\n')) {
            text.push(*byte);
        }
    }
    text
}
