//! How the dialect gets into hosts: by the user's ssh_config and known_hosts, as ssh does where
//! nobody can be asked.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use sshoal::ssh_config::{Origin, quote};
use sshoal::{Config, Host, HostKeyPolicy, HostOption, Passphrases, Resolver, Secret};

use super::Stop;
use super::hosts::Listed;
use super::options::Options;
use super::ssh_args::Handed;
use super::tool::Tool;
use super::words::Destination;
use crate::plan::Access;
use crate::terminal::Terminal;

/// What is connected to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) hosts: Vec<Host>,
    /// By host, as all lists here.
    pub(crate) configs: Vec<Arc<Config>>,
    pub(crate) to: Vec<Destination>,
    /// Positions in the list that was read.
    pub(crate) listed: Vec<usize>,
    pub(crate) notices: Vec<String>,
}

/// Opens everything for those of the list that can be connected to.
///
/// # Errors
/// An option or a file is no good.
pub(crate) fn open(
    tool: Tool,
    options: &Options,
    handed: &Handed,
    (listed, password): (&[Listed], Option<Secret>),
) -> Result<Opened, Stop> {
    let resolver = resolver(tool, handed, password)?;
    let mut opened = Opened {
        hosts: Vec::new(),
        configs: Vec::new(),
        to: Vec::new(),
        listed: Vec::new(),
        notices: Vec::new(),
    };
    for (index, entry) in listed.iter().enumerate() {
        let Ok(host) = &entry.host else { continue };
        let host = without(host, &options.options);
        let wrong = |error: &dyn std::error::Error| {
            Stop::Usage(format!("{}: {}", entry.label, crate::wording::chain(error)))
        };
        let said = resolver.options(&host).map_err(|error| wrong(&error))?;
        let own = match tool {
            Tool::Ssh => {
                let set = said.set_env.iter().map(|set| set.value().clone());
                vec![numbered(set, (index, listed.len()), &entry.name)]
            }
            _ => Vec::new(),
        };
        let config = resolver
            .config_with(&host, &own)
            .map_err(|error| wrong(&error))?;
        opened.to.push(Destination {
            name: said.host_name.value().clone(),
            user: said.user.value().clone(),
            port: *said.port.value(),
        });
        opened.hosts.push(host);
        opened.configs.push(config);
        opened.listed.push(index);
    }
    if options.verbose {
        opened.notices = resolver.notices();
    }
    Ok(opened)
}

/// Makes the resolver. Nobody is asked anything: whom ssh would ask there is no terminal for.
fn resolver(tool: Tool, handed: &Handed, password: Option<Secret>) -> Result<Resolver, Stop> {
    // Of several values the first counts, and pssh says its own before the user's.
    let own = tool
        .runs_command()
        .then(|| "NumberOfPasswordPrompts=1".to_owned());
    let access = Access {
        options: own
            .into_iter()
            .chain(handed.options.iter().cloned())
            .collect(),
        config_file: handed.config_file.clone(),
        home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        ..Access::default()
    };
    let builder = crate::access::builder(&access, &mut Vec::new());
    let builder = builder.map_err(|error| Stop::Usage(format!("{error:#}")))?;
    let builder = builder
        .ask_policy(HostKeyPolicy::Strict)
        .unsaid_connect_timeout(None)
        .passphrases(Arc::new(Known(password.as_ref().map(again))));
    Ok(match password {
        Some(password) => builder.password(password).build(),
        None => builder.build(),
    })
}

/// Leaves out what an option says of the host: it comes first on ssh's command line.
fn without(host: &Host, options: &[String]) -> Host {
    let bare = Host::new(host.name()).unwrap_or_else(|_| host.clone());
    let port = host.port().filter(|_| !says(options, "Port"));
    let user = host.user().filter(|_| !says(options, "User"));
    let with_port = port.and_then(|port| bare.clone().with_port(port).ok());
    let bare = with_port.unwrap_or(bare);
    let with_user = user.and_then(|user| bare.clone().with_user(user).ok());
    with_user.unwrap_or(bare)
}

/// Whether an option says this key.
fn says(options: &[String], key: &str) -> bool {
    let name = |option: &String| {
        let name = option.split(['=', ' ', '\t']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(key)
    };
    options.iter().any(name)
}

/// Returns the option that tells a host its number, beside what ssh_config sets.
fn numbered(
    set: impl Iterator<Item = (String, String)>,
    (number, total): (usize, usize),
    name: &str,
) -> HostOption {
    let own = [
        ("PSSH_NODENUM".to_owned(), number.to_string()),
        ("PSSH_NUMNODES".to_owned(), total.to_string()),
        ("PSSH_HOST".to_owned(), name.to_owned()),
    ];
    let words = set
        .chain(own)
        .map(|(name, value)| quote(&format!("{name}={value}")));
    let words: Vec<String> = words.collect();
    HostOption::new(format!("SetEnv {}", words.join(" ")), Origin::CommandLine)
}

/// The password that was asked for, which opens keys as well.
struct Known(Option<Secret>);

impl Passphrases for Known {
    fn passphrase(&self, _key: &Path, tries: u32) -> Option<Secret> {
        self.0.as_ref().filter(|_| tries == 0).map(again)
    }
}

/// Each copy is erased by its own.
fn again(secret: &Secret) -> Secret {
    Secret::from(secret.expose().to_vec())
}

/// Warns, and asks for the password: on the terminal, or where there is none on standard input.
///
/// # Errors
/// There is nobody to ask.
pub(crate) fn ask() -> Result<Secret, Stop> {
    let _ = io::stdout().write_all(WARNING.as_bytes());
    let none = |error: io::Error| Stop::Fatal(format!("cannot ask for the password: {error}"));
    if let Some(mut terminal) = Terminal::open() {
        let password = terminal.ask_hidden("Password: ").map_err(none)?;
        return password.ok_or_else(|| Stop::Fatal("no password was given".to_owned()));
    }
    let echoed = "Warning: Password input may be echoed.\nPassword: ";
    let _ = io::stderr().write_all(echoed.as_bytes());
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let read = io::stdin().lock().read_until(b'\n', &mut line);
    if read.map_err(none)? == 0 {
        return Err(Stop::Fatal("no password was given".to_owned()));
    }
    while matches!(line.last(), Some(b'\n')) {
        line.pop();
    }
    Ok(line.into())
}

const WARNING: &str = "Warning: do not enter your password if anyone else has superuser\n\
                       privileges or access to your account.\n";

/// Room for a password, so that it is not copied as it grows.
const LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_comes_before_what_the_host_says() {
        let host: Host = "ann@web1:2222".parse().unwrap();
        assert_eq!(without(&host, &[]), host);
        let options = ["port 22".to_owned(), "User=bob".to_owned()];
        assert_eq!(without(&host, &options).to_string(), "web1");
    }

    #[test]
    fn hosts_are_told_their_number_beside_what_is_set() {
        let set = [("A".to_owned(), "b c".to_owned())].into_iter();
        let option = numbered(set, (1, 3), "web1");
        let expected = "SetEnv \"A=b c\" \"PSSH_NODENUM=1\" \"PSSH_NUMNODES=3\" \"PSSH_HOST=web1\"";
        assert_eq!(option.text(), expected);
    }
}
