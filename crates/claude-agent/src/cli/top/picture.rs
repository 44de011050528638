//! The figures as rows of text.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::figures::Figures;
use crate::cli::metrics::{NOTHING_YET, number};
use crate::cli::styled::{Colour, Line, Style};
use crate::published::Found;

/// Columns of the names at the left.
const NAME_COLUMNS: usize = 14;

/// Requests and tokens a second, over the time between two pictures of changed figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) requests: f64,
    pub(super) output_tokens: f64,
}

impl Rates {
    /// What changed from `before` to `now`; nothing where processes came or went, and counts fell with them.
    pub(super) fn between(before: &Figures, now: &Figures, time: Duration) -> Self {
        let a_second = |before: f64, now: f64| (now - before).max(0.0) / time.as_secs_f64().max(0.1);
        Self {
            requests: a_second(before.requests as f64, now.requests as f64),
            output_tokens: a_second(before.output_tokens, now.output_tokens),
        }
    }
}

/// All rows, the title first.
pub(super) fn rows(found: &Found, figures: &Figures, rates: Rates, now: DateTime<Utc>) -> Vec<Line> {
    let mut rows = vec![title(found, now), Line::default()];
    if found.processes.is_empty() {
        rows.push(Line::plain(NOTHING_YET));
    } else {
        rows.extend(table(figures, rates));
    }
    if let Some(note) = found.notes.first() {
        rows.push(Line::default());
        let others = match found.notes.len() - 1 {
            0 => String::new(),
            count => format!(" (and {count} more; see `claude-agent metrics`)"),
        };
        rows.push(Line::styled(format!("{note}{others}"), Style::DIM));
    }
    rows
}

fn title(found: &Found, now: DateTime<Utc>) -> Line {
    let mut line = Line::styled("claude-agent top", Style::BOLD);
    let what = match found.processes.as_slice() {
        [] => "nothing to see".to_owned(),
        [one] => {
            let snapshot = &one.published.snapshot;
            let state = if one.living {
                format!("for {}", duration(now - snapshot.started_at))
            } else {
                format!("ended {} ago", duration(now - snapshot.taken_at))
            };
            format!("process {} · {state}", one.published.writer.pid)
        }
        all => format!("{} processes", all.len()),
    };
    line.push(format!(" · {what}"), Style::PLAIN);
    line.push(" · q quits", Style::DIM);
    line
}

fn table(figures: &Figures, rates: Rates) -> Vec<Line> {
    let f = figures;
    let hit_rate = match f.cache_hit_rate() {
        Some(rate) => format!("{rate:.0} % of {}", number(f.cache_hits + f.cache_misses)),
        None => "not asked yet".to_owned(),
    };
    let of_connections = f.connections_opened + f.connections_reused;
    let reused = if of_connections > 0.0 {
        format!(" · {:.0} % reused", 100.0 * f.connections_reused / of_connections)
    } else {
        String::new()
    };
    vec![
        row(
            "requests",
            &format!("{} · {:.1}/s", f.requests, rates.requests),
            failures(f.failed_requests),
        ),
        row("first token", &p95(f.first_token_p95, seconds), None),
        row("answer", &p95(f.answer_p95, seconds), None),
        row(
            "tokens",
            &format!(
                "{} in · {} out · {:.0} out/s",
                number(f.input_tokens),
                number(f.output_tokens),
                rates.output_tokens
            ),
            None,
        ),
        row("cost", &format!("${:.4}", f.cost_usd), None),
        row(
            "tools",
            &format!("{} · {}", f.tools, p95(f.tool_p95, seconds)),
            failures(f.failed_tools),
        ),
        row("cache hits", &hit_rate, None),
        row(
            "connections",
            &format!(
                "{} open · {} in use{reused}",
                number(f.connections_open),
                number(f.connections_in_use)
            ),
            None,
        ),
        row("sessions", &format!("{} open", number(f.sessions)), None),
        row(
            "memory",
            &format!("{:.1} MiB", f.resident / (1024.0 * 1024.0)),
            None,
        ),
        row("processor", &format!("{:.1} %", f.cpu_percent), None),
        row("loop lag", &p95(f.lag_p95_ms, |ms| format!("{ms:.1} ms")), None),
        pressure(f.pressure),
        suspects(f.leak_suspects),
    ]
}

fn row(name: &str, value: &str, warning: Option<String>) -> Line {
    let mut line = Line::styled(format!("{name:<NAME_COLUMNS$}"), Style::DIM);
    line.push(value, Style::PLAIN);
    if let Some(warning) = warning {
        line.push(format!(" · {warning}"), Style::of(Colour::Yellow));
    }
    line
}

fn failures(count: u64) -> Option<String> {
    (count > 0).then(|| format!("{count} failed"))
}

fn pressure(level: f64) -> Line {
    let (name, colour) = match level {
        level if level >= 2.0 => ("critical: no new work is begun", Colour::Red),
        level if level >= 1.0 => ("elevated: caches are given back", Colour::Yellow),
        _ => ("normal", Colour::Plain),
    };
    coloured("pressure", name, colour)
}

fn suspects(count: f64) -> Line {
    if count > 0.0 {
        let text = format!("{}; the log of the process says which", number(count));
        coloured("leak suspects", &text, Colour::Red)
    } else {
        coloured("leak suspects", "none", Colour::Plain)
    }
}

fn coloured(name: &str, text: &str, colour: Colour) -> Line {
    let mut line = row(name, "", None);
    line.push(text, Style::of(colour));
    line
}

fn p95(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("p95 {}", text(value)))
}

fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.0} ms", value * 1000.0)
    } else {
        format!("{value:.1} s")
    }
}

fn duration(time: chrono::TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_row() {
        let figures = Figures {
            requests: 7,
            failed_requests: 2,
            first_token_p95: Some(0.25),
            answer_p95: Some(2.0),
            input_tokens: 1200.0,
            output_tokens: 34.0,
            cost_usd: 0.0123,
            tools: 5,
            cache_hits: 3.0,
            cache_misses: 1.0,
            connections_open: 2.0,
            connections_opened: 2.0,
            connections_reused: 6.0,
            sessions: 1.0,
            resident: 25.0 * 1024.0 * 1024.0,
            cpu_percent: 3.25,
            lag_p95_ms: Some(1.26),
            pressure: 1.0,
            leak_suspects: 1.0,
            ..Figures::default()
        };
        let text: Vec<String> = table(&figures, Rates::default()).iter().map(Line::text).collect();
        let text = text.join("\n");
        for expected in [
            "requests      7 · 0.0/s · 2 failed",
            "first token   p95 250 ms",
            "answer        p95 2.0 s",
            "tokens        1200 in · 34 out",
            "cost          $0.0123",
            "cache hits    75 % of 4",
            "2 open · 0 in use · 75 % reused",
            "memory        25.0 MiB",
            "loop lag      p95 1.3 ms",
            "pressure      elevated",
            "leak suspects 1;",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
    }

    #[test]
    fn rates_are_of_what_changed_and_never_fall_below_nothing() {
        let of = |requests| Figures {
            requests,
            ..Figures::default()
        };
        let second = Duration::from_secs(2);
        assert_eq!(Rates::between(&of(1), &of(7), second).requests, 3.0);
        assert_eq!(Rates::between(&of(7), &of(1), second).requests, 0.0);
    }
}
