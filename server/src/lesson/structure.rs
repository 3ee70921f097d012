//! Which courses there are, and which scenarios in which order: folders, `structure.json`, Katacoda's pathways.
//!
//! A folder with an `index.json` is a scenario. A folder of scenarios is a course; courses within a repository become
//! courses of the catalogue beside it. It reads no scenario but its title, for sorting.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Report, SourceText, nearest};
use super::json::{self, Node};
use super::katacoda;
use super::model::Diagnostic;
use super::scenario::Spot;
use super::source::{TEXT_BYTES_MAX, decode, read_bounded};

/// Scenarios of one course: more than a catalogue can be read through.
pub const SCENARIOS_MAX: usize = 500;

/// Courses of one installation.
pub const COURSES_MAX: usize = 500;

/// Groups within groups that are looked into.
const DEPTH_MAX: usize = 4;

/// Entries of one folder that are looked at.
const ENTRIES_MAX: usize = 5000;

/// A course, before its scenarios are read.
#[derive(Debug)]
pub struct Outline {
    pub slug: String,
    pub title: String,
    pub description: String,
    pub spots: Vec<Spot>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The courses beneath `lessons`, which holds courses, or is itself one repository, or one scenario.
pub fn discover(lessons: &Path) -> Vec<Outline> {
    let Ok(lessons) = &lessons.canonicalize() else { return Vec::new() };
    let mut survey = Survey { lessons: lessons.clone(), outlines: Vec::new(), visited: HashSet::new() };
    let name = folder_name(lessons);
    if is_scenario(lessons) {
        survey.single(lessons, &name);
    } else if is_repository(lessons) {
        survey.repository(lessons);
    } else {
        for dir in folders(lessons) {
            survey.repository(&dir);
        }
    }
    survey.outlines
}

/// A folder that is to become a course.
struct Group<'a> {
    root: &'a Path,
    dir: &'a Path,
    slug: String,
    /// What the folder above says about it.
    called: Option<Called>,
    /// Its texts are in this language.
    language: Option<String>,
    depth: usize,
}

#[derive(Debug, Clone, Default)]
struct Called {
    title: Option<String>,
    description: Option<String>,
}

struct Survey {
    lessons: PathBuf,
    outlines: Vec<Outline>,
    visited: HashSet<PathBuf>,
}

impl Survey {
    /// A lone scenario is a course of one.
    fn single(&mut self, dir: &Path, name: &str) {
        let root = dir.parent().unwrap_or(dir);
        let mut outline = Outline {
            slug: course_slug(&folder_name(root)),
            title: String::new(),
            description: String::new(),
            spots: Vec::new(),
            diagnostics: Vec::new(),
        };
        outline.title.clone_from(&outline.slug);
        self.lessons = root.to_owned();
        outline.spots.push(self.spot(&outline, root, dir, slug(name), Called::default(), None));
        self.outlines.push(outline);
    }

    /// A repository's courses, then the same in other languages.
    fn repository(&mut self, root: &Path) {
        let slug = course_slug(&folder_name(root));
        let top = katacoda::scenario_root(root);
        let called = top.as_ref().map(|_| Called { title: Some(folder_name(root)), description: None });
        let dir = top.as_deref().unwrap_or(root);
        self.group(&Group { root, dir, slug: slug.clone(), called, language: None, depth: 0 });
        for (dir, language) in katacoda::language_folders(dir) {
            let title = self.outlines.iter().find(|outline| outline.slug == slug).map(|outline| outline.title.clone());
            let title = format!("{} · {}", title.unwrap_or_else(|| folder_name(root)), katacoda::name_of(&language));
            let slug = format!("{slug}.{}", language.to_ascii_lowercase());
            let called = Some(Called { title: Some(title), description: None });
            self.group(&Group { root, dir: &dir, slug, called, language: Some(language), depth: 1 });
        }
    }

