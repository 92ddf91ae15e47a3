//! `sshoal man`: the manual pages, one for each sub-command.

use std::path::Path;

use anyhow::{Context, Result};

use crate::args;
use crate::completions::visible;

/// Writes the pages into the directory and returns the exit code.
///
/// # Errors
/// Fails if they cannot be written.
pub(crate) fn man(dir: &Path) -> Result<u8> {
    let what = || format!("cannot write the manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(what)?;
    clap_mangen::generate_to(visible(args::command()), dir).with_context(what)?;
    Ok(0)
}
