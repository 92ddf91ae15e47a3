//! What each host is asked to run, and what is refused before any host is begun.

use std::sync::atomic::Ordering;

use super::fake::*;
use crate::{Args, ArgumentError, Commands, Listed, Quoting, RunError, Template};

/// Returns the commands of hosts `h0`, `h1`, … as the outcomes tell them, or why nothing was run.
#[track_caller]
fn commands(hosts: usize, commands: impl Into<Commands>) -> Result<Vec<String>, RunError> {
    let fake = Fake::new(Script::default());
    let run = fake.pool(hosts).run(commands.into());
    if run.is_err() {
        assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 0);
    }
    let report = run?.report();
    let bytes = report.outcomes().iter().map(|outcome| outcome.command());
    let text = bytes.map(|bytes| String::from_utf8_lossy(bytes.unwrap()).into_owned());
    Ok(text.collect())
}

#[track_caller]
fn refused(hosts: usize, what: impl Into<Commands>) -> RunError {
    commands(hosts, what).expect_err("it is refused")
}

#[test]
fn every_host_has_the_command_that_is_listed_for_it() {
    assert_eq!(commands(2, "same").unwrap(), ["same", "same"]);
    let each = Commands::each(["a", "b", "c"]);
    assert_eq!(commands(3, each).unwrap(), ["a", "b", "c"]);
}

/// The function sees what the pool knows of a host, its configuration's part included.
#[test]
fn a_function_makes_each_hosts_command() {
    let fake = Fake::new(Script::default());
    let hosts = ["h0", "ann@h1:2200"].map(|host| host.parse().unwrap());
    let pool = fake.pool_of(builder_of(hosts.into()));
    let command = |listed: &Listed<'_>| {
        let (index, total) = (listed.index(), listed.total());
        let (host, user, port) = (listed.host(), listed.user(), listed.port());
        format!("{index} of {total}: {host} {user} {port}")
    };
    let report = pool.run(Commands::by(command)).unwrap().report();
    let user = pool.config(0).user();
    let first = format!("0 of 2: h0 {user} 22");
    assert_eq!(report[0].command(), Some(first.as_bytes()));
    let second: &[u8] = b"1 of 2: ann@h1:2200 ann 2200";
    assert_eq!(report[1].command(), Some(second));
}

