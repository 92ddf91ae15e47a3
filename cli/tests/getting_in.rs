//! Getting in by ssh_config and hosts files, with the real program and real OpenSSH servers.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::Ipv4Addr;
use std::process::Output;

use support::copying::Copying;
use support::openssh::sshd::{Sshd, current_user, known_hosts_line};
use support::openssh::{Home, section};
use support::{output, sshoal, stderr, stdout};

/// Two servers with keys of their own, on other ports.
fn two() -> Option<(Sshd, Sshd)> {
    let second = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 0, 9));
    Some((Sshd::start()?, second.start()?))
}

/// What every host of these tests has: no agent, and nobody's name but the one who runs them.
fn everybody() -> String {
    format!("Host *\n  User {}\n  IdentityAgent none\n", current_user())
}

/// Checks that a run went well on all hosts, and what it printed, in any order.
#[track_caller]
fn prints(output: &Output, expected: &[String]) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let text = stdout(output);
    let mut lines: Vec<&str> = text.lines().collect();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected, "{}", stderr(output));
}

/// The remote command that says which address and port it was reached at.
const WHERE: &str = "echo ${SSH_CONNECTION#* * }";

fn at(host: &str, sshd: &Sshd) -> String {
    format!("{host}: {} {}", sshd.address(), sshd.port())
}

/// Three hosts by three kinds of sections: other ports, keys, names of keys, and a `Match` that sets the user.
#[test]
fn hosts_get_what_ssh_config_says() {
    let Some((one, two)) = two() else { return };
    let home = Home::new();
    let user = current_user();
    let config = [
        section("first", &one),
        section("second", &two) + "  HostKeyAlias Farm\n",
        format!("Match originalhost third user nobody-{user}\n  Port 1\n"),
        format!("Match originalhost third\n  User {user}\n"),
        section("th?rd !fourth", &one),
        "Host *\n  User nobody-at-all\n".to_owned(),
    ];
    home.write(
        "config",
        &config
            .concat()
            .replace("Host first", &format!("Host first\n  User {user}\n"))
            .replace("Host second", &format!("Host second\n  User {user}\n")),
    );
    let farm = format!("farm {}\n", two.host_keys()[0]);
    home.write("known_hosts", &(one.known_hosts() + &farm));
    let output = output(home.run().args(["-P", "-H", "first second third", WHERE]));
    prints(
        &output,
        &[at("first", &one), at("second", &two), at("third", &one)],
    );
}

#[test]
fn an_alias_of_another_key_is_refused() {
    let Some((one, two)) = two() else { return };
    let home = Home::new();
    home.write(
        "config",
        &(section("first", &one) + "  HostKeyAlias farm\n" + &everybody()),
    );
    home.write(
        "known_hosts",
        &format!("{}farm {}\n", one.known_hosts(), two.host_keys()[0]),
    );
    let output = output(home.run().args(["-H", "first", "true"]));
    assert_eq!(output.status.code(), Some(4));
    let message = stderr(&output);
    assert!(
        message.contains("host key for farm has changed"),
        "{message}"
    );
}

#[test]
fn a_jump_host_leads_to_another_server() {
    let Some((gate, inner)) = two() else { return };
    let home = Home::new();
    let config = section("gate", &gate) + &section("inner", &inner) + "  ProxyJump gate\n";
    home.write("config", &(config + &everybody()));
    home.write("known_hosts", &(gate.known_hosts() + &inner.known_hosts()));
    let jumped = output(home.run().args(["-v", "-P", "-H", "inner", WHERE]));
    prints(&jumped, &[at("inner", &inner)]);
    assert!(
        stderr(&jumped).contains(", via gate)"),
        "{}",
        stderr(&jumped)
    );
    assert!(gate.log().contains("direct-tcpip"), "{}", gate.log());
    // Said otherwise for the run, and then for the host alone.
    let mark = gate.log_mark();
    let straight = output(home.run().args(["-J", "none", "-P", "-H", "inner", WHERE]));
    prints(&straight, &[at("inner", &inner)]);
    let hosts = home.write("hosts", "inner ProxyJump=none\n");
    let straight = output(
        home.run()
            .arg("-h")
            .arg(&hosts)
            .args(["-J", "gate", "-P", WHERE]),
    );
    prints(&straight, &[at("inner", &inner)]);
    assert!(!gate.log()[mark..].contains("Accepted"), "{}", gate.log());
}

