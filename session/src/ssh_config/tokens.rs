//! Tokens: `%h` and the like, and which of them an option takes (ssh_config(5), TOKENS).

use std::borrow::Cow;
use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use super::error::Fault;
use super::local::Local;

/// What tokens stand for with one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) local: &'a Local,
    /// `%h`: the name after `HostName`.
    pub(super) host: &'a str,
    /// `%n`: the name as given.
    pub(super) original: &'a str,
    /// `%k`.
    pub(super) alias: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`.
    pub(super) user: &'a str,
    /// `%j`.
    pub(super) jump: &'a str,
}

/// Which tokens an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed(pub(super) &'static str);

/// Paths, and the command of `Match exec`.
pub(super) const GENERAL: Allowed = Allowed("CLdhijklnpru");
/// `HostName`.
pub(super) const HOST_NAME: Allowed = Allowed("h");
/// `ProxyCommand` and `ProxyJump`; the manual leaves out `%k`, which ssh takes as well.
pub(super) const PROXY: Allowed = Allowed("hknpr");

impl Tokens<'_> {
    /// Replaces tokens alone.
    pub(super) fn expand(&self, text: &str, allowed: Allowed) -> Result<String, Fault> {
        replace(text, allowed, |token| Ok(self.value(token)))
    }

    /// Replaces `~`, tokens and environment variables, as in paths.
    pub(super) fn expand_path(&self, text: &str) -> Result<String, Fault> {
        let text = self.local.expand_tilde(text)?;
        // In one walk, so that nothing in a variable's value is read as a token, nor the reverse.
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find("${") {
            expanded.push_str(&self.expand(&rest[..at], GENERAL)?);
            let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
            expanded.push_str(&self.local.expand_environment(&rest[at..end])?);
            rest = &rest[end..];
        }
        expanded.push_str(&self.expand(rest, GENERAL)?);
        Ok(expanded)
    }

    /// Replaces tokens in a command for a shell; values from outside must be safe there.
    pub(super) fn expand_command(&self, text: &str, allowed: Allowed) -> Result<String, Fault> {
        replace(text, allowed, |token| {
            let value = self.value(token);
            if "hnkrj".contains(token) {
                check_safe(token, &value)?;
            }
            Ok(value)
        })
    }

    fn value(&self, token: char) -> Cow<'_, str> {
        let local = self.local;
        match token {
            'C' => self.connection_hash().into(),
            'd' => local.home().into(),
            'h' => self.host.into(),
            'i' => local.user_id().to_string().into(),
            'j' => self.jump.into(),
            'k' => self.alias.into(),
            'L' => local
                .host_name()
                .split('.')
                .next()
                .unwrap_or_default()
                .into(),
            'l' => local.host_name().into(),
            'n' => self.original.into(),
            'p' => self.port.to_string().into(),
            'r' => self.user.into(),
            _ => local.user().into(),
        }
    }

    fn connection_hash(&self) -> String {
        let mut hash = Sha1::new();
        for part in [self.local.host_name(), self.host] {
            hash.update(part);
        }
        hash.update(self.port.to_string());
        hash.update(self.user);
        hash.update(self.jump);
        hash.finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// Replaces the tokens of `HostName`, of which the host's name is the only one.
pub(super) fn expand_host_name(text: &str, host: &str) -> Result<String, Fault> {
    replace(text, HOST_NAME, |_| Ok(host.into()))
}

fn replace<'a>(
    text: &str,
    allowed: Allowed,
    value: impl Fn(char) -> Result<Cow<'a, str>, Fault>,
) -> Result<String, Fault> {
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            Some(token) if allowed.0.contains(token) => expanded.push_str(&value(token)?),
            Some(token) => {
                return Err(Fault::Token {
                    token,
                    allowed: allowed.listed(),
                });
            }
            None => return Err(Fault::TokenAtEnd),
        }
    }
    Ok(expanded)
}

impl Allowed {
    fn listed(self) -> &'static str {
        match self.0 {
            "h" => "%h",
            "hknpr" => "%h %k %n %p %r",
            _ => "%C %d %h %i %j %k %L %l %n %p %r %u",
        }
    }
}

/// Checks that a shell reads a value as the text that it is, whether quoted or not.
fn check_safe(token: char, value: &str) -> Result<(), Fault> {
    let safe = |c: char| c.is_alphanumeric() || "-._:%+@/=,^".contains(c);
    // What begins with a dash is an option to the command.
    let leading = value.chars().next().filter(|c| *c == '-');
    match leading.or_else(|| value.chars().find(|c| !safe(*c))) {
        Some(character) => Err(Fault::NotSafeInCommand {
            token,
            value: value.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        let variables = [("V".to_owned(), "%h".to_owned())];
        let local = Local::default().with_user("me", 7).with_home("/home/me");
        local
            .with_host_name("here.example")
            .with_environment(variables)
    }

    fn tokens(local: &Local) -> Tokens<'_> {
        Tokens {
            local,
            host: "a.example",
            original: "a",
            alias: "alias",
            port: 2222,
            user: "root",
            jump: "gate",
        }
    }

    #[test]
    fn every_token_has_its_value() {
        let local = local();
        let tokens = tokens(&local);
        let text = tokens.expand("%%|%d|%h|%i|%j|%k|%L|%l|%n|%p|%r|%u", GENERAL);
        assert_eq!(
            text.unwrap(),
            "%|/home/me|a.example|7|gate|alias|here|here.example|a|2222|root|me"
        );
        // printf %s here.examplea.example2222rootgate | sha1sum
        assert_eq!(
            tokens.expand("%C", GENERAL).unwrap(),
            "2cf0372d62b12a638c8bc68e0f6318aa5eef3f4c"
        );
    }

    #[test]
    fn an_option_takes_its_own_tokens_only() {
        let local = local();
        let tokens = tokens(&local);
        for token in ["%f", "%H", "%I", "%K", "%T", "%t", "%x", "%"] {
            assert!(tokens.expand(token, GENERAL).is_err(), "{token}");
        }
        assert!(tokens.expand("%u", PROXY).is_err());
        assert!(expand_host_name("%h.example", "a").is_ok_and(|name| name == "a.example"));
        assert!(expand_host_name("%n", "a").is_err());
    }

    #[test]
    fn values_are_not_expanded_again() {
        let local = local();
        let tokens = tokens(&local);
        assert_eq!(
            tokens.expand_path("~/${V}/%h").unwrap(),
            "/home/me/%h/a.example"
        );
        assert!(tokens.expand_path("${V").is_err() && tokens.expand_path("${W}").is_err());
    }

    #[test]
    fn values_that_a_shell_would_read_are_refused() {
        let local = local();
        for bad in [
            "a;b",
            "$(x)",
            "`x`",
            "a b",
            "-oProxyCommand=x",
            "a'b",
            "a\"b",
            "a\nb",
            "~x",
            "a\\b",
        ] {
            let tokens = Tokens {
                host: bad,
                ..tokens(&local)
            };
            assert!(tokens.expand_command("nc %h", PROXY).is_err(), "{bad}");
            assert!(tokens.expand_command("nc %n", PROXY).is_ok(), "{bad}");
        }
    }
}
