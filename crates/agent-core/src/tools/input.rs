//! From the model's JSON to a typed input, and from the type to the schema that the model is shown.
//!
//! Models make small mistakes that leave no doubt about what was meant. These are put right, at the top level of
//! the input only: `null` for an optional field counts as absent, and a number or a boolean written as a string
//! (`"5"`, `"true"`) is taken as one where the schema wants one, as is `5.0` for `5`. Everything else is an error that names the field, what was
//! given and what would fit.

use agent_claude::messages::ToolDefinition;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ToolError;

/// Characters of a wrong value repeated in an error: enough to recognise it.
const SHOWN_VALUE: usize = 80;

/// What the model is told of a tool whose input is `Input`. Fields are described by their doc comments.
pub fn definition<Input: JsonSchema>(name: &str, description: &str) -> ToolDefinition {
    ToolDefinition::new(name, description, schema::<Input>())
}

/// The typed input, with the harmless mistakes put right.
///
/// # Errors
/// The message is for the model.
pub fn parse<Input: JsonSchema + DeserializeOwned>(tool: &str, mut input: Value) -> Result<Input, ToolError> {
    let schema = schema::<Input>();
    let Some(fields) = input.as_object_mut() else {
        return Err(ToolError::new(format!(
            "{tool}: the input must be an object, not {}. {}",
            shown(&input),
            field_list(&schema)
        )));
    };
    put_right(fields, &schema);
    serde_path_to_error::deserialize(&input).map_err(|error| {
        let path = error.path().to_string();
        let given = match at(&input, error.path()) {
            Some(value) if path != "." => format!("field `{path}` was given as {}: ", shown(value)),
            _ => String::new(),
        };
        ToolError::new(format!(
            "{tool}: {given}{}. {}",
            error.inner(),
            field_list(&schema)
        ))
    })
}

fn schema<Input: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Input>()
        .to_value();
    tidy(&mut schema);
    schema
}

/// Leaves what a model can use: no titles, machine formats or explicit nulls.
fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("title");
    object.remove("format");
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(parts)) = object.get_mut(key) {
            parts.values_mut().for_each(tidy);
        }
    }
    if let Some(items) = object.get_mut("items") {
        tidy(items);
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &str, bool, &Value)> {
    let required = schema["required"].as_array();
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(move |(name, field)| {
            let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
            (
                name,
                field["type"].as_str().unwrap_or("value"),
                is_required,
                field,
            )
        })
}

fn put_right(fields: &mut Map<String, Value>, schema: &Value) {
    for (name, kind, required, _) in properties(schema) {
        let Some(value) = fields.get_mut(name) else {
            continue;
        };
        if value.is_null() && !required {
            fields.remove(name);
        } else if let Some(meant) = meant(value, kind) {
            *value = meant;
        }
    }
}

fn meant(value: &Value, kind: &str) -> Option<Value> {
    match (value, kind) {
        (Value::String(text), "integer") => text.trim().parse::<i64>().ok().map(Value::from),
        (Value::String(text), "number") => text.trim().parse::<f64>().ok().map(Value::from),
        (Value::String(text), "boolean") => text
            .trim()
            .to_ascii_lowercase()
            .parse::<bool>()
            .ok()
            .map(Value::from),
        // Exact up to 2^53; nothing that a tool counts comes near.
        (Value::Number(number), "integer") if !number.is_i64() && !number.is_u64() => {
            let number = number
                .as_f64()
                .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)?;
            format!("{number:.0}").parse::<i64>().ok().map(Value::from)
        }
        _ => None,
    }
}

fn field_list(schema: &Value) -> String {
    let fields: Vec<String> = properties(schema)
        .map(|(name, kind, required, _)| {
            format!(
                "{name} ({kind}, {})",
                if required { "required" } else { "optional" }
            )
        })
        .collect();
    format!("The fields are: {}", fields.join(", "))
}

fn at<'v>(mut value: &'v Value, path: &serde_path_to_error::Path) -> Option<&'v Value> {
    use serde_path_to_error::Segment;
    for segment in path {
        value = match segment {
            Segment::Seq { index } => value.get(index)?,
            Segment::Map { key } => value.get(key)?,
            Segment::Enum { .. } | Segment::Unknown => return None,
        };
    }
    Some(value)
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_VALUE) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Input {
        /// The file.
        path: String,
        /// How many lines.
        limit: Option<u32>,
        #[serde(default)]
        all: bool,
        #[serde(default)]
        steps: Vec<Step>,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Step {
        name: String,
    }

    #[test]
    fn the_schema_is_inline_and_without_noise() {
        assert_eq!(
            schema::<Input>(),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The file."},
                    "limit": {"type": "integer", "minimum": 0, "description": "How many lines."},
                    "all": {"type": "boolean", "default": false},
                    "steps": {"type": "array", "items": {
                        "type": "object", "properties": {"name": {"type": "string"}},
                        "required": ["name"], "additionalProperties": false
                    }}
                },
                "required": ["path"],
                "additionalProperties": false
            })
        );
    }

    #[test]
    fn mistakes_that_leave_no_doubt_are_put_right() {
        let plain = || Input {
            path: "a".into(),
            ..Input::default()
        };
        let cases = [
            (json!({"path": "a", "limit": null, "all": null}), plain()),
            (
                json!({"path": "a", "limit": "5"}),
                Input {
                    limit: Some(5),
                    ..plain()
                },
            ),
            (
                json!({"path": "a", "limit": 5.0}),
                Input {
                    limit: Some(5),
                    ..plain()
                },
            ),
            (
                json!({"path": "a", "all": "True"}),
                Input { all: true, ..plain() },
            ),
            (
                json!({"path": "5"}),
                Input {
                    path: "5".into(),
                    ..Input::default()
                },
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(parse::<Input>("tool", input.clone()), Ok(expected), "{input}");
        }
    }

    #[test]
    fn other_mistakes_are_named_with_what_would_fit() {
        let cases: [(Value, &[&str]); 8] = [
            (json!("a"), &["must be an object", "\"a\""]),
            (json!({}), &["missing field `path`"]),
            (
                json!({"path": null}),
                &["field `path` was given as null", "expected a string"],
            ),
            (
                json!({"path": 5}),
                &["field `path` was given as 5", "expected a string"],
            ),
            (
                json!({"path": "a", "limit": -1}),
                &["field `limit` was given as -1", "expected u32"],
            ),
            (
                json!({"path": "a", "limit": 1.5}),
                &["field `limit` was given as 1.5"],
            ),
            (
                json!({"path": "a", "limits": 1}),
                &["unknown field `limits`", "`limit`"],
            ),
            (
                json!({"path": "a", "steps": [{"name": ["x".repeat(500)]}]}),
                &["field `steps[0].name`", "…"],
            ),
        ];
        for (input, parts) in cases {
            let error = parse::<Input>("tool", input.clone())
                .expect_err("a mistake")
                .message;
            assert!(error.starts_with("tool: "), "{error}");
            assert!(
                error.contains("The fields are: path (string, required), limit (integer, optional)"),
                "{error}"
            );
            assert!(error.len() < 600, "{error}");
            for part in parts {
                assert!(error.contains(part), "{input}: {error}");
            }
        }
    }
}
