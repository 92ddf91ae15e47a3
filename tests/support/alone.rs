//! Tests that start again as a process of their own: what is measured, or taken, is then that process's alone.

use std::env;
use std::process::{Command, Stdio};

/// Names the test that a process was started for.
const VARIABLE: &str = "SSHOAL_TEST_ALONE";

/// Runs a test of this program in a process of its own and returns what it printed.
#[track_caller]
pub(crate) fn run_alone(test: &str) -> String {
    let (passes, printed) = try_alone(test, None);
    assert!(passes, "{test} fails");
    printed
}

/// As [`run_alone`], with a variable for it; returns whether it passes, too.
#[expect(clippy::print_stdout, reason = "what it measured is worth reading")]
pub(crate) fn try_alone(test: &str, variable: Option<(&str, &str)>) -> (bool, String) {
    let process = Command::new(env::current_exe().expect("knows its own file"))
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, test)
        .envs(variable)
        .stdin(Stdio::null())
        .output()
        .expect("starts itself");
    let stdout = String::from_utf8_lossy(&process.stdout).into_owned();
    print!("{stdout}{}", String::from_utf8_lossy(&process.stderr));
    (process.status.success(), stdout)
}

/// Returns whether this process was started for that test; else it has nothing to do.
pub(crate) fn is_alone(test: &str) -> bool {
    env::var_os(VARIABLE).is_some_and(|name| name == test)
}
