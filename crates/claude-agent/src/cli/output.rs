//! The one place that writes to standard output and standard error.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use agent_core::PlanStatus;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::Failure;

/// Writes a text and a line end to standard output.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// Writes a text as it is to standard output, at once.
pub(super) fn raw(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// Writes a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    line(&text)
}

/// Writes a value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::internal)?;
    line(&text)
}

/// Tells a person something beside the result. A closed standard error is nobody's problem.
pub(super) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Standard output as a writer for long texts. On a terminal control characters are made visible, a line at a time; in a
/// file or a pipe the bytes are left as they are.
#[derive(Debug, Default)]
pub(super) struct Stdout {
    line: Vec<u8>,
}

/// A longer line is passed on in pieces, so that one without an end does not fill memory.
const MAX_LINE_BYTES: usize = 64 * 1024;

impl Stdout {
    fn pass_on(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        io::stdout()
            .lock()
            .write_all(visible(&String::from_utf8_lossy(&line)).as_bytes())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !is_terminal() {
            return io::stdout().lock().write(bytes);
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > MAX_LINE_BYTES {
                self.pass_on()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        io::stdout().lock().flush()
    }
}

/// Rows under headings, each column as wide as its widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.iter().map(|cell| visible(cell).into_owned()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width() + 2));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whether a person reads standard output in a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// That a session has taken in a stranger's words, and what this changes.
pub(super) fn distrusted(source: &str) -> String {
    format!(
        "{source}: the session now holds what a stranger wrote; commands that do more than read and requests to hosts that are not listed are asked \
         about from here on, for as long as the session lives"
    )
}

/// The text with control characters made visible: what a model or a tool wrote must not move the cursor, set the
/// window's title or hide lines of an approval. Line ends and tabs stay; bidirectional controls count as control characters.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    // CRLF is an ordinary line end.
    let text = text.replace("\r\n", "\n");
    Cow::Owned(
        text.chars()
            .map(|c| if hidden(c) { '\u{fffd}' } else { c })
            .collect(),
    )
}

/// What is left out below a cut text.
pub(super) fn more_lines(count: usize) -> String {
    if count == 1 {
        "… 1 more line".to_owned()
    } else {
        format!("… {count} more lines")
    }
}

/// The mark in front of a step of a plan.
pub(super) fn plan_mark(status: PlanStatus) -> char {
    match status {
        PlanStatus::Pending => '☐',
        PlanStatus::InProgress => '▶',
        PlanStatus::Completed => '☑',
    }
}

/// Columns that text may use: one less than the terminal has, and no more than can be read well.
pub(super) fn columns() -> usize {
    let width = match crossterm::terminal::size() {
        // Under some programs a terminal has no size.
        Ok((0, _)) | Err(_) => 80,
        Ok((columns, _)) => usize::from(columns),
    };
    width.saturating_sub(1).clamp(20, 120)
}

/// Styles for standard error; all empty when it is not a terminal, so that logs stay clean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) dim: &'static str,
    pub(super) bold: &'static str,
    pub(super) red: &'static str,
    pub(super) yellow: &'static str,
    pub(super) reset: &'static str,
}

impl Style {
    /// The style for notes on standard error.
    pub(super) fn for_notes() -> Self {
        if io::stderr().is_terminal() {
            Self::COLOURED
        } else {
            Self::PLAIN
        }
    }

    const COLOURED: Self = Self {
        dim: "\x1b[2m",
        bold: "\x1b[1m",
        red: "\x1b[31m",
        yellow: "\x1b[33m",
        reset: "\x1b[0m",
    };
    const PLAIN: Self = Self {
        dim: "",
        bold: "",
        red: "",
        yellow: "",
        reset: "",
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["日本".to_owned(), "x".to_owned()]);
        table.row(["long one".to_owned(), "y\u{1b}".to_owned()]);
        assert_eq!(
            table.to_string(),
            "a         b\n日本      x\nlong one  y\u{fffd}\n"
        );
    }

    #[test]
    fn escape_sequences_and_bidirectional_controls_do_not_reach_the_terminal() {
        for (text, expected) in [
            ("plain\n\tétext", "plain\n\tétext"),
            ("a\r\nb", "a\nb"),
            ("\x1b]0;title\x07", "\u{fffd}]0;title\u{fffd}"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("rm\u{202e}txt", "rm\u{fffd}txt"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
