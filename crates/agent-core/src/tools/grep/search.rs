//! The search itself: walks, opens beneath the workspace's handle, streams each file through the searcher.
//! Nothing is mapped into memory, because a file cut short by somebody else would kill the process.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use agent_security::path::RelPath;
use globset::GlobSet;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use tokio_util::sync::CancellationToken;

use crate::tools::glob::below;
use crate::tools::text::prefix;
use crate::tools::walk::{Scope, Stop, walk};
use crate::tools::{PathFilter, ToolError, ToolResult};
use crate::workspace::{FileKind, Opened, Workspace, open_regular_at};

/// Bytes shown of one line.
const LINE_BYTES: usize = 500;
/// Bytes of the longest line that is searched. A file with a longer one is skipped from there on, with a note.
const MAX_LINE: usize = 8 * 1024 * 1024;

pub(super) struct Search {
    pub(super) base: RelPath,
    pub(super) is_file: bool,
    pub(super) matcher: RegexMatcher,
    pub(super) files: Option<GlobSet>,
    pub(super) all: bool,
    pub(super) max_results: usize,
    pub(super) max_bytes: usize,
    pub(super) context: usize,
}

#[derive(Default)]
struct Found {
    text: String,
    matches: usize,
    files: usize,
    searched: usize,
    skipped: usize,
    binary: bool,
    full: bool,
}

impl Search {
    pub(super) fn run(
        &self,
        workspace: &Workspace,
        may_read: &PathFilter,
        cancel: &CancellationToken,
    ) -> Result<ToolResult, ToolError> {
        let stop = Stop::new(cancel);
        let mut searcher = SearcherBuilder::new()
            .line_number(true)
            .before_context(self.context)
            .after_context(self.context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(MAX_LINE))
            .build();
        let mut found = Found::default();
        let mut notes = Vec::new();
        if self.is_file {
            let opened = workspace.open_file(&self.base)?;
            self.file(&mut searcher, opened, self.base.as_path(), &stop, &mut found);
        } else {
            let scope = Scope::new(self.all, may_read, &stop);
            let walked = walk(workspace, &self.base, &scope, &mut |entry| {
                let wanted = entry.kind == FileKind::File
                    && self
                        .files
                        .as_ref()
                        .is_none_or(|files| files.is_match(below(&self.base, entry.path)));
                if wanted {
                    match open_regular_at(entry.folder, entry.name, entry.path) {
                        Ok(opened) => self.file(&mut searcher, opened, entry.path, &stop, &mut found),
                        Err(_) => found.skipped += 1,
                    }
                }
                if found.full {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            found.full |= !walked.is_complete();
            notes = walked.notes();
        }
        if cancel.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        Ok(self.result(found, notes))
    }

    fn file(&self, searcher: &mut Searcher, opened: Opened, path: &Path, stop: &Stop<'_>, found: &mut Found) {
        let matches_before = found.matches;
        let lines = Lines {
            search: self,
            path: path.to_string_lossy(),
            begun: false,
            found,
        };
        let searched = searcher.search_reader(
            &self.matcher,
            Stoppable {
                file: opened.file,
                stop,
            },
            lines,
        );
        found.searched += 1;
        found.files += usize::from(found.matches > matches_before);
        found.skipped += usize::from(searched.is_err());
    }

    fn result(&self, found: Found, mut notes: Vec<String>) -> ToolResult {
        let mut text = found.text;
        if found.matches == 0 {
            let hint = match (self.is_file, self.all) {
                (true, _) if found.binary => " It is a binary file.",
                (false, false) => " Hidden, ignored and binary files were skipped; see include_ignored.",
                _ => "",
            };
            text = format!("No line matches ({} files searched).{hint}\n", found.searched);
        } else if found.full && notes.is_empty() {
            notes.push(format!(
                "stopped after {} matches in {} files; use a narrower pattern, path or glob",
                found.matches, found.files
            ));
        }
        if found.skipped > 0 {
            notes.push(format!("{} files could not be searched (whole)", found.skipped));
        }
        if notes.is_empty() {
            text.truncate(text.trim_end_matches('\n').len());
        } else {
            text.push_str(&format!("[{}]", notes.join("; ")));
        }
        ToolResult::ok(text).with_truncated(found.full)
    }
}

/// Takes the lines of one file.
struct Lines<'a> {
    search: &'a Search,
    path: std::borrow::Cow<'a, str>,
    begun: bool,
    found: &'a mut Found,
}

impl Lines<'_> {
    /// Whether there is room for more.
    fn line(&mut self, separator: char, number: Option<u64>, bytes: &[u8]) -> bool {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // Four bytes more than shown, so that a character at the cut is whole before it is cut as text.
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_BYTES + 4)]);
        let shown = prefix(&text, LINE_BYTES);
        let gone = bytes.len().saturating_sub(LINE_BYTES);
        let more = if gone > 0 {
            format!(" … [{gone} more bytes]")
        } else {
            String::new()
        };
        let number = number.unwrap_or_default();
        let line = format!("{}{separator}{number}{separator}{shown}{more}\n", self.path);
        if self.found.text.len() + line.len() > self.search.max_bytes {
            self.found.full = true;
            return false;
        }
        self.found.text.push_str(&line);
        true
    }

    fn begin_group(&mut self) {
        if !self.begun && self.search.context > 0 && !self.found.text.is_empty() {
            self.found.text.push_str("--\n");
        }
        self.begun = true;
    }
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if self.found.matches == self.search.max_results {
            self.found.full = true;
            return Ok(false);
        }
        self.begin_group();
        let fits = self.line(':', found.line_number(), found.bytes());
        self.found.matches += usize::from(fits);
        Ok(fits)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        // Context before a match that is not shown any more would mislead; after the last one it is still due.
        let is_before = matches!(context.kind(), grep_searcher::SinkContextKind::Before);
        if is_before && self.found.matches == self.search.max_results {
            self.found.full = true;
            return Ok(false);
        }
        self.begin_group();
        Ok(self.line('-', context.line_number(), context.bytes()))
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        if self.found.matches < self.search.max_results {
            self.found.text.push_str("--\n");
        }
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.found.binary = true;
        Ok(true)
    }
}

/// A file whose reading ends with an error once the search must stop.
struct Stoppable<'a> {
    file: std::fs::File,
    stop: &'a Stop<'a>,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.reached() {
            return Err(io::Error::other("the search was stopped"));
        }
        self.file.read(buffer)
    }
}
