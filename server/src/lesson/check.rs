//! When a check has passed: the one rule that makes both dialects' scripts work unchanged; and checks that always do.

use super::shell;

/// Whether `done` must be printed besides exit code 0.
///
/// Katacoda passed a step on the word `done`, so some scripts read `if …; then echo done; fi` and exit 0
/// either way. A script that says `exit` or `set -e` speaks through its exit code, as Killercoda's do.
pub fn wants_done(script: &str) -> bool {
    let commands = shell::commands(script);
    let says_done =
        commands.iter().any(|command| matches!(&command[..], [echo, word] if echo == "echo" && word == "done"));
    let says_exit = commands.iter().any(|command| command[0] == "exit" || sets_errexit(command));
    says_done && !says_exit && !shebang_sets_errexit(script)
}

/// Whether no command of a check can fail: it passes whatever the learner does.
pub fn cannot_fail(script: &str) -> bool {
    let says_nothing = |command: &Vec<String>| match command[0].as_str() {
        "echo" | "printf" | "true" | ":" | "sleep" | "clear" | "set" => true,
        "exit" => command.get(1).is_none_or(|code| code == "0"),
        _ => false,
    };
    // What is tested by the shell itself is no command.
    let tests = ["[[", "((", "test ", "[ "].iter().any(|test| script.contains(test));
    !tests && shell::commands(script).iter().all(says_nothing)
}

/// `set -e`, `set -euo pipefail`, `set -o errexit`.
fn sets_errexit(command: &[String]) -> bool {
    command[0] == "set" && command.iter().any(|word| word == "errexit" || is_flags_with_e(word))
}

/// `#!/bin/bash -eu`.
fn shebang_sets_errexit(script: &str) -> bool {
    let first = script.lines().next().unwrap_or_default();
    first.starts_with("#!") && first.split_whitespace().skip(1).any(is_flags_with_e)
}

fn is_flags_with_e(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains('e')
}

#[cfg(test)]
mod tests {
    use super::wants_done;

    #[test]
    fn only_a_script_that_cannot_fail_otherwise_must_print_done() {
        assert!(wants_done("if [ -f /tmp/x ]; then echo done; fi"));
        assert!(wants_done("#!/bin/bash\ntest -f x && echo \"done\""));
        assert!(!wants_done("[ -f x ] || exit 1\necho done"));
        assert!(!wants_done("set -e\ntest -f x\necho done"));
        assert!(!wants_done("#!/bin/bash -eu\ntest -f x\necho done"));
        assert!(!wants_done("set -o errexit\ntest -f x\necho done"));
        assert!(!wants_done("for i in 1; do test -f x; done"));
        assert!(!wants_done("echo not done"));
    }
}
