//! The criteria of `Host` and `Match`: read once, held against each host.

use super::error::Fault;
use super::line::next_word;
use super::network::Network;
use super::pattern::glob;

/// The patterns of `Host`, each with whether it is negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPatterns(Vec<(bool, String)>);

/// The criteria of `Match`, all of which have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criteria(pub(super) Vec<Criterion>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) test: Test,
}

/// What a criterion looks at; lists of host names are lowercase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    All,
    Canonical,
    Final,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    LocalNetwork(Vec<Network>),
    Tagged(String),
    Exec(String),
}

impl HostPatterns {
    pub(super) fn new(words: Vec<String>) -> Result<Self, Fault> {
        let pattern = |word: String| match word.strip_prefix('!') {
            Some(pattern) => (true, pattern.to_owned()),
            None => (false, word),
        };
        if words.iter().any(String::is_empty) {
            return Err(Fault::EmptyValue);
        }
        Ok(Self(words.into_iter().map(pattern).collect()))
    }

    /// Returns whether a pattern matches and no negated one does; the case of letters counts.
    pub(super) fn matches(&self, host: &str) -> bool {
        let mut found = false;
        for (negated, pattern) in &self.0 {
            if glob(pattern, host) {
                if *negated {
                    return false;
                }
                found = true;
            }
        }
        found
    }
}

impl Criteria {
    /// Reads what follows `Match`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut criteria = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            let (word, after) = next_word(text).ok_or(Fault::UnbalancedQuote)?;
            rest = after;
            if word.is_empty() {
                break;
            }
            if word.starts_with('#') {
                rest = None;
                break;
            }
            let negated = word.starts_with('!');
            let name = word[usize::from(negated)..].to_ascii_lowercase();
            let test = match name.as_str() {
                "all" => {
                    let next = rest.map(next_word).unwrap_or_default();
                    let next = next.map(|(word, _)| word).unwrap_or_default();
                    if criteria.len() > 1 || !(next.is_empty() || next.starts_with('#')) {
                        return Err(Fault::AllNotAlone);
                    }
                    criteria.push(Criterion {
                        negated,
                        test: Test::All,
                    });
                    return Ok(Self(criteria));
                }
                "canonical" => Test::Canonical,
                "final" => Test::Final,
                _ => {
                    let (argument, after) = rest
                        .and_then(next_word)
                        .filter(|(word, _)| !word.is_empty() && !word.starts_with('#'))
                        .ok_or_else(|| Fault::CriterionArgument { name: name.clone() })?;
                    rest = after;
                    with_argument(&name, argument)?
                }
            };
            criteria.push(Criterion { negated, test });
        }
        if criteria.is_empty() || rest.is_some_and(|rest| !rest.is_empty()) {
            return Err(Fault::Criteria);
        }
        Ok(Self(criteria))
    }

    /// Returns whether the configuration is to be read a second time.
    pub(super) fn wants_final_pass(&self) -> bool {
        self.0.iter().any(|criterion| criterion.test == Test::Final)
    }
}

fn with_argument(name: &str, argument: String) -> Result<Test, Fault> {
    Ok(match name {
        "host" => Test::Host(argument.to_ascii_lowercase()),
        "originalhost" => Test::OriginalHost(argument.to_ascii_lowercase()),
        "user" => Test::User(argument),
        "localuser" => Test::LocalUser(argument),
        "tagged" => Test::Tagged(argument),
        "localnetwork" => {
            let networks = argument.split(',').map(Network::parse);
            let networks: Option<Vec<_>> = networks.collect();
            Test::LocalNetwork(networks.ok_or(Fault::BadValue {
                value: argument,
                expected: "list of networks: write them as 10.0.0.0/8",
            })?)
        }
        "exec" => {
            check_exec(&argument)?;
            Test::Exec(argument)
        }
        _ => {
            return Err(Fault::Criterion {
                name: name.to_owned(),
            });
        }
    })
}

/// Checks a command's tokens without a host, as ssh finds a wrong one wherever it stands.
fn check_exec(command: &str) -> Result<(), Fault> {
    let local = super::local::Local::default();
    let tokens = super::tokens::Tokens {
        local: &local,
        host: "",
        original: "",
        alias: "",
        port: 22,
        user: "",
        jump: "",
    };
    tokens.expand(command, super::tokens::GENERAL).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(words: &[&str], name: &str) -> bool {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        HostPatterns::new(words).unwrap().matches(name)
    }

    #[test]
    fn host_patterns_match_with_negation_and_case() {
        assert!(host(&["b", "a*"], "ab") && !host(&["a*"], "AB"));
        assert!(!host(&["a*", "!ab"], "ab") && !host(&["!ab", "a*"], "ab"));
        assert!(host(&["a*", "!ab"], "ac") && !host(&["!ab"], "ac"));
        assert!(!host(&[], "a"));
    }

    #[test]
    fn criteria_are_read_with_negation_quotes_and_comments() {
        let read = |text| Criteria::parse(text).unwrap().0;
        let one = |negated, test| vec![Criterion { negated, test }];
        assert_eq!(read("all"), one(false, Test::All));
        assert_eq!(read("!ALL # x"), one(true, Test::All));
        assert_eq!(read("host A,!b"), one(false, Test::Host("a,!b".to_owned())));
        assert_eq!(read("host=a"), one(false, Test::Host("a".to_owned())));
        assert_eq!(
            read("exec \"test a\""),
            one(false, Test::Exec("test a".to_owned()))
        );
        assert_eq!(read("final all").len(), 2);
        assert_eq!(read("host a user b # c").len(), 2);
        assert!(Criteria::parse("host a !final").unwrap().wants_final_pass());
        assert!(!Criteria::parse("canonical").unwrap().wants_final_pass());
    }

    #[test]
    fn criteria_that_cannot_be_are_refused() {
        for text in [
            "",
            "#",
            "all host a",
            "host a user b all",
            "host",
            "host #",
            "bogus a",
            "exec %x",
            "localnetwork 10.0.0.0/x",
            "all x",
            "host \"\"",
            "command x",
        ] {
            assert!(Criteria::parse(text).is_err(), "{text:?}");
        }
    }
}
