//! The order of Debian versions (deb-version(7)): `1.0~rc1` comes before `1.0`, `1.10` after `1.9`.

use std::cmp::Ordering;

/// Compares `[epoch:]upstream[-revision]`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| compare_part(a.1, b.1)).then_with(|| compare_part(a.2, b.2))
}

fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch, upstream, revision)
}

/// By turns a stretch without digits, then a number.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_at_first(a, |byte| byte.is_ascii_digit());
        let (text_b, rest_b) = split_at_first(b, |byte| byte.is_ascii_digit());
        let (number_a, rest_a) = split_at_first(rest_a, |byte| !byte.is_ascii_digit());
        let (number_b, rest_b) = split_at_first(rest_b, |byte| !byte.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_number(number_a, number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split_at_first(text: &str, found: impl Fn(u8) -> bool) -> (&str, &str) {
    let at = text.bytes().position(found).unwrap_or(text.len());
    text.split_at(at)
}

/// `~` comes before the end, the end before letters, letters before everything else.
fn compare_text(a: &str, b: &str) -> Ordering {
    let weight = |text: &str, index: usize| match text.as_bytes().get(index) {
        None => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    let length = a.len().max(b.len());
    (0..length)
        .map(|index| weight(a, index).cmp(&weight(b, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length: without leading zeros the longer one is larger.
fn compare_number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        let ascending = [
            "0.9",
            "1.0~~",
            "1.0~rc1",
            "1.0",
            "1.0-1",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0-2",
            "1.0a",
            "1.0+dfsg",
            "1.2",
            "1.10",
            "1:0.1",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater);
        }
        assert_eq!(compare("1.00-0", "1.0"), Ordering::Equal);
    }
}
