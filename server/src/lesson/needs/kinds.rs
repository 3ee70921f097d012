//! What a machine can lack, as data: who asks for it, and how a learner is told.

use super::Call;

/// One kind of thing that a machine can lack.
pub struct Kind {
    /// The word that an environment's file has for it.
    pub what: &'static str,
    /// For the learner. `{}` stands for what was asked for, by name.
    pub says: &'static str,
    /// What a call asks for in vain; nothing, if it can have what it asks for.
    pub asks: fn(&Call) -> Vec<String>,
    /// Whether a check that makes this call cannot pass where the kind is lacking.
    pub decides: fn(&Call) -> bool,
}

/// Disks and loop devices: a check may look for a mount of them.
pub const BLOCKS: &str = "blocks";

/// Asked for by whole lines, not by calls.
pub const PROCESSES: &str = "processes";

/// In the order in which they are said.
pub const KINDS: &[Kind] = &[
    Kind {
        what: "kubernetes",
        says: "There is no Kubernetes in this machine: kubectl and its kin will not find a cluster.",
        asks: |call| call.if_one_of(KUBERNETES),
        decides: |call| call.is_one_of(KUBERNETES),
    },
    Kind {
        what: "docker",
        says: "There is no Docker or Podman in this machine yet: those commands will not be found.",
        asks: |call| call.if_one_of(DOCKER),
        decides: |call| call.is_one_of(DOCKER),
    },
    Kind {
        what: "systemd",
        says: "There is no systemd in this machine, so {} will not be found or not be known. systemctl starts, stops and enables services without it, and journalctl shows their output.",
        asks: asks_systemd,
        decides: |call| call.is_one_of(SYSTEMD),
    },
    Kind {
        what: "lvm",
        says: "There are no volume groups in this machine: LVM needs disks of its own and a part of the kernel that all \
               machines share, so {} will not work.",
        asks: |call| call.if_one_of(LVM),
        decides: |call| call.is_one_of(LVM),
    },
    Kind {
        what: "swap",
        says: "There is no swap in this machine: memory is shared by all machines, so swapon is refused. A swap file can be \
               made, and not switched on.",
        asks: asks_swap,
        decides: |call| call.is_one_of("swapon"),
    },
    Kind {
        what: BLOCKS,
        says: "There are no disks or loop devices in this machine, so {} will not work on them. File systems can be made in files and looked into, but not mounted; tmpfs, bind and overlay mounts work.",
        asks: asks_blocks,
        decides: |call| call.is_one_of("losetup mdadm cryptsetup lsblk"),
    },
    Kind {
        what: "quota",
        says: "There are no disk quotas in this machine: {} will be refused.",
        asks: |call| call.if_one_of(QUOTA),
        decides: |call| call.is_one_of(QUOTA),
    },
    Kind {
        what: "modules",
        says: "This machine cannot load kernel modules: all machines share one kernel, and {} is not for them to use.",
        asks: |call| call.if_one_of(MODULES),
        decides: |call| call.is_one_of("lsmod modinfo"),
    },
    Kind {
        what: "boot",
        says: "This machine does not boot by itself: it has no boot loader and no kernel of its own, so {} will not work.",
        asks: |call| call.if_one_of(BOOT),
        decides: |call| call.is_one_of(BOOT),
    },
    Kind {
        what: "reboot",
        says: "This machine cannot be rebooted: {} will not work. Restart gives a new one.",
        asks: |call| call.if_one_of("reboot shutdown poweroff halt telinit"),
        decides: |_| false,
    },
    Kind {
        what: "lsm",
        says: "There is no SELinux or AppArmor in this machine: {} will not be found or will be refused.",
        asks: |call| call.if_one_of(LSM),
        decides: |call| call.is_one_of(LSM),
    },
    Kind {
        what: "clock",
        says: "The clock of this machine is its host’s: {} cannot set it.",
        asks: asks_clock,
        decides: |_| false,
    },
    Kind {
        what: "sysctl",
        says: "Settings of the kernel as a whole cannot be changed in this machine: {} will be refused. Those of the network \
               (net.…) can.",
        asks: asks_sysctl,
        decides: |_| false,
    },
    Kind {
        what: PROCESSES,
        says: "Few processes run in this machine, and those of its host are not seen: ps will list fewer lines than the {} that are asked for.",
        asks: |_| Vec::new(),
        decides: |_| false,
    },
    Kind {
        what: "hosts",
        says: "There is one machine here, and so none called {} to log in to.",
        asks: asks_hosts,
        decides: |call| !asks_hosts(call).is_empty(),
    },
    Kind {
        what: "vm",
        says: "There are no virtual machines in this machine: {} will not be found.",
        asks: |call| call.if_one_of("virsh virt-install qemu-system-x86_64 vagrant multipass lxc lxd"),
        decides: |_| false,
    },
    Kind {
        what: "programs",
        says: "Not in this machine, and so not found: {}.",
        asks: |call| call.if_one_of(PROGRAMS),
        decides: |call| call.is_one_of(PROGRAMS),
    },
    Kind {
        what: "internet",
        says: "There is no internet in this machine. What cannot be fetched, and fails at once: {}.",
        asks: super::internet::asks,
        decides: |_| false,
    },
];

