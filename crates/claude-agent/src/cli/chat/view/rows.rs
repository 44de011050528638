//! Texts as rows: beside a bar, cut, or in pieces.

use crate::cli::output;
use crate::cli::styled::{Colour, Line, Style, columns};

/// Up to `limit` lines beside a bar, then how many are left out.
pub(super) fn boxed(text: &str, limit: usize, width: usize, style: impl Fn(&str) -> Style) -> Vec<Line> {
    let mut rows = Vec::new();
    for line in text.lines().take(limit) {
        let mut row = Line::styled("  │ ", Style::DIM);
        row.push(line, style(line));
        rows.push(cut(&row, width));
    }
    let rest = text.lines().count().saturating_sub(limit);
    if rest > 0 {
        rows.push(Line::styled(
            format!("  │ {}", output::more_lines(rest)),
            Style::DIM,
        ));
    }
    rows
}

pub(super) fn diff_style(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => Style::of(Colour::Green),
        Some(b'-') => Style::of(Colour::Red),
        _ => Style::PLAIN,
    }
}

/// The line as one row, with an ellipsis where it was cut.
pub(super) fn cut(line: &Line, width: usize) -> Line {
    if columns(&line.text()) <= width {
        return line.clone();
    }
    let mut rest = width.saturating_sub(1);
    let mut short = Line::default();
    for span in &line.0 {
        let piece = pieces(&span.text, rest.max(1))[0];
        short.push(piece, span.style);
        rest = rest.saturating_sub(columns(piece));
        if piece.len() < span.text.len() || rest == 0 {
            break;
        }
    }
    short.push("…", Style::DIM);
    short
}

/// Cuts a text into pieces of at most `width` columns; an empty text is one empty piece.
pub(super) fn pieces(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut column) = (0, 0);
    for (at, c) in text.char_indices() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        if column + wide > width && at > start {
            pieces.push(&text[start..at]);
            (start, column) = (at, 0);
        }
        column += wide;
    }
    pieces.push(&text[start..]);
    pieces
}
