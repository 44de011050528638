use std::fmt;
use std::time::Duration;

/// Which limit forbade a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetReason {
    /// Too many retries lately, over all requests.
    RetryBudget,
    /// The API failed many times in a row and is left alone for a while.
    CircuitOpen {
        /// When the next try is let through.
        retry_in: Duration,
    },
    /// Too many requests wait for their turn.
    TooManyWaiting {
        /// How many.
        waiting: usize,
    },
    /// All connections stayed busy.
    Connections {
        /// The pool's own words.
        message: String,
    },
}

impl fmt::Display for BudgetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BudgetReason::RetryBudget => {
                f.write_str("not retried: too many requests failed lately; try again later")
            }
            BudgetReason::CircuitOpen { retry_in } => write!(
                f,
                "the API failed many times in a row and is not asked for another {} s; try again then",
                retry_in.as_secs().max(1)
            ),
            BudgetReason::TooManyWaiting { waiting } => {
                write!(
                    f,
                    "{waiting} requests to the API are waiting already; send fewer at once"
                )
            }
            BudgetReason::Connections { message } => f.write_str(message),
        }
    }
}
