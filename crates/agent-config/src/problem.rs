//! What is wrong with a configuration, and where it was said.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// How many problems are kept. A file of rubbish has one on every line; nobody reads more than these.
const MAX_PROBLEMS: usize = 100;
/// How much of a value or key is repeated in a message.
const MAX_SHOWN: usize = 120;

/// The layers a value can come from, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The built-in default.
    Default,
    /// The profile of the deployment environment.
    Profile,
    /// The file for all users of this machine.
    System,
    /// The user's file, or the one given on the command line in its place.
    User,
    /// The project's file, which may set little.
    Project,
    /// An environment variable.
    Environment,
    /// The command line.
    Flag,
}

impl Layer {
    /// The name of the layer in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Profile => "profile",
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file, for layers that are files.
    pub file: Option<PathBuf>,
    /// The line in the file, from 1.
    pub line: Option<u32>,
    /// The column in the line, in characters from 1. Only syntax errors have one.
    pub column: Option<u32>,
    /// The environment variable, the command line setting, or the profile.
    pub name: Option<String>,
}

impl Origin {
    pub(crate) fn layer(layer: Layer) -> Self {
        Self {
            layer,
            file: None,
            line: None,
            column: None,
            name: None,
        }
    }

    pub(crate) fn named(layer: Layer, name: &str) -> Self {
        Self {
            name: Some(shorten(name)),
            ..Self::layer(layer)
        }
    }

    pub(crate) fn file(layer: Layer, file: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(file.into()),
            ..Self::layer(layer)
        }
    }

    pub(crate) fn at_line(&self, line: u32) -> Self {
        Self {
            line: Some(line),
            ..self.clone()
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            return Ok(());
        }
        match (self.layer, &self.name) {
            (Layer::Default, _) => f.write_str("built-in default"),
            (Layer::Profile, Some(name)) => write!(f, "profile {name}"),
            (Layer::Environment, Some(name)) => write!(f, "environment variable {name}"),
            (Layer::Flag, _) => f.write_str("command line"),
            (layer, _) => write!(f, "{layer}"),
        }
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `section.key`. Empty where the problem is a whole file.
    pub key: String,
    /// The value as it was written, shortened; credentials are redacted.
    pub value: Option<String>,
    /// Where it was set. `None` for a configuration that was put together in memory.
    pub origin: Option<Origin>,
    /// What is wrong, to be read after the key and value.
    pub message: String,
    /// What would be right.
    pub valid: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; valid: {}", self.message, self.valid)
    }
}

/// Why there is no configuration, or why it was not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration is wrong in these places. Nothing was assumed in their stead.
    #[error("{0}")]
    Invalid(Problems),
    /// A file could not be written. What was there before is unchanged.
    #[error("{}: could not {action}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The step that failed.
        action: &'static str,
        /// The reason the system gives.
        source: io::Error,
    },
}

impl ConfigError {
    /// The problems, each with its key and place. Empty for an error that is not about the configuration's content.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems.as_slice(),
            Self::Write { .. } => &[],
        }
    }
}

/// A bounded list of problems. Displayed as one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// Adds one, or only counts it where there are many already.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether a problem is known with this key: what follows from it need not be told as well.
    pub fn concern(&self, key: &str) -> bool {
        self.list.iter().any(|problem| problem.key == key)
    }

    /// The value, if there are no problems.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the problems.
    pub fn into_result<T>(self, value: T) -> Result<T, ConfigError> {
        if self.list.is_empty() {
            Ok(value)
        } else {
            Err(ConfigError::Invalid(self))
        }
    }

    /// How many there are, with those that were not kept.
    pub fn count(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// The problems that were kept, in the order of the layers.
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }

    /// Puts the problems in the order in which a person would go through them: by layer, file and line.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            let place =
                |problem: &Problem| problem.origin.as_ref().map(|o| (o.layer, o.file.clone(), o.line));
            place(a).cmp(&place(b))
        });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.left_out > 0 {
            write!(f, "\n… and {} more problems", self.left_out)?;
        }
        Ok(())
    }
}

/// A text fit for one line of a message: no more than [`MAX_SHOWN`] characters, and none that control a terminal or
/// change the direction of what follows. Project files are written by strangers.
pub(crate) fn shorten(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let clean = |c: char| if unseen(c) { ' ' } else { c };
    let mut shown: String = text.chars().take(MAX_SHOWN).map(clean).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_cannot_play_tricks_in_a_message() {
        assert_eq!(shorten("a\u{1b}[2Jb\nc\u{202e}d\u{200b}e"), "a [2Jb c d e");
        assert_eq!(shorten(&"é".repeat(200)), format!("{}…", "é".repeat(MAX_SHOWN)));
    }
}
