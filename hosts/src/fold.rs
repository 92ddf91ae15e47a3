//! Names to the node set that stands for them: the inverse of expanding.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::DIGITS_MAX;

/// Folds names into one node set, each name once, padding kept: `web08 web09 web10` is `web[08-10]`.
///
/// Names that differ in nothing but their numbers are taken together; several numbers in a name are
/// several dimensions. The order is that of the names, numbers by their value, whatever order they
/// are given in. A name that holds what a node set gives a meaning to (brackets that are not an
/// IPv6 address's, operators, wildcards, blanks) stands as it is. Without names it is empty.
///
/// # Examples
/// ```
/// use sshoal_hosts::fold;
///
/// assert_eq!(fold(["web2.eu", "web1.eu", "web3.eu", "db"]), "db,web[1-3].eu");
/// assert_eq!(fold(["r1n1", "r1n2", "r2n1", "r2n2"]), "r[1-2]n[1-2]");
/// ```
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut shapes: BTreeMap<Shape<'a>, BTreeSet<Vec<Number<'a>>>> = BTreeMap::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let (shape, numbers) = divide(name);
        shapes.entry(shape).or_default().insert(numbers);
    }
    let mut folded = String::new();
    for (shape, numbers) in &shapes {
        for part in boxes(numbers, shape.0.len() - 1) {
            if !folded.is_empty() {
                folded.push(',');
            }
            shape.write(&part, &mut folded);
        }
    }
    folded
}

/// The text around the numbers of a name: always one piece more than there are numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape<'a>(Vec<&'a str>);

impl Shape<'_> {
    /// Writes the names whose numbers are these, one set of numbers for each place.
    fn write(&self, sets: &[Vec<Number<'_>>], into: &mut String) {
        into.push_str(self.0[0]);
        for (set, text) in sets.iter().zip(&self.0[1..]) {
            match set.as_slice() {
                [one] => into.push_str(one.0),
                several => write_set(several, into),
            }
            into.push_str(text);
        }
    }
}

/// The digits of a number; padded ones are other numbers, after all that are shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Number<'a>(&'a str);

impl Number<'_> {
    fn value(self) -> u64 {
        // `divide` takes no more digits than fit.
        self.0.parse().unwrap_or(u64::MAX)
    }

    fn is_padded(self) -> bool {
        self.0.len() > 1 && self.0.starts_with('0')
    }

    /// Whether a range can go on from this number to that one.
    fn is_before(self, next: Self) -> bool {
        // Beyond the digits of a padded number the padding of the range would be another.
        let same_width = self.0.len() == next.0.len();
        self.value() + 1 == next.value() && (same_width || !next.is_padded())
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), self.0).cmp(&(other.0.len(), other.0))
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Divides a name into its text and its numbers.
fn divide(name: &str) -> (Shape<'_>, Vec<Number<'_>>) {
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    // Numbers in brackets would be brackets in brackets.
    if name.contains(|c: char| c.is_whitespace() || "[],!&^*?".contains(c)) {
        return (Shape(vec![name]), numbers);
    }
    let (mut text, mut at) = (0, 0);
    while at < name.len() {
        let rest = &name[at..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if (1..=DIGITS_MAX).contains(&digits) {
            texts.push(&name[text..at]);
            numbers.push(Number(&rest[..digits]));
            text = at + digits;
        }
        let next = rest.chars().next().map_or(1, char::len_utf8);
        at += digits.max(next);
    }
    texts.push(&name[text..]);
    (Shape(texts), numbers)
}

/// Brings the numbers of names of one shape together: each result is a product of sets, one for each
/// of the `places`.
fn boxes<'a>(names: &BTreeSet<Vec<Number<'a>>>, places: usize) -> Vec<Vec<Vec<Number<'a>>>> {
    let one = |name: &Vec<Number<'a>>| name.iter().map(|number| vec![*number]).collect();
    let mut boxes: Vec<Vec<Vec<Number<'_>>>> = names.iter().map(one).collect();
    for place in (0..places).rev() {
        // The first of those that are alike elsewhere takes the others; the order stays.
        let mut alike: BTreeMap<Vec<Vec<Number<'_>>>, usize> = BTreeMap::new();
        let mut merged: Vec<Vec<Vec<Number<'_>>>> = Vec::new();
        for mut part in boxes {
            let set = std::mem::take(&mut part[place]);
            match alike.get(&part) {
                Some(&at) => merged[at][place].extend(set),
                None => {
                    alike.insert(part.clone(), merged.len());
                    part[place] = set;
                    merged.push(part);
                }
            }
        }
        boxes = merged;
    }
    for part in &mut boxes {
        part.iter_mut().for_each(|set| set.sort_unstable());
    }
    boxes
}

/// Writes several numbers in brackets, those that follow each other as ranges.
fn write_set(numbers: &[Number<'_>], into: &mut String) {
    into.push('[');
    let mut rest = numbers;
    while let Some((&first, _)) = rest.split_first() {
        let follows = |pair: &&[Number<'_>]| {
            let stays = !first.is_padded() || pair[1].0.len() == first.0.len();
            stays && pair[0].is_before(pair[1])
        };
        let length = 1 + rest.windows(2).take_while(follows).count();
        if rest.len() < numbers.len() {
            into.push(',');
        }
        into.push_str(first.0);
        if length > 1 {
            into.push('-');
            into.push_str(rest[length - 1].0);
        }
        rest = &rest[length..];
    }
    into.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &str, folded: &str) {
        assert_eq!(fold(names.split_whitespace()), folded, "{names}");
    }

    #[test]
    fn numbers_become_ranges() {
        check("", "");
        check("web1", "web1");
        check("web1 web1", "web1");
        check("web2 web1", "web[1-2]");
        check("web1 web3 web2 web5", "web[1-3,5]");
        check("web9 web10 web11", "web[9-11]");
        check("1 2 3", "[1-3]");
        check("db web1", "db,web1");
        check("root@web1:22 root@web2:22", "root@web[1-2]:22");
        check("10.0.0.1 10.0.0.2 10.0.1.1", "10.0.0.[1-2],10.0.1.1");
        check("fe80::1 fe80::2", "fe80::[1-2]");
        check("wéb1 wéb2", "wéb[1-2]");
    }

    #[test]
    fn padding_is_kept() {
        check("web08 web09 web10 web11", "web[08-11]");
        check("web8 web9 web10", "web[8-10]");
        check("web1 web01 web2 web02 web10", "web[1-2,01-02,10]");
        check("web98 web99 web100", "web[98-100]");
        check("web098 web099 web100", "web[098-100]");
        check("web08 web09 web99 web100", "web[08-09,99-100]");
        check("web09 web10 web99 web100", "web[09-10,99-100]");
        check("n0 n00 n1", "n[0-1,00]");
    }

    #[test]
    fn several_numbers_are_several_dimensions() {
        check("r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]");
        check("r1n1 r1n2 r2n1", "r1n[1-2],r2n1");
        check("r1n1 r2n1 r3n1", "r[1-3]n1");
        check("a1b1 a1b2 a2b1 a2b2 a2b3", "a1b[1-2],a2b[1-3]");
    }

    #[test]
    fn what_a_node_set_reads_otherwise_stands_as_it_is() {
        check("[::1]:22 [::2]:22", "[::1]:22,[::2]:22");
        check("a[1 a[2", "a[1,a[2");
        let long = "9".repeat(40);
        check(&format!("n{long}"), &format!("n{long}"));
    }
}
