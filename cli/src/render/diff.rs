//! What differs between two outputs, as a unified diff.

use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Where in both outputs what follows stands.
    Place(String),
    Same(&'a [u8]),
    Removed(&'a [u8]),
    Added(&'a [u8]),
    /// The line before it has no end.
    NoNewline,
}

/// Compares two outputs line by line; lines are the same if `key` of them is. Returns no line if
/// nothing differs.
pub(super) fn unified<'a>(
    old: &'a [u8],
    new: &'a [u8],
    key: impl Fn(&'a [u8]) -> Vec<u8>,
) -> Vec<Line<'a>> {
    let (old, new) = (split(old), split(new));
    let keys = |lines: &[&'a [u8]]| lines.iter().map(|line| key(line)).collect::<Vec<_>>();
    let (old_keys, new_keys) = (keys(&old), keys(&new));
    // Beyond it the diff is right, and longer than it has to be.
    let until = Some(Instant::now() + PATIENCE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old_keys, &new_keys, until);
    let mut lines = Vec::new();
    for hunk in group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            continue;
        };
        if hunk.iter().all(|op| op.tag() == DiffTag::Equal) {
            continue;
        }
        let was = first.old_range().start..last.old_range().end;
        let is = first.new_range().start..last.new_range().end;
        lines.push(Line::Place(format!(
            "@@ -{} +{} @@",
            place(&was),
            place(&is)
        )));
        hunk.iter().for_each(|op| add(op, (&old, &new), &mut lines));
    }
    lines
}

fn add<'a>(op: &DiffOp, (old, new): (&[&'a [u8]], &[&'a [u8]]), lines: &mut Vec<Line<'a>>) {
    let (tag, was, is) = op.as_tag_tuple();
    let mut put = |line: Line<'a>, bytes: &[u8]| {
        lines.push(line);
        if !bytes.ends_with(b"\n") {
            lines.push(Line::NoNewline);
        }
    };
    if tag == DiffTag::Equal {
        old[was].iter().for_each(|line| put(Line::Same(line), line));
        return;
    }
    old[was]
        .iter()
        .for_each(|line| put(Line::Removed(line), line));
    new[is].iter().for_each(|line| put(Line::Added(line), line));
}

/// Returns lines with their ends.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

fn place(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        count => format!("{},{count}", range.start + 1),
    }
}

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// How long the shortest diff is looked for.
const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(lines: &[Line<'_>]) -> String {
        let line = |line: &Line<'_>| match line {
            Line::Place(place) => format!("{place}\n"),
            Line::Same(line) => format!(" {}", String::from_utf8_lossy(line)),
            Line::Removed(line) => format!("-{}", String::from_utf8_lossy(line)),
            Line::Added(line) => format!("+{}", String::from_utf8_lossy(line)),
            Line::NoNewline => "\n\\\n".to_owned(),
        };
        lines.iter().map(line).collect()
    }

    fn diff(old: &str, new: &str) -> String {
        text(&unified(old.as_bytes(), new.as_bytes(), <[u8]>::to_vec))
    }

    #[test]
    fn changes_stand_among_the_lines_around_them() {
        assert_eq!(diff("a\nb\n", "a\nb\n"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let expected = "@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n";
        assert_eq!(diff(old, &old.replace("5\n", "")), expected);
        assert_eq!(diff("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff("a\n", "a"), "@@ -1 +1 @@\n-a\n+a\n\\\n");
    }

    #[test]
    fn lines_with_the_same_key_are_the_same() {
        let key = |line: &[u8]| line.to_ascii_lowercase();
        assert!(unified(b"A\nb\n", b"a\nB\n", key).is_empty());
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_the_one_to_the_other(
            old in "([abc]\\n){0,12}[ab]?", new in "([abc]\\n){0,12}[ab]?"
        ) {
            let lines = unified(old.as_bytes(), new.as_bytes(), <[u8]>::to_vec);
            let (mut removed, mut added) = (0, 0);
            for line in &lines {
                match line {
                    Line::Removed(_) => removed += 1,
                    Line::Added(_) => added += 1,
                    _ => {}
                }
            }
            let count = |text: &str| split(text.as_bytes()).len();
            prop_assert_eq!(count(&old) + added, count(&new) + removed);
            prop_assert_eq!(lines.is_empty(), old == new);
        }
    }
}
