//! Programs that layers are made by, in containers of ours.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::run::{Cancel, Runner};
use super::spec::{ContainerSpec, Exit, Input, Mount, Network, Said, Source};
use crate::image::errand::{Errand, Errands};

/// Go's standard library takes half a minute on two cores; a machine that takes longer than this does nothing any more.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// How much of a program's last words is told when it fails.
const WORDS_MAX_BYTES: usize = 2048;

/// Runs them by a program whose subcommand [`SUBCOMMAND`](super::run::SUBCOMMAND) starts a container.
#[derive(Debug)]
pub struct InContainers {
    binary: File,
}

impl InContainers {
    /// `binary` as [`Runner::new`] wants it.
    pub fn new(binary: File) -> Self {
        Self { binary }
    }

    /// For a program that has the subcommand itself.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self::new(File::open("/proc/self/exe")?))
    }
}

impl Errands for InContainers {
    fn run(&self, errand: &Errand, lines: &mut dyn FnMut(usize)) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot prepare to start a container: {error}");
        let runner = Runner::new(&self.binary).map_err(failed)?;
        let cancel = Cancel::new().map_err(failed)?;
        let spec = spec(errand).map_err(failed)?;
        let mut last = LastWords::default();
        let ended = runner.run(&spec, Input::Nothing, Some(TIME_MAX), &cancel, &mut |said| match said {
            Said::Step(_) => {}
            Said::Out(bytes) | Said::Err(bytes) => {
                lines(bytes.iter().filter(|byte| **byte == b'\n').count());
                last.take(bytes);
            }
        });
        match ended.map_err(|error| error.to_string())? {
            Exit::Code(0) => Ok(()),
            exit => Err(format!("{} ended with {}: {}", errand.args.join(" "), exit.code(), last.text())),
        }
    }
}

fn spec(errand: &Errand) -> io::Result<ContainerSpec> {
    let folder = |name: &str| {
        let path = errand.scratch.join(name);
        fs::create_dir(&path).map(|()| path)
    };
    fs::create_dir(errand.scratch)?;
    let (upper, work) = (folder("upper")?, folder("work")?);
    let (from, at) = errand.kept;
    let kept = Mount {
        from: Source::Path { root: from.into(), path: Path::new("/").into() },
        at: at.into(),
        read_only: false,
    };
    Ok(ContainerSpec {
        env: errand.env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        mounts: vec![kept],
        network: Network::None,
        ..ContainerSpec::new(errand.name, errand.layers.to_vec(), upper, work, errand.args)
    })
}

/// The end of what a program wrote.
#[derive(Default)]
struct LastWords(Vec<u8>);

impl LastWords {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let too_many = self.0.len().saturating_sub(WORDS_MAX_BYTES);
        self.0.drain(..too_many);
    }

    /// As one line.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_story_the_end_is_kept() {
        let mut last = LastWords::default();
        (0..1000).for_each(|number| last.take(format!("line {number}\n").as_bytes()));
        assert!(last.text().ends_with("line 998 line 999"));
        assert!(last.0.len() <= WORDS_MAX_BYTES);
    }

    #[test]
    fn an_errand_has_no_network_and_keeps_one_folder() {
        let top = tempfile::tempdir().unwrap();
        let errand = Errand {
            name: "go",
            layers: &["/layers/a".into()],
            args: &["go", "version"],
            env: &[("PATH", "/bin")],
            kept: (Path::new("/made/cache"), Path::new("/root/.cache")),
            scratch: &top.path().join("scratch"),
        };
        let spec = spec(&errand).unwrap();
        assert_eq!(spec.network, Network::None);
        assert_eq!(spec.mounts.len(), 1);
        assert_eq!((spec.mounts[0].at.as_path(), spec.mounts[0].read_only), (Path::new("/root/.cache"), false));
        assert!(spec.upper.is_dir() && spec.work.is_dir());
    }
}
