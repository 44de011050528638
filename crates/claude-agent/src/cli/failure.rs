//! A command that ends with an error: the exit code, what happened, and what to do.

use std::io;

use super::exit::Exit;

/// What a command returns instead of its result. Made where the remedy is known, printed once, in `main`.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// What happened, to what. Empty when it was told already.
    pub(super) message: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            advice: None,
        }
    }

    #[must_use]
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The command has told everything itself; only the exit code is left.
    pub(super) fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Standard output could not be written. A reader that went away (`| head`) is an ordinary end.
    pub(super) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::told(Exit::Cancelled)
        } else {
            Self::new(Exit::Failed, format!("standard output can't be written: {error}"))
        }
    }

    /// A fault of this program.
    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failed, format!("internal error: {error}"))
    }
}
