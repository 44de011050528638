//! The audit log.

use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::counter(
        "audit.events",
        "Events of this process for the audit log: `written`, or `failed` because the log could not be written",
        &["outcome"],
    ),
    Declaration::gauge(
        "audit.unsigned_age",
        MetricUnit::Seconds,
        "Time since the oldest line of the audit log was written that no checkpoint signs yet; 0 when all are signed",
        &[],
    ),
];
