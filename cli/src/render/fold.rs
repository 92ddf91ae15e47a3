//! How the names of several hosts are written as one.

/// Returns the names, which are in input order, as a node set.
pub(crate) fn fold<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(",")
}
