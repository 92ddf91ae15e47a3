//! Whatever hosts write, and in whatever order they end, each is in the one group of its like.

use proptest::prelude::*;

use super::*;
use crate::record::tests::{refused, sample};
use crate::render::status::Colors;

/// What one host wrote, and how it ended: numbers of [`OUTPUTS`] and of the ends in [`record`].
type Said = (usize, usize, usize);

/// Few, so that many hosts agree; some differ in one byte, or in nothing but the stream's end.
const OUTPUTS: [&[u8]; 9] = [
    b"", b"\n", b"a", b"a\n", b"a\nb\n", b"a\nb", b"a\0\n", b"\xff\n", b"web1\n",
];

fn label(index: usize) -> String {
    format!("web{index:02}.eu")
}

fn record(index: usize, (stdout, stderr, end): Said) -> Record {
    let mut record = sample(match end {
        0 => Ending::Exited(0),
        1 => Ending::Exited(1),
        2 => Ending::Signaled("KILL".to_owned()),
        3 => Ending::NoStatus,
        _ => Ending::Failed(refused()),
    });
    (record.index, record.label) = (index, label(index));
    record.stdout = OUTPUTS[stdout].to_vec();
    record.stderr = OUTPUTS[stderr].to_vec();
    record
}

/// Returns whether a host is in no group: it failed before it wrote anything.
fn is_left_out((stdout, stderr, end): Said) -> bool {
    end > 3 && (stdout, stderr) == (0, 0)
}

/// Hosts, and the order in which they end.
fn hosts() -> impl Strategy<Value = (Vec<Said>, Vec<usize>)> {
    let said = (0..OUTPUTS.len(), 0..OUTPUTS.len().min(3), 0_usize..5);
    prop::collection::vec(said, 0..60).prop_flat_map(|said| {
        let order = (0..said.len()).collect::<Vec<_>>();
        (Just(said), Just(order).prop_shuffle())
    })
}

fn gathered(said: &[Said], order: &[usize], fuzzy: bool) -> Gather {
    let how = Gathering {
        blocks: true,
        live: true,
        fuzzy,
        diff: false,
        bare: false,
        remarks: true,
    };
    let labels = (0..said.len()).map(label).collect();
    let mut gather = Gather::new(how, Headings::new(labels, Colors::Off));
    for index in order {
        gather.add(&record(*index, said[*index]));
    }
    gather
}

proptest! {
    /// The groups together are all hosts, each once. Within a group ends and bytes are equal, and
    /// between any two groups they are not.
    #[test]
    fn every_host_is_in_the_one_group_of_its_like((said, order) in hosts()) {
        let gather = gathered(&said, &order, false);
        let mut all: Vec<usize> = gather.groups.iter().flat_map(|group| group.hosts.clone()).collect();
        all.sort_unstable();
        let expected: Vec<usize> = (0..said.len()).filter(|index| !is_left_out(said[*index])).collect();
        prop_assert_eq!(all, expected);
        for (place, group) in gather.groups.iter().enumerate() {
            let first = said[group.hosts[0]];
            for stream in [0, 1] {
                let text = group.text(stream, &gather.store).unwrap();
                prop_assert_eq!(text.as_ref(), OUTPUTS[[first.0, first.1][stream]]);
            }
            prop_assert!(group.hosts.iter().all(|host| said[*host] == first));
            for other in &gather.groups[..place] {
                prop_assert_ne!(said[other.hosts[0]], first);
            }
        }
    }

    /// Who is still to be told of is who came, each once and of its own group; the heading of a
    /// group is a node set of its hosts and of nobody else.
    #[test]
    fn headings_are_the_hosts_of_their_groups((said, order) in hosts(), fuzzy in any::<bool>()) {
        let gather = gathered(&said, &order, fuzzy);
        for (place, group) in gather.groups.iter().enumerate() {
            let untold = gather.untold.iter().filter(|(of, _)| *of == place);
            prop_assert_eq!(&untold.map(|(_, host)| *host).collect::<Vec<_>>(), &group.hosts);
            let mut hosts = group.hosts.clone();
            hosts.sort_unstable();
            let names = sshoal::hosts::expand(&gather.headings.folded(&hosts)).unwrap();
            prop_assert_eq!(names, hosts.into_iter().map(label).collect::<Vec<_>>());
        }
        prop_assert_eq!(gather.due.is_some(), !gather.groups.is_empty());
    }

    /// Read fuzzily, too, each host is in one group, and those that wrote the same are together.
    #[test]
    fn a_fuzzy_group_never_divides_what_is_equal((said, order) in hosts()) {
        let gather = gathered(&said, &order, true);
        let mut place_of = vec![None; said.len()];
        for (place, group) in gather.groups.iter().enumerate() {
            for host in &group.hosts {
                prop_assert_eq!(place_of[*host].replace(place), None, "host {} twice", host);
            }
        }
        for (one, of_one) in place_of.iter().enumerate() {
            prop_assert_eq!(of_one.is_none(), is_left_out(said[one]));
            for (two, of_two) in place_of.iter().enumerate() {
                let is_alike = said[one] == said[two];
                prop_assert!(!is_alike || of_one == of_two, "{} and {}", one, two);
                prop_assert!(said[one].2 == said[two].2 || of_one.is_none() || of_one != of_two);
            }
        }
    }
}
