//! Sizes, times and shares as people write and read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use floe_format::SnapshotId;
use jiff::Timestamp;

/// A number of bytes: read from `512`, `64k`, `10MiB` or `1.5G`, shown as `10.0 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteCount(pub(crate) u64);

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is not a size; write 512, 64KiB, 10MiB or 1.5GiB");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let (letter, base) = match unit.as_bytes() {
            [] | [b'b'] => (None, 1_u64),
            [letter] | [letter, b'i', b'b'] => (Some(*letter), 1024),
            [letter, b'b'] => (Some(*letter), 1000),
            _ => return Err(malformed()),
        };
        let power = match letter {
            None => 0,
            Some(letter) => b"kmgtpe".iter().position(|l| *l == letter).ok_or_else(malformed)? + 1,
        };
        let scale = u128::from(base).pow(u32::try_from(power).map_err(|_| malformed())?);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
            return Err(malformed());
        }
        let denominator = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| malformed())?);
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| malformed())?;
        let bytes = digits.checked_mul(scale).ok_or_else(malformed)? / denominator;
        // No bytes at all often means no bound at all, which this does not.
        if bytes == 0 && digits > 0 {
            return Err(format!("{text:?} is less than a byte"));
        }
        u64::try_from(bytes).map(Self).map_err(|_| malformed())
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 999.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// So many of something, in words.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// A duration, to three digits or so.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 if seconds < 0.001 => "0.001 s".into(),
        0 => format!("{seconds:.3} s"),
        1..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        whole @ 60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How long ago that was.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(time.as_second());
    let (number, unit) = match seconds {
        ..1 => return "now".into(),
        1..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..31_557_600 => (seconds / 86_400, "day"),
        _ => (seconds / 31_557_600, "year"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// A part of a whole in percent; all of nothing is everything.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The first digits of a snapshot's id, which are a reference and fit a line.
pub(crate) fn short_id(id: &SnapshotId) -> String {
    let mut short = id.to_string();
    short.truncate(16);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1k", 1024),
            ("1KiB", 1024),
            ("1kB", 1000),
            ("1.5GiB", 3 << 29),
            ("10 MiB", 10 << 20),
            ("18446744073709551615", u64::MAX),
            ("15EiB", 15 << 60),
        ] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        }
        for bad in
            ["", "k", ".5k", "1.", "1..5", "-1", "1x", "1kib2", "16EiB", "1e3", "0.5", "99999999999999999999"]
        {
            assert!(bad.parse::<ByteCount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (999 << 10, "999.0 KiB"),
            (1023 << 10, "1.0 MiB"),
            (289_406_976, "276.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }

    #[test]
    fn other_quantities_are_shown() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(duration(Duration::from_millis(58)), "0.058 s");
        assert_eq!(duration(Duration::from_millis(1_150)), "1.15 s");
        assert_eq!(duration(Duration::from_secs(3_725)), "1 h 2 min");
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(age(at(100), at(100)), "now");
        assert_eq!(age(at(100), at(50)), "now");
        assert_eq!(age(at(0), at(61)), "1 minute ago");
        assert_eq!(age(at(0), at(2 * 86_400)), "2 days ago");
        assert!((percent(1, 4) - 25.0).abs() < 1e-9);
        assert!((percent(0, 0) - 100.0).abs() < 1e-9);
    }
}
