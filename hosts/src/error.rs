//! What can be wrong with a node set, an expression or an inventory.

use std::fmt;
use std::sync::Arc;

/// A node set or an expression that cannot be read, or stands for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeSetError {
    /// A bracket is not closed.
    #[error("a bracket of {text:?} is not closed")]
    Unclosed {
        /// The node set.
        text: String,
    },
    /// A closing bracket has no opening one.
    #[error("a bracket of {text:?} closes nothing")]
    Unopened {
        /// The node set.
        text: String,
    },
    /// What stands in brackets is no range.
    #[error("bad range {range:?} in {text:?}: {why}")]
    Range {
        /// The node set.
        text: String,
        /// What stands between two commas.
        range: String,
        /// What is wrong, and what is right.
        why: &'static str,
    },
    /// Brackets stand in brackets too often.
    #[error("the brackets of {text:?} are deeper than {max}")]
    TooDeep {
        /// The node set.
        text: String,
        /// The most that is taken.
        max: usize,
    },
    /// A name would be longer than any host's.
    #[error("a name of {text:?} would be longer than {max} bytes")]
    TooLong {
        /// The node set.
        text: String,
        /// The most that is taken.
        max: usize,
    },
    /// It stands for more hosts than are taken.
    #[error("{text:?} stands for {count} hosts, and at most {max} are taken; is a range too long?")]
    TooMany {
        /// The node set.
        text: String,
        /// How many it would be; the largest number for any that are more.
        count: u64,
        /// The most that is taken.
        max: usize,
    },
    /// An operator has nothing behind it.
    #[error("{operator:?} in {text:?} has nothing behind it; leave it out, or name hosts there")]
    MissingOperand {
        /// The expression.
        text: String,
        /// The operator.
        operator: char,
    },
    /// An expression begins with an operator, and there is nothing that it could be put to.
    #[error("{text:?} begins with {operator:?}; write what it is put to before it, such as @*")]
    LeadingOperator {
        /// The expression.
        text: String,
        /// The operator.
        operator: char,
    },
    /// A regular expression, as Ansible's patterns may be.
    #[error(
        "{text:?} is a regular expression, which is not read; write a pattern with *, ? and [a-z]"
    )]
    Regex {
        /// The word.
        text: String,
    },
    /// No inventory has this group.
    #[error("there is no group {group:?}; {known}")]
    UnknownGroup {
        /// The group.
        group: String,
        /// Which groups there are.
        known: String,
    },
    /// A name has wildcards, and there are no hosts that it could match.
    #[error(
        "{text:?} has wildcards, and no inventory has hosts for them; name one with --inventory"
    )]
    NothingToMatch {
        /// The name.
        text: String,
    },
    /// A group is a member of itself.
    #[error("the group {group:?} is a member of itself, by way of {way}")]
    Cycle {
        /// The group.
        group: String,
        /// The groups in between.
        way: String,
    },
    /// Groups are members of groups too often.
    #[error("the group {group:?} is a member of a member for more than {max} groups")]
    TooManyGroups {
        /// The innermost group that was looked at.
        group: String,
        /// The most that is taken.
        max: usize,
    },
    /// The sets that an expression is made of are too large, taken together.
    #[error("{text:?} puts sets together that have too many names, taken together")]
    TooMuch {
        /// The expression.
        text: String,
    },
    /// A source of groups did not answer.
    #[error("the group source {name:?}: {reason}")]
    Source {
        /// The source.
        name: String,
        /// What it said.
        reason: String,
    },
    /// A member of a group is no good.
    #[error("{place}: in the group {group:?}: {source}")]
    Member {
        /// The group.
        group: String,
        /// Where the member stands.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },
}

/// Where something stands: the file, as the caller named it, and the line from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub origin: Arc<str>,
    /// The line.
    pub line: usize,
}

impl Place {
    pub(crate) fn new(origin: &Arc<str>, line: usize) -> Self {
        let origin = Arc::clone(origin);
        Self { origin, line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.line)
    }
}

/// An inventory that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
#[non_exhaustive]
pub struct InventoryError {
    /// Where it cannot.
    pub place: Place,
    /// What is wrong, and what is right.
    pub reason: String,
}
