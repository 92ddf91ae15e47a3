//! A path for each host, made and checked before anything is begun.

use std::path::PathBuf;

use super::fake::*;
use crate::{Args, ArgumentError, Paths, PathsError, Pool, Template};

fn made(pool: &Pool, paths: impl Into<Paths>) -> Vec<PathBuf> {
    pool.paths(&paths.into()).expect("each host has a path")
}

#[test]
fn paths_are_the_same_or_differ_by_list_function_or_template() {
    let pool = Fake::new(Script::default()).pool(2);
    let names: Vec<&str> = pool.hosts().iter().map(|host| host.name()).collect();
    let expected = |paths: [&str; 2]| paths.map(PathBuf::from).to_vec();
    assert_eq!(made(&pool, "a b"), expected(["a b", "a b"]));
    assert_eq!(made(&pool, Paths::each(["x", "y"])), expected(["x", "y"]));
    let by = Paths::by(|listed| format!("{} of {}", listed.index(), listed.total()));
    assert_eq!(made(&pool, by), expected(["0 of 2", "1 of 2"]));
    // Values are put as they are: no shell reads a path.
    let template = Template::new("{n}/{host}/{0}/{role}").args([
        Args::from(["it's $HOME"]).named("role", "web server"),
        Args::from(["a;b"]).named("role", "db"),
    ]);
    let first = format!("0/{}/it's $HOME/web server", names[0]);
    let second = format!("1/{}/a;b/db", names[1]);
    assert_eq!(made(&pool, template), expected([&first, &second]));
}

#[test]
fn what_is_no_path_for_each_host_is_told_with_its_host_or_both_numbers() {
    let pool = Fake::new(Script::default()).pool(2);
    let refused = |paths: Paths| pool.paths(&paths).expect_err("is refused");
    let error = refused(Paths::each(["a", "b", "c"]));
    assert_eq!(
        error.to_string(),
        "3 paths for 2 hosts; there has to be one for each"
    );
    let few = refused(Template::new("{0}").args(["a"]).into());
    let numbers = |error: &PathsError| match error {
        PathsError::ArgumentCount { arguments, hosts } => Some((*arguments, *hosts)),
        _ => None,
    };
    assert_eq!(numbers(&few), Some((1, 2)));
    let missing = refused(
        Template::new("{role}")
            .args([Args::new(), Args::new()])
            .into(),
    );
    let PathsError::Argument { index, source, .. } = missing else {
        panic!("{missing}");
    };
    assert_eq!((index, source), (0, ArgumentError::Missing));
    assert!(matches!(
        refused(Template::new("{").into()),
        PathsError::Template { .. }
    ));
    let empty = refused(Paths::each(["a", ""]));
    assert!(matches!(empty, PathsError::Empty { index: 1 }), "{empty}");
    let nul = refused(Paths::by(|_| "a\0b"));
    assert!(matches!(nul, PathsError::NulByte { index: 0 }), "{nul}");
    let function = Paths::try_by(|listed| match listed.index() {
        1 => Err("no room"),
        _ => Ok("a"),
    });
    let PathsError::Refused { index: 1, source } = refused(function) else {
        panic!("the function's own error");
    };
    assert_eq!(source.to_string(), "no room");
}
