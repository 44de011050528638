//! `read_file`: some lines of a file, numbered, within limits whatever the file is.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::blocking::Blocking;
use super::input::{definition, parse};
use super::ledger::Version;
use super::text::{Line, SAMPLE, binary_kind, next_line, size};
use super::{Prepared, Tool, ToolContext, ToolError, ToolLimits, ToolResult, on};
use crate::workspace::{Opened, Workspace, WorkspaceError};

const NAME: &str = "read_file";
/// Lines shown when the call doesn't say; most source files whole.
const DEFAULT_LINES: usize = 2000;
/// Bytes shown of one line; longer ones are minified code or data.
const LINE_BYTES: usize = 2000;
/// Bytes read to get to `offset` and to count lines, in one call: a fraction of a second from disk.
const MAX_SCAN: u64 = 64 * 1024 * 1024;
/// Bytes read at once, and so how often a cancel is noticed.
const BLOCK: usize = 64 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The file, relative to the workspace.
    path: String,
    /// The first line to show, counted from 1. Default: 1.
    offset: Option<u64>,
    /// How many lines to show. Default: 2000.
    limit: Option<usize>,
}

pub(super) struct ReadFile {
    limits: Arc<ToolLimits>,
    blocking: Blocking,
}

impl ReadFile {
    pub(super) fn new(limits: Arc<ToolLimits>, blocking: Blocking) -> Self {
        Self { limits, blocking }
    }
}

impl Tool for ReadFile {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition::<Input>(
            NAME,
            "Reads a text file. Lines come numbered (`12\\ttext`); the numbers are not part of the file. Long files \
             are shown in part and the result says how to read on with offset. Binary files are named, not shown.",
        )
    }

    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError> {
        let input: Input = parse(NAME, input)?;
        let resolved = workspace.resolve(&input.path)?;
        if input.offset == Some(0) {
            return Err(ToolError::new(
                "read_file: offset counts lines from 1; leave it out to begin at the start",
            ));
        }
        let range = Range {
            first: input.offset.unwrap_or(1),
            lines: input.limit.unwrap_or(DEFAULT_LINES).max(1),
            bytes: self.limits.max_file_read,
        };
        Ok(Box::new(Call {
            path: resolved.path,
            also: resolved.also,
            range,
            workspace: workspace.clone(),
            blocking: self.blocking.clone(),
        }))
    }
}

struct Call {
    path: RelPath,
    also: Vec<RelPath>,
    range: Range,
    workspace: Workspace,
    blocking: Blocking,
}

impl Prepared for Call {
    fn actions(&self) -> Vec<Action<'_>> {
        on(Action::Read, &self.path, &self.also)
    }

    fn summary(&self) -> String {
        match self.range.first {
            1 => format!("read {}", self.path),
            first => format!("read {} from line {first}", self.path),
        }
    }

    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult> {
        async move {
            let Self {
                path,
                range,
                workspace,
                blocking,
                ..
            } = *self;
            let work = move |token: &CancellationToken| read(&workspace, &path, &range, token);
            blocking.run(&context.cancel, work).await.into()
        }
        .boxed()
    }
}

struct Range {
    first: u64,
    lines: usize,
    bytes: usize,
}

