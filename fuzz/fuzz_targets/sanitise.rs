//! Nothing of what is shown on a terminal acts on it.
//!
//! The input is what a host prints, or a name that it gives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sshoal_pool::sanitise::{is_harmless, one_line, sanitise};

fuzz_target!(|bytes: &[u8]| {
    let mut shown = Vec::new();
    sanitise(bytes, &mut shown);
    let text = String::from_utf8(shown).expect("what is shown is text");
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    assert!(!text.contains(acts), "{text:?}");
    // What stands there as it is has not become more by that.
    let plain = str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_harmless));
    assert!(!plain || text.as_bytes() == bytes);

    let bytes = String::from_utf8_lossy(bytes);
    let line = one_line(&bytes);
    assert!(!line.contains(char::is_control), "{line:?}");
});