    /// A folder's scenarios as a course, then the groups within it as courses of their own.
    fn group(&mut self, group: &Group<'_>) {
        let real = group.dir.canonicalize().unwrap_or_else(|_| group.dir.to_owned());
        if self.outlines.len() == COURSES_MAX || group.depth > DEPTH_MAX || !self.visited.insert(real) {
            return;
        }
        let mut report = Report::default();
        let structure = Structure::of(&self.lessons, group.dir, &mut report);
        let entries = entries(structure.as_ref(), group, &mut report);
        let called = group.called.clone().unwrap_or_default();
        let said = structure.map(|structure| structure.called).unwrap_or_default();
        let mut outline = Outline {
            slug: group.slug.clone(),
            title: called.title.or(said.title).unwrap_or_else(|| folder_name(group.dir)),
            description: called.description.or(said.description).unwrap_or_default(),
            spots: Vec::new(),
            diagnostics: Vec::new(),
        };
        let (scenarios, groups): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| is_scenario(&entry.dir));
        let mut used = HashSet::new();
        for entry in scenarios.into_iter().take(SCENARIOS_MAX) {
            let slug = unique(slug(&folder_name(&entry.dir)), &mut used);
            outline.spots.push(self.spot(
                &outline,
                group.root,
                &entry.dir,
                slug,
                entry.called,
                group.language.as_deref(),
            ));
        }
        if group.depth == 0 {
            report.extend(katacoda::ignored(&self.lessons, group.root));
        }
        outline.diagnostics = report.into_vec();
        // A folder without anything to say is no course: `assets`, `images`.
        if !outline.spots.is_empty() || !outline.diagnostics.is_empty() {
            self.outlines.push(outline);
        }
        for entry in groups {
            let own = course_slug(&folder_name(&entry.dir));
            let slug = if group.root == self.lessons { own } else { format!("{}.{own}", group.slug) };
            let mut taken: HashSet<String> = self.outlines.iter().map(|outline| outline.slug.clone()).collect();
            let slug = unique(slug, &mut taken);
            self.group(&Group {
                root: group.root,
                dir: &entry.dir,
                slug,
                called: Some(entry.called),
                language: group.language.clone(),
                depth: group.depth + 1,
            });
        }
    }

    fn spot(
        &self,
        outline: &Outline,
        root: &Path,
        dir: &Path,
        slug: String,
        called: Called,
        language: Option<&str>,
    ) -> Spot {
        Spot {
            lessons: self.lessons.clone(),
            root: root.to_owned(),
            dir: dir.to_owned(),
            course: outline.slug.clone(),
            slug,
            title: called.title,
            description: called.description,
            language: language.map(str::to_owned),
        }
    }
}

/// What a folder holds, in order.
fn entries(structure: Option<&Structure>, group: &Group<'_>, report: &mut Report) -> Vec<Entry> {
    let Some(structure) = structure else { return entries_by_title(group.dir) };
    let mut listed = structure.entries(group.root, group.dir, report);
    if !structure.is_exclusive {
        let others =
            entries_by_title(group.dir).into_iter().filter(|other| listed.iter().all(|entry| entry.dir != other.dir));
        listed.extend(others.collect::<Vec<_>>());
    }
    listed
}

/// A folder in a course: a scenario, or a group.
#[derive(Debug)]
struct Entry {
    dir: PathBuf,
    called: Called,
}

/// `structure.json`, or the pathway file that stands for it.
struct Structure {
    text: SourceText,
    called: Called,
    items: Vec<StructureItem>,
    /// What it does not list is not shown. Katacoda's files about a whole profile only say what comes first.
    is_exclusive: bool,
}

struct StructureItem {
    path: String,
    at: usize,
    called: Called,
}

impl Structure {
    /// A folder's own file, if it has a readable one. `NAME-pathway.json` stands beside the folder NAME.
    fn of(lessons: &Path, dir: &Path, report: &mut Report) -> Option<Self> {
        let pathway = dir.parent().map(|parent| parent.join(format!("{}-pathway.json", folder_name(dir))));
        let own = ["structure.json", "homepage-pathway.json", "profile-pathway.json"].map(|name| dir.join(name));
        // Only within the lessons' folder: what lies above it is not ours to read.
        let pathway = pathway.filter(|file| file.parent().is_some_and(|parent| parent.starts_with(lessons)));
        let file = own.into_iter().chain(pathway).find(|file| file.is_file())?;
        let name = file.strip_prefix(lessons).unwrap_or(&file).to_string_lossy().into_owned();
        let is_exclusive = !["homepage-pathway.json", "profile-pathway.json"].iter().any(|whole| file.ends_with(whole));
        let bytes = match read_bounded(&file, TEXT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                report.push(Diagnostic::error(
                    super::diagnostic::Place::file(&name),
                    format!("the file {error}; its folder is listed by titles instead"),
                ));
                return None;
            }
        };
        let (text, _) = decode(name, &bytes);
        match json::parse(&text) {
            Ok((root, warnings)) => {
                report.extend(warnings);
                Some(Self { called: called(&root), items: items(&root), text, is_exclusive })
            }
            Err(error) => {
                report.push(*error);
                None
            }
        }
    }

    fn entries(&self, root: &Path, dir: &Path, report: &mut Report) -> Vec<Entry> {
        self.items.iter().filter_map(|item| self.entry(item, root, dir, report)).collect()
    }

    fn entry(&self, item: &StructureItem, root: &Path, dir: &Path, report: &mut Report) -> Option<Entry> {
        let path = dir.join(item.path.trim_matches('/'));
        // Katacoda's courses also list scenarios that lie beside their folder.
        let beside =
            dir.parent().map(|parent| parent.join(item.path.trim_matches('/'))).filter(|beside| is_scenario(beside));
        let path = match path.exists() {
            true => path,
            false => beside.or_else(|| numbered(&path)).unwrap_or(path),
        };
        let (Ok(real), Ok(top)) = (path.canonicalize(), root.canonicalize()) else {
            report.push(self.dangling(item, &path));
            return None;
        };
        if !real.starts_with(&top) {
            report
                .push(Diagnostic::error(self.text.at(item.at), format!("`{}` lies outside the repository", item.path)));
            return None;
        }
        // Seen from `root` as the caller named it, so that paths compare.
        let dir = root.join(real.strip_prefix(&top).unwrap_or(&real));
        dir.is_dir().then(|| Entry { dir, called: item.called.clone() })
    }

    fn dangling(&self, item: &StructureItem, path: &Path) -> Diagnostic {
        let names: Vec<String> =
            path.parent().map(folders).unwrap_or_default().iter().map(|dir| folder_name(dir)).collect();
        let meant =
            nearest(&folder_name(path), names.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
        Diagnostic::error(self.text.at(item.at), format!("there is no folder `{}`", item.path)).maybe_hint(meant)
    }
}

