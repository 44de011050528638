//! Whether the runtime comes round to its tasks.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::health::{CheckResult, HealthCheck};

/// What a look waits for.
const STEP: Duration = Duration::from_millis(10);

/// People notice; something holds a thread that should not.
const WARN_FROM: Duration = Duration::from_millis(250);

/// Time-outs of others come near.
const FAIL_FROM: Duration = Duration::from_secs(2);

/// Waits for a timer and looks how late it fires.
#[derive(Debug, Default)]
pub struct EventLoopCheck;

fn judge(late: Duration) -> CheckResult {
    let milliseconds = late.as_secs_f64() * 1e3;
    let advice = "something blocks a thread of the runtime, or the machine is overloaded";
    let result = if late >= FAIL_FROM {
        CheckResult::fail(format!("a timer fired {milliseconds:.0} ms late: {advice}"))
    } else if late >= WARN_FROM {
        CheckResult::warn(format!("a timer fired {milliseconds:.0} ms late: {advice}"))
    } else {
        CheckResult::pass(format!("a timer fired {milliseconds:.1} ms late"))
    };
    result.observing("lag", milliseconds, "ms")
}

#[async_trait]
impl HealthCheck for EventLoopCheck {
    async fn check(&self) -> CheckResult {
        let wanted = Instant::now() + STEP;
        tokio::time::sleep_until(wanted).await;
        judge(wanted.elapsed())
    }

    fn name(&self) -> &str {
        "event_loop"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::CheckStatus;

    #[test]
    fn lateness_is_judged() {
        let cases = [
            (1, CheckStatus::Pass),
            (300, CheckStatus::Warn),
            (2500, CheckStatus::Fail),
        ];
        for (late, expected) in cases {
            assert_eq!(judge(Duration::from_millis(late)).status, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_runtime_passes() {
        assert_eq!(EventLoopCheck.check().await.status, CheckStatus::Pass);
    }
}
