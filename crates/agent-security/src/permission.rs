//! Mode, level and what a tool is about to do, turned into allow, ask or deny.
//!
//! | action | `ask` | `accept-edits` | `policy` | `deny` |
//! | --- | --- | --- | --- | --- |
//! | read inside the workspace | allow | allow | allow | allow |
//! | write an ordinary file | ask | allow | allow | deny |
//! | write a control file | ask | ask | ask | deny |
//! | known command that only reads | allow | allow | allow | deny |
//! | known command | ask | allow | allow | deny |
//! | any other command | ask | ask | by level | deny |
//! | ask a host that the operator listed | allow | allow | allow | deny |
//! | ask any other host | ask | ask | by level, Warn asks | deny |
//!
//! Once a session has read something that a stranger wrote ([`Grants::distrust`]), commands that do more than read, and hosts that are not listed,
//! are asked about whatever the mode and the level, and what was allowed for the session before no longer covers them: the next call may be the
//! stranger's wish.
//!
//! By level: Disabled allows, Warn allows with a warning, Enforce asks, Strict denies. Denied commands and paths
//! are denied in every mode. Where nobody can be asked, asking is denying, with a reason that names what would
//! allow it.

mod denied_paths;
mod grants;

pub use denied_paths::{DeniedPathError, DeniedPaths, MAX_DENIED_PATHS};
pub use grants::{GrantRefused, Grants, MAX_GRANTS};

use agent_config::{PermissionMode, WhitelistLevel};

use crate::characters::shown;
use crate::command::{CommandRules, CommandVerdict, classify, parse};
use crate::network::Host;
use crate::path::{RelPath, control_file};

/// How many reasons one verdict names; a call that touches a hundred files is not explained a hundred times.
const MAX_REASONS: usize = 3;

/// What a tool call is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Read a file or list a folder.
    Read(&'a RelPath),
    /// Create, change or delete a file.
    Write(&'a RelPath),
    /// Run a command line in a shell.
    Command(&'a str),
    /// Ask a host of the network for something. What is asked for is seen by that host.
    Fetch(&'a Host, Listing),
    /// Touch nothing outside the session, such as its plan.
    Internal,
}

/// Whether the operator named a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is among the hosts of the configuration.
    Listed,
    /// Nothing is known of it.
    Unlisted,
}

/// What is to happen with a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Allow {
        /// What the user should know about it.
        warning: Option<String>,
    },
    /// Someone has to be asked.
    Ask {
        /// Why, for whoever is asked.
        reason: String,
    },
    /// It may not run.
    Deny {
        /// Why, and what would allow it, for the model and the user.
        reason: String,
    },
}

/// What is allowed. Fixed when a session starts.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What needs asking.
    pub mode: PermissionMode,
    /// In mode `policy`: what happens to what no rule knows.
    pub level: WhitelistLevel,
    /// Commands that are allowed or denied.
    pub rules: CommandRules,
    /// Paths that are never touched.
    pub denied_paths: DeniedPaths,
    /// Whether someone is there to be asked.
    pub interactive: bool,
}

