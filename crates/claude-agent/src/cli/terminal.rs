//! The terminal in raw mode, and back again however its user ends.

use std::io::{self, Stdout};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::{cursor, execute, terminal};

use super::screen::Screen;

/// Raw mode until dropped. Panics unwind, so the shell gets its terminal back then too.
pub(super) struct Terminal {
    pub(super) screen: Screen<Stdout>,
}

impl Terminal {
    pub(super) fn enter(width: usize) -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let terminal = Self {
            screen: Screen::new(io::stdout(), width),
        };
        execute!(io::stdout(), EnableBracketedPaste, cursor::Show)?;
        Ok(terminal)
    }

    /// Columns and rows; a terminal that does not tell is taken for the smallest usual one.
    pub(super) fn size() -> (usize, usize) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (usize::from(columns), usize::from(rows)),
            _ => (80, 24),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing is left to tell an error to.
        self.screen.clear().ok();
        execute!(io::stdout(), DisableBracketedPaste).ok();
        terminal::disable_raw_mode().ok();
    }
}
