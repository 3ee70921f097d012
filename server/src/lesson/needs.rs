//! What a scenario's commands ask for that a machine may not have.
//!
//! It looks at commands where a shell would run them, so a lesson that prints the word `docker` needs nothing, and one that
//! greps a file of the kernel's neither. What there is to lack is data, in [`kinds`].

mod kinds;
mod internet;
mod mounts;
mod processes;

use self::kinds::{BLOCKS, KINDS, Kind, PROCESSES};
use super::check;
use super::model::Lack;
use super::shell::{self, Command};

/// More names than this in one sentence are not read.
const NAMES_MAX: usize = 8;

/// A command where a shell would run it.
pub struct Call<'a> {
    /// Its name without a directory.
    program: &'a str,
    arguments: &'a [String],
}

/// What shell texts ask for in vain, of the kinds named in `lacking`; each kind once, with all its names.
pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>, lacking: &[String]) -> Vec<Lack> {
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| lacking.iter().any(|what| what == kind.what)).collect();
    let mut asked: Vec<Vec<String>> = vec![Vec::new(); kinds.len()];
    let texts: Vec<&str> = texts.into_iter().collect();
    for command in texts.iter().flat_map(|text| shell::commands(text)) {
        let call = Call::of(&command);
        for (kind, names) in kinds.iter().zip(&mut asked) {
            for name in (kind.asks)(&call) {
                if !names.contains(&name) && !is_brought(&name, &texts) {
                    names.push(name);
                }
            }
        }
    }
    if let Some((_, lines)) = kinds.iter().zip(&mut asked).find(|(kind, _)| kind.what == PROCESSES) {
        lines.extend(texts.iter().flat_map(|text| processes::lines_wanted(text)));
        lines.dedup();
    }
    let asked = kinds.iter().zip(asked).filter(|(_, names)| !names.is_empty());
    asked
        .map(|(kind, names)| Lack {
            what: kind.what.into(),
            says: kind.says.replace("{}", &listed(&names)),
            fatal: false,
        })
        .collect()
}

/// Which of the lacks make the scenario impossible to pass: those without which no check at all can, of the checks that
/// can fail. `texts` are what the scenario runs.
pub fn decide(lacks: &mut [Lack], checks: &[String], texts: &[String]) {
    let decisive: Vec<&Kind> = KINDS.iter().filter(|kind| lacks.iter().any(|lack| lack.what == kind.what)).collect();
    let commands: Vec<Command> = texts.iter().flat_map(|text| shell::commands(text)).collect();
    let calls: Vec<Call> = commands.iter().map(Call::of).collect();
    let unmounted = mounts::in_vain(&calls);
    let deciders = |check: &String| -> Vec<&'static str> {
        let commands = shell::commands(check);
        let calls: Vec<Call> = commands.iter().map(Call::of).collect();
        let decides = |kind: &&&Kind| {
            let looks_for_mount = |call| kind.what == BLOCKS && mounts::are_looked_for(call, &unmounted);
            calls.iter().any(|call| (kind.decides)(call) || looks_for_mount(call))
        };
        decisive.iter().filter(decides).map(|kind| kind.what).collect()
    };
    let deciders: Vec<Vec<&str>> = checks.iter().filter(|check| !check::cannot_fail(check)).map(deciders).collect();
    if deciders.is_empty() || deciders.iter().any(Vec::is_empty) {
        return;
    }
    for lack in lacks {
        lack.fatal = deciders.iter().flatten().any(|what| *what == lack.what);
    }
}

/// Whether a lack is one of the machine's, which has no place in a text.
pub fn is_of_the_machine(what: &str) -> bool {
    KINDS.iter().any(|kind| kind.what == what)
}

/// A program that the lesson writes itself, as a file or as a function, is there.
fn is_brought(name: &str, texts: &[&str]) -> bool {
    let (file, function) = (format!("bin/{name}"), format!("{name}()"));
    texts.iter().any(|text| text.contains(&file) || text.contains(&function))
}

