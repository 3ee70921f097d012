//! Directories at which a lesson mounts what cannot be mounted: a check that looks for a mount there cannot pass.

use super::Call;
use super::kinds::{is_on_a_disk, line_of_fstab};

/// The directories that are mounted only from disks and loop devices, in the calls of a lesson.
pub fn in_vain<'a>(calls: &[Call<'a>]) -> Vec<&'a str> {
    let mut vain = Vec::new();
    let mut possible = Vec::new();
    for call in calls {
        match call.program {
            "mount" => {
                let target = call.arguments.iter().rev().find(|word| word.starts_with('/')).map(String::as_str);
                let list = if is_on_a_disk(call) { &mut vain } else { &mut possible };
                list.extend(target);
            }
            "echo" | "printf" => vain.extend(call.arguments.iter().filter_map(|word| line_of_fstab(word))),
            _ => {}
        }
    }
    vain.retain(|target| !possible.contains(target));
    vain
}

/// Whether a call of a check asks if something is mounted at one of these.
pub fn are_looked_for(call: &Call, targets: &[&str]) -> bool {
    call.is_one_of("mountpoint findmnt") && targets.iter().any(|target| call.has(target))
}
