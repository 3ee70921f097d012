//! Debian's version of a package of Go source, and the version that Go calls it by.

/// Where Debian packages a commit that has no tag, its version names the commit as Debian does. These are the same commits
/// as Go names them (Go modules reference, "Pseudo-versions"): module, Debian's version without its revision, Go's.
const COMMITS: &[(&str, &str, &str)] = &[
    ("github.com/spf13/pflag", "1.0.6~git20210604-d5e0c0615ace", "v1.0.6-0.20210604193023-d5e0c0615ace"),
    ("gopkg.in/check.v1", "0.0+git20200902.038fdea", "v1.0.0-20200902074654-038fdea0a05b"),
];

/// `1.6.1-1` is `v1.6.1`; `None` if Go has no name for it that we know.
pub fn of(module: &str, debian: &str) -> Option<String> {
    let without_epoch = debian.split_once(':').map_or(debian, |(_, rest)| rest);
    let upstream = without_epoch.rsplit_once('-').map_or(without_epoch, |(upstream, _revision)| upstream);
    if let Some((_, _, version)) = COMMITS.iter().find(|(path, known, _)| *path == module && *known == upstream) {
        return Some((*version).to_owned());
    }
    // Repacked by Debian, without files that it may not or need not ship.
    let tag = ["+dfsg", "+ds"].iter().find_map(|mark| upstream.split_once(mark)).map_or(upstream, |(tag, _)| tag);
    let numbers: Vec<&str> = tag.split('.').collect();
    let plain = numbers.len() == 3
        && numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let major = numbers[0].parse::<u32>().ok()?;
    (plain && fits(module, major)).then(|| format!("v{tag}"))
}

/// From version 2 on a module's path names its major version; gopkg.in always does, in its own way.
fn fits(module: &str, major: u32) -> bool {
    match module.strip_prefix("gopkg.in/") {
        Some(rest) => rest.ends_with(&format!(".v{major}")),
        None if major < 2 => true,
        None => module.ends_with(&format!("/v{major}")),
    }
}

/// A path or version in names of files, where capital letters are written `!` and the small letter.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        if letter.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(letter.to_ascii_lowercase());
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_versions_are_tags_or_known_commits() {
        let check = |module, debian| of(module, debian).unwrap_or_else(|| "-".into());
        assert_eq!(check("github.com/spf13/cobra", "1.6.1-1"), "v1.6.1");
        assert_eq!(check("golang.org/x/net", "1:0.7.0+dfsg-1"), "v0.7.0");
        assert_eq!(check("github.com/cpuguy83/go-md2man/v2", "2.0.2+ds1-1"), "v2.0.2");
        assert_eq!(check("gopkg.in/yaml.v3", "3.0.1-3"), "v3.0.1");
        assert_eq!(
            check("github.com/spf13/pflag", "1.0.6~git20210604-d5e0c0615ace-1"),
            "v1.0.6-0.20210604193023-d5e0c0615ace"
        );
        assert_eq!(check("github.com/spf13/pflag", "1.0.7~git20990101-abcdef123456-1"), "-");
        assert_eq!(check("example.org/a", "0.0~git20210101.abcdef1-1"), "-");
        assert_eq!(check("example.org/a", "2.0.0-1"), "-");
        assert_eq!(check("gopkg.in/yaml.v2", "3.0.1-3"), "-");
    }

    #[test]
    fn capital_letters_are_escaped() {
        assert_eq!(escaped("github.com/BurntSushi/toml"), "github.com/!burnt!sushi/toml");
    }
}