const KUBERNETES: &str = "kubectl kubeadm kubelet helm k3s k3d k9s minikube kind oc crictl kustomize istioctl";

const DOCKER: &str = "docker docker-compose dockerd podman buildah skopeo nerdctl ctr";

/// Programs of systemd's that our stand-in does not have.
const SYSTEMD: &str = "\
    hostnamectl timedatectl loginctl localectl networkctl resolvectl machinectl busctl systemd-analyze \
    systemd-run systemd-cgls systemd-cgtop systemd-nspawn coredumpctl";

/// What systemctl alone knows to do with systemd.
const SYSTEMD_VERBS: &str = "list-timers list-sockets isolate edit set-property rescue emergency";

const LVM: &str = "\
    pvcreate pvs pvdisplay pvresize pvmove pvremove vgcreate vgs vgdisplay vgextend vgreduce vgchange vgremove \
    lvcreate lvs lvdisplay lvextend lvresize lvreduce lvconvert lvchange lvremove lvm dmsetup";

const QUOTA: &str = "quotaon quotaoff edquota setquota quotacheck repquota quota xfs_quota";

const MODULES: &str = "modprobe insmod rmmod depmod";

const BOOT: &str = "\
    grub-install grub-mkconfig update-grub grub2-mkconfig grub2-install grubby grub-set-default update-initramfs \
    mkinitramfs lsinitramfs dracut mkinitcpio kexec efibootmgr bootctl";

const LSM: &str = "\
    getenforce setenforce sestatus semanage setsebool getsebool restorecon chcon semodule audit2allow ausearch \
    aa-status aa-enforce aa-complain aa-genprof apparmor_parser apparmor_status";

/// Programs that lessons call and take for granted on other machines, and that the image does not have.
const PROGRAMS: &str = "\
    az aws gcloud gsutil trivy terraform tofu terragrunt pulumi packer vault consul nomad ansible \
    ansible-playbook ansible-galaxy ansible-vault gh doctl flux argocd sbatch srun squeue sinfo scontrol sacct \
    munge gcc g++ make cmake go cargo rustc node npm npx yarn java javac mvn gradle dotnet ruby gem php composer \
    Rscript pip pip3 mysql mysqld psql pg_ctl redis-cli redis-server mongo mongosh sqlite3 nginx apache2 \
    apachectl httpd haproxy dig nslookup host nmap tshark ufw firewall-cmd nmcli netplan snap yum dnf rpm zypper \
    apk fio stress stress-ng iostat sar mpstat sshd chronyc rsyslogd screen zsh fish emacs code";

fn asks_systemd(call: &Call) -> Vec<String> {
    match call.program {
        "systemctl" => {
            call.arguments.iter().filter(|word| SYSTEMD_VERBS.split(' ').any(|verb| verb == *word)).cloned().collect()
        }
        _ => call.if_one_of(SYSTEMD),
    }
}

