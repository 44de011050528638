//! `top`: running agents, seen live. Reads what they publish; asks nothing of them.

mod figures;
mod picture;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_config::ProductionConfig;
use chrono::{DateTime, Utc};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;

use self::figures::Figures;
use self::picture::Rates;
use super::exit::Exit;
use super::screen::Frame;
use super::signals::Interrupts;
use super::styled::Line;
use super::terminal::Terminal;
use super::{Failure, metrics, output};
use crate::published::Found;

/// How often the picture is made anew.
const REFRESH: Duration = Duration::from_secs(1);

pub(super) async fn execute(config: &ProductionConfig) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() || !output::is_terminal() {
        let failure = Failure::new(Exit::Usage, "top needs a terminal");
        return Err(failure.advise("use `claude-agent metrics` in scripts and pipes"));
    }
    let mut interrupts = Interrupts::listen()?;
    // What can't be read is told before the terminal changes.
    let first = metrics::find(config)?;
    let (width, height) = Terminal::size();
    let terminal = Terminal::enter(width).map_err(Failure::output)?;
    let mut top = Top {
        terminal,
        width,
        height,
        data: config.deployment.data_directory.clone(),
        found: Found::default(),
        seen: Seen::default(),
    };
    top.take(first);
    top.draw()?;
    let mut keys = EventStream::new();
    let mut ticker = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if quits(key) => return Ok(Exit::Done),
                Some(Ok(Event::Resize(columns, rows))) => top.resize(columns, rows)?,
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Ok(Exit::Done),
            },
            _ = ticker.tick() => top.look().await,
            () = interrupts.next() => return Ok(Exit::Done),
        }
        top.draw()?;
    }
}

fn quits(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

struct Top {
    terminal: Terminal,
    width: usize,
    height: usize,
    data: PathBuf,
    found: Found,
    seen: Seen,
}

/// The figures, and what they were before they changed.
#[derive(Default)]
struct Seen {
    figures: Figures,
    newest: Option<DateTime<Utc>>,
    at: Option<Instant>,
    rates: Rates,
}

impl Top {
    async fn look(&mut self) {
        let data = self.data.clone();
        let read = tokio::task::spawn_blocking(move || crate::published::read(&data)).await;
        match read.map_err(std::io::Error::other).and_then(|found| found) {
            Ok(found) => self.take(found),
            Err(error) => {
                self.found.notes = vec![format!("the figures can't be read any more: {error}")];
            }
        }
    }

    fn take(&mut self, found: Found) {
        let figures = Figures::of(&found.processes);
        let newest = found
            .processes
            .iter()
            .map(|process| process.published.snapshot.taken_at)
            .max();
        let is_living = found.processes.iter().any(|process| process.living);
        if newest != self.seen.newest || !is_living {
            let now = Instant::now();
            let rates = match self.seen.at {
                Some(before) if is_living => Rates::between(&self.seen.figures, &figures, now - before),
                _ => Rates::default(),
            };
            self.seen = Seen {
                figures,
                newest,
                at: Some(now),
                rates,
            };
        }
        self.found = found;
    }

    fn resize(&mut self, columns: u16, rows: u16) -> Result<(), Failure> {
        (self.width, self.height) = (usize::from(columns.max(1)), usize::from(rows.max(1)));
        self.terminal.screen.resize(self.width).map_err(Failure::output)
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let rows = picture::rows(&self.found, &self.seen.figures, self.seen.rates, Utc::now());
        // One column is left free, see the screen; a picture higher than the terminal can't be redrawn in place.
        let room = self.width.saturating_sub(1);
        let rows: Vec<Line> = rows
            .into_iter()
            .filter_map(|row| row.wrap(room, "").into_iter().next())
            .take(self.height.saturating_sub(1).max(1))
            .collect();
        let cursor = (rows.len() - 1, 0);
        self.terminal
            .screen
            .show(Frame { rows, cursor })
            .map_err(Failure::output)
    }
}
