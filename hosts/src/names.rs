//! An ordered set of names, with the algebra of expressions.

use std::collections::HashMap;
use std::sync::Arc;

/// Names in the order in which they came, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameSet {
    /// What was taken out leaves a gap, so that the others keep their places.
    names: Vec<Option<Arc<str>>>,
    /// By name, where it stands in `names`.
    places: HashMap<Arc<str>, usize>,
}

/// How two sets are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

impl Operator {
    pub(crate) fn of(c: char) -> Option<Self> {
        match c {
            ',' => Some(Self::Union),
            '!' => Some(Self::Difference),
            '&' => Some(Self::Intersection),
            '^' => Some(Self::SymmetricDifference),
            _ => None,
        }
    }

    pub(crate) fn as_char(self) -> char {
        match self {
            Self::Union => ',',
            Self::Difference => '!',
            Self::Intersection => '&',
            Self::SymmetricDifference => '^',
        }
    }
}

impl NameSet {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter().flatten()
    }

    pub(crate) fn insert(&mut self, name: Arc<str>) {
        if !self.places.contains_key(&*name) {
            self.places.insert(Arc::clone(&name), self.names.len());
            self.names.push(Some(name));
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(place) = self.places.remove(name) {
            self.names[place] = None;
        }
    }

    /// Changes this set by another one.
    pub(crate) fn apply(&mut self, operator: Operator, other: &Self) {
        match operator {
            Operator::Union => other.iter().for_each(|name| self.insert(Arc::clone(name))),
            Operator::Difference => other.iter().for_each(|name| self.remove(name)),
            Operator::Intersection => {
                let names = std::mem::take(self);
                let both = names.iter().filter(|name| other.contains(name));
                both.for_each(|name| self.insert(Arc::clone(name)));
            }
            Operator::SymmetricDifference => {
                for name in other.iter() {
                    match self.contains(name) {
                        true => self.remove(name),
                        false => self.insert(Arc::clone(name)),
                    }
                }
            }
        }
    }
}

impl<'a> FromIterator<&'a Arc<str>> for NameSet {
    fn from_iter<T: IntoIterator<Item = &'a Arc<str>>>(names: T) -> Self {
        let mut set = Self::default();
        names
            .into_iter()
            .for_each(|name| set.insert(Arc::clone(name)));
        set
    }
}
