//! What Debian's maintainer scripts would do, as a table.
//!
//! Packages are unpacked, their scripts never run: they would run as the host's root, and take a minute. What they leave
//! behind in an image is little and always the same, so it stands here as data, with the reason on each entry. Which
//! package's script it replaces is in brackets.

mod learner;
mod system;

pub use learner::LEARNER;
pub use system::SYSTEM;

use crate::image::beneath::Name;
use crate::image::layout;
use crate::image::unpack::Place;

/// The time of every file that we write ourselves, and of every folder: 1 November 2026. A fixed time makes the tree the
/// same on every host.
pub const TIME: i64 = 1_793_491_200;

pub const ROOT: u32 = 0;
pub const SHADOW: u32 = 42;
const UTMP: u32 = 43;
const DAEMON: u32 = 1;
const MAIL: u32 = 8;
const CRONTAB: u32 = 101;
const SSH: u32 = 102;

/// One thing to do, with modes and groups as they are in the image. Everything belongs to root.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Directory {
        path: &'static str,
        mode: u32,
        gid: u32,
    },
    File {
        path: &'static str,
        mode: u32,
        gid: u32,
        text: &'static str,
    },
    /// A file that a package ships as the default of another.
    Copy {
        from: &'static str,
        to: &'static str,
        mode: u32,
    },
    Link {
        path: &'static str,
        to: &'static str,
    },
    /// The same program under many names, separated by blanks.
    Links {
        paths: &'static str,
        to: &'static str,
    },
    /// Owner and mode that a script would set on a file of a package.
    Change {
        path: &'static str,
        mode: u32,
        gid: u32,
    },
    /// A file capability (capabilities(7)).
    Capability {
        path: &'static str,
        value: &'static [u8],
    },
    /// /etc/passwd, group, shadow and gshadow from base-passwd's masters and these lines.
    Accounts {
        users: &'static [&'static str],
        groups: &'static [&'static str],
    },
    /// These lines more in the four account files of the layers below.
    MoreAccounts {
        users: &'static [&'static str],
        groups: &'static [&'static str],
    },
    /// A template of pam-auth-update, with its `$…` lines replaced; those that are not named are dropped.
    Pam {
        from: &'static str,
        to: &'static str,
        values: &'static [(&'static str, &'static str)],
    },
    /// All certificates of a folder in one file, a list of their names, and a link to each.
    Certificates {
        from: &'static str,
        bundle: &'static str,
        list: &'static str,
        links: &'static str,
    },
    Alternative(Alternative),
}

#[derive(Debug)]
pub struct FixUp {
    pub reason: &'static str,
    pub acts: &'static [Act],
}

/// A name that several programs could answer to (update-alternatives(1)).
#[derive(Debug, Clone, Copy)]
pub struct Alternative {
    pub name: &'static str,
    pub link: &'static str,
    /// Names that follow the choice: name and link.
    pub slaves: &'static [(&'static str, &'static str)],
    /// Best first: path, priority, and the slaves' paths in order.
    pub choices: &'static [Choice],
}

