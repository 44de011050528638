//! Readiness is held back by values: whoever is not ready keeps one, and dropping it is being ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// How many blockers of each name are alive. Names are program text, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    blockers: watch::Sender<BTreeMap<&'static str, usize>>,
}

/// While this value lives, the process is not ready.
#[derive(Debug)]
#[must_use = "dropping it says that what it waits for is ready"]
pub struct ReadinessBlocker {
    name: &'static str,
    readiness: Arc<Readiness>,
}

impl Readiness {
    pub(super) fn block(readiness: &Arc<Self>, name: &'static str) -> ReadinessBlocker {
        readiness
            .blockers
            .send_modify(|blockers| *blockers.entry(name).or_default() += 1);
        ReadinessBlocker {
            name,
            readiness: Arc::clone(readiness),
        }
    }

    pub(super) fn blockers(&self) -> Vec<&'static str> {
        self.blockers.borrow().keys().copied().collect()
    }

    pub(super) async fn wait(&self) {
        // The sender is ours, so waiting can only end by the condition.
        let _still_open = self
            .blockers
            .subscribe()
            .wait_for(BTreeMap::is_empty)
            .await
            .is_ok();
    }
}

impl Drop for ReadinessBlocker {
    fn drop(&mut self) {
        self.readiness.blockers.send_modify(|blockers| {
            if let Some(count) = blockers.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    blockers.remove(self.name);
                }
            }
        });
    }
}
