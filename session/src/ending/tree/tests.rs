//! Made-up hosts.

use proptest::prelude::*;

use super::*;

fn process(pid: u32, parent: u32, session: u32, ticks: u64) -> Process {
    let started = Since::Ticks(ticks);
    Process {
        pid,
        parent,
        session,
        started,
    }
}

fn pids(processes: &[Process]) -> Vec<u32> {
    processes.iter().map(|process| process.pid).collect()
}

fn age(least: u64, most: u64) -> Age {
    Age {
        least: Duration::from_millis(least),
        most: Duration::from_millis(most),
    }
}

fn ages(own: Age, before: &[Age], after: &[Age]) -> Ages {
    Ages {
        commands: [before, &[own], after].concat(),
        own: before.len(),
        only: false,
    }
}

/// Numbers as a host may make them up: none of them is too large to be compared.
#[test]
fn times_of_any_size_are_compared() {
    let helper = process(12, 1, 12, u64::MAX);
    let command = process(11, 1, 11, 0);
    let own = age(0, u64::MAX);
    let found = leader(&[helper, command], helper.pid, &ages(own, &[], &[]));
    assert_eq!(found, Some(command));
}

#[test]
fn lines_of_proc_and_ps_are_read() {
    let read = of_proc("12 1 12 500 S").unwrap();
    assert_eq!(read, process(12, 1, 12, 500));
    for none in [
        "12 1 12 500 Z",
        "12 1 12 500",
        "12 1 12",
        "",
        "a b c d e",
        "12 (x  S",
    ] {
        assert_eq!(of_proc(none), None, "{none:?}");
    }
    let read = of_ps("  12     1   12  1-02:03:04 Ss ").unwrap();
    let started = Since::Ago(93_784);
    assert_eq!(
        read,
        Process {
            started,
            ..process(12, 1, 12, 0)
        }
    );
    assert_eq!(of_ps("12 1 12 00:07").unwrap().started, Since::Ago(7));
    for none in [
        "12 1 12 00:07 Z+",
        "12 1 12",
        "PID PPID PGID ELAPSED",
        "",
        "1 1 1 -",
    ] {
        assert_eq!(of_ps(none), None, "{none:?}");
    }
}

/// The connection's process is 10, the helper 90; what is to be found is a child of 10.
#[test]
fn the_leader_is_told_by_its_age() {
    let helper = process(90, 10, 90, 10_000);
    let table = [
        process(10, 1, 10, 1),
        process(20, 10, 20, 2_000),
        process(21, 20, 20, 2_000),
        process(30, 10, 30, 5_000),
        process(40, 11, 40, 5_000),
        helper,
    ];
    let find = |ages: &Ages| leader(&table, 90, ages).map(|process| process.pid);
    let (older, newer) = (age(79_990, 80_010), age(49_990, 50_010));
    assert_eq!(find(&ages(older, &[], &[newer])), Some(20));
    assert_eq!(find(&ages(newer, &[older], &[])), Some(30));
    // Its process has ended; another's is not taken for it.
    assert_eq!(find(&ages(age(60_000, 60_020), &[older], &[newer])), None);
    // Two that only their order tells apart, and one more than there are processes.
    let wide = age(40_000, 90_000);
    assert_eq!(find(&ages(wide, &[], &[wide])), Some(20));
    assert_eq!(find(&ages(wide, &[wide], &[])), Some(30));
    assert_eq!(find(&ages(wide, &[wide], &[wide])), None);
    assert_eq!(find(&ages(wide, &[], &[])), None);
    // A command that was never the only one, and one that was.
    assert_eq!(find(&ages(age(0, 0), &[], &[])), None);
    let only = Ages {
        only: true,
        ..ages(age(0, 0), &[], &[])
    };
    assert_eq!(find(&only), None);
    let alone = [process(20, 10, 20, 2_000), helper];
    assert_eq!(leader(&alone, 90, &only).map(|p| p.pid), Some(20));
    assert_eq!(leader(&table, 91, &only), None, "the helper is not there");
}

#[test]
fn processes_of_one_tick_are_told_by_their_numbers_unless_these_came_round() {
    let helper = process(90, 10, 90, 10_000);
    let wide = age(50_000, 50_020);
    let two = ages(wide, &[wide], &[]);
    let table = |first, second| {
        let other = process(first, 10, first, 5_000);
        [other, process(second, 10, second, 5_000), helper]
    };
    let found = leader(&table(30, 31), 90, &two);
    assert_eq!(found.map(|process| process.pid), Some(31));
    assert_eq!(leader(&table(30, 32_000), 90, &two), None);
}

#[test]
fn a_family_is_a_session_and_its_descent() {
    let first = process(20, 10, 20, 100);
    let mut family = Family::new(&first);
    let helper = process(90, 10, 90, 300);
    // 22 left the session; 23 is its child; 24 lost its parent; 50 is another's.
    let table = [
        process(23, 22, 22, 101),
        process(22, 20, 22, 101),
        process(24, 1, 20, 101),
        process(50, 10, 50, 90),
        process(51, 50, 50, 90),
        helper,
        first,
    ];
    let living = pids(&family.living(&table));
    assert_eq!(living.len(), 4, "{living:?}");
    let place = |pid| living.iter().position(|other| *other == pid).unwrap();
    assert!(place(20) < place(22) && place(22) < place(23));
    // The first process has ended, and so has 22: what it left is known.
    let later = [
        process(23, 1, 22, 101),
        process(25, 23, 25, 120),
        process(24, 1, 20, 101),
        helper,
    ];
    let mut found = pids(&family.living(&later));
    found.sort_unstable();
    assert_eq!(found, [23, 24, 25]);
    // The numbers come round to other processes.
    let other = [
        process(20, 1, 20, 900),
        process(31, 20, 20, 900),
        process(23, 1, 1, 901),
        helper,
    ];
    assert_eq!(family.living(&other), []);
}

proptest! {
    /// Whatever the host has: nothing but the session and what descends from it is of the family,
    /// and parents come before their children.
    #[test]
    fn nothing_else_is_of_a_family(
        rows in prop::collection::vec((2..40_u32, 0..40_u32, 0..40_u32), 0..60),
    ) {
        let mut seen = HashSet::new();
        let table: Vec<Process> = rows
            .into_iter()
            .filter(|(pid, ..)| seen.insert(*pid))
            .map(|(pid, parent, session)| process(pid, parent, session, 1))
            .collect();
        let Some(first) = table.first() else { return Ok(()) };
        let living = Family::new(first).living(&table);
        for (place, member) in living.iter().enumerate() {
            let by_parent = living.iter().any(|other| other.pid == member.parent);
            prop_assert!(member.pid == first.pid || member.session == first.pid || by_parent);
            let circular = living.iter().filter(|other| other.parent == member.pid);
            for child in circular.filter(|child| child.pid != member.pid) {
                let after = living.iter().position(|other| other.pid == child.pid).unwrap();
                let descends = descends(&living, member, child.pid);
                prop_assert!(after > place || descends, "{member:?} {child:?}");
            }
        }
        for other in table.iter().filter(|other| !living.contains(other)) {
            prop_assert!(other.session != first.pid);
            prop_assert!(!living.iter().any(|member| member.pid == other.parent));
        }
    }
}

/// Whether a process descends from its own child, as no host has it.
fn descends(processes: &[Process], from: &Process, ancestor: u32) -> bool {
    let mut at = *from;
    for _ in processes {
        if at.parent == ancestor {
            return true;
        }
        let Some(next) = processes.iter().find(|other| other.pid == at.parent) else {
            return false;
        };
        at = *next;
    }
    true
}
