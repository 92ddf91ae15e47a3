//! The fewest lines to take out and put in, by Myers' greedy search (Algorithmica 1, 1986, pp. 251 to
//! 266), which takes time by how much two files differ, not by how long they are.

use super::Edit;

/// Returns what makes `new` of `old`, in order and apart. Where they differ in more than
/// [`DIFFERENCES_MAX`] lines, all between the first and the last difference is one edit.
pub(super) fn edits(old: &[Vec<u8>], new: &[Vec<u8>]) -> Vec<Edit> {
    let pairs = || old.iter().zip(new);
    let begin = pairs().take_while(|(one, other)| one == other).count();
    let pairs = old[begin..].iter().rev().zip(new[begin..].iter().rev());
    let end = pairs.take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[begin..old.len() - end], &new[begin..new.len() - end]);
    let mut edits: Vec<Edit> = Vec::new();
    match search(old, new) {
        None => edits.push(Edit {
            at: begin,
            removed: old.len(),
            added: new.to_vec(),
        }),
        Some(steps) => {
            for step in steps {
                let (at, taken) = match step {
                    Step::Out(at) => (begin + at, None),
                    Step::In(at, which) => (begin + at, Some(new[which].clone())),
                };
                match edits.last_mut() {
                    Some(last) if last.at + last.removed == at => {
                        last.removed += usize::from(taken.is_none());
                        last.added.extend(taken);
                    }
                    _ => edits.push(Edit {
                        at,
                        removed: usize::from(taken.is_none()),
                        added: taken.into_iter().collect(),
                    }),
                }
            }
        }
    }
    edits
}

/// One line more or less.
enum Step {
    /// This old line goes.
    Out(usize),
    /// Before this old line comes that one of the other side.
    In(usize, usize),
}

/// Finds the fewest steps; `None` where they are too many.
fn search(old: &[Vec<u8>], new: &[Vec<u8>]) -> Option<Vec<Step>> {
    let (height, width) = (old.len(), new.len());
    let most = (height + width).min(DIFFERENCES_MAX);
    // How far down each diagonal `x - y` leads; the middle one is at `most + 1`.
    let middle = most + 1;
    let mut furthest = vec![0_usize; 2 * most + 3];
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for steps in 0..=most {
        rounds.push(furthest[middle - steps..=middle + steps].to_vec());
        for at in (middle - steps..=middle + steps).step_by(2) {
            let down = at == middle - steps
                || (at != middle + steps && furthest[at - 1] < furthest[at + 1]);
            let mut x = match down {
                true => furthest[at + 1],
                false => furthest[at - 1] + 1,
            };
            let mut y = x + middle - at;
            while x < height && y < width && old[x] == new[y] {
                x += 1;
                y += 1;
            }
            furthest[at] = x;
            if x >= height && y >= width {
                return Some(walk_back(&rounds, (height, width)));
            }
        }
    }
    None
}

/// Follows the search from its end to its begin; `rounds` holds what was known before each round.
fn walk_back(rounds: &[Vec<usize>], (mut x, mut y): (usize, usize)) -> Vec<Step> {
    let mut steps = Vec::new();
    for (round, before) in rounds.iter().enumerate().skip(1).rev() {
        // The diagonal's place in `before`, whose middle is at `round`.
        let at = round + x - y;
        let down = at == 0 || (at != 2 * round && before[at - 1] < before[at + 1]);
        let from = match down {
            true => at + 1,
            false => at - 1,
        };
        let from_x = before[from];
        let from_y = from_x + round - from;
        steps.push(match down {
            true => Step::In(from_x, from_y),
            false => Step::Out(from_x),
        });
        (x, y) = (from_x, from_y);
    }
    steps.reverse();
    steps
}

/// Lines more or less that are searched for: the search keeps the square of it.
const DIFFERENCES_MAX: usize = 600;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.chars().map(|c| c.to_string().into_bytes()).collect()
    }

    fn apply(old: &[Vec<u8>], edits: &[Edit]) -> Vec<Vec<u8>> {
        let (mut made, mut at) = (Vec::new(), 0);
        for edit in edits {
            assert!(edit.at >= at, "edits are in order and apart");
            made.extend_from_slice(&old[at..edit.at]);
            made.extend_from_slice(&edit.added);
            at = edit.at + edit.removed;
        }
        made.extend_from_slice(&old[at..]);
        made
    }

    #[test]
    fn a_known_pair_takes_five_steps() {
        // The example of Myers' paper.
        let edits = edits(&lines("ABCABBA"), &lines("CBABAC"));
        let steps: usize = edits
            .iter()
            .map(|edit| edit.removed + edit.added.len())
            .sum();
        assert_eq!(steps, 5);
    }

    #[test]
    fn files_that_have_nothing_in_common_are_one_edit() {
        let old: Vec<_> = (0..2000).map(|n| format!("{n}").into_bytes()).collect();
        let new: Vec<_> = (0..2000).map(|n| format!("x{n}").into_bytes()).collect();
        let found = edits(&old, &new);
        assert_eq!(
            (found.len(), found[0].removed, found[0].added.len()),
            (1, 2000, 2000)
        );
        assert_eq!(apply(&old, &found), new);
    }

    proptest! {
        /// The edits make the one of the other, and are no more than a table of all ways says.
        #[test]
        fn edits_are_right_and_fewest(old in "[a-d]{0,20}", new in "[a-d]{0,20}") {
            let (old, new) = (lines(&old), lines(&new));
            let found = edits(&old, &new);
            prop_assert_eq!(apply(&old, &found), new.clone());
            let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
            for (x, one) in old.iter().enumerate() {
                for (y, other) in new.iter().enumerate() {
                    common[x + 1][y + 1] = match one == other {
                        true => common[x][y] + 1,
                        false => common[x][y + 1].max(common[x + 1][y]),
                    };
                }
            }
            let fewest = old.len() + new.len() - 2 * common[old.len()][new.len()];
            let steps: usize = found.iter().map(|edit| edit.removed + edit.added.len()).sum();
            prop_assert_eq!(steps, fewest);
        }
    }
}
