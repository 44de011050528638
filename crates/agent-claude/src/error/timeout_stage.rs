use std::fmt;

use agent_performance::connection_pool::ConnectFailure;

/// Which of the four timers ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutStage {
    /// Making the connection.
    Connect,
    /// From the request sent to the head of the reply.
    FirstByte,
    /// Between events; pings do not count.
    Idle,
    /// The whole request with its retries.
    Total,
}

impl TimeoutStage {
    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            TimeoutStage::Connect => ConnectFailure::TimedOut.advice(),
            TimeoutStage::FirstByte => "the API took the request and did not answer; try again",
            TimeoutStage::Idle => "the API went silent in the middle of its answer; try again",
            TimeoutStage::Total => "ask for less at once, or raise the total timeout",
        }
    }
}

impl fmt::Display for TimeoutStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeoutStage::Connect => "connecting to the API",
            TimeoutStage::FirstByte => "waiting for the API's answer to begin",
            TimeoutStage::Idle => "waiting for the next part of the API's answer",
            TimeoutStage::Total => "the request as a whole",
        })
    }
}
