//! Runs of pools whose sessions are made up: no server, no network.

mod commands;
mod failures;
mod fake;
mod faults;
mod kept;
mod limits;
mod order;
mod output;
mod pace;
mod quoting;
mod stop;
mod threads;
