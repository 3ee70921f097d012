//! The keys of `index.json`: which work, which mean nothing here, and which are named to the author.
//!
//! Unknown keys harm nothing, as in the originals; but a misspelt one costs its author an hour.

use super::diagnostic::{SourceText, nearest};
use super::json::{Member, Node};
use super::model::Diagnostic;

/// Keys of one object in the file.
struct Level {
    /// Read, by `index`.
    works: &'static [&'static str],
    /// About Katacoda's own pages: nothing to do, and nothing to miss.
    irrelevant: &'static [&'static str],
    /// What an author would miss, and in which words.
    missing: &'static [(&'static str, &'static str)],
}

const ROOT: Level = Level {
    works: &[
        "title",
        "description",
        "difficulty",
        "time",
        "namespace",
        "language",
        "lang",
        "details",
        "backend",
        "interface",
        "environment",
        "files",
        "type",
        "intro",
        "steps",
        "finish",
        "assets",
        "credits",
    ],
    irrelevant: &[
        "icon",
        "tags",
        "pathwayTitle",
        "id",
        "noindex",
        "live",
        "events",
        "$schema",
        "author",
        "version",
        "embedonly",
        "categories",
        "scenarioId",
        "updatedAt",
    ],
    missing: &[
        ("private", "everybody who can open this service sees it"),
        ("authenticated", "nobody signs in here"),
        ("embedded_survey_url", "a page from elsewhere is not shown here"),
        ("asyncFiles", "files are placed before any script runs"),
    ],
};

const DETAILS: Level = Level {
    works: &[
        "intro",
        "steps",
        "finish",
        "assets",
        "difficulty",
        "time",
        "files",
        "foreground",
        "background",
        "code",
        "courseData",
        "title",
        "description",
    ],
    irrelevant: &[],
    missing: &[],
};

const PAGE: Level = Level {
    works: &[
        "title",
        "text",
        "foreground",
        "background",
        "code",
        "courseData",
        "verify",
        "hint",
        "answer",
        "solution",
        "credits",
    ],
    irrelevant: &["id", "description"],
    missing: &[],
};

const BACKEND: Level = Level {
    works: &["imageid", "imageId", "port"],
    irrelevant: &["livetime", "url", "background"],
    missing: &[
        ("dockerimage", "the machine is chosen by imageid alone"),
        ("envs", "variables of the machine are set by a foreground script"),
        ("userid", "the learner is root"),
        ("groupid", "the learner is root"),
    ],
};

const INTERFACE: Level = Level { works: &["layout", "uilayout"], irrelevant: &[], missing: &[] };

const ENVIRONMENT: Level = Level {
    works: &[
        "uilayout",
        "uimessage1",
        "uimessage2",
        "dashboards",
        "showdashboard",
        "terminals",
        "hideintro",
        "hidefinish",
        "uieditorpath",
    ],
    irrelevant: &[
        "uisettings",
        "hideHiddenFiles",
        "exclusionPatterns",
        "hidesidebar",
        "delayToSaveFileAfterStopTypingMilliseconds",
        "icon",
        "uiterminalpath",
    ],
    missing: &[
        ("showide", "there is no editor yet"),
        ("idePort", "there is no editor yet"),
        ("showvisualise", "the machine is not drawn here"),
    ],
};

/// What is to be said about the keys of a file.
pub fn remarks(source: &SourceText, root: &Node) -> Vec<Diagnostic> {
    let mut remarks = Vec::new();
    let mut look = |node: Option<&Node>, level: &Level| {
        for member in node.map(Node::members).unwrap_or_default() {
            remarks.extend(level.remark(source, member));
        }
    };
    let details = root.get("details");
    look(Some(root), &ROOT);
    look(details, &DETAILS);
    look(root.get("backend"), &BACKEND);
    look(root.get("interface"), &INTERFACE);
    look(root.get("environment"), &ENVIRONMENT);
    for parent in [Some(root), details].into_iter().flatten() {
        look(parent.get("intro"), &PAGE);
        look(parent.get("finish"), &PAGE);
        for step in parent.get("steps").map(Node::items).unwrap_or_default() {
            look(Some(step), &PAGE);
        }
    }
    remarks
}

impl Level {
    fn remark(&self, source: &SourceText, member: &Member) -> Option<Diagnostic> {
        let key = member.key.as_str();
        if self.works.contains(&key) || self.irrelevant.contains(&key) || is_off(&member.node) {
            return None;
        }
        let place = source.at(member.at);
        if let Some((_, why)) = self.missing.iter().find(|(missing, _)| *missing == key) {
            return Some(Diagnostic::warning(place, format!("`{key}` does nothing: {why}")));
        }
        let meant = nearest(key, self.works.iter().copied());
        Some(
            Diagnostic::warning(place, format!("the key `{key}` is not known"))
                .maybe_hint(meant.map(|key| format!("did you mean `{key}`?"))),
        )
    }
}

/// Switched off: nothing is missed.
fn is_off(node: &Node) -> bool {
    node.text().is_some_and(|text| text.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::json;

    fn said(text: &str) -> Vec<String> {
        let source = SourceText { file: "index.json".into(), text: text.into() };
        let (root, _) = json::parse(&source).unwrap();
        remarks(&source, &root).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_works_or_is_irrelevant_or_is_named_where_it_stands() {
        assert_eq!(said(r#"{"title": "x", "tags": [], "private": false}"#), [""; 0]);
        assert_eq!(
            said("{\"private\": true,\n \"details\": {\"steps\": [{\"verfy\": \"v.sh\"}]}}"),
            [
                "index.json:1:2: warning: `private` does nothing: everybody who can open this service sees it",
                "index.json:2:25: warning: the key `verfy` is not known (did you mean `verify`?)"
            ]
        );
    }
}
