//! The dialect of pssh against Debian's pssh 2.3.4: the same calls over the same hosts give the same
//! output, exit code and files. What differs on purpose is in `docs/pssh.md`.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use support::pssh::{Bench, Case, case, skip};

/// A command that prints on both streams and fails.
const BOTH: &str = "echo out; echo err >&2; exit 3";

fn ssh(code: i32, args: &[&'static str]) -> Case {
    case(code, "ssh", args)
}

#[test]
fn commands_run_and_are_shown_as_by_pssh() {
    let Some(bench) = Bench::start() else { return };
    let hosts = "one\ntwo # the second\n\n# three\n";
    bench.compare(&[
        ssh(0, &["-H", "one", "true"]),
        ssh(0, &["-H", "one two three", "echo", "hello"]).many(),
        ssh(5, &["-H", "one", "exit 3"]),
        ssh(4, &["-H", "one", "exit 255"]),
        ssh(4, &["-H", "one", "kill -9 $$"]),
        ssh(5, &["-i", "-H", "one two", BOTH]).many(),
        ssh(0, &["-i", "-H", "one", "printf unfinished"]),
        ssh(0, &["-i", "-H", "one", r"printf '\000\377\033[2J\r\nx'"]),
        ssh(0, &["-i", "-H", "one", "seq 20000"]),
        ssh(5, &["--inline-stdout", "-H", "one", BOTH]),
        ssh(5, &["-i", "--inline-stdout", "-H", "one", BOTH]),
        ssh(5, &["-P", "-H", "one", BOTH]),
        ssh(0, &["-P", "-H", "one two", "printf x"]).many(),
        ssh(0, &["-P", "-i", "-H", "one", "echo x"]),
        ssh(5, &["-o", "out", "-e", "err", "-H", "one two", BOTH]).many(),
        ssh(0, &["-o", "new/deep/out", "-H", "one", "echo x"]),
        ssh(0, &["-o", "out", "-e", "err", "-H", "one", "true"]),
        ssh(0, &["-o", "out", "-H", "one", "echo x"]).file("out/one", "much that was there before"),
        ssh(0, &["-o", "out", "-H", "one one one", "echo x"]).many(),
        ssh(0, &["-o", "out", "-H", "{user}@one one:{port}", "echo x"]).many(),
        ssh(4, &["-e", "err", "-H", "dead one", BOTH]).many(),
        ssh(4, &["-i", "-H", "dead one two", "exit 1"]).many(),
        ssh(4, &["-i", "-H", "no-such-host.invalid", "true"]),
        ssh(3, &["-i", "-t", "4", "-H", "one", "echo begun; sleep 60"]),
        ssh(
            3,
            &["-t4", "-o", "out", "-H", "one dead", "echo begun; sleep 20"],
        )
        .many(),
        ssh(0, &["-t", "0", "-H", "one", "true"]),
        ssh(
            0,
            &[
                "-p",
                "1",
                "-i",
                "-H",
                "one two three",
                "echo $PSSH_NODENUM/$PSSH_NUMNODES $PSSH_HOST",
            ],
        ),
        ssh(0, &["-p", "2", "-i", "-h", "hosts", "hostname"])
            .file("hosts", hosts)
            .many(),
        ssh(0, &["-v", "-H", "one", "true"]),
        ssh(0, &["-i", "-H", "one", "echo", "-i", "-h", "--help"]),
        ssh(0, &["-i", "-H", "one", "--", "echo", "a  b", "$HOME"]),
        ssh(0, &["-i", "-I", "-H", "one two", "cat"])
            .stdin("given\nto all\n")
            .many(),
        ssh(0, &["-i", "-I", "-H", "one", "wc -c"]).stdin(vec![b'x'; 300_000]),
        ssh(0, &["-i", "-I", "-H", "one"]).stdin("echo $((6*7))\n"),
        ssh(0, &["-i", "-I", "-H", "one", "cat"]),
    ]);
}

#[test]
fn ssh_is_told_what_pssh_tells_it() {
    let Some(bench) = Bench::start() else { return };
    let twice = [
        "-i",
        "-O",
        "StrictHostKeyChecking=yes",
        "-O",
        "UserKnownHostsFile=/dev/null",
        "-H",
        "one",
        "true",
    ];
    bench.compare(&[
        ssh(0, &["-O", "Port={port}", "-H", "one:1", "true"]),
        ssh(4, &["-i", "-O", "User=nobody-there", "-H", "one", "true"]),
        ssh(4, &["-i", "-l", "nobody-there", "-H", "one", "true"]),
        ssh(0, &["-l", "{user}", "-H", "one {user}@two", "true"]).many(),
        ssh(0, &["-l", "nobody-there", "-H", "{user}@one", "true"]),
        ssh(4, &twice),
        ssh(
            0,
            &[
                "-i",
                "-x",
                "-4 -o 'ConnectTimeout=5' -C",
                "-H",
                "one",
                "true",
            ],
        ),
        ssh(
            4,
            &[
                "-i",
                "-X",
                "-4",
                "-X",
                "-oPort={port}",
                "-H",
                "one:1",
                "true",
            ],
        ),
        ssh(0, &["-i", "-x", "-i /nonexistent/key", "-H", "one", "true"]),
        ssh(
            4,
            &["-i", "-x", "-i /nonexistent/key", "-H", "dead", "true"],
        ),
        ssh(
            0,
            &["-i", "-x", "-tt", "-H", "one", "test -t 1 && echo terminal"],
        ),
        ssh(5, &["-i", "-x", "-t", "-H", "one", "test -t 1"]),
        ssh(4, &["-i", "-x", "-q", "-H", "dead", "true"]),
        ssh(0, &["-x", "-l {user} -p {port}", "-H", "one", "true"]),
        ssh(4, &["-x", "-J dead", "-H", "one", "true"]),
        ssh(0, &["-A", "-H", "one", "echo x"])
            .stdin("secret\n")
            .but_stderr(),
    ]);
}

#[test]
fn the_environment_says_what_it_says_to_pssh() {
    let Some(bench) = Bench::start() else { return };
    bench.compare(&[
        ssh(0, &["-i", "-H", "one", "echo x"])
            .env("PSSH_ASKPASS", "1")
            .stdin("secret\n")
            .but_stderr(),
        ssh(0, &["-H", "one", "echo x"]).env("PSSH_INLINE", "0"),
        ssh(0, &["-H", "one", "echo x"])
            .env("PSSH_PRINT", "yes")
            .env("PSSH_VERBOSE", "1"),
        ssh(0, &["-H", "one", "echo x; echo y >&2"])
            .env("PSSH_OUTDIR", "o")
            .env("PSSH_ERRDIR", "e"),
        ssh(3, &["-H", "one", "sleep 20"])
            .env("PSSH_TIMEOUT", "1")
            .env("PSSH_PAR", "0x10"),
        ssh(0, &["-H", "one {user}@two", "true"])
            .env("PSSH_USER", "{user}")
            .many(),
        ssh(0, &["-H", "one:1", "true"]).env("PSSH_OPTIONS", "Port={port}"),
        ssh(4, &["-O", "Port={port}", "-H", "one", "true"]).env("PSSH_OPTIONS", "Port=1"),
        ssh(0, &["-H", "two", "true"])
            .env("PSSH_HOSTS", "hosts")
            .file("hosts", "one\n")
            .many(),
    ]);
}

/// The lines are coloured on a terminal, and what hosts print comes as it is where it is text.
#[test]
fn a_terminal_gets_the_colours_of_pssh() {
    let Some(bench) = Bench::start() else { return };
    bench.compare(&[
        ssh(0, &["-i", "-H", "one", "echo out"]).terminal(),
        ssh(5, &["-i", "-H", "one", "echo out; echo err >&2; exit 3"]).terminal(),
        ssh(4, &["-H", "dead", "true"]).terminal(),
        ssh(0, &["-H", "one", "true"])
            .env("TERM", "dumb")
            .terminal(),
        ssh(2, &["--bogus"]).terminal(),
    ]);
}

#[test]
fn lists_and_words_are_read_as_by_pssh() {
    let Some(bench) = Bench::start() else { return };
    let bad = "one\na b c\nx@one y\n  two {user} # who\n:22\n";
    let usage = |args: &[&'static str]| ssh(2, args);
    bench.compare(&[
        ssh(0, &["-h", "a", "-h", "b", "-H", "three", "true"])
            .file("a", "one")
            .file("b", "two\n")
            .many(),
        ssh(4, &["-h", "hosts", "-O", "ConnectTimeout=9", "true"])
            .file("hosts", bad)
            .many(),
        ssh(0, &["-h", "hosts", "-g", "t*", "-H", "one", "true"])
            .file("hosts", "one\ntwo\nthree")
            .many(),
        ssh(0, &["-h", "hosts", "--host-glob=[!t]*", "true"]).file("hosts", "one\ntwo\nthree"),
        ssh(0, &["-p1", "-h", "hosts", "true"]).file("hosts", "one\r\ntwo\rthree"),
        ssh(0, &["-h", "hosts", "true"]).file("hosts", "# none\n"),
        ssh(0, &["-o", "out", "-H", " ", "true"]),
        ssh(1, &["-h", "missing", "true"]),
        ssh(1, &["-h", "folder", "true"]).file("folder/", ""),
        ssh(
            4,
            &["-i", "-H", "one:x one:0 one:70000 bad/name :{port}", "true"],
        )
        .many(),
        ssh(0, &["-H", "one", "-H", "two two", "true"]).many(),
        ssh(
            0,
            &["-p32", "--time", "9", "--user={user}", "-Hone", "true"],
        ),
        ssh(0, &["--inline-", "--hosts", "hosts", "true"]).file("hosts", "one"),
        usage(&[]),
        usage(&["-H", "one"]),
        usage(&["true"]),
        usage(&["--bogus"]),
        usage(&["--bogus=3", "x"]),
        usage(&["-iz"]),
        usage(&["-p", "many", "-H", "one", "true"]),
        usage(&["--par=1.5"]),
        usage(&["-t", "0x"]),
        usage(&["-h"]),
        usage(&["--hosts"]),
        usage(&["--ho", "one", "true"]),
        usage(&["--inline=1", "-H", "one", "true"]),
        usage(&["-r"]),
        ssh(0, &["--version"]),
        ssh(0, &["--help"]).code_only(),
        ssh(0, &["--vers", "--bogus"]),
        case(5, "nuke", &["-H", "one two", "no-such-process-here"]).many(),
        case(2, "nuke", &["-H", "one"]),
        case(2, "nuke", &["-H", "one", "a", "b"]),
        case(4, "nuke", &["-e", "err", "-H", "dead", "x"]),
        case(0, "nuke", &["--version"]),
    ]);
}

#[test]
fn files_go_to_hosts_and_back_as_by_pssh() {
    let Some(bench) = Bench::start() else { return };
    let scp = |code, args: &[&'static str]| {
        let case = case(code, "scp", args)
            .env("PSSH_INLINE", "1")
            .file("a", "first")
            .file("b", "second");
        case.file("tree/x", "in it")
            .file("tree/sub/y", "deeper")
            .file("tree/empty/", "")
    };
    let slurp = |code, args: &[&'static str]| {
        let case = case(code, "slurp", args)
            .env("PSSH_INLINE", "1")
            .file("there/a", "first");
        case.file("there/ab", "second")
            .file("there/tree/sub/y", "deeper")
    };
    let both = ["-H", "one two", "a", "{there}/new"];
    bench.compare(&[
        scp(0, &both).many(),
        scp(0, &["-H", "one", "a", "{there}"]),
        scp(0, &["-H", "one", "a", "{there}/b"]).file("there/b", "much that was there before"),
        scp(0, &["-H", "one", "a", "b", "{there}"]),
        scp(0, &["-H", "one", "a", "b", "{there}/made"]),
        scp(4, &["-H", "one", "a", "b", "{there}/b"]).file("there/b", ""),
        scp(4, &["-H", "one", "missing", "a", "{there}"]),
        scp(4, &["-H", "one", "a", "{there}/no/where"]),
        scp(4, &["-H", "one", "a", "{there}/no/"]),
        scp(4, &["-H", "one", "tree", "{there}"]),
        scp(0, &["-r", "-H", "one", "tree", "{there}"]),
        scp(0, &["-r", "-H", "one", "tree", "a", "{there}"]),
        scp(0, &["-r", "-H", "one:{port}", "tree", "{there}/other"]),
        scp(4, &["-r", "-H", "one", "tree", "{there}/b"]).file("there/b", ""),
        scp(0, &["-x", "-p", "-H", "one", "a", "{there}/new"]).times(),
        scp(4, &["-e", "err", "-H", "dead one", "a", "{there}/new"]).many(),
        scp(2, &["-H", "one"]),
        scp(2, &["-H", "one", "a"]),
        scp(2, &["a", "b"]),
        scp(0, &["--version"]),
        slurp(0, &["-L", "got", "-H", "one two", "{there}/a", "copy"]).many(),
        slurp(0, &["-L", "got", "-H", "one:{port}", "{there}/a", "."]),
        slurp(
            0,
            &["-r", "-L", "got/deep", "-H", "one", "{there}/tree", "copy"],
        ),
        slurp(
            5,
            &["-L", "got", "-H", "one:{port}", "{there}/tree", "copy"],
        ),
        slurp(
            5,
            &["-L", "got", "-H", "one:{port}", "{there}/missing", "copy"],
        ),
        slurp(
            5,
            &["-L", "got", "-H", "one:{port}", "{there}/none*", "copy"],
        ),
        slurp(
            5,
            &["-L", "got", "-H", "one:{port}", "{there}/a", "no/copy"],
        ),
        slurp(0, &["-L", "got", "-H", "one", "{there}/a*", "."]),
        slurp(4, &["-L", "got", "-H", "dead one", "{there}/a", "copy"]).many(),
        slurp(0, &["-H", "one", "{there}/a", "copy"]).env("PSSH_LOCALDIR", "got"),
        slurp(2, &["-H", "one", "a"]),
        slurp(2, &["-H", "one", "a", "b", "c"]),
    ]);
}

#[test]
fn directories_are_brought_in_step_as_by_prsync() {
    let Some(bench) = Bench::start() else { return };
    if std::process::Command::new("rsync")
        .arg("--version")
        .output()
        .is_err()
    {
        skip("rsync is not installed");
        return;
    }
    let rsync = |code, args: &[&'static str]| {
        let case = case(code, "rsync", args)
            .env("PSSH_INLINE", "1")
            .file("a", "first");
        case.file("tree/x", "in it")
            .file("tree/sub/y", "deeper")
            .file("tree/empty/", "")
    };
    bench.compare(&[
        rsync(0, &["-H", "one two", "a", "{there}/new"]).many(),
        rsync(0, &["-H", "one", "a", "{there}"]),
        rsync(0, &["-H", "one", "a", "{there}/new/"]),
        rsync(0, &["-H", "one", "tree", "{there}"]),
        rsync(0, &["-r", "-H", "one", "tree", "{there}"]),
        rsync(0, &["-r", "-H", "one", "tree", "{there}/new"]),
        rsync(0, &["-r", "-H", "one", "tree/", "a", "{there}/new"]),
        rsync(0, &["-az", "-H", "one", "tree/", "{there}"]).times(),
        rsync(0, &["-r", "-H", "one", "tree/", "{there}"]).file("there/old", "stays"),
        rsync(
            0,
            &["-r", "-x", "--delete", "-H", "one", "tree/", "{there}"],
        )
        .file("there/old", "goes"),
        rsync(
            0,
            &["-r", "-x", "--exclude=sub", "-H", "one", "tree/", "{there}"],
        ),
        rsync(
            0,
            &["-r", "-S", "-p {port} -4", "-H", "one", "tree/", "{there}"],
        ),
        rsync(4, &["-r", "-H", "one", "missing", "{there}"]).code_only(),
        rsync(4, &["-r", "-H", "one", "tree/", "{there}/no/where"]).code_only(),
        rsync(4, &["-H", "dead", "a", "{there}"]).code_only(),
        rsync(2, &["-H", "one", "a"]),
        rsync(0, &["--version"]),
    ]);
}
