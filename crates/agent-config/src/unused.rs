//! The keys that are read and checked but that nothing acts on in this version. Saying so is better than a setting that
//! silently does nothing: the reference marks them, and setting one is a warning. A key leaves this list with the change
//! that makes it work.

/// Keys, or whole sections where the name ends with a dot.
const UNUSED: &[&str] = &[
    "monitoring.enable_alerting",
    "monitoring.alert_webhook_url",
    "monitoring.performance_thresholds.max_response_time_ms",
    "monitoring.performance_thresholds.max_error_rate_percent",
    "logging.log_file_path",
    "logging.max_log_file_size_mb",
    "logging.log_rotation_count",
    "deployment.deployment_id",
    "deployment.temp_directory",
    "deployment.enable_auto_updates",
    "deployment.backup_interval",
];

/// Whether nothing acts on the key yet.
pub(crate) fn is_unused(key: &str) -> bool {
    UNUSED
        .iter()
        .any(|unused| key == *unused || (unused.ends_with('.') && key.starts_with(unused)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;

    #[test]
    fn every_entry_names_a_key() {
        for entry in UNUSED {
            assert!(
                KEYS.iter()
                    .any(|key| key.name == *entry || (entry.ends_with('.') && key.name.starts_with(entry))),
                "{entry}"
            );
        }
    }
}
