//! What ends scopes, and which of several reasons decides.

use proptest::prelude::*;

use super::*;
use crate::{offload, spawn, sync::Event};

#[test]
fn a_child_ends_with_its_parent_and_by_its_own_timeout() {
    let root = Scope::root();
    let child = root.child(Some(Duration::from_millis(5)));
    assert_eq!(child.ended(), Stop::TimedOut);
    assert_eq!(root.status(), Status::Live);
    let child = root.child(Some(Duration::from_secs(60)));
    let waiting = child.clone();
    let green = spawn(move || waiting.ended()).unwrap();
    root.cancel();
    assert_eq!(green.join().unwrap(), Stop::Cancelled);
    assert_eq!(root.child(None).status(), Status::Cancelled);
}

#[test]
fn green_threads_sleep_offload_and_signal() {
    let event = Arc::new(Event::new());
    let waiters: Vec<_> = (0..1000)
        .map(|n| {
            let event = event.clone();
            spawn(move || {
                event.wait(&Scope::root()).unwrap();
                sleep(Duration::from_millis(n % 10));
                offload(move || n * 2).unwrap()
            })
            .unwrap()
        })
        .collect();
    event.set();
    let sum: u64 = waiters.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(sum, 999 * 1000);
}

/// What is done to a tree of scopes; numbers pick one of those that are there.
#[derive(Debug, Clone)]
enum Op {
    Child {
        of: usize,
        micros: Option<u64>,
        waits: bool,
    },
    Cancel(usize),
    Drop(usize),
    Pass {
        micros: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let micros = prop::option::weighted(0.8, 0_u64..8_000);
    prop_oneof![
        8 => (any::<usize>(), micros, any::<bool>())
            .prop_map(|(of, micros, waits)| Op::Child { of, micros, waits }),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => any::<usize>().prop_map(Op::Drop),
        2 => (0_u64..2_000).prop_map(|micros| Op::Pass { micros }),
    ]
}

/// What is known of a scope from without.
struct Known {
    /// Until it is dropped.
    scope: Option<Scope>,
    of: Option<usize>,
    deadline: Option<Instant>,
    /// When it was there, its timer included.
    made: Instant,
    /// When its cancellation was done.
    cancelled: Option<Instant>,
    waiter: Option<crate::JoinHandle<Stop>>,
}

/// A tree of scopes, the first one its root.
struct Tree(Vec<Known>);

impl Tree {
    fn add(&mut self, scope: Scope, of: Option<usize>, waits: bool) {
        let made = Instant::now();
        let waiting = waits.then(|| scope.clone());
        self.0.push(Known {
            deadline: scope.0.deadline,
            scope: Some(scope),
            of,
            made,
            cancelled: None,
            waiter: waiting.map(|scope| spawn(move || scope.ended()).unwrap()),
        });
    }

    fn apply(&mut self, op: &Op) {
        let count = self.0.len();
        match *op {
            Op::Child { of, micros, waits } => {
                let of = of % count;
                let micros = micros.map(Duration::from_micros);
                if let Some(scope) = &self.0[of].scope {
                    let child = scope.child(micros);
                    self.add(child, Some(of), waits);
                }
            }
            Op::Cancel(which) => {
                let known = &mut self.0[which % count];
                if let Some(scope) = &known.scope {
                    scope.cancel();
                    known.cancelled.get_or_insert_with(Instant::now);
                }
            }
            // Not the root, which is looked at in the end.
            Op::Drop(which) => self.0[1..]
                .get_mut(which % count)
                .into_iter()
                .for_each(|known| known.scope = None),
            Op::Pass { micros } => sleep(Duration::from_micros(micros)),
        }
    }

    /// The scope and those around it.
    fn chain(&self, of: usize) -> impl Iterator<Item = &Known> {
        let around = |known: &&Known| known.of.map(|of| &self.0[of]);
        std::iter::successors(Some(&self.0[of]), around)
    }

    /// Returns whether a scope may be found so, once all deadlines have passed: the earliest
    /// reason has decided.
    fn may_be(&self, which: usize, status: Status) -> bool {
        let own = self.0[which].deadline;
        let around = self.chain(which).skip(1).filter_map(|known| known.deadline);
        let around = around.min();
        let cancelled = self.chain(which).filter_map(|known| known.cancelled).min();
        match status {
            Status::Live => own.is_none() && around.is_none() && cancelled.is_none(),
            Status::TimedOut => own.is_some_and(|own| {
                around.is_none_or(|around| own < around) && cancelled.is_none_or(|at| own <= at)
            }),
            // One around it may end while it is made, before its own deadline is set.
            Status::Cancelled => {
                let made = self.0[which].made;
                let is_first = |at| at <= made || own.is_none_or(|own| at <= own);
                cancelled.is_some() || around.is_some_and(is_first)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A tree of scopes whose deadlines pass, and which are cancelled and dropped, in any order:
    /// each is ended by the earliest of its own deadline and of what ends those around it, however
    /// late the timer is; and whoever waits in it is told of the same.
    #[test]
    fn the_earliest_reason_decides(ops in prop::collection::vec(op(), 1..25)) {
        let mut tree = Tree(Vec::new());
        tree.add(Scope::root(), None, true);
        ops.iter().for_each(|op| tree.apply(op));
        // Those that nothing is to end are looked at as they are.
        for (which, known) in tree.0.iter().enumerate() {
            let scope = known.scope.as_ref().filter(|_| !tree.may_be(which, Status::Live));
            scope.map(Scope::ended);
        }
        let status = |known: &Known| known.scope.as_ref().map(Scope::status);
        let found: Vec<Option<Status>> = tree.0.iter().map(status).collect();
        for (which, status) in found.iter().enumerate() {
            let Some(status) = *status else { continue };
            prop_assert!(tree.may_be(which, status), "{}: {:?} of {:?}", which, status, found);
        }
        tree.0[0].scope.as_ref().unwrap().cancel();
        for (known, status) in tree.0.iter_mut().zip(found) {
            let Some(waiter) = known.waiter.take() else { continue };
            let told = waiter.join().unwrap();
            let expected = match status {
                Some(Status::TimedOut) => Stop::TimedOut,
                Some(_) => Stop::Cancelled,
                None => told,
            };
            prop_assert_eq!(told, expected);
        }
    }
}
