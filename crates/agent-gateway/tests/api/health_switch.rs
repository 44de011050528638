//! A health monitor whose one check does as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_operations::health::checks::Probe;
use agent_operations::health::{CheckResult, HealthConfig, HealthMonitor};

pub(crate) struct HealthSwitch {
    pub(crate) monitor: HealthMonitor,
    fails: Arc<AtomicBool>,
}

impl HealthSwitch {
    /// Well, and looked at once.
    pub(crate) async fn new() -> Self {
        let config = HealthConfig {
            max_consecutive_failures: 1,
            ..HealthConfig::default()
        };
        let monitor = HealthMonitor::new(Arc::default(), config);
        let fails = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&fails);
        let check = Probe::new("switch", move || {
            std::future::ready(match switch.load(Ordering::Relaxed) {
                true => CheckResult::fail("switched"),
                false => CheckResult::pass("not switched"),
            })
        });
        monitor.register_check(check).await.unwrap();
        monitor.check_now().await;
        Self { monitor, fails }
    }

    /// Fails, and is looked at again.
    pub(crate) async fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
        self.monitor.check_now().await;
    }
}
