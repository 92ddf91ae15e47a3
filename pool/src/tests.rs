//! Runs of pools whose sessions are made up: no server, no network.

mod fake;
mod faults;
mod kept;
mod limits;
mod live;
mod live_output;
mod order;
mod output;
mod pace;
mod puppet;
mod stop;
mod threads;
