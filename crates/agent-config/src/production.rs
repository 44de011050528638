//! What is refused in production: insecure combinations, each by name and with the way out, and secrets in files that
//! other users of the machine may read.

use std::path::{Path, PathBuf};

use crate::checks::{self, Finding};
use crate::choice::{SignatureAlgorithm, WhitelistLevel};
use crate::files;
use crate::keys::{KEYS, Key};
use crate::network_rules;
use crate::problem::{Origin, Problem};
use crate::sections::ProductionConfig;
use crate::setting::Kind;

/// Combinations that are insecure. None outside of production.
pub(crate) fn refusals(config: &ProductionConfig) -> Vec<Finding> {
    if !config.is_production() {
        return Vec::new();
    }
    let ProductionConfig {
        security,
        logging,
        server,
        shared,
        ..
    } = config;
    let redis_is_open = shared
        .redis_url
        .as_ref()
        .is_some_and(network_rules::is_unencrypted);
    let is_reachable = !server.listen.ip().is_loopback();
    let conditions = [
        (
            security.whitelist_enforcement_level < WhitelistLevel::Enforce,
            Finding::new(
                &["security.whitelist_enforcement_level", "environment"],
                "is insecure in Production: actions that no rule knows would be carried out",
                "Enforce or Strict, or another environment",
            ),
        ),
        (
            !logging.enable_audit_logging,
            Finding::new(
                &["logging.enable_audit_logging", "environment"],
                "is insecure in Production: nothing would show afterwards what was done",
                "true, or another environment",
            ),
        ),
        (
            redis_is_open,
            Finding::new(
                &["shared.redis_url", "environment"],
                "is insecure in Production: its password and cached answers can be read on the way to the other machine",
                "a rediss:// URL, a server on this machine, or another environment",
            ),
        ),
        (
            is_reachable && security.rate_limit_requests_per_minute == 0,
            Finding::new(
                &["security.rate_limit_requests_per_minute", "environment"],
                "is insecure in Production: other machines reach the daemon, and nothing limits what they ask",
                "a number above 0, an address of this machine in server.listen, or another environment",
            ),
        ),
    ];
    conditions
        .into_iter()
        .filter_map(|(refused, finding)| refused.then_some(finding))
        .collect()
}

/// Secrets in files that others may read. None outside of production.
pub(crate) fn exposed_files(config: &ProductionConfig, origin: impl Fn(&str) -> Origin) -> Vec<Problem> {
    if !config.is_production() {
        return Vec::new();
    }
    let private = named_files(config).filter_map(|(key, path)| {
        let fault = files::check_exposure(path).err()?;
        let message = format!("{} {fault}: that is insecure in Production", path.display());
        Some(checks::problem(
            key,
            config,
            Some(origin(key)),
            message,
            fault.valid(path),
        ))
    });
    private.chain(open_configuration(config, &origin)).collect()
}

/// The files with secrets that the configuration names, each with its key. The file of the API key is read only when it is
/// private, in every environment.
fn named_files(config: &ProductionConfig) -> impl Iterator<Item = (&'static str, &Path)> {
    let tls = config.security.tls_key_path.as_deref();
    let token = config.server.token_file.as_deref();
    // A public key may be read by everybody.
    let signing = config.security.request_signing_keys.iter().filter_map(|key| {
        let secret = key.algorithm == SignatureAlgorithm::HmacSha256;
        secret.then_some(("security.request_signing_keys", key.key_file.as_path()))
    });
    let tls = tls.map(|path| ("security.tls_key_path", path));
    let token = token.map(|path| ("server.token_file", path));
    tls.into_iter().chain(token).chain(signing)
}

/// Secrets that stand in configuration files themselves.
fn open_configuration(config: &ProductionConfig, origin: impl Fn(&str) -> Origin) -> Vec<Problem> {
    let secret = |key: &&Key| key.kind == Kind::Secret && key.value(config).is_some();
    let exposed = |key: &'static Key| {
        let origin = origin(key.name);
        let path: PathBuf = origin.file.clone()?;
        let fault = files::check_exposure(&path).err()?;
        let message = format!("stands in a file that {fault}: that is insecure in Production");
        Some(checks::problem(
            key.name,
            config,
            Some(origin),
            message,
            fault.valid(&path),
        ))
    };
    KEYS.iter().filter(secret).filter_map(exposed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::DeploymentEnvironment;
    use crate::secret::Secret;

    fn insecure(environment: DeploymentEnvironment) -> ProductionConfig {
        let mut config = ProductionConfig {
            environment,
            ..Default::default()
        };
        config.security.whitelist_enforcement_level = WhitelistLevel::Warn;
        config.security.rate_limit_requests_per_minute = 0;
        config.server.listen = "0.0.0.0:1".parse().unwrap();
        config.logging.enable_audit_logging = false;
        config.shared.redis_url = Some(Secret::from("redis://store.example"));
        config
    }

    #[test]
    fn every_insecure_combination_is_refused_by_name_in_production_alone() {
        let told = insecure(DeploymentEnvironment::Production)
            .validate()
            .unwrap_err()
            .to_string();
        for key in [
            "security.whitelist_enforcement_level",
            "security.rate_limit_requests_per_minute",
            "server.listen",
            "logging.enable_audit_logging",
            "shared.redis_url",
        ] {
            assert!(told.lines().any(|line| line.starts_with(key)), "{key}: {told}");
        }
        for environment in [DeploymentEnvironment::Development, DeploymentEnvironment::Staging] {
            let config = insecure(environment);
            assert!(refusals(&config).is_empty());
            assert!(exposed_files(&config, |_| Origin::layer(crate::Layer::Default)).is_empty());
        }
    }
}
