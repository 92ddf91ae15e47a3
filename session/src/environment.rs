//! Environment variables for commands (RFC 4254 §6.4).

use sshoal_reactor::Scope;

use crate::engine::Engine;
use crate::error::{ApiMisuse, Error, Phase};
use crate::ffi::{ChannelId, Code};

/// Variables in the order they are sent, each name once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(Vec<(String, Vec<u8>)>);

impl Environment {
    /// Sets a variable; an earlier value of its name goes.
    pub(crate) fn set(&mut self, name: String, value: Vec<u8>) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value));
    }

    /// Returns the first variable that cannot be, with the reason.
    pub(crate) fn check(&self) -> Result<(), (&str, ApiMisuse)> {
        for (name, value) in &self.0 {
            if name.contains('\0') || value.contains(&0) {
                return Err((name, ApiMisuse::NulByte));
            }
            if name.is_empty() || name.contains('=') {
                return Err((name, ApiMisuse::VariableName));
            }
        }
        Ok(())
    }

    /// Sends the variables ahead of a command, one round trip each, because libssh2 waits for each
    /// answer. What the server refuses is left out, as in ssh. Parks.
    pub(crate) fn send(
        &self,
        engine: &Engine,
        channel: ChannelId,
        scope: &Scope,
    ) -> Result<(), Error> {
        for (name, value) in &self.0 {
            engine.request(Phase::Open, scope, |library| {
                match library.set_variable(channel, name.as_bytes(), value) {
                    Err(Code::REQUEST_DENIED) => {
                        tracing::debug!(name, "the host does not accept the variable");
                        Ok(())
                    }
                    other => other,
                }
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::default();
        for (name, value) in variables {
            environment.set((*name).into(), (*value).into());
        }
        environment
    }

    #[test]
    fn the_later_value_of_a_name_counts() {
        let all = environment(&[("A", "1"), ("B", "2"), ("A", "3")]).0;
        let expected = [
            ("B".to_owned(), b"2".to_vec()),
            ("A".to_owned(), b"3".to_vec()),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn names_and_values_that_cannot_be_are_told() {
        for (name, value, expected) in [
            ("A", "b=c d\n", None),
            ("", "x", Some(ApiMisuse::VariableName)),
            ("A=B", "x", Some(ApiMisuse::VariableName)),
            ("A\0", "x", Some(ApiMisuse::NulByte)),
            ("A", "x\0", Some(ApiMisuse::NulByte)),
        ] {
            let environment = environment(&[("FINE", ""), (name, value)]);
            let found = environment.check().err().map(|(_, why)| why);
            assert_eq!(found, expected, "{name:?}={value:?}");
        }
    }
}
