//! Our registry in a sandbox: as its root, at localhost:5000, over the host's images, without any network.

use quayside_tests::images::{Yard, ran};
use quayside_tests::machine::Machine;

/// What every script begins with.
const TOOLS: &str = "quayside() { /run/quayside/quayside \"$@\"; }
    serving() { (: </dev/tcp/127.0.0.1/5000) 2>/dev/null; }
";

#[test]
fn images_of_the_host_and_images_built_inside_are_pulled_and_pushed_at_localhost_5000() {
    let (machine, yard) = (Machine::new(), Yard::new());
    ran(machine.data(), &["image", "import", &yard.path("shell.tar.gz"), "shop/base:1"]);
    let sandbox = machine.sandbox();
    let sh = |script: &str| sandbox.sh(&format!("{TOOLS} set -e\n{script}"));
    sh("/run/quayside/quayside registry >/root/registry 2>&1 & echo $! >/root/pid; disown
        for _ in {1..200}; do serving && exit; sleep 0.05; done; cat /root/registry >&2; exit 1");
    // A class's base image comes from the host's store, to another one here.
    sh("quayside image pull --data /lab/other localhost:5000/shop/base:1");
    assert!(sh("quayside image ls --data /lab/other").contains("localhost:5000/shop/base:1"));
    // To the one that the registry serves there is nothing to bring; it has the name now, and keeps the host's layers.
    sh("quayside image pull localhost:5000/shop/base:1 && quayside image ls");
    let layers = sh("ls /var/lib/docker/quayside/images/content/layers");
    assert_eq!(layers, "", "the host's layers are not copied");
    // What is built here goes to the registry and comes back under the same digest.
    sh("mkdir /lab/context && cd /lab/context && echo hello >file
        printf 'FROM shop/base:1\\nCOPY file /srv/\\n' >Dockerfile
        quayside build -q -t localhost:5000/shop/built:1 .");
    let pushed = sh("quayside image push localhost:5000/shop/built:1");
    let digest = pushed.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it says the digest");
    let pulled = sh("quayside image pull --data /lab/other localhost:5000/shop/built:1");
    assert!(pulled.contains(digest), "{pushed}\n{pulled}");
    assert_eq!(sh("quayside image export --data /lab/other localhost:5000/shop/built:1 | tar -xO srv/file"), "hello");
    // And from another store here to it.
    sh("quayside image tag --data /lab/other localhost:5000/shop/built:1 localhost:5000/again:1
        quayside image push --data /lab/other localhost:5000/again:1");
    assert!(sh("quayside image ls").contains("localhost:5000/again:1"));
    // Who speaks HTTP there is nobody, and has no capability.
    let front = sh("for pid in /proc/[0-9]*; do
            tr '\\0' ' ' <$pid/cmdline 2>/dev/null | grep -q registry-front && grep -E '^(Uid|CapEff|NoNewPrivs)' $pid/status
        done; true");
    assert!(front.contains("65534") && front.contains("0000000000000000"), "{front}");
    // The images outlive the registry, and a prune.
    sh("kill $(cat /root/pid); while serving; do sleep 0.05; done; quayside image prune
        quayside image export localhost:5000/shop/base:1 | tar -t | grep -q bin/sh
        quayside image export localhost:5000/again:1 | tar -xO srv/file | grep -q hello");
}
