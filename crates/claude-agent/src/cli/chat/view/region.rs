//! The live region: what is not finished yet, and the input.

use agent_core::PlanItem;

use super::View;
use super::rows::{cut, pieces};
use crate::cli::chat::editor::Editor;
use crate::cli::screen::Frame;
use crate::cli::styled::{Colour, Line, Style, columns};
use crate::cli::{markdown, output};

/// Rows of the unfinished part of an answer that the live region shows: the region must fit the terminal.
const TAIL_ROWS: usize = 12;

/// Rows of the input line that are shown at once.
const INPUT_ROWS: usize = 8;

/// Tools that are listed while they run; a turn seldom asks for more.
const RUNNING_ROWS: usize = 8;

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

impl View {
    /// The live region: unfinished text, running tools, the plan, an approval or the input, and the status row.
    pub(in crate::cli::chat) fn frame(&self, editor: &Editor, tick: usize) -> Frame {
        let mut rows = Vec::new();
        if !self.tail.trim().is_empty() {
            let tail = markdown::render(&self.tail, self.columns());
            let skip = tail.len().saturating_sub(TAIL_ROWS);
            rows.push(Line::default());
            rows.extend(tail.into_iter().skip(skip));
        }
        rows.extend(self.running_rows(tick));
        rows.extend(self.plan_rows());
        rows.push(Line::default());
        let cursor = match self.approvals.front() {
            Some(pending) => {
                rows.extend(pending.rows.iter().cloned());
                rows.push(self.choices());
                (rows.len() - 1, columns(&self.choices().text()))
            }
            None => {
                let (input, (row, column)) = self.input(editor);
                let cursor = (rows.len() + row, column);
                rows.extend(input);
                cursor
            }
        };
        rows.push(self.status(tick));
        self.fit(rows, cursor)
    }

    /// The region must be lower than the terminal, or its top could not be reached again: rows at the top give way.
    fn fit(&self, mut rows: Vec<Line>, cursor: (usize, usize)) -> Frame {
        let over = rows
            .len()
            .saturating_sub(self.height.saturating_sub(1).max(3))
            .min(cursor.0);
        rows.drain(..over);
        Frame {
            rows,
            cursor: (cursor.0 - over, cursor.1),
        }
    }

    fn running_rows(&self, tick: usize) -> Vec<Line> {
        let mut rows = Vec::new();
        for running in self.running.iter().take(RUNNING_ROWS) {
            let mark = if running.started {
                SPINNER[tick % SPINNER.len()]
            } else {
                '·'
            };
            let mut line = Line::styled(format!("{mark} "), Style::of(Colour::Cyan));
            line.push(&running.summary, Style::PLAIN);
            if !running.last_output.is_empty() {
                line.push(format!("  {}", running.last_output), Style::DIM);
            }
            rows.push(cut(&line, self.columns()));
        }
        if self.running.len() > RUNNING_ROWS {
            rows.push(Line::styled(
                format!("  … {} more", self.running.len() - RUNNING_ROWS),
                Style::DIM,
            ));
        }
        rows
    }

    fn plan_rows(&self) -> Vec<Line> {
        let row = |item: &PlanItem| {
            cut(
                &Line::styled(
                    format!("  {} {}", output::plan_mark(item.status), item.step),
                    Style::DIM,
                ),
                self.columns(),
            )
        };
        let mut rows: Vec<Line> = self.plan.iter().take(RUNNING_ROWS).map(row).collect();
        if self.plan.len() > RUNNING_ROWS {
            rows.push(Line::styled(
                format!("  … {} more", self.plan.len() - RUNNING_ROWS),
                Style::DIM,
            ));
        }
        rows
    }

    fn choices(&self) -> Line {
        let more = self.approvals.len() - 1;
        let more = if more > 0 {
            format!("  ({more} more wait)")
        } else {
            String::new()
        };
        cut(
            &Line::plain(format!("  [y] once  [a] always in this session  [n] no{more} ")),
            self.columns(),
        )
    }

    fn input(&self, editor: &Editor) -> (Vec<Line>, (usize, usize)) {
        let mut rows = Vec::new();
        let mut cursor = (0, 2);
        let width = self.columns().saturating_sub(2).max(8);
        let mut position = editor.before_cursor().len();
        for (index, line) in editor.text().split('\n').enumerate() {
            let mark = if index == 0 { "❯ " } else { "  " };
            let pieces = pieces(line, width);
            for (piece_index, piece) in pieces.iter().enumerate() {
                let is_last = piece_index + 1 == pieces.len();
                if position < piece.len() || (is_last && position == piece.len()) {
                    cursor = (rows.len(), 2 + columns(&piece[..position]));
                    position = usize::MAX;
                } else if position != usize::MAX {
                    position -= piece.len();
                }
                let mut row = Line::styled(
                    if piece_index == 0 { mark } else { "  " },
                    Style::of(Colour::Cyan),
                );
                row.push(piece, Style::PLAIN);
                rows.push(row);
            }
            if position != usize::MAX {
                position = position.saturating_sub(1);
            }
        }
        if editor.is_empty() {
            let hint = if self.busy.is_some() {
                "type to steer the agent"
            } else {
                "ask for something, or /help"
            };
            rows[0].push(hint, Style::DIM);
        }
        let first = cursor.0.saturating_sub(INPUT_ROWS - 1);
        let rows: Vec<Line> = rows.into_iter().skip(first).take(INPUT_ROWS).collect();
        (rows, (cursor.0 - first, cursor.1))
    }

    fn status(&self, tick: usize) -> Line {
        let mut line = Line::default();
        if let Some(hint) = &self.hint {
            line.push(hint, Style::of(Colour::Yellow));
            return cut(&line, self.columns());
        }
        if let Some(busy) = self.busy {
            let doing = if !self.approvals.is_empty() {
                "waiting for you"
            } else if self.running.iter().any(|running| running.started) {
                "working"
            } else if self.thinking {
                "thinking"
            } else if self.tail.is_empty() {
                "waiting for the model"
            } else {
                "answering"
            };
            let spinner = SPINNER[tick % SPINNER.len()];
            line.push(
                format!("{spinner} {doing} {} s · Ctrl-C stops · ", busy.as_secs()),
                Style::DIM,
            );
        }
        let cost = self
            .cost
            .map_or_else(|| "cost unknown".to_owned(), |usd| format!("${usd:.4}"));
        line.push(
            format!("{} · {} tokens · {cost}", self.model, self.tokens),
            Style::DIM,
        );
        if let Some(id) = &self.session {
            // The end of an id tells sessions apart; the beginning is a clock.
            line.push(
                format!(" · session {}", &id[id.len().saturating_sub(8)..]),
                Style::DIM,
            );
        }
        cut(&line, self.columns())
    }
}
