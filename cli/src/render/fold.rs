//! How the names of several hosts are written as one.

/// Returns the names as a node set, each once.
pub(crate) fn fold<'a>(names: impl Iterator<Item = &'a str>) -> String {
    sshoal::hosts::fold(names)
}
