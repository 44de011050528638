//! `edit_file`: replaces an exact piece of a file; everything else stays as it is, byte for byte.

mod replace;

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
use super::text::{SAMPLE, binary_kind};
use super::write_file::{read_whole, refuse_if_stale, refuse_lost_secrets};
use super::{Prepared, Tool, ToolContext, ToolError, ToolResult, diff, on};
use crate::workspace::{FileKind, MAX_WRITE, Workspace, WorkspaceError};
use replace::{Edited, replace};

const NAME: &str = "edit_file";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The file, relative to the workspace. It must exist.
    path: String,
    /// The text to replace, exactly as it is in the file, indentation included and line numbers left out. It must occur once, unless replace_all is true.
    old_string: String,
    /// What to put in its place. May be empty.
    new_string: String,
    /// Replace every occurrence. Default: false.
    replace_all: Option<bool>,
}

pub(super) struct EditFile {
    blocking: Blocking,
}

impl EditFile {
    pub(super) fn new(blocking: Blocking) -> Self {
        Self { blocking }
    }
}

impl Tool for EditFile {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Replaces an exact piece of text in a file. Give enough lines around the change that old_string occurs \
             only once. Line ends (CRLF or LF) are matched and kept as the file has them.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let input: Input = parse(NAME, input)?;
        let resolved = workspace.resolve(&input.path)?;
        let path = resolved.path.as_path().to_owned();
        match resolved.kind {
            Some(FileKind::File) => {}
            Some(kind) => return Err(WorkspaceError::NotAFile { path, kind }.into()),
            None => {
                let error = WorkspaceError::NotFound { path };
                return Err(ToolError::new(format!("{error}, or make it with write_file")));
            }
        }
        let wrong = |message: &str| Err(ToolError::new(format!("edit_file: {message}")));
        if input.old_string.is_empty() {
            return wrong(
                "old_string is empty; give the text to replace, or use write_file for a whole file",
            );
        }
        if input.old_string == input.new_string {
            return wrong("old_string and new_string are the same, so nothing would change");
        }
        if input.new_string.len() > MAX_WRITE {
            return wrong("new_string is larger than any file that can be edited; split the change");
        }
        Ok(Box::new(Call {
            path: resolved.path,
            also: resolved.also,
            old: input.old_string,
            new: input.new_string,
            all: input.replace_all.unwrap_or(false),
            workspace: workspace.clone(),
            blocking: self.blocking.clone(),
        }))
    }
}

struct Call {
    path: RelPath,
    also: Vec<RelPath>,
    old: String,
    new: String,
    all: bool,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Write, &self.path, &self.also)
    }

    fn summary(&self) -> String {
        let what = if self.all {
            "every occurrence in"
        } else {
            "one place in"
        };
        format!("edit {what} {}", self.path)
    }

    fn detail(&self) -> Option<String> {
        Some(match self.apply() {
            Ok((before, edited)) => diff::unified(self.path.as_str(), Some(&before), &edited.content),
            Err(error) => format!("This edit will fail: {error}"),
        })
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let (blocking, redactor) = (self.blocking.clone(), context.redactor);
            blocking
                .run(&context.cancel, move |token| self.edit(&redactor, token))
                .await
                .into()
        }
        .boxed()
    }
}

impl Call {
    fn edit(&self, redactor: &Redactor, cancel: &CancellationToken) -> Result<ToolResult, ToolError> {
        let (before, edited) = self.apply()?;
        if self.new.contains(REPLACEMENT) {
            let after = String::from_utf8_lossy(&edited.content);
            refuse_lost_secrets(redactor, &self.path, &before, &after)?;
        }
        if cancel.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        let metadata = self.workspace.write_file(&self.path, &edited.content)?;
        self.workspace
            .ledger()
            .remember(self.path.as_path(), Version::of(&metadata));
        Ok(ToolResult::ok(match edited.lines.as_slice() {
            [line] => format!("{} was changed at line {line}.", self.path),
            lines => format!(
                "{} was changed in {} places, the first at line {}.",
                self.path,
                lines.len(),
                lines[0]
            ),
        }))
    }

    /// The content now and as it would be.
    fn apply(&self) -> Result<(Vec<u8>, Edited), ToolError> {
        let opened = self.workspace.open_file(&self.path)?;
        refuse_if_stale(&self.workspace, &self.path, &opened)?;
        let before = read_whole(opened, &self.path)?;
        if let Some(kind) = binary_kind(&before[..before.len().min(SAMPLE)]) {
            return Err(ToolError::new(format!(
                "{} is not text but {kind}; edit_file can't change it",
                self.path
            )));
        }
        let edited = replace(&before, &self.old, &self.new, self.all)
            .map_err(|error| ToolError::new(format!("{}: {error}; nothing was changed", self.path)))?;
        Ok((before, edited))
    }
}

#[cfg(test)]
mod tests;
