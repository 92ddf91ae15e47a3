//! The arguments of an option, read by its grammar once for all hosts.

use super::algorithms::AlgorithmList;
use super::checks::{INT_MAX, ip_qos, number, rekey_bytes, seconds};
use super::error::Fault;
use super::forward::{is_destination, is_forward};
use super::jump::{self, RawHop};
use super::keyword::{Grammar, Key};
use super::line;
use super::local::Local;

/// What an option's line says, tokens not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The meaning of the word, as the table has it.
    Choice(&'static str),
    /// `None` is `none`.
    Seconds(Option<u32>),
    Number(u32),
    Port(u16),
    Word(String),
    Words(Vec<String>),
    Algorithms(AlgorithmList),
    /// `None` is `none`.
    Jump(Option<Vec<RawHop>>),
}

impl Value {
    /// Writes the value for an error.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Choice(text) => (*text).to_owned(),
            Self::Seconds(None) | Self::Jump(None) => "none".to_owned(),
            Self::Seconds(Some(number)) | Self::Number(number) => number.to_string(),
            Self::Port(port) => port.to_string(),
            Self::Word(text) => text.clone(),
            Self::Words(words) => words.join(" "),
            Self::Algorithms(list) => list.given().to_owned(),
            Self::Jump(Some(_)) => String::new(),
        }
    }
}

/// Reads what follows a keyword; `None` if there is nothing to keep.
pub(super) fn parse(
    grammar: Grammar,
    rest: &str,
    key: Option<Key>,
    local: &Local,
) -> Result<Option<Value>, Fault> {
    // ssh divides every line, even one whose rest it then takes whole.
    let words = line::arguments(rest)?;
    let value = match grammar {
        Grammar::Host | Grammar::Match | Grammar::Include | Grammar::Anything => return Ok(None),
        Grammar::Command => Value::Word(after_equals(rest).to_owned()),
        Grammar::Jump => Value::Jump(jump::parse(after_equals(rest))?),
        Grammar::KnownHosts => return known_hosts(words),
        Grammar::SendEnv => return send_env(words),
        Grammar::SetEnv => return set_env(words),
        Grammar::WordsOrNone(check) => {
            none_alone(&words)?;
            let (passes, expected) = check.unwrap_or((|_| true, ""));
            let bad = words.iter().find(|word| !passes(word));
            return bad.map_or(Ok(None), |word| Err(bad_value(word, expected)));
        }
        Grammar::Forward(kind) => {
            let expanded = words.iter().map(|word| local.expand_environment(word));
            let expanded: Vec<_> = expanded.collect::<Result<_, _>>()?;
            if !is_forward(kind, &expanded) {
                return Err(bad_value(rest, "forwarded port"));
            }
            Value::Words(words)
        }
        Grammar::Destinations => return destinations(&words).map(|()| None),
        Grammar::Words(min, max) => {
            bounded(&words, min, max)?;
            Value::Words(words)
        }
        Grammar::AddKeys => return add_keys(&words).map(|()| None),
        Grammar::RekeyLimit => return rekey_limit(&words).map(|()| None),
        Grammar::IpQos => {
            bounded(&words, 1, 2)?;
            let bad = words.iter().find(|word| !ip_qos(word));
            return bad.map_or(Ok(None), |word| Err(bad_value(word, "class of service")));
        }
        grammar => {
            bounded(&words, 1, 1)?;
            one_word(grammar, &words[0], local)?
        }
    };
    Ok(key.map(|_| value))
}

/// Reads an option of one word, which is not empty.
fn one_word(grammar: Grammar, word: &str, local: &Local) -> Result<Value, Fault> {
    let is = |one: &str| word.eq_ignore_ascii_case(one);
    Ok(match grammar {
        Grammar::OneOf(meanings) => {
            let found = meanings.iter().find(|(written, _)| is(written));
            let (_, meaning) = found.ok_or_else(|| bad_value(word, expected(meanings)))?;
            Value::Choice(meaning)
        }
        Grammar::Time if word == "none" => Value::Seconds(None),
        Grammar::Time => {
            let time = seconds(word).ok_or_else(|| bad_value(word, TIME))?;
            Value::Seconds(Some(time))
        }
        Grammar::Number => {
            let number = number(word, INT_MAX.into()).and_then(|number| number.try_into().ok());
            Value::Number(number.ok_or_else(|| bad_value(word, "whole number"))?)
        }
        Grammar::Port => {
            let port = number(word, u16::MAX.into()).and_then(|port| port.try_into().ok());
            let port = port.filter(|port| *port != 0);
            Value::Port(port.ok_or_else(|| bad_value(word, "port, which is 1 to 65535"))?)
        }
        Grammar::Algorithms(family) => Value::Algorithms(AlgorithmList::checked(word, family)?),
        Grammar::ForwardAgent if is("yes") || is("true") => Value::Choice("yes"),
        Grammar::ForwardAgent if is("no") || is("false") => Value::Choice("no"),
        Grammar::Agent | Grammar::ForwardAgent => {
            agent(word, local)?;
            Value::Word(word.to_owned())
        }
        Grammar::Checked(passes, expected) if !passes(word) => {
            return Err(bad_value(word, expected));
        }
        _ => Value::Word(word.to_owned()),
    })
}

