//! Two areas of the terminal: what is finished scrolls away above and is never touched again; the live region at the
//! bottom is redrawn in place. One write a frame, inside a synchronized update, and only of rows that changed: no flicker.

use std::io::{self, Write};

use super::styled::{Line, columns};

const BEGIN_UPDATE: &str = "\x1b[?2026h";
const END_UPDATE: &str = "\x1b[?2026l";
/// Rows are overwritten and then cleared to their right, never emptied first: also a terminal that does not know
/// synchronized updates has nothing to flicker. Rows must be at least one column narrower than the terminal, because
/// behind the last column this would clear that column.
const CLEAR_RIGHT: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[0J";

/// What the live region shows: rows, and where the cursor stands in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) rows: Vec<Line>,
    /// Row and column of the cursor, from the top left of the region.
    pub(super) cursor: (usize, usize),
}

/// Draws on any writer, so that tests can look at the bytes.
pub(super) struct Screen<W: Write> {
    out: W,
    shown: Frame,
    width: usize,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, width: usize) -> Self {
        Self {
            out,
            shown: Frame::default(),
            width,
        }
    }

    /// Puts finished rows above the live region and shows the region anew.
    pub(super) fn commit(&mut self, finished: &[Line], frame: Frame) -> io::Result<()> {
        let mut text = String::from(BEGIN_UPDATE);
        self.go_to_top(&mut text);
        for line in finished {
            text.push_str(&line.ansi());
            text.push_str(CLEAR_RIGHT);
            text.push_str("\r\n");
        }
        self.draw(&mut text, frame, true);
        self.write(&text)
    }

    /// Redraws the rows of the live region that changed.
    pub(super) fn show(&mut self, frame: Frame) -> io::Result<()> {
        if frame == self.shown {
            return Ok(());
        }
        let mut text = String::from(BEGIN_UPDATE);
        self.go_to_top(&mut text);
        self.draw(&mut text, frame, false);
        self.write(&text)
    }

    /// After the terminal changed its width: rows of the region may have been wrapped by the terminal itself.
    pub(super) fn resize(&mut self, width: usize) -> io::Result<()> {
        let rows_now = |line: &Line| columns(&line.text()).saturating_sub(1) / width.max(1) + 1;
        let above: usize = self
            .shown
            .rows
            .iter()
            .take(self.shown.cursor.0)
            .map(rows_now)
            .sum();
        let mut text = String::new();
        up(&mut text, above);
        text.push('\r');
        text.push_str(CLEAR_BELOW);
        self.width = width;
        self.shown = Frame::default();
        self.write(&text)
    }

    /// Removes the live region; the cursor stands where it began.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.commit(&[], Frame::default())
    }

    fn go_to_top(&self, text: &mut String) {
        up(text, self.shown.cursor.0);
        text.push('\r');
    }

    /// Draws from the top of the region and leaves the cursor where the frame wants it.
    fn draw(&mut self, text: &mut String, frame: Frame, everything: bool) {
        let last = frame.rows.len().saturating_sub(1);
        for (index, row) in frame.rows.iter().enumerate() {
            if everything || self.shown.rows.get(index) != Some(row) {
                text.push_str(&row.ansi());
                text.push_str(CLEAR_RIGHT);
            }
            text.push('\r');
            if index < last {
                text.push('\n');
            }
        }
        if frame.rows.is_empty() {
            text.push_str(CLEAR_BELOW);
        } else if everything || self.shown.rows.len() > frame.rows.len() {
            // Rows of before may be left over below the last one. Moving down would scroll at the bottom of the
            // terminal, so they are cleared from the end of the last row on.
            let last_row = frame.rows.last().map_or(0, |row| columns(&row.text()));
            if last_row > 0 {
                text.push_str(&format!("\x1b[{last_row}C"));
            }
            text.push_str(CLEAR_BELOW);
            text.push('\r');
        }
        up(text, last.saturating_sub(frame.cursor.0));
        if frame.cursor.1 > 0 {
            text.push_str(&format!(
                "\x1b[{}C",
                frame.cursor.1.min(self.width.saturating_sub(1))
            ));
        }
        self.shown = frame;
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(END_UPDATE.as_bytes())?;
        self.out.flush()
    }
}

fn up(text: &mut String, rows: usize) {
    if rows > 0 {
        text.push_str(&format!("\x1b[{rows}A"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rows: &[&str], cursor: (usize, usize)) -> Frame {
        Frame {
            rows: rows.iter().map(Line::plain).collect(),
            cursor,
        }
    }

    #[test]
    fn a_frame_that_did_not_change_writes_nothing() {
        let mut screen = Screen::new(Vec::new(), 80);
        screen.show(frame(&["a", "b"], (1, 1))).unwrap();
        let before = screen.out.len();
        screen.show(frame(&["a", "b"], (1, 1))).unwrap();
        assert_eq!(screen.out.len(), before);
    }

    #[test]
    fn only_changed_rows_are_drawn_again() {
        let mut screen = Screen::new(Vec::new(), 80);
        screen.show(frame(&["first", "second"], (1, 0))).unwrap();
        screen.out.clear();
        screen.show(frame(&["first", "other"], (1, 0))).unwrap();
        let drawn = String::from_utf8(screen.out.clone()).unwrap();
        assert!(drawn.contains("other") && !drawn.contains("first"), "{drawn:?}");
    }

    #[test]
    fn finished_rows_come_before_the_region() {
        let mut screen = Screen::new(Vec::new(), 80);
        screen.show(frame(&["input"], (0, 0))).unwrap();
        screen.out.clear();
        screen
            .commit(&[Line::plain("done")], frame(&["input"], (0, 0)))
            .unwrap();
        let drawn = String::from_utf8(screen.out.clone()).unwrap();
        assert!(drawn.find("done").unwrap() < drawn.find("input").unwrap());
    }
}
