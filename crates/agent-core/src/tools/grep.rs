//! `grep`: lines by a regular expression, with ripgrep's own search engine.

mod search;

use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use globset::GlobSet;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::blocking::Blocking;
use super::glob::compile;
use super::input::{definition, parse};
use super::{Prepared, Tool, ToolContext, ToolError, ToolLimits, ToolResult, on};
use crate::workspace::{FileKind, Workspace, WorkspaceError};
use search::Search;

const NAME: &str = "grep";
/// Lines of context on each side; more is read_file's work.
const MAX_CONTEXT: usize = 20;
/// Bytes of a compiled pattern; the engine's own default. A pattern that needs more is a mistake.
const MAX_PATTERN: usize = 10 * 1024 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// A regular expression (Rust syntax: no look-around, no back-references), matched line by line.
    pattern: String,
    /// A file or folder, relative to the workspace. Default: the workspace.
    path: Option<String>,
    /// Only files like this, such as `*.rs` or `src/**/*.py`, relative to path.
    glob: Option<String>,
    /// Upper and lower case match each other. Default: false.
    ignore_case: Option<bool>,
    /// Stop after this many matching lines.
    max_results: Option<usize>,
    /// Lines to show before and after each match. Default: 0.
    context_lines: Option<usize>,
    /// Also hidden files and what .gitignore leaves out. Default: false.
    include_ignored: Option<bool>,
}

pub(super) struct Grep {
    limits: Arc<ToolLimits>,
    blocking: Blocking,
}

impl Grep {
    pub(super) fn new(limits: Arc<ToolLimits>, blocking: Blocking) -> Self {
        Self { limits, blocking }
    }
}

impl Tool for Grep {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Searches text files for a regular expression. Matching lines come as path:line:text, lines of context as \
             path-line-text, sorted by path. Skips binary and hidden files and what .gitignore leaves out; never looks \
             into .git.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let input: Input = parse(NAME, input)?;
        let matcher = matcher(&input.pattern, input.ignore_case.unwrap_or(false))?;
        let (files, asks_hidden): (Option<GlobSet>, bool) = match &input.glob {
            Some(glob) => compile(NAME, "glob", glob).map(|(glob, hidden)| (Some(glob), hidden))?,
            None => (None, false),
        };
        let base = workspace.resolve(input.path.as_deref().unwrap_or("."))?;
        let path = base.path.as_path().to_owned();
        let is_file = match base.kind {
            Some(FileKind::Folder) => false,
            Some(FileKind::File) => true,
            Some(kind) => return Err(WorkspaceError::NotAFile { path, kind }.into()),
            None => return Err(WorkspaceError::NotFound { path }.into()),
        };
        let search = Search {
            base: base.path,
            is_file,
            matcher,
            files,
            all: asks_hidden || input.include_ignored.unwrap_or(false),
            max_results: input
                .max_results
                .unwrap_or(usize::MAX)
                .clamp(1, self.limits.max_matches),
            max_bytes: self.limits.max_output,
            context: input.context_lines.unwrap_or(0).min(MAX_CONTEXT),
        };
        let (workspace, blocking) = (workspace.clone(), self.blocking.clone());
        Ok(Box::new(Call {
            search,
            also: base.also,
            pattern: input.pattern,
            workspace,
            blocking,
        }))
    }
}

fn matcher(pattern: &str, ignore_case: bool) -> Result<RegexMatcher, ToolError> {
    RegexMatcherBuilder::new()
        .case_insensitive(ignore_case)
        .line_terminator(Some(b'\n'))
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build(pattern)
        .map_err(|error| {
            ToolError::new(format!(
                "grep: pattern {pattern:?} can't be used: {error}. Escape . * + ? ( ) [ ] {{ }} | ^ $ \\ with a \
                 backslash to search them as they are; look-around, back-references and matches over several lines \
                 are not supported"
            ))
        })
}

struct Call {
    search: Search,
    also: Vec<RelPath>,
    pattern: String,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Read, &self.search.base, &self.also)
    }

    fn summary(&self) -> String {
        format!("search {} for {}", base_name(&self.search.base), self.pattern)
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let Self {
                search,
                workspace,
                blocking,
                ..
            } = *self;
            let may_read = context.may_read;
            blocking
                .run(&context.cancel, move |token| {
                    search.run(&workspace, &may_read, token)
                })
                .await
                .into()
        }
        .boxed()
    }
}

fn base_name(base: &RelPath) -> &str {
    if base.is_root() {
        "the workspace"
    } else {
        base.as_str()
    }
}

#[cfg(test)]
mod tests;
