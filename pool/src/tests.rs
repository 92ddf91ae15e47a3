//! Runs of pools whose sessions are made up: no server, no network.

mod ending;
mod fake;
mod faults;
mod kept;
mod limits;
mod order;
mod output;
mod pace;
mod stop;
mod threads;
