//! A service with everything real but the sandboxes: those are a keeper and shims of threads, which speak the
//! real protocols and run a real bash on a real pty, in a directory instead of a container.

pub mod client;
pub mod keeper;
pub mod shim;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quayside::config::{SessionLimits, WebConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use client::Client;
use keeper::FakeKeeper;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An installation: a store, lessons and a keeper, with a web process that can be stopped and started.
pub struct Installation {
    web: Option<Web>,
    pub keeper: FakeKeeper,
    pub config: WebConfig,
    address: SocketAddr,
    /// Last, so that it goes when nobody uses it any more.
    pub dir: tempfile::TempDir,
}

struct Web {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Installation {
    /// With the harness's own course, and a web process that serves it.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut WebConfig)) -> Self {
        let mut installation = Self::without_web(change);
        installation.start_web().await;
        installation
    }

    pub fn without_web(change: impl FnOnce(&mut WebConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let sockets_dir = dir.path().join("sockets");
        let lessons_dir = dir.path().join("lessons");
        write_lessons(&lessons_dir);
        let keeper = FakeKeeper::start(&sockets_dir, &dir.path().join("machines"));
        let mut config = WebConfig {
            store_dir: dir.path().join("web"),
            sockets_dir,
            lessons_dir,
            base_path: "/".parse().expect("a path"),
            hosts: vec!["learn.example.org".into()],
            trusted_proxies: Vec::new(),
            sessions: SessionLimits::default(),
            keep: Default::default(),
            sandbox: Default::default(),
        };
        change(&mut config);
        let address = ([127, 0, 0, 1], 0).into();
        Self { web: None, keeper, config, address, dir }
    }

    pub async fn start_web(&mut self) {
        self.start_web_at("").await;
    }

    /// With a base path, without its closing slash.
    pub async fn start_web_at(&mut self, base: &str) {
        let listener = TcpListener::bind(self.address).expect("a port");
        self.address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let until = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(quayside::web::serve_until(self.config.clone(), listener, until));
        self.web = Some(Web { stop, task });
        let client = self.client();
        eventually("the web process is ready", async || {
            client.get(&format!("{base}/health/ready")).await.status == 200
        })
        .await;
    }

    /// In an orderly way, as SIGTERM does.
    pub async fn stop_web(&mut self) {
        let web = self.web.take().expect("a web process");
        let _ = web.stop.send(());
        let ended = tokio::time::timeout(PATIENCE, web.task).await.expect("it ends in time");
        ended.expect("no panic").expect("no error");
    }

    /// A browser that was never here.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }
}

/// Waits until `condition` holds, or fails with what it waited for.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn write_lessons(root: &Path) {
    let write = |path: &str, text: &str| {
        let path: PathBuf = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    };
    write(
        "harbour/structure.json",
        r#"{ "title": "Harbour", "items": [{"path": "first"}, {"path": "second"}, {"path": "broken"}, {"path": "cluster"}] }"#,
    );
    write(
        "harbour/first/index.json",
        r#"{ "title": "The first lesson", "description": "To be played.",
             "details": {
               "intro": { "text": "intro.md", "background": "bg.sh", "foreground": "fg.sh" },
               "steps": [
                 { "title": "One", "text": "one.md", "verify": "verify.sh", "background": "step1.sh" },
                 { "title": "Two", "text": "two.md", "verify": "slow.sh" },
                 { "title": "Three", "text": "two.md", "foreground": "loop.sh" }
               ],
               "finish": { "text": "finish.md" },
               "assets": { "host01": [{ "file": "tool.sh", "target": "/root", "chmod": "+x" }, { "file": "odd.txt", "target": "/root", "chmod": "+odd" }] }
             },
             "backend": { "imageid": "ubuntu" } }"#,
    );
    write(
        "harbour/second/index.json",
        r#"{ "title": "The second lesson", "details": { "steps": [{ "text": "one.md" }] }, "backend": { "imageid": "ubuntu" } }"#,
    );
    write("harbour/second/one.md", "Another one.\n");
    write("harbour/first/intro.md", "Welcome.\n\n![a picture](./boat.png)\n");
    write("harbour/first/one.md", "Make the file `/root/flag`.\n");
    write("harbour/first/two.md", "Wait.\n");
    write("harbour/first/finish.md", "The end.\n");
    write("harbour/first/boat.png", "\u{89}PNG not really");
    write("harbour/first/secret.txt", "not a picture");
    write("harbour/first/bg.sh", "echo prepared > prepared; echo once >> times\n");
    write("harbour/first/fg.sh", "#!/bin/bash\nexport HARBOUR=calm\necho \"fore-$((6*7))\"\n\n");
    write("harbour/first/loop.sh", "for i in 1 2; do\n  echo \"turn-$i\"\ndone\ncat <<END\nhere-document\nEND\n");
    write("harbour/first/step1.sh", "echo \"something went wrong\" >&2; exit 3\n");
    write(
        "harbour/first/verify.sh",
        "if [ -f flag ]; then printf '\\033[32mIt is there.\\033[0m\\n'; else echo 'No flag yet.'; exit 1; fi\n",
    );
    write("harbour/first/slow.sh", "echo waiting; sleep 1000\n");
    write("harbour/first/assets/tool.sh", "echo tool\n");
    write("harbour/first/assets/odd.txt", "odd\n");
    write("harbour/broken/index.json", "{ \"title\": \"Broken\", ");
    write(
        "harbour/cluster/index.json",
        r#"{ "title": "Needs a cluster", "details": { "steps": [{ "text": "one.md" }] }, "backend": { "imageid": "kubernetes-kubeadm-1node" } }"#,
    );
    write("harbour/cluster/one.md", "Nothing.\n");
}
