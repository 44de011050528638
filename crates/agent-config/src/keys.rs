//! Every key there is: its name, its type (from the field it names) and the rule for its values. A test compares
//! this list with the JSON schema of the sections, so neither can have what the other lacks.

use serde_json::Value as Json;
use toml::Value;

use crate::network_rules::{HostNames, KeyPrefix, Origins, RedisUrl, SigningKeys};
use crate::rules::{
    AbsolutePath, Any, CommandLine, Entries, Line, Optional, Rule, SecretUrl, ServerUrl, Within,
};
use crate::secret::REDACTED;
use crate::sections::ProductionConfig;
use crate::setting::{self, Kind, Setting};
use crate::units::{ByteSize, HumanDuration};

/// The prefix of environment variables that set a key.
pub(crate) const VARIABLE_PREFIX: &str = "CLAUDE_AGENT__";

/// One key of the configuration.
pub(crate) struct Key {
    /// The path, as `section.key`.
    pub(crate) name: &'static str,
    /// What kind of value it takes.
    pub(crate) kind: Kind,
    put: fn(&mut ProductionConfig, Value) -> Result<(), String>,
    exposed: fn(&ProductionConfig) -> Option<Value>,
    check: fn(&ProductionConfig) -> Result<(), String>,
    valid: fn(&ProductionConfig) -> String,
    bounds: fn(&ProductionConfig) -> Option<(Json, Json)>,
}

impl Key {
    /// Reads the value into the configuration and checks it.
    pub(crate) fn set(&self, config: &mut ProductionConfig, value: Value) -> Result<(), String> {
        (self.put)(config, value)?;
        (self.check)(config)
    }

    /// Checks the value in the configuration.
    pub(crate) fn check(&self, config: &ProductionConfig) -> Result<(), String> {
        (self.check)(config)
    }

    /// The value in TOML with secrets. For writing a file that only its owner may read.
    pub(crate) fn exposed(&self, config: &ProductionConfig) -> Option<Value> {
        (self.exposed)(config)
    }

    /// The value in TOML as it may be printed. `None` where nothing is set.
    pub(crate) fn value(&self, config: &ProductionConfig) -> Option<Value> {
        let value = self.exposed(config)?;
        Some(if self.kind == Kind::Secret {
            Value::String(REDACTED.to_owned())
        } else {
            value
        })
    }

    /// What would be valid. The configuration only tells the type.
    pub(crate) fn valid(&self, config: &ProductionConfig) -> String {
        (self.valid)(config)
    }

    /// The smallest and the largest number. The configuration only tells the type.
    pub(crate) fn bounds(&self, config: &ProductionConfig) -> Option<(Json, Json)> {
        (self.bounds)(config)
    }

    /// The environment variable that sets this key.
    pub(crate) fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.name.to_ascii_uppercase().replace('.', "__")
        )
    }

    /// The table the key is in (empty for the root), and its own name in it.
    pub(crate) fn split(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }
}

/// Whether a key's values add up over the layers: what one file denies, no other may allow again.
pub(crate) fn adds_up(name: &str) -> bool {
    matches!(name, "tools.denied_commands" | "tools.denied_paths")
}

