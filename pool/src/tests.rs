//! Runs of pools whose sessions are made up: no server, no network.

mod events;
mod fake;
mod faults;
mod kept;
mod limits;
mod order;
mod output;
mod pace;
mod stats;
mod stop;
mod tasks;
mod threads;
