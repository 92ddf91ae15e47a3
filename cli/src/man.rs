//! `sshoal man`: the manual pages, one for each sub-command.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;

use crate::args;
use crate::completions::visible;

/// Writes the pages into the directory and returns the exit code.
///
/// # Errors
/// Fails if they cannot be written.
pub(crate) fn man(dir: &Path) -> Result<u8> {
    let what = || format!("cannot write the manual pages to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(what)?;
    let mut command = visible(args::command()).disable_help_subcommand(true);
    command.build();
    pages(&command, dir).with_context(what)?;
    Ok(0)
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &Command, dir: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(below, dir)?;
    }
    let source = concat!("sshoal ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).generate_to(dir)?;
    Ok(())
}
