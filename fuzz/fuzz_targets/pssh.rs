//! Any command line and any list of hosts is read or refused as pssh's own.
//!
//! The input is arguments divided by bytes 0; the first part is a list of hosts. The command is a
//! program and no library: its readers are built in here.

#![no_main]
#![allow(dead_code, reason = "the command uses more of it")]

/// As in the command.
mod wording {
    pub(crate) fn os_text(error: &std::io::Error) -> String {
        error.to_string()
    }
}

#[path = "../../cli/src/pssh"]
mod pssh {
    pub(crate) mod hosts;
    pub(crate) mod options;
    pub(crate) mod optparse;
    pub(crate) mod tool;

    /// As in the command.
    #[derive(Debug)]
    pub(crate) enum Stop {
        Fatal(String),
    }
}

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use pssh::options::Asked;
use pssh::tool::Tool;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == 0);
    let list = parts.next().unwrap_or_default();
    let args: Vec<OsString> = parts.map(|arg| OsString::from_vec(arg.to_vec())).collect();
    for tool in [Tool::Ssh, Tool::Scp] {
        let _ = pssh::options::read(tool, args.clone(), &|_| None);
    }
    let words = String::from_utf8_lossy(list).into_owned();
    let args = ["-H", &words, "true"].map(OsString::from).to_vec();
    let Ok(Asked::Run(options)) = pssh::options::read(Tool::Ssh, args, &|_| None) else {
        return;
    };
    let listed = pssh::hosts::read(&options, &mut |_| {}).expect("no file is read");
    assert_eq!(listed.len(), words.split_whitespace().count());

    let file = std::env::temp_dir().join(format!("sshoal-fuzz-pssh-{}", std::process::id()));
    std::fs::write(&file, list).expect("there is room");
    let args = [OsString::from("-h"), file.into(), "true".into()].to_vec();
    let Ok(Asked::Run(options)) = pssh::options::read(Tool::Ssh, args, &|_| None) else {
        panic!("a file and a command are enough");
    };
    let of_file = pssh::hosts::read(&options, &mut |_| {}).expect("the file is there");
    for host in listed.into_iter().chain(of_file) {
        assert!(!host.label.contains(char::is_whitespace));
        // A user with a colon is refused in our own lists, where a password would stand so.
        let is_ours = |host: &sshoal::Host| !host.user().is_some_and(|user| user.contains(':'));
        if let Ok(host) = host.host
            && is_ours(&host)
        {
            assert_eq!(host.to_string().parse(), Ok(host));
        }
    }
});
