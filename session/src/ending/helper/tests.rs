//! The helper's program under the shells of this machine.

use std::io::Write;
use std::process::{Command, Stdio};

use super::super::tree::Since;
use super::*;

/// Runs the helper by a login shell, with these lines of input; returns its own number and what
/// it printed.
#[track_caller]
fn run(shell: &[&str], input: &str) -> (u32, Vec<String>) {
    let child = Command::new(shell[0])
        .args(&shell[1..])
        .arg("-c")
        .arg(command())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    let id = child.id();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{shell:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    (id, text.lines().map(str::to_owned).collect())
}

/// Shells that a login may hand the helper on from; those that are not installed are left out.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [
        &["sh"] as &[_],
        &["dash"],
        &["bash"],
        &["busybox", "sh"],
        &["zsh"],
        &["ksh"],
        &["mksh"],
        &["tcsh"],
        &["fish"],
    ];
    let there = |shell: &&&[&str]| {
        let tried = Command::new(shell[0]).arg("--help").output();
        tried.is_ok()
    };
    all.iter()
        .filter(there)
        .map(|shell| shell.to_vec())
        .collect()
}

#[test]
fn the_program_survives_single_quotes_of_any_shell() {
    let inside = command();
    let inside = inside.strip_prefix("exec sh -c '").unwrap();
    let inside = inside.strip_suffix('\'').unwrap();
    assert!(!inside.contains(['\'', '!', '\\', '\n']) && inside.is_ascii());
}

/// The helper stands for the shell that ran it, and finds itself and this test among all processes,
/// both ways.
#[test]
fn lists_the_processes_of_the_machine() {
    let own = std::process::id();
    for shell in shells() {
        let request = format!("list /proc/{own}/stat /proc/0/stat\nlist\nps\n");
        let (helper, lines) = run(&shell, &request);
        assert_eq!(
            lines[0],
            format!("sshoal-helper {helper} {own}"),
            "{shell:?}"
        );
        let parts: Vec<_> = lines[1..].split(|line| line == "end").collect();
        let of = |part: &[String]| -> Vec<Process> {
            let items = part.iter().flat_map(|line| line.split(','));
            items.filter_map(tree::of_proc).collect()
        };
        let (one, all) = (of(parts[0]), of(parts[1]));
        let by_ps: Vec<_> = parts[2]
            .iter()
            .filter_map(|line| tree::of_ps(line))
            .collect();
        let find = |table: &[Process], pid| table.iter().find(|p| p.pid == pid).copied();
        assert_eq!(one.iter().map(|p| p.pid).collect::<Vec<_>>(), [own]);
        for table in [&all, &by_ps] {
            let (test, found) = (find(table, own).unwrap(), find(table, helper).unwrap());
            assert_eq!(found.parent, own, "{shell:?}");
            assert!(table.len() > 2 && test.parent != own);
        }
        assert_eq!(find(&all, own), Some(one[0]));
        assert!(matches!(find(&by_ps, own).unwrap().started, Since::Ago(_)));
    }
}

/// A process is signalled only under the number and the start that it was seen with.
#[test]
fn signals_the_process_that_was_meant() {
    for shell in shells() {
        let mut victim = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = victim.id();
        let (_, lines) = run(&shell, &format!("list /proc/{pid}/stat\n"));
        let seen = tree::of_proc(lines[1].trim_end_matches(',')).unwrap();
        let Since::Ticks(ticks) = seen.started else {
            panic!("{seen:?}")
        };
        let (_, lines) = run(&shell, &format!("kill KILL {pid} {} 1 5\n", ticks + 1));
        assert_eq!(lines[1..], ["end"], "{shell:?}");
        assert!(victim.try_wait().unwrap().is_none(), "{shell:?}");
        let (_, lines) = run(&shell, &format!("kill TERM {pid} {ticks}\n"));
        assert_eq!(lines[1..], ["end"], "{shell:?}");
        let status = victim.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(15)
        );
        // One that is not there cannot be signalled.
        let (_, lines) = run(&shell, "kill TERM 4194999 -\n");
        assert_eq!(lines[1..], ["refused 4194999", "end"], "{shell:?}");
    }
}
