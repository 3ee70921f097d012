//! System calls that nothing in a sandbox may make.
//!
//! mount, clone and unshare are allowed: they are the subject. What is refused reaches parts of the
//! kernel that no namespace divides, or that have been the way out of containers before.
//! Two answers: EPERM, as an unprivileged process would get it; ENOSYS, as from a kernel without the
//! call, where programs have another way then. What is newer than this table knows is ENOSYS too.
//! Sockets are the other way round: a list of what may be, because every other family is a protocol of its own inside
//! the kernel, loaded as a module for whoever asks (socket(2) needs no right for that).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// A refused call, and why.
pub struct Refused {
    pub name: &'static str,
    pub number: i64,
    pub reason: &'static str,
}

const fn refuse(name: &'static str, number: i64, reason: &'static str) -> Refused {
    Refused { name, number, reason }
}

/// Answered with EPERM.
pub const NOT_PERMITTED: &[Refused] = &[
    refuse("init_module", libc::SYS_init_module, "loads code into the one kernel that all share"),
    refuse("finit_module", libc::SYS_finit_module, "loads code into the one kernel that all share"),
    refuse("delete_module", libc::SYS_delete_module, "takes code out of the one kernel that all share"),
    refuse("kexec_load", libc::SYS_kexec_load, "replaces the kernel"),
    refuse("kexec_file_load", libc::SYS_kexec_file_load, "replaces the kernel"),
    refuse("reboot", libc::SYS_reboot, "of the machine; a pid namespace's own is not needed here"),
    refuse("bpf", libc::SYS_bpf, "programs inside the kernel; its verifier has let many out"),
    refuse("perf_event_open", libc::SYS_perf_event_open, "counts what other sandboxes do; a long list of holes"),
    refuse("open_by_handle_at", libc::SYS_open_by_handle_at, "opens files by inode number past every root directory"),
    refuse("add_key", libc::SYS_add_key, "keyrings are not divided well by user namespaces"),
    refuse("request_key", libc::SYS_request_key, "starts a helper program of the host"),
    refuse("keyctl", libc::SYS_keyctl, "keyrings are not divided well by user namespaces"),
    refuse("acct", libc::SYS_acct, "process accounting of the whole machine"),
    refuse("swapon", libc::SYS_swapon, "the machine's memory"),
    refuse("swapoff", libc::SYS_swapoff, "the machine's memory"),
    refuse("quotactl", libc::SYS_quotactl, "quotas of file systems that are not the sandbox's"),
    refuse("quotactl_fd", libc::SYS_quotactl_fd, "quotas of file systems that are not the sandbox's"),
    refuse("syslog", libc::SYS_syslog, "the kernel's log tells of every sandbox"),
    refuse("iopl", libc::SYS_iopl, "the machine's ports"),
    refuse("ioperm", libc::SYS_ioperm, "the machine's ports"),
    refuse("lookup_dcookie", libc::SYS_lookup_dcookie, "paths by number, for a profiler of the whole machine"),
    refuse("nfsservctl", libc::SYS_nfsservctl, "a server inside the kernel; gone for long"),
    refuse("vhangup", libc::SYS_vhangup, "hangs up a terminal under whoever uses it"),
    refuse("fanotify_init", libc::SYS_fanotify_init, "watches whole mounts and can hold up their users"),
    refuse("move_pages", libc::SYS_move_pages, "places memory on the machine's nodes"),
    refuse("migrate_pages", libc::SYS_migrate_pages, "places memory on the machine's nodes"),
    refuse("settimeofday", libc::SYS_settimeofday, "the clock of everybody; time namespaces do not divide it"),
    refuse("clock_settime", libc::SYS_clock_settime, "the clock of everybody; time namespaces do not divide it"),
    refuse("clock_adjtime", libc::SYS_clock_adjtime, "the clock of everybody"),
    refuse("adjtimex", libc::SYS_adjtimex, "the clock of everybody"),
];

/// Answered with ENOSYS: programs that know these calls also know how to do without.
pub const NOT_HERE: &[Refused] = &[
    refuse("io_uring_setup", libc::SYS_io_uring_setup, "a second way into most of the kernel, past this table"),
    refuse("io_uring_enter", libc::SYS_io_uring_enter, "as io_uring_setup"),
    refuse("io_uring_register", libc::SYS_io_uring_register, "as io_uring_setup"),
    refuse("userfaultfd", libc::SYS_userfaultfd, "stops the kernel in the middle of a copy: makes races certain"),
    refuse("kcmp", libc::SYS_kcmp, "tells where kernel objects lie"),
    refuse("memfd_secret", libc::SYS_memfd_secret, "memory that cannot be swapped or accounted well"),
    refuse("process_madvise", libc::SYS_process_madvise, "of other processes' memory"),
];

/// A family of addresses (address_families(7)), or a protocol of one, in which socket(2) and socketpair(2) work, and why.
pub struct Family {
    pub name: &'static str,
    pub number: i32,
    pub reason: &'static str,
}

const fn allow(name: &'static str, number: i32, reason: &'static str) -> Family {
    Family { name, number, reason }
}