#[test]
fn a_function_that_refuses_one_host_runs_nothing() {
    let command = |listed: &Listed<'_>| match listed.index() {
        2 => Err("no rack is known"),
        _ => Ok("uptime"),
    };
    match refused(4, Commands::try_by(command)) {
        RunError::Refused { index: 2, source } => {
            assert_eq!(source.to_string(), "no rack is known");
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn lists_that_are_too_short_or_too_long_run_nothing() {
    for given in [1, 4] {
        let error = refused(3, Commands::each(vec!["x"; given]));
        let text = format!("{given} commands for 3 hosts; there has to be one for each");
        assert_eq!(error.to_string(), text);
        let error = refused(3, Template::new("{0}").args(vec!["x"; given]));
        let text = format!("arguments for {given} hosts, and 3 hosts; there have to be some");
        assert!(error.to_string().starts_with(&text), "{error}");
    }
}

#[test]
fn what_a_pool_knows_is_filled_in() {
    let template = Template::new("{host} {user:raw} {port} {n}/{total} {{}} $x ${{y}}");
    let user = Fake::new(Script::default())
        .pool(1)
        .config(0)
        .user()
        .to_owned();
    let made = commands(2, template).unwrap();
    assert_eq!(made[0], format!("h0 {user} 22 0/2 {{}} $x ${{y}}"));
    assert_eq!(made[1], format!("h1 {user} 22 1/2 {{}} $x ${{y}}"));
}

#[test]
fn arguments_are_filled_in_by_position_by_name_and_by_function() {
    let template = Template::new("{1} {0} {1}").args([["a", "b c"], ["d", "e"]]);
    assert_eq!(commands(2, template).unwrap(), ["'b c' a 'b c'", "e d e"]);
    let named = Args::new().named_all([("role", "web"), ("unused", "x")]);
    let template = Template::new("{role} {n}").args([named, Args::new().named("role", "db")]);
    assert_eq!(commands(2, template).unwrap(), ["web 0", "db 1"]);
    let by = |listed: &Listed<'_>| Args::from(listed.host().name()).named("half", "½");
    let template = Template::new("{0} {half}").args_by(by);
    assert_eq!(commands(2, template).unwrap(), ["h0 '½'", "h1 '½'"]);
}

#[test]
fn values_are_put_as_they_are_where_that_is_asked_for() {
    let template = Template::new("{0:raw} {0}").args(["a; b"]);
    assert_eq!(commands(1, template).unwrap(), ["a; b 'a; b'"]);
    let template = Template::new("{0} \\{0} ${0}")
        .quoting(Quoting::Raw)
        .args(["a; b"]);
    assert_eq!(commands(1, template).unwrap(), ["a; b \\a; b $a; b"]);
}

#[track_caller]
fn check_argument(template: Template, index: usize, placeholder: &str, fault: ArgumentError) {
    match refused(2, template) {
        RunError::Argument {
            index: at,
            placeholder: which,
            source,
        } => assert_eq!((at, which.as_str(), source), (index, placeholder, fault)),
        error => panic!("{error:?}"),
    }
}

#[test]
fn an_argument_that_does_not_fit_names_the_host_and_the_placeholder() {
    let two = |text: &str, second: Args| Template::new(text).args([Args::from(["a"]), second]);
    let none = Args::new();
    check_argument(two("x {0}", none.clone()), 1, "{0}", ArgumentError::Missing);
    check_argument(
        two("x {0} {a}", none.clone()),
        0,
        "{a}",
        ArgumentError::Missing,
    );
    check_argument(
        Template::new("x {3:raw}"),
        0,
        "{3:raw}",
        ArgumentError::Missing,
    );
    let more = Args::from(["a", "b"]);
    check_argument(two("x {0}", more), 1, "{1}", ArgumentError::Unused);
    let nul = Args::from(["a\0b"]);
    check_argument(two("x {0}", nul), 1, "{0}", ArgumentError::NulByte);
    for name in ["host", "n", "a-b", "", "1", "a:raw"] {
        let args = Args::from(["a"]).named(name, "x");
        let braced = format!("{{{name}}}");
        check_argument(two("x {0}", args), 1, &braced, ArgumentError::Name);
    }
}

#[test]
fn a_template_that_cannot_be_read_says_where() {
    let cases = [
        ("a {0", "the brace at byte 2 is not closed"),
        ("a { b", "the brace at byte 2 is not closed"),
        ("{a{0}}", "the brace at byte 0 is not closed"),
        ("0} b", "the brace at byte 1 closes nothing"),
        ("find {} ;", "{} at byte 5 is no placeholder"),
        ("{a b}", "{a b} at byte 0 is no placeholder"),
        ("{a:quoted}", "{a:quoted} at byte 0 is no placeholder"),
        ("{\u{e9}}", r"{\xc3\xa9} at byte 0 is no placeholder"),
        (
            "{99999999999999999999999}",
            "{99999999999999999999999} at byte 0",
        ),
        ("echo ${HOME}", "{HOME} at byte 6 follows a $"),
        ("echo \"${n}\"", "{n} at byte 7 follows a $"),
    ];
    for (template, text) in cases {
        match refused(1, Template::new(template)) {
            RunError::Template { source } => {
                assert!(source.to_string().starts_with(text), "{template}: {source}");
            }
            error => panic!("{template}: {error:?}"),
        }
    }
}

/// The bytes need not be text, and a NUL byte is refused before any host is begun.
#[test]
fn commands_are_bytes_without_nul() {
    let fake = Fake::new(Script::default());
    let report = fake.pool(1).run(vec![0xff, b'\n', 0x80]).unwrap().report();
    assert_eq!(report[0].command(), Some(&[0xff, b'\n', 0x80][..]));
    let each = Commands::each([&b"a"[..], b"a\0b"].map(<[u8]>::to_vec));
    assert!(matches!(refused(2, each), RunError::NulByte { index: 1 }));
    assert!(matches!(refused(2, "\0"), RunError::NulByte { index: 0 }));
}

/// Values that have to be quoted, where quotes are not followed.
#[test]
fn a_value_that_cannot_be_quoted_in_its_place_is_refused() {
    let places = [
        r"echo \{0}",
        "echo a # {0}",
        "echo `echo {0}`",
        "cat <<x\n{0}\nx",
        "echo $((1 + {0}))",
        "echo $'{0}'",
        "echo $\\\n{0}",
        "echo \"$\\\n{0}\"",
        "echo $\\\n\\\n'{0}'",
        "echo \"$(echo {0})\"",
        "echo \"$(echo)\" {0}",
        "echo ${{x:-{0}}}",
        "((x = {0}))",
        "echo >&{0}",
        "echo >& \"x{0}\"",
        "echo $${0}",
        "echo $$'{0}'",
        "echo $$\\\n'{0}'",
        "echo $$({0})",
        "a[{0}]=1",
        "a[\"b\"{0}]=1",
        "echo $a[{0}]",
        "echo \"$a[{0}]\"",
        "echo \"$a[1][{0}]\"",
        "echo \"$#a[{0}]\"",
        "echo *({0})",
    ];
    for place in places {
        let unsafe_there = Template::new(place).args([["a"], ["a b"]]);
        check_argument(unsafe_there, 1, "{0}", ArgumentError::Place);
    }
    let elsewhere = [
        "echo $(echo {0})",
        "echo a#{0}",
        "echo # it's\n{0}",
        "\"${{HOME}}\" {0} $# # don't",
        "a=${{x}}{0}",
        "x <y >{0}",
        "x 2>&1 {0}",
        "x >& y>{0}",
        "x >&-;{0}",
        "echo $$ {0} \"$$'{0}'\"",
        "ls a[0-9]* {0}",
        "[ {0} = a ]",
        "echo \"$HOME [{0}]\"",
        "echo \"${{HOME}}[{0}]\"",
        "f() {{ echo {0}; }}; f",
        "[[ a =~ ^(a|b)$ ]] && echo {0}",
        "case a in (a) echo {0};; esac",
        "(echo {0})",
    ];
    for place in elsewhere {
        commands(1, Template::new(place).args(["a b"])).unwrap();
    }
}