pub type Choice = (&'static str, u32, &'static [&'static str]);

/// cap_net_raw in the permitted set and effective, as in setcap's `cap_net_raw+ep`: revision 2, little-endian words.
const CAP_NET_RAW_EP: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub const fn simple(name: &'static str, link: &'static str, choices: &'static [Choice]) -> Act {
    Act::Alternative(Alternative { name, link, slaves: &[], choices })
}

const fn target(path: &'static str, text: &'static str) -> Act {
    Act::File { path, mode: 0o644, gid: ROOT, text }
}

/// What of a package is not written, with the reason.
struct LeftOut {
    prefix: &'static str,
    /// Files whose name begins so are written all the same.
    except: &'static str,
    #[expect(dead_code, reason = "for people")]
    reason: &'static str,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut { prefix: "usr/share/doc", except: "copyright", reason: "changelogs are for packagers; the licences stay" },
    LeftOut {
        prefix: "usr/share/locale",
        except: "",
        reason: "translations, 60 MB; lessons and their checks read English",
    },
    LeftOut { prefix: "usr/share/info", except: "", reason: "there is no info reader" },
    LeftOut { prefix: "usr/share/lintian", except: "", reason: "notes to Debian's own checker" },
    LeftOut { prefix: "var/run", except: "", reason: "a folder in base-files; a link in a running Debian" },
    LeftOut { prefix: "var/lock", except: "", reason: "the same" },
];

/// Where a name of a package goes: into the merged layout, or nowhere.
pub fn place(name: &Name) -> Place {
    if is_left_out(name) { Place::Nowhere } else { Place::At(layout::place(name)) }
}

fn is_left_out(name: &Name) -> bool {
    LEFT_OUT.iter().filter(|entry| name.starts_with(entry.prefix)).any(|entry| {
        let last = name.as_path().file_name().unwrap_or_default().as_encoded_bytes();
        let kept = !entry.except.is_empty() && last.starts_with(entry.except.as_bytes());
        // The folder itself stays, so that a package installed later finds it.
        let is_top = name.as_path() == std::path::Path::new(entry.prefix) && entry.prefix.starts_with("usr");
        !kept && !is_top
    })
}

/// The state file of update-alternatives for one name, as dpkg writes it.
pub fn alternative_state(alternative: &Alternative) -> String {
    let mut text = format!("auto\n{}\n", alternative.link);
    for (name, link) in alternative.slaves {
        text += &format!("{name}\n{link}\n");
    }
    text += "\n";
    let mut choices = alternative.choices.to_vec();
    choices.sort();
    for (path, priority, slaves) in choices {
        text += &format!("{path}\n{priority}\n");
        for slave in slaves {
            text += &format!("{slave}\n");
        }
    }
    text + "\n"
}

/// The four account files from base-passwd's masters.
#[derive(Debug, PartialEq, Eq)]
pub struct Accounts {
    pub passwd: String,
    pub group: String,
    pub shadow: String,
    pub gshadow: String,
}

/// Nobody has a password: root needs none to become somebody else, and nobody else can become root by one.
pub fn accounts(passwd_master: &str, group_master: &str, users: &[&str], groups: &[&str]) -> Accounts {
    let all = |master: &str, more: &[&str]| -> Vec<String> {
        let lines = master.lines().filter(|line| line.contains(':')).map(|line| line.replacen(":*:", ":x:", 1));
        lines.chain(more.iter().map(|line| line.to_string())).collect()
    };
    let (users, groups) = (all(passwd_master, users), all(group_master, groups));
    let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    let days = TIME / 86_400;
    Accounts {
        passwd: lines(users.iter().cloned()),
        group: lines(groups.iter().cloned()),
        shadow: lines(users.iter().map(|line| format!("{}:*:{days}:0:99999:7:::", name(line)))),
        gshadow: lines(groups.iter().map(|line| format!("{}:*::", name(line)))),
    }
}

/// A template of pam-auth-update with its lines filled in.
pub fn pam(template: &str, values: &[(&str, &str)]) -> String {
    let filled = template.lines().filter_map(|line| match line.starts_with('$') {
        true => values.iter().find(|(name, _)| *name == line).map(|(_, value)| value.to_string()),
        false => Some(line.to_owned()),
    });
    lines(filled)
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_into_the_merged_layout_or_are_left_out() {
        let check = |name: &str| match place(&Name::of(name)) {
            Place::At(name) => name.to_string(),
            Place::Nowhere => "-".into(),
        };
        assert_eq!(check("bin/ls"), "/usr/bin/ls");
        assert_eq!(check("usr/share/doc/bash/copyright"), "/usr/share/doc/bash/copyright");
        assert_eq!(check("usr/share/doc/bash/NEWS.gz"), "-");
        assert_eq!(check("usr/share/locale/de/LC_MESSAGES/bash.mo"), "-");
        assert_eq!(check("usr/share/locale"), "/usr/share/locale");
        assert_eq!(check("var/run"), "-");
        assert_eq!(check("var/lib"), "/var/lib");
    }

    #[test]
    fn accounts_have_no_password_and_no_hash() {
        let accounts =
            accounts("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\n", &["a:x:100:1::/:/bin/sh"], &["g:x:101:"]);
        assert_eq!(accounts.passwd, "root:x:0:0:root:/root:/bin/bash\na:x:100:1::/:/bin/sh\n");
        assert_eq!(accounts.group, "root:x:0:\ng:x:101:\n");
        assert_eq!(accounts.shadow, "root:*:20758:0:99999:7:::\na:*:20758:0:99999:7:::\n");
        assert_eq!(accounts.gshadow, "root:*::\ng:*::\n");
    }

    #[test]
    fn a_pam_template_is_filled_in_and_unused_lines_go() {
        let template = "# head\n$auth_primary\nauth requisite pam_deny.so\n$auth_additional\n";
        assert_eq!(pam(template, &[("$auth_primary", "auth unix")]), "# head\nauth unix\nauth requisite pam_deny.so\n");
    }

    #[test]
    fn the_state_of_an_alternative_is_written_as_dpkg_does() {
        let alternative = Alternative {
            name: "nc",
            link: "/bin/nc",
            slaves: &[("netcat", "/bin/netcat")],
            choices: &[("/bin/nc.openbsd", 50, &["/bin/nc.openbsd"])],
        };
        let expected = "auto\n/bin/nc\nnetcat\n/bin/netcat\n\n/bin/nc.openbsd\n50\n/bin/nc.openbsd\n\n";
        assert_eq!(alternative_state(&alternative), expected);
    }

    #[test]
    fn every_entry_of_the_table_is_a_name_and_every_choice_has_all_slaves() {
        for act in SYSTEM.iter().chain(LEARNER).flat_map(|fix_up| fix_up.acts) {
            match act {
                Act::Directory { path, .. } | Act::File { path, .. } | Act::Link { path, .. } => drop(Name::of(path)),
                Act::Alternative(alternative) => {
                    let complete = alternative.choices.iter().all(|choice| choice.2.len() == alternative.slaves.len());
                    assert!(complete, "{}", alternative.name);
                    assert!(alternative.choices.is_sorted_by_key(|choice| std::cmp::Reverse(choice.1)));
                }
                _ => {}
            }
        }
    }
}
