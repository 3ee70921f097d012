//! Registries on this machine, each with a port of its own, ended when it goes out of scope.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{binary, needs};

/// Who may use a registry that wants a login, and by what line of htpasswd(1) it knows them: `htpasswd -Bbn`.
pub const LOGIN: &str = "learner:quay-5000";
const KNOWN: &str = "learner:$2y$05$vf4oRip/FS4aWUCkd7RfVOI05zQe4oUi0EXhw9Mbn8wEfi5Q7ry32\n";

pub struct Registry {
    /// For messages.
    pub name: &'static str,
    /// `127.0.0.1:PORT`
    pub address: String,
    child: Child,
}

impl Registry {
    /// `quayside registry` over a data directory.
    pub fn ours(data: &Path) -> Self {
        Self::ours_at("127.0.0.1:0", data)
    }

    /// The same at an address where one was before.
    pub fn ours_at(address: &str, data: &Path) -> Self {
        let mut command = Command::new(binary::quayside());
        command.args(["registry", "--listen", address, "--data"]).arg(data);
        Self::start("ours", command, "127.0.0.1:")
    }

    /// Debian's docker-registry, which keeps its things in `folder`; with `LOGIN`, if anybody needs to log in. Where it
    /// is not installed the test goes on without it, and says so.
    pub fn debians(folder: &Path, wants_login: bool) -> Option<Self> {
        if !needs::has_program("docker-registry") {
            needs::say_skipped("images to and from Debian's docker-registry; apt install docker-registry");
            return None;
        }
        fs::create_dir_all(folder).expect("it is ours");
        let (config, passwords) = (folder.join("config.yml"), folder.join("htpasswd"));
        fs::write(&passwords, KNOWN).expect("it is ours");
        let login = match wants_login {
            true => format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", passwords.display()),
            false => String::new(),
        };
        let root = folder.join("root");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{login}",
            root.display()
        );
        fs::write(&config, text).expect("it is ours");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config);
        Some(Self::start("Debian's", command, "listening on 127.0.0.1:"))
    }

    /// Waits for the line on standard error that says the port, behind `before`.
    fn start(name: &'static str, mut command: Command, before: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the registry starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let port = lines.by_ref().find_map(|line| {
            let digits = line.split_once(before)?.1.split(|char: char| !char.is_ascii_digit()).next()?;
            digits.parse::<u16>().ok()
        });
        let port = port.unwrap_or_else(|| panic!("{name} registry has not said where it listens"));
        // A pipe that nobody reads would stop it in the middle.
        std::thread::spawn(move || lines.for_each(drop));
        Self { name, address: format!("127.0.0.1:{port}"), child }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
