//! Paths that tools never touch.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::characters::shown;
use crate::command::{real, words_named};
use crate::path::{RelPath, check_relative};

/// The most patterns. Every path that a tool touches is compared with all of them.
pub const MAX_DENIED_PATHS: usize = 256;

/// A pattern that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the denied path {pattern} {problem}")]
pub struct DeniedPathError {
    /// The pattern as it was written, shortened and escaped.
    pub pattern: String,
    /// What is wrong with it and what would be valid.
    pub problem: String,
}

/// Patterns of paths that are denied in every mode, with all that is below them.
///
/// A pattern with a `/` in it is relative to the workspace; one without is a name at any depth. `*` and `?` stay
/// within a name, `**` does not. Letters match in either case, since some file systems take them so. For
/// commands this finds only what the text names: a search through a whole folder reads what is in it.
#[derive(Clone, Debug, Default)]
pub struct DeniedPaths {
    globs: GlobSet,
    /// For each glob, the pattern that it was made from.
    patterns: Vec<String>,
}

impl DeniedPaths {
    /// Patterns from the configuration's list.
    pub fn new(patterns: &[String]) -> Result<Self, DeniedPathError> {
        let error = |pattern: &str, problem: String| DeniedPathError {
            pattern: shown(pattern),
            problem,
        };
        if let Some(pattern) = patterns.get(MAX_DENIED_PATHS) {
            return Err(error(
                pattern,
                format!("is one too many; at most {MAX_DENIED_PATHS} are used"),
            ));
        }
        let mut globs = GlobSetBuilder::new();
        let mut made_from = Vec::new();
        for pattern in patterns {
            for glob in spelled_out(pattern).map_err(|problem| error(pattern, problem))? {
                let glob = GlobBuilder::new(&glob)
                    .case_insensitive(true)
                    .literal_separator(true)
                    .build()
                    .map_err(|why| error(pattern, format!("is no pattern: {}", why.kind())))?;
                globs.add(glob);
                made_from.push(pattern.clone());
            }
        }
        let whole = |why: globset::Error| error(&patterns.join(", "), format!("can't be used: {why}"));
        Ok(Self {
            globs: globs.build().map_err(whole)?,
            patterns: made_from,
        })
    }

    /// The pattern that a path falls under, if it is denied. For walking folders as well.
    pub fn pattern_for(&self, path: &RelPath) -> Option<&str> {
        let glob = *self.globs.matches(path.as_path()).first()?;
        self.patterns.get(glob).map(String::as_str)
    }

    /// A word of a command line that names a denied path, and the pattern it falls under.
    pub(super) fn named_in(&self, cmd: &str, workspace: Option<&Path>) -> Option<(String, &str)> {
        if self.patterns.is_empty() {
            return None;
        }
        // Without a workspace absolute paths are still compared by their names.
        let root = workspace.unwrap_or(Path::new("/"));
        words_named(cmd).into_iter().find_map(|word| {
            let path = check_relative(root, &word).ok()?;
            let pattern = self
                .pattern_for(&path)
                .or_else(|| self.pattern_behind(&path, workspace?));
            pattern.map(|pattern| (word, pattern))
        })
    }

    /// The pattern for what a path names by links.
    fn pattern_behind(&self, path: &RelPath, workspace: &Path) -> Option<&str> {
        let real = real(path.as_str(), workspace)??;
        self.pattern_for(&check_relative(workspace, real.to_str()?).ok()?)
    }
}

/// The globs that a pattern stands for.
fn spelled_out(pattern: &str) -> Result<Vec<String>, String> {
    let anchored = pattern.strip_prefix("./").or(pattern.strip_prefix('/'));
    let path = anchored.unwrap_or(pattern).trim_end_matches('/');
    if path.is_empty() {
        return Err("is empty; name a file or folder relative to the workspace".to_owned());
    }
    if path.contains('\\') || path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(
            "is not a plain path; write it relative to the workspace, with `/` between names and no `..`"
                .to_owned(),
        );
    }
    let mut globs = vec![path.to_owned(), format!("{path}/**")];
    if anchored.is_none() && !path.contains('/') {
        globs.extend([format!("**/{path}"), format!("**/{path}/**")]);
    }
    Ok(globs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(patterns: &[&str]) -> Result<DeniedPaths, DeniedPathError> {
        DeniedPaths::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn patterns_cover_what_is_below_them() {
        let paths = denied(&[
            ".env",
            "secrets/",
            "/only-here",
            "docs/*.pem",
            "**/deep/x",
            "*.key",
        ])
        .expect("good patterns");
        let cases = [
            (".env", true),
            (".ENV", true),
            ("a/b/.env", true),
            (".env/x", true),
            (".env.example", false),
            ("secrets", true),
            ("secrets/a/b", true),
            ("a/secrets/b", true),
            ("secrets.md", false),
            ("only-here", true),
            ("a/only-here", false),
            ("docs/a.pem", true),
            ("docs/a/b.pem", false),
            ("x/docs/a.pem", false),
            ("a/b/deep/x/y", true),
            ("a/b.key", true),
            (".", false),
        ];
        for (path, expected) in cases {
            let rel = check_relative(Path::new("/repo"), path).expect("a path inside");
            assert_eq!(paths.pattern_for(&rel).is_some(), expected, "{path:?}");
        }
    }

    #[test]
    fn commands_are_searched_for_denied_paths() {
        let paths = denied(&[".env"]).expect("good patterns");
        let root = Some(Path::new("/repo"));
        for cmd in [
            "cat .env",
            "cat ./a/../.env",
            "cat '.env'",
            "cat /repo/.env",
            "git show HEAD:.env",
            "x --file=.env",
            "x -f.env",
            "cat $X .env",
            "cat<.env",
            "(cat .en''v)",
            "cat .ENV",
        ] {
            assert!(paths.named_in(cmd, root).is_some(), "{cmd:?}");
        }
        assert!(paths.named_in("cat /repo/.env", None).is_some());
        for cmd in ["cat .env.example", "grep env .", ""] {
            assert_eq!(paths.named_in(cmd, root), None, "{cmd:?}");
        }
    }

    #[test]
    fn a_link_does_not_hide_a_denied_path_from_a_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        std::fs::write(root.join(".env"), "").expect("a file");
        for (link, target) in [("settings", ".env"), ("self", ".")] {
            std::os::unix::fs::symlink(target, root.join(link)).expect("a link");
        }
        let paths = denied(&["/.env"]).expect("good patterns");
        for cmd in [
            "cat settings",
            "cat ./settings",
            "x --file=settings",
            "cat self/.env",
        ] {
            assert!(paths.named_in(cmd, Some(&root)).is_some(), "{cmd:?}");
        }
        assert_eq!(paths.named_in("cat other self", Some(&root)), None);
    }

    #[test]
    fn unusable_patterns_are_refused() {
        for pattern in ["", "/", "../x", "a//b", "a/./b", "a\\b", "[", "a{b"] {
            let error = denied(&[pattern]).expect_err(pattern).to_string();
            assert!(error.contains("the denied path"), "{error}");
        }
        assert!(denied(&vec!["x"; MAX_DENIED_PATHS + 1]).is_err());
    }
}
