//! The fleet as a process: start, the ready line, counters, the end.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::args::{self, Action, Plan, Until};
use crate::fleet::Fleet;

/// Runs a fleet as this process's only work, as the arguments (without the program's name) say.
///
/// Prints the [ready](crate::Ready) line on standard output and returns when standard input
/// reaches its EOF or a signal comes: exit code 0, 1 if the fleet cannot start, 2 for a wrong
/// command line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match args::parse(args) {
        Ok(Action::Print(text)) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Action::Run(plan)) => match run(*plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&*error);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

fn run(plan: Plan) -> Result<(), Box<dyn Error>> {
    let fleet = plan.fleet.build()?;
    let result = serve(&fleet, plan.until);
    say(fleet.counters());
    drop(fleet);
    if let Some(dir) = plan.temporary {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(result?)
}

/// Waits for the end of a running fleet.
fn serve(fleet: &Fleet, until: Until) -> io::Result<()> {
    fleet.block_on(async {
        // Listened for before the ready line, because signals may follow it at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut report = signal(SignalKind::user_defined1())?;
        let mut parent = watch_stdin(until)?;
        say(fleet.ready());
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = report.recv() => say(fleet.counters()),
                _ = &mut parent.ended => return Ok(()),
            }
        }
    })
}

/// Tells when standard input has ended.
struct Parent {
    ended: oneshot::Receiver<()>,
    /// Kept so that `ended` never comes if nothing is watched.
    _never: Option<oneshot::Sender<()>>,
}

fn watch_stdin(until: Until) -> io::Result<Parent> {
    let (sender, ended) = oneshot::channel();
    if until == Until::Signal {
        return Ok(Parent {
            ended,
            _never: Some(sender),
        });
    }
    // A thread of its own, never joined: a blocking read cannot be called off, and the process
    // ends under it.
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut buf = [0; 256];
            let mut stdin = io::stdin();
            while stdin.read(&mut buf).is_ok_and(|n| n > 0) {}
            let _fleet_has_ended = sender.send(());
        })?;
    Ok(Parent {
        ended,
        _never: None,
    })
}

/// Prints a line; a reader that has gone is no failure of the fleet.
fn say(line: impl Display) {
    let mut stdout = io::stdout().lock();
    let _gone = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn complain(error: &dyn Error) {
    let mut line = format!("sshoal-loopback: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let _gone = writeln!(io::stderr(), "{line}");
}
