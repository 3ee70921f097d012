//! Which ids a user of an image has: its own /etc/passwd and /etc/group decide (passwd(5), group(5)), read as text
//! and never by a library that would look at the host's.

use std::io;
use std::path::Path;

use super::in_root::InRoot;

/// Far more than any image has: a hostile one must not fill our memory.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Docker's, which keeps them positive where somebody takes them for signed.
const ID_MAX: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary, with `gid` first.
    pub groups: Vec<u32>,
    pub home: String,
}

/// A user that the image does not have. The words are those that people know from Docker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("unable to find user {0}: no matching entries in passwd file; make it by an earlier RUN, or give a number")]
    User(String),
    #[error("unable to find group {0}: no matching entries in group file; make it by an earlier RUN, or give a number")]
    Group(String),
    #[error("user {0} has an id that is no number from 0 to {ID_MAX}")]
    Range(String),
}

/// Looks `wanted` up in the files of a root.
pub fn look_up(wanted: &str, root: &InRoot) -> io::Result<User> {
    let read = |path: &str| root.read(Path::new(path), FILE_MAX_BYTES).map(Option::unwrap_or_default);
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    find(wanted, &String::from_utf8_lossy(&passwd), &String::from_utf8_lossy(&group))
        .map_err(|unknown| io::Error::new(io::ErrorKind::NotFound, unknown))
}

/// `wanted` is empty (root), `name`, `uid`, `name:group` or `uid:gid`. A number need not be in the files; a name
/// must. Groups that list the user are theirs, unless a group was asked for.
pub fn find(wanted: &str, passwd: &str, group: &str) -> Result<User, Unknown> {
    let (user, wanted_group) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let account = accounts(passwd).find(|account| is(user, account.name, account.uid));
    let (uid, gid, home) = match &account {
        Some(account) => (account.uid, account.gid, account.home),
        None => (number(user, wanted)?.ok_or_else(|| Unknown::User(user.into()))?, 0, "/"),
    };
    if !wanted_group.is_empty() {
        let found = groups(group).find(|one| is(wanted_group, one.name, one.gid)).map(|one| one.gid);
        let gid = match found {
            Some(gid) => gid,
            None => number(wanted_group, wanted)?.ok_or_else(|| Unknown::Group(wanted_group.into()))?,
        };
        return Ok(User { uid, gid, groups: vec![gid], home: home.into() });
    }
    let mut all = vec![gid];
    if let Some(account) = &account {
        let theirs = groups(group).filter(|one| one.members.split(',').any(|member| member == account.name));
        all.extend(theirs.map(|one| one.gid).filter(|&other| other != gid));
    }
    Ok(User { uid, gid, groups: all, home: home.into() })
}

fn is(wanted: &str, name: &str, id: u32) -> bool {
    wanted == name || wanted.parse() == Ok(id)
}

/// The id that a word is, if it is a number at all.
fn number(word: &str, wanted: &str) -> Result<Option<u32>, Unknown> {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let id = word.parse().ok().filter(|&id: &u32| id <= ID_MAX);
    id.map(Some).ok_or_else(|| Unknown::Range(wanted.into()))
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Lines that are none are passed over, as libc does.
fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        Some(Account { name, uid, gid, home })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\n# nobody knows\nbroken:x\n\
        www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\napp:x:1000:1000::/home/app:/bin/sh\n7:x:70:70::/seven:\n";
    const GROUP: &str = "root:x:0:\nwww-data:x:33:\napp:x:1000:\ndocker:x:999:app,other\nstaff:x:50:other,app\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> Result<User, Unknown> {
        Ok(User { uid, gid, groups: groups.into(), home: home.into() })
    }

    #[track_caller]
    fn check(wanted: &str, expected: Result<User, Unknown>) {
        assert_eq!(find(wanted, PASSWD, GROUP), expected, "{wanted}");
    }

    #[test]
    fn all_forms_of_docker_are_found() {
        check("", user(0, 0, &[0], "/root"));
        check("www-data", user(33, 33, &[33], "/var/www"));
        check("app", user(1000, 1000, &[1000, 999, 50], "/home/app"));
        check("1000", user(1000, 1000, &[1000, 999, 50], "/home/app"));
        check("app:staff", user(1000, 50, &[50], "/home/app"));
        check("app:4242", user(1000, 4242, &[4242], "/home/app"));
        check("1234", user(1234, 0, &[0], "/"));
        check("1234:5678", user(1234, 5678, &[5678], "/"));
        check("7", user(70, 70, &[70], "/seven"));
        check(":staff", user(0, 50, &[50], "/root"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        check("nobody", Err(Unknown::User("nobody".into())));
        check("app:nogroup", Err(Unknown::Group("nogroup".into())));
        check("-1", Err(Unknown::User("-1".into())));
        check("4294967295", Err(Unknown::Range("4294967295".into())));
        check("0:99999999999", Err(Unknown::Range("0:99999999999".into())));
        let message = Unknown::User("nobody".into()).to_string();
        assert!(message.starts_with("unable to find user nobody: no matching entries in passwd file"), "{message}");
    }

    #[test]
    fn an_image_without_files_has_numbers_only() {
        assert_eq!(find("", "", ""), user(0, 0, &[0], "/"));
        assert_eq!(find("65532:65532", "", ""), user(65532, 65532, &[65532], "/"));
        assert_eq!(find("root", "", ""), Err(Unknown::User("root".into())));
    }
}
