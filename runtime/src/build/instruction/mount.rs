//! `RUN --mount`: comma-separated fields, and which of them each kind of mount has.

use crate::build::source::{Problem, Span, Word};

use super::{
    BindMount, CacheMount, Mount, MountField, MountFlag, Ownership, SecretMount, Sharing, SshMount, TmpfsMount,
};

const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

const KEYS: [&str; 13] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "readwrite",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
];

impl MountFlag {
    /// Splits the value of `--mount` at its commas. A field in double quotes may hold one.
    pub fn parse(word: &Word) -> Result<Self, Problem> {
        let refuse = |why: &str| Problem::new(word.at, format!("the mount {} cannot be read: {why}", word.text));
        let fields = comma_separated(&word.text).ok_or_else(|| refuse("a double quote is not in its place"))?;
        let field = |text: String| {
            let (key, value) = text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value)));
            let value = value.map(|value| Word::new(value, word.at));
            MountField { key: key.to_lowercase(), value }
        };
        Ok(Self { fields: fields.into_iter().map(field).collect(), at: word.at })
    }

    /// What `from` says, if anything: which stage or image is needed.
    pub fn from(&self) -> Option<&Word> {
        let from = self.fields.iter().rev().find(|field| field.key == "from");
        from.and_then(|field| field.value.as_ref()).filter(|word| !word.text.is_empty())
    }

    /// Reads the fields, whose variables are expanded by now.
    pub fn resolve(&self) -> Result<Mount, Problem> {
        let mut options = Options::default();
        for field in &self.fields {
            options.take(field, self.at)?;
        }
        options.finish(self.at)
    }
}

/// One line of comma-separated values (RFC 4180): a quote within a quoted field is doubled.
fn comma_separated(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, behind) = rest.split_at(end);
                if field.contains('"') {
                    return None;
                }
                (field.to_owned(), behind)
            }
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, behind)),
        }
    }
}

/// Fields as they come, before it is known which of them the mount may have.
#[derive(Default)]
struct Options {
    kind: Option<String>,
    from: Option<Word>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<Sharing>,
    required: Option<bool>,
    size_bytes: Option<u64>,
    env: Option<String>,
    owner: Ownership,
}

impl Options {
    fn take(&mut self, field: &MountField, at: Span) -> Result<(), Problem> {
        let key = field.key.as_str();
        let refuse = |message: String| Problem::new(at, message);
        let Some(value) = field.value.as_ref() else {
            match key {
                "readonly" | "ro" => self.read_only = Some(true),
                "readwrite" | "rw" => self.read_only = Some(false),
                "required" => self.required = Some(true),
                _ => return Err(refuse(format!("the mount's {key} needs a value")).advise(format!("write {key}=…"))),
            }
            return Ok(());
        };
        let text = value.text.clone();
        let wrong = |what: &str| refuse(format!("the mount's {key} is {what}, not {:?}", value.text));
        match key {
            "type" => self.kind = Some(text.to_lowercase()),
            "from" => self.from = Some(value.clone()).filter(|from| !from.text.is_empty()),
            "source" | "src" => self.source = Some(text),
            "target" | "dst" | "destination" => self.target = Some(text),
            "readonly" | "ro" => self.read_only = Some(switch(&text).ok_or_else(|| wrong("true or false"))?),
            "readwrite" | "rw" => self.read_only = Some(!switch(&text).ok_or_else(|| wrong("true or false"))?),
            "required" => self.required = Some(switch(&text).ok_or_else(|| wrong("true or false"))?),
            "size" => {
                self.size_bytes = Some(bytes(&text).ok_or_else(|| wrong("a number with a unit, as in 64m or 1g"))?)
            }
            "id" => self.id = Some(text),
            "env" => self.env = Some(text),
            "sharing" => self.sharing = Some(sharing(&text).ok_or_else(|| wrong("shared, private or locked"))?),
            "mode" => self.owner.mode = Some(u32::from_str_radix(&text, 8).map_err(|_| wrong("an octal number"))?),
            "uid" => self.owner.uid = Some(text.parse().map_err(|_| wrong("a number"))?),
            "gid" => self.owner.gid = Some(text.parse().map_err(|_| wrong("a number"))?),
            _ => return Err(refuse(format!("a mount has no {key}")).suggest(key, KEYS)),
        }
        Ok(())
    }

