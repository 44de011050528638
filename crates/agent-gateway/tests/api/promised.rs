//! What the OpenAPI document promises about an answer.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The path of the document that `path` is a case of: the one with the fewest parameters.
pub(crate) fn template<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    let fits = |template: &&str| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some("{rest}"), Some(_)) => return true,
                (Some(wanted), Some(given))
                    if wanted.starts_with('{') && !given.is_empty() || wanted == given => {}
                _ => return false,
            }
        }
    };
    let all = document["paths"].as_object().unwrap().keys().map(String::as_str);
    all.filter(fits)
        .min_by_key(|template| template.matches('{').count())
}

/// A validator for a part of the document, whose references lead into the document.
pub(crate) fn validator(document: &Value, schema: &Value) -> Validator {
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .unwrap_or_else(|error| panic!("{schema} is no schema: {error}"))
}

pub(crate) fn validate(document: &Value, schema: &Value, value: &Value) {
    let errors: Vec<String> = validator(document, schema)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{value:#} is not {schema:#}: {errors:#?}");
}

/// Status, content type and body of an answer, against what is promised for its operation. Gives the operation's id and
/// the status as promised.
pub(crate) fn check(
    document: &Value,
    (method, path): (&Method, &str),
    (status, headers, body): (StatusCode, &HeaderMap, Option<&[u8]>),
) -> Option<(String, String)> {
    let path = path.split('?').next().unwrap();
    let operation = &document["paths"][template(document, path)?][method.as_str().to_ascii_lowercase()];
    let responses = operation["responses"].as_object()?;
    let promised = responses.keys().find(|known| known.as_str() == status.as_str());
    let promised = promised.map_or("default", String::as_str);
    let at = format!("{method} {path} -> {status}");
    assert!(
        promised != "default" || status.as_u16() >= 400,
        "{at} is not in the document"
    );
    let content = responses[promised].get("content").and_then(Value::as_object);
    let given = headers.get("content-type").map(|value| value.to_str().unwrap());
    let essence = given.map(|given| given.split(';').next().unwrap().trim());
    match (content, essence) {
        (None, None) => assert!(body.is_none_or(<[u8]>::is_empty), "{at} has a body"),
        (Some(content), Some(essence)) => {
            let media = content.get(essence).or_else(|| content.get("*/*"));
            let media = media.unwrap_or_else(|| panic!("{at} gives {essence}, promised is {content:?}"));
            if essence.ends_with("json")
                && let Some(body) = body
            {
                validate(document, &media["schema"], &serde_json::from_slice(body).unwrap());
            }
        }
        (content, essence) => panic!("{at} gives {essence:?}, promised is {content:?}"),
    }
    Some((
        operation["operationId"].as_str().unwrap().to_owned(),
        promised.to_owned(),
    ))
}

/// Every status that is promised by name, as `operation status`.
pub(crate) fn all(document: &Value) -> BTreeSet<String> {
    let methods = document["paths"].as_object().unwrap().values();
    let operations = methods.flat_map(|methods| methods.as_object().unwrap().values());
    operations
        .flat_map(|operation| {
            let id = operation["operationId"].as_str().unwrap();
            let statuses = operation["responses"].as_object().unwrap().keys();
            statuses
                .filter(|status| *status != "default")
                .map(move |status| format!("{id} {status}"))
        })
        .collect()
}