/// Every other is EAFNOSUPPORT, as from a kernel without it: programs that know others ask first. Left out are above all
/// what no namespace divides (VSOCK speaks to the hypervisor, ALG works in the kernel's own cryptography), what needs a
/// call that is refused (XDP needs bpf), and what ip(8) does by NETLINK (KEY). The rest (CAN, TIPC, RDS, SMC, KCM,
/// BLUETOOTH, …) are protocols that no lesson has, and many of them have been a way into the kernel.
pub const FAMILIES: &[Family] = &[
    allow("UNIX", libc::AF_UNIX, "every service's socket; the abstract names belong to the network namespace"),
    allow("INET", libc::AF_INET, "the network that lessons teach"),
    allow("INET6", libc::AF_INET6, "as INET"),
    allow("NETLINK", libc::AF_NETLINK, "ip, ss, nft and the libc's list of interfaces ask the kernel by it"),
    allow("PACKET", libc::AF_PACKET, "tcpdump, arping and DHCP clients, on the namespace's own interfaces"),
];

/// Protocols that sockets of INET and INET6 may be of; each other is a module (SCTP, DCCP, L2TP, SMC by its number),
/// which the kernel loads for whoever asks. SOCK_RAW is free: there the number is only one in a header.
pub const TRANSPORTS: &[Family] = &[
    allow("IP", libc::IPPROTO_IP, "whichever suits the kind of socket"),
    allow("ICMP", libc::IPPROTO_ICMP, "ping without a right"),
    allow("TCP", libc::IPPROTO_TCP, "the network that lessons teach"),
    allow("UDP", libc::IPPROTO_UDP, "the network that lessons teach"),
    allow("ICMPV6", libc::IPPROTO_ICMPV6, "as ICMP"),
    allow("UDPLITE", libc::IPPROTO_UDPLITE, "a part of UDP's own code"),
    allow("MPTCP", libc::IPPROTO_MPTCP, "Go's listeners ask for it first; a part of TCP's own code"),
];

/// Kinds of socket that are SCTP's and DCCP's, whatever number is asked for: SOCK_RDM, SOCK_SEQPACKET and SOCK_DCCP
/// (linux/net.h).
const OTHER_KINDS: [i32; 3] = [4, 5, 6];

/// Subsystems of the kernel that sockets of NETLINK may speak to: those of the namespace's own network, and what programs
/// ask first. Left out are those of hardware and cryptography (SCSITRANSPORT, ISCSI, RDMA, CRYPTO, …).
pub const SUBSYSTEMS: &[Family] = &[
    allow("ROUTE", libc::NETLINK_ROUTE, "ip"),
    allow("SOCK_DIAG", libc::NETLINK_SOCK_DIAG, "ss"),
    allow("XFRM", libc::NETLINK_XFRM, "ip xfrm"),
    allow("AUDIT", libc::NETLINK_AUDIT, "su and sshd ask; the kernel refuses in its own words"),
    allow("NETFILTER", libc::NETLINK_NETFILTER, "nft and iptables"),
    allow("KOBJECT_UEVENT", libc::NETLINK_KOBJECT_UEVENT, "udev's library"),
    allow("GENERIC", libc::NETLINK_GENERIC, "ethtool, and ip for some kinds of links"),
];

/// What a container without a user namespace may not call either, unless it was given SYS_ADMIN. For a sandbox these
/// are the subject; here a namespace of its own would give the process back, over that namespace, every capability
/// that was taken from it, and with them the parts of the kernel that have been the way out most often.
pub const NOT_IN_A_CONTAINER: &[Refused] = &[
    refuse("unshare", libc::SYS_unshare, "makes namespaces, a user namespace first"),
    refuse("setns", libc::SYS_setns, "joins namespaces"),
];

/// The same, and ENOSYS: a filter cannot look at flags behind a pointer, and libc then calls clone.
pub const NOT_IN_A_CONTAINER_EITHER: &[Refused] =
    &[refuse("clone3", libc::SYS_clone3, "as clone with flags that make namespaces")];

/// Flags of clone(2) that make a namespace, refused in a container as unshare is.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The newest call that this table was written for (open_tree_attr, Linux 6.15); later ones are
/// ENOSYS, so that a new call is allowed by a decision and not by an upgrade of the host.
/// Calls of the x32 ABI have bit 30 set and fall here too.
const NEWEST_KNOWN: u32 = 467;

const EPERM: u32 = libc::EPERM as u32;
const ENOSYS: u32 = libc::ENOSYS as u32;
const EAFNOSUPPORT: u32 = libc::EAFNOSUPPORT as u32;
const EPROTONOSUPPORT: u32 = libc::EPROTONOSUPPORT as u32;

/// The filters to load, in order: the kernel takes the strictest answer of all.
pub fn programs() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    Ok(vec![
        filter(NOT_PERMITTED, EPERM)?,
        filter(NOT_HERE, ENOSYS)?,
        other_families()?,
        other_protocols()?,
        newer_than_known(),
    ])
}

