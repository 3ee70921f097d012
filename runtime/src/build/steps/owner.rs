//! `--chown` and `USER`: ids, as the image's own files have them.

use std::io;
use std::path::Path;

use super::error::StepError;
use crate::container::in_root::InRoot;
use crate::container::user;

/// Far more than any image has: a hostile one must not fill our memory.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// `user[:group]`. Docker gives a number alone the group of the same number, and a name alone the group of its account.
pub fn look_up(wanted: &str, root: &InRoot) -> Result<Owner, StepError> {
    let failed = |source| StepError::Owner(wanted.to_owned(), source);
    if let Some(owner) = numbers(wanted) {
        return Ok(owner);
    }
    let read = |path: &str| -> io::Result<String> {
        let bytes = root.read(Path::new(path), FILE_MAX_BYTES)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (passwd, group) = (read("/etc/passwd").map_err(failed)?, read("/etc/group").map_err(failed)?);
    let with_group = match wanted.split_once(':') {
        None if is_number(wanted) => format!("{wanted}:{wanted}"),
        _ => wanted.to_owned(),
    };
    let found = user::find(&with_group, &passwd, &group).map_err(|why| failed(io::Error::other(why)))?;
    Ok(Owner { uid: found.uid, gid: found.gid })
}

/// Without any file: numbers that say it all.
pub fn numbers(wanted: &str) -> Option<Owner> {
    let (user, group) = wanted.split_once(':').unwrap_or((wanted, wanted));
    if !is_number(user) || !is_number(group) {
        return None;
    }
    let id = |text: &str| text.parse::<u32>().ok().filter(|id| u64::from(*id) <= crate::image::archive::entry::ID_MAX);
    Some(Owner { uid: id(user)?, gid: id(group)? })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_the_group_too_and_a_name_has_its_accounts() {
        let image = tempfile::tempdir().unwrap();
        std::fs::create_dir(image.path().join("etc")).unwrap();
        std::fs::write(image.path().join("etc/passwd"), "app:x:1000:50::/:/bin/sh\n").unwrap();
        std::fs::write(image.path().join("etc/group"), "staff:x:50:\nweb:x:33:\n").unwrap();
        let root = InRoot::open(image.path()).unwrap();
        let of = |wanted: &str| look_up(wanted, &root).map(|owner| (owner.uid, owner.gid));
        assert_eq!(of("55").unwrap(), (55, 55));
        assert_eq!(of("1000").unwrap(), (1000, 1000));
        assert_eq!(of("1:2").unwrap(), (1, 2));
        assert_eq!(of("app").unwrap(), (1000, 50));
        assert_eq!(of("app:web").unwrap(), (1000, 33));
        assert_eq!(of("7:web").unwrap(), (7, 33));
        assert!(of("nobody").is_err() && of("app:nogroup").is_err() && of("").is_ok());
    }
}
