//! Records to try renderers with.

use super::*;

/// A record to make others from.
pub(crate) fn sample(ending: Ending) -> Record {
    Record {
        index: 0,
        label: "web1:2222".to_owned(),
        host: "web1".to_owned(),
        user: "root".to_owned(),
        port: 2222,
        ending,
        ended: None,
        stdout: Vec::new(),
        stderr: Vec::new(),
        kept: [None, None],
        truncated: false,
        differs: false,
        attempts: 1,
        started: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)),
        duration: Duration::from_millis(800),
        way: None,
        copies: None,
        phases: vec![
            ("connect", Duration::from_millis(2)),
            ("run", Duration::from_millis(50)),
        ],
    }
}

/// A failure to make others from.
pub(crate) fn refused() -> Failure {
    Failure {
        phase: "connect",
        kind: "refused",
        reason: "Connection refused".to_owned(),
        by_our_limit: false,
    }
}

#[track_caller]
fn check(ending: Ending, verdict: &str, class: Class) {
    let record = sample(ending);
    assert_eq!(record.verdict(), verdict);
    assert_eq!(record.class(), class);
}

#[test]
fn says_how_a_host_ended() {
    let limit = Failure {
        phase: "run",
        kind: "timeout",
        reason: "timed out after 3s".to_owned(),
        by_our_limit: true,
    };
    let internal = Failure {
        kind: "internal",
        reason: "oops".to_owned(),
        ..refused()
    };
    check(Ending::Exited(0), "ok", Class::Good);
    check(Ending::Exited(3), "exit 3", Class::of_status(3));
    check(
        Ending::Signaled("KILL".into()),
        "signal KILL",
        Class::of_signal(),
    );
    check(
        Ending::NoStatus,
        "failed: run: no exit status was received",
        Class::Failed,
    );
    check(
        Ending::Failed(refused()),
        "failed: connect: Connection refused",
        Class::Failed,
    );
    check(
        Ending::Failed(limit),
        "failed: run: timed out after 3s",
        Class::TimedOut,
    );
    check(
        Ending::Failed(internal),
        "failed: connect: oops",
        Class::Internal,
    );
    let by = sshoal::EndedBy::Kill;
    let mut ended = sample(Ending::Cancelled {
        phase: Some("run"),
        by_deadline: false,
    });
    ended.ended = Some(sshoal::Ending::Ended { by });
    assert_eq!(ended.verdict(), "cancelled: run; ended by KILL");
    let cancelled = |phase, by_deadline| Ending::Cancelled { phase, by_deadline };
    check(
        cancelled(Some("auth"), false),
        "cancelled: auth",
        Class::Stopped,
    );
    check(cancelled(None, true), "not run", Class::TimedOut);
}

/// A host that was asked and not heard of again may run the command; one that never was does not.
#[test]
fn a_command_that_was_asked_for_may_have_been_begun() {
    let limit = Duration::ZERO;
    for (phase, expected) in [
        (Phase::Auth, false),
        (Phase::Open, true),
        (Phase::Run, true),
    ] {
        let cause = StopCause::Caller;
        assert_eq!(is_started(&End::Cancelled { phase, cause }), expected);
        let failed = End::Failed(Error::TimedOut { phase, limit });
        assert_eq!(is_started(&failed), expected, "{phase}");
    }
    let phase = Phase::Open;
    let again = sshoal::BeginAgain::No;
    let not_asked = End::Failed(Error::WorkerCrashed { phase, again });
    assert!(!is_started(&not_asked));
}
