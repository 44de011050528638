//! Memory and processor time of this process against its limits.

use std::path::Path;
use std::sync::Arc;

use agent_performance::instrumentation::SystemMetrics;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::health::{CheckResult, HealthCheck};

/// From this share of the limit on it is worth a look, in percent.
const WARN_FROM_PERCENT: f64 = 90.0;

/// Fails when the process is larger than its limit, and warns when it comes near, or uses more processor time than it
/// should. A busy process is not a broken one.
#[derive(Debug)]
pub struct SystemResourceCheck {
    max_memory_mb: u64,
    max_cpu_percent: f64,
    reader: Arc<Mutex<Reader>>,
}

#[derive(Debug)]
struct Reader {
    system: SystemMetrics,
    has_read: bool,
}

impl Reader {
    /// Resident bytes, and the share of a processor since the last reading. The first has nothing to compare with: what
    /// the start of the program took says nothing of how busy it is.
    fn read(&mut self) -> (Option<u64>, Option<f64>) {
        let share = self.system.cpu_share().filter(|_| self.has_read);
        self.has_read = true;
        (self.system.memory().resident, share)
    }
}

impl SystemResourceCheck {
    /// `max_cpu_percent` is of one processor: two busy ones are 200.
    pub fn new(max_memory_mb: u64, max_cpu_percent: f64) -> Self {
        SystemResourceCheck {
            max_memory_mb,
            max_cpu_percent,
            reader: Arc::new(Mutex::new(Reader {
                system: SystemMetrics::new(Path::new(".")),
                has_read: false,
            })),
        }
    }

    fn judge(&self, resident: Option<u64>, cpu_percent: Option<f64>) -> CheckResult {
        let Some(resident) = resident else {
            return CheckResult::warn("the size of the process can't be read on this system");
        };
        let megabytes = resident as f64 / (1024.0 * 1024.0);
        let most = self.max_memory_mb as f64;
        let result = if megabytes > most {
            CheckResult::fail(format!(
                "{megabytes:.0} MB of memory are in use, more than monitoring.performance_thresholds.max_memory_usage_mb \
                 ({most}); see `claude-agent metrics` for what holds it, or raise the limit"
            ))
        } else if megabytes > most * WARN_FROM_PERCENT / 100.0 {
            CheckResult::warn(format!(
                "{megabytes:.0} MB of memory are in use, near the limit of {most} MB"
            ))
        } else if let Some(cpu) = cpu_percent.filter(|cpu| *cpu > self.max_cpu_percent) {
            CheckResult::warn(format!(
                "{cpu:.0} % of a processor are in use, more than \
                 monitoring.performance_thresholds.max_cpu_usage_percent ({})",
                self.max_cpu_percent
            ))
        } else {
            let cpu = cpu_percent.map_or(String::new(), |cpu| format!(", {cpu:.1} % of a processor"));
            CheckResult::pass(format!("{megabytes:.0} MB of memory{cpu}"))
        };
        result.observing("memory", megabytes, "MB")
    }
}

#[async_trait]
impl HealthCheck for SystemResourceCheck {
    async fn check(&self) -> CheckResult {
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.lock().read());
        match read.await {
            Ok((resident, cpu)) => self.judge(resident, cpu),
            Err(error) => CheckResult::fail(format!("reading the system failed: {error}")),
        }
    }

    fn name(&self) -> &str {
        "system"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::CheckStatus;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn limits_are_held_against_what_was_read() {
        let check = SystemResourceCheck::new(100, 80.0);
        let cases = [
            (Some(50 * MIB), Some(10.0), CheckStatus::Pass),
            (Some(50 * MIB), None, CheckStatus::Pass),
            (Some(95 * MIB), Some(10.0), CheckStatus::Warn),
            (Some(101 * MIB), Some(10.0), CheckStatus::Fail),
            (Some(50 * MIB), Some(150.0), CheckStatus::Warn),
            (None, Some(10.0), CheckStatus::Warn),
        ];
        for (resident, cpu, expected) in cases {
            assert_eq!(
                check.judge(resident, cpu).status,
                expected,
                "{resident:?} {cpu:?}"
            );
        }
    }

    #[tokio::test]
    async fn this_process_has_a_size() {
        let result = SystemResourceCheck::new(1_000_000, 100_000.0).check().await;
        assert_eq!(result.status, CheckStatus::Pass, "{}", result.message);
        assert!(result.observed.unwrap().value > 1.0);
        let tiny = SystemResourceCheck::new(1, 100_000.0).check().await;
        assert_eq!(tiny.status, CheckStatus::Fail);
    }

    #[tokio::test]
    async fn what_the_start_took_is_not_held_against_the_process() {
        // Whatever it was, it is over this limit.
        let check = SystemResourceCheck::new(1_000_000, -1.0);
        assert_eq!(check.check().await.status, CheckStatus::Pass);
        assert!(check.reader.lock().has_read);
    }
}
