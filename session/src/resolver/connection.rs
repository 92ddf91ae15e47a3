//! What a connection is like: addresses, limits, signs of life, the way, the environment.

use std::num::NonZeroU32;

use super::ResolverError;
use crate::address::AddressFamily;
use crate::config::{Compression, ConfigBuilder, TcpKeepalive};
use crate::known_hosts::glob;
use crate::proxy_command::ProxyCommand;
use crate::ssh_config::{AddressFamily as Family, Given, Options, Proxy, SshConfig};

pub(super) fn set(
    builder: ConfigBuilder,
    options: &Options,
    ssh_config: &SshConfig,
) -> Result<ConfigBuilder, ResolverError> {
    let builder = signs_of_life(addresses(builder, options)?, options);
    let builder = way(builder, options);
    Ok(environment(builder, options, ssh_config))
}

fn addresses(
    mut builder: ConfigBuilder,
    options: &Options,
) -> Result<ConfigBuilder, ResolverError> {
    if let Some(family) = &options.address_family {
        builder = builder.address_family(match family.value() {
            Family::Any => AddressFamily::Any,
            Family::Inet => AddressFamily::V4,
            Family::Inet6 => AddressFamily::V6,
        });
    }
    if let Some(address) = &options.bind_address {
        let number = address.value().parse();
        builder = builder.bind_address(number.map_err(|_| {
            let why = "write an address, not a name";
            unsupported("BindAddress", address, address.value().clone(), why)
        })?);
    }
    if let Some(name) = &options.bind_interface {
        let why = "binding to an interface is not supported; use BindAddress";
        return Err(unsupported(
            "BindInterface",
            name,
            name.value().clone(),
            why,
        ));
    }
    if let Some(attempts) = &options.connection_attempts
        && let Some(attempts) = NonZeroU32::new(*attempts.value())
    {
        builder = builder.connection_attempts(attempts);
    }
    if let Some(limit) = &options.connect_timeout {
        builder = builder.connect_timeout(*limit.value());
    }
    Ok(builder)
}

fn signs_of_life(mut builder: ConfigBuilder, options: &Options) -> ConfigBuilder {
    if let Some(interval) = &options.server_alive_interval {
        builder = builder.keepalive(*interval.value());
    }
    if let Some(max) = &options.server_alive_count_max {
        // ssh takes 0 for "at the first silence".
        builder = builder.keepalive_max(NonZeroU32::new(*max.value()).unwrap_or(NonZeroU32::MIN));
    }
    if let Some(probes) = &options.tcp_keep_alive {
        builder = builder.tcp_keepalive(match probes.value() {
            true => TcpKeepalive::Yes,
            false => TcpKeepalive::No,
        });
    }
    if options.compression.as_ref().is_some_and(|yes| *yes.value()) {
        builder = builder.compression(Compression::Yes);
    }
    builder
}

fn way(builder: ConfigBuilder, options: &Options) -> ConfigBuilder {
    match options.proxy.as_ref().map(Given::value) {
        Some(Proxy::Command(command)) => {
            // Its tokens were replaced already.
            let text = command.command().replace('%', "%%");
            builder.proxy_command(ProxyCommand::new(text))
        }
        _ => builder,
    }
}

fn environment(
    mut builder: ConfigBuilder,
    options: &Options,
    ssh_config: &SshConfig,
) -> ConfigBuilder {
    for (name, value) in ssh_config.local().variables() {
        let mut patterns = options.send_env.iter().map(Given::value);
        if patterns.any(|pattern| glob(pattern.as_bytes(), name.as_bytes())) {
            builder = builder.env(name, value);
        }
    }
    // As in ssh, what is set comes last, and so counts.
    for set in &options.set_env {
        let (name, value) = set.value();
        builder = builder.env(name, value.as_bytes());
    }
    builder
}

pub(super) fn unsupported<T>(
    option: &'static str,
    given: &Given<T>,
    value: String,
    why: &'static str,
) -> ResolverError {
    ResolverError::Unsupported {
        origin: given.origin().clone(),
        option,
        value,
        why,
    }
}
