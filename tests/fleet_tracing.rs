//! The spans and events of the feature `tracing`, as a subscriber sees them.

mod support;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sshoal::{Collect, Detail, Fleet, HostLogger, RunSpec};
use support::{faults::Refused, fleet::EmbeddedFleet};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_core::span::Current;

support::fleet::embedded_fleet!();

type Fields = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
struct Seen {
    name: &'static str,
    parent: Option<u64>,
    fields: Fields,
    /// Handles there are of it.
    handles: usize,
    entered: usize,
    closed: bool,
}

/// Keeps what this crate's spans and events are. Cloned, it is the same.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    spans: Vec<(Seen, &'static Metadata<'static>)>,
    events: Vec<(Option<u64>, String, Fields)>,
}

thread_local! {
    static CURRENT: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

struct Put<'a>(&'a mut Fields);

impl Visit for Put<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Everything {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, id: &Id, change: impl FnOnce(&mut Seen) -> T) -> T {
        let at = usize::try_from(id.into_u64() - 1).expect("we gave it");
        change(&mut self.lock().spans[at].0)
    }
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sshoal") || metadata.target() == "test"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let current = CURRENT.with_borrow(|current| current.last().map(Id::into_u64));
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => current,
            None => None,
        };
        let mut fields = Fields::new();
        attributes.record(&mut Put(&mut fields));
        let seen = Seen {
            name: attributes.metadata().name(),
            parent,
            fields,
            handles: 1,
            ..Seen::default()
        };
        let mut kept = self.lock();
        kept.spans.push((seen, attributes.metadata()));
        Id::from_u64(kept.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Put(&mut fields));
        let parent = event.parent().map(Id::into_u64);
        let target = event.metadata().target().to_owned();
        self.lock().events.push((parent, target, fields));
    }

    fn enter(&self, id: &Id) {
        self.change(id, |span| span.entered += 1);
        CURRENT.with_borrow_mut(|current| current.push(id.clone()));
    }

    fn exit(&self, _: &Id) {
        CURRENT.with_borrow_mut(|current| current.pop());
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.change(id, |span| span.handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.change(&id, |span| {
            span.handles -= 1;
            span.closed = span.handles == 0;
            span.closed
        })
    }

    fn current_span(&self) -> Current {
        let id = CURRENT.with_borrow(|current| current.last().cloned());
        match id {
            Some(id) => {
                let at = usize::try_from(id.into_u64() - 1).expect("we gave it");
                let metadata = self.lock().spans[at].1;
                Current::new(id, metadata)
            }
            None => Current::none(),
        }
    }
}

/// Spans of one parent, in the order in which they began.
fn children(kept: &Kept, parent: u64) -> Vec<(u64, Seen)> {
    let spans = (1..).zip(&kept.spans);
    let children = spans.filter(|(_, (seen, _))| seen.parent == Some(parent));
    children.map(|(id, (seen, _))| (id, seen.clone())).collect()
}

/// Runs some hosts, of which one is not there, twice over kept sessions, and looks at all that a global subscriber got.
/// One test, because the subscriber is the process's.
#[test]
fn hosts_and_their_phases_are_spans_that_no_thread_is_in() {
    const HOSTS: usize = 5;
    let everything = Everything::default();
    tracing::subscriber::set_global_default(everything.clone()).expect("is the first");
    let servers = EmbeddedFleet::start(HOSTS);
    let gone = Refused::on(IpAddr::from(Ipv4Addr::new(127, 3, 32, 1)));
    let mut hosts = servers.targets();
    hosts.push(support::client::host(gone.address()));
    let fleet = Fleet::builder(hosts, servers.config()).retries(1);
    let fleet = fleet.build().unwrap();
    let mut logger = HostLogger::to_tracing();

    let mut run = |name: &str| {
        let outer = tracing::info_span!(target: "test", "outer", name);
        let id = outer.id().expect("it is enabled").into_u64();
        let spec = RunSpec::new("echo said").collect(Collect::No);
        let run = outer.in_scope(|| fleet.run(spec.detail(Detail::Output)).unwrap());
        drop(run.for_each_event(|event| logger.event(fleet.hosts(), event).unwrap()));
        id
    };
    let (first, second) = (run("first"), run("second"));
    let kept = everything.lock();
    let opened = ["connect", "kex", "host_key", "auth", "open", "run"];
    for (outer, phases) in [(first, &opened[..]), (second, &opened[4..])] {
        let hosts = children(&kept, outer);
        assert_eq!(hosts.len(), HOSTS + 1);
        for (id, host) in hosts {
            assert_eq!(host.name, "host");
            let index: usize = host.fields["index"].parse().unwrap();
            assert_eq!(host.fields["host"], fleet.hosts()[index].to_string());
            let spans = children(&kept, id);
            let names: Vec<_> = spans.iter().map(|(_, span)| span.name).collect();
            let words = words(&kept, id);
            if index < HOSTS {
                assert_eq!(names, phases);
                assert_eq!(words, ["ended"]);
            } else {
                assert_eq!(names, ["connect", "connect"]);
                assert_eq!(words, ["tried again after a pause", "failed", "ended"]);
            }
            for (_, span) in spans.iter().chain([&(id, host)]) {
                assert!(span.closed && span.entered == 0, "G5: {span:?}");
            }
        }
    }
    tell_what_is_said(&kept, first);
}

/// The messages of a span's events, in their order.
fn words(kept: &Kept, span: u64) -> Vec<&str> {
    let events = kept
        .events
        .iter()
        .filter(|(parent, ..)| *parent == Some(span));
    events
        .map(|(_, _, fields)| fields["message"].as_str())
        .collect()
}

/// What the events hold: times of the phases, why a host failed, and the log of hosts.
fn tell_what_is_said(kept: &Kept, outer: u64) {
    let mut count = HashMap::new();
    for (id, host) in children(kept, outer) {
        for (_, _, fields) in kept
            .events
            .iter()
            .filter(|(parent, ..)| *parent == Some(id))
        {
            *count.entry(fields["message"].clone()).or_insert(0) += 1;
            match fields["message"].as_str() {
                "ended" if host.fields["index"] != "5" => {
                    assert_eq!(fields["end"], "exited");
                    let whole: f64 = fields["whole_ms"].parse().expect("a number");
                    let auth: f64 = fields["auth_ms"].parse().expect("a number");
                    assert!(auth > 0.0 && auth < whole, "{fields:?}");
                }
                "ended" => {
                    assert_eq!((&*fields["end"], &*fields["attempts"]), ("failed", "2"));
                    assert!(!fields.contains_key("auth_ms"), "{fields:?}");
                }
                _ => {
                    let (phase, kind) = (&*fields["phase"], &*fields["kind"]);
                    assert_eq!((phase, kind), ("connect", "refused"));
                }
            }
        }
    }
    assert_eq!((count["ended"], count["failed"]), (6, 1));
    let logged = kept
        .events
        .iter()
        .filter(|(_, target, _)| target == "sshoal::host");
    let logged: Vec<_> = logged.map(|(_, _, fields)| fields).collect();
    assert_eq!(logged.len(), 2 * 5);
    for fields in logged {
        let line = format!("[{}]\tsaid", fields["host"]);
        assert_eq!((&fields["message"], &*fields["err"]), (&line, "false"));
    }
}