/// The same for a container without a user namespace.
pub fn container_programs(may_administer: bool) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut all = programs()?;
    if !may_administer {
        all.extend([
            filter(NOT_IN_A_CONTAINER, EPERM)?,
            filter(NOT_IN_A_CONTAINER_EITHER, ENOSYS)?,
            clone_with_namespaces()?,
        ]);
    }
    Ok(all)
}

/// Sockets of any family that is not in [`FAMILIES`].
fn other_families() -> Result<BpfProgram, seccompiler::BackendError> {
    let is_not = |family: &Family| first_argument(SeccompCmpOp::Ne, family.number);
    let none_of_them = || SeccompRule::new(FAMILIES.iter().map(is_not).collect::<Result<_, _>>()?);
    let rules =
        BTreeMap::from([(libc::SYS_socket, vec![none_of_them()?]), (libc::SYS_socketpair, vec![none_of_them()?])]);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EAFNOSUPPORT), arch())?.try_into()
}

/// Sockets of an allowed family with a protocol that is in none of its lists.
fn other_protocols() -> Result<BpfProgram, seccompiler::BackendError> {
    /// Without SOCK_NONBLOCK and SOCK_CLOEXEC (socket(2)).
    const KIND: u64 = 0xf;
    let is = |argument, value: i32| condition(argument, SeccompCmpOp::Eq, value);
    let is_kind = |kind: i32| condition(1, SeccompCmpOp::MaskedEq(KIND), kind);
    let none_of = |list: &[Family]| -> Result<Vec<_>, seccompiler::BackendError> {
        list.iter().map(|one| condition(2, SeccompCmpOp::Ne, one.number)).collect()
    };
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            let mut all = vec![is(0, family)?, is_kind(kind)?];
            all.extend(none_of(TRANSPORTS)?);
            rules.push(SeccompRule::new(all)?);
        }
        for kind in OTHER_KINDS {
            rules.push(SeccompRule::new(vec![is(0, family)?, is_kind(kind)?])?);
        }
    }
    let mut all = vec![is(0, libc::AF_NETLINK)?];
    all.extend(none_of(SUBSYSTEMS)?);
    rules.push(SeccompRule::new(all)?);
    let rules = BTreeMap::from([(libc::SYS_socket, rules)]);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPROTONOSUPPORT), arch())?.try_into()
}

/// clone with a flag that makes a namespace.
fn clone_with_namespaces() -> Result<BpfProgram, seccompiler::BackendError> {
    let has = |flag: i32| SeccompRule::new(vec![first_argument(SeccompCmpOp::MaskedEq(flag as u32 as u64), flag)?]);
    let rules = NAMESPACE_FLAGS.into_iter().map(has).collect::<Result<Vec<_>, _>>()?;
    let rules = BTreeMap::from([(libc::SYS_clone, rules)]);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM), arch())?.try_into()
}

/// An `int`, of which the kernel takes the lower half of the register.
fn first_argument(operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(0, operator, value)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value as u32))
}

fn filter(refused: &[Refused], errno: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    let rules: BTreeMap<i64, Vec<_>> = refused.iter().map(|call| (call.number, Vec::new())).collect();
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch())?.try_into()
}

fn arch() -> TargetArch {
    std::env::consts::ARCH.try_into().expect("seccompiler knows every architecture that this is built for")
}

/// `if nr > NEWEST_KNOWN return ENOSYS` in classic BPF (seccomp(2)); seccompiler has no such rule.
fn newer_than_known() -> BpfProgram {
    use seccompiler::sock_filter;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    const RET_ALLOW: u32 = 0x7fff_0000;
    const RET_ERRNO: u32 = 0x0005_0000;
    const NR_OFFSET: u32 = 0; // of struct seccomp_data
    vec![
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: NR_OFFSET },
        sock_filter { code: JUMP_IF_GREATER, jt: 0, jf: 1, k: NEWEST_KNOWN },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: RET_ERRNO | ENOSYS },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: RET_ALLOW },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_the_lessons_is_allowed() {
        let subject = [
            libc::SYS_mount,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_pivot_root,
            libc::SYS_ptrace,
        ];
        for call in NOT_PERMITTED.iter().chain(NOT_HERE) {
            assert!(!subject.contains(&call.number), "{} is the subject", call.name);
        }
    }

    #[test]
    fn every_entry_has_a_reason_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        let for_all = NOT_PERMITTED.iter().chain(NOT_HERE);
        for call in for_all.chain(NOT_IN_A_CONTAINER).chain(NOT_IN_A_CONTAINER_EITHER) {
            assert!(!call.reason.is_empty());
            assert!(seen.insert(call.number), "{} stands twice", call.name);
        }
        for list in [FAMILIES, TRANSPORTS, SUBSYSTEMS] {
            let mut numbers = std::collections::BTreeSet::new();
            assert!(list.iter().all(|one| !one.reason.is_empty() && numbers.insert(one.number)));
        }
        let count = |programs: Result<Vec<BpfProgram>, _>| programs.expect("the tables compile").len();
        assert_eq!(count(container_programs(true)), count(programs()));
        assert_eq!(count(container_programs(false)), count(programs()) + 3);
    }
}
