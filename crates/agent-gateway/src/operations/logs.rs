//! The latest lines of the log, for whoever operates the process from afar.
//!
//! [`LogBuffer::layer`] goes beside the other layers of the subscriber. Secrets are taken out before a line is kept, so
//! that nothing that reads the buffer can show one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use agent_operations::telemetry::SentLine;
use agent_security::redact::Redactor;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines kept: an hour of a busy process at the default level.
const MAX_LINES: usize = 2_000;

/// Bytes of their texts, all together.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of one line's message, and of each of its fields.
const MAX_TEXT: usize = 4 * 1024;

/// Bytes beyond [`MAX_TEXT`] that are looked at for secrets: one that is cut in two is no longer recognised, and a private
/// key takes this much.
const LOOK_AHEAD: usize = 8 * 1024;

/// Fields of one line.
const MAX_FIELDS: usize = 32;

/// Lines in one answer, at most.
pub(super) const MAX_SELECTED: usize = 1_000;

/// Stands at the end of what was cut.
const CUT: &str = " […]";

/// Keeps the latest lines. Clones share them.
#[derive(Clone)]
pub struct LogBuffer {
    inner: Arc<Inner>,
}

struct Inner {
    redactor: Redactor,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    last: u64,
}

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Something failed that someone has to look at.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What the process does.
    Info,
    /// How it does it.
    Debug,
    /// Every step.
    Trace,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct LogLine {
    /// Its number, from 1 at the start of the process and without gaps.
    pub(super) seq: u64,
    /// When it was written.
    pub(super) time: DateTime<Utc>,
    /// How serious it is.
    pub(super) level: LogLevel,
    /// The part of the program that wrote it.
    pub(super) target: String,
    /// What it says.
    pub(super) message: String,
    /// What else it names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub(super) fields: BTreeMap<String, String>,
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// At least this serious.
    pub(super) level: Option<LogLevel>,
    /// Of targets that begin so.
    pub(super) target: Option<String>,
    /// Written at this time or later.
    pub(super) since: Option<DateTime<Utc>>,
    /// With a higher number than this.
    pub(super) after: Option<u64>,
    /// At most this many: the first ones after `after`, or else the latest.
    pub(super) limit: usize,
}

/// What was found.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct LogPage {
    /// The lines, oldest first.
    pub(super) lines: Vec<LogLine>,
    /// The number of the last line that was written: ask for what comes `after` it.
    pub(super) last_seq: u64,
    /// The oldest line that is still kept; none when there is no line.
    pub(super) first_kept_seq: Option<u64>,
}

impl LogBuffer {
    /// An empty buffer whose lines `redactor` takes secrets out of.
    pub fn new(redactor: Redactor) -> Self {
        let ring = Mutex::default();
        Self {
            inner: Arc::new(Inner { redactor, ring }),
        }
    }

    /// Fills this buffer with what the program logs.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + Send + Sync + 'static {
        LogLayer(self.clone())
    }

    /// The first lines behind a number, for who sends them on; at most so many.
    pub fn lines_after(&self, after: u64, most: usize) -> Vec<SentLine> {
        let ring = self.inner.ring.lock();
        let lines = ring.lines.iter().filter(|line| line.seq > after).take(most);
        lines.map(LogLine::to_send).collect()
    }

    pub(super) fn select(&self, wanted: &Selection) -> LogPage {
        let ring = self.inner.ring.lock();
        let fits = |line: &&LogLine| {
            wanted.level.is_none_or(|level| line.level <= level)
                && wanted
                    .target
                    .as_deref()
                    .is_none_or(|target| line.target.starts_with(target))
                && wanted.since.is_none_or(|since| line.time >= since)
                && wanted.after.is_none_or(|after| line.seq > after)
        };
        let limit = wanted.limit.min(MAX_SELECTED);
        let mut lines: Vec<LogLine> = match wanted.after {
            Some(_) => ring.lines.iter().filter(fits).take(limit).cloned().collect(),
            None => ring
                .lines
                .iter()
                .rev()
                .filter(fits)
                .take(limit)
                .cloned()
                .collect(),
        };
        lines.sort_by_key(|line| line.seq);
        LogPage {
            lines,
            last_seq: ring.last,
            first_kept_seq: ring.lines.front().map(|line| line.seq),
        }
    }

    fn clean(&self, text: &str) -> String {
        let clean = self.inner.redactor.redact(text);
        match clean.len() {
            0..=MAX_TEXT => clean.into_owned(),
            _ => format!("{}{CUT}", &clean[..clean.floor_char_boundary(MAX_TEXT)]),
        }
    }

    fn keep(&self, level: Level, target: &str, written: Written) {
        let fields = written
            .fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), self.clean(&text.0)));
        let mut line = LogLine {
            seq: 0,
            time: Utc::now(),
            level: level.into(),
            target: target.to_owned(),
            message: self.clean(&written.message.0),
            fields: fields.collect(),
        };
        let mut ring = self.inner.ring.lock();
        ring.last += 1;
        line.seq = ring.last;
        ring.bytes += line.bytes();
        ring.lines.push_back(line);
        while ring.lines.len() > MAX_LINES || ring.bytes > MAX_BYTES {
            ring.bytes -= ring.lines.pop_front().map_or(0, |line| line.bytes());
        }
    }
}

impl fmt::Debug for LogBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.inner.ring.lock();
        f.debug_struct("LogBuffer")
            .field("lines", &ring.lines.len())
            .finish_non_exhaustive()
    }
}