/// ssh looks at an agent's socket when it reads the line, for hosts that it is not for as well.
fn agent(word: &str, local: &Local) -> Result<(), Fault> {
    local.expand_environment(word)?;
    let name = word.strip_prefix('$').filter(|name| !name.starts_with('{'));
    let is_name = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(allowed)
    };
    match name {
        Some(name) if !is_name(name) => Err(bad_value(word, "name of an environment variable")),
        _ => Ok(()),
    }
}

fn known_hosts(words: Vec<String>) -> Result<Option<Value>, Fault> {
    none_alone(&words)?;
    if words.len() > KNOWN_HOSTS_MAX {
        return Err(Fault::TooMany {
            max: KNOWN_HOSTS_MAX,
        });
    }
    Ok((!words.is_empty()).then_some(Value::Words(words)))
}

fn send_env(words: Vec<String>) -> Result<Option<Value>, Fault> {
    match words.iter().find(|w| w.is_empty() || w.contains('=')) {
        Some(word) => Err(bad_value(word, "name of an environment variable")),
        None => Ok(Some(Value::Words(words))),
    }
}

fn set_env(words: Vec<String>) -> Result<Option<Value>, Fault> {
    match words.iter().find(|word| !word.contains('=')) {
        Some(word) => Err(bad_value(word, "NAME=VALUE")),
        None => Ok((!words.is_empty()).then_some(Value::Words(words))),
    }
}

fn destinations(words: &[String]) -> Result<(), Fault> {
    let alone = |word: &str| {
        ["any", "none"]
            .iter()
            .any(|is| word.eq_ignore_ascii_case(is))
    };
    let bad = match words {
        [] => return Err(Fault::EmptyValue),
        [word] if alone(word) => None,
        words => words.iter().find(|word| !is_destination(word)),
    };
    bad.map_or(Ok(()), |word| {
        Err(bad_value(word, "host with a port: write HOST:PORT"))
    })
}

fn none_alone(words: &[String]) -> Result<(), Fault> {
    if words.iter().any(String::is_empty) {
        return Err(Fault::EmptyValue);
    }
    let none = words.iter().any(|word| word.eq_ignore_ascii_case("none"));
    if none && words.len() > 1 {
        return Err(Fault::NoneNotAlone);
    }
    Ok(())
}

fn add_keys(words: &[String]) -> Result<(), Fault> {
    bounded(words, 1, 2)?;
    let lifetime = words.get(1);
    let confirm = words[0].eq_ignore_ascii_case("confirm");
    let named = ["yes", "no", "true", "false", "ask", "confirm"]
        .iter()
        .any(|name| words[0].eq_ignore_ascii_case(name));
    let right = match lifetime {
        Some(lifetime) => confirm && seconds(lifetime).is_some(),
        None => named || seconds(&words[0]).is_some(),
    };
    if right {
        return Ok(());
    }
    Err(bad_value(
        &words.join(" "),
        "yes, no, ask, confirm or a time",
    ))
}

fn rekey_limit(words: &[String]) -> Result<(), Fault> {
    bounded(words, 1, 2)?;
    if !rekey_bytes(&words[0]) {
        return Err(bad_value(&words[0], "amount of data from 16 on, as 1G"));
    }
    match words.get(1) {
        Some(time) if time != "none" && seconds(time).is_none() => Err(bad_value(time, TIME)),
        _ => Ok(()),
    }
}

/// Checks the number of words, and that none that is needed is empty.
fn bounded(words: &[String], min: usize, max: usize) -> Result<(), Fault> {
    if words.len() < min || words.iter().take(max).any(String::is_empty) {
        return Err(Fault::EmptyValue);
    }
    match words.get(max) {
        Some(text) => Err(Fault::ExtraArgument { text: text.clone() }),
        None => Ok(()),
    }
}

/// The rest of a line that is taken whole; ssh skips any number of `=` here.
fn after_equals(rest: &str) -> &str {
    rest.trim_start_matches([' ', '\t', '\r', '\n', '='])
}

fn bad_value(value: &str, expected: &'static str) -> Fault {
    Fault::BadValue {
        value: value.to_owned(),
        expected,
    }
}

