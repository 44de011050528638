//! `list_directory`: what is in one folder, hidden names included.

use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use rustix::fs::AtFlags;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::blocking::Blocking;
use super::input::{definition, parse};
use super::text::size;
use super::walk::list;
use super::{
    Bounded, PathFilter, Prepared, Tool, ToolContext, ToolError, ToolLimits, ToolResult, bound_text, on,
};
use crate::workspace::{FileKind, Workspace};

const NAME: &str = "list_directory";
/// Entries read of one folder, to sort them. Mail folders and caches are larger; nobody reads those by listing.
const MAX_READ: usize = 100_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The folder, relative to the workspace. Default: the workspace itself.
    path: Option<String>,
}

pub(super) struct ListDirectory {
    limits: Arc<ToolLimits>,
    blocking: Blocking,
}

impl ListDirectory {
    pub(super) fn new(limits: Arc<ToolLimits>, blocking: Blocking) -> Self {
        Self { limits, blocking }
    }
}

impl Tool for ListDirectory {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Lists one folder, sorted by name, hidden entries included: folders end with /, links show their target, \
             files show their size. To find files in a tree use glob.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let Input { path } = parse(NAME, input)?;
        let resolved = workspace.resolve(path.as_deref().unwrap_or("."))?;
        Ok(Box::new(Call {
            path: resolved.path,
            also: resolved.also,
            shown: self.limits.max_matches,
            bytes: self.limits.max_output,
            workspace: workspace.clone(),
            blocking: self.blocking.clone(),
        }))
    }
}

struct Call {
    path: RelPath,
    also: Vec<RelPath>,
    shown: usize,
    bytes: usize,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Read, &self.path, &self.also)
    }

    fn summary(&self) -> String {
        format!("list {}", self.path)
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let blocking = self.blocking.clone();
            let may_read = context.may_read;
            blocking
                .run(&context.cancel, move |_| self.list(&may_read))
                .await
                .into()
        }
        .boxed()
    }
}

impl Call {
    fn list(&self, may_read: &PathFilter) -> Result<ToolResult, ToolError> {
        let folder = self.workspace.open_folder(&self.path)?;
        let mut listed = list(folder.as_fd(), MAX_READ)
            .map_err(|errno| ToolError::new(format!("{} could not be listed: {errno}", self.path)))?;
        let base = if self.path.is_root() {
            Path::new("")
        } else {
            self.path.as_path()
        };
        listed.entries.retain(|(name, _)| may_read(&base.join(name)));
        if listed.entries.is_empty() {
            return Ok(ToolResult::ok(format!("{} is an empty folder.", self.path)));
        }
        let mut text = String::new();
        for (name, kind) in listed.entries.iter().take(self.shown) {
            let shown = name.to_string_lossy();
            let line = match kind {
                FileKind::Folder => writeln!(text, "{shown}/"),
                FileKind::Link => match rustix::fs::readlinkat(&folder, name.as_os_str(), Vec::new()) {
                    Ok(target) => writeln!(text, "{shown} -> {}", target.to_string_lossy()),
                    Err(_) => writeln!(text, "{shown} -> ?"),
                },
                FileKind::File => {
                    match rustix::fs::statat(&folder, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => writeln!(
                            text,
                            "{shown}  {}",
                            size(u64::try_from(stat.st_size).unwrap_or(0))
                        ),
                        Err(_) => writeln!(text, "{shown}"),
                    }
                }
                kind => writeln!(text, "{shown}  ({kind})"),
            };
            line.expect("writing to a string never fails");
        }
        // Few entries can still be long: a link's target has up to 4 KiB.
        let Bounded { mut text, left_out } = bound_text(&text, self.bytes);
        let hidden = listed.entries.len().saturating_sub(self.shown);
        if hidden > 0 || listed.more {
            let at_least = if listed.more { "at least " } else { "" };
            write!(
                text,
                "[{at_least}{hidden} more entries; use glob with a narrower pattern]"
            )
            .expect("writing to a string never fails");
        }
        Ok(ToolResult::ok(text).with_truncated(hidden > 0 || listed.more || left_out > 0))
    }
}

#[cfg(test)]
mod tests;