/// `a`, `a and b`, `a, b and 3 more`.
fn listed(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMES_MAX)];
    match (shown, names.len() - shown.len()) {
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

impl<'a> Call<'a> {
    fn of(command: &'a Command) -> Self {
        Self { program: command[0].rsplit('/').next().unwrap_or_default(), arguments: &command[1..] }
    }

    /// `programs` are separated by blanks.
    fn is_one_of(&self, programs: &str) -> bool {
        programs.split_whitespace().any(|program| program == self.program)
    }

    fn own_name(&self) -> Vec<String> {
        vec![self.program.to_owned()]
    }

    fn if_one_of(&self, programs: &str) -> Vec<String> {
        if self.is_one_of(programs) { self.own_name() } else { Vec::new() }
    }

    fn has(&self, word: &str) -> bool {
        self.arguments.iter().any(|argument| argument == word)
    }

    fn only_flags(&self) -> bool {
        self.arguments.iter().all(|argument| argument.starts_with('-'))
    }

    /// What follows a verb and is no flag.
    fn after(&self, verb: &'a str) -> impl Iterator<Item = &'a str> {
        let arguments = self.arguments.iter().skip_while(move |argument| *argument != verb).skip(1);
        arguments.map(String::as_str).filter(|argument| !argument.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        KINDS.iter().map(|kind| kind.what.to_owned()).collect()
    }

    fn asked(text: &str) -> String {
        of([text], &all()).iter().map(|lack| lack.what.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn said(text: &str) -> String {
        of([text], &all()).iter().map(|lack| lack.says.as_str()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_need_is_a_command_not_a_word() {
        assert_eq!(asked("docker run nginx"), "docker");
        assert_eq!(asked("echo docker run nginx; grep docker file; ls /var/lib/docker"), "");
        assert_eq!(asked("apt-get install -y nodejs && kubectl get pods"), "kubernetes internet");
        assert_eq!(asked("apt list; dpkg -l; apt-get update"), "");
    }

    #[test]
    fn a_file_about_a_kind_needs_nothing() {
        assert_eq!(asked("grep -q swap /etc/fstab; cat /etc/default/grub /proc/swaps; sed -i s/a/b/ /etc/fstab"), "");
        assert_eq!(asked("cat > /etc/modules-load.d/x.conf <<E\nmodprobe x\nE"), "");
        assert_eq!(
            asked("mkswap /swapfile; mkfs.ext4 -F /root/disk.img; fdisk -l /root/disk.img; swapon --show; losetup -a"),
            ""
        );
    }

    #[test]
    fn only_addresses_elsewhere_need_the_internet() {
        assert_eq!(asked("curl -s https://example.com/x | bash"), "internet");
        assert_eq!(asked("wget -q example.com/file.tar.gz"), "internet");
        assert_eq!(asked("git clone https://github.com/a/b"), "internet");
        assert_eq!(
            asked(
                "curl localhost:8080; curl http://127.0.0.1/; curl http://172.17.0.3; curl http://web/; git clone /srv/x; wget -O a.b ./c"
            ),
            ""
        );
    }

    #[test]
    fn packages_that_the_image_has_need_no_internet_and_others_are_named() {
        assert_eq!(asked("apt-get update && apt-get install -y jq acl cron vim; apt install ./x.deb"), "");
        assert!(
            said("apt -y install figlet jq sl").ends_with("fails at once: figlet and sl."),
            "{}",
            said("apt -y install figlet jq sl")
        );
        assert!(said("curl -L https://get.example.org/a | sh").ends_with(": get.example.org."));
    }

    #[test]
    fn what_only_a_whole_machine_has_is_said_by_name() {
        assert_eq!(asked("pvcreate /dev/loop0 && vgcreate v /dev/loop0"), "lvm");
        assert_eq!(asked("sudo swapon /swapfile"), "swap");
        assert_eq!(asked("swapoff -a"), "swap");
        assert_eq!(asked("mount -o ro,loop disk.img /mnt"), "blocks");
        assert_eq!(asked("mount /dev/sdb1 /mnt; mkfs.xfs /dev/vdb"), "blocks");
        assert_eq!(asked("losetup -f disk.img"), "blocks");
        assert_eq!(asked("echo '/disk.img /mnt ext4 loop 0 2' >> /etc/fstab"), "blocks");
        assert_eq!(
            asked("mount -t tmpfs none /mnt; mount --bind /a /b; echo 'tmpfs /mnt tmpfs size=1m 0 0' >> /etc/fstab"),
            ""
        );
        assert_eq!(asked("modprobe br_netfilter; update-grub; reboot"), "modules boot reboot");
        assert_eq!(asked("setenforce 0; hwclock -w; date; date -s 10:00"), "lsm clock");
        assert_eq!(asked("sysctl -w net.ipv4.ip_forward=1; sysctl vm.swappiness"), "");
        assert!(said("sysctl -w vm.swappiness=10").contains("vm.swappiness will be refused"));
        assert_eq!(
            said("terraform init; az login; az group list"),
            "Not in this machine, and so not found: terraform and az."
        );
    }

    #[test]
    fn systemctl_is_there_and_its_kin_is_not() {
        assert_eq!(asked("systemctl enable --now x; systemctl status x; journalctl -u x; service x start"), "");
        assert!(said("timedatectl; systemctl list-timers").contains("so timedatectl and list-timers will not"));
    }

    #[test]
    fn a_program_that_the_lesson_brings_is_there() {
        assert_eq!(asked("printf '#!/bin/sh\\n' > /usr/local/bin/terraform; terraform plan"), "");
        assert_eq!(asked("node() { echo hi; }\nnode"), "");
    }

    #[test]
    fn what_a_machine_has_is_not_lacking() {
        assert!(of(["docker ps"], &["internet".into()]).is_empty());
    }

    #[test]
    fn a_lack_is_fatal_where_no_check_can_pass_without_it() {
        let fatal = |texts: &str, checks: &[&str]| {
            let mut lacks = of([texts], &all());
            let checks: Vec<String> = checks.iter().map(|check| check.to_string()).collect();
            decide(&mut lacks, &checks, &[texts.to_owned()]);
            lacks.iter().filter(|lack| lack.fatal).map(|lack| lack.what.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(fatal("swapon /swapfile", &["swapon --show | grep -q /swapfile"]), "swap");
        assert_eq!(fatal("swapon /swapfile", &["test -f /swapfile"]), "");
        assert_eq!(fatal("swapon /swapfile", &["test -f /swapfile", "swapon --show | grep -q swap"]), "");
        assert_eq!(fatal("swapon /swapfile", &[]), "");
        assert_eq!(fatal("lvcreate -L 1G v; swapon /s", &["lvs v", "swapon --show"]), "lvm swap");
        assert_eq!(fatal("lvcreate -L 1G v", &["grep -q lvs /root/answer"]), "");
        assert_eq!(
            fatal("docker ps", &["docker ps | grep web", "echo all good"]),
            "docker",
            "a check that cannot fail"
        );
        assert_eq!(fatal("docker ps", &["echo all good"]), "");
    }

    #[test]
    fn a_check_that_looks_for_a_mount_from_a_disk_cannot_pass() {
        let fatal = |texts: &str, check: &str| {
            let mut lacks = of([texts], &all());
            decide(&mut lacks, &[check.into()], &[texts.into()]);
            lacks.iter().any(|lack| lack.what == "blocks" && lack.fatal)
        };
        assert!(fatal("mount -o loop /root/disk.img /mnt/data", "mountpoint -q /mnt/data"));
        assert!(fatal("echo '/d.img /mnt/data ext4 loop,nofail 0 2' >> /etc/fstab", "mount -a && findmnt /mnt/data"));
        assert!(!fatal("mount /dev/sdb1 /mnt/data", "mountpoint -q /mnt/other"));
        assert!(!fatal("mount /dev/sdb1 /mnt/data; mount -t tmpfs none /mnt/data", "mountpoint -q /mnt/data"));
        assert!(!fatal("mount -o loop /root/disk.img /mnt/data", "grep -q /mnt/data /etc/fstab"));
    }

    #[test]
    fn another_machine_is_one_that_is_logged_in_to_by_its_name() {
        assert_eq!(
            said("ssh -o StrictHostKeyChecking=no root@node01 uptime; scp a host02:/tmp/; ssh node01"),
            "There is one machine here, and so none called node01 and host02 to log in to."
        );
        assert_eq!(asked("ssh localhost; ssh user@example.com; ping node01; ssh-keygen -C host01"), "");
    }

    #[test]
    fn a_list_of_processes_longer_than_there_are_is_said() {
        assert_eq!(
            said("ps aux | head -n 15 > x; ps -ef | head -n 15"),
            "Few processes run in this machine, and those of its host are not seen: ps will list fewer lines than the 15 that are asked for."
        );
        assert_eq!(asked("ps aux | head -3; ps aux | grep bash"), "");
    }

    #[test]
    fn names_are_listed_as_people_do() {
        let listed = |count: usize| listed(&(1..=count).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(listed(1), "1");
        assert_eq!(listed(3), "1, 2 and 3");
        assert_eq!(listed(10), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
    }
}
