//! The daemon's watch over itself: what the one before left, and what is off after too many crashes.

use std::path::Path;

use agent_operations::crash::{LOOP_WINDOW, OwnWatch};
use agent_operations::health::checks::Probe;
use agent_operations::health::{CheckResult, HealthCheck};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::{MetricUnit, MetricsCollector, NO_TAGS};

/// The folder in the data folder.
const FOLDER: &str = "crash";

/// Begins to watch, and tells what the daemon before left. None where the folder can't be written: that is no reason not to
/// serve.
pub(super) fn begin(data: &Path) -> Option<OwnWatch> {
    let watch = match OwnWatch::begin(&data.join(FOLDER), env!("CARGO_PKG_VERSION")) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "crashes are not watched for: {} can't be written", data.join(FOLDER).display());
            return None;
        }
    };
    if let Some((file, report)) = watch.found() {
        tracing::warn!(
            report = %file.display(),
            panic = report.last_panic.as_ref().map(|panic| panic.text.as_str()),
            "{report}"
        );
    }
    if let Some(why) = watch.safe_mode() {
        tracing::error!(
            "safe mode: turns of the agent and cached answers are off: {why}; stop it in order to leave safe mode"
        );
    }
    Some(watch)
}

/// Says in the figures how often the daemon was started, and in its marker that it lives.
pub(super) fn start(watch: &OwnWatch, metrics: Option<&MetricsCollector>, lifecycle: &Lifecycle) {
    if let Some(metrics) = metrics {
        watch.record(metrics);
    }
    let living = watch.signs_of_life(metrics.cloned(), lifecycle.token());
    drop(lifecycle.spawn("signs-of-life", living));
}

/// Warns while crashes are recent. The figure of their number is the account, so it ends by itself.
pub(super) fn check(watch: &OwnWatch, metrics: MetricsCollector) -> impl HealthCheck + use<> {
    let safe_mode = watch.safe_mode();
    Probe::new("restarts", move || {
        let recent = metrics
            .gauge("process.recent_crashes", MetricUnit::Count, NO_TAGS)
            .value();
        let minutes = LOOP_WINDOW.as_secs() / 60;
        let result = match &safe_mode {
            Some(why) => CheckResult::warn(format!("safe mode: {why}; stop it in order to leave safe mode")),
            None if recent > 0.0 => CheckResult::warn(format!(
                "ends without order within {minutes} minutes: {recent}; the log names the reports"
            )),
            None => CheckResult::pass(format!("no crash within {minutes} minutes")),
        };
        std::future::ready(result.observing("crashes", recent, "count"))
    })
}
