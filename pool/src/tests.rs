//! Runs of pools whose sessions are made up: no server, no network.

mod commands;
mod ending;
mod events;
mod extremes;
mod failures;
mod fake;
mod faults;
mod kept;
mod limits;
mod live;
mod live_output;
mod order;
mod output;
mod pace;
mod paths;
mod puppet;
mod quoting;
mod stats;
mod stop;
mod tasks;
mod threads;
mod visits;
