//! A directory in one stream through the host's `tar`.

use std::path::Path;

use sshoal_reactor::Scope;
use sshoal_session::Session;

use crate::error::Error;
use crate::tree::{LocalTree, TreeOptions, TreeReport};

const REFUSED: Error = Error::NotOffered {
    way: "tar",
    what: "anything",
};

pub(crate) fn put(_: &Session, _: &LocalTree, _: &[u8], _: &TreeOptions, _: &Scope) -> TreeReport {
    let mut report = TreeReport::default();
    report.ended_early = Some(REFUSED);
    report
}

pub(crate) fn get(_: &Session, _: &[u8], _: &Path, _: &TreeOptions, _: &Scope) -> TreeReport {
    let mut report = TreeReport::default();
    report.ended_early = Some(REFUSED);
    report
}
