//! `sshoal completions`: what a shell has to know to complete this command line.

use anyhow::Result;
use clap::builder::PossibleValue;
use clap::{Arg, Command, Id};
use clap_complete::{Shell, generate};

use crate::args;
use crate::console::print;

/// Writes the completions to standard output and returns the exit code.
///
/// # Errors
/// None; whoever does not read them does not want them.
pub(crate) fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    let mut command = visible(args::command());
    generate(shell, &mut command, "sshoal", &mut text);
    if shell == Shell::Fish {
        text.extend(words_of_fish(&command));
    }
    Ok(print(&text))
}

/// Returns the words that can stand in the place of arguments, which the generator has for all shells
/// but fish.
fn words_of_fish(command: &Command) -> Vec<u8> {
    let mut lines = String::new();
    for sub in command.get_subcommands() {
        for arg in sub.get_positionals() {
            let words = arg.get_possible_values();
            let words: Vec<&str> = words.iter().map(PossibleValue::get_name).collect();
            if !words.is_empty() {
                let (name, words) = (sub.get_name(), words.join(" "));
                let condition = format!("__fish_sshoal_using_subcommand {name}");
                lines.push_str(&format!(
                    "complete -c sshoal -n \"{condition}\" -f -a \"{words}\"\n"
                ));
            }
        }
    }
    lines.into_bytes()
}

/// Returns the definition without what is not shown to users.
pub(crate) fn visible(command: Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned().leak() as &'static str)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(after) = command.get_after_help() {
        shown = shown.after_help(after.clone());
    }
    // One that is hidden stays where what is said of another flag names it.
    let named: Vec<&Id> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .flat_map(|arg| command.get_arg_conflicts_with(arg))
        .map(Arg::get_id)
        .collect();
    let args = command.get_arguments();
    let args = args.filter(|arg| !arg.is_hide_set() || named.contains(&arg.get_id()));
    shown = shown.args(args.cloned());
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.subcommands(subcommands.cloned().map(visible))
}
