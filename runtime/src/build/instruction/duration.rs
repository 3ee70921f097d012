//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("it needs a number and a unit, as in 30s, 1m30s or 500ms")]
    Form,
    #[error("units are h, m, s, ms, us and ns")]
    Unit,
    #[error("it cannot be negative")]
    Negative,
    #[error("it is longer than 292 years")]
    Long,
}

/// Go keeps a duration in a signed 64-bit number of nanoseconds, and so does an image's configuration.
const LONGEST_NS: u128 = i64::MAX as u128;

/// Nanoseconds of each unit; longer names first, so that `ms` is not read as `m`.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.starts_with('-') {
        return Err(DurationError::Negative);
    }
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, behind) = part(rest)?;
        total = total.saturating_add(nanoseconds);
        rest = behind;
    }
    if total > LONGEST_NS {
        return Err(DurationError::Long);
    }
    Ok(Duration::from_nanos(total as u64))
}

/// One number and its unit, in nanoseconds, and what is behind them.
fn part(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Form);
    }
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let unit = UNITS.iter().find(|(name, _)| rest.starts_with(name)).ok_or(DurationError::Unit)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::Long)? };
    // An hour has 3.6e12 nanoseconds: more digits than these change nothing.
    let fraction = &fraction[..fraction.len().min(13)];
    let scale = 10u128.pow(fraction.len() as u32);
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| DurationError::Form)? };
    Ok((u128::from(whole) * unit.1 + parts * unit.1 / scale, &rest[unit.0.len()..]))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The shortest text that is read as the same.
pub fn show(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let units =
        [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let even = units.into_iter().find(|(_, size)| nanoseconds != 0 && nanoseconds.is_multiple_of(*size));
    match even {
        Some((unit, size)) => format!("{}{unit}", nanoseconds / size),
        None => format!("{nanoseconds}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let ms = |text: &str| parse(text).map(|time| time.as_millis());
        assert_eq!(ms("1h2m3s4ms"), Ok(3_723_004));
        assert_eq!(ms("1.5s"), Ok(1500));
        assert_eq!(ms(".5s"), Ok(500));
        assert_eq!(ms("2.s"), Ok(2000));
        assert_eq!(ms("0"), Ok(0));
        assert_eq!(parse("3us2ns"), Ok(Duration::from_nanos(3002)));
        assert_eq!(ms("30"), Err(DurationError::Form));
        assert_eq!(ms(""), Err(DurationError::Form));
        assert_eq!(ms("."), Err(DurationError::Form));
        assert_eq!(ms("1d"), Err(DurationError::Unit));
        assert_eq!(ms("1s-1s"), Err(DurationError::Form));
        assert_eq!(ms("-1s"), Err(DurationError::Negative));
        assert_eq!(ms("9999999999h"), Err(DurationError::Long));
        assert_eq!(ms("99999999999999999999999s"), Err(DurationError::Long));
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for time in [Duration::ZERO, Duration::from_secs(90), Duration::from_millis(1500), Duration::from_nanos(7)] {
            assert_eq!(parse(&show(time)), Ok(time));
        }
        assert_eq!(show(Duration::from_secs(7200)), "2h");
    }
}
