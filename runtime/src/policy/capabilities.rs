//! What the service's privileged processes keep of root's capabilities (capabilities(7)), and what the root of a
//! container without a user namespace has, each with its reason.
//!
//! The rest leaves the bounding set, so that nothing they start gets it back. A sandbox's own root is not touched:
//! a new user namespace has every capability inside itself (user_namespaces(7)), whatever its maker lacks.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Kept, and why.
pub const KEPT: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::SETUID, "becomes the web process's id and each sandbox's owner"),
    (CapabilitySet::SETGID, "as SETUID, and gives up supplementary groups"),
    (CapabilitySet::SYS_ADMIN, "makes namespaces and mounts, and writes id maps"),
    (CapabilitySet::CHOWN, "hands sockets, groups and disks to those ids"),
    (CapabilitySet::FOWNER, "changes modes of what it has handed over"),
    (CapabilitySet::DAC_OVERRIDE, "reads and removes what those ids have made"),
    (CapabilitySet::DAC_READ_SEARCH, "opens an image's layers, whatever their modes"),
    (CapabilitySet::MKNOD, "unpacks an image's device nodes"),
    (CapabilitySet::NET_ADMIN, "makes a sandbox's cable"),
    (CapabilitySet::KILL, "ends processes of those ids"),
    (CapabilitySet::SYS_PTRACE, "opens /proc/PID/ns and root of those ids"),
    (CapabilitySet::SYS_RESOURCE, "raises limits of a sandbox, and lowers what the kernel kills first"),
    (CapabilitySet::SYS_CHROOT, "enters a mount namespace (setns(2))"),
    (CapabilitySet::SETPCAP, "drops capabilities from the bounding set"),
    (CapabilitySet::SETFCAP, "maps root of a user namespace, and unpacks file capabilities"),
    (CapabilitySet::NET_BIND_SERVICE, "listens on port 443"),
    (CapabilitySet::FSETID, "keeps set-user-id bits of an image's files when it changes their owner"),
];

/// What a container's root has where nothing else is asked for: Docker's list, which package managers and servers
/// have been written against for years.
pub const CONTAINER: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::CHOWN, "package managers unpack files of other owners"),
    (CapabilitySet::DAC_OVERRIDE, "root writes where it likes, in its own files"),
    (CapabilitySet::FOWNER, "tar and dpkg set modes and times of files of other owners"),
    (CapabilitySet::FSETID, "dpkg writes set-user-id programs"),
    (CapabilitySet::KILL, "a shell ends servers that it started as another user"),
    (CapabilitySet::SETGID, "su, gosu, and servers that give up root"),
    (CapabilitySet::SETUID, "su, gosu, and servers that give up root"),
    (CapabilitySet::SETPCAP, "servers that give up capabilities"),
    (CapabilitySet::SETFCAP, "dpkg sets file capabilities, of ping for one"),
    (CapabilitySet::NET_BIND_SERVICE, "servers below port 1024"),
    (CapabilitySet::NET_RAW, "ping"),
    (CapabilitySet::SYS_CHROOT, "servers and package builds that chroot"),
    (CapabilitySet::MKNOD, "makes nodes; no mount of a container's lets one be opened"),
    (CapabilitySet::AUDIT_WRITE, "sshd and su write to the audit log, and stop where they cannot"),
];

/// All of a table.
pub fn set_of(table: &[(CapabilitySet, &str)]) -> CapabilitySet {
    table.iter().fold(CapabilitySet::empty(), |set, (one, _)| set | *one)
}

/// Takes everything else out of the bounding set, so that no program that is started gets it back.
pub fn bound(kept: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        // A kernel that does not know it has none to drop (EINVAL).
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up everything else, for this process and all that it starts.
pub fn keep_only_needed() -> io::Result<()> {
    let kept = set_of(KEPT);
    bound(kept)?;
    keep(kept)
}

/// Gives up everything else of what this process itself has, and hands nothing on by inheritance.
pub fn keep(kept: CapabilitySet) -> io::Result<()> {
    let has = capabilities(None)?;
    let sets = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_units_list_is_this_one() {
        let unit = include_str!("../../../docs/systemd/quayside.service");
        let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("the setting");
        let of_unit: BTreeSet<String> = line.split(' ').map(str::to_owned).collect();
        let of_kept = KEPT.iter().flat_map(|(one, _)| one.iter_names().map(|(name, _)| format!("CAP_{name}")));
        assert_eq!(of_unit, of_kept.collect());
    }

    #[test]
    fn every_entry_has_a_reason_and_stands_once() {
        for table in [KEPT, CONTAINER] {
            let bits: BTreeSet<u64> = table.iter().map(|(one, _)| one.bits()).collect();
            assert_eq!(bits.len(), table.len());
            assert!(table.iter().all(|(one, reason)| one.bits().count_ones() == 1 && !reason.is_empty()));
        }
    }
}
