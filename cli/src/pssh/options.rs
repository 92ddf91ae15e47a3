//! The options of each tool, and what the environment says where they do not.
//!
//! The principal type is [`Options`].

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::optparse::{self, Definition, Given};
use super::tool::Tool;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) host_files: Vec<PathBuf>,
    pub(crate) host_strings: Vec<String>,
    pub(crate) host_glob: Option<String>,
    pub(crate) user: Option<String>,
    /// Below 1 nothing is begun.
    pub(crate) par: i64,
    /// In seconds; below 1 there is none.
    pub(crate) timeout: i64,
    pub(crate) outdir: Option<PathBuf>,
    pub(crate) errdir: Option<PathBuf>,
    /// Options of ssh_config, the one that counts first.
    pub(crate) options: Vec<String>,
    /// Arguments of the program that the tool is built on.
    pub(crate) extra: Vec<String>,
    /// Arguments of ssh, where that program is another.
    pub(crate) ssh_args: Option<String>,
    pub(crate) askpass: bool,
    pub(crate) verbose: bool,
    pub(crate) inline: bool,
    pub(crate) inline_stdout: bool,
    pub(crate) send_input: bool,
    pub(crate) print: bool,
    pub(crate) recursive: bool,
    pub(crate) archive: bool,
    pub(crate) localdir: Option<PathBuf>,
    /// What follows the options.
    pub(crate) words: Vec<OsString>,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Version,
    Run(Box<Options>),
}

/// An option's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Hosts,
    Host,
    HostGlob,
    User,
    Par,
    Outdir,
    Errdir,
    Timeout,
    Option,
    Verbose,
    Askpass,
    ExtraArgs,
    ExtraArg,
    Inline,
    InlineStdout,
    SendInput,
    Print,
    Recursive,
    Archive,
    Compress,
    SshArgs,
    Localdir,
    Help,
    Version,
}