fn read(
    workspace: &Workspace,
    path: &RelPath,
    range: &Range,
    cancel: &CancellationToken,
) -> Result<ToolResult, ToolError> {
    let Opened { file, metadata } = workspace.open_file(path)?;
    let failed = |source| {
        ToolError::from(WorkspaceError::Io {
            path: path.as_path().to_owned(),
            doing: "read",
            source,
        })
    };
    let mut reader = BufReader::with_capacity(BLOCK, file);
    let sample = reader.fill_buf().map_err(failed)?;
    if sample.is_empty() {
        workspace
            .ledger()
            .remember(path.as_path(), Version::of(&metadata));
        return Ok(ToolResult::ok(format!("{path} is empty (0 bytes).")));
    }
    if let Some(kind) = binary_kind(&sample[..sample.len().min(SAMPLE)]) {
        let size = size(metadata.len());
        return Err(ToolError::new(format!(
            "{path} is not text but {kind}, {size}. It can't be shown; bash with file, strings, xxd or a fitting \
             program can tell more."
        )));
    }
    if sample.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    let mut shown = Shown::default();
    let mut budget = MAX_SCAN;
    let mut number = 0;
    let mut at_end = false;
    loop {
        // One look a line would cost more than the reading.
        if number % 1024 == 0 && cancel.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        let keep = if number + 1 < range.first { 0 } else { LINE_BYTES };
        // The block that can't fit any more is not read, except to learn how many lines there are.
        let Some(line) = next_line(&mut reader, keep, &mut budget).map_err(failed)? else {
            at_end = budget > 0;
            break;
        };
        number += 1;
        if number < range.first {
            continue;
        }
        if shown.lines == range.lines || !shown.add(number, &line, range.bytes) {
            number -= 1;
            break;
        }
    }
    workspace
        .ledger()
        .remember(path.as_path(), Version::of(&metadata));
    if shown.lines == 0 {
        return Err(nothing_shown(path, range.first, number, at_end, metadata.len()));
    }
    Ok(shown.finish(number, at_end, metadata.len()))
}

fn nothing_shown(path: &RelPath, first: u64, lines: u64, at_end: bool, bytes: u64) -> ToolError {
    ToolError::new(if at_end {
        format!("{path} has only {lines} lines; offset {first} is beyond its end")
    } else {
        format!(
            "line {first} of {path} ({}) lies beyond the first {}, which is as far as read_file looks. Use grep to \
             find the place, or bash with sed -n or tail -c",
            size(bytes),
            size(MAX_SCAN)
        )
    })
}

#[derive(Default)]
struct Shown {
    text: String,
    first: u64,
    lines: usize,
    cut: usize,
    lossy: bool,
    crlf: bool,
}

impl Shown {
    /// False when the line doesn't fit any more. The first one always does: the limit is far above one line.
    fn add(&mut self, number: u64, line: &Line, limit: usize) -> bool {
        let text = String::from_utf8_lossy(&line.bytes);
        if self.lines > 0 && self.text.len() + text.len() > limit {
            return false;
        }
        if self.lines == 0 {
            self.first = number;
        }
        self.lines += 1;
        self.crlf |= line.crlf;
        let gone = line.length - line.bytes.len() as u64;
        // A character cut by the limit is not the file's fault.
        let text = if gone > 0 {
            text.trim_end_matches('\u{FFFD}')
        } else {
            &text
        };
        self.lossy |= text.contains('\u{FFFD}');
        let written = match gone {
            0 => writeln!(self.text, "{number}\t{text}"),
            gone => {
                self.cut += 1;
                writeln!(self.text, "{number}\t{text} … [{gone} more bytes in this line]")
            }
        };
        written.expect("writing to a string never fails");
        true
    }

    fn finish(mut self, last: u64, at_end: bool, bytes: u64) -> ToolResult {
        let mut notes = Vec::new();
        if !at_end {
            notes.push(format!(
                "lines {} to {last} of a file of {}; read on with offset={}",
                self.first,
                size(bytes),
                last + 1
            ));
        } else if self.first > 1 {
            notes.push(format!("lines {} to {last}, the last", self.first));
        }
        if self.cut > 0 {
            notes.push(format!("{} long lines were cut at {LINE_BYTES} bytes", self.cut));
        }
        if self.lossy {
            notes.push("some bytes are not valid UTF-8 and are shown as U+FFFD".to_owned());
        }
        if self.crlf {
            notes.push("lines end with CRLF, which edit_file keeps".to_owned());
        }
        if !notes.is_empty() {
            write!(self.text, "[{}]", notes.join("; ")).expect("writing to a string never fails");
        }
        ToolResult::ok(self.text).with_truncated(!at_end || self.cut > 0)
    }
}

#[cfg(test)]
mod tests;
