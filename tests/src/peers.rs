//! Clients of registries that others have written: skopeo, and podman.

use std::process::Command;

use quayside_runtime::image::Digest;
use serde_json::Value;

use crate::images::Yard;
use crate::needs;
use crate::registry::Registry;

pub fn skopeo_is_here() -> bool {
    let is_here = needs::has_program("skopeo");
    if !is_here {
        needs::say_skipped("images to and from skopeo; apt install skopeo");
    }
    is_here
}

#[track_caller]
pub fn skopeo(args: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(["--insecure-policy"]).args(args).output().expect("skopeo starts");
    assert!(output.status.success(), "skopeo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A manifest as a registry has it, with its digest.
pub fn raw(registry: &Registry, name: &str) -> (String, Value) {
    let name = format!("docker://{}/{name}", registry.address);
    let bytes = skopeo(&["inspect", "--raw", "--tls-verify=false", &name]);
    let digest = Digest::of(&bytes).to_string();
    (digest, serde_json::from_slice(&bytes).expect("a manifest is JSON"))
}

/// podman as root, without control groups that a container of ours may not have.
pub struct Podman {
    root: String,
}

impl Podman {
    pub fn get(yard: &Yard) -> Option<Self> {
        if !needs::has_program("podman") {
            needs::say_skipped("images to and from podman; apt install podman");
            return None;
        }
        Some(Self { root: yard.path("podman") })
    }

    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        // Both versions of control groups mounted at once confuse it.
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; root=$0
            exec podman --root \"$root/root\" --runroot \"$root/run\" --storage-driver vfs \"$@\"";
        let output = Command::new("unshare").args(["-m", "sh", "-c", script, &self.root]).args(args).output();
        let output = output.expect("util-linux is here");
        assert!(output.status.success(), "podman {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }
}
