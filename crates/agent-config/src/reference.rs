//! The JSON schema of the configuration for editors, and the reference for people. Both are made from the sections'
//! own comments and the rules of the keys; neither is needed to load a configuration.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};
use toml::Value;

use crate::folders::Folders;
use crate::keys::{KEYS, Key};
use crate::sections::ProductionConfig;
use crate::unused::is_unused;

/// What stands in place of a default that is not the same everywhere, so that what is made from the code here does
/// not depend on where it was made.
fn varying_default(name: &str) -> Option<&'static str> {
    match name {
        "deployment.version" | "deployment.build_hash" => Some("that of the program"),
        "deployment.data_directory" => Some("the platform's folder for data"),
        "deployment.temp_directory" => Some("the platform's folder for caches"),
        "server.unix_socket" => Some("`claude-agent.sock` in the data folder"),
        "server.token_file" => Some("`token` in the data folder"),
        _ => None,
    }
}

/// The default of a key in TOML, or in words where there is none that holds everywhere.
pub(crate) fn fixed_default(key: &Key, defaults: &ProductionConfig) -> Result<Value, &'static str> {
    match varying_default(key.name) {
        Some(words) => Err(words),
        None => key.exposed(defaults).ok_or("not set"),
    }
}

/// The defaults, in no one's folders.
pub(crate) fn defaults() -> ProductionConfig {
    ProductionConfig::with_folders(&Folders::of(&Default::default()))
}

/// The JSON schema (2020-12) of a configuration file. Editors that know TOML schemas complete and check with it.
pub fn json_schema() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<ProductionConfig>()
        .to_value();
    let defaults = defaults();
    drop_defaults(&mut schema);
    for key in KEYS {
        let Some(property) = property(&mut schema, key.name) else {
            continue;
        };
        if let Ok(value) = fixed_default(key, &defaults) {
            property["default"] = json!(value);
        }
        if let Some((smallest, largest)) = key.bounds(&defaults) {
            property["minimum"] = smallest;
            property["maximum"] = largest;
        }
        property["description"] = json!(unwrapped(property["description"].as_str().unwrap_or_default()));
        property["x-valid"] = json!(key.valid(&defaults));
        property["x-environment-variable"] = json!(key.variable());
    }
    schema
}

/// Takes out the defaults that were derived from the types: they hold this machine's folders.
fn drop_defaults(schema: &mut Json) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("default");
        if let Some(properties) = object.get_mut("properties").and_then(Json::as_object_mut) {
            properties.values_mut().for_each(drop_defaults);
        }
    }
}

fn pointer(name: &str) -> String {
    name.split('.')
        .map(|part| format!("/properties/{part}"))
        .collect()
}

fn property<'a>(schema: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    schema.pointer_mut(&pointer(name))
}

/// The description of a key or table, in one line.
pub(crate) fn description(schema: &Json, name: &str) -> String {
    let property = schema.pointer(&pointer(name));
    let text = property.and_then(|property| property["description"].as_str());
    unwrapped(text.unwrap_or_default())
}

/// Comments are wrapped in the source; in a table cell or a tooltip they are one line.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the code. Change the comments on the fields or the rules of the keys, not this file. -->

The configuration is TOML. `claude-agent config init` writes a file with every key commented out, `config check` says
what is wrong, `config show --origin` where each value was set, and `config schema` prints a JSON schema for editors.

Values come from these layers; each goes before those above it:

1. the built-in defaults below
2. the profile of the `environment`: `Staging` and `Production` set `security.whitelist_enforcement_level = \"Enforce\"`
3. the system file, `/etc/claude-agent/config.toml`
4. the user's file, `claude-agent/config.toml` in the platform's folder for configuration (`~/.config` on Linux), or the
   file that `--config` names instead
5. the project's file, `.claude-agent/config.toml` in the workspace. It may only set what is in `[agent]` and `[tools]`
   (but for `agent.permission_mode`, `tools.allowed_commands` and `tools.allowed_hosts`) and `logging.level`, and can only lower
   `agent.max_budget_usd`
6. environment variables: the column below, and `ANTHROPIC_BASE_URL` for `api.base_url`
7. the command line

`tools.denied_commands` and `tools.denied_paths` add up over the layers: what one denies, no other allows again.
Files named `.env` are not read. The API key is in `ANTHROPIC_API_KEY`, in the file that `api.api_key_file` names, printed by the program of `api.api_key_command`, or in the system's keyring (`api.api_key_keyring`).

Sizes are written as `\"10 MiB\"` (units B, KiB, MiB, GiB, TiB, KB, MB, GB, TB), or as a number of bytes. Durations are
written as `\"30s\"` (units ns, us, ms, s, m, h, d, w). Unknown keys are errors, and so is a file that cannot be read. Keys marked as not used are read and checked, but nothing acts on
them yet; setting one gives a warning.
";

/// The reference of every key as Markdown, a table for each section.
pub fn reference_markdown() -> String {
    let schema = json_schema();
    let defaults = defaults();
    let mut text = INTRODUCTION.to_owned();
    let mut table = None;
    for key in KEYS {
        let (in_table, name) = key.split();
        if table != Some(in_table) {
            table = Some(in_table);
            text.push_str(&heading(&schema, in_table));
        }
        let default = match fixed_default(key, &defaults) {
            Ok(value) => format!("`{value}`"),
            Err(words) => words.to_owned(),
        };
        let unused = if is_unused(key.name) {
            " *Not used by this version.*"
        } else {
            ""
        };
        let meaning = format!(
            "{} Valid: {}.{unused}",
            description(&schema, key.name),
            key.valid(&defaults)
        );
        let cells = [
            &format!("`{name}`"),
            key.kind.name(),
            &default,
            &meaning,
            &format!("`{}`", key.variable()),
        ];
        let row = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
        writeln!(text, "| {row} |").expect("writing to a String does not fail");
    }
    text
}

fn heading(schema: &Json, table: &str) -> String {
    let (title, about) = match table {
        "" => ("Top level".to_owned(), "Before the first section.".to_owned()),
        table => (format!("[{table}]"), description(schema, table)),
    };
    format!(
        "\n## {title}\n\n{about}\n\n| key | type | default | meaning | environment variable |\n| --- | --- | --- | --- | --- |\n"
    )
}
