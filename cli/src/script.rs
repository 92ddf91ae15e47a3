//! `sshoal script`: a script of this machine, read by an interpreter of each host.
//!
//! It is `run` with the interpreter as the command and the script as its standard input.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::args::ScriptArgs;
use crate::run;

/// Runs the script on the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was run then.
pub(crate) fn script(args: ScriptArgs) -> Result<u8> {
    let mut run = args.run;
    let mut words = std::mem::take(&mut run.command).into_iter();
    let Some(file) = words.next() else {
        bail!("no script; write it after the options, as in: sshoal script -H web1 check.sh");
    };
    let begin = begin(Path::new(&file))?;
    let interpreter = match &args.interpreter {
        Some(typed) => typed.split_whitespace().map(str::to_owned).collect(),
        None => interpreter(&begin),
    };
    if interpreter.is_empty() {
        bail!("--interpreter is empty; name a program of the hosts, as sh or python3");
    }
    run.command = vec![OsString::from_vec(call(&interpreter, words.as_slice()))];
    run.launch.stdin = Some(file.into());
    run::run(&run)
}

/// Returns the first bytes of a script; of standard input and pipes, which are read once, nothing is taken.
fn begin(file: &Path) -> Result<Vec<u8>> {
    let mut begin = Vec::new();
    if file != Path::new("-") {
        let what = || format!("cannot read the script {}", file.display());
        let facts = std::fs::metadata(file).with_context(what)?;
        if facts.is_dir() {
            bail!("the script {} is a folder; name a file", file.display());
        }
        if !facts.is_file() {
            return Ok(begin);
        }
        let opened = File::open(file).with_context(what)?;
        let read = opened.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut begin);
        read.with_context(what)?;
    }
    Ok(begin)
}

/// Returns what the first line says is to read the script, or sh.
fn interpreter(begin: &[u8]) -> Vec<String> {
    let line = begin.split(|byte| *byte == b'\n').next();
    let said = line.and_then(|line| line.strip_prefix(b"#!"));
    let said = String::from_utf8_lossy(said.unwrap_or_default()).into_owned();
    let words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    match words.is_empty() {
        true => vec!["sh".to_owned()],
        false => words,
    }
}

/// Writes the call of an interpreter that reads its program from standard input, with arguments
/// for the program.
fn call(interpreter: &[String], args: &[OsString]) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = interpreter
        .iter()
        .map(|word| quote(word.as_ref()))
        .collect();
    match (is_shell(interpreter), args.is_empty()) {
        (true, true) => words.push(b"-s".to_vec()),
        (true, false) => words.extend([b"-s".to_vec(), b"--".to_vec()]),
        // What python, perl, ruby, node and lua call standard input.
        (false, false) => words.push(b"-".to_vec()),
        (false, true) => {}
    }
    words.extend(args.iter().map(|arg| quote(arg)));
    words.join(&b' ')
}

/// Returns whether the interpreter is a shell of POSIX's kind.
fn is_shell(interpreter: &[String]) -> bool {
    let base = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = interpreter.iter();
    let mut program = words.next().map(base);
    if program.as_deref() == Some("env") {
        // Its options and variables come before the program.
        program = words
            .find(|word| !word.starts_with('-') && !word.contains('='))
            .map(base);
    }
    let shells = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];
    program.is_some_and(|program| shells.contains(&program.as_str()))
}

/// Quotes a word for a shell of POSIX's kind, where it needs it.
pub(crate) fn quote(word: &OsStr) -> Vec<u8> {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:@%+,-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Linux takes no more of a `#!` line.
const FIRST_LINE_BYTES_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(first_line: &str, args: &[&str], expected: &str) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let call = call(&interpreter(first_line.as_bytes()), &args);
        assert_eq!(String::from_utf8_lossy(&call), expected);
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        check("", &[], "sh -s");
        check("echo hello\n", &["a b", "-x"], "sh -s -- 'a b' -x");
        check(
            "#!/bin/bash -e\nls",
            &["it's"],
            r"/bin/bash -e -s -- 'it'\''s'",
        );
        check(
            "#! /usr/bin/env python3\n",
            &[""],
            "/usr/bin/env python3 - ''",
        );
        check(
            "#!/usr/bin/env -S A=1 bash\n",
            &[],
            "/usr/bin/env -S 'A=1' bash -s",
        );
        check("#!/usr/bin/perl -w\n", &[], "/usr/bin/perl -w");
        check("#!\n", &[], "sh -s");
    }

    proptest! {
        #[test]
        fn quoted_words_are_one_word_for_a_shell(word in "\\PC*") {
            let word = OsString::from(word);
            let line = [b"printf %s ".to_vec(), quote(&word)].concat();
            let mut shell = std::process::Command::new("sh");
            let output = shell.arg("-c").arg(OsStr::from_bytes(&line)).output().unwrap();
            prop_assert_eq!(output.stdout, word.into_vec());
        }
    }
}
