//! Which paths stay inside the workspace.
//!
//! The check is lexical: it reads the text of a path and touches no disk. Symlinks and swaps while a tool
//! runs are stopped where files are opened, beneath a directory handle; this module makes sure that what is
//! opened there is what the text seemed to say.

mod control;

pub use control::control_file;

use std::fmt;
use std::path::{Component, Path};

use crate::characters::{deceptive, like_a_dot, shown};

/// The longest path accepted, in bytes: Linux's own `PATH_MAX`, terminator included.
pub const MAX_PATH_BYTES: usize = 4095;

/// The longest name of one file or folder, in bytes: the limit of every common file system.
pub const MAX_NAME_BYTES: usize = 255;

/// A path below the workspace: no `..`, no empty name, no deceptive character, `/` between names.
///
/// The workspace itself is `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath {
    text: String,
}

impl RelPath {
    /// The workspace itself.
    pub fn root() -> Self {
        Self { text: ".".to_owned() }
    }

    /// Whether this is the workspace itself.
    pub fn is_root(&self) -> bool {
        self.text == "."
    }

    /// The names from the workspace down; none for the workspace itself.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter(|name| *name != ".")
    }

    /// The path as text, `.` for the workspace itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path to hand to the file system, relative to the workspace.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.text)
    }

    /// The last name, or `None` for the workspace itself.
    pub fn file_name(&self) -> Option<&str> {
        self.components().last()
    }

    /// The folder this path is in, or `None` for the workspace itself.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        Some(match self.text.rsplit_once('/') {
            Some((folder, _)) => RelPath {
                text: folder.to_owned(),
            },
            None => RelPath::root(),
        })
    }

    /// One name below this path, checked as [`check_relative`] checks it: for walking folders.
    pub fn child(&self, name: &str) -> Result<RelPath, PathDenied> {
        if name.contains('/') || name == "." || name == ".." {
            return Err(PathDenied::NotOneName { name: shown(name) });
        }
        check_characters(name)?;
        check_name(name, name)?;
        let text = if self.is_root() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.text)
        };
        check_length(&text)?;
        Ok(RelPath { text })
    }

    fn from_names(names: &[&str]) -> Self {
        if names.is_empty() {
            Self::root()
        } else {
            Self {
                text: names.join("/"),
            }
        }
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

/// Why a path was refused, in words for whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathDenied {
    /// Nothing was named.
    #[error(
        "the path is empty; name a file or folder relative to the workspace, or `.` for the workspace itself"
    )]
    Empty,
    /// Longer than any file system takes.
    #[error(
        "the path is {bytes} bytes long, more than the {MAX_PATH_BYTES} a file system takes; use a shorter one"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// One name is longer than any file system takes.
    #[error(
        "a name in {path} is {bytes} bytes long, more than the {MAX_NAME_BYTES} a file system takes; use a shorter one"
    )]
    NameTooLong {
        /// The path, shortened and escaped.
        path: String,
        /// The name's length.
        bytes: usize,
    },
    /// A character that deceives the reader.
    #[error("{path} holds {what} (U+{code:04X}); use a path without it, or rename the file by hand")]
    Character {
        /// The path, shortened and escaped.
        path: String,
        /// What kind of character.
        what: &'static str,
        /// Its code point.
        code: u32,
    },
    /// A Windows separator.
    #[error("{path} has a backslash; put `/` between folders")]
    Backslash {
        /// The path, shortened and escaped.
        path: String,
    },
    /// A drive letter.
    #[error(
        "{path} begins with a drive letter; name the file relative to the workspace, with `/` between folders"
    )]
    Drive {
        /// The path, shortened and escaped.
        path: String,
    },
    /// A home folder in shell notation.
    #[error(
        "{path} begins with `~`, which only a shell expands; name the file relative to the workspace (`./~…` for a file that is really called so)"
    )]
    Home {
        /// The path, shortened and escaped.
        path: String,
    },
    /// A URL where a path belongs.
    #[error("{path} is a URL; name a file relative to the workspace")]
    Url {
        /// The path, shortened and escaped.
        path: String,
    },
    /// A name made of dots and blanks, which some file systems read as `..`.
    #[error(
        "{path} has a name made of dots and blanks only, which some systems read as `..`; use the real name"
    )]
    DotsOnly {
        /// The path, shortened and escaped.
        path: String,
    },
    /// An absolute path that is not below the workspace.
    #[error(
        "{path} is outside the workspace {root}; only files below the workspace can be reached, by a path relative to it"
    )]
    Outside {
        /// The path, shortened and escaped.
        path: String,
        /// The workspace, shortened and escaped.
        root: String,
    },
    /// A `..` that goes above the workspace.
    #[error("{path} climbs out of the workspace with `..`; only files below the workspace can be reached")]
    ClimbsOut {
        /// The path, shortened and escaped.
        path: String,
    },
    /// A path where one name was needed.
    #[error("{name} is not the name of one file or folder")]
    NotOneName {
        /// The name, shortened and escaped.
        name: String,
    },
}

