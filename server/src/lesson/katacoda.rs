//! Files and folders of a Katacoda repository beside its scenarios: `katacoda.yaml`, `strings.yaml`, `_de/`.

use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::Place;
use super::model::Diagnostic;
use super::scenario::is_language;
use super::source::read_bounded;

/// `katacoda.yaml` has a handful of lines.
const YAML_BYTES_MAX: u64 = 64 << 10;

/// Languages of one repository.
const LANGUAGES_MAX: usize = 50;

/// Where `katacoda.yaml` says that the scenarios are, if that is a folder of the repository.
pub fn scenario_root(root: &Path) -> Option<PathBuf> {
    let bytes = read_bounded(&root.join("katacoda.yaml"), YAML_BYTES_MAX).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| line.strip_prefix("scenario_root:"))?;
    let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).trim_matches('/');
    let is_plain = !value.is_empty() && value.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    let dir = root.join(value);
    let inside = dir.canonicalize().ok()?.starts_with(root.canonicalize().ok()?);
    (is_plain && inside && dir.is_dir()).then_some(dir)
}

/// `_de/` and its like, which hold the same scenarios in other languages.
pub fn language_folders(dir: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let language = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_prefix('_')?.replace('_', "-");
        (is_language(&name) && name.len() <= 7).then_some(name)
    };
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut found: Vec<_> = paths.filter_map(|path| language(&path).map(|language| (path, language))).collect();
    found.sort();
    found.truncate(LANGUAGES_MAX);
    found
}

/// The language in its own words, where it is a common one.
pub fn name_of(language: &str) -> String {
    let name = match language.split('-').next().unwrap_or_default() {
        "ar" => "العربية",
        "cs" => "Čeština",
        "de" => "Deutsch",
        "en" => "English",
        "es" => "Español",
        "fr" => "Français",
        "it" => "Italiano",
        "ja" => "日本語",
        "ko" => "한국어",
        "nl" => "Nederlands",
        "pl" => "Polski",
        "pt" => "Português",
        "ru" => "Русский",
        "tr" => "Türkçe",
        "uk" => "Українська",
        "zh" => "中文",
        _ => return language.to_owned(),
    };
    name.to_owned()
}

/// What a repository says to Katacoda alone.
pub fn ignored(lessons: &Path, root: &Path) -> Option<Diagnostic> {
    let file = root.join("strings.yaml");
    let name = file.strip_prefix(lessons).unwrap_or(&file).to_string_lossy().into_owned();
    file.is_file().then(|| {
        Diagnostic::warning(Place::file(name), "it changes words of Katacoda's own pages, and is ignored here")
    })
}
