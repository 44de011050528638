//! Log lines on standard error: from commands only when they are asked for, because their own output must stay readable;
//! from the daemon always, and in a buffer that its clients can read. Secrets are taken out of every line before it is written.

use std::io::{self, IsTerminal as _, Stderr, Write};
use std::str::FromStr;

use agent_config::ProductionConfig;
use agent_performance::instrumentation::SpanTimings;
use agent_security::redact::Redactor;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::Failure;
use super::exit::Exit;
use crate::app::LogBuffer;

/// Starts logging at this level; without one nothing is logged.
pub(super) fn start(level: Option<&str>, redactor: &Redactor) -> Result<(), Failure> {
    let Some(level) = level else { return Ok(()) };
    fmt()
        .with_max_level(parse(level)?)
        .with_writer(to_stderr(redactor))
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

/// Starts the daemon's log, on standard error and in `buffer`, and has the time of its spans taken by `spans`.
pub(super) fn start_daemon(
    config: &ProductionConfig,
    buffer: &LogBuffer,
    spans: &SpanTimings,
    redactor: &Redactor,
) {
    let level = LevelFilter::from_level(config.get_log_level());
    let is_terminal = io::stderr().is_terminal();
    let lines = fmt::layer()
        .with_writer(to_stderr(redactor))
        .with_ansi(is_terminal);
    let lines = match config.logging.enable_structured_logging && !is_terminal {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(of_interest(level)))
        .with(buffer.layer().with_filter(of_interest(level)))
        .with(spans.layer())
        .init();
}

fn to_stderr(redactor: &Redactor) -> impl Fn() -> Redacting<Stderr> + use<> {
    let redactor = redactor.clone();
    move || Redacting {
        redactor: redactor.clone(),
        to: io::stderr(),
    }
}

/// Takes secrets out of what is written. An event comes in one piece, so no secret is cut in two.
struct Redacting<W> {
    redactor: Redactor,
    to: W,
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.to.write_all(self.redactor.redact(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What others log of every connection and frame is wanted by nobody but who asks for everything.
fn of_interest(level: LevelFilter) -> Targets {
    let others = match level {
        LevelFilter::DEBUG => LevelFilter::INFO,
        level => level,
    };
    Targets::new()
        .with_default(others)
        .with_target("agent_", level)
        .with_target("claude_agent", level)
}

fn parse(level: &str) -> Result<LevelFilter, Failure> {
    LevelFilter::from_str(&level.to_ascii_lowercase()).map_err(|_| {
        Failure::new(Exit::Usage, format!("--log-level {level}: not a level"))
            .advise("use error, warn, info, debug or trace")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn secrets_are_taken_out_of_every_line() {
        let (redactor, written) = (Redactor::default(), Written::default());
        let make = {
            let (redactor, to) = (redactor.clone(), written.clone());
            move || Redacting {
                redactor: redactor.clone(),
                to: to.clone(),
            }
        };
        let lines = fmt::layer().with_writer(make).json();
        let subscriber = tracing_subscriber::registry().with(lines);
        redactor.learn([agent_config::Secret::from("opaque-and-learnt-later")]);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("asking", with = "opaque-and-learnt-later");
            let _entered = span.enter();
            tracing::warn!(field = "opaque-and-learnt-later", "said opaque-and-learnt-later");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("said"), "{text}");
        assert!(!text.contains("learnt-later"), "{text}");
    }
}
