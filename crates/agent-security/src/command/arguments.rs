//! Whether an argument points out of the workspace, by its text and by the links that are there now.
//!
//! Unlike paths that the host opens, the arguments of a command are resolved by the kernel: `link/../x` is not
//! `x` when `link` leads elsewhere. So any `..` counts as leaving, and so does what a symbolic link takes out. A link
//! that is made between this look and the program's own is not seen: only a sandbox around the child could stop that.

use std::path::{Path, PathBuf};

use crate::characters::shown;
use crate::path::check_relative;

/// Why a path argument may leave the workspace, or `None`. Without a workspace every absolute path leaves it.
pub(super) fn outside(word: &str, workspace: Option<&Path>) -> Option<String> {
    // `:` and `\` separate too: in a revision (`HEAD:../x`) and where Windows paths are understood.
    if word.split(['/', ':', '\\']).any(|part| part == "..") {
        return Some(format!(
            "{} goes up with `..`, maybe out of the workspace",
            shown(word)
        ));
    }
    let drive = matches!(word.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    let absolute = word.starts_with(['/', '\\']) || drive;
    let inside = || workspace.is_some_and(|root| check_relative(root, word).is_ok());
    if absolute && !inside() {
        return Some(format!("{} is outside the workspace", shown(word)));
    }
    let leads_out = real(word, workspace?).is_some_and(|path| path.is_none());
    leads_out.then(|| format!("{} leads out of the workspace by a symbolic link", shown(word)))
}

/// What a word names once its links are followed, relative to the workspace. The outer none is a word that names
/// nothing, the inner one something outside.
pub(crate) fn real(word: &str, workspace: &Path) -> Option<Option<PathBuf>> {
    let path = workspace.join(word).canonicalize().ok()?;
    Some(path.strip_prefix(workspace).ok().map(Path::to_owned))
}

/// Like [`outside`], for a word of which it is not known whether it is a path, a flag, or a flag with a path.
pub(super) fn leaves_workspace(word: &str, workspace: Option<&Path>) -> Option<String> {
    candidates(word)
        .into_iter()
        .flatten()
        .find_map(|part| outside(part, workspace))
}

/// The parts of a word that could be a path: all of it, what follows `=`, and what is stuck to a short flag.
pub(crate) fn candidates(word: &str) -> [Option<&str>; 3] {
    let value = word.split_once('=').map(|(_, value)| value);
    let stuck = word
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-'))
        .and_then(|rest| {
            let mut chars = rest.chars();
            chars.next().map(|_| chars.as_str())
        });
    [Some(word), value, stuck]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_judged_by_their_text() {
        let inside = [
            "src",
            "./a",
            "a/..b",
            "HEAD~1..main",
            "/repo/app/x",
            "/repo/app",
            "./...",
            "-",
            ":/x",
            "--a=b",
        ];
        let outside = [
            "..",
            "../x",
            "a/../b",
            "HEAD:../x",
            "a\\..\\b",
            "/",
            "/etc/passwd",
            "/repo/app-evil",
            "/repo/app/../x",
            "C:/x",
            "\\\\server",
            "--file=/etc/passwd",
            "--file=../x",
            "-f/etc/passwd",
            "-f../x",
            "of=/dev/sda",
        ];
        let root = Some(Path::new("/repo/app"));
        for word in inside {
            assert_eq!(leaves_workspace(word, root), None, "{word:?}");
        }
        for word in outside {
            assert!(leaves_workspace(word, root).is_some(), "{word:?}");
        }
        assert!(leaves_workspace("/repo/app/x", None).is_some());
    }

    #[test]
    fn links_are_followed_before_an_argument_counts_as_inside() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().canonicalize().expect("it is there");
        let root = base.join("app");
        std::fs::create_dir_all(root.join("src")).expect("a folder");
        std::fs::write(base.join("secret"), "").expect("a file");
        for (link, target) in [
            ("out", "../secret"),
            ("up", ".."),
            ("in", "src"),
            ("chain", "out"),
            ("dangling", "nowhere"),
        ] {
            std::os::unix::fs::symlink(target, root.join(link)).expect("a link");
        }
        let inside = ["in", "in/", "src", "dangling", "missing/x", "HEAD~1", ""];
        for word in inside {
            assert_eq!(outside(word, Some(&root)), None, "{word:?}");
        }
        let absolute = root.join("out").display().to_string();
        for word in ["out", "./out", "chain", "up/secret", "up", &absolute] {
            let leaves = outside(word, Some(&root));
            assert!(leaves.is_some(), "{word:?}");
        }
    }
}
