//! What is tried again, and the pauses, without a clock or a network.

use std::io::ErrorKind;

use sshoal_session::AuthError;

use super::*;

fn connect(kind: ErrorKind) -> Error {
    let address = "127.0.0.1:22".parse().unwrap();
    let source = kind.into();
    Error::Connect { address, source }
}

fn disconnected(phase: Phase, kind: ErrorKind) -> Error {
    let source = kind.into();
    Error::Disconnected { phase, source }
}

fn resolve(text: &str) -> Error {
    let (name, source) = ("h".into(), io::Error::other(text.to_owned()));
    Error::Resolve { name, source }
}

fn timed_out(phase: Phase) -> Error {
    let limit = Duration::from_secs(1);
    Error::TimedOut { phase, limit }
}

#[track_caller]
fn check(error: &Error, expected: bool) {
    assert_eq!(RetryOn::default().covers(error), expected, "{error:?}");
}

#[test]
fn what_may_pass_is_tried_again() {
    for kind in [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::TimedOut,
        ErrorKind::ConnectionReset,
    ] {
        check(&connect(kind), true);
    }
    for phase in [Phase::Banner, Phase::Kex] {
        check(&disconnected(phase, ErrorKind::UnexpectedEof), true);
        check(&disconnected(phase, ErrorKind::ConnectionReset), true);
    }
    for phase in PHASES {
        check(&timed_out(phase), true);
    }
    let text = "failed to lookup address information: Temporary failure in name resolution";
    check(&resolve(text), true);
}

/// P7, and whatever sends a secret: nothing from the host key on, however passing it looks.
#[test]
fn nothing_from_the_host_key_on_is_tried_again() {
    let methods = "password".to_owned();
    check(&AuthError::Denied { methods }.into(), false);
    for phase in Phase::ALL {
        if !PHASES.contains(&phase) {
            check(&timed_out(phase), false);
            check(&disconnected(phase, ErrorKind::ConnectionReset), false);
            check(&disconnected(phase, ErrorKind::UnexpectedEof), false);
        }
    }
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    let text = "failed to lookup address information: Name or service not known";
    check(&resolve(text), false);
    check(&connect(ErrorKind::PermissionDenied), false);
    check(&connect(ErrorKind::InvalidInput), false);
    let (phase, kind, what) = (Phase::Kex, Kind::Protocol, "noise");
    check(&Error::Overstepped { phase, what, kind }, false);
    check(&Error::Cancelled { phase }, false);
    let message = "oops".to_owned();
    check(&Error::Internal { phase, message }, false);
}

#[test]
fn only_the_phases_asked_for_are_tried_again() {
    let banner: RetryOn = " banner ".parse().unwrap();
    assert!(banner.covers(&timed_out(Phase::Banner)));
    assert!(!banner.covers(&timed_out(Phase::Connect)));
    assert_eq!(RetryOn::new(&PHASES), Ok(RetryOn::default()));
    let never = |phase| Err(RetryOnError::Never { phase });
    assert_eq!("kex,auth".parse::<RetryOn>(), never(Phase::Auth));
    assert_eq!("host_key".parse::<RetryOn>(), never(Phase::HostKey));
    for wrong in ["", "connect,", "Connect", "connect banner"] {
        let error = wrong.parse::<RetryOn>().unwrap_err();
        assert!(matches!(error, RetryOnError::Unknown { .. }), "{wrong:?}");
    }
}

#[test]
fn pauses_double_up_to_their_bound_and_are_any_part_of_it() {
    let longest = |retries| backoff(retries, u64::MAX).as_millis();
    let all = [0, 1, 2, 5, 6, 7, 40, u32::MAX].map(longest);
    assert_eq!(
        all,
        [499, 999, 1_999, 15_999, 29_999, 29_999, 29_999, 29_999]
    );
    assert_eq!(backoff(3, 0), Duration::ZERO);
    assert_eq!(backoff(0, u64::MAX / 2).as_millis(), 249);
    let pauses: Vec<Duration> = (0..1_000).map(|_| backoff(0, random())).collect();
    let mean = pauses.iter().sum::<Duration>() / 1_000;
    assert!((200..300).contains(&mean.as_millis()), "{mean:?}");
}
