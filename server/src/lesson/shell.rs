//! Which commands a shell text names: enough of a reader to tell `docker run` from `echo docker run`.
//!
//! It expands nothing and runs nothing; heredocs, quotes and comments are skipped as what they are.

/// A script longer than this many commands has told enough about what it needs.
const COMMANDS_MAX: usize = 5000;

/// A command and its arguments, quotes removed: `["apt-get", "install", "-y", "jq"]`.
pub type Command = Vec<String>;

/// The simple commands of a text, in order, wherever one may stand: after `;`, `|`, `&&`, `$(`, `then`, `sudo`.
pub fn commands(text: &str) -> Vec<Command> {
    let mut reader = Reader { rest: text, ..Reader::default() };
    while reader.commands.len() < COMMANDS_MAX && reader.step() {}
    reader.end_command();
    reader.commands.into_iter().map(unwrap_prefixes).filter(|command| !command.is_empty()).collect()
}

#[derive(Default)]
struct Reader<'a> {
    rest: &'a str,
    word: Option<String>,
    command: Command,
    commands: Vec<Command>,
    /// Ends of heredocs whose bodies begin at the next line.
    heredocs: Vec<String>,
}

impl Reader<'_> {
    /// Reads one character, or what it opens.
    fn step(&mut self) -> bool {
        let Some(letter) = self.take() else { return false };
        match letter {
            '\\' => self.escaped(),
            '\'' => self.quoted_plainly(),
            '"' => self.quoted(),
            '#' if self.word.is_none() => self.skip_to_line_end(),
            '\n' => self.line_ended(),
            ' ' | '\t' | '\r' => self.end_word(),
            '<' if self.rest.starts_with('<') && !self.rest.starts_with("<<") => self.heredoc(),
            '<' | '>' => self.redirection(),
            ';' | '|' | '&' | '(' | ')' | '`' => self.end_command(),
            '$' if self.rest.starts_with('(') && !self.rest.starts_with("((") => self.end_word(),
            letter => self.word.get_or_insert_default().push(letter),
        }
        true
    }

    fn take(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn escaped(&mut self) {
        match self.take() {
            Some('\n') | None => {}
            Some(letter) => self.word.get_or_insert_default().push(letter),
        }
    }

    fn quoted_plainly(&mut self) {
        let end = self.rest.find('\'').unwrap_or(self.rest.len());
        self.word.get_or_insert_default().push_str(&self.rest[..end]);
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
    }

    /// Within double quotes only `$(` starts a command: what it holds is read as a text of its own.
    fn quoted(&mut self) {
        let start = self.rest;
        self.word.get_or_insert_default();
        while let Some(letter) = self.take() {
            match letter {
                '"' => break,
                '\\' => self.escaped(),
                letter => self.word.get_or_insert_default().push(letter),
            }
        }
        let inside = &start[..start.len() - self.rest.len()];
        for substitution in inside.split("$(").skip(1) {
            let end = substitution.find([')', '"']).unwrap_or(substitution.len());
            self.commands.extend(commands(&substitution[..end]));
        }
    }

    fn skip_to_line_end(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    /// `<<EOF`, `<<-'EOF'`: remembers where the body ends.
    fn heredoc(&mut self) {
        self.end_word();
        let mark = self.rest[1..].trim_start_matches('-').trim_start_matches([' ', '\t']);
        let length =
            mark.find(|letter: char| letter.is_whitespace() || ";|&<>)".contains(letter)).unwrap_or(mark.len());
        self.heredocs.push(mark[..length].replace(['\'', '"', '\\'], ""));
        self.rest = &mark[length..];
    }

    /// `> file`, `2>&1`, `<<< word`: neither command nor argument.
    fn redirection(&mut self) {
        // The `2` of `2>` is a descriptor.
        self.word.take_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        self.end_word();
        self.rest = self.rest.trim_start_matches(['>', '<', '&', ' ', '\t']);
        let length = self
            .rest
            .find(|letter: char| letter.is_whitespace() || ";|&<>()".contains(letter))
            .unwrap_or(self.rest.len());
        self.rest = &self.rest[length..];
    }

    fn line_ended(&mut self) {
        self.end_command();
        for end in std::mem::take(&mut self.heredocs) {
            while !self.rest.is_empty() {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                if line.trim() == end {
                    break;
                }
            }
        }
    }

    fn end_word(&mut self) {
        self.command.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }
}

/// Words that may stand before a command without being it.
const PREFIXES: [&str; 21] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "{", "}", "fi", "done", "time", "sudo", "exec",
    "command", "nohup", "env", "eval", "xargs", "setsid",
];

/// Takes `sudo -E VAR=x` and the like off the front.
fn unwrap_prefixes(mut command: Command) -> Command {
    let is_prefix = |word: &String| PREFIXES.contains(&word.as_str()) || is_assignment(word);
    let mut count = 0;
    while let Some(word) = command.get(count) {
        let flag_of_prefix = count > 0 && word.starts_with('-');
        match is_prefix(word) || flag_of_prefix {
            true => count += 1,
            false => break,
        }
    }
    command.drain(..count);
    command
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        commands(text).into_iter().map(|command| command.join(" ")).collect()
    }

    #[test]
    fn commands_are_found_where_a_shell_would_run_them() {
        assert_eq!(
            names("docker run -d nginx && sudo -E docker ps | grep web"),
            ["docker run -d nginx", "docker ps", "grep web"]
        );
        assert_eq!(
            names("if ! systemctl status x; then echo 'docker build'; fi"),
            ["systemctl status x", "echo docker build"]
        );
        assert_eq!(names("echo \"now: $(docker ps -q)\""), ["docker ps -q", "echo now: $(docker ps -q)"]);
        assert_eq!(names("A=1 FOO=$(curl http://x) cmd \\\n  two 2>/dev/null"), ["curl http://x", "cmd two"]);
    }

    #[test]
    fn quotes_comments_and_heredocs_are_not_commands() {
        assert_eq!(names("# docker ps\necho \"docker ps\" # docker"), ["echo docker ps"]);
        assert_eq!(names("cat <<'EOF' > file\ndocker ps\nEOF\nls"), ["cat", "ls"]);
        assert_eq!(names("cat <<EOF\nnever closed"), ["cat"]);
        assert_eq!(names("echo 'open"), ["echo open"]);
    }
}
