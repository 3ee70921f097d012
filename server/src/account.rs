//! Which account the web process runs as: the setting `web.user`.
//!
//! Accounts are looked up in /etc/passwd alone: what stands in a directory service needs that service's
//! libraries, and this is one static file. Such an account can be given by its number.

use std::fs;

use quayside_runtime::launch::lease::{Ids, RANGE, SLOTS_MAX, WEB_ID};

const PASSWD: &str = "/etc/passwd";

/// No account's: setresuid(2) keeps the id that there is when it is given this one.
const UNCHANGED: u32 = u32::MAX;

/// Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// Whom the web process becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("web.user is {0:?}, and {PASSWD} has no such account; add one, or give its number")]
    Unknown(String),
    #[error("web.user is {0:?}, which is root; the process that reads what strangers send must not be")]
    Root(String),
    #[error("web.user is {0:?}, an id that sandboxes get; take one below {first}", first = Ids::of(0).owner)]
    Sandboxes(String),
    #[error("web.user is {0:?}, which is no id: to the kernel it means that nothing is to change; take one below it")]
    NoId(String),
    #[error("cannot read {PASSWD} for web.user")]
    Unreadable(#[source] std::io::Error),
}

impl Account {
    /// `None`: an id without an account; in a sandbox, which has no such ids, nobody's.
    pub fn of(user: Option<&str>) -> Result<Self, AccountError> {
        match user {
            None if has_id(WEB_ID) => Ok(Self { uid: WEB_ID, gid: WEB_ID }),
            None => Ok(Self { uid: NOBODY, gid: NOBODY }),
            Some(user) => {
                let passwd = fs::read_to_string(PASSWD).map_err(AccountError::Unreadable)?;
                Self::find(user, &passwd)
            }
        }
    }

    /// `user`, a name or a number, by the lines of `passwd` (passwd(5)).
    fn find(user: &str, passwd: &str) -> Result<Self, AccountError> {
        let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let known = lines.find(|fields| fields.len() > 3 && (fields[0] == user || fields[2] == user));
        let known = known.and_then(|fields| Some(Self { uid: fields[2].parse().ok()?, gid: fields[3].parse().ok()? }));
        // A number without an account has the group of the same number.
        let number = || user.parse().ok().map(|id| Self { uid: id, gid: id });
        let account = known.or_else(number).ok_or_else(|| AccountError::Unknown(user.into()))?;
        let sandboxes = Ids::of(0).owner..=Ids::of(SLOTS_MAX - 1).base + (RANGE - 1);
        match account {
            Self { uid: 0, .. } | Self { gid: 0, .. } => Err(AccountError::Root(user.into())),
            Self { uid: UNCHANGED, .. } | Self { gid: UNCHANGED, .. } => Err(AccountError::NoId(user.into())),
            Self { uid, gid } if sandboxes.contains(&uid) || sandboxes.contains(&gid) => {
                Err(AccountError::Sandboxes(user.into()))
            }
            account => Ok(account),
        }
    }
}

/// Whether there is such an id in this user namespace (user_namespaces(7)).
fn has_id(id: u32) -> bool {
    fs::read_to_string("/proc/self/uid_map").map_or(true, |map| is_mapped(id, &map))
}

fn is_mapped(id: u32, map: &str) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if id.checked_sub(first).is_some_and(|offset| offset < count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:34:www-data:/var/www:/usr/sbin/nologin\nx\n";

    #[test]
    fn an_account_is_found_by_its_name_or_its_number() {
        let find = |user| Account::find(user, LINES).expect("an account");
        assert_eq!(find("www-data"), Account { uid: 33, gid: 34 });
        assert_eq!(find("33"), Account { uid: 33, gid: 34 }, "with its group");
        assert_eq!(find("1234"), Account { uid: 1234, gid: 1234 }, "without an account");
        assert_eq!(Account::of(None).expect("ours").uid, WEB_ID);
    }

    #[test]
    fn a_sandbox_has_65536_ids_and_a_host_all_of_them() {
        assert!(is_mapped(WEB_ID, "         0          0 4294967295\n"));
        let sandbox = "         0     131072      65536\n";
        assert!(!is_mapped(WEB_ID, sandbox) && is_mapped(NOBODY, sandbox));
    }

    #[test]
    fn an_id_that_would_leave_the_web_process_root_is_refused() {
        let find = |user: &str, lines| Account::find(user, lines).expect_err("refused");
        assert!(matches!(find("4294967295", LINES), AccountError::NoId(_)));
        assert!(matches!(find("web", "web:x:4294967295:33::/:/bin/sh\n"), AccountError::NoId(_)));
        assert!(matches!(find("web", "web:x:33:4294967295::/:/bin/sh\n"), AccountError::NoId(_)));
    }

    #[test]
    fn root_a_stranger_and_a_sandboxs_id_are_refused() {
        let refused = |user: &str| Account::find(user, LINES).expect_err("refused");
        assert!(matches!(refused("root"), AccountError::Root(_)));
        assert!(matches!(refused("0"), AccountError::Root(_)));
        assert!(matches!(refused("nobody"), AccountError::Unknown(_)));
        assert!(matches!(refused(&Ids::of(3).base.to_string()), AccountError::Sandboxes(_)));
        let line = format!("web:x:33:{}::/:/bin/sh\n", Ids::of(3).base);
        assert!(matches!(Account::find("web", &line).expect_err("refused"), AccountError::Sandboxes(_)), "its group");
    }
}
