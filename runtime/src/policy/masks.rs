//! What of /proc and /sys a container without a user namespace does not see, or cannot write: Docker's list.
//!
//! A sandbox needs none of this: there the same files belong to an id that its root is not.

/// Covered by nothing, each with its reason.
pub const HIDDEN: &[(&str, &str)] = &[
    ("/proc/acpi", "switches hardware"),
    ("/proc/asound", "the machine's sound hardware"),
    ("/proc/interrupts", "timing of everybody's input"),
    ("/proc/kcore", "the machine's memory"),
    ("/proc/keys", "names of keys of others"),
    ("/proc/latency_stats", "what others wait for"),
    ("/proc/sched_debug", "names of others' processes"),
    ("/proc/scsi", "adds and removes disks"),
    ("/proc/timer_list", "where kernel objects lie"),
    ("/proc/timer_stats", "names of others' processes"),
    ("/sys/devices/virtual/powercap", "measures what others compute"),
    ("/sys/firmware", "the machine's firmware tables"),
];

/// Read-only, each with its reason.
pub const READ_ONLY: &[(&str, &str)] = &[
    ("/proc/bus", "writes to hardware"),
    ("/proc/fs", "settings of file systems that are not the container's"),
    ("/proc/irq", "moves interrupts between processors"),
    ("/proc/sys", "settings of the whole machine; core_pattern starts programs as the host's root"),
    ("/proc/sysrq-trigger", "restarts the machine"),
];
