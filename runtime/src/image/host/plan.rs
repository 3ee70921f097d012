//! What is copied into the `host` image and where to: data from data, without touching a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::super::beneath::Name;
use super::super::elf::Needs;
use super::super::layout;
use super::HostError;
use super::wanted;

/// The host as the plan sees it.
pub trait Host {
    /// The regular file that a path leads to, every link followed; `None` when there is none.
    fn real(&self, path: &Path) -> Option<PathBuf>;
    fn program(&self, real: &Path) -> Program;
    /// Paths of what is directly in a folder, sorted.
    fn list(&self, directory: &Path) -> Vec<PathBuf>;
    /// Folders that the host's loader is told to look in, beside its own (ld.so.conf).
    fn library_directories(&self) -> Vec<PathBuf>;
}

/// What a file is to the kernel's exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    Elf(Needs),
    /// `#!` and this interpreter.
    Script(String),
    /// Anything else, and what cannot be read.
    Other,
}

/// Everything the image will hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Place in the image, and the file of the host that is copied there.
    pub copies: BTreeMap<Name, PathBuf>,
    /// Links to absolute paths in the image.
    pub links: BTreeMap<Name, PathBuf>,
    /// Commands it has, for the summary and for tests.
    pub commands: BTreeSet<&'static str>,
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (to, from) in &self.copies {
            writeln!(out, "copy {} to {to}", from.display())?;
        }
        for (name, target) in &self.links {
            writeln!(out, "link {name} to {}", target.display())?;
        }
        Ok(())
    }
}

pub fn plan(host: &dyn Host) -> Result<Plan, HostError> {
    let mut planner = Planner { host, library_directories: host.library_directories(), plan: Plan::default() };
    for command in wanted::REQUIRED {
        planner.command(command).map_err(|why| HostError::Required { command, why })?;
    }
    for command in wanted::GROUPS.iter().flat_map(|group| group.commands) {
        // Absent on this host, or it needs something that is: the image has one command less.
        let _ = planner.command(command);
    }
    for library in wanted::LIBRARIES_BY_NAME {
        let _ = planner.library_by_name(library);
    }
    planner.data();
    Ok(planner.plan)
}

struct Planner<'a> {
    host: &'a dyn Host,
    library_directories: Vec<PathBuf>,
    plan: Plan,
}

/// Additions of one command; they enter the plan together or not at all.
#[derive(Default)]
struct Draft {
    copies: BTreeMap<Name, PathBuf>,
    links: BTreeMap<Name, PathBuf>,
}

