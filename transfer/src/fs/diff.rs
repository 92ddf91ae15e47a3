//! What was changed in a file, as a unified diff.

mod shortest;

/// One place where lines were taken out and others put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// The number of the first old line that is taken out, or before which lines are put in.
    pub(super) at: usize,
    pub(super) removed: usize,
    pub(super) added: Vec<Vec<u8>>,
}

/// Returns the unified diff of edits, which are in order and apart; empty without any.
///
/// Lines hold their ends. What is no UTF-8 is shown by the replacement character.
pub(super) fn unified(path: &[u8], old: &[&[u8]], edits: &[Edit]) -> String {
    let mut text = String::new();
    let mut shift: isize = 0;
    let mut rest = edits;
    while let Some(first) = rest.first() {
        if text.is_empty() {
            let name = path.escape_ascii();
            text = format!("--- {name}\n+++ {name}\n");
        }
        // Edits whose surroundings touch are one hunk.
        let mut count = 1;
        while let Some(next) = rest.get(count)
            && next.at <= rest[count - 1].at + rest[count - 1].removed + 2 * CONTEXT
        {
            count += 1;
        }
        let (hunk, after) = rest.split_at(count);
        let last = &hunk[count - 1];
        let begin = first.at.saturating_sub(CONTEXT);
        let end = (last.at + last.removed + CONTEXT).min(old.len());
        let removed: usize = hunk.iter().map(|edit| edit.removed).sum();
        let added: usize = hunk.iter().map(|edit| edit.added.len()).sum();
        let (was, is) = (end - begin, end - begin - removed + added);
        let new_begin = begin.saturating_add_signed(shift);
        let place = |begin: usize, count: usize| match count {
            0 => format!("{begin},0"),
            1 => format!("{}", begin + 1),
            _ => format!("{},{count}", begin + 1),
        };
        text += &format!("@@ -{} +{} @@\n", place(begin, was), place(new_begin, is));
        let mut at = begin;
        for edit in hunk {
            lines(&mut text, ' ', &old[at..edit.at]);
            at = edit.at + edit.removed;
            lines(&mut text, '-', &old[edit.at..at]);
            lines(&mut text, '+', &edit.added);
        }
        lines(&mut text, ' ', &old[at..end]);
        shift += added.cast_signed() - removed.cast_signed();
        rest = after;
    }
    text
}

/// Returns the unified diff of a file's bytes; empty if they are the same. Of bytes that are no text
/// it says only that they differ.
pub(super) fn between(path: &[u8], old: &[u8], new: &[u8]) -> String {
    if old == new {
        return String::new();
    }
    if old.contains(&0) || new.contains(&0) || old.len().max(new.len()) > DIFF_BYTES_MAX {
        return unknown(path);
    }
    let split = |bytes: &'_ [u8]| -> Vec<Vec<u8>> {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    };
    let (old, new) = (split(old), split(new));
    let edits = shortest::edits(&old, &new);
    let old: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
    unified(path, &old, &edits)
}

/// What is said in place of a difference that is not looked for.
pub(super) fn unknown(path: &[u8]) -> String {
    let name = path.escape_ascii();
    format!("--- {name}\n+++ {name}\nthe bytes differ\n")
}

fn lines(text: &mut String, mark: char, lines: &[impl AsRef<[u8]>]) {
    for line in lines {
        let line = String::from_utf8_lossy(line.as_ref());
        text.push(mark);
        text.push_str(line.strip_suffix('\n').unwrap_or(&line));
        text.push('\n');
        if !line.ends_with('\n') {
            text.push_str("\\ No newline at end of file\n");
        }
    }
}

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// The largest files whose difference is shown line by line.
const DIFF_BYTES_MAX: usize = 4 * 1024 * 1024;
