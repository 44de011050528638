//! `write_file`: a whole file, made or replaced in one step.

use std::io::Read;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use agent_security::redact::{REPLACEMENT, Redactor};
use futures_util::future::{BoxFuture, FutureExt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::blocking::Blocking;
use super::input::{definition, parse};
use super::ledger::Version;
use super::text::size;
use super::{Prepared, Tool, ToolContext, ToolError, ToolResult, diff, on};
use crate::workspace::{FileKind, MAX_WRITE, Opened, Workspace, WorkspaceError};

const NAME: &str = "write_file";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The file, relative to the workspace. Missing folders are made.
    path: String,
    /// The whole new content.
    content: String,
}

pub(super) struct WriteFile {
    blocking: Blocking,
}

impl WriteFile {
    pub(super) fn new(blocking: Blocking) -> Self {
        Self { blocking }
    }
}

impl Tool for WriteFile {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Makes a file, or replaces one whole. To change part of a file use edit_file. A file that changed since \
             it was read is not replaced; read it again first.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let Input { path, content } = parse(NAME, input)?;
        let resolved = workspace.resolve(&path)?;
        match resolved.kind {
            None | Some(FileKind::File) => {}
            Some(kind) => {
                let path = resolved.path.as_path().to_owned();
                return Err(WorkspaceError::NotAFile { path, kind }.into());
            }
        }
        if content.len() > MAX_WRITE {
            return Err(ToolError::new(format!(
                "write_file: the content has {}, more than the {} that are written at once; make the file with a \
                 program in bash, or split it",
                size(content.len() as u64),
                size(MAX_WRITE as u64)
            )));
        }
        Ok(Box::new(Call {
            path: resolved.path,
            also: resolved.also,
            content,
            workspace: workspace.clone(),
            blocking: self.blocking.clone(),
        }))
    }
}

struct Call {
    path: RelPath,
    also: Vec<RelPath>,
    content: String,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Write, &self.path, &self.also)
    }

    fn summary(&self) -> String {
        format!("write {} ({})", self.path, size(self.content.len() as u64))
    }

    fn detail(&self) -> Option<String> {
        let old = match self.workspace.open_file(&self.path) {
            Ok(opened) => read_whole(opened, &self.path)
                .map_err(|error| error.message)
                .map(Some),
            Err(WorkspaceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        Some(match old {
            Ok(old) => diff::unified(self.path.as_str(), old.as_deref(), self.content.as_bytes()),
            Err(reason) => format!("{}: no diff, because {reason}", self.path),
        })
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let Self {
                path,
                content,
                workspace,
                blocking,
                ..
            } = *self;
            let redactor = context.redactor;
            let work = move |token: &CancellationToken| write(&workspace, &path, &content, &redactor, token);
            blocking.run(&context.cancel, work).await.into()
        }
        .boxed()
    }
}

fn write(
    workspace: &Workspace,
    path: &RelPath,
    content: &str,
    redactor: &Redactor,
    cancel: &CancellationToken,
) -> Result<ToolResult, ToolError> {
    let existed = match workspace.open_file(path) {
        Ok(opened) => {
            refuse_if_stale(workspace, path, &opened)?;
            if content.contains(REPLACEMENT) {
                refuse_lost_secrets(redactor, path, &read_whole(opened, path)?, content)?;
            }
            true
        }
        Err(WorkspaceError::NotFound { .. }) => false,
        // It may be writable without being readable; what stands in the way of writing is told by the write.
        Err(WorkspaceError::Io { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    if cancel.is_cancelled() {
        return Err(ToolError::cancelled());
    }
    let metadata = workspace.write_file(path, content.as_bytes())?;
    workspace
        .ledger()
        .remember(path.as_path(), Version::of(&metadata));
    let done = if existed { "replaced" } else { "made" };
    let lines = content.lines().count();
    Ok(ToolResult::ok(format!(
        "{path} was {done}: {lines} lines, {}.",
        size(content.len() as u64)
    )))
}

/// The model must not overwrite what it has not seen.
pub(super) fn refuse_if_stale(
    workspace: &Workspace,
    path: &RelPath,
    opened: &Opened,
) -> Result<(), ToolError> {
    if workspace
        .ledger()
        .is_stale(path.as_path(), Version::of(&opened.metadata))
    {
        return Err(ToolError::new(format!(
            "{path} changed on disk since it was last read here (somebody else, or a command, wrote it); nothing \
             was changed. Read it again with read_file, then repeat the change on what it says now"
        )));
    }
    Ok(())
}

/// Secrets of a file are shown to the model as `[redacted]`; a copy of that must not take their place.
pub(super) fn refuse_lost_secrets(
    redactor: &Redactor,
    path: &RelPath,
    before: &[u8],
    after: &str,
) -> Result<(), ToolError> {
    let marks = |text: &str| text.matches(REPLACEMENT).count();
    let before = String::from_utf8_lossy(before);
    let own = marks(&before);
    if marks(after) > own && marks(&redactor.redact(&before)) > own {
        return Err(ToolError::new(format!(
            "{path} holds secrets, which were shown to you as {REPLACEMENT}, and this would write that word in their \
             place; nothing was changed. Change the lines around them with edit_file, and leave the secrets out of \
             old_string and new_string"
        )));
    }
    Ok(())
}

/// The whole content of a file that is to be changed or compared.
pub(super) fn read_whole(opened: Opened, path: &RelPath) -> Result<Vec<u8>, ToolError> {
    let mut content = Vec::new();
    opened
        .file
        .take(MAX_WRITE as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|source| WorkspaceError::Io {
            path: path.as_path().to_owned(),
            doing: "read",
            source,
        })?;
    if content.len() > MAX_WRITE {
        return Err(ToolError::new(format!(
            "{path} has {}, more than the {} that can be edited whole; change it with a program in bash (sed, …)",
            size(opened.metadata.len()),
            size(MAX_WRITE as u64)
        )));
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
