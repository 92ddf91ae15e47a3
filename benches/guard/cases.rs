//! The pure functions of the hot path, on inputs that never change.

use std::hint::black_box;

use sshoal::{
    Host,
    hosts::{expand, fold},
};
use sshoal_session::{
    known_hosts::{KnownHosts, Verdict},
    ssh_config::{Local, SshConfig},
};

/// Does each case once, its input made before, and prints their names in order.
pub(crate) fn all() {
    let specs = host_specs();
    counted("host_specs", &|| read_and_write(&specs));
    counted("node_set_expand", &|| expand(NODE_SET).unwrap().len());
    let names = expand(NODE_SET).unwrap();
    counted("node_set_fold", &|| {
        fold(names.iter().map(String::as_str)).len()
    });
    let text = known_hosts_text();
    counted("known_hosts_load", &|| load(&text).len());
    let known = load(&text);
    let blobs: Vec<Vec<u8>> = (0..HOSTS).map(key_blob).collect();
    counted("known_hosts_look_up", &|| look_up_keys(&known, &blobs));
    let config = ssh_config();
    let hosts: Vec<Host> = (0..HOSTS).map(config_host).collect();
    counted("ssh_config_look_up", &|| look_up_options(&config, &hosts));
    let output = output();
    counted("output_lines", &|| {
        sshoal_pool::measured::lines(&output, 8 * 1024)
    });
    counted("sanitise", &|| {
        let mut clean = Vec::new();
        sshoal_pool::sanitise::sanitise(&output, &mut clean);
        clean.len()
    });
    counted("schedule", &|| sshoal_pool::measured::schedule(HOSTS, 100));
    let stream = packets();
    counted("framing", &|| {
        sshoal_session::measured::frame(&stream, 34_000)
    });
}

/// Does the work of one case: valgrind counts while this runs, and writes the counts when it returns.
///
/// Not inlined, and what it returns goes through `black_box`, because a last call would otherwise be
/// a jump out of it.
#[inline(never)]
fn counted(name: &str, work: &dyn Fn() -> usize) {
    println!("{name}");
    assert_ne!(black_box(work()), 0, "{name} does nothing");
}

const HOSTS: usize = 1000;
const NODE_SET: &str = "rack[01-20]-node[001-100]";

fn host_specs() -> Vec<String> {
    let spec = |index: usize| match index % 4 {
        0 => format!("web{index}.example.org"),
        1 => format!("root@db-{index}.eu.example.org:2222"),
        2 => format!("10.1.{}.{}", index / 256, index % 256),
        _ => format!("[2001:db8::{index:x}]:22"),
    };
    (0..HOSTS).map(spec).collect()
}

fn read_and_write(specs: &[String]) -> usize {
    let hosts = specs.iter().map(|spec| spec.parse::<Host>().unwrap());
    hosts.map(|host| host.to_string().len()).sum()
}

/// A line for each host, with a key of its own.
fn known_hosts_text() -> String {
    let line = |index| format!("web{index}.example.org ssh-ed25519 {}\n", key_text(index));
    (0..HOSTS).map(line).collect()
}

/// An ed25519 public key as it stands in a file: 51 bytes, the last 16 of which differ.
fn key_text(index: usize) -> String {
    format!("AAAAC3NzaC1lZDI1NTE5AAAAI{index:A>43}")
}

fn key_blob(index: usize) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        _ => unreachable!("the text has letters and digits"),
    };
    let text = key_text(index);
    let groups = text.as_bytes().chunks(4);
    let bits = groups.map(|group| group.iter().fold(0, |bits, c| bits << 6 | digit(*c)));
    bits.flat_map(|bits: u32| bits.to_be_bytes()[1..].to_vec())
        .collect()
}

fn load(text: &str) -> KnownHosts {
    let mut known = KnownHosts::new();
    known.add_text(text.as_bytes(), "known");
    known
}

/// Returns how many hosts are known by the key they show, as connecting finds out.
fn look_up_keys(known: &KnownHosts, blobs: &[Vec<u8>]) -> usize {
    let is_known = |(index, blob): &(usize, &Vec<u8>)| {
        let name = format!("web{index}.example.org");
        let offered = known.known_algorithms(&name, 22).len();
        offered == 1 && known.check(&name, 22, blob) == Verdict::Match
    };
    blobs.iter().enumerate().filter(is_known).count()
}

/// Twenty sections, one of which each host is in, and one for all.
fn ssh_config() -> SshConfig {
    let section = |index| {
        format!(
            "Host *.zone{index}.example.org\n  User u{index}\n  Port 22{index:02}\n  Ciphers aes256-gcm@openssh.com\n"
        )
    };
    let text: String = (0..20).map(section).collect();
    let local = Local::default().with_user("me", 7).with_home("/home/me");
    SshConfig::builder(local.with_host_name("here"))
        .text(format!("{text}Host *\n  ServerAliveInterval 15\n"))
        .load()
        .unwrap()
}

fn config_host(index: usize) -> Host {
    Host::new(format!("web{index}.zone{}.example.org", index % 20)).unwrap()
}

fn look_up_options(config: &SshConfig, hosts: &[Host]) -> usize {
    let ports = hosts
        .iter()
        .map(|host| *config.lookup(host).unwrap().port.value());
    ports.map(usize::from).sum()
}

/// 64 KiB of lines of 0 to 79 characters, with a colour, an umlaut and a bad byte now and then.
fn output() -> Vec<u8> {
    let mut output = Vec::new();
    for index in 0.. {
        let text = "abcdefghij".repeat(8);
        output.extend(&text.as_bytes()[..index * 7 % 80]);
        match index % 16 {
            3 => output.extend(b"\x1b[31m"),
            7 => output.extend("\u{fc}".as_bytes()),
            11 => output.push(0xff),
            _ => {}
        }
        output.push(b'\n');
        if output.len() > 64 * 1024 {
            break;
        }
    }
    output
}

/// Packets as a command's are under AES-GCM: small ones, and full ones now and then.
fn packets() -> Vec<u8> {
    let mut stream = Vec::new();
    for index in 0..HOSTS {
        let length: u16 = if index % 10 == 0 { 16_016 } else { 48 };
        stream.extend(u32::from(length).to_be_bytes());
        stream.resize(stream.len() + usize::from(length) + 16, 7);
    }
    stream
}