impl Planner<'_> {
    fn command(&mut self, command: &'static str) -> Result<(), String> {
        let (found, real) = wanted::COMMAND_DIRECTORIES
            .iter()
            .map(|directory| Path::new(directory).join(command))
            .find_map(|path| Some((path.clone(), self.host.real(&path)?)))
            .ok_or_else(|| format!("it is in none of {}", wanted::COMMAND_DIRECTORIES.join(", ")))?;
        let mut draft = Draft::default();
        self.program(&mut draft, &found, &real)?;
        self.accept(draft);
        self.plan.commands.insert(command);
        Ok(())
    }

    fn accept(&mut self, draft: Draft) {
        self.plan.copies.extend(draft.copies);
        self.plan.links.extend(draft.links);
    }

    /// A program under the name it was found by, with everything it needs.
    fn program(&self, draft: &mut Draft, found: &Path, real: &Path) -> Result<(), String> {
        let name = layout::place_of_path(found);
        // /usr/bin/awk is a link to a link to /usr/bin/mawk: the image gets mawk and one link.
        let home = if is_system_path(real) { layout::place_of_path(real) } else { name.clone() };
        if home != name {
            draft.links.insert(name, Path::new("/").join(home.as_path()));
        }
        draft.copies.insert(home, real.to_owned());
        match self.host.program(real) {
            Program::Elf(needs) => self.libraries(draft, real, &needs),
            Program::Script(interpreter) => self.interpreter(&interpreter),
            Program::Other => Err(format!("{} is no program for this machine", real.display())),
        }
    }

    /// Scripts for a shell are welcome; anything else (Perl, Python) would drag in an installation.
    fn interpreter(&self, interpreter: &str) -> Result<(), String> {
        match interpreter {
            "/bin/sh" | "/bin/bash" | "/usr/bin/sh" | "/usr/bin/bash" => Ok(()),
            other => Err(format!("it is a script for {other}")),
        }
    }

    fn libraries(&self, draft: &mut Draft, program: &Path, needs: &Needs) -> Result<(), String> {
        if let Some(interpreter) = &needs.interpreter {
            self.loader(draft, interpreter)?;
        }
        for library in &needs.libraries {
            self.library(draft, program, library, &needs.search)?;
        }
        Ok(())
    }

    /// The loader, under the very path that programs name.
    fn loader(&self, draft: &mut Draft, interpreter: &str) -> Result<(), String> {
        let path = Path::new(interpreter);
        let real = self.host.real(path).ok_or_else(|| format!("its loader {interpreter} is missing"))?;
        let (name, home) = (layout::place_of_path(path), layout::place_of_path(&real));
        if home != name {
            draft.links.insert(name, Path::new("/").join(home.as_path()));
        }
        draft.copies.insert(home, real);
        Ok(())
    }

    fn library(&self, draft: &mut Draft, program: &Path, library: &str, search: &[String]) -> Result<(), String> {
        let (place, real) =
            self.find_library(program, library, search).ok_or_else(|| format!("its library {library} is missing"))?;
        let known = draft.copies.contains_key(&place) || self.plan.copies.contains_key(&place);
        draft.copies.insert(place, real.clone());
        if known {
            return Ok(());
        }
        match self.host.program(&real) {
            Program::Elf(needs) => self.libraries(draft, &real, &needs),
            _ => Err(format!("its library {} cannot be read", real.display())),
        }
    }

    /// Where a library lies in the image, and the file it is. Libraries are copied under the name that is asked for
    /// (`libc.so.6`), whatever file the host's link leads to.
    fn find_library(&self, program: &Path, library: &str, search: &[String]) -> Option<(Name, PathBuf)> {
        let origin = program.parent()?.to_str()?;
        let own = search.iter().map(|dir| PathBuf::from(dir.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)));
        let default = wanted::LIBRARY_DIRECTORIES.iter().map(PathBuf::from);
        for path in own.chain(default).map(|directory| directory.join(library)) {
            if let Some(real) = self.host.real(&path) {
                return Some((layout::place_of_path(&path), real));
            }
        }
        let path = self
            .library_directories
            .iter()
            .map(|directory| directory.join(library))
            .find(|path| self.host.real(path).is_some())?;
        let (libc, _) = self.find_library(Path::new("/usr/bin/sh"), "libc.so.6", &[])?;
        Some((libc.parent()?.join(library.as_ref()), self.host.real(&path)?))
    }

    fn library_by_name(&mut self, library: &str) -> Result<(), String> {
        let mut draft = Draft::default();
        self.library(&mut draft, Path::new("/usr/bin/sh"), library, &[])?;
        self.accept(draft);
        Ok(())
    }

    fn data(&mut self) {
        for terminal in wanted::TERMINALS {
            let letter = &terminal[..1];
            let paths = wanted::TERMINFO_DIRECTORIES.iter().map(|dir| Path::new(dir).join(letter).join(terminal));
            for path in paths {
                self.file(&path);
            }
        }
        for path in wanted::PUBLIC_FILES {
            self.file(Path::new(path));
        }
        for directory in wanted::LOCALE_DIRECTORIES {
            for path in self.host.list(Path::new(directory)) {
                self.file(&path);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if let Some(real) = self.host.real(path) {
            self.plan.copies.insert(layout::place_of_path(path), real);
        }
    }
}

fn is_system_path(real: &Path) -> bool {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib", "/lib", "/usr/libexec"]
        .iter()
        .any(|dir| real.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up host: paths, what each is, and links.
    #[derive(Default)]
    struct Fake {
        programs: BTreeMap<PathBuf, Program>,
        links: BTreeMap<PathBuf, PathBuf>,
        extra_libraries: Vec<PathBuf>,
    }

    impl Fake {
        fn elf(mut self, path: &str, libraries: &[&str]) -> Self {
            let interpreter = (!path.contains("/lib")).then(|| "/lib64/ld.so".to_owned());
            let libraries = libraries.iter().map(|name| name.to_string()).collect();
            self.programs.insert(path.into(), Program::Elf(Needs { interpreter, libraries, search: Vec::new() }));
            self
        }

        fn link(mut self, path: &str, target: &str) -> Self {
            self.links.insert(path.into(), target.into());
            self
        }

        fn basic() -> Self {
            Self::default()
                .elf("/usr/bin/bash", &["libc.so.6"])
                .elf("/usr/bin/dash", &["libc.so.6"])
                .link("/usr/bin/sh", "/usr/bin/dash")
                .elf("/usr/lib/x86_64-linux-gnu/libc.so.6", &[])
                .elf("/usr/lib/x86_64-linux-gnu/ld.so", &[])
                .link("/lib64/ld.so", "/usr/lib/x86_64-linux-gnu/ld.so")
        }
    }

    impl Host for Fake {
        fn real(&self, path: &Path) -> Option<PathBuf> {
            let real = self.links.get(path).map_or(path, PathBuf::as_path);
            self.programs.contains_key(real).then(|| real.to_owned())
        }

        fn program(&self, real: &Path) -> Program {
            self.programs.get(real).cloned().unwrap_or(Program::Other)
        }

        fn list(&self, _: &Path) -> Vec<PathBuf> {
            Vec::new()
        }

        fn library_directories(&self) -> Vec<PathBuf> {
            self.extra_libraries.clone()
        }
    }

    #[test]
    fn a_minimal_host_gives_a_shell_its_loader_and_its_libraries() {
        let plan = plan(&Fake::basic()).unwrap();
        let expected = "\
            copy /usr/bin/bash to /usr/bin/bash\n\
            copy /usr/bin/dash to /usr/bin/dash\n\
            copy /usr/lib/x86_64-linux-gnu/ld.so to /usr/lib/x86_64-linux-gnu/ld.so\n\
            copy /usr/lib/x86_64-linux-gnu/libc.so.6 to /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            link /usr/bin/sh to /usr/bin/dash\n\
            link /usr/lib64/ld.so to /usr/lib/x86_64-linux-gnu/ld.so\n";
        assert_eq!(plan.to_string(), expected);
    }

    #[test]
    fn a_host_without_bash_is_refused_by_name() {
        let mut host = Fake::basic();
        host.programs.remove(Path::new("/usr/bin/bash"));
        let error = plan(&host).unwrap_err().to_string();
        assert!(error.contains("bash") && error.contains("/usr/bin"), "{error}");
    }

    #[test]
    fn a_command_whose_library_is_missing_is_left_out_with_all_that_is_its_own() {
        let host = Fake::basic().elf("/usr/bin/jq", &["libjq.so.1", "libgone.so"]).elf("/usr/lib/libjq.so.1", &[]);
        let plan = plan(&host).unwrap();
        assert!(!plan.commands.contains("jq"));
        assert!(!plan.copies.contains_key(&Name::of("usr/lib/libjq.so.1")));
    }

    #[test]
    fn a_library_that_only_ld_so_conf_knows_is_put_beside_the_c_library() {
        let mut host = Fake::basic().elf("/usr/bin/jq", &["libjq.so.1"]).elf("/opt/lib/libjq.so.1", &[]);
        host.extra_libraries = vec!["/opt/lib".into()];
        let plan = plan(&host).unwrap();
        let copied = &plan.copies[&Name::of("usr/lib/x86_64-linux-gnu/libjq.so.1")];
        assert_eq!(copied, Path::new("/opt/lib/libjq.so.1"));
    }

    #[test]
    fn a_python_script_is_left_out() {
        let mut host = Fake::basic();
        host.programs.insert("/usr/bin/ldd".into(), Program::Script("/bin/bash".into()));
        host.programs.insert("/usr/bin/tree".into(), Program::Script("/usr/bin/python3".into()));
        let plan = plan(&host).unwrap();
        assert!(plan.commands.contains("ldd") && !plan.commands.contains("tree"));
    }
}
