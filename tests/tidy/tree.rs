//! The files of the workspace, and how a broken rule is reported.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file: its path from the workspace's root, with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// Lines with their numbers, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// What somebody sees who broke a rule.
    pub fn broken(&self, line: usize, rule: &str) -> String {
        format!("{}:{line}: {rule}", self.path)
    }
}

/// Every Rust, Markdown and TOML file and every script of the workspace, in the order of their
/// paths.
pub fn workspace() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') && name != ".ci";
            if path.is_symlink() || hidden || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Some(source) = read(&root, &path) {
                found.push(source);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    listed
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .map(|entry| entry.path())
        .collect()
}

fn read(root: &Path, path: &Path) -> Option<Source> {
    let relative = path
        .strip_prefix(root)
        .ok()?
        .to_string_lossy()
        .replace('\\', "/");
    let source = Source::new(&relative, "");
    let script = relative == ".ci/run" || relative.ends_with("/run") || source.is("sh");
    if !(script
        || ["rs", "md", "toml"]
            .iter()
            .any(|extension| source.is(extension)))
    {
        return None;
    }
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{relative}: {error}"));
    let text = String::from_utf8(bytes).unwrap_or_else(|_| panic!("{relative}: is not UTF-8"));
    Some(Source { text, ..source })
}

/// A name as code would write it: `word` with no letter, digit or `_` on either side.
pub fn has_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

/// A line without its `//` comment; what follows `//` inside a string is lost too, which is enough
/// for rules that look for names.
pub fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}