/// To list is no harm.
fn asks_swap(call: &Call) -> Vec<String> {
    let changes = call.is_one_of("swapon swapoff") && (!call.only_flags() || call.has("-a"));
    if changes { call.own_name() } else { Vec::new() }
}

/// Devices that a machine of its own has, and this one has not.
fn asks_blocks(call: &Call) -> Vec<String> {
    let on_disk = call.arguments.iter().any(|word| is_disk(word));
    let asks = match call.program {
        // Alone or with `-a` it only lists.
        "losetup" => !call.only_flags() || call.has("-f"),
        "mdadm" | "cryptsetup" | "partprobe" | "kpartx" => true,
        "mount" => is_on_a_disk(call),
        "echo" | "printf" => {
            let mounts = call.arguments.iter().any(|word| line_of_fstab(word).is_some());
            return if mounts { vec!["mount".into()] } else { Vec::new() };
        }
        "dd" | "fdisk" | "sfdisk" | "cfdisk" | "gdisk" | "sgdisk" | "parted" | "wipefs" | "mkfs" | "mkswap"
        | "fsck" | "e2fsck" | "resize2fs" | "tune2fs" | "xfs_growfs" | "smartctl" | "hdparm" | "blockdev" => on_disk,
        program => program.starts_with("mkfs.") && on_disk,
    };
    if asks { call.own_name() } else { Vec::new() }
}

/// Whether a call names a device that a machine of its own has, or asks for a loop device.
pub fn is_on_a_disk(call: &Call) -> bool {
    let asks_loop = |word: &String| word.split(',').any(|option| option == "loop" || option == "-oloop");
    call.arguments.iter().any(|word| is_disk(word) || asks_loop(word))
}

fn is_disk(word: &str) -> bool {
    let name = word.rsplit('=').next().unwrap_or_default().strip_prefix("/dev/");
    name.is_some_and(|name| {
        ["sd", "vd", "xvd", "nvme", "hd", "loop", "md", "mapper/"].iter().any(|disk| name.starts_with(disk))
    })
}

/// The directory of a line `SOURCE DIRECTORY TYPE OPTIONS …` with a type that needs a disk.
pub fn line_of_fstab(text: &str) -> Option<&str> {
    let mut fields = text.split_whitespace().skip(1);
    let (directory, kind, _options) = (fields.next()?, fields.next()?, fields.next()?);
    let needs_disk = matches!(kind, "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "vfat" | "ntfs");
    (directory.starts_with('/') && needs_disk).then_some(directory)
}

/// Names that Killercoda and Katacoda gave the machines of a scenario, in `ssh root@node01` or `scp a host02:`.
fn asks_hosts(call: &Call) -> Vec<String> {
    const HOSTS: [&str; 7] = ["controlplane", "node01", "node02", "host01", "host02", "host1", "host2"];
    if !call.is_one_of("ssh scp sftp ssh-copy-id") {
        return Vec::new();
    }
    let host = |word: &String| {
        let word = word.rsplit('@').next()?.split(':').next()?.to_owned();
        HOSTS.contains(&word.as_str()).then_some(word)
    };
    call.arguments.iter().find_map(host).into_iter().collect()
}

fn asks_clock(call: &Call) -> Vec<String> {
    let sets = match call.program {
        "hwclock" | "ntpdate" | "chronyd" | "ntpd" => true,
        "date" => call.has("-s") || call.arguments.iter().any(|word| word.starts_with("--set")),
        _ => false,
    };
    if sets { call.own_name() } else { Vec::new() }
}

/// `sysctl -w vm.swappiness=10`; some of `kernel.` belong to the sandbox's own namespaces.
fn asks_sysctl(call: &Call) -> Vec<String> {
    const OWN: [&str; 7] =
        ["net.", "kernel.hostname", "kernel.domainname", "kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue"];
    let sets = |word: &&String| word.contains('=') && !word.starts_with('-');
    let is_foreign = |name: &&str| name.contains('.') && !OWN.iter().any(|own| name.starts_with(own));
    let names = call.arguments.iter().filter(sets).filter_map(|word| word.split('=').next());
    match call.program {
        "sysctl" => names.filter(is_foreign).map(String::from).collect(),
        _ => Vec::new(),
    }
}
