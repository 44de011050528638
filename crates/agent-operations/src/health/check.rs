//! What a check is.

use async_trait::async_trait;

use super::status::CheckResult;

/// Something that can be looked at and found well or not.
///
/// `check` is cancelled at its deadline by dropping its future. Whatever blocks belongs on a thread of its own: a check
/// that blocks anyway is reported as still running and not started again before it ends.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// Looks once. Failures in a row, the time taken and the last success are the monitor's to fill in.
    async fn check(&self) -> CheckResult;

    /// The name it is known by: one of a small, fixed set, since it becomes a metric's label.
    fn name(&self) -> &str;
}