/// The jump host's own refusal is told with its name, and in ssh's words.
#[test]
fn what_fails_on_the_way_is_told() {
    let Some((gate, inner)) = two() else { return };
    let home = Home::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = section("gate", &gate)
        + &section("inner", &inner)
        + &format!(
            "  ProxyJump gate\nHost nothing\n  HostName 127.0.0.1\n  Port {closed}\n  ProxyJump gate\n"
        )
        + &format!("Host away\n  ProxyJump 127.0.0.1:{closed}\n")
        + "Host by-command\n  ProxyCommand echo no way to %h >&2; exit 1\n";
    let keys = format!("Host *\n  IdentityFile {}\n", gate.key_path().display());
    home.write("config", &(config + &everybody() + &keys));
    home.write("known_hosts", &gate.known_hosts());
    let run = output(
        home.run()
            .args(["-H", "inner nothing away by-command", "true"]),
    );
    assert_eq!(run.status.code(), Some(4));
    let message = stderr(&run);
    for part in [
        "inner failed: host_key: Host key verification failed.".to_owned(),
        "nothing failed: connect: jump host gate: open failed: ".to_owned(),
        format!("away failed: connect: jump host 127.0.0.1:{closed}: Connection refused"),
        "by-command failed: connect: the proxy command ended: no way to by-command".to_owned(),
    ] {
        assert!(message.contains(&part), "{part:?} is missing in\n{message}");
    }
}

#[test]
fn a_proxy_command_leads_to_a_server() {
    let Some((gate, inner)) = two() else { return };
    let home = Home::new();
    let known = home.write("known_hosts", &(gate.known_hosts() + &inner.known_hosts()));
    let command = format!(
        "ssh -F none -o BatchMode=yes -o UserKnownHostsFile={} -i {} -p {} -W [%h]:%p %r@{}",
        known.display(),
        gate.key_path().display(),
        gate.port(),
        gate.address(),
    );
    let config = section("inner", &inner) + &everybody();
    home.write(
        "config",
        &(format!("Host inner\n  ProxyCommand {command}\n") + &config),
    );
    prints(
        &output(home.run().args(["-P", "-H", "inner", WHERE])),
        &[at("inner", &inner)],
    );
    assert!(gate.log().contains("direct-tcpip"), "{}", gate.log());
    // The same from a hosts file, where it has to stand in quotes.
    home.write("config", &config);
    let hosts = home.write("hosts", &format!("inner ProxyCommand=\"{command}\"\n"));
    let mark = gate.log_mark();
    let run = output(home.run().arg("-h").arg(&hosts).args(["-P", WHERE]));
    prints(&run, &[at("inner", &inner)]);
    assert!(
        gate.log()[mark..].contains("direct-tcpip"),
        "{}",
        gate.log()
    );
}

/// Fifty hosts behind one jump host share a few sessions to it.
#[test]
fn fifty_hosts_behind_one_jump_host_answer() {
    let Some(gate) = Sshd::start() else { return };
    let many = Sshd::builder()
        .first_address(Ipv4Addr::new(127, 2, 1, 1))
        .addresses(50);
    let Some(many) = many.log_level("INFO").start() else {
        return;
    };
    let home = Home::new();
    let config = section("gate", &gate)
        + &format!(
            "Host 127.2.1.*\n  Port {}\n  IdentityFile {}\n",
            many.port(),
            many.key_path().display()
        )
        + "  ProxyJump gate\n";
    home.write("config", &(config + &everybody()));
    home.write("known_hosts", &(gate.known_hosts() + &many.known_hosts()));
    let hosts: Vec<String> = many.addresses().iter().map(ToString::to_string).collect();
    let hosts_file = home.write("hosts", &hosts.join("\n"));
    let run = output(home.run().arg("-h").arg(&hosts_file).args(["-P", WHERE]));
    let expected = hosts
        .iter()
        .map(|host| format!("{host}: {host} {}", many.port()));
    prints(&run, &expected.collect::<Vec<_>>());
    let sessions = gate.log().matches("Accepted publickey").count();
    assert!(
        (1..=4).contains(&sessions),
        "{sessions} sessions to the jump host"
    );
}

