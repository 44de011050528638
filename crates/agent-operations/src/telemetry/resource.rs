//! Who sends: the attributes of the process, and those that the standard variables add.

use agent_config::environment::Environment;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use uuid::Uuid;

use super::metrics::attribute;

/// Attributes from `OTEL_RESOURCE_ATTRIBUTES`; each is sent with every request.
const MAX_ATTRIBUTES: usize = 64;

/// Bytes of one value there.
const MAX_VALUE_BYTES: usize = 1024;

/// What the program is called where nothing else is said.
const SERVICE: &str = "claude-agent";

/// The resource of this process. Later attributes win over earlier ones, as the conventions want it.
pub(super) fn of(environment: &Environment) -> Resource {
    let mut pairs = vec![
        ("service.name".to_owned(), SERVICE.to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), Uuid::new_v4().to_string()),
        ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
        ("telemetry.sdk.name".to_owned(), SERVICE.to_owned()),
    ];
    let given = environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for pair in given.split(',').take(MAX_ATTRIBUTES) {
        if let Some((key, value)) = pair.split_once('=') {
            set(&mut pairs, key.trim(), &decoded(value.trim()));
        }
    }
    if let Some(name) = environment.get("OTEL_SERVICE_NAME") {
        set(&mut pairs, "service.name", name);
    }
    let pid = i64::from(std::process::id());
    let mut attributes: Vec<_> = pairs
        .into_iter()
        .map(|(key, value)| attribute(&key, Value::StringValue(value)))
        .collect();
    attributes.push(attribute("process.pid", Value::IntValue(pid)));
    Resource {
        attributes,
        ..Resource::default()
    }
}

fn set(pairs: &mut Vec<(String, String)>, key: &str, value: &str) {
    if key.is_empty() {
        return;
    }
    let value = value[..value.floor_char_boundary(MAX_VALUE_BYTES)].to_owned();
    match pairs.iter_mut().find(|(known, _)| known == key) {
        Some((_, before)) => *before = value,
        None => pairs.push((key.to_owned(), value)),
    }
}

/// Without the percent signs that commas and spaces are written with.
pub(super) fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
