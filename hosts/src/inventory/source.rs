//! Sources of groups that are asked, and not read: commands, mostly.

use std::fmt;
use std::sync::Arc;

use super::groups_conf::Question;
use super::{Group, Inventory};

/// Knows groups that no file lists, and is asked when one is wanted.
pub trait GroupSource: fmt::Debug + Send + Sync {
    /// Answers a question: hosts or groups as node sets with blanks between, or nothing if this source
    /// cannot know. The same question may be put again.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    fn ask(&self, question: Question<'_>) -> Result<Option<String>, String>;
}

/// A source, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) answers: Arc<dyn GroupSource>,
}

impl Inventory {
    /// Adds a source, whose groups are called `name:group`.
    ///
    /// # Errors
    /// There is a source of this name.
    pub fn add_source(&mut self, name: &str, answers: Arc<dyn GroupSource>) -> Result<(), String> {
        if self.has_source(name) {
            return Err(format!("there is a group source {name:?} already"));
        }
        self.sources.push(Source {
            name: name.to_owned(),
            answers,
        });
        Ok(())
    }

    /// Returns whether groups of a source are listed, or can be asked for.
    pub fn has_source(&self, name: &str) -> bool {
        let is_it = |group: &Group| group.source.as_deref() == Some(name);
        self.sources.iter().any(|source| source.name == name) || self.groups.iter().any(is_it)
    }

    /// Says whose groups can be named without their source; the groups of other sources that are
    /// read after this cannot, and `@*` does not have them. The first one that is named stays it.
    pub fn set_default_source(&mut self, name: &str) {
        self.default_source.get_or_insert_with(|| name.to_owned());
    }

    /// Returns the source whose groups can be named without it.
    pub fn default_source(&self) -> Option<&str> {
        self.default_source.as_deref()
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns the position of a source that is asked.
    pub(crate) fn source(&self, name: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.name == name)
    }

    /// Returns whether a group is another source's than the default one's.
    pub(crate) fn is_aside(&self, group: &Group) -> bool {
        matches!((&self.default_source, &group.source), (Some(default), Some(own)) if default != own)
    }
}