/// What a word of these should have been.
fn expected(meanings: &'static [(&'static str, &'static str)]) -> &'static str {
    let has = |word| meanings.iter().any(|(written, _)| *written == word);
    match meanings.len() {
        _ if has("accept-new") => "yes, no, ask or accept-new",
        _ if has("inet6") => "any, inet or inet6",
        _ if has("unbound") => "yes, no, unbound or host-bound",
        _ if has("DEBUG3") => "log level (QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG1 to DEBUG3)",
        _ if has("LOCAL0") => "syslog facility",
        _ if has("sha256") => "hash (md5, sha256)",
        _ if has("subsystem") => "none, subsystem or default",
        _ if has("force") => "yes, no, auto or force",
        _ if has("ethernet") => "yes, no, point-to-point or ethernet",
        _ if has("autoask") => "yes, no, ask, auto or autoask",
        _ if has("always") => "yes, no or always",
        _ if has("ask") => "yes, no or ask",
        _ => "yes or no",
    }
}

const TIME: &str = "time: write seconds, or as 1m30s";

/// The most known_hosts files that ssh takes for one option.
const KNOWN_HOSTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh_config::keyword;

    fn read(line: &str) -> Result<Option<Value>, Fault> {
        let line = line::divide(line).map_err(|(_, fault)| fault)?.unwrap();
        let keyword = keyword::find(&line.keyword).unwrap();
        parse(keyword.grammar, line.rest, keyword.key, &Local::default())
    }

    #[track_caller]
    fn takes(line: &str, value: Value) {
        assert_eq!(read(line).unwrap(), Some(value), "{line}");
    }

    #[track_caller]
    fn refuses(lines: &[&str]) {
        for line in lines {
            assert!(read(line).is_err(), "{line} is taken");
        }
    }

    fn words(words: &[&str]) -> Value {
        Value::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn words_have_a_meaning_in_any_case() {
        takes("StrictHostKeyChecking OFF", Value::Choice("no"));
        takes("BatchMode True", Value::Choice("yes"));
        takes("LogLevel debug", Value::Choice("DEBUG1"));
        takes(
            "PubkeyAuthentication host-bound",
            Value::Choice("host-bound"),
        );
        refuses(&[
            "BatchMode maybe",
            "Compression true",
            "LogLevel",
            "AddressFamily inet4",
        ]);
        refuses(&["BatchMode yes no", "BatchMode \"\"", "BatchMode #yes"]);
    }

    #[test]
    fn times_numbers_and_ports_are_bounded() {
        takes("ConnectTimeout 1m", Value::Seconds(Some(60)));
        takes("ConnectTimeout none", Value::Seconds(None));
        takes("Port=2222 # there", Value::Port(2222));
        takes("ConnectionAttempts 3", Value::Number(3));
        refuses(&[
            "ConnectTimeout None",
            "Port 0",
            "Port 65536",
            "Port -1",
            "Port 22 23",
        ]);
        refuses(&["ConnectionAttempts 2147483648", "ServerAliveInterval 1y"]);
    }

    #[test]
    fn lists_of_files_take_none_alone() {
        takes("UserKnownHostsFile a \"b c\"", words(&["a", "b c"]));
        takes("UserKnownHostsFile NONE", words(&["NONE"]));
        assert_eq!(read("UserKnownHostsFile # none").unwrap(), None);
        refuses(&["UserKnownHostsFile a none", "GlobalKnownHostsFile a \"\""]);
        let many = format!("UserKnownHostsFile {}", "a ".repeat(33));
        refuses(&[&many]);
    }

    #[test]
    fn environment_options_are_checked() {
        takes("SendEnv A -B* C", words(&["A", "-B*", "C"]));
        takes("SetEnv A=1 B=\"2 3\"", words(&["A=1", "B=2 3"]));
        refuses(&["SendEnv A=1", "SendEnv \"\"", "SetEnv A"]);
    }

    #[test]
    fn commands_take_the_rest_of_the_line() {
        takes(
            "ProxyCommand = nc %h # x",
            Value::Word("nc %h # x".to_owned()),
        );
        refuses(&["ProxyCommand nc 'x"]);
    }

    #[test]
    fn an_agents_socket_needs_its_variable() {
        takes("IdentityAgent $AGENT_1", Value::Word("$AGENT_1".to_owned()));
        takes("ForwardAgent yes", Value::Choice("yes"));
        takes("ForwardAgent ~/s", Value::Word("~/s".to_owned()));
        refuses(&[
            "IdentityAgent ${NOT_SET}/a",
            "IdentityAgent $a-b",
            "ForwardAgent $",
        ]);
    }

    #[test]
    fn options_that_are_left_alone_are_checked_too() {
        for line in [
            "AddKeysToAgent confirm 5m",
            "AddKeysToAgent 1h",
            "RekeyLimit 1G 1h",
            "RekeyLimit default none",
            "IPQoS af21 cs1",
            "CanonicalDomains none",
            "LocalForward 8080 localhost:80",
            "Protocol whatever there is",
            "EscapeChar ^C",
        ] {
            assert_eq!(read(line).unwrap(), None, "{line}");
        }
        refuses(&[
            "AddKeysToAgent yes 5m",
            "AddKeysToAgent x",
            "RekeyLimit 1G x",
            "IPQoS x",
        ]);
        refuses(&[
            "CanonicalDomains a none",
            "LocalForward 8080",
            "EscapeChar abc",
        ]);
        refuses(&["IPQoS 1 2 3", "RekeyLimit 8", "StreamLocalBindMask 9"]);
    }
}
