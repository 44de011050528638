//! The steps that a task is made of.

/// One thing to do. Paths and texts are as the user wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    LookAround {
        path: Option<String>,
    },
    FindFiles {
        pattern: String,
    },
    Read {
        files: Vec<Target>,
    },
    Search {
        needle: Needle,
        scope: Scope,
    },
    CountMatches {
        needle: Needle,
        scope: Scope,
    },
    CountFiles {
        pattern: String,
    },
    Measure {
        unit: Unit,
        files: Vec<Target>,
    },
    Replace {
        old: String,
        new: String,
        place: Option<Target>,
        every: bool,
    },
    Write {
        path: String,
        content: String,
    },
    Append {
        path: String,
        text: String,
    },
    Run {
        command: Option<String>,
    },
    Undo,
    /// Say what was done, which the mind does anyway.
    Report,
    NotUnderstood {
        text: String,
    },
}

/// Files by name or by pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    File(String),
    Pattern(String),
}

impl Target {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::File(name) | Self::Pattern(name) => name,
        }
    }
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    pub(crate) text: String,
    pub(crate) is_regex: bool,
    pub(crate) ignore_case: bool,
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) path: Option<String>,
    pub(crate) glob: Option<String>,
}

/// What to count in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Lines,
    Words,
    Characters,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Words => "words",
            Self::Characters => "characters",
        }
    }
}

impl Step {
    /// Steps that change something wait for all before them, and all after them wait.
    pub(crate) fn is_barrier(&self) -> bool {
        matches!(
            self,
            Self::Replace { .. } | Self::Write { .. } | Self::Append { .. } | Self::Run { .. } | Self::Undo
        )
    }

    /// Whether the step shows up in a plan and in the report.
    pub(crate) fn is_work(&self) -> bool {
        !matches!(self, Self::Report)
    }

    /// The step as a line of a plan.
    pub(crate) fn describe(&self) -> String {
        let names = |files: &[Target]| {
            files
                .iter()
                .map(|file| format!("`{}`", file.name()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let within = |scope: &Scope| match (&scope.path, &scope.glob) {
            (Some(place), _) | (None, Some(place)) => format!(" in `{place}`"),
            (None, None) => String::new(),
        };
        match self {
            Self::LookAround { path: None } => "Look around in the folder".to_owned(),
            Self::LookAround { path: Some(path) } => format!("Look around in `{path}`"),
            Self::FindFiles { pattern } => format!("Find files named `{pattern}`"),
            Self::Read { files } => format!("Read {}", names(files)),
            Self::Search { needle, scope } => format!("Search for `{}`{}", needle.text, within(scope)),
            Self::CountMatches { needle, scope } => format!("Count `{}`{}", needle.text, within(scope)),
            Self::CountFiles { pattern } => format!("Count the files named `{pattern}`"),
            Self::Measure { unit, files } => format!("Count the {} of {}", unit.name(), names(files)),
            Self::Replace {
                old,
                new,
                place: Some(place),
                ..
            } => {
                format!("Change `{old}` to `{new}` in `{}`", place.name())
            }
            Self::Replace {
                old,
                new,
                place: None,
                ..
            } => format!("Change `{old}` to `{new}` wherever it is"),
            Self::Write { path, .. } => format!("Write `{path}`"),
            Self::Append { path, .. } => format!("Add to `{path}`"),
            Self::Run {
                command: Some(command),
            } => format!("Run `{command}`"),
            Self::Run { command: None } => "Run the tests".to_owned(),
            Self::Undo => "Change back what was changed last".to_owned(),
            Self::Report => "Report".to_owned(),
            Self::NotUnderstood { text } => format!("“{text}”"),
        }
    }
}
