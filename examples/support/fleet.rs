//! How the examples get in: hosts by name, everything else by ssh_config.

use std::{env, error::Error};

use sshoal::{
    Fleet, Host, Resolver,
    ssh_config::{Local, SshConfig},
};

/// Makes a fleet of the arguments: a file as `ssh -F` takes it, and the names of hosts.
pub(crate) fn from_arguments() -> Result<Fleet, Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let file = args.next().ok_or("usage: EXAMPLE SSH_CONFIG HOST...")?;
    let ssh_config = SshConfig::builder(Local::of_this_process()).file(file);
    let resolver = Resolver::builder(ssh_config.load()?).build();

    let hosts: Vec<Host> = args.map(|name| name.parse()).collect::<Result<_, _>>()?;
    let configs: Vec<_> = hosts
        .iter()
        .map(|host| resolver.config(host))
        .collect::<Result<_, _>>()?;
    let first = configs.first().ok_or("name at least one host")?.clone();
    Ok(Fleet::builder(hosts, first).configs(configs).build()?)
}