/// Whether a project's own file may set the key. What a repository says is not what its user said: it may tune the
/// agent for itself, but not choose where credentials go, what runs unasked, or what is recorded.
pub(crate) fn project_may_set(name: &str) -> bool {
    match name {
        "agent.permission_mode" | "tools.allowed_commands" | "tools.allowed_hosts" => false,
        "logging.level" => true,
        _ => name.starts_with("agent.") || name.starts_with("tools."),
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether the name is a table that holds keys.
pub(crate) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

// These give the closures below the type of the field that they look at.
fn put<T: Setting>(field: &mut T, value: Value) -> Result<(), String> {
    *field = setting::read(value)?;
    Ok(())
}
fn valid<T>(rule: &impl Rule<T>, _: &T) -> String {
    rule.valid()
}
fn bounds<T>(rule: &impl Rule<T>, _: &T) -> Option<(Json, Json)> {
    rule.bounds()
}
const fn kind<T: Setting>(_: fn(&ProductionConfig) -> &T) -> Kind {
    T::KIND
}

macro_rules! keys {
    ($($first:ident $(. $rest:ident)* => $rule:expr,)+) => {
        &[$(Key {
            name: concat!(stringify!($first) $(, ".", stringify!($rest))*),
            kind: kind(|c| &c.$first$(.$rest)*),
            put: |c, value| put(&mut c.$first$(.$rest)*, value),
            exposed: |c| c.$first$(.$rest)*.exposed(),
            check: |c| $rule.check(&c.$first$(.$rest)*),
            valid: |c| valid(&$rule, &c.$first$(.$rest)*),
            bounds: |c| bounds(&$rule, &c.$first$(.$rest)*),
        }),+]
    };
}

const fn ms(count: u64) -> HumanDuration {
    HumanDuration::millis(count)
}
const fn secs(count: u64) -> HumanDuration {
    HumanDuration::secs(count)
}
const fn days(count: u64) -> HumanDuration {
    HumanDuration::days(count)
}
const fn kib(count: u64) -> ByteSize {
    ByteSize::kib(count)
}
const fn mib(count: u64) -> ByteSize {
    ByteSize::mib(count)
}

/// The keys in the order in which they are shown. Ranges keep out what can only be a slip (a time-out of a
/// nanosecond, a pool of a billion) and what no machine could serve.
pub(crate) static KEYS: &[Key] = keys! {
    environment => Any,

    security.enable_tls => Any,
    security.tls_cert_path => Optional(AbsolutePath),
    security.tls_key_path => Optional(AbsolutePath),
    security.api_key_rotation_interval => Within(secs(60), days(3650)),
    security.max_request_size => Within(kib(1), mib(1024)),
    security.max_gateway_request_size => Within(kib(1), mib(1024)),
    security.rate_limit_requests_per_minute => Within(0, 1_000_000),
    security.enable_request_signing => Any,
    security.request_signing_keys => SigningKeys,
    security.whitelist_enforcement_level => Any,

    performance.max_concurrent_requests => Within(1, 100_000),
    performance.request_timeout => Within(ms(100), days(1)),
    performance.connection_pool_size => Within(1, 10_000),
    performance.memory_pool_max_size => Within(0, 100_000),
    // What the program takes by itself. With less it would never do anything.
    performance.memory_limit => Optional(Within(mib(16), mib(1_048_576))),
    performance.cache_size_mb => Within(0, 1_048_576),
    performance.cache_ttl => Within(secs(1), days(365)),
    performance.cache_messages => Any,
    performance.gc_interval => Within(secs(1), days(1)),
    performance.enable_compression => Any,

    monitoring.enable_metrics => Any,
    monitoring.otlp_endpoint => Optional(ServerUrl),
    monitoring.metrics_export_interval => Within(secs(1), days(1)),
    monitoring.enable_health_checks => Any,
    monitoring.health_check_interval => Within(secs(1), days(1)),
    monitoring.enable_alerting => Any,
    monitoring.alert_webhook_url => Optional(SecretUrl),
    monitoring.performance_thresholds.max_response_time_ms => Within(1, 86_400_000),
    monitoring.performance_thresholds.max_memory_usage_mb => Within(1, 16_777_216),
    monitoring.performance_thresholds.max_cpu_usage_percent => Within(0.1, 100.0),
    monitoring.performance_thresholds.max_error_rate_percent => Within(0.0, 100.0),

    logging.level => Any,
    logging.enable_structured_logging => Any,
    logging.log_file_path => Optional(AbsolutePath),
    logging.max_log_file_size_mb => Within(1, 102_400),
    logging.log_rotation_count => Within(0, 1000),
    logging.enable_audit_logging => Any,

    deployment.version => Line,
    deployment.build_hash => Line,
    deployment.deployment_id => Optional(Any),
    deployment.data_directory => AbsolutePath,
    deployment.temp_directory => AbsolutePath,
    deployment.enable_auto_updates => Any,
    deployment.backup_interval => Within(secs(60), days(365)),

    api.base_url => ServerUrl,
    api.api_version => Any,
    api.api_key_file => Optional(AbsolutePath),
    api.api_key_command => CommandLine,
    api.api_key_keyring => Optional(Line),
    api.model => Line,
    api.max_output_tokens => Within(1, 1_000_000),
    api.connect_timeout => Within(ms(10), secs(600)),
    api.first_byte_timeout => Within(ms(10), days(1)),
    api.idle_timeout => Within(ms(10), days(1)),
    api.total_timeout => Within(ms(10), days(1)),
    api.max_retries => Within(0, 100),
    api.max_retry_after => Within(secs(0), days(1)),
    api.ca_bundle => Optional(AbsolutePath),
    api.prices_file => Optional(AbsolutePath),

    agent.permission_mode => Optional(Any),
    agent.max_turns => Within(1, 100_000),
    agent.max_budget_usd => Optional(Within(0.0, 1_000_000.0)),
    agent.turn_timeout => Within(ms(100), days(30)),
    agent.max_parallel_tools => Within(1, 64),
    agent.context_window => Optional(Within(4_000, 100_000_000)),
    agent.compact_at_percent => Within(20, 95),
    agent.instructions_max_bytes => Within(ByteSize(0), mib(1)),
    agent.thinking => Any,

    tools.command_timeout => Within(ms(100), days(1)),
    tools.max_output => Within(kib(1), mib(16)),
    tools.max_file_read => Within(kib(1), mib(64)),
    tools.allowed_commands => Entries,
    tools.allowed_hosts => Entries,
    tools.denied_commands => Entries,
    tools.denied_paths => Entries,
    tools.max_matches => Within(1, 100_000),

    server.listen => Any,
    server.enable_unix_socket => Any,
    server.unix_socket => Optional(AbsolutePath),
    server.token_file => Optional(AbsolutePath),
    server.allowed_hosts => HostNames,
    server.allowed_origins => Origins,
    server.max_connections => Within(1, 100_000),
    server.header_read_timeout => Within(ms(100), secs(600)),
    server.body_read_timeout => Within(ms(100), secs(3600)),
    server.keep_alive_timeout => Within(ms(100), days(1)),
    server.write_timeout => Within(ms(100), secs(3600)),
    server.max_buffered_bodies => Within(mib(1), mib(1_048_576)),
    server.drain_deadline => Within(secs(0), secs(3600)),
    server.max_turns_in_flight => Within(1, 10_000),

    shared.redis_url => Optional(RedisUrl),
    shared.key_prefix => KeyPrefix,
    shared.command_timeout => Within(ms(1), secs(30)),
    shared.rate_limits_when_down => Any,
    shared.nonces_when_down => Any,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_unique_and_translate_back() {
        let mut variables: Vec<_> = KEYS.iter().map(Key::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
        let key = find("monitoring.performance_thresholds.max_memory_usage_mb").unwrap();
        assert_eq!(
            key.variable(),
            "CLAUDE_AGENT__MONITORING__PERFORMANCE_THRESHOLDS__MAX_MEMORY_USAGE_MB"
        );
    }

    #[test]
    fn tables_are_told_from_keys() {
        assert!(is_table("api") && is_table("monitoring.performance_thresholds"));
        assert!(!is_table("ap") && !is_table("api.model") && !is_table("environment") && !is_table(""));
    }

    #[test]
    fn a_project_may_not_set_what_protects_its_user() {
        for key in KEYS {
            let protected = [
                "api.",
                "security.",
                "deployment.",
                "monitoring.",
                "performance.",
                "server.",
                "shared.",
                "environment",
            ];
            if protected.iter().any(|prefix| key.name.starts_with(prefix)) {
                assert!(!project_may_set(key.name), "{}", key.name);
            }
        }
        for name in [
            "agent.permission_mode",
            "tools.allowed_commands",
            "logging.log_file_path",
            "logging.enable_audit_logging",
        ] {
            assert!(!project_may_set(name), "{name}");
        }
        assert!(project_may_set("agent.max_turns") && project_may_set("tools.denied_paths"));
    }
}
