//! `sshoal demo`: an embedded fleet in a child process, and a run over it by the ordinary path.
//!
//! The fleet is a child so that the figures shown are the client's alone, and so that no server
//! lives in a process that holds keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sshoal::ssh_config::quote;
use sshoal::{Collect, Detail, OnTimeout, parse_hosts_file};

use crate::args::{DemoAction, DemoArgs};
use crate::console::{Console, Sink, Terminals};
use crate::drive::{Driven, View, drive};
use crate::engine::{Job, Running};
use crate::exit_code::INTERNAL;
use crate::plan::{self, Access, Pace, Summing};
use crate::progress::Progress;
use crate::record::{Record, Recorder};
use crate::render::{Colors, Digest, Headings, Summary};
use crate::{access, complain};

mod fleet;
mod usage;

use fleet::Fleet;

/// Runs the demo and returns the exit code.
///
/// # Errors
/// Never fails as a wrong use would; what goes wrong with the fleet is exit code 1.
pub(crate) fn demo(args: &DemoArgs) -> Result<u8> {
    let done = match &args.action {
        Some(DemoAction::Up { count }) => fleet::keep_up(count.unwrap_or(args.count)),
        None => run(args),
    };
    Ok(done.unwrap_or_else(|error| {
        complain(&crate::wording::chain(&*error));
        INTERNAL
    }))
}

fn run(args: &DemoArgs) -> Result<u8> {
    let terminals = Terminals::detect();
    let mut console = Console::new(terminals, false, Progress::off());
    console.say(&format!("starting {} embedded hosts…", args.count));
    let fleet = Fleet::start(args.count)?;
    let hosts_file = fleet.file("hosts");
    let text = std::fs::read(&hosts_file).context("the fleet's hosts file")?;
    let hosts = parse_hosts_file(text, &hosts_file.display().to_string())?;
    let access = fleet_access(&fleet.file("known_hosts"), &fleet.file("user_ed25519"));
    let configs = access::open(&access, &hosts)?.configs;
    let command = match args.command.is_empty() {
        true => b"uname".to_vec(),
        false => plan::join(&args.command),
    };
    console.say(&format!(
        "running on all of them: {}",
        String::from_utf8_lossy(&command)
    ));
    let progress = match terminals.stderr {
        true => Progress::on_terminal(hosts.len()),
        false => Progress::off(),
    };
    let mut console = Console::new(terminals, false, progress);
    let labels: Vec<String> = hosts
        .iter()
        .map(|host| plan::label(host, access.user.as_deref()))
        .collect();
    let headings = Headings::new(labels.clone(), Colors::Off);
    let recorder = Recorder::new(labels, &hosts, &configs);
    let pace = Pace {
        par: args.par,
        ..Pace::default()
    };
    let (detail, collect) = (Detail::Outcomes, Collect::Yes);
    let count = hosts.len();
    let job = Job {
        hosts,
        commands: command.into(),
        launch: Default::default(),
        configs,
        pace,
        on_timeout: OnTimeout::default(),
        detail,
        collect,
        workers: None,
    };
    let before = usage::cpu_time();
    let mut gathered = Gathered::default();
    let start = |messages| Running::start(job, messages);
    let whom: Vec<usize> = (0..count).collect();
    let all = (&recorder, &whom[..]);
    let driven = drive(all, start, Some(&recorder), &mut gathered, &mut console)?;
    let spent = usage::cpu_time().saturating_sub(before);
    console.put(gathered.report(&driven, spent, &headings).as_bytes());
    fleet.stop()?;
    Ok(console.close(driven.facts.exit_code()))
}

/// The strict policy over the fleet's own files, and nothing of the user's.
fn fleet_access(known_hosts: &Path, key: &Path) -> Access {
    let file = |path: &Path| quote(&path.display().to_string().replace('%', "%%"));
    let options = vec![
        "User=demo".to_owned(),
        format!("IdentityFile={}", file(key)),
        "IdentityAgent=none".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        format!("UserKnownHostsFile={}", file(known_hosts)),
        "GlobalKnownHostsFile=none".to_owned(),
    ];
    Access {
        user: Some("demo".to_owned()),
        options,
        config_file: Some(PathBuf::from("none")),
        connect_timeout: Some(Some(CONNECT_TIMEOUT)),
        ..Access::default()
    }
}

/// What the demo shows at its end.
#[derive(Debug, Default)]
struct Gathered {
    gather: Digest,
    summary: Summary,
}

impl Gathered {
    fn report(&mut self, driven: &Driven, spent: Duration, headings: &Headings) -> String {
        let mut text = format!("\n{}\n", self.gather.text(GROUPS_MAX, LINES_MAX));
        for line in self.summary.lines(driven.wall, Summing::Full, headings) {
            text.push_str(&line);
            text.push('\n');
        }
        let per_host = spent.as_secs_f64() * 1e3 / headings.count() as f64;
        text.push_str(&format!("client: {per_host:.2} ms CPU per host"));
        if let Some(kib) = usage::peak_memory_kib() {
            text.push_str(&format!(
                ", {:.0} MiB of memory at most",
                kib as f64 / 1024.0
            ));
        }
        text.push('\n');
        text
    }
}

impl View for Gathered {
    fn bytes(&mut self, _: usize, _: Sink, _: &[u8], _: &mut Console) {}

    fn finished(&mut self, record: &Record, console: &mut Console) {
        console.progress().count(record.class());
        self.gather.add(record);
        self.summary.add(record);
    }

    fn outlives_stdout(&self) -> bool {
        false
    }
}

/// Different outputs shown; a demo is to be read.
const GROUPS_MAX: usize = 4;

/// Lines shown of each output.
const LINES_MAX: usize = 3;

/// The servers share this machine's cores with the client, so that the last hosts wait for them.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