fn called(node: &Node) -> Called {
    let text = |key| node.get(key).and_then(Node::text).filter(|text| !text.trim().is_empty());
    Called { title: text("title"), description: text("description") }
}

/// `items` with paths, or Katacoda's `courses` with ids.
fn items(root: &Node) -> Vec<StructureItem> {
    let list = root.get("items").or_else(|| root.get("courses")).map(Node::items).unwrap_or_default();
    list.iter().filter_map(item).collect()
}

fn item(node: &Node) -> Option<StructureItem> {
    let path = ["path", "course_id", "id", "pathway_id"].iter().find_map(|key| node.get(key))?;
    let text = path.text().filter(|text| !text.trim().is_empty())?;
    Some(StructureItem { path: text, at: path.at, called: called(node) })
}

/// Without a structure: by title, as Killercoda sorts, whatever numbers the folders start with.
fn entries_by_title(dir: &Path) -> Vec<Entry> {
    let mut titled: Vec<(String, PathBuf)> =
        folders(dir).into_iter().map(|dir| (title_of(&dir).to_lowercase(), dir)).collect();
    titled.sort();
    titled.into_iter().map(|(_, dir)| Entry { dir, called: Called::default() }).collect()
}

/// A scenario's title where it can be read, else the folder's name.
fn title_of(dir: &Path) -> String {
    let read = || {
        let bytes = read_bounded(&dir.join("index.json"), TEXT_BYTES_MAX).ok()?;
        let (text, _) = decode(String::new(), &bytes);
        json::parse(&text).ok()?.0.get("title")?.text()
    };
    read().unwrap_or_else(|| folder_name(dir))
}

/// A folder with an `index.json`.
pub fn is_scenario(dir: &Path) -> bool {
    dir.join("index.json").is_file()
}

/// One repository of scenarios, rather than a folder that holds several: its pictures may lie beside its courses.
fn is_repository(dir: &Path) -> bool {
    let marks = [
        "structure.json",
        "katacoda.yaml",
        "homepage-pathway.json",
        "profile-pathway.json",
        ".git",
        ".github",
        "README.md",
        "LICENSE",
    ];
    marks.iter().any(|name| dir.join(name).exists()) || folders(dir).iter().any(|dir| is_scenario(dir))
}

/// The folders in a folder, sorted; not the hidden ones, and not what lessons keep beside them.
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.is_dir() && !is_set_aside(&folder_name(path))).collect();
    found.sort();
    found
}

/// Hidden folders, translations that nobody chose, environments, programs.
fn is_set_aside(name: &str) -> bool {
    name.starts_with(['.', '_']) || ["environments", "node_modules"].contains(&name)
}

fn folder_name(dir: &Path) -> String {
    let real = if dir.file_name().is_none() { dir.canonicalize().ok() } else { None };
    let dir = real.as_deref().unwrap_or(dir);
    dir.file_name().map_or_else(|| "lessons".into(), |name| name.to_string_lossy().into_owned())
}

/// The one folder that is called so behind a number for its order: `01-intro` for `intro`.
fn numbered(path: &Path) -> Option<PathBuf> {
    let wanted = folder_name(path);
    let is_meant = |dir: &PathBuf| {
        let name = folder_name(dir);
        let rest = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
        rest.len() < name.len() && rest.trim_start_matches(['-', '_', '.', ' ']) == wanted
    };
    let mut meant = folders(path.parent()?).into_iter().filter(is_meant);
    meant.next().filter(|_| meant.next().is_none())
}

/// One segment of a URL: `[a-z0-9][a-z0-9._-]*`.
fn slug(name: &str) -> String {
    let letters = name
        .chars()
        .flat_map(char::to_lowercase)
        .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' });
    let slug: String = letters.collect();
    match slug.trim_matches(['-', '.', '_']) {
        "" => "lesson".into(),
        slug => slug.into(),
    }
}

/// A course's segment: the site has pages of its own, and a course must not take their place.
fn course_slug(name: &str) -> String {
    match slug(name).as_str() {
        taken @ ("api" | "assets" | "health" | "look") => format!("{taken}-course"),
        free => free.into(),
    }
}

fn unique(slug: String, used: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{slug}-{number}"));
    let free = std::iter::once(slug.clone()).chain(numbered).find(|candidate| !used.contains(candidate));
    let free = free.expect("there are more numbers than names");
    used.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_url_segments() {
        for (name, expected) in
            [("Course 1", "course-1"), ("01_Intro", "01_intro"), ("Größe", "gr--e"), ("..", "lesson")]
        {
            assert_eq!(slug(name), expected);
        }
    }
}
