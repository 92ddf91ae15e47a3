//! The process group of each shell, so that an end from outside reaches what runs in it.
//!
//! A signal by the shell's own channel is refused by sshd for root, so that the groups are told by
//! another command of the same session.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sshoal::{Commands, Fleet, Pattern, Scope, Shells};

/// By host, where it is known.
pub(super) struct Groups(Vec<Option<u32>>);

impl Groups {
    /// Asks each shell; `before` takes what it printed before it answered.
    pub(super) fn learn(
        shells: &Shells,
        scope: &Scope,
        mut before: impl FnMut(usize, &[u8]),
    ) -> Self {
        let Ok(pattern) = Pattern::regex("sshoal-group:[0-9]+\n") else {
            return Self(Vec::new());
        };
        let limit = scope.child(Some(ANSWER_WITHIN));
        // Any login shell understands it; a shell without a terminal leads a group of its own.
        let _ = shells.run_all(&["sh -c 'echo sshoal-group:$PPID'"], &limit);
        let ask = |(index, shell): (usize, Result<&sshoal::InteractiveShell, _>)| {
            let found = shell.ok()?.expect(pattern.clone(), &limit).ok()?;
            before(index, &found.before);
            let digits = found.matched.iter().filter(|byte| byte.is_ascii_digit());
            let digits = String::from_utf8(digits.copied().collect()).ok()?;
            digits.parse().ok().filter(|group| *group > 1)
        };
        let shells = shells.iter().map(|(_, shell)| shell).enumerate();
        Self(shells.map(ask).collect())
    }

    /// Ends all that is known, within a bounded time.
    pub(super) fn end(&self, fleet: Fleet) {
        let end = |group: &Option<u32>| match group {
            Some(group) => format!("kill -TERM -{group}"),
            None => "true".to_owned(),
        };
        let commands = Commands::each(self.0.iter().map(end));
        let Ok(run) = fleet.run(commands) else {
            return;
        };
        let (ended, end) = channel();
        thread::spawn(move || {
            let _ = run.report();
            let _ = ended.send(());
            drop(fleet);
        });
        // Hosts that do not answer are left to themselves.
        let _ = end.recv_timeout(END_WITHIN);
    }
}

/// How long a shell may take to begin.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Below the time that an interrupt has.
const END_WITHIN: Duration = Duration::from_millis(1_200);
