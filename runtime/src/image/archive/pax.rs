//! Extended headers of POSIX (pax(1), "pax Extended Header"): records of `LENGTH KEY=VALUE\n` before an entry.
//!
//! The length counts itself, so a value may hold any byte, a line's end too: a file capability often does.

/// A record: its key and its value.
pub type Record<'a> = (&'a str, &'a [u8]);

/// Why a header's records do not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaxError {
    #[error("a record does not begin with its length")]
    Length,
    #[error("a record is longer than its header, or shorter than its length")]
    Size,
    #[error("a record has no key")]
    Key,
}

/// The records of a header, in their order.
pub fn parse(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, PaxError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        // Some writers fill the block with zeros and count them in.
        if rest.is_empty() || rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        let record = take(&mut rest);
        if record.is_err() {
            rest = &[];
        }
        Some(record)
    })
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, PaxError> {
    let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or(PaxError::Length)?;
    let length: usize =
        std::str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse().ok()).ok_or(PaxError::Length)?;
    if length <= space + 1 || length > rest.len() || rest[length - 1] != b'\n' {
        return Err(PaxError::Size);
    }
    let record = &rest[space + 1..length - 1];
    let equals = record.iter().position(|byte| *byte == b'=').ok_or(PaxError::Key)?;
    let key = std::str::from_utf8(&record[..equals]).map_err(|_| PaxError::Key)?;
    *rest = &rest[length..];
    Ok((key, &record[equals + 1..]))
}

/// Adds a record to a header that is being made.
pub fn push(header: &mut Vec<u8>, key: &str, value: &[u8]) {
    // A space, an equals sign and a line's end, and the digits of the whole length.
    let without = key.len() + value.len() + 3;
    let mut length = without + 1;
    while length != without + length.to_string().len() {
        length = without + length.to_string().len();
    }
    header.extend_from_slice(format!("{length} {key}=").as_bytes());
    header.extend_from_slice(value);
    header.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<Vec<Record<'_>>, PaxError> {
        parse(bytes).collect()
    }

    #[test]
    fn what_is_written_reads_back_whatever_bytes_it_holds() {
        for length in [0, 1, 85, 86, 87, 88, 89, 90, 983, 984, 985, 986, 987, 988] {
            let value = vec![b'\n'; length];
            let mut header = Vec::new();
            push(&mut header, "path", &value);
            push(&mut header, "SCHILY.xattr.security.capability", b"\x01\n=\0 2");
            assert_eq!(
                check(&header).unwrap(),
                [("path", &value[..]), ("SCHILY.xattr.security.capability", b"\x01\n=\0 2")]
            );
        }
    }

    #[test]
    fn zeros_behind_the_last_record_are_no_record() {
        assert_eq!(check(b"9 uid=12\n\0\0\0").unwrap(), [("uid", &b"12"[..])]);
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        assert_eq!(check(b"99 uid=12\n"), Err(PaxError::Size));
        assert_eq!(check(b"3 uid=12\n"), Err(PaxError::Size));
        assert_eq!(check(b"0 uid=12\n"), Err(PaxError::Size));
        assert_eq!(check(b"x uid=12\n"), Err(PaxError::Length));
        assert_eq!(check(b"99999999999999999999999999 uid=12\n"), Err(PaxError::Length));
        assert_eq!(check(b"7 uid1\n"), Err(PaxError::Key));
    }
}
