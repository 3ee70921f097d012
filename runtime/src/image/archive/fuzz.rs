//! Any bytes as a layer, for the fuzz target `layer_archive` and for the gate's own seeded rounds.

use std::fs;
use std::path::Path;

use super::compression::decompress;
use super::limits::Limits;
use super::pack::pack;
use super::unpack::unpack;
use crate::image::beneath::Root;

/// Small, so that a round is fast.
const LIMITS: Limits = Limits { bytes_max: 1024 * 1024, entries_max: 1_000, depth_max: 20 };

/// Unpacks `archive` in the empty folder `top`, which is empty again afterwards; gives whether it was a layer.
///
/// # Panics
///
/// Panics if anything is written beside the folder that it is unpacked into, or if a refused one leaves something there.
/// What was unpacked can be packed, or is refused in words.
pub fn layer(archive: &[u8], top: &Path) -> bool {
    let (layer, canary) = (top.join("layer"), top.join("canary"));
    fs::create_dir(&layer).expect("the folder is ours");
    fs::write(&canary, "alive").expect("the folder is ours");
    let root = Root::open(&layer).expect("it was made above");
    let is_layer = decompress(archive).is_ok_and(|mut plain| unpack(&mut plain, &root, LIMITS).is_ok());
    if is_layer {
        drop(pack(&root, &mut std::io::sink()));
    } else {
        assert_eq!(fs::read_dir(&layer).expect("it is there").count(), 0, "a refused layer left something");
    }
    assert_eq!(fs::read_to_string(&canary).expect("nothing removes it"), "alive", "something was written outside");
    assert_eq!(fs::read_dir(top).expect("it is there").count(), 2, "something was written outside");
    fs::remove_dir_all(&layer).expect("it is ours");
    fs::remove_file(&canary).expect("it is ours");
    is_layer
}
