//! Durations and sizes as people write them: `90 s`, `1 h 30 min`, `512 MiB`, `1.5 GiB`.

/// Units of time, each with its seconds; the first of a length is the one that is written.
const TIMES: [(&str, u64); 10] = [
    ("d", 86_400),
    ("day", 86_400),
    ("days", 86_400),
    ("h", 3600),
    ("hour", 3600),
    ("hours", 3600),
    ("min", 60),
    ("m", 60),
    ("minutes", 60),
    ("s", 1),
];

/// Units of size, each with its bytes; memory comes in powers of two, disks are sold in powers of ten.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
];

/// Seconds of `90`, `90 s`, `30 min`, `1 h 30 min`.
pub fn seconds(text: &str) -> Option<u64> {
    parse(text, &TIMES)
}

/// Bytes of `1048576`, `512 MiB`, `1.5 GiB`.
pub fn bytes(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// `5400` as `1 h 30 min`.
pub fn show_seconds(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, size) in units {
        if rest >= size {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0 s".into() } else { parts.join(" ") }
}

/// In the largest unit that leaves no rest.
pub fn show_bytes(bytes: u64) -> String {
    let fitting = SIZES[..5].iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    match fitting {
        Some((name, size)) => format!("{} {name}", bytes / size),
        None => "0 B".into(),
    }
}

/// The sum of numbers, each with a unit; a single number needs none.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return rest.parse().ok();
    }
    let mut sum = 0u64;
    while !rest.is_empty() {
        let (number, after) = split(rest, |byte| byte.is_ascii_digit() || byte == b'.');
        let (unit, after) = split(after.trim_start(), |byte| byte.is_ascii_alphabetic());
        let size = units.iter().find(|(name, _)| *name == unit)?.1;
        sum = sum.checked_add(times(number, size)?)?;
        rest = after.trim_start();
    }
    (!text.trim().is_empty()).then_some(sum)
}

fn split(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len()))
}

/// Whole numbers exactly; a fraction only where nothing is lost by it.
fn times(number: &str, size: u64) -> Option<u64> {
    let Some((whole, fraction)) = number.split_once('.') else {
        return number.parse::<u64>().ok()?.checked_mul(size);
    };
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(size)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(size)?;
    part.is_multiple_of(scale).then(|| whole.checked_add(part / scale))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them_and_back() {
        for (written, is, shown) in [
            ("90", 90, "1 min 30 s"),
            ("90 s", 90, "1 min 30 s"),
            ("30min", 1800, "30 min"),
            ("60 min", 3600, "1 h"),
            ("1 h 30 min", 5400, "1 h 30 min"),
            ("1.5 h", 5400, "1 h 30 min"),
            ("2 days", 172_800, "2 d"),
            ("0", 0, "0 s"),
        ] {
            assert_eq!(seconds(written), Some(is), "{written}");
            assert_eq!(show_seconds(is), shown);
            assert_eq!(seconds(shown), Some(is), "{shown}");
        }
        for wrong in ["", " ", "min", "30 minuts", "-5 s", "1..5 h", "1.0001 s", "5 GiB", "99999999999999999999"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them_and_back() {
        for (written, is, shown) in [
            ("1048576", 1 << 20, "1 MiB"),
            ("1 GiB", 1 << 30, "1 GiB"),
            ("1.5 GiB", 3 << 29, "1536 MiB"),
            ("512MiB", 512 << 20, "512 MiB"),
            ("2 GB", 2_000_000_000, "1953125 KiB"),
            ("1000", 1000, "1000 B"),
        ] {
            assert_eq!(bytes(written), Some(is), "{written}");
            assert_eq!(show_bytes(is), shown);
            assert_eq!(bytes(shown), Some(is), "{shown}");
        }
        for wrong in ["1 gib", "1 GiB/s", "a lot", "20000000 TiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
