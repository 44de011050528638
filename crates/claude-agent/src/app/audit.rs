//! The audit log of a data folder.

use std::path::PathBuf;

use agent_config::{Loaded, ProductionConfig};
use agent_security::audit::{AuditLog, WhenUnwritable};
use agent_security::redact::Redactor;
use chrono::Utc;

use super::{AppError, unavailable};

/// The folder of the log, in the data folder.
const FOLDER: &str = "audit";

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
