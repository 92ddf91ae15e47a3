//! Collected output: where it is kept, where it is cut, what comes back.

use proptest::prelude::*;

use super::*;

fn store(memory_bytes_max: usize) -> Arc<Store> {
    Arc::new(Store::new(memory_bytes_max, None))
}

/// Bytes that tell their own position.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect()
}

#[test]
fn spills_beyond_one_mebibyte_per_host_and_not_before() {
    let store = store(usize::MAX);
    let mut output = HostOutput::new(&store, None);
    output
        .append(OutputStream::Stdout, &pattern(0, HOST_MEMORY_MAX))
        .unwrap();
    assert!(!output.stdout.is_spilled());
    output.append(OutputStream::Stderr, b"x").unwrap();
    assert!(
        output.stderr.is_spilled(),
        "the host's memory is taken by its standard output"
    );
    output.append(OutputStream::Stdout, b"y").unwrap();
    assert!(output.stdout.is_spilled());
    assert_eq!(store.memory(), 0);
    let bytes = output.stdout.bytes().unwrap();
    assert_eq!(bytes.len(), HOST_MEMORY_MAX + 1);
    assert_eq!(bytes[..HOST_MEMORY_MAX], pattern(0, HOST_MEMORY_MAX));
    assert_eq!(output.stderr.text().unwrap(), "x");
}

#[test]
fn is_cut_at_the_very_byte_and_marked() {
    let mut output = HostOutput::new(&store(usize::MAX), Some(5));
    output.append(OutputStream::Stdout, b"abc").unwrap();
    output.append(OutputStream::Stdout, b"de").unwrap();
    assert!(
        !output.stdout.is_truncated(),
        "five bytes are not more than five"
    );
    output.append(OutputStream::Stdout, b"f").unwrap();
    output.append(OutputStream::Stderr, b"").unwrap();
    assert_eq!(output.stdout.bytes().unwrap(), b"abcde".as_slice());
    assert!(output.stdout.is_truncated() && !output.stderr.is_truncated());
}

#[test]
fn memory_of_a_run_stays_under_its_bound_and_comes_back() {
    let store = store(10_000);
    let hosts: Vec<HostOutput> = (0..100)
        .map(|n| {
            let mut output = HostOutput::new(&store, None);
            output
                .append(OutputStream::Stdout, &pattern(n, 300))
                .unwrap();
            assert!(store.memory() <= 10_000);
            output
        })
        .collect();
    assert!(hosts.iter().any(|host| host.stdout.is_spilled()));
    for (n, host) in hosts.iter().enumerate() {
        assert_eq!(host.stdout.bytes().unwrap(), pattern(n, 300));
    }
    drop(hosts);
    assert_eq!(store.memory(), 0);
}

#[test]
fn a_file_that_cannot_be_made_is_an_error_and_loses_nothing() {
    let store = Arc::new(Store::new(8, Some("/nonexistent/folder".into())));
    let mut output = HostOutput::new(&store, None);
    output.append(OutputStream::Stdout, b"12345678").unwrap();
    output.append(OutputStream::Stdout, b"9").unwrap_err();
    assert_eq!(output.stdout.bytes().unwrap(), b"12345678".as_slice());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the pieces in which two streams of three hosts arrive, and whatever the memory,
    /// each stream comes back byte for byte, by `bytes` and by a reader with odd buffers.
    #[test]
    fn comes_back_byte_for_byte(
        memory_bytes_max in 0..3_000_000_usize,
        pieces in proptest::collection::vec((0..6_usize, 0..200_000_usize), 0..60),
        step in 1..70_000_usize,
    ) {
        let store = store(memory_bytes_max);
        let mut hosts: Vec<HostOutput> = (0..3).map(|_| HostOutput::new(&store, None)).collect();
        let mut sent = [0_usize; 6];
        for (which, len) in pieces {
            let stream = [OutputStream::Stdout, OutputStream::Stderr][which % 2];
            let bytes = pattern(sent[which] + which * 7919, len);
            hosts[which / 2].append(stream, &bytes).unwrap();
            sent[which] += len;
            prop_assert!(store.memory() <= memory_bytes_max);
        }
        for (which, len) in sent.into_iter().enumerate() {
            let host = &hosts[which / 2];
            let collected = if which % 2 == 0 { &host.stdout } else { &host.stderr };
            let expected = pattern(which * 7919, len);
            prop_assert_eq!(collected.len(), len as u64);
            prop_assert!(collected.bytes().unwrap() == expected);
            let (mut reader, mut read, mut buf) = (collected.reader(), Vec::new(), vec![0; step]);
            while let n @ 1.. = reader.read(&mut buf).unwrap() {
                read.extend_from_slice(&buf[..n]);
            }
            prop_assert!(read == expected);
        }
    }
}
