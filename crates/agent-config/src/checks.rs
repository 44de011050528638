//! Conditions on several keys together: combinations that cannot work, and those that are insecure in production.

use crate::keys::{self, KEYS};
use crate::network_rules;
use crate::problem::{ConfigError, Origin, Problem, Problems};
use crate::production;
use crate::sections::ProductionConfig;

/// A condition that does not hold. The first key is the one to change.
pub(crate) struct Finding {
    keys: &'static [&'static str],
    message: &'static str,
    valid: &'static str,
}

impl Finding {
    pub(crate) const fn new(
        keys: &'static [&'static str],
        message: &'static str,
        valid: &'static str,
    ) -> Self {
        Self { keys, message, valid }
    }

    /// Whether one of the keys has a problem of its own: then this one may only follow from it.
    pub(crate) fn follows_from(&self, problems: &Problems) -> bool {
        self.keys.iter().any(|key| problems.concern(key))
    }

    pub(crate) fn into_problem(
        self,
        config: &ProductionConfig,
        origin: impl Fn(&str) -> Option<Origin>,
    ) -> Problem {
        let key = self.keys[0];
        problem(
            key,
            config,
            origin(key),
            self.message.to_owned(),
            self.valid.to_owned(),
        )
    }
}

/// A problem with a key's value as it is in the configuration.
pub(crate) fn problem(
    name: &str,
    config: &ProductionConfig,
    origin: Option<Origin>,
    message: String,
    valid: String,
) -> Problem {
    let shown = |key: &'static keys::Key| Some(key.kind.shown(&key.value(config)?));
    let value = keys::find(name).and_then(shown);
    Problem {
        key: name.to_owned(),
        value,
        origin,
        message,
        valid,
    }
}

/// What is refused.
pub(crate) fn refusals(config: &ProductionConfig) -> Vec<Finding> {
    let ProductionConfig {
        security,
        deployment,
        api,
        agent,
        server,
        ..
    } = config;
    let mut found = Vec::new();
    let mut refuse = |refused: bool, finding: Finding| {
        if refused {
            found.push(finding);
        }
    };
    refuse(
        security.enable_tls && security.tls_cert_path.is_none(),
        Finding::new(
            &["security.enable_tls", "security.tls_cert_path"],
            "needs security.tls_cert_path, which is not set",
            "false, or true with both security.tls_cert_path and security.tls_key_path",
        ),
    );
    refuse(
        security.enable_tls && security.tls_key_path.is_none(),
        Finding::new(
            &["security.enable_tls", "security.tls_key_path"],
            "needs security.tls_key_path, which is not set",
            "false, or true with both security.tls_cert_path and security.tls_key_path",
        ),
    );
    refuse(
        security.enable_request_signing && security.request_signing_keys.is_empty(),
        Finding::new(
            &["security.enable_request_signing", "security.request_signing_keys"],
            "needs security.request_signing_keys, which is empty: no request could be signed",
            "false, or true with at least one key in security.request_signing_keys",
        ),
    );
    refuse(
        !server.listen.ip().is_loopback() && !security.enable_tls,
        Finding::new(
            &["server.listen", "security.enable_tls"],
            "can be reached from other machines, and would carry the token and every conversation unencrypted",
            "an address of this machine (127.0.0.1:PORT or [::1]:PORT), or security.enable_tls = true with a certificate",
        ),
    );
    refuse(
        security.max_gateway_request_size > server.max_buffered_bodies,
        Finding::new(
            &["server.max_buffered_bodies", "security.max_gateway_request_size"],
            "has no room for one request of security.max_gateway_request_size",
            "at least security.max_gateway_request_size",
        ),
    );
    refuse(
        security.max_request_size > server.max_buffered_bodies,
        Finding::new(
            &["server.max_buffered_bodies", "security.max_request_size"],
            "has no room for one request of security.max_request_size",
            "at least security.max_request_size",
        ),
    );
    refuse(
        deployment.data_directory.starts_with(&deployment.temp_directory),
        Finding::new(
            &["deployment.data_directory", "deployment.temp_directory"],
            "lies in deployment.temp_directory, whose content may be deleted at any time",
            "a folder outside deployment.temp_directory",
        ),
    );
    const NOT_LONGER: &str = "no longer than api.total_timeout";
    const LONGER: &str = "is longer than api.total_timeout";
    refuse(
        api.connect_timeout > api.total_timeout,
        Finding::new(&["api.connect_timeout", "api.total_timeout"], LONGER, NOT_LONGER),
    );
    refuse(
        api.first_byte_timeout > api.total_timeout,
        Finding::new(
            &["api.first_byte_timeout", "api.total_timeout"],
            LONGER,
            NOT_LONGER,
        ),
    );
    refuse(
        api.idle_timeout > api.total_timeout,
        Finding::new(&["api.idle_timeout", "api.total_timeout"], LONGER, NOT_LONGER),
    );
    refuse(
        agent
            .context_window
            .is_some_and(|window| api.max_output_tokens >= window),
        Finding::new(
            &["api.max_output_tokens", "agent.context_window"],
            "leaves no room for the conversation in agent.context_window",
            "less than agent.context_window",
        ),
    );
    found.extend(production::refusals(config));
    found
}