/// The path below `root` that `requested` names, or why it names none.
///
/// `requested` is relative to `root`, or absolute and below it. `.` and `..` are resolved by their text. A
/// `..` that leaves `root` is refused even when a later name would come back in, and so is everything that
/// [`PathDenied`] lists. `root` should be absolute and canonical; an absolute request is compared with it
/// name by name, never as a string.
pub fn check_relative(root: &Path, requested: &str) -> Result<RelPath, PathDenied> {
    check_characters(requested)?;
    check_start(requested)?;
    let inside = match requested.strip_prefix('/') {
        Some(absolute) => below(root, absolute).ok_or_else(|| PathDenied::Outside {
            path: shown(requested),
            root: shown(&root.to_string_lossy()),
        })?,
        None => requested.split('/').collect(),
    };
    let mut names: Vec<&str> = Vec::new();
    for name in inside {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(|| PathDenied::ClimbsOut {
                    path: shown(requested),
                })?;
            }
            name => {
                check_name(requested, name)?;
                names.push(name);
            }
        }
    }
    Ok(RelPath::from_names(&names))
}

/// The names of an absolute path (without its leading `/`) that come after those of `root`.
fn below<'a>(root: &Path, absolute: &'a str) -> Option<Vec<&'a str>> {
    let mut names = absolute
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".");
    let mut seen_root = false;
    for part in root.components() {
        match part {
            Component::RootDir => seen_root = true,
            Component::Normal(expected) => {
                if names.next().is_none_or(|name| expected != name) {
                    return None;
                }
            }
            Component::CurDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    seen_root.then(|| names.collect())
}

/// What can be wrong with the text wherever it stands in a path.
fn check_characters(text: &str) -> Result<(), PathDenied> {
    if text.is_empty() {
        return Err(PathDenied::Empty);
    }
    check_length(text)?;
    if let Some((c, what)) = text.chars().find_map(|c| deceptive(c).map(|what| (c, what))) {
        return Err(PathDenied::Character {
            path: shown(text),
            what,
            code: u32::from(c),
        });
    }
    Ok(())
}

/// What a path may not begin with, because another program would not read it as relative.
fn check_start(requested: &str) -> Result<(), PathDenied> {
    let path = || shown(requested);
    let first = requested.split('/').next().unwrap_or_default();
    if matches!(first.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(PathDenied::Drive { path: path() });
    }
    if first.starts_with('~') {
        return Err(PathDenied::Home { path: path() });
    }
    if first.ends_with(':') && requested[first.len()..].starts_with("//") {
        return Err(PathDenied::Url { path: path() });
    }
    Ok(())
}

fn check_length(path: &str) -> Result<(), PathDenied> {
    if path.len() > MAX_PATH_BYTES {
        Err(PathDenied::TooLong { bytes: path.len() })
    } else {
        Ok(())
    }
}

fn check_name(requested: &str, name: &str) -> Result<(), PathDenied> {
    if name.len() > MAX_NAME_BYTES {
        return Err(PathDenied::NameTooLong {
            path: shown(requested),
            bytes: name.len(),
        });
    }
    if name.contains('\\') {
        return Err(PathDenied::Backslash {
            path: shown(requested),
        });
    }
    if name.chars().all(|c| like_a_dot(c) || c.is_whitespace()) {
        return Err(PathDenied::DotsOnly {
            path: shown(requested),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
