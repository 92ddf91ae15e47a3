//! The embedded fleet as a child process of this one: start, files, end.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sshoal_loopback::Ready;

use crate::args::FLEET_ACTION;
use crate::complain;
use crate::signals::{self, Wish};

/// A running fleet; it ends with this process, however that ends.
#[derive(Debug)]
pub(super) struct Fleet {
    child: Child,
    ready: Ready,
    /// Says when the child has closed its standard output: it has ended.
    ended: Receiver<()>,
}

impl Fleet {
    /// Starts so many hosts and waits until they can be connected to.
    ///
    /// # Errors
    /// Fails if the child cannot be started or says that it cannot serve.
    pub(super) fn start(count: NonZeroUsize) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .arg(FLEET_ACTION)
            .args(["--hosts", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the run; the fleet ends by its closed standard input.
            .process_group(0)
            .spawn()
            .context("cannot start the embedded fleet")?;
        let stdout = child
            .stdout
            .take()
            .context("the fleet has no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout
            .read_line(&mut line)
            .context("cannot hear from the embedded fleet")?;
        let Ok(ready) = line.parse() else {
            let _ = child.wait();
            bail!("the embedded fleet did not start");
        };
        let (sender, ended) = channel();
        // Drained, so that the child never waits for room to say something.
        let drain = move || {
            let mut rest = Vec::new();
            while matches!(stdout.read_until(b'\n', &mut rest), Ok(1..)) {
                rest.clear();
            }
            let _ = sender.send(());
        };
        thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(drain)?;
        Ok(Self {
            child,
            ready,
            ended,
        })
    }

    /// Returns the path of one of the fleet's files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.ready.dir().join(name)
    }

    /// Ends the fleet; its files go with it.
    ///
    /// # Errors
    /// Fails if the child had to be killed, or ended badly.
    pub(super) fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let in_time = self.ended.recv_timeout(PATIENCE).is_ok();
        if !in_time {
            self.child
                .kill()
                .context("cannot kill the embedded fleet")?;
        }
        let status = self
            .child
            .wait()
            .context("cannot wait for the embedded fleet")?;
        if !in_time || !status.success() {
            bail!("the embedded fleet ended badly: {status}");
        }
        Ok(())
    }
}

/// Starts a fleet, says where its files are and keeps it until Ctrl-C or SIGTERM.
///
/// # Errors
/// Fails if the fleet cannot be started, or ends by itself.
pub(super) fn keep_up(count: NonZeroUsize) -> Result<u8> {
    let (sender, signaled) = channel();
    let tell = move |wish| match wish {
        Wish::State => complain(&format!("{count} hosts are up")),
        Wish::End(_) => {
            let _ = sender.send(());
        }
    };
    signals::watch(tell).context("cannot watch for signals")?;
    let fleet = Fleet::start(count)?;
    let [hosts, known, key] =
        ["hosts", "known_hosts", "user_ed25519"].map(|name| fleet.file(name).display().to_string());
    let text = format!(
        "{count} hosts are up\n\
         hosts file: {hosts}\n\
         known hosts: {known}\n\
         private key: {key}\n\
         try: sshoal run -h {hosts} -O UserKnownHostsFile={known} -O IdentitiesOnly=yes \
         --identity {key} -i hostname\n"
    );
    // Whoever closed our standard output has what it needs, or nothing more can be told to it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    complain("Ctrl-C stops them");
    while signaled.recv_timeout(LOOK_EVERY).is_err() {
        if fleet.ended.try_recv().is_ok() {
            bail!("the embedded fleet ended by itself");
        }
    }
    fleet.stop()?;
    Ok(0)
}

/// How long the child may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether the child is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
