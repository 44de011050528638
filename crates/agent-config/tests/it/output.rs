//! What is made from the configuration: TOML, JSON, the template, the schema, the reference.

use std::collections::BTreeSet;

use agent_config::{ProductionConfig, Secret, json_schema, load, reference_markdown, template};
use serde_json::Value;

use crate::user_file;

/// The keys in a schema, as `section.key`.
fn keys(schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().unwrap() {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if property["properties"].is_object() {
            assert_eq!(
                property["additionalProperties"],
                Value::Bool(false),
                "{path} accepts unknown keys"
            );
            assert!(property["description"].is_string(), "{path} is not described");
            keys(property, &path, found);
        } else {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{path} is not described"
            );
            assert!(
                property["x-valid"].is_string(),
                "{path} is in the sections but not in the list of keys"
            );
            found.insert(path);
        }
    }
}

fn schema_keys() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&json_schema(), "", &mut found);
    found
}

#[test]
fn the_default_is_valid() {
    ProductionConfig::default().validate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&user_file(folder.path(), "")).unwrap();
    assert!(loaded.warnings.is_empty());
    let default = ProductionConfig {
        deployment: loaded.config.deployment.clone(),
        ..ProductionConfig::default()
    };
    assert_eq!(loaded.config, default);
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let mut config = ProductionConfig::default();
    config.deployment.data_directory = "/data".into();
    config.deployment.temp_directory = "/temp".into();
    config.deployment.version = "0.0.0".into();
    config.deployment.build_hash = "unknown".into();
    insta::assert_snapshot!(config.to_toml());
}

#[test]
fn the_schema_and_the_list_of_keys_agree() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&user_file(folder.path(), "")).unwrap();
    let listed: BTreeSet<String> = loaded.origins.iter().map(|entry| entry.key.to_owned()).collect();
    assert_eq!(schema_keys(), listed);
    assert_eq!(loaded.origins.iter().count(), listed.len());
}

#[test]
fn the_template_uncommented_is_the_default() {
    let template = template();
    let uncommented: String = template
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let as_written = load(&user_file(folder.path(), &template)).unwrap();
    let active = load(&user_file(folder.path(), &uncommented)).unwrap();
    assert_eq!(as_written.config, active.config);
    // Only what has no fixed default is absent.
    let unset: Vec<_> = active
        .origins
        .iter()
        .filter(|entry| entry.origin.line.is_none())
        .map(|entry| entry.key)
        .collect();
    insta::assert_debug_snapshot!(unset);
    for key in schema_keys() {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            template.contains(&format!("#{name} = ")) || template.contains(&format!("`{name}` is ")),
            "{key}"
        );
    }
    assert!(template.lines().all(|line| line.len() <= 200));
}

#[test]
fn printed_configurations_hold_no_secret() {
    let mut config = ProductionConfig::default();
    config.monitoring.alert_webhook_url = Some(Secret::from("https://hooks.example/canary"));
    config.shared.redis_url = Some(Secret::from("redis://:canary@cache"));
    let printed = [
        config.to_toml(),
        config.to_json().to_string(),
        format!("{config:?}"),
        toml::to_string(&config).unwrap(),
    ];
    for text in printed {
        assert!(text.contains("[redacted]") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn origins_show_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[monitoring]\nalert_webhook_url = \"https://hooks.example/canary\"\n[agent]\nmax_turns = 7\n";
    let loaded = load(&user_file(folder.path(), text)).unwrap();
    let entry = |key| loaded.origins.iter().find(|entry| entry.key == key).unwrap();
    assert_eq!(entry("agent.max_turns").value.as_deref(), Some("7"));
    assert_eq!(entry("agent.max_turns").origin.line, Some(4));
    assert_eq!(
        entry("monitoring.alert_webhook_url").value.as_deref(),
        Some("\"[redacted]\"")
    );
    assert_eq!(entry("agent.max_budget_usd").value, None);
    assert_eq!(loaded.origins.of("no.such.key").to_string(), "built-in default");
}

#[test]
fn the_printed_configuration_can_be_read_again() {
    let config = ProductionConfig::default();
    assert_eq!(
        toml::from_str::<ProductionConfig>(&config.to_toml()).unwrap(),
        config
    );
    assert_eq!(
        serde_json::from_value::<ProductionConfig>(config.to_json()).unwrap(),
        config
    );
}

#[test]
fn what_is_made_from_the_code_is_the_same_everywhere() {
    let home = std::env::home_dir().unwrap().display().to_string();
    for text in [reference_markdown(), template(), json_schema().to_string()] {
        assert!(
            home == "/" || !text.contains(&home),
            "holds a folder of this machine"
        );
    }
}

#[test]
fn the_reference_has_every_key_and_its_variable() {
    let reference = reference_markdown();
    for key in schema_keys() {
        let variable = format!("`CLAUDE_AGENT__{}`", key.to_uppercase().replace('.', "__"));
        assert!(reference.contains(&variable), "{key}");
    }
    for row in reference.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(row.matches(" | ").count(), 4, "five cells: {row}");
    }
    assert!(reference.contains("| `max_turns` | whole number | `100` | "));
    assert!(reference.contains("| `data_directory` | path | the platform's folder for data | "));
}

#[test]
fn the_schema_tells_editors_what_validation_will_say() {
    let schema = json_schema();
    let turns = &schema["properties"]["agent"]["properties"]["max_turns"];
    assert_eq!(
        (&turns["minimum"], &turns["maximum"], &turns["default"]),
        (&1.into(), &100_000.into(), &100.into())
    );
    let level = &schema["properties"]["logging"]["properties"]["level"];
    assert_eq!(level["enum"].as_array().unwrap().len(), 5);
    insta::assert_json_snapshot!(schema["properties"]["agent"]);
}