    fn finish(self, at: Span) -> Result<Mount, Problem> {
        let kind = self.kind.clone().unwrap_or_else(|| "bind".to_owned());
        let refuse = |message: String| Problem::new(at, message);
        if !KINDS.contains(&kind.as_str()) {
            return Err(refuse(format!("there is no mount of type {kind}")).suggest(&kind, KINDS));
        }
        self.check_fields(&kind, at)?;
        match kind.as_str() {
            "secret" => return self.secret(at),
            "ssh" => {
                let id = self.id.or(self.source).unwrap_or_else(|| "default".to_owned());
                let required = self.required.unwrap_or(false);
                return Ok(Mount::Ssh(SshMount { id, target: self.target, required, owner: self.owner }));
            }
            _ => (),
        }
        let target = self.target.unwrap_or_default();
        Ok(match kind.as_str() {
            "cache" => Mount::Cache(CacheMount {
                target,
                id: self.id,
                from: self.from,
                source: self.source,
                read_only: self.read_only.unwrap_or(false),
                sharing: self.sharing.unwrap_or_default(),
                owner: self.owner,
            }),
            "tmpfs" => {
                let read_only = self.read_only.unwrap_or(false);
                Mount::Tmpfs(TmpfsMount { target, size_bytes: self.size_bytes, read_only })
            }
            _ => {
                let read_only = self.read_only.unwrap_or(true);
                Mount::Bind(BindMount { target, from: self.from, source: self.source, read_only })
            }
        })
    }

    /// Refuses what a mount of this kind cannot have.
    fn check_fields(&self, kind: &str, at: Span) -> Result<(), Problem> {
        let owned = ["cache", "secret", "ssh"].as_slice();
        let given = [
            ("size", self.size_bytes.is_some(), ["tmpfs"].as_slice()),
            ("required", self.required.is_some(), &["secret", "ssh"]),
            ("sharing", self.sharing.is_some(), &["cache"]),
            ("env", self.env.is_some(), &["secret"]),
            ("mode", self.owner.mode.is_some(), owned),
            ("uid", self.owner.uid.is_some(), owned),
            ("gid", self.owner.gid.is_some(), owned),
            ("from", self.from.is_some(), &["bind", "cache"]),
        ];
        match given.iter().find(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind)) {
            Some((key, _, kinds)) => {
                let message = format!("a mount of type {kind} has no {key}");
                Err(Problem::new(at, message).advise(format!("{key} is for type {}", kinds.join(" and "))))
            }
            None => Ok(()),
        }
    }

    fn secret(self, at: Span) -> Result<Mount, Problem> {
        if self.source.is_some() && self.id.is_some() {
            return Err(Problem::new(at, "a secret cannot have both a source and an id").advise("they mean the same"));
        }
        let last_part = |path: &String| path.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
        let named = self.id.or(self.source).filter(|id| !id.is_empty());
        let Some(id) = named.or_else(|| self.target.as_ref().and_then(last_part)) else {
            return Err(Problem::new(at, "a secret needs an id or a target").advise("write id=NAME"));
        };
        let target = match (self.target, &self.env) {
            (Some(target), _) => Some(target),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", last_part(&id).unwrap_or_else(|| id.clone()))),
        };
        // `env=` alone means the secret's own name.
        let env = self.env.map(|env| if env.is_empty() { id.clone() } else { env });
        let required = self.required.unwrap_or(false);
        Ok(Mount::Secret(SecretMount { id, target, env, required, owner: self.owner }))
    }
}

fn sharing(text: &str) -> Option<Sharing> {
    match text.to_lowercase().as_str() {
        "shared" => Some(Sharing::Shared),
        "private" => Some(Sharing::Private),
        "locked" => Some(Sharing::Locked),
        _ => None,
    }
}

/// Go's `strconv.ParseBool`.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `64m`, `1.5 GiB`, `1024`: units are powers of 1024, whatever their spelling.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let size = number.parse::<f64>().ok()? * 1024f64.powi(power);
    // Beyond this a double has no single bytes any more, and no machine such a memory.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (size.is_finite() && size <= EXACT_MAX).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let flag = MountFlag::parse(&Word::new(text, Span::default()));
        match flag.and_then(|flag| flag.resolve()) {
            Ok(mount) => serde_json::to_string(&mount).unwrap(),
            Err(problem) => problem.words(),
        }
    }

    #[test]
    fn every_kind_has_its_defaults() {
        insta::assert_snapshot!(
            [
                "target=/src",
                "from=build",
                "type=bind,from=build,source=/out,target=/in,rw",
                "type=cache,target=/root/.cache,id=go,sharing=locked,uid=1000,mode=0700",
                "type=tmpfs,target=/tmp,size=1.5g",
                "type=secret,id=token",
                "type=secret,target=/etc/key.pem,required",
                "type=secret,id=token,env=TOKEN",
                "type=ssh",
                "\"type=cache\",\"target=/a,b\"",
            ]
            .map(show)
            .join("\n")
        );
    }

    #[test]
    fn what_a_mount_cannot_have_is_refused_in_words() {
        insta::assert_snapshot!(
            [
                "type=cash,target=/x",
                "type=cache",
                "type=bind,target=/x,size=1m",
                "type=tmpfs,target=/x,mode=0700",
                "type=secret",
                "type=secret,id=a,source=b",
                "type=secret,from=a,id=b",
                "type=cache,target=/x,sharing=lock",
                "target=/x,readonly=maybe",
                "target=/x,tagret=/y",
                "target",
                "type=cache,target=/x,mode=9",
                "\"target=/x",
                "target=/x,size=99999999p,type=tmpfs",
            ]
            .map(show)
            .join("\n")
        );
    }
}
