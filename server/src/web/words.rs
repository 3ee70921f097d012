//! Moments in words. The server does not know a learner's clock, so it says how long ago, and days by their date.

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// `just now`, `5 minutes ago`, `2 hours ago`, `3 days ago`.
pub fn ago(ms: i64) -> String {
    let counted = |n: i64, unit: &str| format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" });
    match ms {
        ..MINUTE_MS => "just now".into(),
        MINUTE_MS..HOUR_MS => counted(ms / MINUTE_MS, "minute"),
        HOUR_MS..DAY_MS => counted(ms / HOUR_MS, "hour"),
        _ => counted(ms / DAY_MS, "day"),
    }
}

/// `27 December 2026`, in universal time: for what is a matter of weeks.
pub fn day(unix_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_as_people_say_them() {
        for (ms, words) in [
            (-5, "just now"),
            (59_999, "just now"),
            (60_000, "1 minute ago"),
            (2 * HOUR_MS - 1, "1 hour ago"),
            (49 * HOUR_MS, "2 days ago"),
        ] {
            assert_eq!(ago(ms), words);
        }
        assert_eq!(day(1_798_329_600_000), "27 December 2026");
    }
}
