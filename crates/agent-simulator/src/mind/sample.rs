//! The least value that a JSON schema accepts, for callers that force a tool or a format.

use serde_json::{Map, Value, json};

/// Schemas may contain themselves; deeper than this, everything is null.
const MAX_DEPTH: usize = 16;

pub(crate) fn of(schema: &Value) -> Value {
    value(schema, schema, MAX_DEPTH)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let nested = |schema: &Value| value(schema, root, depth - 1);
    for key in ["const", "default"] {
        if let Some(fixed) = schema.get(key) {
            return fixed.clone();
        }
    }
    if let Some(first) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|values| values.first())
    {
        return first.clone();
    }
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.strip_prefix('#')?))
    {
        return nested(target);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema
            .get(key)
            .and_then(Value::as_array)
            .and_then(|schemas| schemas.first())
        {
            return nested(first);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("object") => object(schema, nested),
        Some("array") => match schema.get("minItems").and_then(Value::as_u64) {
            Some(1..) => json!([nested(schema.get("items").unwrap_or(&Value::Null))]),
            _ => json!([]),
        },
        Some("string") => json!("simulated"),
        Some("integer") => schema
            .get("minimum")
            .filter(|least| least.is_i64() || least.is_u64())
            .cloned()
            .unwrap_or(json!(0)),
        Some("number") => schema
            .get("minimum")
            .filter(|least| least.is_number())
            .cloned()
            .unwrap_or(json!(0)),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}

fn object(schema: &Value, nested: impl Fn(&Value) -> Value) -> Value {
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let fields: Map<String, Value> = required
        .map(|name| {
            let property = schema
                .get("properties")
                .and_then(|properties| properties.get(name));
            (name.to_owned(), nested(property.unwrap_or(&Value::Null)))
        })
        .collect();
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_fields_get_fitting_values_and_recursion_ends() {
        let schema = json!({
            "type": "object", "required": ["name", "size", "kind", "next", "tags"],
            "properties": {
                "name": { "type": "string" }, "size": { "type": "integer", "minimum": 3 }, "kind": { "enum": ["a", "b"] },
                "next": { "$ref": "#/$defs/node" }, "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                "extra": { "type": "string" },
            },
            "$defs": { "node": { "type": "object", "required": ["node"], "properties": { "node": { "$ref": "#/$defs/node" } } } },
        });
        let sample = of(&schema);
        assert_eq!(
            (&sample["name"], &sample["size"], &sample["kind"]),
            (&json!("simulated"), &json!(3), &json!("a"))
        );
        assert_eq!(sample["tags"], json!(["simulated"]));
        assert!(sample.get("extra").is_none() && sample["next"].is_object());
    }
}
