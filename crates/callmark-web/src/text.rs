//! How numbers, times and names are written on pages and in addresses.

use std::fmt::Write as _;

/// A text as part of an address.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A path as part of an address; its slashes stay.
pub(crate) fn percent_encode_path(path: &std::path::Path) -> String {
    let parts: Vec<String> = path.to_string_lossy().split('/').map(percent_encode).collect();
    parts.join("/")
}

/// Milliseconds as m:ss, or h:mm:ss.
pub(crate) fn clock(ms: i64) -> String {
    let (sign, seconds) = if ms < 0 { ("-", -ms / 1_000) } else { ("", ms / 1_000) };
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{sign}{minutes}:{seconds:02}")
    }
}

/// A count with a comma every three digits.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An instant as `2026-03-31 14:05` (UTC).
pub(crate) fn minute(ms: i64) -> String {
    match callmark_types::Timestamp::from_epoch_millis(ms) {
        Some(time) => time.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect(),
        None => "unknown".to_owned(),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The name of a value in the tables as words: `escalated_resolved` is "escalated resolved".
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_read_well() {
        assert_eq!(
            (clock(65_400), clock(3_725_000), clock(-1_000)),
            ("1:05".into(), "1:02:05".into(), "-0:01".into())
        );
        assert_eq!((count(7), count(1_234_567)), ("7".to_owned(), "1,234,567".to_owned()));
        assert_eq!(minute(0), "1970-01-01 00:00");
        assert_eq!(percent_encode("a b/é"), "a%20b%2F%C3%A9");
    }
}