/// Options of a line are for its host alone and come first; those that say no override.
#[test]
fn a_hosts_file_has_options_for_single_hosts() {
    let Some((one, two)) = two() else { return };
    let home = Home::new();
    let key = home.path("my key");
    std::fs::copy(two.key_path(), &key).unwrap();
    let config = "Host *\n  IdentityFile /no/such/key\n  Compression yes\n  ProxyJump nowhere\n";
    home.write("config", &(config.to_owned() + &everybody()));
    let known = known_hosts_line(one.address(), one.port(), &one.host_keys()[0]);
    home.write(
        "known_hosts",
        &(known + &format!("farm {}\n", two.host_keys()[0])),
    );
    let lines = [
        format!(
            "{} Port={} IdentityFile={} ProxyJump=none # the first",
            one.address(),
            one.port(),
            one.key_path().display(),
        ),
        format!(
            "{}:{} {} IdentityFile='~/.ssh/my key' HostKeyAlias=farm ProxyJump=none Compression=no",
            two.address(),
            two.port(),
            current_user(),
        ),
    ];
    let hosts = home.write("hosts", &lines.join("\n"));
    let run = output(
        home.run()
            .arg("-h")
            .arg(&hosts)
            .args(["-O", "Port=1", "-P", WHERE]),
    );
    let label = format!("{}:{}", two.address(), two.port());
    prints(
        &run,
        &[at(&one.address().to_string(), &one), at(&label, &two)],
    );
    assert!(!two.log().contains("Enabling compression"), "{}", two.log());
}

/// A server that speaks AES-CBC alone lets in those that `--legacy` names, and its offer is told to the others.
#[test]
fn weak_algorithms_are_for_hosts_that_are_named() {
    let Some(sshd) = Sshd::builder().config("Ciphers aes256-cbc").start() else {
        return;
    };
    let home = Home::new();
    let config = section("old", &sshd) + &section("chosen", &sshd) + "  Ciphers aes128-ctr\n";
    home.write(
        "config",
        &(config + &section("other", &sshd) + &everybody()),
    );
    home.write("known_hosts", &sshd.known_hosts());
    let run = output(home.run().args(["--legacy", "OLD,chosen", "-P"]).args([
        "-H",
        "old chosen other",
        WHERE,
    ]));
    assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
    let mut lines: Vec<String> = stdout(&run).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, [at("chosen", &sshd), at("old", &sshd)]);
    let part =
        "other failed: kex: Unable to negotiate: no matching cipher found. Their offer: aes256-cbc";
    assert!(stderr(&run).contains(part), "{}", stderr(&run));
}

/// Hosts are known by names that no resolver has; the address, port, user and key are the inventory's,
/// and so are the values in a command, in a path of the hosts and in one of this side.
#[test]
fn the_way_in_and_what_fills_templates_are_the_inventorys_to_say() {
    let Some(copying) = Copying::start(2) else {
        return;
    };
    let mut text = String::new();
    for (n, socket) in copying.sshd.sockets().iter().enumerate() {
        let (ip, port) = (socket.ip(), socket.port());
        text.push_str(&format!(
            "node-{n} ansible_host={ip} ansible_port={port} rack=r{n} up=../r{n}\n"
        ));
        copying.make(&format!("keys/r{n}"), format!("key {n}"));
    }
    text.push_str(&format!(
        "[all:vars]\nansible_user={}\nansible_ssh_private_key_file={}\n",
        copying.sshd.user(),
        copying.sshd.key_path().display()
    ));
    let inventory = copying.make("inventory", text);
    let command = |action: &str| {
        let mut program = sshoal(inventory.parent().unwrap());
        program.current_dir(inventory.parent().unwrap());
        program.args([action, "-F", "none", "-w", "@*", "--inventory", "inventory"]);
        let known = copying.sshd.known_hosts_path();
        program
            .arg("-O")
            .arg(format!("UserKnownHostsFile={}", known.display()));
        program.arg("--template");
        program
    };
    let ran = output(command("run").args(["-i", "echo it is {rack} {host}"]));
    prints(
        &ran,
        &["it is r0 node-0", "it is r1 node-1"].map(str::to_owned),
    );
    let put = output(command("put").args(["keys/{rack}", &copying.dest("key-of-{rack}")]));
    assert_eq!(put.status.code(), Some(0), "{}", stderr(&put));
    for n in 0..2 {
        let key = std::fs::read_to_string(copying.there(&format!("key-of-r{n}")));
        assert_eq!(key.unwrap(), format!("key {n}"));
    }
    let up = output(command("put").args(["keys/{up}", &copying.dest("up")]));
    assert_eq!(up.status.code(), Some(2));
    assert!(stderr(&up).contains("the up of"), "{}", stderr(&up));
}
