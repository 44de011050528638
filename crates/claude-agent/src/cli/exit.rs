//! Exit codes: one for each way to end, so that a script can tell them apart.

use agent_core::Outcome;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partial = 3,
    Denied = 4,
    OverBudget = 5,
    TimedOut = 6,
    UpstreamFailed = 7,
    Misconfigured = 8,
    /// 128 + SIGINT, as shells expect it.
    Cancelled = 130,
}

/// Shown by `--help`.
pub(super) const HELP: &str = "\
Exit codes:
    0  done
    1  the program or its store failed
    2  the command line is wrong
    3  partial: turns or tokens ran out, or the model stopped early
    4  denied by the permission policy
    5  over budget
    6  timed out
    7  the API failed
    8  the configuration is wrong (key, model, file)
  130  cancelled

Environment:
  ANTHROPIC_API_KEY          the key
  ANTHROPIC_BASE_URL         any server that speaks the Messages API
  CLAUDE_AGENT__SECTION__KEY any configuration key, for instance CLAUDE_AGENT__API__MODEL";

impl Exit {
    pub(super) fn code(self) -> i32 {
        i32::from(self as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Partial => Self::Partial,
            Outcome::Denied => Self::Denied,
            Outcome::OverBudget => Self::OverBudget,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::UpstreamFailed => Self::UpstreamFailed,
            Outcome::Misconfigured => Self::Misconfigured,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Partial,
            Exit::Denied,
            Exit::OverBudget,
            Exit::TimedOut,
            Exit::UpstreamFailed,
            Exit::Misconfigured,
            Exit::Cancelled,
        ] {
            assert!(HELP.contains(&format!("{:>5}  ", exit.code())), "{exit:?}");
        }
    }
}
