//! The audit log of a data folder: opened, signed by time, measured, looked at.

use std::path::PathBuf;
use std::time::Duration;

use agent_config::{Loaded, ProductionConfig};
use agent_operations::health::checks::Probe;
use agent_operations::health::{CheckResult, HealthCheck};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::{Counter, Gauge, MetricUnit, MetricsCollector};
use agent_security::audit::{AuditLog, CHECKPOINT_WITHIN, Standing, WhenUnwritable};
use agent_security::redact::Redactor;
use chrono::{DateTime, TimeDelta, Utc};

use super::{AppError, unavailable};

/// The folder of the log, in the data folder.
const FOLDER: &str = "audit";

/// How often the log is looked at: what is due is signed, and figures are that old at most. Costs a lock and two looks at files.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A look that has not come back for so long hangs: another process holds the log's lock, or its disk does not answer.
const LOOK_PATIENCE: TimeDelta = TimeDelta::seconds(60);

/// Where the audit log of this configuration is.
pub fn audit_folder(config: &ProductionConfig) -> PathBuf {
    config.deployment.data_directory.join(FOLDER)
}

/// The audit log; one that records nothing where the configuration wants none, and never what `redactor` knows. In production, what can't be recorded is not
/// done; elsewhere it is done with a warning.
///
/// # Errors
/// The folder can't be used, or the log in it is damaged.
pub fn open_audit(loaded: &Loaded, redactor: &Redactor) -> Result<AuditLog, AppError> {
    let config = &loaded.config;
    if !config.logging.enable_audit_logging {
        return Ok(AuditLog::off());
    }
    let when_unwritable = match config.is_production() {
        true => WhenUnwritable::Refuse,
        false => WhenUnwritable::Warn,
    };
    AuditLog::open(audit_folder(config), redactor.clone(), Utc::now, when_unwritable).map_err(|error| {
        unavailable(
            error.to_string(),
            "make the data folder one that only you can write, or switch logging.enable_audit_logging off",
        )
    })
}

/// Has the log signed by time, and records its figures, until `lifecycle` ends.
pub(super) fn keep(audit: &AuditLog, metrics: Option<&MetricsCollector>, lifecycle: &Lifecycle) {
    if !audit.is_on() {
        return;
    }
    let (audit, stop) = (audit.clone(), lifecycle.token());
    let mut figures = metrics.map(Figures::new);
    drop(lifecycle.spawn("audit-upkeep", async move {
        loop {
            // Opening it was the first look, and the first request goes out before the next.
            let pause = tokio::time::sleep(LOOK_INTERVAL);
            let ends = stop.run_until_cancelled(pause).await.is_none();
            if !ends {
                let log = audit.clone();
                let signed = tokio::task::spawn_blocking(move || log.sign_if_due()).await;
                if let Ok(Err(error)) = signed {
                    tracing::error!(%error, "the audit log can't be signed");
                }
            }
            if let Some(figures) = &mut figures {
                figures.record(&audit.standing(), Utc::now());
            }
            if ends {
                return;
            }
        }
    }));
}

struct Figures {
    written: Counter,
    failed: Counter,
    unsigned_age: Gauge,
    /// What the counters have been told of.
    told: (u64, u64),
}

impl Figures {
    fn new(metrics: &MetricsCollector) -> Self {
        let events = |outcome: &str| metrics.counter("audit.events", &[("outcome", outcome)]);
        Figures {
            written: events("written"),
            failed: events("failed"),
            unsigned_age: metrics.gauge("audit.unsigned_age", MetricUnit::Seconds, &[]),
            told: (0, 0),
        }
    }

    fn record(&mut self, standing: &Standing, now: DateTime<Utc>) {
        let (written, failed) = (standing.written, standing.failed);
        self.written.increment(written - self.told.0);
        self.failed.increment(failed - self.told.1);
        self.told = (written, failed);
        let age = standing
            .unsigned_since
            .map(|since| (now - since).as_seconds_f64());
        self.unsigned_age.set(age.unwrap_or_default().max(0.0));
    }
}

/// The health check of the log: whether what happens is recorded, and signed.
pub(super) fn check(audit: &AuditLog, in_production: bool) -> impl HealthCheck + use<> {
    let audit = audit.clone();
    Probe::new("audit", move || {
        std::future::ready(judged(&audit.standing(), in_production, Utc::now()))
    })
}

fn judged(standing: &Standing, in_production: bool, now: DateTime<Utc>) -> CheckResult {
    let failure = standing.unusable.as_ref().or(standing.failure.as_ref());
    if let Some(failure) = failure {
        // What can't be recorded is refused then.
        return match in_production {
            true => CheckResult::fail(failure),
            false => CheckResult::warn(failure),
        };
    }
    let older_than = |time: Option<DateTime<Utc>>, most| time.is_some_and(|time| now - time > most);
    if older_than(standing.looked_at, LOOK_PATIENCE) {
        return CheckResult::warn(
            "the audit log has not answered for a minute: another process holds its lock, or its disk hangs",
        );
    }
    if older_than(standing.unsigned_since, CHECKPOINT_WITHIN + LOOK_PATIENCE) {
        return CheckResult::warn("lines of the audit log have gone unsigned for longer than they should");
    }
    CheckResult::pass(format!(
        "{} events were recorded since the start",
        standing.written
    ))
}

#[cfg(test)]
mod tests {
    use agent_operations::health::CheckStatus;

    use super::*;

    #[test]
    fn a_log_that_fails_hangs_or_goes_unsigned_is_told() {
        let now = Utc::now();
        let good = Standing {
            written: 7,
            looked_at: Some(now),
            unsigned_since: Some(now - TimeDelta::minutes(9)),
            ..Standing::default()
        };
        let status = |change: fn(&mut Standing, DateTime<Utc>), in_production| {
            let mut standing = good.clone();
            change(&mut standing, now);
            judged(&standing, in_production, now).status
        };
        assert_eq!(status(|_, _| {}, true), CheckStatus::Pass);
        for change in [
            (|standing: &mut Standing, _| standing.failure = Some("full".to_owned())) as fn(&mut _, _),
            |standing, _| standing.unusable = Some("damaged".to_owned()),
        ] {
            assert_eq!(status(change, true), CheckStatus::Fail);
            assert_eq!(status(change, false), CheckStatus::Warn);
        }
        let hangs = |standing: &mut Standing, now| standing.looked_at = Some(now - TimeDelta::minutes(2));
        assert_eq!(status(hangs, true), CheckStatus::Warn);
        let unsigned = |standing: &mut Standing, now| {
            standing.unsigned_since = Some(now - TimeDelta::minutes(12));
        };
        assert_eq!(status(unsigned, true), CheckStatus::Warn);
    }

    #[test]
    fn figures_count_each_event_once() {
        let metrics = MetricsCollector::new();
        let mut figures = Figures::new(&metrics);
        let now = Utc::now();
        let standing = |written, failed, unsigned| Standing {
            written,
            failed,
            unsigned_since: unsigned,
            ..Standing::default()
        };
        figures.record(&standing(3, 0, Some(now - TimeDelta::seconds(5))), now);
        figures.record(&standing(5, 1, None), now);
        let count = |outcome: &str| {
            let tags = [("outcome", outcome)];
            metrics
                .get_metric_statistics_with_tags("audit.events", &tags)
                .unwrap()
                .sum
        };
        assert_eq!((count("written"), count("failed")), (5.0, 1.0));
        let age = metrics.get_metric_statistics("audit.unsigned_age").unwrap();
        assert_eq!((age.max, age.min), (5.0, 0.0));
    }
}
