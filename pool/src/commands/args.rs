//! One host's arguments for a template.

/// The arguments of one host for a [`Template`](crate::Template): by position, from 0, and by
/// name. Values are bytes.
///
/// # Examples
///
/// ```
/// use sshoal_pool::Args;
///
/// // `{0}`, `{1}` and `{role}`.
/// let args = Args::from(["eth0", "10.0.0.1"]).named("role", "web");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Args {
    positions: Vec<Vec<u8>>,
    names: Vec<(String, Vec<u8>)>,
}

impl Args {
    /// Returns no arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value at the next position.
    pub fn arg(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.positions.push(value.into());
        self
    }

    /// Sets the value of a name; the last value of a name counts.
    ///
    /// A name that a template cannot have, or has for itself (`host`, `user`, `port`, `n`,
    /// `total`), is [`ArgumentError::Name`](crate::ArgumentError::Name) when the run is begun.
    pub fn named(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.names.push((name.into(), value.into()));
        self
    }

    /// Sets the values of many names.
    pub fn named_all<N: Into<String>, V: Into<Vec<u8>>>(
        self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let add = |args: Self, (name, value)| args.named(name, value);
        pairs.into_iter().fold(self, add)
    }

    /// Returns how many positions there are.
    pub(super) fn positions(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn at(&self, position: usize) -> Option<&[u8]> {
        self.positions.get(position).map(Vec::as_slice)
    }

    pub(super) fn of(&self, name: &str) -> Option<&[u8]> {
        let mut newest_first = self.names.iter().rev();
        let found = newest_first.find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_slice())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }
}

impl<T: Into<Vec<u8>>> FromIterator<T> for Args {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self {
            positions: values.into_iter().map(Into::into).collect(),
            names: Vec::new(),
        }
    }
}

impl<T: Into<Vec<u8>>, const N: usize> From<[T; N]> for Args {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T: Into<Vec<u8>>> From<Vec<T>> for Args {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

impl From<&str> for Args {
    fn from(value: &str) -> Self {
        Self::new().arg(value)
    }
}

impl From<String> for Args {
    fn from(value: String) -> Self {
        Self::new().arg(value)
    }
}
