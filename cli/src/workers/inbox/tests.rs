//! What a worker may say, and what ends it.

use proptest::prelude::*;

use super::*;
use crate::workers::wire::{WireError, WireExit};

fn output(command: u64) -> Report {
    let stream = WireStream::Stdout;
    Report::Output { command, stream }
}

#[test]
fn what_was_never_begun_is_a_breach_and_what_was_forgotten_is_not() {
    let inbox = Inbox::default();
    let started = |command| Report::Started { command };
    assert_eq!(inbox.take(started(1), Vec::new()), Err(Breach));
    let command = inbox.command().unwrap();
    inbox.forget(command.number);
    assert_eq!(inbox.take(started(command.number), Vec::new()), Ok(()));
    assert!(command.words.is_empty());
}

#[test]
fn a_host_has_one_end() {
    let inbox = Inbox::default();
    let command = inbox.command().unwrap().number;
    let exit = WireExit::Status(0);
    let exited = || Report::Exited {
        command,
        exit: exit.clone(),
    };
    assert_eq!(inbox.take(exited(), Vec::new()), Err(Breach), "not started");
    assert_eq!(inbox.take(Report::Started { command }, Vec::new()), Ok(()));
    assert_eq!(inbox.take(exited(), Vec::new()), Ok(()));
    assert_eq!(
        inbox.take(exited(), Vec::new()),
        Err(Breach),
        "ended before"
    );
    let started = Report::Started { command };
    assert_eq!(
        inbox.take(started, Vec::new()),
        Err(Breach),
        "started before"
    );
}

#[test]
fn more_output_than_was_granted_is_a_breach() {
    let inbox = Inbox::default();
    let command = inbox.command().unwrap();
    let number = command.number;
    inbox
        .take(Report::Started { command: number }, Vec::new())
        .unwrap();
    let mut sent = 0;
    while inbox.take(output(number), vec![0; 1000]).is_ok() {
        sent += cost(1000);
    }
    assert!(sent <= WINDOW && sent + cost(1000) > WINDOW);
    command.granted(cost(1000));
    assert_eq!(inbox.take(output(number), vec![0; 1000]), Ok(()));
    // Nothing is free, be it around no byte at all.
    command.granted(10);
    let mut empty = 0;
    while inbox.take(output(number), Vec::new()).is_ok() {
        empty += 1;
    }
    assert!(empty <= cost(1000) / cost(0), "{empty}");
}

/// The user is asked for hosts that the worker is connected with, and for no others: a worker
/// that asks for another's wants its secrets.
#[test]
fn a_question_of_anothers_host_is_a_breach() {
    let inbox = Inbox::default();
    let [own, jump, other] = ["own", "jump", "other"].map(|name| Host::new(name).unwrap());
    assert_eq!(inbox.may_ask(&own), Err(Breach), "before its session");
    let session = inbox.session(vec![own.clone(), jump.clone()]).unwrap();
    assert_eq!(inbox.may_ask(&own), Ok(true));
    assert_eq!(inbox.may_ask(&jump), Ok(true));
    assert_eq!(inbox.may_ask(&other), Err(Breach));
    let port = own.clone().with_port(2222).unwrap();
    assert_eq!(inbox.may_ask(&port), Err(Breach));
    inbox.forget(session.number);
    assert_eq!(inbox.may_ask(&own), Ok(false), "it was given up");
    assert_eq!(inbox.may_ask(&other), Err(Breach));
}

#[test]
fn whoever_waits_learns_of_the_workers_end() {
    let inbox = Inbox::default();
    let (session, command) = (inbox.session(Vec::new()).unwrap(), inbox.command().unwrap());
    assert_eq!(inbox.end(), 1);
    let scope = sshoal::Scope::root();
    assert!(session.words.pop(&scope).unwrap().is_none());
    assert!(command.words.pop(&scope).unwrap().is_none());
    assert!(command.wrote.pop(&scope).unwrap().is_none());
    assert!(inbox.session(Vec::new()).is_none() && inbox.command().is_none());
}

/// Any reports in any order: what was taken of each session and command has one end at most.
fn reports() -> impl Strategy<Value = Report> {
    let phase = Phase::Kex;
    let error = WireError::Cancelled {
        phase: phase.into(),
    };
    let timings = WireTimings::of(&sshoal::Timings::default());
    (0_u64..4, 0..8).prop_map(move |(n, kind)| match kind {
        0 => Report::Reached {
            session: n,
            phase: phase.into(),
        },
        1 => Report::Connected {
            session: n,
            timings: timings.clone(),
        },
        2 => Report::NotConnected {
            session: n,
            error: error.clone(),
            timings: timings.clone(),
        },
        3 => Report::Started { command: n },
        4 => output(n),
        5 => Report::Exited {
            command: n,
            exit: WireExit::None,
        },
        6 => Report::Wrote {
            command: n,
            error: None,
        },
        _ => Report::Closed { session: n },
    })
}

proptest! {
    #[test]
    fn no_order_of_reports_ends_a_host_twice(
        reports in proptest::collection::vec(reports(), 0..64),
    ) {
        let inbox = Inbox::default();
        let session = inbox.session(Vec::new()).unwrap();
        let command = inbox.command().unwrap();
        for report in reports {
            let _ = inbox.take(report, vec![0; 8]);
        }
        let mut ends = 0;
        while let Some(word) = command.words.try_pop() {
            ends += usize::from(matches!(word, CommandWord::Exited(_)));
        }
        prop_assert!(ends <= 1);
        let mut opened = 0;
        while let Some(word) = session.words.try_pop() {
            let is_end = !matches!(word, SessionWord::Reached(_));
            opened += usize::from(is_end);
        }
        prop_assert!(opened <= 1);
    }
}
