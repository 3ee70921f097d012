//! `--chmod`: a mode in octal, or what to change of one as in chmod(1).

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Exactly(u32),
    Changed(Vec<Change>),
}

/// `u+x`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of `u`, `g` and `o`.
    who: [bool; 3],
    how: char,
    /// Of the letters `rwx`, once for each of `who`.
    bits: u32,
    /// `X`: `x` for folders, and where somebody may execute already.
    conditional: bool,
    setid: bool,
    sticky: bool,
    /// `g=u`: the bits that another has.
    like: Option<usize>,
}

const ALL: u32 = 0o7777;

impl Mode {
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= ALL).map(Self::Exactly);
        }
        let clauses = text.split(',').map(clause).collect::<Option<Vec<_>>>()?;
        Some(Self::Changed(clauses.into_iter().flatten().collect()))
    }

    /// What a file of this mode gets.
    pub fn of(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Exactly(mode) => *mode,
            Self::Changed(changes) => changes.iter().fold(mode & ALL, |mode, change| change.of(mode, is_folder)),
        }
    }

    /// Folders on the way that no source has a mode for.
    pub fn of_parent(&self) -> u32 {
        match self {
            Self::Exactly(mode) => *mode,
            Self::Changed(_) => 0o755,
        }
    }
}

impl Change {
    fn of(&self, mode: u32, is_folder: bool) -> u32 {
        let mut bits = self.bits;
        if let Some(like) = self.like {
            bits = (mode >> shift(like)) & 0o7;
        }
        if self.conditional && (is_folder || mode & 0o111 != 0) {
            bits |= 0o1;
        }
        let mut mask = 0;
        let mut value = 0;
        for (index, _) in self.who.iter().enumerate().filter(|(_, is)| **is) {
            mask |= 0o7 << shift(index);
            value |= bits << shift(index);
        }
        let setid = if self.who[0] { 0o4000 } else { 0 } | if self.who[1] { 0o2000 } else { 0 };
        mask |= setid | if self.who[2] { 0o1000 } else { 0 };
        value |= if self.setid { setid } else { 0 } | if self.sticky { 0o1000 } else { 0 };
        match self.how {
            '+' => mode | value,
            '-' => mode & !value,
            // A folder keeps its setuid and setgid, as with chmod(1), unless they are asked for.
            _ if is_folder && !self.setid => mode & !(mask & !0o6000) | value,
            _ => mode & !mask | value,
        }
    }
}

fn shift(who: usize) -> u32 {
    6 - 3 * who as u32
}

/// One clause can hold several changes: `u=rw+x`.
fn clause(text: &str) -> Option<Vec<Change>> {
    let operators = |c: char| matches!(c, '+' | '-' | '=');
    let first = text.find(operators)?;
    let (people, mut rest) = text.split_at(first);
    let mut who = [false; 3];
    for c in people.chars() {
        match c {
            'u' => who[0] = true,
            'g' => who[1] = true,
            'o' => who[2] = true,
            'a' => who = [true; 3],
            _ => return None,
        }
    }
    if people.is_empty() {
        who = [true; 3];
    }
    let mut changes = Vec::new();
    while let Some(how) = rest.chars().next() {
        let end = rest[1..].find(operators).map_or(rest.len(), |end| end + 1);
        changes.push(change(who, how, &rest[1..end])?);
        rest = &rest[end..];
    }
    Some(changes)
}

fn change(who: [bool; 3], how: char, letters: &str) -> Option<Change> {
    let mut change = Change { who, how, bits: 0, conditional: false, setid: false, sticky: false, like: None };
    for c in letters.chars() {
        match c {
            'r' => change.bits |= 0o4,
            'w' => change.bits |= 0o2,
            'x' => change.bits |= 0o1,
            'X' => change.conditional = true,
            's' => change.setid = true,
            't' => change.sticky = true,
            'u' | 'g' | 'o' if letters.len() == 1 => change.like = "ugo".find(c),
            _ => return None,
        }
    }
    Some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, before: u32, is_folder: bool, after: u32) {
        let mode = Mode::parse(text).unwrap_or_else(|| panic!("{text} is a mode"));
        assert_eq!(mode.of(before, is_folder), after, "{text} of {before:o} is {:o}", mode.of(before, is_folder));
    }

    #[test]
    fn octal_replaces_and_letters_change() {
        check("0755", 0o644, false, 0o755);
        check("4711", 0o644, false, 0o4711);
        check("u+x", 0o644, false, 0o744);
        check("+x", 0o644, false, 0o755);
        check("go-rwx", 0o755, false, 0o700);
        check("u=rwX,go=rX", 0o600, false, 0o644);
        check("u=rwX,go=rX", 0o700, true, 0o755);
        check("a=rX", 0o711, false, 0o555);
        check("g=u", 0o740, false, 0o770);
        check("u+s", 0o755, false, 0o4755);
        check("g+s,o+t", 0o755, true, 0o3755);
        check("u=rw+x", 0o000, false, 0o700);
        check("u=rw", 0o2755, true, 0o2655);
        check("u-s", 0o4755, false, 0o755);
    }

    #[test]
    fn anything_else_is_no_mode() {
        for bad in ["", "8", "10000", "x", "u", "z+x", "u+y", "u+x,", "+ug"] {
            assert_eq!(
                Mode::parse(bad).filter(|mode| !matches!(mode, Mode::Changed(all) if all.is_empty())),
                None,
                "{bad}"
            );
        }
    }
}
