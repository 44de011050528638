//! `glob`: files by the pattern of their names.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::blocking::Blocking;
use super::input::{definition, parse};
use super::walk::{Scope, Stop, walk};
use super::{PathFilter, Prepared, Tool, ToolContext, ToolError, ToolLimits, ToolResult, on};
use crate::workspace::{FileKind, Workspace, WorkspaceError};

const NAME: &str = "glob";

/// Bytes of one pattern, asked for or in an ignore file. Real ones have a few dozen; much longer ones can't be compiled, or
/// nest so deep that taking them apart overflows the stack, which no program survives.
pub(super) const MAX_PATTERN: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Such as `**/*.rs` or `src/**/test_*.py`. A pattern without `/` matches names at any depth.
    pattern: String,
    /// The folder to search, relative to the workspace; the pattern is relative to it. Default: the workspace.
    path: Option<String>,
    /// Also hidden files and what .gitignore leaves out. Default: false.
    include_ignored: Option<bool>,
}

pub(super) struct Glob {
    limits: Arc<ToolLimits>,
    blocking: Blocking,
}

impl Glob {
    pub(super) fn new(limits: Arc<ToolLimits>, blocking: Blocking) -> Self {
        Self { limits, blocking }
    }
}

impl Tool for Glob {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Finds files by a pattern of their path and lists them, sorted. Skips hidden files and what .gitignore \
             leaves out, unless asked; never looks into .git. To search what is in files use grep.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let input: Input = parse(NAME, input)?;
        let (matcher, asks_hidden) = compile(NAME, "pattern", &input.pattern)?;
        let base = workspace.resolve(input.path.as_deref().unwrap_or("."))?;
        let path = base.path.as_path().to_owned();
        match base.kind {
            Some(FileKind::Folder) => {}
            Some(kind) => return Err(WorkspaceError::NotAFolder { path, kind }.into()),
            None => return Err(WorkspaceError::NotFound { path }.into()),
        }
        Ok(Box::new(Call {
            base: base.path,
            also: base.also,
            pattern: input.pattern,
            matcher,
            all: asks_hidden || input.include_ignored.unwrap_or(false),
            shown: self.limits.max_matches,
            bytes: self.limits.max_output,
            workspace: workspace.clone(),
            blocking: self.blocking.clone(),
        }))
    }
}

/// A matcher for paths relative to a folder, and whether the pattern itself names something hidden.
pub(super) fn compile(tool: &str, field: &str, pattern: &str) -> Result<(GlobSet, bool), ToolError> {
    if pattern.len() > MAX_PATTERN {
        return Err(ToolError::new(format!(
            "{tool}: {field} has {} bytes, more than {MAX_PATTERN}; use a shorter pattern, or several calls",
            pattern.len()
        )));
    }
    let wrong = |what: &str| {
        ToolError::new(format!(
            "{tool}: {field} {pattern:?} {what}. Patterns look like `**/*.rs`, `src/*.{{c,h}}`, `test_?.py`, `[a-z]*`"
        ))
    };
    let plain = pattern.strip_prefix("./").unwrap_or(pattern);
    if plain.is_empty() {
        return Err(wrong("is empty"));
    }
    if plain.starts_with('/') || plain.split('/').any(|part| part == "..") {
        return Err(wrong(
            "leaves the folder that is searched: give the folder as path, and the pattern relative to it",
        ));
    }
    let anywhere = if plain.contains('/') {
        plain.to_owned()
    } else {
        format!("**/{plain}")
    };
    // A set of one, because a matcher of its own panics on what it can't compile, such as alternatives nested too deep.
    let compiled = GlobBuilder::new(&anywhere)
        .literal_separator(true)
        .build()
        .and_then(|glob| GlobSetBuilder::new().add(glob).build())
        .map_err(|error| match error.kind() {
            globset::ErrorKind::Regex(_) => wrong("is too complicated"),
            kind => wrong(&format!("is no valid pattern: {kind}")),
        })?;
    Ok((compiled, plain.split('/').any(|part| part.starts_with('.'))))
}

/// `path` relative to the folder that is searched; both are relative to the workspace.
pub(super) fn below<'p>(base: &RelPath, path: &'p Path) -> &'p Path {
    path.strip_prefix(base.as_path()).unwrap_or(path)
}

struct Call {
    base: RelPath,
    also: Vec<RelPath>,
    pattern: String,
    matcher: GlobSet,
    all: bool,
    shown: usize,
    bytes: usize,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Read, &self.base, &self.also)
    }

    fn summary(&self) -> String {
        format!("find {} in {}", self.pattern, self.base)
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let blocking = self.blocking.clone();
            let may_read = context.may_read;
            blocking
                .run(&context.cancel, move |token| self.find(&may_read, token))
                .await
                .into()
        }
        .boxed()
    }
}

impl Call {
    fn find(&self, may_read: &PathFilter, cancel: &CancellationToken) -> Result<ToolResult, ToolError> {
        let stop = Stop::new(cancel);
        let scope = Scope::new(self.all, may_read, &stop);
        let mut found: Vec<String> = Vec::new();
        let (mut more, mut bytes) = (false, 0);
        let walked = walk(&self.workspace, &self.base, &scope, &mut |entry| {
            if entry.kind == FileKind::Folder || !self.matcher.is_match(below(&self.base, entry.path)) {
                return ControlFlow::Continue(());
            }
            let path = entry.path.to_string_lossy();
            bytes += path.len();
            if found.len() == self.shown || bytes > self.bytes {
                more = true;
                return ControlFlow::Break(());
            }
            found.push(path.into_owned());
            ControlFlow::Continue(())
        })?;
        let mut notes = walked.notes();
        if more {
            notes.insert(
                0,
                format!(
                    "only the first {} are shown; use a narrower pattern or path",
                    found.len()
                ),
            );
        }
        if found.is_empty() {
            let hint = if self.all {
                ""
            } else {
                " (hidden and ignored files were skipped; see include_ignored)"
            };
            found.push(format!(
                "No file in {} matches {:?}{hint}.",
                self.base, self.pattern
            ));
        }
        if !notes.is_empty() {
            found.push(format!("[{}]", notes.join("; ")));
        }
        Ok(ToolResult::ok(found.join("\n")).with_truncated(more || !walked.is_complete()))
    }
}

#[cfg(test)]
mod tests;
