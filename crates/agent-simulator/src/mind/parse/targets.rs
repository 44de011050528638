//! Which words of a task are files, patterns or folders.

use super::quotes::Quoted;
use crate::mind::step::{Scope, Target};

/// Names that people write without an extension.
const BARE_NAMES: &[&str] = &[
    "makefile",
    "dockerfile",
    "license",
    "licence",
    "changelog",
    "contributing",
    "readme",
    "justfile",
];
/// What people call kinds of files.
const KINDS: &[(&str, &str)] = &[
    ("python", "**/*.py"),
    ("rust", "**/*.rs"),
    ("javascript", "**/*.js"),
    ("typescript", "**/*.ts"),
    ("go", "**/*.go"),
    ("java", "**/*.java"),
    ("ruby", "**/*.rb"),
    ("c", "**/*.c"),
    ("c++", "**/*.cpp"),
    ("shell", "**/*.sh"),
    ("bash", "**/*.sh"),
    ("markdown", "**/*.md"),
    ("text", "**/*.txt"),
    ("json", "**/*.json"),
    ("toml", "**/*.toml"),
    ("yaml", "**/*.yaml"),
    ("html", "**/*.html"),
    ("css", "**/*.css"),
    ("sql", "**/*.sql"),
    ("csv", "**/*.csv"),
];
const FILE_WORDS: &[&str] = &[
    "file",
    "files",
    "source",
    "sources",
    "script",
    "scripts",
    "code",
    "document",
    "documents",
    "modules",
];
/// Endings that follow a point and are no file type.
const NO_FILES: &[&str] = &["e.g", "i.e", "etc", "and/or", "n/a"];

/// The files and patterns that a clause names, in order, each once.
pub(crate) fn targets(clause: &str, quoted: &Quoted) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for word in clause.split_whitespace() {
        let name = match quoted.literal(word) {
            Some(literal) => literal.trim(),
            None => trim(word),
        };
        let target = if name.contains(char::is_whitespace) {
            None
        } else {
            target(name)
        };
        found.extend(target.filter(|target| !found.contains(target)));
    }
    if found.is_empty() {
        found.extend(kind(clause).map(|pattern| Target::Pattern(pattern.to_owned())));
    }
    found
}

/// One word as a file or a pattern.
pub(crate) fn target(name: &str) -> Option<Target> {
    if name.is_empty() || NO_FILES.contains(&name) || name.contains("://") {
        return None;
    }
    if name.contains('*') && name.len() > 1 {
        return Some(Target::Pattern(name.to_owned()));
    }
    if BARE_NAMES.contains(&name.to_lowercase().as_str()) {
        // People say "the readme"; the file has a fuller name.
        return Some(match name.chars().next() {
            Some(first) if first.is_uppercase() => Target::File(name.to_owned()),
            _ => Target::Pattern(format!("**/{}*", name.to_uppercase())),
        });
    }
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    let is_file = match last.rsplit_once('.') {
        Some((_, extension)) => {
            (1..=10).contains(&extension.len())
                && extension
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !extension.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    };
    (is_file || (name.contains('/') && !name.ends_with('/') && name.len() > 1))
        .then(|| Target::File(name.to_owned()))
}

/// The kind of files that a clause speaks of: "the Python files", "all files".
pub(crate) fn kind(clause: &str) -> Option<&'static str> {
    let words: Vec<String> = clause
        .split_whitespace()
        .map(|word| trim(word).to_lowercase())
        .collect();
    let pairs = words
        .windows(2)
        .filter(|pair| FILE_WORDS.contains(&pair[1].as_str()));
    let named = pairs
        .filter_map(|pair| KINDS.iter().find(|(name, _)| *name == pair[0]))
        .map(|(_, pattern)| *pattern)
        .next();
    let all = || {
        let all = [
            "all files",
            "every file",
            "each file",
            "all the files",
            "the files",
        ];
        let joined = words.join(" ");
        all.iter().any(|phrase| joined.contains(phrase)).then_some("**/*")
    };
    named.or_else(all)
}

/// Where to search: after "in" and the like, a file, a folder or a kind of files.
pub(crate) fn scope(place: &str, quoted: &Quoted) -> Scope {
    match targets(place, quoted).into_iter().next() {
        Some(Target::File(path)) => Scope {
            path: Some(path),
            glob: None,
        },
        Some(Target::Pattern(glob)) if glob == "**/*" => Scope::default(),
        Some(Target::Pattern(glob)) => Scope {
            path: None,
            glob: Some(glob),
        },
        None => Scope {
            path: folder(place, quoted),
            glob: None,
        },
    }
}

/// A folder named in words such as `src`, "the src folder", "src/"; `None` for "this folder", "here", "the project".
pub(crate) fn folder(place: &str, quoted: &Quoted) -> Option<String> {
    const NOT_NAMES: &[&str] = &[
        "this",
        "the",
        "that",
        "my",
        "our",
        "current",
        "whole",
        "entire",
        "here",
        "folder",
        "directory",
        "dir",
        "project",
        "workspace",
        "repository",
        "repo",
        "code",
        "codebase",
        "it",
        "there",
        "everywhere",
        "all",
        "every",
        "each",
        "file",
        "files",
        "source",
        "sources",
        "subfolder",
        "subdirectory",
        "root",
        "a",
        "an",
        "of",
        "and",
        "now",
        "again",
        "first",
    ];
    let words = place
        .split_whitespace()
        .map(|word| quoted.literal(word).map_or_else(|| trim(word), str::trim));
    let mut names =
        words.filter(|word| !word.is_empty() && !NOT_NAMES.contains(&word.to_lowercase().as_str()));
    match (names.next(), names.next()) {
        (Some(name), None) => Some(name.trim_end_matches('/').to_owned()),
        _ => None,
    }
}

/// A word without the punctuation around it; the point of `.gitignore` stays.
pub(crate) fn trim(word: &str) -> &str {
    let word = word.trim_end_matches([',', '.', ':', ';', '!', '?', ')', ']', '(', '"', '\'']);
    word.trim_start_matches(['(', '[', ',', ':', '"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_files() {
        let names = |text: &str| {
            let quoted = Quoted::new(text);
            targets(&quoted.text, &quoted)
                .iter()
                .map(|target| target.name().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names("read hello.py, `my notes`, src/a.rs and .gitignore."),
            ["hello.py", "src/a.rs", ".gitignore"]
        );
        assert_eq!(names("of the Python files"), ["**/*.py"]);
        assert_eq!(names("version 1.2, e.g. nothing and/or so"), Vec::<String>::new());
        assert_eq!(
            names("show *.toml and the readme, README"),
            ["*.toml", "**/README*", "README"]
        );
        assert_eq!(names("every file"), ["**/*"]);
    }

    #[test]
    fn folders_in_words() {
        let folder = |text: &str| folder(text, &Quoted::new(text));
        assert_eq!(folder("the src folder").as_deref(), Some("src"));
        assert_eq!(folder("this folder?"), None);
        assert_eq!(folder("tests/").as_deref(), Some("tests"));
    }
}
