//! `quayside image import`: an image of somebody's archive, and what runs in it.

use quayside_tests::images::{Yard, ran, refused, said};

#[test]
fn changes_say_what_runs_in_the_image_and_a_wrong_one_leaves_none() {
    let yard = Yard::new();
    let (data, archive) = (yard.data(&[]), yard.path("shell.tar.gz"));
    let changes = ["--change", "ENV GREETING=hello", "-c", "CMD [\"/bin/sh\", \"-c\", \"echo $GREETING\"]"];
    ran(data.path(), &[&["image", "import"], &changes[..], &["-c", "USER 1000", &archive, "mine:1"]].concat());
    let told: serde_json::Value =
        serde_json::from_str(&said(data.path(), &["image", "inspect", "mine:1"])).expect("it prints JSON");
    let config = &told[0]["Config"];
    assert_eq!(
        (&config["Env"][0], &config["User"], &config["Cmd"][0]),
        (&"GREETING=hello".into(), &"1000".into(), &"/bin/sh".into(),)
    );
    let words = refused(data.path(), &["image", "import", "--change", "RUN true", &archive, "other:1"]);
    assert!(words.contains("RUN is for a build"), "{words}");
    assert!(!said(data.path(), &["image", "ls"]).contains("other:1"));
}