impl LogLine {
    fn to_send(&self) -> SentLine {
        SentLine {
            seq: self.seq,
            time: self.time,
            level: match self.level {
                LogLevel::Error => Level::ERROR,
                LogLevel::Warn => Level::WARN,
                LogLevel::Info => Level::INFO,
                LogLevel::Debug => Level::DEBUG,
                LogLevel::Trace => Level::TRACE,
            },
            target: self.target.clone(),
            message: self.message.clone(),
            fields: self.fields.clone().into_iter().collect(),
        }
    }

    fn bytes(&self) -> usize {
        let fields: usize = self
            .fields
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        self.target.len() + self.message.len() + fields
    }
}

impl LogLevel {
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        let names = ["error", "warn", "info", "debug", "trace"];
        names
            .iter()
            .zip(all)
            .find(|(known, _)| **known == name)
            .map(|(_, level)| level)
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }
}

struct LogLayer(LogBuffer);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut written = Written::default();
        event.record(&mut written);
        let metadata = event.metadata();
        self.0.keep(*metadata.level(), metadata.target(), written);
    }
}

/// What an event says, of bounded size.
#[derive(Default)]
struct Written {
    message: Bounded,
    fields: Vec<(&'static str, Bounded)>,
}

impl Written {
    fn text(&mut self, field: &Field) -> Option<&mut Bounded> {
        match field.name() {
            "message" => Some(&mut self.message),
            _ if self.fields.len() >= MAX_FIELDS => None,
            name => {
                self.fields.push((name, Bounded::default()));
                self.fields.last_mut().map(|(_, text)| text)
            }
        }
    }
}

impl Visit for Written {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some(text) = self.text(field) {
            // It fails when there is no more room: then the rest is not even formatted.
            let _is_whole = write!(text, "{value:?}").is_ok();
        }
    }
}

/// Text that takes no more than it will be looked at.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (MAX_TEXT + LOOK_AHEAD).saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() <= room {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_config::Secret;
    use tracing_subscriber::layer::SubscriberExt;

    const ALL: Selection = Selection {
        level: None,
        target: None,
        since: None,
        after: None,
        limit: MAX_SELECTED,
    };

    fn logged(secrets: Vec<Secret>, log: impl FnOnce()) -> LogBuffer {
        let buffer = LogBuffer::new(Redactor::new(secrets));
        let subscriber = tracing_subscriber::registry().with(buffer.layer());
        tracing::subscriber::with_default(subscriber, log);
        buffer
    }

    fn messages(buffer: &LogBuffer, wanted: &Selection) -> Vec<String> {
        buffer
            .select(wanted)
            .lines
            .into_iter()
            .map(|line| line.message)
            .collect()
    }

    #[test]
    fn lines_are_found_by_level_target_time_and_number() {
        let buffer = logged(Vec::new(), || {
            tracing::error!(target: "a::b", code = 7, name = "x", "one {}", 1);
            tracing::info!(target: "a", "two");
            tracing::debug!(target: "b", "three");
        });
        let page = buffer.select(&ALL);
        assert_eq!((page.last_seq, page.first_kept_seq), (3, Some(1)));
        let first = &page.lines[0];
        assert_eq!((first.message.as_str(), first.level), ("one 1", LogLevel::Error));
        assert_eq!(first.fields["code"], "7");
        assert_eq!(first.fields["name"], "x");
        let level = Selection {
            level: Some(LogLevel::Info),
            ..ALL
        };
        assert_eq!(messages(&buffer, &level), ["one 1", "two"]);
        let target = Selection {
            target: Some("a".into()),
            ..ALL
        };
        assert_eq!(messages(&buffer, &target), ["one 1", "two"]);
        let since = Selection {
            since: Some(page.lines[2].time),
            ..ALL
        };
        assert_eq!(messages(&buffer, &since).last().unwrap(), "three");
        assert_eq!(
            messages(&buffer, &Selection { limit: 2, ..ALL }),
            ["two", "three"]
        );
        let after = Selection {
            after: Some(0),
            limit: 2,
            ..ALL
        };
        assert_eq!(messages(&buffer, &after), ["one 1", "two"]);
        assert!(
            messages(
                &buffer,
                &Selection {
                    after: Some(3),
                    ..ALL
                }
            )
            .is_empty()
        );
    }

    #[test]
    fn secrets_are_not_kept_wherever_they_stand() {
        let secret = "s3cr3t-value-of-some-length";
        let behind = "x".repeat(MAX_TEXT - 10);
        let buffer = logged(vec![Secret::from(secret.to_owned())], || {
            tracing::warn!(key = secret, debug = ?Some(secret), "with {secret}");
            tracing::warn!("{behind}{secret}");
        });
        let kept = format!("{:?}", buffer.select(&ALL).lines);
        assert!(!kept.contains("s3cr3t"), "{kept}");
        assert_eq!(kept.matches("[redacted]").count(), 4, "{kept}");
    }

    #[test]
    fn neither_a_long_line_nor_many_can_grow_it() {
        let huge = "é".repeat(1024 * 1024);
        let buffer = logged(Vec::new(), || {
            tracing::info!(field = %huge, "{huge}");
            for _ in 0..MAX_LINES + 10 {
                tracing::info!("{huge}");
            }
        });
        let ring = buffer.inner.ring.lock();
        assert!(ring.bytes <= MAX_BYTES && ring.lines.len() <= MAX_LINES);
        let line = ring.lines.back().unwrap();
        assert!(line.message.len() <= MAX_TEXT + CUT.len() && line.message.ends_with(CUT));
        let held: usize = ring.lines.iter().map(LogLine::bytes).sum();
        assert_eq!(held, ring.bytes);
    }
}
