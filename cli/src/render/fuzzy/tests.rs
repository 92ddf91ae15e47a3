//! What is masked, and what is not.

use proptest::prelude::*;

use super::*;

fn mask(text: &str, names: &[&str]) -> String {
    String::from_utf8(masked_line(text.as_bytes(), names)).unwrap()
}

#[test]
fn what_is_a_hosts_own_is_masked() {
    for (text, expected) in [
        (
            "load average: 0.15, 1.2",
            "load average: <number>, <number>",
        ),
        ("15:40:08 up 3 days", "<time> up <number> days"),
        ("Sat Nov 21 15:40:08 UTC 2026 done", "<time> done"),
        ("2026-11-21T15:40:08.123Z x", "<time> x"),
        ("2026-11-21 15:40 +0100 x", "<time> x"),
        ("21 Nov 2026 x", "<time> x"),
        ("id 52:54:00:ab:cd:ef", "id <hex>"),
        ("id 9f86d081884c7d65 at 0x7ffe", "id <hex> at <hex>"),
        ("550e8400-e29b-41d4-a716-446655440000", "<hex>"),
        ("1.5Gi of 16G, 93%", "<number> of <number>, <number>%"),
        ("eth0 10.1.2.3/24", "eth<number> <number>/<number>"),
        ("I am web1, not web10", "I am <host>, not web<number>"),
        ("WEB1.eu web1", "<host> <host>"),
        ("Maybe a decade", "Maybe a decade"),
    ] {
        assert_eq!(mask(text, &names("web1.eu:2222", "web1.eu")), expected);
    }
}

#[test]
fn names_are_those_that_mean_the_host() {
    assert_eq!(
        names("web1.eu:22", "web1.eu"),
        ["web1.eu:22", "web1.eu", "web1"]
    );
    assert!(names("10.0.0.1", "10.0.0.1").is_empty());
    assert!(names("a", "a").is_empty());
}

#[test]
fn outputs_are_alike_but_for_the_places_that_are_a_hosts_own() {
    let reading = |text: &str| Reading::of(text.as_bytes(), &[]);
    let (one, two) = (reading("used   5 of 100\n"), reading("used 10 of 100\n"));
    assert_eq!(one.digest, two.digest);
    let differ: Vec<bool> = (one.places.iter().zip(&two.places))
        .map(|(one, two)| one.differs(two))
        .collect();
    assert_eq!(differ, [true, false]);
    assert_ne!(one.digest, reading("free 5 of 100\n").digest);
    assert_ne!(one.digest, reading("used 5 of 100").digest);
}

proptest! {
    #[test]
    fn numbers_never_keep_outputs_apart(a in 0_u64..100_000, b in 0_u64..100_000, c in any::<u32>()) {
        let reading = |n: u64| Reading::of(format!("x {n} y\t{c}\n").as_bytes(), &[]);
        prop_assert_eq!(reading(a).digest, reading(b).digest);
    }

    #[test]
    fn any_bytes_are_read_and_other_letters_keep_them_apart(
        bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let reading = Reading::of(&bytes, &["ab", "x"]);
        let end = reading.places.iter().fold(0, |end, place| {
            assert!(end <= place.range.start && place.range.start < place.range.end);
            place.range.end
        });
        prop_assert!(end <= bytes.len());
        let more = [&bytes[..], b" q"].concat();
        prop_assert_ne!(Reading::of(&more, &["ab", "x"]).digest, reading.digest);
    }
}
