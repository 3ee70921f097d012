//! Images as a learner meets them: prepared, mounted, and used with chroot(8) and nothing else of the runtime.
//!
//! Needs root and, for the learner image, a Debian mirror or a warm cache (`QUAYSIDE_TEST_CACHE`, by default
//! target/test-cache). A test that cannot run says what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use quayside_runtime::image::{Image, ImageError, Sources, Store};

#[test]
fn image_host_gives_a_shell_with_the_commands_of_a_lesson() {
    let Some(image) = prepare("host") else { return };
    check(&image, "echo ok", "ok");
    check(&image, "sh -c 'ls /usr/bin | wc -l' | awk '{ print ($1 > 60) ? \"many\" : $1 }'", "many");
    check(&image, "id -un; id -un nobody 2>/dev/null || getent passwd nobody | cut -d: -f1", "root\nnobody");
    check(&image, "locale charmap 2>/dev/null || printf '%s' \"$LANG\" | cut -d. -f2", "UTF-8");
    check(&image, "tput -T xterm-256color colors 2>/dev/null || echo 256", "256");
    // Nothing of the host's accounts, keys and settings, and nothing that raises privileges.
    check(&image, "ls /etc/shadow /etc/machine-id /etc/ssh /etc/apt /root/.ssh 2>/dev/null | wc -l", "0");
    check(&image, "find / -xdev -perm /6000 -type f | wc -l", "0");
    check(&image, "find / -xdev '(' ! -uid 0 -o ! -gid 0 ')' | wc -l", "0");
}

#[test]
fn image_learner_is_a_debian_that_dpkg_and_apt_find_in_order() {
    let Some(image) = prepare("learner") else { return };
    check(&image, "dpkg --audit; echo $?", "0");
    check(&image, "dpkg -l bash git | grep -c ^ii", "2");
    check(&image, "apt-get check >/dev/null; echo $?", "0");
    check(&image, "apt-get update 2>&1 | tail -1; dpkg --configure -a; echo $?", "Reading package lists...\n0");
    check(&image, "dpkg -S /usr/bin/unshare | cut -d: -f1", "util-linux");
    check(&image, "ls -l /bin /lib | sed 's/.* -> //'", "usr/bin\nusr/lib");

    check(
        &image,
        "python3 -c 'import ctypes, ssl; print(len(ssl.create_default_context().get_ca_certs()) > 50)'",
        "True",
    );
    check(&image, "git --version | cut -d' ' -f1,2", "git version");
    check(&image, "vim.tiny --version | head -1 | cut -c1-3; readlink -f /usr/bin/vi", "VIM\n/usr/bin/vim.tiny");
    check(
        &image,
        "tmux -V | cut -d' ' -f1; nft --version | cut -d' ' -f1; iptables -V | grep -o nf_tables",
        "tmux\nnftables\nnf_tables",
    );
    check(&image, "awk 'BEGIN { print 1 }'; echo x | nc -h 2>&1 | grep -c OpenBSD", "1\n1");
    check(&image, "perl -e 'print \"perl\\n\"'; jq -n 1; busybox true; tree --version | cut -c1-4", "perl\n1\ntree");
    check(&image, "locale charmap; date +%Z", "UTF-8\nUTC");
}

#[test]
fn image_learner_keeps_setuid_bits_groups_and_capabilities() {
    let Some(image) = prepare("learner") else { return };
    check(
        &image,
        "stat -c '%a %U %G' /usr/bin/sudo /usr/bin/crontab /usr/bin/ssh-agent /etc/shadow",
        "4755 root root\n2755 root crontab\n2755 root _ssh\n640 root shadow",
    );
    check(&image, "getcap /usr/bin/ping", "/usr/bin/ping cap_net_raw=ep");
    check(&image, "su -s /bin/bash nobody -c 'id -un'", "nobody");
    check(&image, "sudo -u nobody id -un 2>/dev/null", "nobody");
    check(&image, "su -s /bin/bash nobody -c 'ping -c1 -W1 127.0.0.1 >/dev/null && echo answered'", "answered");
    check(&image, "visudo -c | grep -c OK; pwck -qr; grpck -r; echo $?", "2\n0");
    check(&image, "echo '1 2 3 4 5 true' | crontab - && crontab -l", "1 2 3 4 5 true");
    check(
        &image,
        "adduser --disabled-password --gecos '' ann >/dev/null && su ann -c 'id -un; ls -A ~ | wc -l'",
        "ann\n3",
    );
}

#[test]
fn image_learner_takes_packages_from_files_and_removes_them() {
    let Some(image) = prepare("learner") else { return };
    let script = "mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/doc/p && printf 'Package: p\\nVersion: 1\\nArchitecture: all\\n\
        Maintainer: M <m@example.org>\\nDepends: bash\\nDescription: p\\n' > /tmp/p/DEBIAN/control && echo x > /tmp/p/usr/share/p \
        && dpkg-deb -b /tmp/p /tmp/p.deb >/dev/null && apt-get install -y /tmp/p.deb >/tmp/log 2>&1 || cat /tmp/log; \
        dpkg -s p | grep ^Status; cat /usr/share/p; apt-get purge -y p >/dev/null 2>&1; ls /usr/share/p 2>&1 | grep -c 'No such'; dpkg --audit";
    check(&image, script, "Status: install ok installed\nx\n1");
}

/// Prepares an image in a store beside the cache of downloads, or says why it cannot be.
fn prepare(name: &str) -> Option<Image> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root, to give an image's files their owners and to mount");
        return None;
    }
    // One store for all tests, so that one download serves them; the learner image is made once and then found.
    let store = Store::open(cache().join("images")).unwrap();
    match store.prepare(name, &Sources::default(), &mut |_| {}) {
        Ok(image) => Some(image),
        Err(ImageError::Debian(error)) => {
            eprintln!("skipped: needs a Debian mirror that answers: {error}");
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

fn cache() -> PathBuf {
    // A test's own setting: nothing of the product reads it.
    match std::env::var_os("QUAYSIDE_TEST_CACHE") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-cache"),
    }
}

/// Runs a script as root in a throw-away copy of the image; `expected` is all that it prints.
fn check(image: &Image, script: &str, expected: &str) {
    const ENTER: &str = r#"
        set -e
        mount -t tmpfs tmpfs "$WORK"; cd "$WORK"; mkdir upper work root
        mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=upper,workdir=work" root
        mount -t proc proc root/proc; mount --rbind /dev root/dev
        cd root
        exec chroot . /usr/bin/env -i TERM=xterm HOME=/root "PATH=$IMAGE_PATH" LANG=C.UTF-8 bash -c "$SCRIPT"
    "#;
    let work = tempfile::tempdir().unwrap();
    let paths = image.layer_paths();
    let lower: Vec<&str> = paths.iter().rev().map(|path| path.to_str().unwrap()).collect();
    let (_, path) = image.env().into_iter().find(|(name, _)| name == "PATH").unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", &format!("ip link set lo up 2>/dev/null || true; {ENTER}")])
        .env("WORK", work.path())
        .env("LOWER", lower.join(":"))
        .env("IMAGE_PATH", path)
        .env("SCRIPT", script)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim_end(), expected, "of {}: {script}\n{complained}", image.shown());
}
