//! Where OpenSSH and sshoal differ on purpose, and why: every difference that the tests let pass.

use sshoal_session::ssh_config::{Fault, Options, Proxy, SshConfigError};

/// Where what we say for a host is not what `ssh -G` prints, by keyword, and why that is so.
const DIFFERENCES: [(&str, &str); 9] = [
    (
        "updatehostkeys",
        "its default, and whether there is one to ask, depend on other options",
    ),
    (
        "serveraliveinterval",
        "unsaid or none, Debian's ssh makes it 300 with BatchMode",
    ),
    (
        "identityagent",
        "ssh -G prints a variable's name, we say the socket that it holds",
    ),
    ("identityfile", "ssh -G prints `none`, which is no file"),
    ("certificatefile", "the same"),
    ("connecttimeout", "0 and none are both no limit"),
    (
        "loglevel",
        "Debian's ssh calls QUIET by its older name SILENT",
    ),
    (
        "forwardagent",
        "after `yes` or `no`, ssh also takes the socket of a later line",
    ),
    (
        "userknownhostsfile",
        "with ProxyJump, %C has it too, as in OpenSSH 9.7 and later; IdentityAgent as well",
    ),
];

/// Values that one side refuses and the other takes, by keywords, and why that is so.
const REFUSALS: [(&[&str], &[&str], &str); 6] = [
    (
        &["HostName", "User", "ProxyJump"],
        &[
            "~/x",
            "$V",
            "${V}",
            "${NOT_SET}",
            "${",
            "/p/%h",
            "A=1",
            "^hmac-sha1,x",
            "-x*",
            "-1",
            "\"a b\"",
            "\"\"",
            "yes no",
            "none a",
            "a none",
            "a b c",
            "5 5",
            "yes # and",
            "a,b",
            "%",
        ],
        "no host or user has such a name, and it would stand in logs and commands",
    ),
    (
        &[
            "IdentityFile",
            "IdentityFile2",
            "CertificateFile",
            "RevokedHostKeys",
            "ProxyCommand",
        ],
        &["/p/%t", "%", "${NOT_SET}", "${"],
        "ssh -G leaves them as they are, and ssh fails when it connects",
    ),
    (
        &["Include"],
        &["%", "/p/%h", "/p/%t", "${V}", "${NOT_SET}", "${"],
        "later versions of ssh read tokens there, which we do not",
    ),
    (
        &[
            "LocalForward",
            "RemoteForward",
            "DynamicForward",
            "ControlPath",
        ],
        &["/p/%t", "%", "${NOT_SET}", "${"],
        "nothing is forwarded or shared, so tokens in it stay",
    ),
    (
        &["RemoteCommand"],
        &["/p/%t", "%"],
        "is refused before its tokens matter, which the test counts as taken",
    ),
    (
        &["ForkAfterAuthentication"],
        &["yes", "true", "yes # and", "= yes"],
        "is refused, which the test counts as taken; ssh -G misses the command",
    ),
];

/// Whether a value is refused by one side alone, as [`REFUSALS`] says.
pub(crate) fn refused_by_one(keyword: &str, value: &str) -> bool {
    REFUSALS
        .iter()
        .any(|(keywords, values, _)| keywords.contains(&keyword) && values.contains(&value))
}

/// Whether a name was refused as [`REFUSALS`] says.
pub(crate) fn is_no_host(error: &SshConfigError) -> bool {
    matches!(error, SshConfigError::Option { source, .. } if matches!(**source, Fault::Host { .. }))
}

/// Whether a difference is one of [`DIFFERENCES`], by the very rule that stands there.
pub(crate) fn explained(
    keyword: &str,
    ours: &[String],
    theirs: &[String],
    options: &Options,
) -> bool {
    let listed = DIFFERENCES.iter().any(|(listed, _)| *listed == keyword);
    let holds = match keyword {
        "updatehostkeys" => {
            options.update_host_keys.is_none() || (ours == ["ask"] && theirs == ["false"])
        }
        "serveraliveinterval" => ours == ["0"] && theirs == ["300"],
        "identityagent" if ours == ["/v"] => theirs == ["$V"],
        "identityfile" | "certificatefile" => {
            let files = theirs
                .iter()
                .filter(|file| !file.eq_ignore_ascii_case("none"));
            files.eq(ours)
        }
        "connecttimeout" => ours == ["none"] && theirs == ["0"],
        "loglevel" => ours == ["QUIET"] && theirs == ["SILENT"],
        "forwardagent" => ours == ["no"] || ours == ["yes"],
        "userknownhostsfile" | "identityagent" if jumps(options) => ours
            .iter()
            .map(|line| without_hashes(line))
            .eq(theirs.iter().map(|line| without_hashes(line))),
        _ => false,
    };
    listed && holds
}

fn jumps(options: &Options) -> bool {
    let proxy = options.proxy.as_ref().map(|proxy| proxy.value());
    matches!(proxy, Some(Proxy::Jump(_)))
}

/// A line with each hash of 40 digits left out.
fn without_hashes(line: &str) -> String {
    let is_hash = |part: &&str| part.len() >= 40 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = line.split(|c: char| !c.is_ascii_hexdigit());
    let hashes: Vec<&str> = parts.filter(is_hash).collect();
    hashes
        .iter()
        .fold(line.to_owned(), |line, hash| line.replace(hash, "HASH"))
}
