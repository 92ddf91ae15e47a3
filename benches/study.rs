//! Studies that are too long, or need too clean a process, for criterion: each prints a table in Markdown.
//!
//! `cargo bench --bench study` runs them all at small sizes, `cargo bench --bench study -- NAME...` some of them:
//! `scaling`, `finished`, `cores`, `unread`, `flood`. `SSHOAL_STUDY=full` takes the sizes of docs/scaling.md.
//! The hosts are an embedded fleet in a process of its own; each figure is of a client process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot run ends with a panic, and its result is printed"
)]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "study/cell.rs"]
mod cell;
#[path = "study/cores.rs"]
mod cores;
#[path = "study/finished.rs"]
mod finished;
#[path = "study/flood.rs"]
mod flood;
#[path = "study/kept.rs"]
mod kept;
#[path = "study/scaling.rs"]
mod scaling;
#[path = "study/unread.rs"]
mod unread;

use support::fleet::become_fleet_if_asked;

/// Prints what it finds.
type Study = fn(Size);

/// The studies by name.
const STUDIES: [(&str, Study); 5] = [
    ("scaling", scaling::study),
    ("finished", finished::study),
    ("cores", cores::study),
    ("unread", unread::study),
    ("flood", flood::study),
];

/// How large a study is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// Seconds: does it work?
    Small,
    /// Minutes: the sizes of the papers.
    Full,
}

impl Size {
    /// The one of two values that belongs to this size.
    fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}

fn main() {
    become_fleet_if_asked();
    // Cargo adds this one.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match words.split_first() {
        Some((first, rest)) if first == cell::NAME => return cell::Cell::of_words(rest).run_here(),
        Some((first, rest)) if first == "kept" => return kept::run(rest),
        _ => {}
    }
    let full = std::env::var_os("SSHOAL_STUDY").is_some_and(|size| size == "full");
    let size = if full { Size::Full } else { Size::Small };
    for (name, study) in STUDIES {
        if words.is_empty() || words.iter().any(|word| word == name) {
            println!("## {name}\n");
            study(size);
            println!();
        }
    }
}

/// The middle one; of an even number the upper middle.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One line of a table.
fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// A table's first two lines.
fn head(titles: &[&str]) {
    println!("| {} |", titles.join(" | "));
    println!("|{}", " --- |".repeat(titles.len()));
}
