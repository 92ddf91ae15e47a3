//! Runs of pools whose sessions are made up: no server, no network.

mod commands;
mod events;
mod failures;
mod fake;
mod faults;
mod kept;
mod limits;
mod order;
mod output;
mod pace;
mod quoting;
mod stats;
mod stop;
mod tasks;
mod threads;
