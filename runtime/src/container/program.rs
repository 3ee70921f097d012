//! Becoming the program: found along the container's own PATH, and words for one that is not there.

use std::ffi::{CStr, CString};
use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::sys::mount::c_path;

/// A program that is not there, as shells answer.
pub const NOT_FOUND: i32 = 127;
/// One that is there and cannot be run.
pub const NOT_RUNNABLE: i32 = 126;

/// Why a program did not run: the image's fault, or that of who named it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotRun {
    pub why: String,
    pub code: i32,
}

/// Where a program is looked for if `env` has no PATH (execvp(3)).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// execve(2) of the first program along PATH. Returns only what went wrong.
pub fn execute(args: &[String], env: &[(String, String)]) -> NotRun {
    let path = env.iter().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let program = match find(&args[0], path) {
        Ok(program) => program,
        Err(not_run) => return not_run,
    };
    let words = args.iter().cloned().map(CString::new).collect::<Result<Vec<_>, _>>();
    let variables =
        env.iter().map(|(key, value)| CString::new(format!("{key}={value}"))).collect::<Result<Vec<_>, _>>();
    let (Ok(words), Ok(variables), Ok(file)) = (words, variables, c_path(&program)) else {
        return not_run(&args[0], "a word of it has a zero byte", NOT_RUNNABLE);
    };
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    let variables: Vec<&CStr> = variables.iter().map(CString::as_c_str).collect();
    let Err(errno) = nix::unistd::execve(&file, &words, &variables);
    let program = program.display().to_string();
    match errno {
        Errno::ENOENT => not_run(
            &program,
            "what it is run by is not in the image: the interpreter of its first line, or the loader of its libraries",
            NOT_FOUND,
        ),
        Errno::ENOEXEC => not_run(
            &program,
            "exec format error; a script begins with #! and its interpreter, a program is built for this kind of machine",
            NOT_RUNNABLE,
        ),
        errno => not_run(&program, &errno.desc().to_lowercase(), NOT_RUNNABLE),
    }
}

/// A name with a slash is a path, from the working directory; any other is looked for.
fn find(name: &str, path: &str) -> Result<PathBuf, NotRun> {
    if name.contains('/') {
        return match fs::metadata(name) {
            Ok(found) if found.is_dir() => Err(not_run(name, "is a directory", NOT_RUNNABLE)),
            Ok(_) => Ok(name.into()),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(not_run(name, "permission denied", NOT_RUNNABLE))
            }
            Err(_) => Err(not_run(name, "no such file or directory", NOT_FOUND)),
        };
    }
    let mut denied = false;
    for directory in path.split(':') {
        // An empty entry is the working directory, as in shells.
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = Path::new(directory).join(name);
        if !fs::metadata(&candidate).is_ok_and(|found| found.is_file()) || name.is_empty() {
            continue;
        }
        if rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok() {
            return Ok(candidate);
        }
        denied = true;
    }
    match denied {
        true => Err(not_run(name, "permission denied", NOT_RUNNABLE)),
        false => Err(not_run(name, "not found in $PATH", NOT_FOUND)),
    }
}

fn not_run(name: &str, why: &str, code: i32) -> NotRun {
    NotRun { why: format!("exec: \"{}\": {why}", name.escape_debug()), code }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_found_along_path_and_a_missing_one_named() {
        let (first, second) = (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
        let put = |directory: &Path, name: &str, mode| {
            fs::write(directory.join(name), "#!/bin/sh\n").expect("written");
            fs::set_permissions(directory.join(name), fs::Permissions::from_mode(mode)).expect("changed");
        };
        put(first.path(), "plain", 0o644);
        put(second.path(), "plain", 0o755);
        put(second.path(), "text", 0o644);
        let path = format!("{}:/nowhere:{}", first.path().display(), second.path().display());
        assert_eq!(find("plain", &path), Ok(second.path().join("plain")));
        let said = |name: &str| find(name, &path).expect_err(name);
        assert_eq!(said("foo"), NotRun { why: "exec: \"foo\": not found in $PATH".into(), code: 127 });
        assert_eq!(said("text"), NotRun { why: "exec: \"text\": permission denied".into(), code: 126 });
        assert_eq!(said("/no/such").code, 127);
        assert_eq!(said("/").why, "exec: \"/\": is a directory");
        assert_eq!(said("").code, 127);
    }
}
