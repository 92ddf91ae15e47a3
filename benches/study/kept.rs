//! Commands one after the other on sessions that stay open, as a peer of `benches/peers`.
//!
//! `kept HOSTS KNOWN_HOSTS KEY USER ROUNDS COMMAND` connects to all hosts at once, runs the command so often on each,
//! and prints how many ended well.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use sshoal::{
    Config, Exit, Fleet, HostKeyPolicy, HostKeys, Identity, Reached, known_hosts::KnownHosts,
    parse_hosts_file, raise_descriptor_limit,
};

pub(crate) fn run(words: &[String]) {
    let [hosts, known, key, user, rounds, command] = words else {
        panic!("usage: kept HOSTS KNOWN_HOSTS KEY USER ROUNDS COMMAND");
    };
    raise_descriptor_limit().unwrap();
    let hosts = parse_hosts_file(std::fs::read(hosts).unwrap(), hosts).unwrap();
    let keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([known]).unwrap());
    let config = Config::builder(Arc::new(keys))
        .user(user.as_str())
        .identity(Arc::new(Identity::load(Path::new(key), None).unwrap()))
        .build()
        .unwrap();
    let all = NonZeroUsize::new(hosts.len()).unwrap();
    let fleet = Fleet::builder(hosts, Arc::new(config))
        .pool_size(all)
        .build()
        .unwrap();
    let (rounds, command) = (rounds.parse::<usize>().unwrap(), command.clone());
    let program = move |host: &Reached<'_>| {
        (0..rounds)
            .filter(|_| {
                let output = host.command(command.as_str()).no_stdin().output();
                output.is_ok_and(|output| output.exit == Exit::Status(0))
            })
            .count()
    };
    let good: usize = fleet
        .each(program)
        .map(|visited| visited.into_result().unwrap())
        .sum();
    println!("commands={good}");
}