/// Reads the command line over what the environment says.
///
/// # Errors
/// The message of what is wrong, without the program's name.
pub(crate) fn read(
    tool: Tool,
    args: Vec<OsString>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Asked, String> {
    let mut options = defaults(tool, environment)?;
    let (given, words) = optparse::parse(&definitions(tool), args);
    for given in given {
        match given.key {
            Key::Help => return Ok(Asked::Help),
            Key::Version => return Ok(Asked::Version),
            _ => options.set(given)?,
        }
    }
    let words = words?;
    tool.check(words.len(), options.send_input)?;
    if options.host_files.is_empty() && options.host_strings.is_empty() {
        return Err("Hosts not specified.".to_owned());
    }
    options.words = words;
    Ok(Asked::Run(Box::new(options)))
}

impl Options {
    fn set(&mut self, given: Given<Key>) -> Result<(), String> {
        let Given {
            key,
            written,
            value,
        } = given;
        match key {
            Key::Hosts => self.host_files.push(value.into()),
            Key::Host => self.host_strings.push(value),
            Key::HostGlob => self.host_glob = Some(value),
            Key::User => self.user = Some(value),
            Key::Par => self.par = optparse::integer(&written, &value)?,
            Key::Timeout => self.timeout = optparse::integer(&written, &value)?,
            Key::Outdir => self.outdir = path(value),
            Key::Errdir => self.errdir = path(value),
            Key::Option => self.options.push(value),
            Key::ExtraArgs => {
                let words = optparse::words(&value);
                let wrong = |wrong| format!("option {written}: {wrong}: {value}");
                self.extra.extend(words.map_err(wrong)?);
            }
            Key::ExtraArg => self.extra.push(value),
            Key::Verbose => self.verbose = true,
            Key::Askpass => self.askpass = true,
            Key::Inline => self.inline = true,
            Key::InlineStdout => self.inline_stdout = true,
            Key::SendInput => self.send_input = true,
            Key::Print => self.print = true,
            Key::Recursive => self.recursive = true,
            Key::Archive => self.archive = true,
            Key::SshArgs => self.ssh_args = Some(value),
            Key::Localdir => self.localdir = path(value),
            // What SSH compresses is its own matter; of files nothing is left to be had.
            Key::Compress | Key::Help | Key::Version => {}
        }
        Ok(())
    }
}

/// An empty name is as none.
fn path(value: String) -> Option<PathBuf> {
    (!value.is_empty()).then(|| value.into())
}

/// What the variables say; options for lists add to them, as in pssh.
fn defaults(tool: Tool, environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Options, String> {
    let read = |name: &str| environment(name).filter(|value| !value.is_empty());
    let text = |name: &str| read(name).map(|value| value.to_string_lossy().into_owned());
    let number = |name: &str, option: &str, default| match text(name) {
        Some(value) => optparse::integer(option, &value),
        None => Ok(default),
    };
    // Any text is a yes, also `0`.
    let is_set = |name: &str| read(name).is_some();
    Ok(Options {
        user: text("PSSH_USER"),
        par: number("PSSH_PAR", "-p", PAR)?,
        timeout: number("PSSH_TIMEOUT", "-t", tool.timeout())?,
        outdir: read("PSSH_OUTDIR").map(PathBuf::from),
        errdir: read("PSSH_ERRDIR").map(PathBuf::from),
        verbose: is_set("PSSH_VERBOSE"),
        print: is_set("PSSH_PRINT"),
        askpass: is_set("PSSH_ASKPASS"),
        inline: is_set("PSSH_INLINE"),
        recursive: is_set("PSSH_RECURSIVE"),
        archive: is_set("PSSH_ARCHIVE"),
        localdir: read("PSSH_LOCALDIR").map(PathBuf::from),
        options: text("PSSH_OPTIONS").into_iter().collect(),
        host_files: read("PSSH_HOSTS").map(PathBuf::from).into_iter().collect(),
        ..Options::default()
    })
}

/// Sessions at once where nothing else is said.
const PAR: i64 = 32;

/// Returns all options of a tool, in the order of its help.
fn definitions(tool: Tool) -> Vec<Definition<Key>> {
    let own: &[Definition<Key>] = match tool {
        Tool::Ssh => &OF_SSH,
        Tool::Scp => &OF_COPIES[..1],
        Tool::Rsync => &OF_RSYNC,
        Tool::Slurp => &OF_COPIES,
        Tool::Nuke => &[],
    };
    [&COMMON, own].concat()
}

/// Returns the help.
pub(crate) fn help(tool: Tool, program: &str) -> String {
    let mut text = format!("Usage: {program} {}\n\nOptions:\n", tool.usage());
    for option in definitions(tool) {
        let value = |mark: &str| {
            option
                .value
                .map_or(String::new(), |value| format!("{mark}{value}"))
        };
        let long = format!("--{}{}", option.name, value("="));
        let flags = match option.letter {
            Some(letter) => format!("  -{letter}{}, {long}", value(" ")),
            None => format!("  {long}"),
        };
        // The help begins in its column, or on a line of its own.
        let end = match flags.len() {
            ..=21 => format!("{:1$}", "", 24 - flags.len()),
            _ => format!("\n{:24}", ""),
        };
        let _ = writeln!(text, "{flags}{end}{}", option.help);
    }
    text
}

const fn flag(
    letter: Option<char>,
    name: &'static str,
    key: Key,
    help: &'static str,
) -> Definition<Key> {
    Definition {
        letter,
        name,
        key,
        value: None,
        help,
    }
}

const fn with(
    letter: char,
    name: &'static str,
    key: Key,
    (value, help): (&'static str, &'static str),
) -> Definition<Key> {
    Definition {
        value: Some(value),
        ..flag(Some(letter), name, key, help)
    }
}

/// Of all tools.
#[rustfmt::skip]
const COMMON: [Definition<Key>; 15] = [
    flag(None, "version", Key::Version, "print the version of pssh that this stands for"),
    flag(None, "help", Key::Help, "print this help"),
    with('h', "hosts", Key::Hosts, ("HOST_FILE", "file of hosts, [user@]host[:port] a line")),
    with('H', "host", Key::Host, ("HOST_STRING", "hosts, split at white space")),
    with('l', "user", Key::User, ("USER", "user where the host names none")),
    with('p', "par", Key::Par, ("PAR", "hosts at once, 32 unless said")),
    with('o', "outdir", Key::Outdir, ("OUTDIR", "folder for a file of each host's output")),
    with('e', "errdir", Key::Errdir, ("ERRDIR", "folder for a file of each host's errors")),
    with('t', "timeout", Key::Timeout, ("TIMEOUT", "seconds that a host may take, 0 for any")),
    with('O', "option", Key::Option, ("OPTION", "option of ssh_config")),
    flag(Some('v'), "verbose", Key::Verbose, "say more"),
    flag(Some('A'), "askpass", Key::Askpass, "ask for a password, once for all hosts"),
    with('x', "extra-args", Key::ExtraArgs, ("ARGS", "arguments of ssh, scp or rsync, split as by a shell")),
    with('X', "extra-arg", Key::ExtraArg, ("ARG", "one argument of ssh, scp or rsync")),
    with('g', "host-glob", Key::HostGlob, ("HOST_GLOB", "take of the files only hosts that fit")),
];

#[rustfmt::skip]
const OF_SSH: [Definition<Key>; 4] = [
    flag(Some('i'), "inline", Key::Inline, "show output and errors of each host at its end"),
    flag(None, "inline-stdout", Key::InlineStdout, "show output of each host at its end"),
    flag(Some('I'), "send-input", Key::SendInput, "give standard input to all hosts"),
    flag(Some('P'), "print", Key::Print, "show output as it comes"),
];

#[rustfmt::skip]
const OF_COPIES: [Definition<Key>; 2] = [
    flag(Some('r'), "recursive", Key::Recursive, "copy folders as well"),
    with('L', "localdir", Key::Localdir, ("LOCALDIR", "folder for what is copied from the hosts")),
];

#[rustfmt::skip]
const OF_RSYNC: [Definition<Key>; 4] = [
    flag(Some('r'), "recursive", Key::Recursive, "copy folders as well"),
    flag(Some('a'), "archive", Key::Archive, "copy folders, with permissions, times and links"),
    flag(Some('z'), "compress", Key::Compress, "taken, and of no effect"),
    with('S', "ssh-args", Key::SshArgs, ("ARGS", "arguments of ssh")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tool: Tool, args: &[&str], variables: &[(&str, &str)]) -> Result<Asked, String> {
        let args = args.iter().map(OsString::from).collect();
        let environment = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| OsString::from(value))
        };
        read(tool, args, &environment)
    }

    fn options(tool: Tool, args: &[&str], variables: &[(&str, &str)]) -> Options {
        match asked(tool, args, variables) {
            Ok(Asked::Run(options)) => *options,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_over_the_environment() {
        let said = [
            ("PSSH_PAR", "7"),
            ("PSSH_TIMEOUT", "0x10"),
            ("PSSH_USER", "ann"),
            ("PSSH_OPTIONS", "Port=1"),
            ("PSSH_INLINE", "0"),
            ("PSSH_OUTDIR", ""),
        ];
        let read = options(Tool::Ssh, &["-p3", "-O", "Port=2", "-Ha", "ls"], &said);
        assert_eq!((read.par, read.timeout), (3, 16));
        assert_eq!(read.user.as_deref(), Some("ann"));
        assert_eq!(read.options, ["Port=1", "Port=2"]);
        assert!(read.inline);
        assert_eq!(read.outdir, None);
        let wrong = asked(Tool::Ssh, &["-Ha", "ls"], &[("PSSH_PAR", "abc")]);
        let message = "option -p: invalid integer value: 'abc'";
        assert_eq!(wrong, Err(message.to_owned()));
    }

    #[test]
    fn each_tool_has_its_own_words_and_limits() {
        for (tool, args, message) in [
            (Tool::Ssh, &["-Ha"][..], "Command not specified."),
            (Tool::Ssh, &["ls"], "Hosts not specified."),
            (Tool::Scp, &["-Ha", "x"], "Remote path not specified."),
            (
                Tool::Slurp,
                &["-Ha", "x", "y", "z"],
                "Extra arguments given after the local path.",
            ),
            (
                Tool::Nuke,
                &["-Ha", "x", "y"],
                "Extra arguments given after the pattern.",
            ),
            (Tool::Nuke, &["-i"], "no such option: -i"),
            (
                Tool::Ssh,
                &["-x", "'"],
                "option -x: No closing quotation: '",
            ),
        ] {
            assert_eq!(asked(tool, args, &[]), Err(message.to_owned()));
        }
        assert_eq!(options(Tool::Nuke, &["-Ha", "x"], &[]).timeout, 60);
        assert_eq!(options(Tool::Scp, &["-Ha", "x", "y"], &[]).timeout, 0);
        assert!(options(Tool::Ssh, &["-Ha", "-I"], &[]).words.is_empty());
    }

    #[test]
    fn the_help_names_every_option() {
        for tool in [Tool::Ssh, Tool::Scp, Tool::Rsync, Tool::Slurp, Tool::Nuke] {
            let text = help(tool, "pssh");
            for option in definitions(tool) {
                assert!(text.contains(&format!("--{}", option.name)), "{text}");
            }
        }
    }
}
