//! What was allowed for the rest of a session.

use std::collections::BTreeSet;

use super::Action;
use crate::command::{MAX_COMMAND_BYTES, parse};
use crate::network::Host;
use crate::path::control_file;

/// The most grants of one session. A person who answered this often wants another mode; the limit keeps a
/// client that answers by itself from filling memory.
pub const MAX_GRANTS: usize = 256;

/// How much of a source is kept, in bytes: a host, or the beginning of an address.
const MAX_SOURCE_BYTES: usize = 200;

/// Answers of "allow for this session".
///
/// A grant for a command covers exactly its words, whatever the quoting; a command line of several commands, or
/// one that can't be taken apart, is covered only letter by letter. A grant for a write covers every ordinary
/// file that the same tool writes. Control files are never covered. A grant for a host covers exactly that host.
///
/// Also what makes a session distrustful, because it takes grants back.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    grants: BTreeSet<Grant>,
    /// What a stranger wrote and the session has read: the first of it.
    distrusted: Option<String>,
}

/// Why an answer holds only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefused {
    /// A control file is among what the call touches.
    #[error("control files are asked for every time; this answer holds once")]
    ControlFile,
    /// There are [`MAX_GRANTS`] already.
    #[error("{MAX_GRANTS} things are allowed for this session already; this answer holds once")]
    Full,
    /// The command is longer than [`MAX_COMMAND_BYTES`].
    #[error("the command is too long to remember; this answer holds once")]
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    tool: String,
    key: Key,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Writes,
    Command(Vec<String>),
    CommandLine(String),
    Host(Host),
}

impl Grants {
    /// Allows what a tool call does for the rest of the session: all of it, or nothing and the reason.
    pub fn allow_for_session(&mut self, tool: &str, actions: &[Action<'_>]) -> Result<(), GrantRefused> {
        let mut grants = Vec::new();
        for action in actions {
            let key = match action {
                Action::Read(_) | Action::Internal => continue,
                Action::Write(path) if control_file(path).is_some() => return Err(GrantRefused::ControlFile),
                Action::Command(cmd) if cmd.len() > MAX_COMMAND_BYTES => return Err(GrantRefused::TooLong),
                Action::Write(_) => Key::Writes,
                Action::Command(cmd) => command_key(cmd),
                Action::Fetch(host, _) => Key::Host((*host).clone()),
            };
            grants.push(Grant {
                tool: tool.to_owned(),
                key,
            });
        }
        grants.retain(|grant| !self.grants.contains(grant));
        if self.grants.len() + grants.len() > MAX_GRANTS {
            return Err(GrantRefused::Full);
        }
        self.grants.extend(grants);
        Ok(())
    }

    /// Whether an action of a tool was allowed.
    pub(super) fn covers(&self, tool: &str, action: Action<'_>) -> bool {
        let key = match action {
            Action::Read(_) | Action::Internal => return false,
            Action::Write(path) if control_file(path).is_some() => return false,
            Action::Write(_) => Key::Writes,
            Action::Command(cmd) => command_key(cmd),
            Action::Fetch(host, _) => Key::Host(host.clone()),
        };
        self.grants.contains(&Grant {
            tool: tool.to_owned(),
            key,
        })
    }

    /// From now on the session holds what a stranger wrote; `source` says where it is from. What was allowed before for commands and hosts was
    /// allowed to the user's own wishes, and ends; what is allowed afterwards holds. Says whether this is new.
    pub fn distrust(&mut self, source: &str) -> bool {
        if self.distrusted.is_some() {
            return false;
        }
        self.grants.retain(|grant| grant.key == Key::Writes);
        let end = source.floor_char_boundary(MAX_SOURCE_BYTES);
        self.distrusted = Some(source[..end].to_owned());
        true
    }

    /// Where the session's untrusted content is from, when it has any.
    pub fn distrusted(&self) -> Option<&str> {
        self.distrusted.as_deref()
    }

    /// How many grants there are.
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    /// Whether nothing was granted, and nothing is distrusted: whether these are worth nothing.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.distrusted.is_none()
    }
}

fn command_key(cmd: &str) -> Key {
    match parse(cmd).as_deref() {
        Ok([argv]) => Key::Command(argv.words().to_vec()),
        // The operators are part of what was seen: `a | b` is not `a; b`, and `b` alone was never approved.
        _ => Key::CommandLine(cmd.to_owned()),
    }
}
