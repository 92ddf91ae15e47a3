//! Numbers of bytes as text.

/// Reads a number of bytes: digits, and `k`, `M`, `G`, `T` for thousands or `Ki`, `Mi`, `Gi`, `Ti`
/// for 1024s.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) => (letter, 1024_f64),
        None => (unit, 1000_f64),
    };
    let power = match letter {
        "" if unit.is_empty() => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    let bytes = digits.parse::<f64>().ok()? * base.powi(power);
    // Above 2^53 not every number is a float; nobody means one by the byte there.
    (bytes < BYTES_MAX).then_some(bytes.round() as u64)
}

/// Returns a number of bytes as people read it, for example `1.5 MB`.
pub(crate) fn show(bytes: u64) -> String {
    let mut units = ["B", "kB", "MB", "GB", "TB"].iter();
    let (mut count, mut unit) = (bytes as f64, units.next());
    while count >= 999.95
        && let Some(next) = units.next()
    {
        (count, unit) = (count / 1000.0, Some(next));
    }
    let unit = unit.unwrap_or(&"TB");
    match bytes < 1000 {
        true => format!("{bytes} B"),
        false => format!("{count:.1} {unit}"),
    }
}

const BYTES_MAX: f64 = (1_u64 << 53) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("10M", 10_000_000),
            ("1.5k", 1500),
            ("2Gi", 2 << 30),
            ("1Ti", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for wrong in ["", "M", "-1", "1x", "1i", "1.2.3", "9999999T", "1 M", "inf"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_shown_with_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_960, "1.0 MB"),
            (12_345_678, "12.3 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(show(bytes), text);
        }
    }
}