/// What works, but perhaps not as it was meant.
pub(crate) fn doubts(config: &ProductionConfig) -> Vec<Finding> {
    let ProductionConfig {
        security,
        monitoring,
        server,
        shared,
        ..
    } = config;
    let mut found = Vec::new();
    if monitoring.enable_alerting && monitoring.alert_webhook_url.is_none() {
        found.push(Finding::new(
            &["monitoring.enable_alerting", "monitoring.alert_webhook_url"],
            "has no receiver: alerts are shown, but sent to nobody",
            "true with monitoring.alert_webhook_url set",
        ));
    }
    if monitoring.enable_alerting && !monitoring.enable_metrics {
        found.push(Finding::new(
            &["monitoring.enable_alerting", "monitoring.enable_metrics"],
            "has nothing to watch, because monitoring.enable_metrics is false",
            "true with monitoring.enable_metrics = true",
        ));
    }
    if !security.enable_tls && (security.tls_cert_path.is_some() || security.tls_key_path.is_some()) {
        found.push(Finding::new(
            &["security.enable_tls"],
            "leaves the certificate and key that are set unused",
            "true, or no certificate and key",
        ));
    }
    if !security.enable_request_signing && !security.request_signing_keys.is_empty() {
        found.push(Finding::new(
            &["security.enable_request_signing"],
            "leaves the keys in security.request_signing_keys unused",
            "true, or no keys",
        ));
    }
    if !server.listen.ip().is_loopback() && server.allowed_hosts.is_empty() {
        found.push(Finding::new(
            &["server.allowed_hosts", "server.listen"],
            "is empty: clients on other machines reach the daemon by its address alone, not by a name",
            "the names that clients use, such as [\"agent.example\"]",
        ));
    }
    // In production it is refused.
    if !config.is_production()
        && shared
            .redis_url
            .as_ref()
            .is_some_and(network_rules::is_unencrypted)
    {
        found.push(Finding::new(
            &["shared.redis_url"],
            "is on another machine and not encrypted: its password and cached answers can be read on the way",
            "a rediss:// URL, unless the network between is your own",
        ));
    }
    found
}

impl ProductionConfig {
    /// The keys whose values differ, in the order of the reference. Secrets are compared as well.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = |key: &&keys::Key| key.exposed(self) != key.exposed(other);
        KEYS.iter().filter(differs).map(|key| key.name).collect()
    }

    /// How many keys there are.
    pub const fn key_count() -> usize {
        KEYS.len()
    }

    /// Checks every value and every combination of values.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all the problems there are, not just the first. They have no origin; those that
    /// [`crate::load`] reports do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        for key in KEYS {
            if let Err(message) = key.check(self) {
                problems.push(problem(key.name, self, None, message, key.valid(self)));
            }
        }
        for finding in refusals(self) {
            if !finding.follows_from(&problems) {
                problems.push(finding.into_problem(self, |_| None));
            }
        }
        problems.into_result(())
    }
}