/// What one action comes to. Ordered by strictness.
enum Finding {
    Allow,
    Warn(String),
    Ask { reason: String, way_out: &'static str },
    Deny(String),
}

const FOR_EDITS: &str = "To allow edits, run with `--permission-mode accept-edits`.";
const FOR_KNOWN: &str = "To allow it, run with `--permission-mode accept-edits`.";
const FOR_COMMAND: &str = "To allow it, add its first words to `tools.allowed_commands` in the user configuration; what leads out of the \
    workspace stays a question even then.";
const FOR_UNPARSED: &str = "To allow it, write it as plain commands without shell features, or run with \
    `--permission-mode policy` and `security.whitelist_enforcement_level = \"Warn\"`.";
const FOR_CONTROL: &str = "No mode or rule allows it unasked: make this change by hand, or run `claude-agent chat` and answer there.";
const FOR_HOST: &str = "To allow it, add the host to `tools.allowed_hosts` in the user configuration.";
const FOR_DISTRUST: &str =
    "Do what needs no web page in a session of its own, or run `claude-agent chat` and answer there.";
const FOR_SILENT_TOOL: &str = "Run `claude-agent chat` and answer there.";

impl Policy {
    /// Judges a tool call by everything it is about to do; the strictest finding counts.
    pub fn decide(&self, tool: &str, actions: &[Action<'_>]) -> Verdict {
        self.decide_with(tool, actions, &Grants::default())
    }

    /// Like [`Policy::decide`], with what was allowed for the session. A grant answers a question; it never
    /// changes a denial.
    pub fn decide_with(&self, tool: &str, actions: &[Action<'_>], grants: &Grants) -> Verdict {
        if actions.is_empty() {
            let reason = format!("the tool {} does not say what it touches", shown(tool));
            return self.verdict([self.unknown(reason, FOR_SILENT_TOOL)]);
        }
        self.verdict(actions.iter().map(|action| {
            let finding = match grants.distrusted() {
                Some(source) => self.judge_distrustfully(tool, *action, source),
                None => self.judge(tool, *action),
            };
            match finding {
                Finding::Ask { .. } if grants.covers(tool, *action) => Finding::Allow,
                finding => finding,
            }
        }))
    }

    /// What leads out or runs something is asked about, unless it is denied anyway.
    fn judge_distrustfully(&self, tool: &str, action: Action<'_>, source: &str) -> Finding {
        let what = match action {
            Action::Read(_) | Action::Write(_) | Action::Internal | Action::Fetch(_, Listing::Listed) => {
                return self.judge(tool, action);
            }
            Action::Fetch(host, Listing::Unlisted) => format!("{tool} asks {}", shown(host.as_str())),
            Action::Command(cmd) => match classify(cmd, &self.rules) {
                CommandVerdict::Known { read_only: true } => return self.judge(tool, action),
                _ => "the command does more than read".to_owned(),
            },
        };
        match self.judge(tool, action) {
            denied @ Finding::Deny(_) => denied,
            Finding::Allow | Finding::Warn(_) | Finding::Ask { .. } => Finding::Ask {
                reason: format!(
                    "{what}, and this session has read what a stranger wrote ({}), which may be what asks for it",
                    shown(source)
                ),
                way_out: FOR_DISTRUST,
            },
        }
    }

    fn judge(&self, tool: &str, action: Action<'_>) -> Finding {
        match action {
            Action::Internal => Finding::Allow,
            Action::Read(path) => self.denied_path(path).unwrap_or(Finding::Allow),
            Action::Write(path) => self
                .denied_path(path)
                .unwrap_or_else(|| self.judge_write(tool, path)),
            Action::Command(cmd) => self.judge_command(cmd),
            Action::Fetch(host, listing) => self.judge_fetch(tool, host, listing),
        }
    }

    fn judge_fetch(&self, tool: &str, host: &Host, listing: Listing) -> Finding {
        let reason = format!("{tool} asks {}, a host that is not listed", shown(host.as_str()));
        match (self.mode, self.level, listing) {
            (PermissionMode::Deny, ..) => reads_only(&format!("{tool} would ask {}", shown(host.as_str()))),
            (_, _, Listing::Listed) => Finding::Allow,
            // A request carries out what its address says, and nobody can take it back after reading a warning.
            (PermissionMode::Policy, WhitelistLevel::Warn, Listing::Unlisted) => Finding::Ask {
                reason,
                way_out: FOR_HOST,
            },
            (_, _, Listing::Unlisted) => self.unknown(reason, FOR_HOST),
        }
    }

    fn judge_write(&self, tool: &str, path: &RelPath) -> Finding {
        let name = shown(path.as_str());
        match (self.mode, control_file(path)) {
            (PermissionMode::Deny, _) => reads_only(&format!("{tool} would change {name}")),
            (_, Some(why)) => Finding::Ask {
                reason: format!("{name} is a control file: {why}"),
                way_out: FOR_CONTROL,
            },
            (PermissionMode::Ask, None) => Finding::Ask {
                reason: format!("{tool} changes {name}"),
                way_out: FOR_EDITS,
            },
            (PermissionMode::AcceptEdits | PermissionMode::Policy, None) => Finding::Allow,
        }
    }

    fn judge_command(&self, cmd: &str) -> Finding {
        let verdict = classify(cmd, &self.rules);
        if let CommandVerdict::Denied { reason } = verdict {
            return Finding::Deny(reason);
        }
        if let Some((word, pattern)) = self.denied_paths.named_in(cmd, self.rules.workspace()) {
            return Finding::Deny(format!(
                "the command names {}, which falls under `{pattern}` in tools.denied_paths",
                shown(&word)
            ));
        }
        if self.mode == PermissionMode::Deny {
            return reads_only("commands are not run");
        }
        match verdict {
            CommandVerdict::Known { read_only: true } => Finding::Allow,
            CommandVerdict::Known { read_only: false } if self.mode == PermissionMode::Ask => {
                let reason = "the command changes files or runs the project's own code".to_owned();
                Finding::Ask {
                    reason,
                    way_out: FOR_KNOWN,
                }
            }
            CommandVerdict::Known { read_only: false } => Finding::Allow,
            CommandVerdict::Unknown { reason } | CommandVerdict::Denied { reason } => self.unknown(
                reason,
                if parse(cmd).is_ok() {
                    FOR_COMMAND
                } else {
                    FOR_UNPARSED
                },
            ),
        }
    }

    fn denied_path(&self, path: &RelPath) -> Option<Finding> {
        let pattern = self.denied_paths.pattern_for(path)?;
        let name = shown(path.as_str());
        Some(Finding::Deny(format!(
            "{name} falls under `{pattern}` in tools.denied_paths"
        )))
    }

    fn unknown(&self, reason: String, way_out: &'static str) -> Finding {
        match (self.mode, self.level) {
            (PermissionMode::Deny, _) => reads_only(&reason),
            (PermissionMode::Ask | PermissionMode::AcceptEdits, _)
            | (PermissionMode::Policy, WhitelistLevel::Enforce) => Finding::Ask { reason, way_out },
            (PermissionMode::Policy, WhitelistLevel::Disabled) => Finding::Allow,
            (PermissionMode::Policy, WhitelistLevel::Warn) => Finding::Warn(reason),
            (PermissionMode::Policy, WhitelistLevel::Strict) => Finding::Deny(format!("{reason}. {way_out}")),
        }
    }

    /// The strictest of the findings, with the reasons of all that are as strict.
    fn verdict(&self, findings: impl IntoIterator<Item = Finding>) -> Verdict {
        let mut warnings = Vec::new();
        let mut questions: Vec<String> = Vec::new();
        let mut ways_out: Vec<&str> = Vec::new();
        for finding in findings {
            match finding {
                Finding::Allow => {}
                Finding::Warn(reason) => warnings.push(reason),
                Finding::Ask { reason, way_out } => {
                    questions.push(reason);
                    if !ways_out.contains(&way_out) {
                        ways_out.push(way_out);
                    }
                }
                Finding::Deny(reason) => return Verdict::Deny { reason },
            }
        }
        if questions.is_empty() {
            let warning = (!warnings.is_empty()).then(|| joined(&warnings));
            return Verdict::Allow { warning };
        }
        let reason = joined(&questions);
        if self.interactive {
            return Verdict::Ask { reason };
        }
        let ways_out = ways_out.join(" ");
        Verdict::Deny {
            reason: format!("{reason}; it has to be asked for, and nobody is there to ask. {ways_out}"),
        }
    }
}

fn reads_only(what: &str) -> Finding {
    Finding::Deny(format!(
        "{what}, and permission mode `deny` allows only reading. To allow more, run with another `--permission-mode`."
    ))
}

fn joined(reasons: &[String]) -> String {
    let mut text = reasons
        .iter()
        .take(MAX_REASONS)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if let Some(more) = reasons.len().checked_sub(MAX_REASONS).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more of the kind"));
    }
    text
}

#[cfg(test)]
mod tests;
