//! What a host's copies changed, a line each on standard output, and what could not be copied or was
//! skipped, on standard error.

use crate::console::Console;
use crate::copies::Copies;
use crate::plan::Talk;
use crate::record::Record;
use crate::sanitise::one_line;

/// Shows a finished host's copies.
pub(super) fn finished(record: &Record, talk: Talk, console: &mut Console) {
    let Some(copies) = record.copies.as_deref() else {
        return;
    };
    let mut text = String::new();
    for (word, path) in &copies.changes {
        let path = shown(path);
        text.push_str(&format!("{}\t{word}\t{path}\n", record.label));
    }
    if !text.is_empty() {
        console.put(text.as_bytes());
    }
    for line in lines(&record.label, copies, talk) {
        console.say(&line);
    }
}

/// Returns what is said besides the status line, which names the only failure itself.
fn lines(label: &str, copies: &Copies, talk: Talk) -> Vec<String> {
    let most = match talk {
        Talk::Verbose => usize::MAX,
        _ => LINES_MAX,
    };
    let failed = copies.failed.iter().filter(|_| copies.failed.len() > 1);
    let failed = failed.map(|(path, why)| {
        one_line(&format!("{label}: {}: {}", shown(path), why.reason)).into_owned()
    });
    let mut lines: Vec<String> = failed.take(most).collect();
    if copies.failed.len() > most {
        let more = copies.failed.len() - most;
        lines.push(format!(
            "{label}: {more} more could not be copied; -v names them"
        ));
    }
    if talk == Talk::Verbose {
        let skipped = copies.skipped.iter();
        lines.extend(skipped.map(|(path, why)| {
            one_line(&format!("{label}: {}: skipped: {why}", shown(path))).into_owned()
        }));
    }
    if copies.unlisted > 0 {
        lines.push(format!("{label}: {} more are not listed", copies.unlisted));
    }
    lines
}

/// A path as it is where it is plain text, and otherwise with escapes.
fn shown(path: &[u8]) -> String {
    match str::from_utf8(path) {
        Ok(text) => one_line(text).into_owned(),
        Err(_) => path.escape_ascii().to_string(),
    }
}

/// Failures of a host that are named unless more is asked for.
const LINES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::refused;

    #[test]
    fn failures_are_named_up_to_a_bound_and_are_harmless() {
        let mut copies = Copies::default();
        copies.failed.push((b"a\x1b[2J\nb".to_vec(), refused()));
        assert!(lines("web1", &copies, Talk::Normal).is_empty());
        for _ in 0..10 {
            copies.failed.push((b"x\xff".to_vec(), refused()));
        }
        let shown = lines("web1", &copies, Talk::Normal);
        assert_eq!(shown.len(), 11);
        assert_eq!(shown[0], "web1: a\\x1b[2J\\x0ab: Connection refused");
        assert_eq!(shown[1], "web1: x\\xff: Connection refused");
        assert!(shown[10].starts_with("web1: 1 more could not"));
        assert_eq!(lines("web1", &copies, Talk::Verbose).len(), 11);
    }
}
