//! What a configuration file says, and what is wrong with it.

use super::*;
use crate::args;

/// Parses a command line with a configuration file of this text.
#[track_caller]
fn parse(text: &str, words: &[&str]) -> Result<ArgMatches, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let words: Vec<OsString> = [&["sshoal"], words]
        .concat()
        .iter()
        .map(OsString::from)
        .collect();
    let place = |_: &ArgMatches| Ok(Some((path.clone(), Must::Be)));
    let matches = matches_of(args::command(), &words, place);
    let name = path.display().to_string();
    matches.map_err(|error| crate::plain(&error).replace(&name, "FILE"))
}

/// The value of a flag of `run`, as it was said.
#[track_caller]
fn run(text: &str, words: &[&str], id: &str) -> Vec<String> {
    let matches = parse(text, &[&["run"], words, &["--", "true"]].concat()).unwrap();
    let (_, run) = matches.subcommand().unwrap();
    let raw = run.get_raw(id).into_iter().flatten();
    raw.map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_setting_is_a_default() {
    assert_eq!(run("par = 7", &[], "par"), ["7"]);
    assert_eq!(run("par = 7", &["-p", "3"], "par"), ["3"]);
    assert_eq!(run("par = 0x10", &[], "par"), ["16"]);
    assert_eq!(
        run("connect-timeout = 2.5", &[], "connect_timeout"),
        ["2.5"]
    );
    assert_eq!(run("par = 7\n[run]\npar = 9", &[], "par"), ["9"]);
    assert_eq!(run("[put]\npar = 9", &[], "par"), Vec::<String>::new());
    assert_eq!(
        run("option = ['A=1', 'B=2']", &[], "options"),
        ["A=1", "B=2"]
    );
    assert_eq!(
        run("option = ['A=1', 'B=2']", &["-O", "C=3"], "options"),
        ["C=3"]
    );
    assert_eq!(run("print = true", &[], "print"), ["true"]);
    assert_eq!(run("print = false", &[], "print"), ["false"]);
}

#[test]
fn what_was_said_rules_out_its_opposite() {
    assert_eq!(run("no-summary = true", &[], "no_summary"), ["true"]);
    assert_eq!(
        run("no-summary = true", &["--summary"], "no_summary"),
        ["false"]
    );
    assert_eq!(run("verbose = true", &["-q"], "verbose"), ["false"]);
    assert_eq!(run("quiet = true", &["-v"], "quiet"), ["false"]);
    assert_eq!(
        run("hosts = '/all'", &["-H", "one"], "hosts_files"),
        Vec::<String>::new()
    );
    assert_eq!(run("hosts = '/all'", &[], "hosts_files"), ["/all"]);
}

#[test]
fn verbs_have_tables_below_their_sub_command() {
    let text = "[fs]\nuser = 'ann'\n[fs.ls]\nlong = true";
    let matches = parse(text, &["fs", "-H", "a", "ls"]).unwrap();
    let (_, fs) = matches.subcommand().unwrap();
    assert_eq!(fs.get_one::<String>("user").unwrap(), "ann");
    let (_, ls) = fs.subcommand().unwrap();
    assert!(ls.get_flag("long"));
    let matches = parse(text, &["fs", "-H", "a", "ls", "-l", "bob"]).unwrap();
    let (_, fs) = matches.subcommand().unwrap();
    assert_eq!(fs.get_one::<String>("user").unwrap(), "bob");
}

#[track_caller]
fn check_refused(text: &str, message: &str) {
    let said = parse(text, &["run", "-H", "a", "true"]).expect_err(text);
    assert_eq!(said, message, "{text}");
}

#[test]
fn what_is_wrong_is_told_by_file_and_line() {
    check_refused(
        "par = 3\n\nporr = 4",
        "FILE:3: no sub-command has a flag --porr; see sshoal run --help",
    );
    check_refused(
        "[run]\nlong = true",
        "FILE:2: run has no flag --long; see sshoal run --help",
    );
    check_refused(
        "[run.now]\n",
        "FILE:1: there is no sub-command `now`; see sshoal --help",
    );
    check_refused(
        "[demo-fleet]\n",
        "FILE:1: there is no sub-command `demo-fleet`; see sshoal --help",
    );
    check_refused(
        "config = 'x'",
        "FILE:1: no sub-command has a flag --config; see sshoal run --help",
    );
    check_refused(
        "print = 1",
        "FILE:1: `print` is on or off; write true or false",
    );
    check_refused(
        "par = true",
        "FILE:1: `par` takes a value; write a number, or a text in quotes",
    );
    check_refused("par = [1]", "FILE:1: `par` takes one value, and no list");
    check_refused(
        "# first\npar = 0",
        "FILE:2: invalid value '0' for '--par <value>': write a whole number, at least 1",
    );
    check_refused(
        "[run]\nquiet = true\nverbose = true",
        "FILE:3: `quiet` and `verbose` contradict each other",
    );
    let said = parse("par = \n", &["run", "-H", "a", "true"]).unwrap_err();
    assert!(said.starts_with("FILE:1: "), "{said}");
}
