//! Numbers, times and the like, read as ssh reads them.

/// What `strtol` and its kin skip before a number.
const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// Reads a whole number from 0 up to `max`; like `strtonum`, it takes leading blanks and a `+`.
pub(super) fn number(text: &str, max: u64) -> Option<u64> {
    let text = text.trim_start_matches(SPACES);
    let digits = text.strip_prefix('+').unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = all_digits.then(|| digits.parse().ok()).flatten()?;
    (value <= max).then_some(value)
}

/// Reads a time in seconds: numbers with the units s, m, h, d, w, or none for seconds.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut total: u32 = 0;
    loop {
        let begin = rest.trim_start_matches(SPACES);
        let begin = begin.strip_prefix('+').unwrap_or(begin);
        let end = begin
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(begin.len());
        let (digits, unit) = begin.split_at(end);
        let part: u32 = digits.parse().ok()?;
        let factor = match unit.bytes().next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            Some(b'w') => 604_800,
            Some(_) => return None,
        };
        let part = part.checked_mul(factor).filter(|part| *part <= INT_MAX)?;
        total = total.checked_add(part).filter(|total| *total <= INT_MAX)?;
        if unit.len() < 2 {
            return Some(total);
        }
        rest = &unit[1..];
    }
}

pub(super) fn flag_or_time(text: &str) -> bool {
    ["yes", "no", "true", "false"].contains(&text) || seconds(text).is_some()
}

pub(super) fn escape(text: &str) -> bool {
    match text.as_bytes() {
        [_] => true,
        [b'^', byte] => (64..128).contains(byte),
        _ => text == "none",
    }
}

pub(super) fn mask(text: &str) -> bool {
    let text = text.trim_start_matches(SPACES);
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_digit(8)).unwrap_or(text.len());
    u32::from_str_radix(&text[..end], 8).is_ok_and(|mask| mask <= 0o777)
}

pub(super) fn tunnel(text: &str) -> bool {
    let one = |text: &str| {
        text.eq_ignore_ascii_case("any") || number(text, u64::from(INT_MAX) - 2).is_some()
    };
    let (local, remote) = text.split_once(':').unwrap_or((text, "any"));
    one(local) && one(remote)
}

pub(super) fn keystrokes(text: &str) -> bool {
    let flag = ["yes", "no", "true", "false"]
        .iter()
        .any(|flag| text.eq_ignore_ascii_case(flag));
    let interval = || {
        text.strip_prefix("interval:")
            .and_then(|ms| number(ms, 1000))
    };
    flag || interval().is_some()
}

/// Reads the amount of data of `RekeyLimit`: a number of bytes, K, M, G and so on, from 16 on.
pub(super) fn rekey_bytes(text: &str) -> bool {
    if text == "default" {
        return true;
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return false,
    };
    let amount = text[..text.len() - unit.len()].parse::<i64>().ok();
    let bytes = amount.and_then(|amount| amount.checked_mul(1 << shift));
    bytes.is_some_and(|bytes| bytes == 0 || bytes >= 16)
}

/// Whether a text is a class of `IPQoS`: a name, or a number up to 255.
pub(super) fn ip_qos(text: &str) -> bool {
    const NAMES: [&str; 28] = [
        "af11",
        "af12",
        "af13",
        "af21",
        "af22",
        "af23",
        "af31",
        "af32",
        "af33",
        "af41",
        "af42",
        "af43",
        "cs0",
        "cs1",
        "cs2",
        "cs3",
        "cs4",
        "cs5",
        "cs6",
        "cs7",
        "ef",
        "le",
        "va",
        "lowdelay",
        "throughput",
        "reliability",
        "none",
        "lowcost",
    ];
    let named = NAMES.iter().any(|name| text.eq_ignore_ascii_case(name));
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') && text.len() > 1 => (&text[1..], 8),
        None => (text, 10),
    };
    named || u32::from_str_radix(digits, radix).is_ok_and(|class| class <= 255)
}

/// Whether a word of `CanonicalDomains` is a domain.
pub(super) fn domain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    begins && text.chars().all(allowed) && !text.contains("..")
}

/// Whether a word of `CanonicalizePermittedCNAMEs` is a rule.
pub(super) fn cname_rule(text: &str) -> bool {
    let has_target = |(_, target): (&str, &str)| !target.is_empty();
    ["*", "none"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
        || text.split_once(':').is_some_and(has_target)
}

/// Whether a list has only names that Debian's ssh knows for key exchange by GSSAPI.
pub(super) fn gssapi_kex(text: &str) -> bool {
    const NAMES: [&str; 7] = [
        "gss-gex-sha1-",
        "gss-group1-sha1-",
        "gss-group14-sha1-",
        "gss-group14-sha256-",
        "gss-group16-sha512-",
        "gss-nistp256-sha256-",
        "gss-curve25519-sha256-",
    ];
    let mut names = text.split(',').take_while(|name| !name.is_empty());
    !text.is_empty() && names.all(|name| NAMES.contains(&name))
}

/// The largest number of ssh's integer options.
pub(super) const INT_MAX: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let cases: [(&str, Option<u32>); 12] = [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1m30s", Some(90)),
            ("1M30", Some(90)),
            ("1w", Some(604_800)),
            ("1h1d", Some(90_000)),
            ("2147483647", Some(INT_MAX)),
            ("2147483648", None),
            ("99999999w", None),
            ("", None),
            ("1x", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(number("22", 65535), Some(22));
        assert_eq!(number("+0", 65535), Some(0));
        for text in ["", "65536", "-1", "2 ", "0x1", "99999999999999999999"] {
            assert_eq!(number(text, 65535), None, "{text:?}");
        }
    }

    #[test]
    fn the_rarer_values_are_checked() {
        assert!(flag_or_time("yes") && flag_or_time("4h") && !flag_or_time("maybe"));
        assert!(escape("~") && escape("^C") && escape("none") && !escape("ab"));
        assert!(mask("0177") && !mask("1777") && !mask("x"));
        assert!(tunnel("any") && tunnel("0:1") && !tunnel("x") && !tunnel("0:x"));
        assert!(keystrokes("no") && keystrokes("interval:20") && !keystrokes("20"));
        assert!(rekey_bytes("default") && rekey_bytes("1G") && !rekey_bytes("8"));
        assert!(!rekey_bytes("1X") && !rekey_bytes("9E") && !rekey_bytes(""));
        assert!(domain("a.b_c") && !domain("-a") && !domain("a..b") && !domain("a,b"));
        assert!(cname_rule("*") && cname_rule("a:b") && !cname_rule("a") && !cname_rule("a:"));
        assert!(gssapi_kex("gss-gex-sha1-") && !gssapi_kex("x") && !gssapi_kex("^gss-gex-sha1-"));
        assert!(ip_qos("af21") && ip_qos("0x10") && ip_qos("8") && !ip_qos("x") && !ip_qos("256"));
    }
}
