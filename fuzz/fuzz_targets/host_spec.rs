//! Any text is refused or names a host whose text form names it again, alone and in a file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sshoal_session::{Host, parse_host_lines, parse_hosts_file};

fuzz_target!(|spec: &str| {
    if let Ok(host) = spec.parse::<Host>() {
        let text = host.to_string();
        assert_eq!(text.parse().as_ref(), Ok(&host));
        assert_eq!(parse_hosts_file(&text, "fuzz").as_deref(), Ok(&[host][..]));
    }
    let lines = parse_host_lines(spec, "fuzz");
    let Ok(hosts) = parse_hosts_file(spec, "fuzz") else {
        return;
    };
    let lines = lines.expect("reads whatever has no options");
    assert!(lines.iter().all(|line| line.options.is_empty()));
    assert!(lines.iter().map(|line| &line.host).eq(&hosts));
    let text: String = hosts.iter().map(|host| format!("{host}\n")).collect();
    assert_eq!(parse_hosts_file(text, "fuzz"), Ok(hosts));
});
