use super::kinds::KINDS;
use super::{BudgetReason, ClaudeError, TimeoutStage, kind_of_status};

impl ClaudeError {
    /// What went wrong, in one word of a closed set: for the label `error.type` of metrics.
    ///
    /// The API's own kinds are given as it names them; one that is not known yet counts as the kind of its status.
    pub fn error_type(&self) -> &'static str {
        match self {
            ClaudeError::Connect { .. } => "connect",
            ClaudeError::Timeout { stage, .. } => match stage {
                TimeoutStage::Connect => "timeout_connect",
                TimeoutStage::FirstByte => "timeout_first_byte",
                TimeoutStage::Idle => "timeout_idle",
                TimeoutStage::Total => "timeout_total",
            },
            ClaudeError::Api { status, kind, .. } => {
                let known = KINDS.iter().find(|(_, known)| known == kind);
                known.map_or_else(|| kind_of_status(*status), |(_, known)| known)
            }
            ClaudeError::MalformedStream { .. } => "malformed_stream",
            ClaudeError::TruncatedStream => "truncated_stream",
            ClaudeError::Transport { .. } => "transport",
            ClaudeError::Cancelled => Self::CANCELLED_TYPE,
            ClaudeError::BudgetExhausted { reason, .. } => match reason {
                BudgetReason::RetryBudget => "retry_budget",
                BudgetReason::CircuitOpen { .. } => "circuit_open",
                BudgetReason::TooManyWaiting { .. } => "too_many_waiting",
                BudgetReason::Connections { .. } => "connections",
            },
            ClaudeError::InvalidRequest { .. } => "invalid_request",
            ClaudeError::TooLarge { .. } => "too_large",
        }
    }

    /// The [`error_type`](Self::error_type) of what ended because nobody wanted it any more.
    pub(crate) const CANCELLED_TYPE: &'static str = "cancelled";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, kind: &str) -> ClaudeError {
        ClaudeError::Api {
            status,
            kind: kind.to_owned(),
            message: String::new(),
            request_id: None,
            retry_after: None,
            should_retry: None,
        }
    }

    #[test]
    fn what_a_server_invents_makes_no_new_type() {
        assert_eq!(api(529, "overloaded_error").error_type(), "overloaded_error");
        assert_eq!(api(429, "req_8f3a").error_type(), "rate_limit_error");
        assert_eq!(api(599, "<html>").error_type(), "api_error");
    }
}
